"""Networks: layers, functions, optimisers, state.

>>> from anneal import Tensor, nn
>>> nn.Linear(3, 2)(Tensor.ones(4, 3)).shape
(4, 2)
"""

from anneal.nn import functional, optim, state
from anneal.nn.layers import BatchNorm2d, Conv2d, Dropout, Embedding, LayerNorm, Linear, Sequential

__all__ = ["BatchNorm2d", "Conv2d", "Dropout", "Embedding", "LayerNorm", "Linear", "Sequential", "functional", "optim", "state"]
