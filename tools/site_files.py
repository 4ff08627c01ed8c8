"""Files of the site: archives that come out the same everywhere, and folders that change at once or not at all.

An archive holds its files in the order of their names, with one time for all: the same files give the same bytes.

>>> archive({"b.txt": b"two", "a.txt": b"one"}) == archive({"a.txt": b"one", "b.txt": b"two"})
True
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o100644 << 16


class SiteError(Exception):
    """The site cannot be built, or is not what it should be; the message says what to do."""


def digest(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_of(files: Mapping[str, bytes]) -> str:
    """One SHA-256 for files and their names, in any order."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name}\0{len(files[name])}\0".encode())
        total.update(files[name])
    return total.hexdigest()


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as zipped:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = _READABLE
            entry.create_system = 3  # the same on every system
            entry.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(entry, files[name], compresslevel=9)
    return held.getvalue()


def contents(data: bytes) -> dict[str, bytes]:
    """The files of a zip, without its folders."""
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist() if not name.endswith("/")}


def read_tree(folder: Path, leave: frozenset[str] = frozenset()) -> dict[str, bytes]:
    """Every file below a folder by its path with slashes; hidden ones, and what `leave` names at the top, stay out."""
    found: dict[str, bytes] = {}
    for place, folders, names in os.walk(folder):
        top = Path(place) == folder
        folders[:] = [f for f in folders if not f.startswith((".", "__pycache__")) and not (top and f in leave)]
        for name in names:
            if not name.startswith(".") and not (top and name in leave):
                path = Path(place, name)
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def write_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def keep(path: Path, data: bytes) -> None:
    """Write a file at once: who reads it meanwhile sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(beside).replace(path)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Inside, no other process is inside with the same lock; where the system has no such locks, nothing is waited for."""
    if fcntl is None:
        yield
        return
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of `target` when the block ends well; else `target` stays as it was."""
    for left in target.parent.glob(f".{target.name}-*"):  # by a build that was killed
        shutil.rmtree(left, ignore_errors=True)
    beside = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    new, old = beside / "new", beside / "old"
    try:
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
