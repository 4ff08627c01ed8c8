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
from pathlib import Path


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file in one step, following links; raises OSError naming it where that fails, with the old file whole. A device is written as it stands."""
    try:
        _write(Path(path).absolute(), data)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def _write(target: Path, data: bytes) -> None:
    if target.exists() and not target.is_file():  # a device or a pipe has no place beside it
        with target.open("wb") as file:
            file.write(data)
        return
    target = target.resolve()  # what a link leads to is replaced, not the link
    handle, temporary = tempfile.mkstemp(prefix=target.name + ".", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _umask() -> int:
    """The process's mask of file permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
