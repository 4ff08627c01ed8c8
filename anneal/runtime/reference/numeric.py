"""What each elementwise op does to NumPy values.

A value is an array, a NumPy scalar, or for the dtype index and for bool also a Python number; operations keep to the value's own dtype, so
that float32 is computed in float32. bfloat16 and the floats of 8 bits are held as float32 and rounded after each operation. Integers wrap;
callers silence NumPy's
warnings.

>>> int(operation(Ops.IDIV, dtypes.int32, dtypes.int32)(np.int32(-7), np.int32(2)))
-4
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from anneal.errors import DeviceError
from anneal.ir.dtype import TENSOR_DTYPES, DType, Scalar, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.scalars import from_bits

Value = Any
"""An array, a NumPy scalar or a Python number."""
Function = Callable[..., Value]

HELD: Final[dict[DType, type[np.generic]]] = {
    dtypes.bool: np.bool_,
    dtypes.int32: np.int32,
    dtypes.uint32: np.uint32,
    dtypes.int16: np.int16,
    dtypes.uint16: np.uint16,
    dtypes.int8: np.int8,
    dtypes.uint8: np.uint8,
    dtypes.float16: np.float16,
    dtypes.bfloat16: np.float32,
    dtypes.float8_e4m3: np.float32,
    dtypes.float8_e5m2: np.float32,
    dtypes.float32: np.float32,
    dtypes.index: np.int64,
}
"""How values of a dtype are held while computing."""
STORED: Final[dict[DType, type[np.generic]]] = {**HELD, dtypes.bool: np.uint32}
"""How elements of a dtype lie in a buffer."""


def constant(value: Scalar, dtype: DType) -> Value:
    """A constant as a value."""
    if dtype is dtypes.index or dtype is dtypes.bool:
        return value
    return held(dtype)(value)


def held(dtype: DType) -> type[np.generic]:
    """The NumPy type that holds values of `dtype`; raises DeviceError for one that kernels cannot compute in."""
    if dtype not in HELD:
        raise DeviceError(f"kernels compute in {', '.join(d.name for d in TENSOR_DTYPES)}, not in {dtype.name}")
    return HELD[dtype]


def operation(op: Op, dtype: DType, source: DType) -> Function:
    """The function of an elementwise op with result `dtype` on operands of dtype `source`."""
    if op is Ops.CAST:
        return _cast(source, dtype)
    if op is Ops.BITCAST:
        return lambda x: _from_bits(_to_bits(x, source), dtype)
    if op is Ops.WHERE:
        return where
    table = _INDEX if source is dtypes.index else _BOOL if source is dtypes.bool else _NUMBER
    function = table[op] if op in table else _NUMBER[op]
    return _rounded(function, _ROUNDING[dtype]) if dtype in _ROUNDING else function


def where(condition: Value, x: Value, y: Value) -> Value:
    """`x` where the condition holds, else `y`."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, x, y)
    return x if condition else y


def _shift(function: Function) -> Function:
    return lambda x, y: function(x, y & 31)


def _divide(function: Function, whole: Function) -> Function:
    """A division that gives 0 by zero, of Python integers or of arrays, whose own is so."""

    def divide(x: Value, y: Value) -> Value:
        if type(x) is int and type(y) is int:
            return whole(x, y) if y else 0
        return function(x, y)

    return divide


def _choose(function: Function, one: Function) -> Function:
    return lambda x, y: one(x, y) if type(x) is int and type(y) is int else function(x, y)


def _rounded(function: Function, rounding: Function) -> Function:
    return lambda *operands: rounding(function(*operands))


