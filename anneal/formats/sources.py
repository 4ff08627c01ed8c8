"""What files are read from: the bytes themselves, a path, or an open binary file.

A size is the real one, taken from what is there and never from what a header says. A path is mapped into memory where that can be, and
read piece by piece elsewhere, so that nothing is copied before it is needed.

>>> source = opened(b"12345678")
>>> source.name, source.size, bytes(source.read(2, 3))
('the file', 8, b'345')
"""

from __future__ import annotations

import io
import os
import stat
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import IO, Any, Final, Protocol

from anneal.errors import FileError, ParseError, UsageError

Readable = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]
"""What a file can be read from."""
_PIECE: Final = 1 << 20
"""Bytes that are asked of a stream at a time: what it only promises takes no memory."""


class Source(Protocol):
    """A file of a known size."""

    name: str
    """What errors call it."""
    size: int
    """Its bytes, as they are, not as they are claimed to be."""

    def read(self, at: int, count: int) -> memoryview:
        """So many bytes, fewer at its end; raises FileError where they are not there any more."""


class Memory:
    """A file whose bytes are at hand."""

    def __init__(self, data: bytes, name: str = "the file") -> None:
        self.name, self.size, self._view = name, len(data), memoryview(data)

    def read(self, at: int, count: int) -> memoryview:
        """So many bytes, fewer at its end."""
        return self._view[at : at + count]


class OnDisk:
    """A file on a disk, which stays open as long as somebody may want something of it."""

    def __init__(self, path: str | os.PathLike[str], *, mapped: bool = True) -> None:
        """Raises FileError where there is no such file; it is mapped into memory unless that cannot be, or is not wanted."""
        self.name = os.fspath(path)
        try:
            kind = os.stat(path).st_mode
            file = open(path, "rb", buffering=0) if stat.S_ISREG(kind) else None  # noqa: SIM115 - closed when this object dies; to open a pipe would be to wait
        except (OSError, ValueError) as error:
            raise FileError(f"cannot read {self.name}: {getattr(error, 'strerror', None) or error}") from error
        if file is None:
            what = "it is a folder" if stat.S_ISDIR(kind) else "it is no regular file; read it, and hand in its bytes"
            raise FileError(f"cannot read {self.name}: {what}")
        self._file = file
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        found = os.fstat(self._file.fileno())
        self.size = found.st_size
        self._written = found.st_mtime_ns
        self._view = _mapped(self._file.fileno()) if mapped and self.size else None

    def read(self, at: int, count: int) -> memoryview:
        """So many bytes, fewer at its end; raises FileError when the file has been written to meanwhile. Another in its place changes nothing."""
        now = os.fstat(self._file.fileno())  # before a mapping is touched: bytes that are cut off would end the process
        if (now.st_size, now.st_mtime_ns) != (self.size, self._written):
            raise FileError(f"{self.name} has changed since it was loaded, and values are still to be read from it: load it again")
        count = max(0, min(count, self.size - at))
        if self._view is not None:
            return self._view[at : at + count]
        with self._lock:
            self._file.seek(at)
            data, got = memoryview(bytearray(count)), 0
            while got < count and (more := self._file.readinto(data[got:])):
                got += more
        if got < count:
            raise FileError(f"{self.name} has become shorter since it was loaded: load it again")
        return data


def _mapped(handle: int) -> memoryview | None:
    """A file's bytes as the system shows them in memory; None where there is no such thing, or no room for it."""
    if sys.platform == "emscripten":  # where a mapping is a copy
        return None
    try:
        import mmap

        return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
    except (ImportError, OSError, ValueError, OverflowError):
        return None


def opened(file: Readable) -> OnDisk | Memory:
    """The file that a path, bytes or an open binary file stand for; of an open file, what is left to be read, which is read at once."""
    if isinstance(file, str | os.PathLike):
        return OnDisk(file)
    if isinstance(file, bytes | bytearray | memoryview):
        return Memory(bytes(file))
    name = name_of(file)
    return Memory(told(name, lambda: stream(file).read()), name)


def stream(file: Any) -> IO[bytes]:
    """An open binary file; raises UsageError for anything else."""
    if not callable(getattr(file, "read", None)):
        raise UsageError(f"a file is a path, bytes, or an open binary file, not {type(file).__name__}")
    if isinstance(file, io.TextIOBase):
        raise UsageError(f"{name_of(file)} gives text, not bytes: open it with mode 'rb'")
    found: IO[bytes] = file
    return found


def name_of(file: Any) -> str:
    """What errors call a file: its path where it has one."""
    path = file if isinstance(file, str | os.PathLike) else getattr(file, "name", None)
    return os.fspath(path) if isinstance(path, str | os.PathLike) else "the file"


def told(name: str, read: Callable[[], Any]) -> bytes:
    """What a function reads from an open file; raises FileError where it fails."""
    try:
        return bytes(read())
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error


def exactly(file: IO[bytes], count: int, what: str) -> bytes:
    """The next `count` bytes of an open file; raises ParseError where it ends before, without reserving memory for more than it has."""
    name, there = name_of(file), left(file)
    if there is not None and there < count:
        raise ParseError(f"{name}: {what} take {count:,} bytes, and there are {there:,}: it is cut off or damaged")
    piece, parts, wanted = _PIECE if there is None else count, list[bytes](), count
    while wanted > 0 and (part := told(name, partial(file.read, min(wanted, piece)))):
        parts.append(part)
        wanted -= len(part)
    if wanted:
        raise ParseError(f"{name}: {what} take {count:,} bytes, and there are {count - wanted:,}: it is cut off or damaged")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def left(file: IO[bytes]) -> int | None:
    """The bytes from where an open file is to its end; None where it cannot say, such as a pipe."""
    try:
        at = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(at)
    except (OSError, ValueError, AttributeError):
        return None
    return end - at
