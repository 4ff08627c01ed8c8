r"""The header of a `.npy` array: a Python dictionary as text, read without Python's parser.

A header says the element type, the order and the shape; nothing else of Python is understood, so that no file can run anything. What it
says is checked against the bytes that are there by those who read them.

>>> text(ELEMENTS["float32"], (2, 3))[:59]
b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape':"
>>> head = parse(text(ELEMENTS["float32"], (2, 3)), "x")
>>> head.element.name, head.shape, head.start, head.nbytes
('float32', (2, 3), 128, 24)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from anneal.errors import ParseError
from anneal.formats.elements import ELEMENTS, MOST_AXES, Bytes, Element, span
from anneal.ir.dtype import DType

__all__ = ["LARGEST_HEADER", "MAGIC", "MOST_AXES", "PREFIX", "WRITTEN", "Head", "length", "parse", "text"]

MAGIC: Final = b"\x93NUMPY"
PREFIX: Final = 12
"""Bytes that say how long a header is, whatever its version."""
LARGEST_HEADER: Final = 100_000_000
_ALIGNMENT: Final = 64
_GROWTH: Final = 21
"""NumPy leaves room for the first axis to grow to so many digits."""
_KEYS: Final = frozenset({"descr", "fortran_order", "shape"})
_SPACE: Final = " \t\n\r\f"
_GAP: Final = rf"[{_SPACE}]*+"
_FIELD: Final = re.compile(  # key: a text, a truth, sizes, or what may be more
    rf"""(?:'(\w+)'|"(\w+)"){_GAP}:{_GAP}(?:'([^'\\\n]*)'|"([^"\\\n]*)"|(True|False)|\(([\dL,{_SPACE}]*+)\)|([\[{{(])){_GAP}(,{_GAP})?""", re.ASCII
)
_SIZE: Final = rf"(?:0|[1-9]\d{{0,18}})L?{_GAP}"
_SIZES: Final = re.compile(rf"{_GAP}(?:(?:{_SIZE},{_GAP})+(?:{_SIZE})?)?", re.ASCII)
_DESCR: Final = re.compile(r"([<>|=]?)([a-zA-Z?])(\d{0,9})(.*)", re.ASCII)
_TYPES: Final = {
    ("b", "1"): "bool",
    ("?", ""): "bool",
    **{(kind, str(width)): f"{name}{8 * width}" for kind, name in (("u", "uint"), ("i", "int")) for width in (1, 2, 4, 8)},
    **{("f", str(width)): f"float{8 * width}" for width in (2, 4, 8)},
}
_CODES: Final = {name: f"|{kind}1" if width == "1" else f"<{kind}{width}" for (kind, width), name in _TYPES.items() if kind != "?"}
WRITTEN: Final = frozenset(_CODES)
"""Element types that NumPy has."""
_NUMBERS: Final = "np.save(path, array.astype(np.float32)) saves one that holds numbers"
_REFUSED: Final = {
    "O": "pickled Python objects, which are never loaded: they can run any program",
    "U": "texts",
    "S": "texts",
    "a": "texts",
    "c": "complex numbers: save their real and imaginary parts",
    "M": "dates: save them as integers",
    "m": "spans of time: save them as integers",
    "V": "raw bytes of no known type",
    "f": "floats of more than 64 bits",
}


class Head(NamedTuple):
    """What a header says, and where the elements begin."""

    element: Element
    swapped: bool
    """True where the most significant byte comes first."""
    fortran: bool
    """True where the first axis is the one that varies fastest."""
    shape: tuple[int, ...]
    start: int
    nbytes: int
    """Bytes of all elements."""


def length(prefix: Bytes, name: str) -> int:
    """Bytes from the start of a file to its elements, as its first 12 bytes say; raises ParseError for another kind of file."""
    prefix = bytes(prefix[:PREFIX])
    if not prefix.startswith(MAGIC) or len(prefix) < len(MAGIC) + 4:
        hint = "; it looks like an archive of arrays: use load_npz" if prefix.startswith(b"PK") else ""
        raise ParseError(f"{name} is no .npy file: it begins with {prefix[:8]!r}{hint}")
    major, minor = prefix[6], prefix[7]
    if major not in (1, 2, 3) or minor:
        raise ParseError(f"{name} is a .npy file of version {major}.{minor}: versions 1.0, 2.0 and 3.0 can be read")
    size = int.from_bytes(prefix[8:10] if major == 1 else prefix[8:12], "little")
    if size > LARGEST_HEADER:
        raise ParseError(f"{name}: its header has {size:,} bytes, and {LARGEST_HEADER:,} are the most that are read")
    return (10 if major == 1 else 12) + size