def round_bfloat16(x: Value) -> Value:
    """float32 values rounded to bfloat16: to nearest, ties to even."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, rounded.view(np.float32))[()]


def round_small(dtype: DType) -> Function:
    """The function that rounds float32 values to a float of fewer bits: to nearest, ties to even."""
    limit = np.float64(2.0 ** (2 - dtype.lowest))

    def rounded(x: Value) -> Value:
        value = np.asarray(x, np.float32)
        unit = np.ldexp(np.float32(1), np.maximum(np.frexp(value)[1] - 1, dtype.lowest) - dtype.digits + 1)
        near = np.copysign(np.rint(value / unit) * unit, value)
        if dtype.most < np.inf:
            return np.clip(near, -dtype.most, dtype.most)[()]
        return np.where(np.abs(near) < limit, near, np.where(np.isnan(value), value, np.copysign(np.float32(np.inf), value)))[()]

    return rounded


_ROUNDING: Final[dict[DType, Function]] = {
    dtypes.bfloat16: round_bfloat16,
    dtypes.float8_e4m3: round_small(dtypes.float8_e4m3),
    dtypes.float8_e5m2: round_small(dtypes.float8_e5m2),
}
"""Dtypes that are held as float32, with the function that rounds to them."""
_NUMBER: Final[dict[Op, Function]] = {
    Ops.EXP2: np.exp2,
    Ops.LOG2: np.log2,
    Ops.SIN: np.sin,
    Ops.SQRT: np.sqrt,
    Ops.FLOOR: np.floor,
    Ops.ADD: operator.add,
    Ops.MUL: operator.mul,
    Ops.DIV: np.divide,
    Ops.IDIV: np.floor_divide,
    Ops.MOD: np.remainder,
    Ops.MAX: np.maximum,
    Ops.MIN: np.minimum,
    Ops.LT: operator.lt,
    Ops.EQ: operator.eq,
    Ops.AND: operator.and_,
    Ops.OR: operator.or_,
    Ops.XOR: operator.xor,
    Ops.SHL: _shift(np.left_shift),
    Ops.SHR: _shift(np.right_shift),
}
_BOOL: Final[dict[Op, Function]] = {Ops.ADD: operator.or_, Ops.MUL: operator.and_, Ops.MAX: operator.or_, Ops.MIN: operator.and_}
_INDEX: Final[dict[Op, Function]] = {
    Ops.IDIV: _divide(np.floor_divide, operator.floordiv),
    Ops.MOD: _divide(np.remainder, operator.mod),
    Ops.MAX: _choose(np.maximum, max),
    Ops.MIN: _choose(np.minimum, min),
    Ops.SHL: operator.lshift,
    Ops.SHR: operator.rshift,
}


def _cast(source: DType, target: DType) -> Function:
    kind = held(target)
    if target is dtypes.bool:
        return lambda x: x != 0
    if target is dtypes.index:
        return lambda x: x.astype(kind) if isinstance(x, np.ndarray) else int(x)
    if source.is_float and target.is_int:
        return lambda x: _whole(x, target)
    if target in _ROUNDING:
        return _rounded(lambda x: np.asarray(x).astype(np.float32), _ROUNDING[target])
    return lambda x: np.asarray(x).astype(kind)[()]


def _whole(x: Value, target: DType) -> Value:
    """Floats to integers as WGSL has it: toward zero, clamped to the range, NaN to 0."""
    wide = np.asarray(x, np.float64)
    kept = np.clip(np.where(np.isnan(wide), 0.0, np.trunc(wide)), float(target.min), float(target.max))
    return kept.astype(np.int64).astype(held(target))[()]


_E4M3: Final = np.array([from_bits(bytes((byte,)), dtypes.float8_e4m3) for byte in range(256)], np.float32)
_BITS: Final[dict[int, type[np.generic]]] = {1: np.uint8, 2: np.uint16, 4: np.uint32}


def _to_bits(x: Value, dtype: DType) -> Value:
    if dtype is dtypes.bfloat16:
        return (np.asarray(x, np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    if dtype is dtypes.float8_e5m2:
        return (np.asarray(x, np.float32).astype(np.float16).view(np.uint16) >> np.uint16(8)).astype(np.uint8)
    if dtype is dtypes.float8_e4m3:
        value = np.asarray(x, np.float32)
        size = np.where(np.isnan(value), 127, np.searchsorted(_E4M3[:127], np.abs(value)))
        return (size + 128 * np.signbit(value)).astype(np.uint8)
    raw = np.asarray(x, held(dtype))
    return raw.view(_BITS[raw.itemsize])


def _from_bits(bits: Value, dtype: DType) -> Value:
    if dtype is dtypes.bfloat16:
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)[()]
    if dtype is dtypes.float8_e5m2:
        return (bits.astype(np.uint16) << np.uint16(8)).view(np.float16).astype(np.float32)[()]
    if dtype is dtypes.float8_e4m3:
        return _E4M3[bits]
    return bits.view(held(dtype))[()]
