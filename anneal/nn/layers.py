"""Layers: objects that hold parameters and are called with tensors. Names, shapes and initialisation are PyTorch's.

>>> from anneal import Tensor
>>> Conv2d(3, 8, 3, padding=1)(Tensor.ones(2, 3, 5, 5)).shape
(2, 8, 5, 5)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from anneal.errors import UsageError
from anneal.tensor import shapes
from anneal.tensor.convolutions import Sizes
from anneal.tensor.core import no_grad
from anneal.tensor.tensor import Tensor


def _fan_uniform(shape: Sequence[int], fan_in: int) -> Tensor:
    """A parameter, uniform within 1/sqrt(fan_in) of 0: PyTorch's default for linear and convolution layers."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return Tensor.uniform(*shape, low=-bound, high=bound, requires_grad=True)


class Linear:
    """x @ weight.T + bias."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        """Parameters `weight` (out, in) and `bias` (out,), or None."""
        self.weight = _fan_uniform((out_features, in_features), in_features)
        self.bias = _fan_uniform((out_features,), in_features) if bias else None

    def __call__(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return x.linear(self.weight, self.bias)


class Conv2d:
    """Cross-correlation with learned kernels."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        """Parameters `weight` (out, in / groups, KH, KW) and `bias` (out,), or None."""
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise UsageError(f"Conv2d: {in_channels} input and {out_channels} output channels do not divide into {groups} groups")
        kernel = shapes.pair(kernel_size, "kernel_size")
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        fan_in = in_channels // groups * math.prod(kernel)
        self.weight = _fan_uniform((out_channels, in_channels // groups, *kernel), fan_in)
        self.bias = _fan_uniform((out_channels,), fan_in) if bias else None

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, in, H, W) to (batch, out, OH, OW)."""
        return x.conv2d(self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class LayerNorm:
    """Mean 0 and variance 1 over the last axes, then a learned scale and shift."""

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True) -> None:
        """Parameters `weight` and `bias` of the normalised shape, or None."""
        self.shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = Tensor.ones(*self.shape, requires_grad=True) if elementwise_affine else None
        self.bias = Tensor.zeros(*self.shape, requires_grad=True) if elementwise_affine else None

    def __call__(self, x: Tensor) -> Tensor:
        """Of the input's shape."""
        if x.shape[-len(self.shape) :] != self.shape:
            raise UsageError(f"LayerNorm over {self.shape} does not fit an input of shape {x.shape}")
        x = x.layernorm(tuple(range(-len(self.shape), 0)), self.eps)
        return x if self.weight is None or self.bias is None else x * self.weight + self.bias


class BatchNorm2d:
    """Mean 0 and variance 1 a channel, over the batch in training and by running statistics otherwise, then a learned scale and shift."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True) -> None:
        """Parameters `weight` and `bias`, statistics `running_mean` and `running_var`."""
        self.eps, self.momentum = eps, momentum
        self.weight = Tensor.ones(num_features, requires_grad=True) if affine else None
        self.bias = Tensor.zeros(num_features, requires_grad=True) if affine else None
        self.running_mean, self.running_var = Tensor.zeros(num_features), Tensor.ones(num_features)

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, channels, H, W) of the same shape; in training the running statistics are assigned, to be realised with the step."""
        if not Tensor.training:
            return x.batchnorm(self.weight, self.bias, self.running_mean, (self.running_var + self.eps).rsqrt())
        axes = tuple(i for i in range(x.ndim) if i != 1)
        mean, var = x.mean(axes), x.var(axes, correction=0)
        count = x.numel() // int(mean.numel())
        with no_grad():
            keep, add = 1 - self.momentum, self.momentum
            self.running_mean.assign(self.running_mean * keep + mean.detach() * add)
            self.running_var.assign(self.running_var * keep + var.detach() * (add * count / max(1, count - 1)))
        return x.batchnorm(self.weight, self.bias, mean, (var + self.eps).rsqrt())


class Embedding:
    """Rows of a learned table."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        """Parameter `weight` (num_embeddings, embedding_dim), normal as in PyTorch."""
        self.weight = Tensor.randn(num_embeddings, embedding_dim, requires_grad=True)

    def __call__(self, index: Tensor) -> Tensor:
        """(...) of integers to (..., embedding_dim)."""
        return self.weight[index]


class Dropout:
    """In training, elements set to 0 with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        """No parameters."""
        self.p = p

    def __call__(self, x: Tensor) -> Tensor:
        """Of the input's shape."""
        return x.dropout(self.p)


class Sequential:
    """Layers and functions called one after another."""

    def __init__(self, *layers: Callable[[Tensor], Tensor]) -> None:
        """The layers, in order."""
        self.layers = list(layers)

    def __call__(self, x: Tensor) -> Tensor:
        """The last layer's result."""
        for layer in self.layers:
            x = layer(x)
        return x
