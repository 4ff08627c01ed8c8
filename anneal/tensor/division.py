"""Division and its remainders.

Integers divided by 0 give 0, as does their remainder: a GPU raises nothing (PyTorch raises RuntimeError). Floats by 0 give infinities and
NaN. The remainder of floats is exact while the quotient is below 2**24, and 0 where it is too large for that.

>>> from anneal import Tensor
>>> (Tensor([-7, 7]) // 2).tolist(), (Tensor([-7, 7]) % 3).tolist(), Tensor([-7, 7]).fmod(3).tolist()
([-4, 3], [2, 1], [-1, 1])
"""

from __future__ import annotations

import math
from typing import Final, Self

from anneal.errors import UsageError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Op, Ops
from anneal.tensor.elementwise import Flag, Operand
from anneal.tensor.functions import Functions

_UPPER: Final = 0xFFFFF000
"""Bits of a float32 that leave 12 digits, so that products of two such halves are exact."""
_FAR: Final = 1e30
"""A quotient beyond this tells nothing of the remainder, and its products may overflow."""
_HALF: Final = 4096
"""Whole numbers below this have 12 digits."""


class Division(Functions):
    """Quotients and remainders."""

    __slots__ = ()

    def div(self, other: Operand, *, rounding_mode: str | None = None) -> Self:
        """x / y, of integers as float32; with `rounding_mode` "floor" as `//`, with "trunc" the quotient without its fraction."""
        if rounding_mode is None:
            return self._binary(Ops.DIV, other, floating=True)
        if rounding_mode == "floor":
            return self.__floordiv__(other)
        if rounding_mode != "trunc":
            raise UsageError(f'div: rounding_mode is None, "trunc" or "floor", not {rounding_mode!r}')
        a, b = self._pair(other)
        if a.dtype.is_float:
            return (a / b).trunc()
        rest = a._integers(Ops.MOD, b)
        return a._integers(Ops.IDIV, b) + (rest.ne(0) & ((a < 0) ^ (b < 0))).cast(a.dtype)

    def floor_divide(self, other: Operand) -> Self:
        """floor(x / y) in the operands' dtype, as `//`; integers by 0 give 0."""
        return self.__floordiv__(other)

    def remainder(self, other: Operand) -> Self:
        """x - y * floor(x / y), with the sign of y, as `%`; integers by 0 give 0."""
        return self.__mod__(other)

    def fmod(self, other: Operand) -> Self:
        """x - y * trunc(x / y), with the sign of x; integers by 0 give 0."""
        a, b = self._pair(other)
        if a.dtype.is_float:
            return a.float()._rest(b.float()).cast(a.dtype)
        rest = a._integers(Ops.MOD, b)
        return (rest.ne(0) & ((a < 0) ^ (b < 0))).where(rest - b, rest)

    floordiv, mod, divide, true_divide = floor_divide, remainder, div, div

    def __floordiv__(self, other: Operand) -> Self:
        a, b = self._pair(other)
        return a._floored(b)

    def __rfloordiv__(self, other: Operand) -> Self:
        a, b = self._pair(other)
        return b._floored(a)

    def __mod__(self, other: Operand) -> Self:
        a, b = self._pair(other)
        return a._modulo(b)

    def __rmod__(self, other: Operand) -> Self:
        a, b = self._pair(other)
        return b._modulo(a)

    def _pair(self, other: Operand) -> tuple[Self, Self]:
        """This tensor and another operand in one dtype and shape; bool as int32."""
        (x, y), tensors = self._common(other)
        a, b = self._make(x, *tensors), self._make(y, *tensors)
        return (a.int(), b.int()) if a.dtype is dtypes.bool else (a, b)

    def _integers(self, op: Op, other: Self) -> Self:
        return self._make(build.alu(op, self.uop, other.uop), other)

    def _floored(self, divisor: Self) -> Self:
        if not self.dtype.is_float:
            return self._integers(Ops.IDIV, divisor)
        x, y = self.detach().float(), divisor.detach().float()  # constant between whole numbers
        if _is_power_of_two(y):
            return x.isfinite().where(x / y, math.nan).floor().cast(self.dtype)
        rest = x._rest(y)
        quotient = ((x - rest) / y).round() - (rest.ne(0) & ((rest < 0) ^ (y < 0))).float()
        return y.eq(0).where(x / y, quotient).cast(self.dtype)

    def _modulo(self, divisor: Self) -> Self:
        if not self.dtype.is_float:
            return self._integers(Ops.MOD, divisor)
        x, y = self.float(), divisor.float()
        if _is_power_of_two(y):
            return (x - (x / y).floor() * y).cast(self.dtype)
        rest = x._rest(y)
        return (rest.ne(0) & ((rest < 0) ^ (y < 0))).where(rest + y, rest).cast(self.dtype)

    def _rest(self, divisor: Self) -> Self:
        """What the truncated quotient of two float32 leaves: subtracted in four parts, each an exact product."""
        quotient = (self / divisor).trunc()
        quotient = ((quotient.abs() > _FAR) & self.isfinite() & divisor.ne(0)).where(0, quotient)
        finite = divisor if divisor.uop.op is Ops.CONST and math.isfinite(divisor.uop.arg) else divisor.isinf().where(0, divisor)
        high = (finite.detach().bitcast(dtypes.uint32) & _UPPER).bitcast(dtypes.float32)
        low = finite - high
        much = (quotient * (1 / _HALF)).trunc() * _HALF
        little = quotient - much
        rest = self - high * much - high * little - low * much - low * little
        size = finite.detach().abs()
        toward = (self < 0).where(-size, size)
        # The quotient, itself rounded, may be one too large or too small.
        over = rest.ne(0) & ((rest < 0) ^ (self < 0))
        rest = over.where(rest + toward, (rest.abs() >= size).where(rest - toward, rest))
        return (rest.abs() >= divisor.abs()).where(0, rest)


def _is_power_of_two(divisor: Functions) -> Flag:
    """True for a constant whose quotients are exact, and none too large."""
    node = divisor.uop
    return node.op is Ops.CONST and 1 <= abs(node.arg) < _FAR and math.frexp(node.arg)[0] in (0.5, -0.5)
