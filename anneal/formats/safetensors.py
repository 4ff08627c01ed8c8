"""safetensors files: named arrays, as raw little-endian bytes after a JSON header.

A reader believes nothing: every offset is checked against the file's size before a byte is taken, tensors may neither overlap nor leave
gaps, and no memory is reserved because a header says so. A file is written beside its place and moved there, so it is whole or absent.

>>> data = pack({"w": Entry("F16", (2,), bytes(4))})
>>> unpack(data)[0]["w"].shape
(2,)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from anneal.errors import CheckpointError
from anneal.formats import atomic

WIDTHS: Final = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8}
_PREFIX: Final = 8
_LARGEST_HEADER: Final = 100_000_000
_ALIGNMENT: Final = 8


class Entry(NamedTuple):
    """One array."""

    kind: str
    """Element type as the format names it, such as F32."""
    shape: tuple[int, ...]
    data: bytes


def unpack(data: bytes, name: str = "the file") -> tuple[dict[str, Entry], dict[str, str]]:
    """The arrays and the metadata of a file's bytes; raises CheckpointError for anything that is not exactly such a file."""
    header, start = _header(data, name)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"{name}: its metadata must map text to text")
    entries: dict[str, Entry] = {}
    spans: list[tuple[int, int, str]] = []
    for key, facts in header.items():
        kind, shape, low, high = _facts(key, facts, name)
        if start + high > len(data):
            raise CheckpointError(f"{name}: tensor {key!r} ends at byte {start + high}, and the file has {len(data)}: it is cut off or damaged")
        entries[key] = Entry(kind, shape, data[start + low : start + high])
        spans.append((low, high, key))
    end = 0
    for low, high, key in sorted(spans):
        if low != end:
            raise CheckpointError(f"{name}: tensor {key!r} starts at {low} where the one before it ends at {end}: the header is damaged")
        end = high
    if start + end != len(data):
        raise CheckpointError(f"{name}: {len(data) - start - end} bytes after the last tensor belong to none")
    return entries, metadata


def _header(data: bytes, name: str) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays start."""
    size = int.from_bytes(data[:_PREFIX], "little")
    if len(data) < _PREFIX or size > min(_LARGEST_HEADER, len(data) - _PREFIX):
        raise CheckpointError(f"{name} is not a safetensors file: a header of {size} bytes does not fit into {len(data)} bytes")
    try:
        header = json.loads(data[_PREFIX : _PREFIX + size].decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not a safetensors file: its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{name} is not a safetensors file: its header is no JSON object")
    return header, _PREFIX + size


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name occurs twice")
    return table


def _facts(key: str, facts: Any, name: str) -> tuple[str, tuple[int, ...], int, int]:
    """Type, shape and span of one array, each checked."""
    if not isinstance(facts, dict) or set(facts) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{name}: tensor {key!r} must have dtype, shape and data_offsets")
    kind, shape, span = facts["dtype"], facts["shape"], facts["data_offsets"]
    if not isinstance(kind, str) or kind not in WIDTHS:
        raise CheckpointError(f"{name}: tensor {key!r} has dtype {kind!r}; known are {', '.join(WIDTHS)}")
    numbers = [*shape, *span] if isinstance(shape, list) and isinstance(span, list) and len(span) == 2 else [None]
    if not all(type(n) is int and n >= 0 for n in numbers):
        raise CheckpointError(f"{name}: shape {shape} or offsets {span} of tensor {key!r} are not lists of sizes")
    need = WIDTHS[kind]
    for n in shape:
        need *= n
    if span[1] - span[0] != need:
        raise CheckpointError(f"{name}: tensor {key!r} of {kind} {tuple(shape)} takes {need} bytes, and its offsets give it {span[1] - span[0]}")
    return kind, tuple(shape), span[0], span[1]


def pack(entries: Mapping[str, Entry], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a file; the same entries in any order give the same bytes."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    at = 0
    for key in sorted(entries):
        kind, shape, data = entries[key]
        header[key] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return b"".join((len(text).to_bytes(_PREFIX, "little"), text, *(entries[k].data for k in sorted(entries))))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Entry], dict[str, str]]:
    """The arrays and the metadata of a file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    return unpack(data, os.fspath(path))


def write(path: str | os.PathLike[str], entries: Mapping[str, Entry], metadata: Mapping[str, str] | None = None) -> None:
    """Write a file in one step: whatever happens, the path holds the old file or the whole new one."""
    try:
        atomic.write(path, pack(entries, metadata))
    except OSError as error:
        raise CheckpointError(f"cannot write {Path(path).absolute()}: {error.strerror or error}") from error
