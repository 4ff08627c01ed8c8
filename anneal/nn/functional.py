"""The tensor methods of networks as functions, under PyTorch's names.

>>> from anneal import Tensor
>>> relu(Tensor([-1.0, 2.0])).shape
(2,)
"""

from __future__ import annotations

from anneal.tensor.tensor import Tensor

relu = Tensor.relu
leaky_relu = Tensor.leaky_relu
sigmoid = Tensor.sigmoid
tanh = Tensor.tanh
silu = Tensor.silu
gelu = Tensor.gelu
elu = Tensor.elu
softplus = Tensor.softplus
softmax = Tensor.softmax
log_softmax = Tensor.log_softmax
logsigmoid = Tensor.logsigmoid
linear = Tensor.linear
conv2d = Tensor.conv2d
max_pool2d = Tensor.max_pool2d
avg_pool2d = Tensor.avg_pool2d
one_hot = Tensor.one_hot
pad = Tensor.pad
cross_entropy = Tensor.cross_entropy
nll_loss = Tensor.nll_loss
mse_loss = Tensor.mse_loss
l1_loss = Tensor.l1_loss
binary_cross_entropy = Tensor.binary_cross_entropy
binary_cross_entropy_with_logits = Tensor.binary_cross_entropy_with_logits


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Elements set to 0 with probability `p` and the others divided by 1 - p, when `training`."""
    with Tensor.train(training):
        return x.dropout(p)


def layer_norm(x: Tensor, normalized_shape: tuple[int, ...], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the last axes, then scale and shift."""
    x = x.layernorm(tuple(range(-len(normalized_shape), 0)), eps)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def embedding(index: Tensor, weight: Tensor) -> Tensor:
    """Rows of `weight`."""
    return weight[index]
