"""Files that are whole or absent: written beside their place and moved there.

>>> folder = tempfile.mkdtemp()
>>> write(f"{folder}/file", b"all of it")
>>> os.listdir(folder)
['file']
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from anneal.errors import AnnealError, FileError, UsageError


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file in one step, following links; raises OSError naming it where that fails, with the old file whole. A device is written as it stands."""
    with writing(path) as file:
        file.write(data)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write to, which takes its place at the end of the block; as `write` where something fails. What raises in the block undoes it."""
    try:
        with _writing(Path(path).absolute()) as file:
            yield file
    except AnnealError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[IO[bytes]]:
    if target.exists() and not target.is_file():  # a device or a pipe has no place beside it
        with target.open("wb") as file:
            yield file
        return
    target = target.resolve()  # what a link leads to is replaced, not the link
    handle, temporary = tempfile.mkstemp(prefix=target.name + ".", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


@contextlib.contextmanager
def output(file: str | os.PathLike[str] | IO[bytes]) -> Iterator[IO[bytes]]:
    """What to write to: a path's file, which is whole or absent, or an open binary file, as it stands. Raises FileError where that fails."""
    if not isinstance(file, str | os.PathLike) and not callable(getattr(file, "write", None)):
        raise UsageError(f"a file to write is a path or an open binary file, not {type(file).__name__}")
    name = os.fspath(file) if isinstance(file, str | os.PathLike) else "the file"
    try:
        if isinstance(file, str | os.PathLike):
            with writing(file) as made:
                yield made
        else:
            yield file
    except AnnealError:
        raise
    except OSError as error:
        raise FileError(f"cannot write {name}: {error.strerror or error}") from error


def put(file: Any, parts: Iterable[bytes | memoryview]) -> None:
    """Write parts one after the other to a path or to an open binary file, as `output` has it."""
    with output(file) as made:
        for part in parts:
            made.write(part)


def _umask() -> int:
    """The process's mask of file permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
