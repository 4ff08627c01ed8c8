"""Numbers of the host, as Python or NumPy holds them, to and from the bytes of a buffer.

A buffer is little endian: bool as a 32-bit 0 or 1, everything else in as many bytes as its dtype has, the whole rounded up to 4.
Python numbers and 64-bit arrays become 32-bit; an integer that does not fit is an error.

>>> encode([[1, 2], [3, 4]]).shape
(2, 2)
>>> decode(encode([1.5, -2]).data, dtypes.float32, 2)
[1.5, -2.0]
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, Final, NamedTuple

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir.build import check_storable
from anneal.ir.dtype import TENSOR_DTYPES, DType, Scalar, by_name, dtypes
from anneal.ir.scalars import from_bits, to_bits

_CODES: Final = {
    dtypes.float32: "f",
    dtypes.int32: "i",
    dtypes.uint32: "I",
    dtypes.bool: "I",
    dtypes.int16: "h",
    dtypes.uint16: "H",
    dtypes.int8: "b",
    dtypes.uint8: "B",
}
_ROUNDED: Final = frozenset({dtypes.bfloat16, dtypes.float8_e4m3, dtypes.float8_e5m2})
"""Floats that neither Python nor NumPy has: rounded and packed here."""
_NUMPY: Final = {"f": dtypes.float32, "i": dtypes.int32, "u": dtypes.uint32, "b": dtypes.bool}
_KINDS: Final = {
    **{d: f"<{d.kind[0]}{d.storage}" for d in TENSOR_DTYPES if d not in _ROUNDED and d is not dtypes.bool},
    dtypes.bool: "<u4",
}
"""The NumPy type of what lies in a buffer."""
_NUMBERS: Final = {bool, int, float}


class Encoded(NamedTuple):
    """Host data as a buffer holds it."""

    data: bytes
    shape: tuple[int, ...]
    dtype: DType


def encode(data: Any, dtype: DType | None = None) -> Encoded:
    """A number, nested sequences of numbers, or an array, as bytes of `dtype` (by default what the data calls for)."""
    if dtype is not None:
        check_storable(dtype)
    if is_array(data):
        return _encode_array(data, dtype)
    flat, shape = _flatten(data)
    chosen = dtype or _infer(flat)
    if chosen.is_int:
        _check_range(flat, shape, chosen)
    return Encoded(pack(flat, chosen), shape, chosen)


def is_array(data: Any) -> bool:
    """True for NumPy arrays and scalars, and for anything else that follows their protocol; never imports NumPy."""
    return hasattr(data, "__array_interface__")


def pack(values: Iterable[Scalar], dtype: DType) -> bytes:
    """Values, each rounded into `dtype`, as bytes of a buffer."""
    if dtype is dtypes.float16:
        halves = [dtype.round(v) for v in values]
        return padded(struct.pack(f"<{len(halves)}e", *halves))
    if dtype is dtypes.float32:
        return _little(array("f", values))
    if dtype in _CODES:
        return padded(_little(array(_CODES[dtype], (dtype.round(v) for v in values))))
    return padded(b"".join([to_bits(dtype.round(v), dtype) for v in values]))


def padded(data: bytes) -> bytes:
    """`data` filled with zeros to a multiple of 4 bytes."""
    return data + bytes(-len(data) % 4)


def _little(values: array[Any]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def decode(data: bytes | memoryview, dtype: DType, count: int) -> list[Scalar]:
    """The first `count` elements of a buffer's bytes as Python numbers."""
    code = "e" if dtype is dtypes.float16 else _CODES.get(dtype)
    if code is None:
        size = dtype.storage
        return [from_bits(bytes(data[i * size : (i + 1) * size]), dtype) for i in range(count)]
    values = struct.unpack_from(f"<{count}{code}", data)
    return [bool(v) for v in values] if dtype is dtypes.bool else list(values)


def nest(flat: list[Scalar], shape: Sequence[int]) -> Any:
    """A flat list folded into nested lists of `shape`; its one element for shape ()."""
    if not shape:
        return flat[0]
    rows: list[Any] = flat
    for axis in range(len(shape) - 1, 0, -1):
        size = shape[axis]
        rows = [rows[i * size : (i + 1) * size] for i in range(prod(shape[:axis]))]
    return rows


