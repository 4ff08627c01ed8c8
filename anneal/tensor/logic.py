"""Bits, truth values and choice.

Shifts by a distance outside of the dtype's bits leave nothing: 0, or the sign of a signed number shifted right.

>>> from anneal import Tensor
>>> (Tensor([1, 6]) << 2).tolist(), Tensor([1.0, 0.0]).logical_not().tolist()
([4, 24], [False, True])
>>> (Tensor([-1, 5]) > 0).where(Tensor([1, 2]), 0).tolist()
[0, 2]
"""

from __future__ import annotations

import math
from typing import Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import Scalar, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import shape, show
from anneal.tensor import shapes
from anneal.tensor.core import Core
from anneal.tensor.elementwise import Elementwise, Flag, Operand, literal, weak


class Logic(Elementwise):
    """Bits, truth values and choice."""

    __slots__ = ()

    # Bits.

    def bitwise_and(self, other: Operand) -> Self:
        """Each bit that both have; and for bool. Raises DTypeError for floats."""
        return self._binary(Ops.AND, other)

    def bitwise_or(self, other: Operand) -> Self:
        """Each bit that either has; or for bool. Raises DTypeError for floats."""
        return self._binary(Ops.OR, other)

    def bitwise_xor(self, other: Operand) -> Self:
        """Each bit that one of the two has. Raises DTypeError for floats."""
        return self._binary(Ops.XOR, other)

    def bitwise_not(self) -> Self:
        """Each bit inverted; not x for bool. Raises DTypeError for floats."""
        ones = True if self.dtype is dtypes.bool else -1
        return self._make(build.alu(Ops.XOR, self.uop, build.const(ones, self.dtype)))

    def bitwise_left_shift(self, other: Operand) -> Self:
        """x * 2**y modulo the dtype's bits; 0 where y is no number of its bits."""
        return self._shifted_by(Ops.SHL, other)

    def bitwise_right_shift(self, other: Operand) -> Self:
        """floor(x / 2**y); for a y that is no number of the dtype's bits 0, or -1 where a signed x is negative."""
        return self._shifted_by(Ops.SHR, other)

    lshift, rshift = bitwise_left_shift, bitwise_right_shift

    def _shifted_by(self, op: Op, other: Operand, *, reverse: Flag = False) -> Self:
        (a, b), tensors = self._common(other)
        (x, by) = (b, a) if reverse else (a, b)
        bits = x.dtype.bits
        if op is Ops.SHR and x.dtype.kind == "int":  # the sign is all that is left
            if by.op is Ops.CONST:
                return self._make(build.alu(op, x, build.const(by.arg if 0 <= by.arg < bits else bits - 1, by.dtype)), *tensors)
            inside = self._make(by, *tensors)
            by = ((inside < 0) | (inside >= bits)).where(bits - 1, inside).uop
            return self._make(build.alu(op, x, by), *tensors)
        shifted = self._make(build.alu(op, x, by), *tensors)
        if by.op is Ops.CONST:
            return shifted if 0 <= by.arg < bits else shifted & 0
        distance = self._make(by, *tensors)
        return ((distance < 0) | (distance >= bits)).where(0, shifted)

    def __and__(self, other: Operand) -> Self:
        return self._binary(Ops.AND, other)

    def __rand__(self, other: Operand) -> Self:
        return self._binary(Ops.AND, other, reverse=True)

    def __or__(self, other: Operand) -> Self:
        return self._binary(Ops.OR, other)

    def __ror__(self, other: Operand) -> Self:
        return self._binary(Ops.OR, other, reverse=True)

    def __xor__(self, other: Operand) -> Self:
        return self._binary(Ops.XOR, other)

    def __rxor__(self, other: Operand) -> Self:
        return self._binary(Ops.XOR, other, reverse=True)

    def __invert__(self) -> Self:
        return self.bitwise_not()

    def __lshift__(self, other: Operand) -> Self:
        return self._shifted_by(Ops.SHL, other)

    def __rlshift__(self, other: Operand) -> Self:
        return self._shifted_by(Ops.SHL, other, reverse=True)

    def __rshift__(self, other: Operand) -> Self:
        return self._shifted_by(Ops.SHR, other)

    def __rrshift__(self, other: Operand) -> Self:
        return self._shifted_by(Ops.SHR, other, reverse=True)

    # Truth.

    def logical_not(self) -> Self:
        """True where 0."""
        return ~self.bool()

    def logical_and(self, other: Operand) -> Self:
        """True where neither is 0."""
        return self.bool().bitwise_and(self._truth(other))

    def logical_or(self, other: Operand) -> Self:
        """True where one is not 0."""
        return self.bool().bitwise_or(self._truth(other))

    def logical_xor(self, other: Operand) -> Self:
        """True where exactly one is not 0."""
        return self.bool().bitwise_xor(self._truth(other))

    def _truth(self, other: Operand) -> Operand:
        lifted = self._lift(other)
        return lifted.bool() if isinstance(lifted, Elementwise) else bool(lifted)

    def isnan(self) -> Self:
        """True where not a number."""
        return self.ne(self)

    def isinf(self) -> Self:
        """True where infinite."""
        return self.maximum(-self).eq(math.inf) if self.dtype.is_float else self.ne(self)

    def isfinite(self) -> Self:
        """True where neither infinite nor NaN."""
        return self.maximum(-self) < math.inf if self.dtype.is_float else self.eq(self)

    def signbit(self) -> Self:
        """True where the sign is minus, also of -0.0 and of a NaN that has it."""
        if not self.dtype.is_float:
            return self < 0 if self.dtype.kind == "int" else self.ne(self)
        return self.detach().cast(dtypes.float32).bitcast(dtypes.int32) < 0

    def isclose(self, other: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: Flag = False) -> Self:
        """True where equal, or both finite and |x - y| <= atol + rtol * |y|; with `equal_nan` where both are NaN, too."""
        if rtol < 0 or atol < 0:
            raise UsageError(f"isclose: rtol and atol are 0 or more, not {rtol} and {atol}")
        (a, b), tensors = self._common(other)
        x, y = self._make(a, *tensors), self._make(b, *tensors)
        same = x.eq(y)
        if equal_nan:
            same = same | (x.isnan() & y.isnan())
        x, y = x.detach().float(), y.detach().float()
        distance = (x - y).maximum(y - x)
        return same | (distance.isfinite() & (distance <= (y * rtol).maximum(y * -rtol) + atol))

    # Choice.

    def maximum(self, other: Operand) -> Self:
        """The larger of two; NaN where either is. Equal operands share the gradient."""
        return self._binary(Ops.MAX, other)

    def minimum(self, other: Operand) -> Self:
        """The smaller of two; NaN where either is. Equal operands share the gradient."""
        return self._binary(Ops.MIN, other)

    def where(self, a: Operand, b: Operand) -> Self:
        """`a` where this bool tensor is True, else `b`: `(x > 0).where(x, 0)`."""
        a, b = self._lift(a), self._lift(b)
        first = a if isinstance(a, Elementwise) else b if isinstance(b, Elementwise) else None
        if first is None:
            dtype = weak(weak(dtypes.bool, a), b)
            values, tensors = [literal(a, dtype), literal(b, dtype)], []
        else:
            (x, y), more = first._common(b if first is a else a)
            values, tensors = ([x, y] if first is a else [y, x]), [first, *more]
        dims = shapes.broadcast(self.shape, *map(shape, values))
        picked = [v if not shape(v) else build.broadcast_to(v, dims) for v in values]
        return self._make(build.alu(Ops.WHERE, build.broadcast_to(self.uop, dims), *picked), *tensors)

    def masked_fill(self, mask: Operand, value: Scalar | Self) -> Self:
        """`value`, one number, where `mask` is True, the tensor elsewhere, in its dtype. Raises DTypeError for a number that needs another."""
        chosen, filled = self._lift(mask), self._lift(value)
        if not isinstance(chosen, Logic) or chosen.dtype is not dtypes.bool:
            what = chosen.dtype.name if isinstance(chosen, Core) else type(chosen).__name__
            raise DTypeError(f"masked_fill needs a mask of bool, not {what}: compare first, for example x != 0")
        if isinstance(filled, Core):
            if filled.shape:
                raise ShapeError(f"masked_fill fills one number in, not a tensor of shape {show(filled.shape)}: use mask.where(value, x)")
            return chosen.where(filled.cast(self.dtype), self)
        if not self.dtype.is_float and isinstance(filled, float):
            if filled != math.floor(filled) if math.isfinite(filled) else True:
                raise DTypeError(f"masked_fill: {filled} is no {self.dtype.name}: cast the tensor to float32 first")
            filled = int(filled)
        number = literal(bool(filled) if self.dtype is dtypes.bool else filled, self.dtype)
        return chosen.where(self._make(build.broadcast_to(number, self.shape)), self)

    def clamp(self, min: Operand = None, max: Operand = None) -> Self:  # noqa: A002 - PyTorch's names
        """The values moved into [min, max]: max where min is above it. NaN stays; the gradient passes inside and at the ends.

        Raises UsageError when both are None.
        """
        if min is None and max is None:
            raise UsageError("clamp needs min, max or both")
        bounds = [None if bound is None else self._lift(bound) for bound in (min, max)]
        nodes, tensors = self._common(*(bound for bound in bounds if bound is not None))
        x = self._make(nodes[0], *tensors)
        for bound, above in zip(bounds, (False, True), strict=True):
            if isinstance(bound, Logic):
                x = ((x > bound if above else x < bound) | bound.isnan()).where(bound, x)
            elif bound is not None:
                x = (x.eq(x) if math.isnan(bound) else x > bound if above else x < bound).where(bound, x)
        return x

    clip = clamp
