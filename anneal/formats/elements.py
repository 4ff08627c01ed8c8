r"""Element types of files, and how their bytes become those of a buffer and back.

Types are kept. Those of 64 bits, which tensors do not store, become the 32-bit one of their kind, as arrays do everywhere at the host's
boundary; an integer that does not fit is an error with its value and index, never another number.

>>> kept(ELEMENTS["float16"]), kept(ELEMENTS["int64"])
(dtypes.float16, dtypes.int32)
>>> bytes(to_buffer(b"\xfe" + b"\xff" * 7, ELEMENTS["int64"], dtypes.int32, (1,), "x"))
b'\xfe\xff\xff\xff'
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from anneal.errors import DTypeError, ParseError
from anneal.ir.dtype import ALL, DType, Scalar, by_name, dtypes
from anneal.tensor import host

Bytes = bytes | memoryview
MOST_AXES: Final = 64
"""Axes that an array of NumPy or PyTorch can have at most."""
LARGEST: Final = 1 << 63
"""No array has so many bytes."""
_CHUNK: Final = 1 << 18
"""Elements that are converted at a time: a multiple of 4, so that every part fills whole words."""
_TRUTH: Final = bytes(1) + b"\1" * 255
_SIGNS: Final = bytes(128) + b"\xff" * 128


@dataclass(frozen=True, slots=True)
class Element:
    """One element type of a file."""

    name: str
    """As NumPy calls it, such as float64."""
    width: int
    """Bytes of one element in a file."""
    code: str
    """Letter that `array` and `struct` know it by; empty for what neither knows."""
    wide: str = ""
    """Name of the dtype that stands in for one that tensors do not store."""


ELEMENTS: Final = {
    e.name: e
    for e in (
        Element("bool", 1, "B"),
        Element("uint8", 1, "B"),
        Element("int8", 1, "b"),
        Element("uint16", 2, "H"),
        Element("int16", 2, "h"),
        Element("uint32", 4, "I"),
        Element("int32", 4, "i"),
        Element("uint64", 8, "Q", "uint32"),
        Element("int64", 8, "q", "int32"),
        Element("float8_e4m3", 1, ""),
        Element("float8_e5m2", 1, ""),
        Element("float16", 2, "e"),
        Element("bfloat16", 2, ""),
        Element("float32", 4, "f"),
        Element("float64", 8, "d", "float32"),
    )
}
"""Every element type that files have and tensors may, by name."""


def kept(element: Element) -> DType:
    """The dtype of a tensor loaded from such elements."""
    return by_name(element.wide or element.name)


def of(dtype: DType) -> Element:
    """The element type that a dtype has in a file; raises DTypeError where it has none."""
    if (found := ELEMENTS.get(dtype.name)) is None:
        raise DTypeError(f"no file holds {dtype.name}: cast the tensor first")
    return found


def span(shape: Sequence[int], element: Element, where: str) -> int:
    """The bytes of an array; raises ParseError for a shape that no array has."""
    if len(shape) > MOST_AXES:
        raise ParseError(f"{where} has {len(shape)} axes: {MOST_AXES} are the most that an array can have")
    if prod(n or 1 for n in shape) * element.width >= LARGEST:
        raise ParseError(f"{where} is said to have {prod(n or 1 for n in shape):,} elements: no array is so large")
    return prod(shape) * element.width


def must_be_checked(element: Element, dtype: DType) -> bool:
    """True where not every integer of a file fits the dtype that it is loaded as."""
    source = _RANGES.get(element.name)
    return source is not None and dtype.is_int and not (dtype.min <= source[0] and source[1] <= dtype.max)


_RANGES: Final[dict[str, tuple[Scalar, Scalar]]] = {d.name: (d.min, d.max) for d in ALL if d.kind in ("int", "uint")}


def check(data: Bytes, element: Element, dtype: DType, shape: Sequence[int], where: str) -> None:
    """Raise ParseError, with value and index, for an integer of little-endian elements that does not fit `dtype`."""
    view = memoryview(data)
    step = _CHUNK * element.width
    for start in range(0, len(view), step):
        _check(_values(view[start : start + step], element), start // element.width, dtype, shape, where)


def _check(values: Sequence[Scalar], start: int, dtype: DType, shape: Sequence[int], where: str) -> None:
    low, high = dtype.min, dtype.max
    if values and not (low <= min(values) and max(values) <= high):
        at = next(i for i, value in enumerate(values) if not low <= value <= high)
        place = f" at {host.position(start + at, shape)}" if shape else ""
        hint = "integers of 64 bits are loaded as 32; NumPy can save them as floats" if dtype.bits == 32 else "ask for a wider dtype"
        raise ParseError(f"{where} holds {values[at]}{place}, which does not fit {dtype.name} ({low} to {high}): {hint}")


def to_buffer(data: Bytes, element: Element, dtype: DType, shape: Sequence[int], where: str) -> Bytes:
    """Little-endian elements as a buffer of `dtype` holds them; `data` itself, uncopied, where that is the same.

    Raises ParseError for an integer that does not fit.
    """
    if element.name == "bool":
        data = bytes(data).translate(_TRUTH)
    if element.name == dtype.name and dtype.storage == element.width:
        return data if len(data) % 4 == 0 else host.padded(bytes(data))
    if not element.code and element.name != "bfloat16":
        raise DTypeError(f"{where} holds {element.name}: load it as that, then cast it")
    view, parts = memoryview(data), []
    step = _CHUNK * element.width
    for start in range(0, len(view), step):
        values = _values(view[start : start + step], element)
        if must_be_checked(element, dtype):
            _check(values, start // element.width, dtype, shape, where)
        parts.append(_packed(values, element, dtype))
    return b"".join(parts)


def _packed(values: Sequence[Scalar], element: Element, dtype: DType) -> bytes:
    if dtype is dtypes.float32:
        return _little(array("f", values))
    if dtype.storage == 4 and dtype.is_int and "float" not in element.name:
        return _little(array("i" if dtype is dtypes.int32 else "I", values))
    return host.pack(values, dtype)


def _values(data: memoryview, element: Element) -> Sequence[Any]:
    """Little-endian elements as numbers."""
    if element.name == "float16":
        return struct.unpack(f"<{len(data) // 2}e", data)
    if element.name == "bfloat16":
        data, element = memoryview(_upper_halves(data)), ELEMENTS["float32"]
    values = array(element.code)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _little(values: array[Any]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _upper_halves(data: Bytes) -> bytes:
    """Two-byte elements as the upper halves of four-byte ones."""
    data = bytes(data)
    made = bytearray(2 * len(data))
    made[2::4], made[3::4] = data[::2], data[1::2]
    return bytes(made)


def from_buffer(data: Bytes, dtype: DType) -> Bytes:
    """A buffer's elements, without its padding, as little-endian elements of a file."""
    if dtype.storage == of(dtype).width:
        return data
    data = bytes(data)
    return data[:: dtype.storage]  # bool: the lowest byte of each word