def to_numpy(data: bytes | memoryview, shape: Sequence[int], dtype: DType) -> Any:
    """A buffer's bytes as a NumPy array of its own; bfloat16 and float8 as float32."""
    try:
        import numpy as np
    except ImportError as error:
        raise UsageError("NumPy is not installed here: use tolist() or data()") from error

    if dtype in _ROUNDED:
        return np.array(decode(data, dtype, prod(shape)), np.float32).reshape(tuple(shape))
    values = np.frombuffer(data, dtype=_KINDS[dtype], count=prod(shape)).reshape(tuple(shape))
    return values != 0 if dtype is dtypes.bool else values.copy()


def nbytes(shape: Sequence[int], dtype: DType) -> int:
    """Bytes of a buffer of this shape: a multiple of 4, at least 4."""
    return max(4, (prod(shape) * dtype.storage + 3) // 4 * 4)


def _flatten(data: Any) -> tuple[list[Scalar], tuple[int, ...]]:
    """Nested sequences as one list in row-major order, and their shape."""
    level: list[Any] = [data]
    shape: tuple[int, ...] = ()
    while level and isinstance(level[0], list | tuple | range):
        size = len(level[0])
        for i, row in enumerate(level):
            if not isinstance(row, list | tuple | range) or len(row) != size:
                found = f"{len(row)} elements" if isinstance(row, list | tuple | range) else repr(row)
                raise ShapeError(f"ragged data: at {position(i, shape)} there should be {size} elements as in the first row, not {found}")
        level = [item for row in level for item in row]
        shape = (*shape, size)
    if set(map(type, level)) <= _NUMBERS:  # almost always, and much quicker than to look at each
        return level, shape
    for i, item in enumerate(level):
        if not isinstance(item, bool | int | float):
            if isinstance(item, list | tuple | range):
                raise ShapeError(f"ragged data: at {position(i, shape)} there is a sequence where the first element is a number")
            if not is_array(item) or getattr(item, "ndim", True):
                raise DTypeError(f"a tensor holds numbers, not {type(item).__name__} (at {position(i, shape)})")
            level[i] = item.item()
    return level, shape


def position(flat: int, shape: Sequence[int]) -> str:
    """Where element number `flat` is, written as an index."""
    index: list[int] = []
    for size in reversed(shape):
        flat, at = divmod(flat, size)
        index.append(at)
    return "[" + ", ".join(map(str, reversed(index))) + "]"


def _infer(values: Iterable[Scalar]) -> DType:
    kinds = set(map(type, values))
    if all(issubclass(k, bool) for k in kinds) and kinds:
        return dtypes.bool
    return dtypes.int32 if kinds and all(issubclass(k, int) for k in kinds) else dtypes.float32


def _check_range(values: Sequence[Scalar], shape: Sequence[int], dtype: DType) -> None:
    low, high = dtype.min, dtype.max
    for i, value in enumerate(values):
        if not isinstance(value, float) and not low <= value <= high:
            raise _out_of_range(value, position(i, shape), dtype)


def _out_of_range(value: object, where: str, dtype: DType) -> DTypeError:
    return DTypeError(f"{value} at {where} does not fit {dtype.name} ({dtype.min} to {dtype.max}); use float32, or scale the numbers first")


def _encode_array(data: Any, dtype: DType | None) -> Encoded:
    import numpy as np

    values = np.asarray(data)
    natural = _array_dtype(values.dtype)
    chosen = dtype or natural
    if chosen.is_int and values.dtype.kind in "iu" and values.size:
        bad = (values < chosen.min) | (values > chosen.max)
        if bad.any():
            at = int(np.argmax(bad))
            raise _out_of_range(values.reshape(-1)[at], position(at, values.shape), chosen)
    if chosen is not dtypes.float16 and (chosen in _ROUNDED or (chosen.is_int and values.dtype.kind == "f")):
        return Encoded(pack(values.reshape(-1).tolist(), chosen), values.shape, chosen)
    with np.errstate(over="ignore"):
        packed = values.astype("?").astype("<u4") if chosen is dtypes.bool else values.astype(_KINDS[chosen])
    return Encoded(padded(packed.tobytes()), values.shape, chosen)


def _array_dtype(kind: Any) -> DType:
    """The element type that an array's own becomes: the same width, or 32 bits."""
    if kind.kind == "f" and kind.itemsize == 2:
        return dtypes.float16
    if kind.kind in "iu" and kind.itemsize < dtypes.int32.storage:
        return by_name(kind.name)
    if kind.kind not in _NUMPY:
        names = ", ".join(d.name for d in map(by_name, ("float32", "float16", "int32", "uint32", "bool")))
        raise DTypeError(f"a tensor cannot hold NumPy's {kind}: convert the array to one of {names} first")
    return _NUMPY[kind.kind]
