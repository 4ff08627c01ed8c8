"""Conversion, how operands meet, sums, products and comparisons.

A Python number takes the tensor's dtype, a float with an integer tensor makes float32. Tensors of two dtypes meet in the least dtype
that holds both. Shapes broadcast as NumPy's do.

>>> from anneal import Tensor
>>> (Tensor([1, 2, 3]) * 2.5).dtype
dtypes.float32
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from anneal.errors import DTypeError
from anneal.ir import build
from anneal.ir.dtype import DType, Scalar, dtypes, promote
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import UOp
from anneal.tensor import host, shapes
from anneal.tensor.core import Core
from anneal.tensor.values import Values

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


class Elementwise(Values):
    """Operators that all others are made of."""

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

    def bfloat16(self) -> Self:
        """As bfloat16."""
        return self.cast(dtypes.bfloat16)

    def bool(self) -> Self:
        """As bool: True where not 0."""
        return self.cast(dtypes.bool)

    def to(self, device: str | DType) -> Self:
        """These values on another device, as a tensor without history, or as a dtype; the tensor itself when it is there or has it."""
        return self.cast(device) if isinstance(device, DType) else super().to(device)

    def type_as(self, other: Core) -> Self:
        """As the dtype of another tensor."""
        return self.cast(other.dtype)

    # How operands meet.

    def _lift(self, other: Operand) -> Self | Scalar:
        if isinstance(other, Core):
            return other  # type: ignore[return-value]
        if host.is_array(other) and getattr(other, "ndim", 1) == 0:
            other = other.item()  # a number of NumPy's is a number
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

    def _through(self, function: Callable[[Self], Self]) -> Self:
        """A function of floats, computed in float32 and rounded once."""
        x = self._floating()
        return function(x.cast(dtypes.float32)).cast(x.dtype)

    def _numeric(self, what: str) -> None:
        if self.dtype is dtypes.bool:
            raise DTypeError(f"{what} is not defined for bool: use ~, & and |, or cast to int32 first")

    # Arithmetic.

    def add(self, other: Operand, *, alpha: Scalar = 1) -> Self:
        """x + alpha * y; or for bool. Integers wrap."""
        return self._binary(Ops.ADD, self._times(other, alpha))

    def sub(self, other: Operand, *, alpha: Scalar = 1) -> Self:
        """x - alpha * y. Integers wrap; raises DTypeError for bool."""
        (a, b), tensors = self._common(self._times(other, alpha))
        return self._make(_subtract(a, b), *tensors)

    def mul(self, other: Operand) -> Self:
        """x * y; and for bool. Integers wrap."""
        return self._binary(Ops.MUL, other)

    def neg(self) -> Self:
        """-x. Unsigned integers wrap; raises DTypeError for bool."""
        self._numeric("negation")
        return self._make(build.alu(Ops.MUL, self.uop, build.const(-1, self.dtype)))

    def _times(self, other: Operand, alpha: Scalar) -> Self | Scalar:
        lifted = self._lift(other)
        return lifted if alpha == 1 else lifted * alpha

    subtract, multiply, negative = sub, mul, neg

    def __add__(self, other: Operand) -> Self:
        return self._binary(Ops.ADD, other)

    def __radd__(self, other: Operand) -> Self:
        return self._binary(Ops.ADD, other, reverse=True)

    def __mul__(self, other: Operand) -> Self:
        return self._binary(Ops.MUL, other)

    def __rmul__(self, other: Operand) -> Self:
        return self._binary(Ops.MUL, other, reverse=True)

    def __sub__(self, other: Operand) -> Self:
        return self.sub(other)

    def __rsub__(self, other: Operand) -> Self:
        (a, b), tensors = self._common(other)
        return self._make(_subtract(b, a), *tensors)

    def __neg__(self) -> Self:
        return self.neg()

    def __pos__(self) -> Self:
        return self

    def __truediv__(self, other: Operand) -> Self:
        return self._binary(Ops.DIV, other, floating=True)

    def __rtruediv__(self, other: Operand) -> Self:
        return self._binary(Ops.DIV, other, floating=True, reverse=True)

    # Comparison.

    def eq(self, other: Operand) -> Self:
        """True where equal, as `==`; NaN equals nothing."""
        return self._binary(Ops.EQ, other)

    def ne(self, other: Operand) -> Self:
        """True where not equal, as `!=`; also where either is NaN."""
        return self._make_not(self._binary(Ops.EQ, other))

    def lt(self, other: Operand) -> Self:
        """True where less, as `<`; False with NaN."""
        return self._binary(Ops.LT, other)

    def gt(self, other: Operand) -> Self:
        """True where greater, as `>`; False with NaN."""
        return self._binary(Ops.LT, other, reverse=True)

    def le(self, other: Operand) -> Self:
        """True where less or equal, as `<=`; False with NaN."""
        (a, b), tensors = self._common(other)
        return self._make(_not_above(a, b), *tensors)

    def ge(self, other: Operand) -> Self:
        """True where greater or equal, as `>=`; False with NaN."""
        (a, b), tensors = self._common(other)
        return self._make(_not_above(b, a), *tensors)

    def _make_not(self, truth: Self) -> Self:
        return self._make(build.alu(Ops.XOR, truth.uop, build.const(True, dtypes.bool)), truth)

    def __eq__(self, other: Operand) -> Self:  # type: ignore[override]
        return NotImplemented if other is None else self.eq(other)  # x == None is False, as it is everywhere

    def __ne__(self, other: Operand) -> Self:  # type: ignore[override]
        return NotImplemented if other is None else self.ne(other)

    def __lt__(self, other: Operand) -> Self:
        return self.lt(other)

    def __gt__(self, other: Operand) -> Self:
        return self.gt(other)

    def __le__(self, other: Operand) -> Self:
        return self.le(other)

    def __ge__(self, other: Operand) -> Self:
        return self.ge(other)

    __hash__ = Core.__hash__


def _subtract(a: UOp, b: UOp) -> UOp:
    if a.dtype is dtypes.bool:
        raise DTypeError("- is not defined for bool: use ^ for a difference, or cast to int32 first")
    if b.op is Ops.CONST:
        return build.alu(Ops.ADD, a, build.const(-b.arg, b.dtype))
    return build.alu(Ops.ADD, a, build.alu(Ops.MUL, b, build.const(-1, b.dtype)))


def _not_above(a: UOp, b: UOp) -> UOp:
    """a <= b; for floats False with NaN."""
    if a.dtype.is_float:
        return build.alu(Ops.OR, build.alu(Ops.LT, a, b), build.alu(Ops.EQ, a, b))
    return build.alu(Ops.XOR, build.alu(Ops.LT, b, a), build.const(True, dtypes.bool))
