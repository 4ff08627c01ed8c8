"""Elementwise arithmetic, comparison and conversion.

A Python number takes the tensor's dtype, a float with an integer tensor makes float32. Tensors of two dtypes meet in the least dtype
that holds both. Shapes broadcast as NumPy's do.

>>> from anneal import Tensor
>>> (Tensor([1, 2, 3]) * 2.5).dtype
dtypes.float32
"""

from __future__ import annotations

import math
from typing import Any, Self

from anneal.errors import DTypeError
from anneal.ir import build
from anneal.ir.dtype import DType, Scalar, dtypes, promote
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.tensor import shapes
from anneal.tensor.core import Core

Operand = Any
Flag = bool


def weak(dtype: DType, value: Scalar) -> DType:
    """The dtype of a tensor of `dtype` combined with a Python number."""
    if isinstance(value, bool):
        return dtype
    if isinstance(value, int):
        return dtypes.int32 if dtype is dtypes.bool else dtype
    return dtype if dtype.is_float else dtypes.float32


def literal(value: Scalar, dtype: DType) -> UOp:
    """A Python number as a constant; raises DTypeError when an integer does not fit."""
    if dtype.is_int and isinstance(value, int) and not dtype.min <= value <= dtype.max:
        raise DTypeError(f"{value} does not fit {dtype.name} ({dtype.min} to {dtype.max}): cast the tensor first")
    return build.const(value, dtype)


class Elementwise(Core):
    """Operators and functions of single elements."""

    __slots__ = ()

    # Conversion.

    def cast(self, dtype: DType) -> Self:
        """The values converted to `dtype`: toward zero from float to integer, to the nearest from wide to narrow floats."""
        build.check_storable(dtype)
        if dtype is dtypes.bool and self.dtype.is_float:
            return self.ne(0)  # True for NaN on every device
        return self if dtype is self.dtype else self._make(build.cast(self.uop, dtype))

    def bitcast(self, dtype: DType) -> Self:
        """The same bits read as `dtype`, of the same width."""
        build.check_storable(dtype)
        return self._make(build.bitcast(self.uop, dtype))

    def float(self) -> Self:
        """As float32."""
        return self.cast(dtypes.float32)

    def half(self) -> Self:
        """As float16."""
        return self.cast(dtypes.float16)

    def int(self) -> Self:
        """As int32."""
        return self.cast(dtypes.int32)

    def bool(self) -> Self:
        """As bool: True where not 0."""
        return self.cast(dtypes.bool)

    # How operands meet.

    def _lift(self, other: Operand) -> Self | Scalar:
        if isinstance(other, Core):
            return other  # type: ignore[return-value]
        if type(other) in (bool, int, float):
            return other  # type: ignore[no-any-return]
        return type(self)(other, device=self._device)

    def _common(self, *others: Operand, floating: Flag = False) -> tuple[list[UOp], list[Core]]:
        """This tensor and others in one dtype and one shape, numbers as scalar constants; and the tensors among the others."""
        lifted = [self._lift(o) for o in others]
        tensors: list[Core] = [o for o in lifted if isinstance(o, Core)]
        dtype = self.dtype
        for tensor in tensors:
            dtype = promote(dtype, tensor.dtype)
        for value in lifted:
            if not isinstance(value, Core):
                dtype = weak(dtype, value)
        if floating and not dtype.is_float:
            dtype = dtypes.float32
        build.check_storable(dtype)
        dims = shapes.broadcast(self.shape, *(t.shape for t in tensors))

        def operand(value: Core | Scalar) -> UOp:
            if not isinstance(value, Core):
                return literal(value, dtype)
            return build.broadcast_to(build.cast(value.uop, dtype), dims)

        return [operand(self), *map(operand, lifted)], tensors

    def _binary(self, op: Op, other: Operand, *, floating: Flag = False, reverse: Flag = False) -> Self:
        (a, b), tensors = self._common(other, floating=floating)
        return self._make(build.alu(op, b, a) if reverse else build.alu(op, a, b), *tensors)

    def _unary(self, op: Op) -> Self:
        """A function of floats; integers become float32."""
        return self._make(build.alu(op, self._floating().uop))

    def _floating(self) -> Self:
        return self if self.dtype.is_float else self.cast(dtypes.float32)

    def _numeric(self, what: str) -> None:
        if self.dtype is dtypes.bool:
            raise DTypeError(f"{what} is not defined for bool: use ~, & and |, or cast to int32 first")

    # Arithmetic.

    def __add__(self, other: Operand) -> Self:
        return self._binary(Ops.ADD, other)

    def __radd__(self, other: Operand) -> Self:
        return self._binary(Ops.ADD, other, reverse=True)

    def __mul__(self, other: Operand) -> Self:
        return self._binary(Ops.MUL, other)

    def __rmul__(self, other: Operand) -> Self:
        return self._binary(Ops.MUL, other, reverse=True)

    def __sub__(self, other: Operand) -> Self:
        (a, b), tensors = self._common(other)
        return self._make(_subtract(a, b), *tensors)

    def __rsub__(self, other: Operand) -> Self:
        (a, b), tensors = self._common(other)
        return self._make(_subtract(b, a), *tensors)

    def __neg__(self) -> Self:
        self._numeric("negation")
        return self._make(build.alu(Ops.MUL, self.uop, build.const(-1, self.dtype)))

    def __truediv__(self, other: Operand) -> Self:
        return self._binary(Ops.DIV, other, floating=True)

    def __rtruediv__(self, other: Operand) -> Self:
        return self._binary(Ops.DIV, other, floating=True, reverse=True)

    def __floordiv__(self, other: Operand) -> Self:
        """Floor of the quotient; integers by 0 give 0."""
        (a, b), tensors = self._common(other)
        return self._make(_floor_divide(a, b), *tensors)

    def __rfloordiv__(self, other: Operand) -> Self:
        (a, b), tensors = self._common(other)
        return self._make(_floor_divide(b, a), *tensors)

    def __mod__(self, other: Operand) -> Self:
        """x - y*floor(x/y), with the sign of y as Python has it; integers by 0 give 0."""
        (a, b), tensors = self._common(other)
        return self._make(_modulo(a, b), *tensors)

    def __rmod__(self, other: Operand) -> Self:
        (a, b), tensors = self._common(other)
        return self._make(_modulo(b, a), *tensors)

    # Bits and logic.

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
        """Each bit inverted; not x for bool."""
        ones = True if self.dtype is dtypes.bool else -1
        return self._make(build.alu(Ops.XOR, self.uop, build.const(ones, self.dtype)))

    def __lshift__(self, other: Operand) -> Self:
        return self._binary(Ops.SHL, other)

    def __rlshift__(self, other: Operand) -> Self:
        return self._binary(Ops.SHL, other, reverse=True)

    def __rshift__(self, other: Operand) -> Self:
        return self._binary(Ops.SHR, other)

    def __rrshift__(self, other: Operand) -> Self:
        return self._binary(Ops.SHR, other, reverse=True)

    def logical_not(self) -> Self:
        """True where 0."""
        return ~self.bool()

    # Comparison.

    def __lt__(self, other: Operand) -> Self:
        return self._binary(Ops.LT, other)

    def __gt__(self, other: Operand) -> Self:
        return self._binary(Ops.LT, other, reverse=True)

    def __le__(self, other: Operand) -> Self:
        (a, b), tensors = self._common(other)
        return self._make(_not_above(a, b), *tensors)

    def __ge__(self, other: Operand) -> Self:
        (a, b), tensors = self._common(other)
        return self._make(_not_above(b, a), *tensors)

    def __eq__(self, other: Operand) -> Self:  # type: ignore[override]
        return self._binary(Ops.EQ, other)

    def __ne__(self, other: Operand) -> Self:  # type: ignore[override]
        return ~self._binary(Ops.EQ, other)

    __hash__ = Core.__hash__

    def eq(self, other: Operand) -> Self:
        """True where equal, as `==`."""
        return self._binary(Ops.EQ, other)

    def ne(self, other: Operand) -> Self:
        """True where not equal, as `!=`."""
        return ~self._binary(Ops.EQ, other)

    def isnan(self) -> Self:
        """True where not a number."""
        return self.ne(self)

    def isinf(self) -> Self:
        """True where infinite."""
        return self.maximum(-self).eq(math.inf) if self.dtype.is_float else self.ne(self)

    # Choice.

    def maximum(self, other: Operand) -> Self:
        """The larger of two; NaN where either is."""
        return self._binary(Ops.MAX, other)

    def minimum(self, other: Operand) -> Self:
        """The smaller of two; NaN where either is."""
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

    def masked_fill(self, mask: Self, value: Scalar) -> Self:
        """`value` where `mask` is True, the tensor elsewhere."""
        return mask.where(value, self)

    def clamp(self, min: Operand = None, max: Operand = None) -> Self:  # noqa: A002 - PyTorch's names
        """The values moved into [min, max]; NaN stays."""
        low = self if min is None else self.maximum(min)
        return low if max is None else low.minimum(max)

    clip = clamp


