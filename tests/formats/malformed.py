"""Files as the tests make them: by hand, with what is wrong with each."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

from anneal import ParseError

Member = tuple[bytes, bytes]
MAGIC = b"\x93NUMPY"


def refused(read: Callable[[Any], Any], file: Any) -> tuple[str, int]:
    """Why a file is not read, and the most bytes that were in use before that was known."""
    tracemalloc.start()
    try:
        read(file)
    except ParseError as error:
        return str(error), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    raise AssertionError("it was read")


def npy(header: str | bytes, body: bytes = b"", version: tuple[int, int] = (1, 0), size: int | None = None) -> bytes:
    """A .npy file with this header, of this length unless another is claimed."""
    said = header if isinstance(header, bytes) else header.encode("utf-8")
    length = (len(said) if size is None else size).to_bytes(2 if version[0] == 1 else 4, "little")
    return MAGIC + bytes(version) + length + said + body


def said(descr: str = "'<f4'", order: str = "False", shape: str = "(2,)") -> str:
    """The dictionary of a .npy header; each value as Python writes it."""
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def tensors(header: Any, body: bytes = b"", size: int | None = None) -> bytes:
    """A safetensors file with this header, of this length unless another is claimed."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + body


def entry(dtype: Any = "F32", shape: Any = (1,), span: Any = (0, 4)) -> dict[str, Any]:
    """What a safetensors header says of one tensor."""
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": list(span) if isinstance(span, tuple) else span}


ARRAY = npy(said(), bytes(8))


def member(name: bytes = b"a.npy", body: bytes = ARRAY, *, deflate: bool = False, flags: int = 0, method: int | None = None, **claimed: int) -> Member:
    """A member of an archive, and its entry in the directory; `claimed` are its place, and a size or a checksum that only the entry has."""
    packed = zlib.compress(body, wbits=-15) if deflate else body
    facts = {"check": zlib.crc32(body), "packed": len(packed), "size": len(body)}
    way = method if method is not None else 8 * deflate
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, way, 0, 0, *facts.values(), len(name), 0) + name
    claims = {**facts, "at": 0, **claimed}
    listed = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, flags, way, 0, 0, claims["check"], claims["packed"], claims["size"], len(name), 0, 0, 0, 0, 0, claims["at"]
    )
    return local + packed, listed + name


def archive(*members: Member, count: int | None = None, start: int | None = None, comment: bytes = b"") -> bytes:
    """An archive of members and their entries."""
    body, directory = b"".join(m for m, _ in members), b"".join(d for _, d in members)
    many = len(members) if count is None else count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, many, many, len(directory), len(body) if start is None else start, len(comment))
    return body + directory + end + comment
