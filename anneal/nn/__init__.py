"""Networks: layers, functions, optimisers, state.

>>> from anneal import Tensor, nn
>>> nn.Linear(3, 2)(Tensor.ones(4, 3)).shape
(4, 2)
"""

from anneal.nn import functional, init, optim, state, utils
from anneal.nn.attention import MultiheadAttention
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
from anneal.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from anneal.nn.scaling import GradScaler, autocast

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
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
    "GRUCell",
    "GradScaler",
    "GroupNorm",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "MultiheadAttention",
    "RMSNorm",
    "RNNCell",
    "Sequential",
    "autocast",
    "functional",
    "init",
    "optim",
    "state",
    "utils",
]
