"""The meaning of every elementwise operation on plain Python scalars: what rules, constant folding and interpreters agree on.

Values are Python scalars, always rounded into their dtype; half floats calculate in float32 and are rounded once. Nothing raises on
IEEE corner cases: 1/0 is inf, log2(-1) is NaN, integers wrap, and division by zero of integers gives 0.

>>> alu(Ops.IDIV, dtypes.int32, (-7, 3)), alu(Ops.MOD, dtypes.int32, (-7, 3))
(-3, 2)
>>> alu(Ops.ADD, dtypes.int32, (2_000_000_000, 2_000_000_000))
-294967296
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from anneal.errors import DTypeError
from anneal.ir.dtype import ALL, DType, Scalar, dtypes
from anneal.ir.ops import Op, Ops

_Number = Any  # the table below holds functions on bool, int and float alike


def _exp2(x: float) -> float:
    try:
        return math.exp2(x)
    except OverflowError:
        return math.inf


def _log2(x: float) -> float:
    if x > 0:
        return math.log2(x)
    return -math.inf if x == 0 else math.nan


def _sin(x: float) -> float:
    return math.nan if math.isinf(x) else math.sin(x)


def _sqrt(x: float) -> float:
    return math.nan if x < 0 else math.sqrt(x)


def _floor(x: float) -> float:
    if not math.isfinite(x):
        return x
    return float(math.floor(x)) or math.copysign(0.0, x)


def _div(x: float, y: float) -> float:
    if y:
        return x / y
    return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1.0, y)


def _max(x: _Number, y: _Number) -> _Number:
    if x == y:  # 0.0 above -0.0
        return y if math.copysign(1, x) < 0 else x
    return x if x > y or x != x else y  # noqa: PLR0124 - only NaN differs from itself


def _min(x: _Number, y: _Number) -> _Number:
    if x == y:
        return x if math.copysign(1, x) < 0 else y
    return x if x < y or x != x else y  # noqa: PLR0124


_OPS: Final[dict[Op, Callable[..., _Number]]] = {
    Ops.EXP2: _exp2,
    Ops.LOG2: _log2,
    Ops.SIN: _sin,
    Ops.SQRT: _sqrt,
    Ops.FLOOR: _floor,
    Ops.ADD: lambda x, y: x + y,
    Ops.MUL: lambda x, y: x * y,
    Ops.DIV: _div,
    Ops.IDIV: lambda x, y: x // y if y else 0,
    Ops.MOD: lambda x, y: x % y if y else 0,
    Ops.MAX: _max,
    Ops.MIN: _min,
    Ops.LT: lambda x, y: x < y,
    Ops.EQ: lambda x, y: x == y,
    Ops.AND: lambda x, y: x & y,
    Ops.OR: lambda x, y: x | y,
    Ops.XOR: lambda x, y: x ^ y,
    Ops.SHL: lambda x, y: x << (y & 31),
    Ops.SHR: lambda x, y: x >> (y & 31),
    Ops.WHERE: lambda p, x, y: x if p else y,
}
_INDEX_OPS: Final[dict[Op, Callable[..., _Number]]] = {Ops.SHL: lambda x, y: x << y, Ops.SHR: lambda x, y: x >> y}


def _signed(bits: int) -> Callable[[int], int]:
    half, mask = 1 << (bits - 1), (1 << bits) - 1
    return lambda v: ((v + half) & mask) - half


def _unsigned(bits: int) -> Callable[[int], int]:
    mask = (1 << bits) - 1
    return lambda v: v & mask


def _via_single(dtype: DType) -> Callable[[float], Scalar]:
    single = dtypes.float32.round
    return lambda v: dtype.round(single(v))


# How the exact result of an operation on values of a dtype becomes a value of that dtype.
_FINISH: Final[dict[DType, Callable[[_Number], Scalar]]] = {
    dtypes.bool: bool,
    dtypes.index: int,
    dtypes.float64: float,
    dtypes.float32: dtypes.float32.round,
    **{d: _via_single(d) for d in ALL if d.is_float and d.bits < dtypes.float32.bits},
    **{d: _signed(d.bits) for d in (dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)},
    **{d: _unsigned(d.bits) for d in (dtypes.uint8, dtypes.uint16, dtypes.uint32, dtypes.uint64)},
}
_UPPER: Final = {dtypes.bfloat16: dtypes.float32, dtypes.float8_e5m2: dtypes.float16}
"""Floats whose bits are the upper ones of a wider float."""
_BIT_CODES: Final = {
    **{("uint", bits): code for bits, code in ((8, "B"), (16, "H"), (32, "I"), (64, "Q"))},
    **{("int", bits): code for bits, code in ((8, "b"), (16, "h"), (32, "i"), (64, "q"))},
    **{("float", bits): code for bits, code in ((16, "e"), (32, "f"), (64, "d"))},
}


def alu(op: Op, dtype: DType, args: Sequence[Scalar], src_dtype: DType | None = None) -> Scalar:
    """Return `op` of `args` as a value of `dtype`, the dtype of the result; a bitcast needs `src_dtype`, that of its operand."""
    if (function := _OPS.get(op)) is not None:
        if dtype is dtypes.index:
            function = _INDEX_OPS.get(op, function)
        return _FINISH[dtype](function(*args))
    if op is Ops.CAST:
        return cast_value(args[0], dtype)
    if op is Ops.BITCAST:
        return bitcast_value(args[0], src_dtype, dtype)
    raise DTypeError(f"{op.name} is not an elementwise operation: it has no value of scalars alone")


def cast_value(value: Scalar, dtype: DType) -> Scalar:
    """`value` converted to `dtype`: floats become integers toward zero and clamped, NaN becomes 0, integers wrap."""
    if dtype is dtypes.index and isinstance(value, float):
        return dtypes.int32.round(value)  # what an index is on a device
    if dtype.is_float and not isinstance(value, float):
        try:
            value = float(value)
        except OverflowError:
            value = math.copysign(math.inf, 1 if value > 0 else -1)
    return dtype.round(value)


def bitcast_value(value: Scalar, source: DType | None, target: DType) -> Scalar:
    """The bits of `value`, of dtype `source`, read as `target`, of the same width."""
    if source is None or source.bits != target.bits or dtypes.bool in (source, target) or not target.bits:
        raise DTypeError(f"cannot bitcast {source.name if source else 'a value of unknown dtype'} to {target.name}: the widths must be the same")
    return from_bits(to_bits(value, source), target)


def _e4m3(byte: int) -> float:
    """The value of a float8_e4m3: a sign, 4 bits of exponent with a bias of 7, 3 of fraction; NaN where all but the sign are 1."""
    exponent, fraction = byte >> 3 & 15, byte & 7
    size = math.nan if byte & 127 == 127 else math.ldexp(8 * (exponent > 0) + fraction, max(exponent, 1) - 10)
    return -size if byte & 128 else size


_E4M3: Final = [_e4m3(byte) for byte in range(256)]
_E4M3_BYTES: Final = {(value, math.copysign(1, value)): byte for byte, value in enumerate(_E4M3) if not math.isnan(value)}


def to_bits(value: Scalar, dtype: DType) -> bytes:
    """The bits of a value of `dtype`, lowest byte first."""
    if dtype is dtypes.float8_e4m3:
        return bytes((_E4M3_BYTES.get((float(value), math.copysign(1, value)), 127),))
    if (wider := _UPPER.get(dtype)) is not None:
        return to_bits(value, wider)[-(dtype.bits // 8) :]
    return struct.pack("<" + _BIT_CODES[dtype.kind, dtype.bits], value)


def from_bits(data: bytes, dtype: DType) -> Scalar:
    """The value of `dtype` with these bits, lowest byte first."""
    if dtype is dtypes.float8_e4m3:
        return _E4M3[data[0]]
    if (wider := _UPPER.get(dtype)) is not None:
        return from_bits(bytes((wider.bits - dtype.bits) // 8) + data, wider)
    value: Scalar = struct.unpack("<" + _BIT_CODES[dtype.kind, dtype.bits], data)[0]
    return dtype.round(value)  # one NaN only


def combine(op: Op, dtype: DType, values: Iterable[Scalar]) -> Scalar:
    """Return the reduction of `values` with `op`, rounded once at the end; the neutral element where there are none."""
    function, items = _OPS[op], iter(values)
    total: _Number = next(items, None)
    if total is None:
        return neutral(op, dtype)
    for value in items:
        total = function(total, value)
    return _FINISH[dtype](total)


def neutral(op: Op, dtype: DType) -> Scalar:
    """The value that changes nothing in a reduction with `op`."""
    if op in (Ops.ADD, Ops.MUL):
        return dtype.round(int(op is Ops.MUL))
    return dtype.min if op is Ops.MAX else dtype.max
