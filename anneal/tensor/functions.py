"""Functions of single elements: exponentials, roots, waves, rounding, powers.

Integers become float32 where the result is not whole. Infinities, NaN and zeros come out as in IEEE arithmetic and PyTorch. What takes more
than one operation is computed in float32 and rounded once. `exp` is as good as 2**y for a rounded y: a few units in the last place near 0,
and |x| / 4 of them far away.

>>> from anneal import Tensor
>>> Tensor([1, 2]).exp().dtype
dtypes.float32
>>> Tensor([2.5, -1.5]).round().tolist()
[2.0, -2.0]
"""

from __future__ import annotations

import math
from typing import Final, Self

from anneal.errors import DTypeError
from anneal.ir import build
from anneal.ir.dtype import Scalar, dtypes
from anneal.ir.ops import Ops
from anneal.tensor.elementwise import Operand
from anneal.tensor.logic import Logic

_LARGEST_PRODUCT: Final = 64
"""Integer exponents up to this are computed by multiplication."""


class Functions(Logic):
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
        return self._through(lambda x: (x * math.log2(math.e)).exp2())

    def log(self) -> Self:
        """Natural logarithm: -inf at 0, NaN below."""
        return self._through(lambda x: x.log2() * math.log(2))

    def log10(self) -> Self:
        """Logarithm to base 10: -inf at 0, NaN below."""
        return self._through(lambda x: x.log2() * math.log10(2))

    def sqrt(self) -> Self:
        """Square root: NaN below 0."""
        return self._unary(Ops.SQRT)

    def rsqrt(self) -> Self:
        """1 / sqrt(x): inf at 0, NaN below."""
        return self._through(lambda x: x.sqrt().reciprocal())

    def reciprocal(self) -> Self:
        """1 / x."""
        return 1 / self

    def square(self) -> Self:
        """x * x."""
        return self * self

    # Waves.

    def sin(self) -> Self:
        """Sine of x in radians; to 4e-7 for |x| below 10,000."""
        return self._unary(Ops.SIN)

    def cos(self) -> Self:
        """Cosine of x in radians; to 4e-7 for |x| below 10,000."""
        return self._through(lambda x: 1 - (x * 0.5).sin().square() * 2)  # x + pi/2 would round x

    def tan(self) -> Self:
        """Tangent of x in radians."""
        return self._through(lambda x: x.sin() / x.cos())

    # Signs and rounding.

    def abs(self) -> Self:
        """The size of x; its gradient at 0 is 0. The smallest signed integer stays as it is."""
        return self if self.dtype.kind in ("uint", "bool") else self.maximum(-self)

    __abs__ = abs
    absolute = abs

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

    def frac(self) -> Self:
        """The fraction of x, with its sign; its gradient is 1."""
        return self - self.trunc()

    def round(self, decimals: int = 0) -> Self:
        """The nearest number of `decimals` digits after the point, before it where negative; the even one of two. Integers stay as they are."""
        if not self.dtype.is_float:
            return self
        if decimals:
            scale = 10.0 ** abs(decimals)
            return self._through(lambda x: (x * scale).round() / scale if decimals > 0 else (x / scale).round() * scale)
        below = self.floor()
        rest = self - below
        even = ((below * 0.5).floor() * 2).eq(below)
        up = (rest > 0.5) | (rest.eq(0.5) & ~even)
        return up.where(below + 1, below)

    def copysign(self, other: Operand) -> Self:
        """The size of x with the sign of y, that of -0.0 and NaN included; integers become float32. The gradient at 0 is 0."""
        lifted = self._floating()._lift(other)
        size = self._floating().abs()
        if not isinstance(lifted, Functions):
            return -size if math.copysign(1, lifted) < 0 else size
        (_, sign), tensors = self._floating()._common(lifted)
        return self._make(sign, *tensors).signbit().where(-size, size)

    def lerp(self, end: Operand, weight: Operand) -> Self:
        """x + weight * (end - x), exact at weight 0 and 1."""
        distance, by = self._lift(end) - self, self._lift(weight)
        if not isinstance(by, Functions):
            return self + distance * by if abs(by) < 0.5 else self._lift(end) - distance * (1 - by)
        return (by.abs() < 0.5).where(self + distance * by, self._lift(end) - distance * (1 - by))

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
        """x to a power: whole numbers by multiplication, others through logarithms; 1 for exponent 0, as IEEE pow has it.

        Integers to an integer power wrap, and are 0 for a tensor's negative one unless x is 1 or -1; raises DTypeError for a negative number.
        """
        exponent = self._lift(exponent)
        if isinstance(exponent, Functions):
            return self._pow_tensor(exponent)
        if not self.dtype.is_float and isinstance(exponent, int) and exponent < 0:
            raise DTypeError(f"{self.dtype.name} to the power {exponent} is not whole: cast to float32 first")
        if exponent == int(exponent) if math.isfinite(exponent) else False:
            whole = int(exponent)
            base = self._floating() if isinstance(exponent, float) else self
            if abs(whole) <= _LARGEST_PRODUCT:
                if not base.dtype.is_float:
                    return base._power(whole)
                return base._through(lambda x: x._power(whole) if whole >= 0 else x._power(-whole).reciprocal())
        elif exponent in (0.5, -0.5):
            return self.sqrt() if exponent > 0 else self.rsqrt()
        whole_base = not self.dtype.is_float and isinstance(exponent, int)
        return self._pow_tensor(self._full_like(exponent)) if whole_base else self._floating()._pow_tensor(self._floating()._full_like(exponent))

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
        (a, b), tensors = self._common(exponent)
        x, y = self._make(a, *tensors), self._make(b, *tensors)
        if x.dtype.is_float:
            return x.float()._pow_floats(y.float()).cast(x.dtype)
        return x._pow_integers(y) if x.dtype is not dtypes.bool else x | ~y

    def _pow_integers(self, exponent: Self) -> Self:
        """By squaring, bit by bit of the exponent: products of integers wrap, so only the bits count."""
        power, square = self._full_like(1), self
        for bit in range(exponent.dtype.bits - (exponent.dtype.kind == "int")):
            power = ((exponent >> bit) & 1).ne(0).where(power * square, power)
            square = square * square
        if exponent.dtype.kind != "int":
            return power
        unit = self.eq(1).where(1, self.eq(-1).where(1 - (exponent & 1) * 2, 0))
        return (exponent < 0).where(unit, power)

    def _pow_floats(self, exponent: Self) -> Self:
        x, y = self, exponent
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
