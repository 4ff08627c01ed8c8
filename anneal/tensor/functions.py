"""Functions of single elements: exponentials, roots, powers, rounding, activations.

Integers become float32 where the result is not whole. Infinities, NaN and zeros come out as in IEEE arithmetic and PyTorch.

>>> from anneal import Tensor
>>> Tensor([1, 2]).exp().dtype
dtypes.float32
"""

from __future__ import annotations

import math
from typing import Final, Self

from anneal.errors import DTypeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import Scalar
from anneal.ir.ops import Ops
from anneal.tensor.elementwise import Elementwise, Operand

_LARGEST_PRODUCT: Final = 64
"""Integer exponents up to this are computed by multiplication."""
# Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: erf to 1.5e-7.
_ERF_SCALE: Final = 0.3275911
_ERF: Final = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


class Functions(Elementwise):
    """Functions of single elements."""

    __slots__ = ()

    # Exponentials and logarithms.

    def exp2(self) -> Self:
        """2 to the power x."""
        return self._unary(Ops.EXP2)

    def log2(self) -> Self:
        """Logarithm to base 2: -inf at 0, NaN below."""
        return self._unary(Ops.LOG2)

    def exp(self) -> Self:
        """e to the power x."""
        return (self._floating() * math.log2(math.e)).exp2()

    def log(self) -> Self:
        """Natural logarithm: -inf at 0, NaN below."""
        return self.log2() * math.log(2)

    def sqrt(self) -> Self:
        """Square root: NaN below 0."""
        return self._unary(Ops.SQRT)

    def rsqrt(self) -> Self:
        """1 / sqrt(x)."""
        return self.sqrt().reciprocal()

    def reciprocal(self) -> Self:
        """1 / x."""
        return 1 / self

    def square(self) -> Self:
        """x * x."""
        return self * self

    def sin(self) -> Self:
        """Sine of x in radians."""
        return self._unary(Ops.SIN)

    def cos(self) -> Self:
        """Cosine of x in radians."""
        return (self._floating() + math.pi / 2).sin()

    def tan(self) -> Self:
        """Tangent of x in radians."""
        return self.sin() / self.cos()

    def erf(self) -> Self:
        """The error function, to 2e-7."""
        x = self._floating()
        size = (x < 0).where(-x, x)
        t = 1 / (size * _ERF_SCALE + 1)
        series = t * _ERF[-1]
        for factor in reversed(_ERF[:-1]):
            series = (series + factor) * t
        value = 1 - series * (-(size * size)).exp()
        return (x < 0).where(-value, value)

    # Signs and rounding.

    def abs(self) -> Self:
        """The size of x; its gradient at 0 is 0."""
        return self if self.dtype.kind in ("uint", "bool") else self.maximum(-self)

    __abs__ = abs

    def sign(self) -> Self:
        """-1, 0 or 1; 0 for NaN, as in PyTorch."""
        if self.dtype.kind in ("uint", "bool"):
            return self.bool().cast(self.dtype)
        return (self < 0).where(-1, (self > 0).where(1, 0)).cast(self.dtype)

    def floor(self) -> Self:
        """The largest whole number not above x."""
        return self if not self.dtype.is_float else self._make(build.alu(Ops.FLOOR, self.uop))

    def ceil(self) -> Self:
        """The smallest whole number not below x."""
        return self if not self.dtype.is_float else -((-self).floor())

    def trunc(self) -> Self:
        """x without its fraction."""
        return self if not self.dtype.is_float else (self < 0).where(self.ceil(), self.floor())

    def round(self) -> Self:
        """The nearest whole number, the even one of two."""
        if not self.dtype.is_float:
            return self
        below = self.floor()
        rest = self - below
        even = ((below * 0.5).floor() * 2).eq(below)
        up = (rest > 0.5) | (rest.eq(0.5) & ~even)
        return up.where(below + 1, below)

    # Powers.

    def __pow__(self, other: Operand) -> Self:
        return self.pow(other)

    def __rpow__(self, other: Operand) -> Self:
        base = self._lift(other)
        return (base if isinstance(base, Functions) else self._full_like(base)).pow(self)

    def _full_like(self, value: Scalar) -> Self:
        (_, node), _ = self._common(value)
        return self._make(build.broadcast_to(node, self.shape))

    def pow(self, exponent: Operand) -> Self:
        """x to a power: whole numbers by multiplication, others through logarithms; 1 for exponent 0, as IEEE pow has it."""
        exponent = self._lift(exponent)
        if isinstance(exponent, Functions):
            return self._pow_tensor(exponent)
        if not self.dtype.is_float and isinstance(exponent, int) and exponent < 0:
            raise DTypeError(f"{self.dtype.name} to the power {exponent} is not whole: cast to float32 first")
        if exponent == int(exponent) if math.isfinite(exponent) else False:
            whole = int(exponent)
            base = self._floating() if isinstance(exponent, float) else self
            if abs(whole) <= _LARGEST_PRODUCT:
                power = base._power(abs(whole))
                return power.reciprocal() if whole < 0 else power
        elif exponent in (0.5, -0.5):
            return self.sqrt() if exponent > 0 else self.rsqrt()
        return self._floating()._pow_tensor(self._floating()._full_like(exponent))

    def _power(self, count: int) -> Self:
        """The product of `count` copies, by squaring."""
        if count == 0:
            return self._full_like(1)
        result, square = None, self
        while count:
            if count & 1:
                result = square if result is None else result * square
            count >>= 1
            if count:
                square = square * square
        assert result is not None, "a positive count has a bit"
        return result

    def _pow_tensor(self, exponent: Functions) -> Self:
        if not self.dtype.is_float and not exponent.dtype.is_float:
            raise UsageError("an integer tensor to the power of an integer tensor is not supported: cast one to float32")
        (a, b), tensors = self._common(exponent)
        x, y = self._make(a, *tensors), self._make(b, *tensors)
        size = x.abs()
        # Where a factor of the product below would be 0 times infinity, the power is 1.
        one = y.eq(0) | size.eq(1)
        power = one.where(1, ((one | size.eq(0)).where(1, size).log2() * one.where(0, y)).exp2())
        power = (size.eq(0) & ~one).where((y > 0).where(0, (y < 0).where(math.inf, y)), power)
        whole = y.floor().eq(y)
        odd = whole & ((y * 0.5).floor() * 2).ne(y)
        negative = (x < 0) | (x.eq(0) & (1 / x < 0))
        invalid = x.isnan() | ((x < 0) & ~whole & size.ne(math.inf))  # a GPU may lose a NaN on its way through the rest
        return y.eq(0).where(1, invalid.where(math.nan, (negative & odd).where(-power, power)))

    # Activations.

    def relu(self) -> Self:
        """max(x, 0), with gradient 0 at 0; NaN stays."""
        return ((self < 0) | self.eq(0)).where(0, self)

    def leaky_relu(self, slope: Scalar = 0.01) -> Self:
        """x where positive, else slope * x."""
        return (self > 0).where(self, self * slope)

    def relu6(self) -> Self:
        """min(max(x, 0), 6)."""
        return self.relu().minimum(6)

    def sigmoid(self) -> Self:
        """1 / (1 + exp(-x)), without overflow for large negative x."""
        x = self._floating()
        negative = x < 0
        small = negative.where(x, -x).exp()
        return negative.where(small, 1) / (small + 1)

    def tanh(self) -> Self:
        """Hyperbolic tangent."""
        return (self._floating() * 2).sigmoid() * 2 - 1

    def silu(self) -> Self:
        """x * sigmoid(x)."""
        return self * self.sigmoid()

    swish = silu

    def gelu(self, approximate: str = "none") -> Self:
        """x times the normal distribution function of x; `approximate="tanh"` for the usual approximation."""
        if approximate not in ("none", "tanh"):
            raise UsageError(f'gelu: approximate is "none" or "tanh", not {approximate!r}')
        x = self._floating()
        if approximate == "tanh":
            return x * 0.5 * ((((x * x * x) * 0.044715 + x) * math.sqrt(2 / math.pi)).tanh() + 1)
        return x * 0.5 * ((x * math.sqrt(0.5)).erf() + 1)

    def softplus(self) -> Self:
        """log(1 + exp(x)), without overflow."""
        x = self._floating()
        return x.maximum(0) + ((-x.abs()).exp() + 1).log()

    def logsigmoid(self) -> Self:
        """log(sigmoid(x)), without overflow."""
        return -((-self).softplus())

    def elu(self, alpha: Scalar = 1.0) -> Self:
        """x where positive, else alpha * (exp(x) - 1)."""
        x = self._floating()
        return (x > 0).where(x, (x.minimum(0).exp() - 1) * alpha)

    def hardtanh(self, low: Scalar = -1.0, high: Scalar = 1.0) -> Self:
        """The values moved into [low, high]."""
        return self.clamp(low, high)
