"""Activations of neural networks, each one expression.

They are computed in float32 and rounded once. Gradients at the corners are PyTorch's.

>>> from anneal import Tensor
>>> Tensor([-1.0, 2.0]).relu().tolist(), Tensor([-4.0, 0.0, 4.0]).hardsigmoid().tolist()
([0.0, 2.0], [0.0, 0.5, 1.0])
"""

from __future__ import annotations

import math
from typing import Final, Self

from anneal.errors import UsageError
from anneal.ir.dtype import Scalar
from anneal.tensor.inplace import InPlace, in_place

# Klambauer and others, Self-normalizing neural networks, NIPS 2017.
_SELU_ALPHA: Final = 1.6732632423543772
_SELU_SCALE: Final = 1.0507009873554805
_LINEAR: Final = 20
"""From here on log(1 + exp(x)) is x, and tanh of it 1."""


class Activations(InPlace):
    """Activations of neural networks."""

    __slots__ = ()

    # Of pieces.

    def relu(self) -> Self:
        """max(x, 0), with gradient 0 at 0; NaN stays."""
        return ((self < 0) | self.eq(0)).where(0, self)

    def leaky_relu(self, negative_slope: Scalar = 0.01) -> Self:
        """x where positive, else negative_slope * x."""
        return (self > 0).where(self, self * negative_slope)

    def relu6(self) -> Self:
        """min(max(x, 0), 6), with gradient 0 at 0 and 6; NaN stays."""
        return self.hardtanh(0, 6)

    def hardtanh(self, min_val: Scalar = -1.0, max_val: Scalar = 1.0) -> Self:
        """The values moved into [min_val, max_val], with gradient 0 at both ends; NaN stays."""
        low, high = (self < min_val) | self.eq(min_val), (self > max_val) | self.eq(max_val)
        return low.where(min_val, high.where(max_val, self))

    def hardsigmoid(self) -> Self:
        """min(max(x + 3, 0), 6) / 6."""
        return self._through(lambda x: (x + 3).relu6() / 6)

    def hardswish(self) -> Self:
        """x * min(max(x + 3, 0), 6) / 6."""
        return self._through(lambda x: x * (x + 3).relu6() / 6)

    def softsign(self) -> Self:
        """x / (1 + |x|)."""
        return self._through(lambda x: x / (x.abs() + 1))

    # Of exponentials.

    def sigmoid(self) -> Self:
        """1 / (1 + exp(-x)), without overflow for large negative x."""

        def sigmoid(x: Self) -> Self:
            negative = x < 0
            small = negative.where(x, -x).exp()
            return negative.where(small, 1) / (small + 1)

        return self._through(sigmoid)

    def logsigmoid(self) -> Self:
        """log(sigmoid(x)), without overflow."""
        return self._through(lambda x: x.minimum(0) - (-x.abs()).exp()._log1p())

    def softplus(self, beta: Scalar = 1.0, threshold: Scalar = 20.0) -> Self:
        """log(1 + exp(beta * x)) / beta, without overflow; x itself where beta * x is above `threshold`."""

        def softplus(x: Self) -> Self:
            scaled = x if beta == 1 else x * beta
            value = scaled.maximum(0) + (-scaled.abs()).exp()._log1p()
            value = value if beta == 1 else value / beta
            return value if threshold >= _LINEAR else (scaled > threshold).where(x, value)

        return self._through(softplus)

    def silu(self) -> Self:
        """x * sigmoid(x)."""
        return self._through(lambda x: x * x.sigmoid())

    swish = silu

    def mish(self) -> Self:
        """x * tanh(softplus(x))."""

        def mish(x: Self) -> Self:
            power = x.minimum(_LINEAR).exp()
            part = power * (power + 2)  # tanh(log(1 + w)) is w (w + 2) / (w (w + 2) + 2)
            return x * (part / (part + 2))

        return self._through(mish)

    def gelu(self, approximate: str = "none") -> Self:
        """x times the normal distribution function of x; `approximate="tanh"` for the usual approximation."""
        if approximate not in ("none", "tanh"):
            raise UsageError(f'gelu: approximate is "none" or "tanh", not {approximate!r}')
        if approximate == "tanh":
            return self._through(lambda x: x * 0.5 * ((((x * x * x) * 0.044715 + x) * math.sqrt(2 / math.pi)).tanh() + 1))
        return self._through(lambda x: x * 0.5 * ((x * math.sqrt(0.5)).erf() + 1))

    def quick_gelu(self) -> Self:
        """x * sigmoid(1.702 * x)."""
        return self._through(lambda x: x * (x * 1.702).sigmoid())

    def elu(self, alpha: Scalar = 1.0) -> Self:
        """x where positive, else alpha * (exp(x) - 1)."""
        return self._through(lambda x: x._bent(alpha))

    def celu(self, alpha: Scalar = 1.0) -> Self:
        """x where positive, else alpha * (exp(x / alpha) - 1); raises UsageError for alpha 0."""
        if alpha == 0:
            raise UsageError("celu: alpha cannot be 0")
        return self._through(lambda x: x._bent(alpha, 1 / alpha))

    def selu(self) -> Self:
        """elu(x, 1.67326) * 1.0507: keeps mean 0 and variance 1."""
        return self._through(lambda x: x._bent(_SELU_ALPHA) * _SELU_SCALE)

    def _bent(self, alpha: Scalar, scale: Scalar = 1) -> Self:
        """x where positive, else alpha * (exp(scale * x) - 1)."""
        positive = self > 0
        below = positive.where(0, self)
        return positive.where(self, (below if scale == 1 else below * scale)._expm1() * alpha)

    relu_ = in_place(relu, "relu_")
    leaky_relu_ = in_place(leaky_relu, "leaky_relu_")
    relu6_ = in_place(relu6, "relu6_")
    hardtanh_ = in_place(hardtanh, "hardtanh_")
    sigmoid_ = in_place(sigmoid, "sigmoid_")
    silu_ = in_place(silu, "silu_")
    elu_ = in_place(elu, "elu_")