def parse(data: Bytes, name: str, dtype: DType | None = None) -> Head:
    """What the header says that `data` begins with; raises ParseError for what is none. `dtype` says what raw bytes are."""
    start = length(data, name)
    if len(data) < start:
        raise ParseError(f"{name}: its header takes {start:,} bytes, and there are {len(data):,}: it is cut off or damaged")
    try:
        said = str(data[10 if data[6] == 1 else 12 : start], "utf-8" if data[6] == 3 else "latin-1")
    except UnicodeDecodeError as error:
        raise ParseError(f"{name}: its header is no text in UTF-8: {error.reason}") from error
    descr, fortran, sizes = _fields(said, name)
    element, swapped = _element(descr, name, dtype)
    if sizes.count(",") > MOST_AXES:
        raise ParseError(f"{name} has more than {MOST_AXES} axes: no array can")
    if _SIZES.fullmatch(sizes) is None:
        _wrong(name, f"its shape is ({sizes[:60]})")
    shape = tuple(int(n.strip().rstrip("L")) for n in sizes.split(",") if n.strip())
    return Head(element, swapped, fortran, shape, start, span(shape, element, name))


def _wrong(name: str, what: str) -> NoReturn:
    raise ParseError(f"{name}: its header is damaged: {what}")


def _fields(said: str, name: str) -> tuple[str, bool, str]:
    """The three values of the dictionary, as they are written."""
    said = said.strip(_SPACE)
    if not (said.startswith("{") and said.endswith("}")):
        _wrong(name, f"{said[:40]!r} is no dictionary")
    at, end, found = 1, len(said) - 1, dict[str, re.Match[str]]()
    while at < end and said[at] in _SPACE:
        at += 1
    while at < end:
        match = _FIELD.match(said, at, end)
        key = match and (match[1] or match[2])
        if match is not None and key == "descr" and match[7]:
            raise ParseError(f"{name} holds records of several fields: save each field as an array of its own, such as np.save(path, array['field'])")
        if match is None or key not in _KEYS or key in found or not (match[8] or match.end() == end):
            _wrong(name, f"descr, fortran_order and shape, each once, are expected, not {said[at : at + 40]!r}")
        found[key] = match
        at = match.end()
    if len(found) < len(_KEYS):
        _wrong(name, f"it says nothing of {', '.join(sorted(_KEYS - found.keys()))}")
    descr = found["descr"][3] if found["descr"][3] is not None else found["descr"][4]
    truth, sizes = found["fortran_order"][5], found["shape"][6]
    if descr is None or truth is None or sizes is None:
        _wrong(name, "descr must be a text, fortran_order True or False, and shape a tuple of sizes")
    return descr, truth == "True", sizes


def _element(descr: str, name: str, dtype: DType | None) -> tuple[Element, bool]:
    match = _DESCR.fullmatch(descr)
    if match is None:
        _wrong(name, f"{descr[:40]!r} is no element type")
    order, kind, width, rest = match.groups()
    found = None if rest else _TYPES.get((kind, width))
    raw = ELEMENTS.get(dtype.name) if dtype is not None and kind == "V" and not rest else None
    if raw is not None and width == str(raw.width):
        return raw, order == ">"
    if found is None:
        hint = "bfloat16 or float8, perhaps: say so with dtype=" if kind == "V" else _NUMBERS
        raise ParseError(f"{name} holds {_REFUSED.get(kind, 'elements of an unknown type')} ({descr[:40]}); {hint}")
    big = order == ">" or (order in ("", "=", "|") and sys.byteorder == "big")
    return ELEMENTS[found], big and ELEMENTS[found].width > 1


def text(element: Element, shape: Sequence[int]) -> bytes:
    """The header that NumPy writes for an array of this type and shape, its elements in row-major order."""
    said = f"{{'descr': '{_CODES[element.name]}', 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    said += " " * (_GROWTH - len(str(shape[0])) if shape else 0)
    size = PREFIX - 2 + len(said) + 1
    said += " " * (_ALIGNMENT - size % _ALIGNMENT) + "\n"
    return MAGIC + b"\1\0" + len(said).to_bytes(2, "little") + said.encode("latin-1")
