"""The header of a safetensors file: JSON that says where each tensor's bytes are.

Tensors may neither overlap nor leave gaps, the last one ends where the file does, and every name occurs once.

>>> entry = Entry("F16", (2, 1), 0, 4)
>>> made = text({"w": entry}, {"made by": "me"})
>>> parse(made + bytes(4), len(made) + 4, "x").entries == {"w": entry}
True
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from anneal.errors import ParseError
from anneal.formats.elements import ELEMENTS, Bytes, Element, span

PREFIX: Final = 8
"""Bytes that say how long the JSON is."""
LARGEST_HEADER: Final = 100_000_000
_ALIGNMENT: Final = 8
_METADATA: Final = "__metadata__"
_DEPTH: Final = 50
"""JSON may be nested so deeply; a header needs three."""
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""A text, or the rest of one that does not end: so that each character is looked at once."""
_INNERMOST: Final = re.compile(r"\[[^\[\]{}]*+\]|\{[^\[\]{}]*+\}")
_FACTS: Final = frozenset({"dtype", "shape", "data_offsets"})
ELEMENT: Final[dict[str, Element]] = {
    kind: ELEMENTS[name]
    for kind, name in (
        ("BOOL", "bool"),
        ("U8", "uint8"),
        ("I8", "int8"),
        ("F8_E5M2", "float8_e5m2"),
        ("F8_E4M3", "float8_e4m3"),
        ("I16", "int16"),
        ("U16", "uint16"),
        ("F16", "float16"),
        ("BF16", "bfloat16"),
        ("I32", "int32"),
        ("U32", "uint32"),
        ("F32", "float32"),
        ("F64", "float64"),
        ("I64", "int64"),
        ("U64", "uint64"),
    )
}
"""Element types as the format names them, in the format's own order."""
KIND: Final = {element.name: kind for kind, element in ELEMENT.items()}
_ORDER: Final = {kind: -i for i, kind in enumerate(ELEMENT)}


class Entry(NamedTuple):
    """One tensor."""

    kind: str
    """Element type as the format names it, such as F32."""
    shape: tuple[int, ...]
    low: int
    """Where its bytes begin, counted from the end of the header."""
    high: int
    """Where its bytes end."""


class Table(NamedTuple):
    """A header."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    start: int
    """Where the tensors' bytes begin in the file."""


def length(prefix: Bytes, size: int, name: str) -> int:
    """Bytes from the start of a file of `size` bytes to its tensors, as its first 8 say; raises ParseError where there is no room for them."""
    said = int.from_bytes(prefix[:PREFIX], "little")
    if size < PREFIX or said > size - PREFIX:
        raise ParseError(f"{name} is not a safetensors file: a header of {said} bytes does not fit into {size} bytes")
    if said > LARGEST_HEADER:
        raise ParseError(f"{name}: its header has {said:,} bytes, and {LARGEST_HEADER:,} are the most that are read")
    return PREFIX + said


def parse(data: Bytes, size: int, name: str) -> Table:
    """The header that `data` begins with, of a file of `size` bytes; raises ParseError for anything that is not exactly one."""
    start = length(data, size, name)
    header = json_object(bytes(data[PREFIX:start]), f"{name} is not a safetensors file: its header")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ParseError(f"{name}: its metadata must map text to text")
    entries = {key: _entry(key, facts, name) for key, facts in header.items()}
    end = 0
    for low, high, key in sorted((e.low, e.high, k) for k, e in entries.items()):
        if low != end:
            raise ParseError(f"{name}: tensor {key!r} starts at {low} where the one before it ends at {end}: the header is damaged")
        if start + high > size:
            raise ParseError(f"{name}: tensor {key!r} ends at byte {start + high}, and the file has {size}: it is cut off or damaged")
        end = high
    if start + end != size:
        raise ParseError(f"{name}: {size - start - end} bytes after the last tensor belong to none")
    return Table(entries, metadata, start)


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object whose names occur once each; raises ParseError for anything else."""
    try:
        text = data.decode("utf-8")
        _check_depth(text)
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"{what} is not JSON ({error})") from error
    if not isinstance(found, dict) or not data.startswith(b"{"):
        raise ParseError(f"{what} is no JSON object")
    return found


def _check_depth(text: str) -> None:
    """Raise ValueError for what is nested deeper than the parser can go: in a browser tab that would end Python."""
    if text.count("[") + text.count("{") < _DEPTH:
        return
    rest, found = _TEXT.sub("", text), 1
    for _ in range(_DEPTH):
        if not found:
            break
        rest, found = _INNERMOST.subn("", rest)
    if "[" in rest or "{" in rest:
        raise ValueError("it is nested too deeply, or not closed")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name occurs twice")
    for name in table:
        name.encode()  # half of a surrogate pair is no text
    return table


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _entry(key: str, facts: Any, name: str) -> Entry:
    """Type, shape and span of one tensor, each checked."""
    if not isinstance(facts, dict) or facts.keys() != _FACTS:
        raise ParseError(f"{name}: tensor {key!r} must have dtype, shape and data_offsets")
    kind, shape, place = facts["dtype"], facts["shape"], facts["data_offsets"]
    element = ELEMENT.get(kind) if isinstance(kind, str) else None
    if element is None:
        raise ParseError(f"{name}: tensor {key!r} has dtype {kind!r}; known are {', '.join(ELEMENT)}")
    numbers = [*shape, *place] if isinstance(shape, list) and isinstance(place, list) and len(place) == 2 else [None]
    if not all(type(n) is int and n >= 0 for n in numbers):
        raise ParseError(f"{name}: shape {shape} or offsets {place} of tensor {key!r} are not lists of sizes")
    need = span(shape, element, f"{name}: tensor {key!r}")
    low, high = place
    if high - low != need:
        raise ParseError(f"{name}: tensor {key!r} of {kind} {tuple(shape)} takes {need} bytes, and its offsets give it {high - low}")
    return Entry(kind, tuple(shape), low, high)


def order(kinds: Mapping[str, str]) -> list[str]:
    """Names in the order of their bytes in a file, by their types: wide types first, so that each tensor is aligned, then by name."""
    return sorted(kinds, key=lambda name: (_ORDER[kinds[name]], name.encode()))


def text(entries: Mapping[str, Entry], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a header, filled up with spaces so that what follows is aligned."""
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))} if metadata else {}
    for name, (kind, shape, low, high) in entries.items():
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [low, high]}
    said = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    said += b" " * (-len(said) % _ALIGNMENT)
    return len(said).to_bytes(PREFIX, "little") + said