def _subtract(a: UOp, b: UOp) -> UOp:
    if a.dtype is dtypes.bool:
        raise DTypeError("- is not defined for bool: use ^ for a difference, or cast to int32 first")
    if b.op is Ops.CONST:
        return build.alu(Ops.ADD, a, build.const(-b.arg, b.dtype))
    return build.alu(Ops.ADD, a, build.alu(Ops.MUL, b, build.const(-1, b.dtype)))


def _whole(x: UOp) -> UOp:
    return build.cast(x, dtypes.int32) if x.dtype is dtypes.bool else x


def _floor_divide(a: UOp, b: UOp) -> UOp:
    a, b = _whole(a), _whole(b)
    return build.alu(Ops.FLOOR, build.alu(Ops.DIV, a, b)) if a.dtype.is_float else build.alu(Ops.IDIV, a, b)


def _modulo(a: UOp, b: UOp) -> UOp:
    a, b = _whole(a), _whole(b)
    if not a.dtype.is_float:
        return build.alu(Ops.MOD, a, b)
    return _subtract(a, build.alu(Ops.MUL, b, _floor_divide(a, b)))


def _not_above(a: UOp, b: UOp) -> UOp:
    """a <= b; for floats False with NaN."""
    if a.dtype.is_float:
        return build.alu(Ops.OR, build.alu(Ops.LT, a, b), build.alu(Ops.EQ, a, b))
    return build.alu(Ops.XOR, build.alu(Ops.LT, b, a), build.const(True, dtypes.bool))
