"""Networks: layers, functions, optimisers, state.

>>> from anneal import Tensor, nn
>>> nn.Linear(3, 2)(Tensor.ones(4, 3)).shape
(4, 2)
"""

from anneal.nn import functional, optim, state
from anneal.nn.convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from anneal.nn.layers import Dropout, Embedding, Flatten, Identity, Linear, Sequential
from anneal.nn.normalisation import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    RMSNorm,
)

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "Linear",
    "RMSNorm",
    "Sequential",
    "functional",
    "optim",
    "state",
]
