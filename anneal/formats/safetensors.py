"""safetensors files: named tensors, as raw little-endian bytes after a JSON header.

A reader believes nothing: every offset is checked against the file's real size before a byte is taken. Values stay in the file until a
tensor is realised, and then go to the device from where the file is mapped. A file is written beside its place and moved there, so it
is whole or absent.

>>> import io
>>> from anneal import Tensor
>>> file = io.BytesIO()
>>> save(file, {"w": Tensor([1.0, 2.0])}, {"made by": "me"})
>>> load(file.getvalue())["w"].tolist(), metadata(file.getvalue())
([1.0, 2.0], {'made by': 'me'})
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from anneal.errors import FileError, ParseError, UsageError
from anneal.formats import atomic, elements, safetensors_header, sources
from anneal.formats.elements import Bytes
from anneal.formats.safetensors_header import Entry, Table
from anneal.formats.sources import Readable
from anneal.ir.dtype import DType
from anneal.tensor.storage import Buffer
from anneal.tensor.tensor import Tensor

INDEX: Final = ".safetensors.index.json"
"""How the name of an index of shards ends."""
_WHOLE: Final = ".safetensors"


class Values:
    """The values of one tensor, in a file until somebody needs them."""

    __slots__ = ("at", "count", "dtype", "element", "file", "name", "shape")

    def __init__(self, file: sources.Source, at: int, entry: Entry, name: str, dtype: DType) -> None:
        self.file, self.at, self.count = file, at + entry.low, entry.high - entry.low
        self.element, self.dtype, self.shape = safetensors_header.ELEMENT[entry.kind], dtype, entry.shape
        self.name = name

    def read(self) -> Bytes:
        """The bytes of a buffer, where possible those of the file itself; raises FileError where the file has changed since."""
        return elements.to_buffer(self.raw(), self.element, self.dtype, self.shape, self.name)

    def raw(self) -> memoryview:
        """The bytes in the file."""
        return self.file.read(self.at, self.count)


def load(path: Readable, device: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name: of a path, of bytes, or of an open binary file. `device` is where they shall be.

    A path may also be an index of shards, `….safetensors.index.json`, or the folder that has it. A tensor's values are read when it is realised,
    but 64-bit integers, which become 32-bit, are looked through now. Raises ParseError for damaged files and integers that do not fit,
    FileError where there is no such file.
    """
    if isinstance(path, str | os.PathLike):
        place = _found(Path(path))
        if place.name.endswith(INDEX):
            return _sharded(place, device)
        path = place
    return _tensors(sources.opened(path), device)


def metadata(path: Readable) -> dict[str, str]:
    """The metadata of a safetensors file, or of an index of shards, where numbers are given as text."""
    if isinstance(path, str | os.PathLike):
        place = _found(Path(path))
        if place.name.endswith(INDEX):
            found = _index(place).get("metadata")
            return {k: v if isinstance(v, str) else str(v) for k, v in found.items()} if isinstance(found, dict) else {}
        path = place
    return _table(sources.opened(path)).metadata


def _table(file: sources.Source) -> Table:
    start = safetensors_header.length(file.read(0, safetensors_header.PREFIX), file.size, file.name)
    return safetensors_header.parse(file.read(0, start), file.size, file.name)


def _tensors(file: sources.Source, device: str | None) -> dict[str, Tensor]:
    table = _table(file)
    return {key: _tensor(file, table.start, key, entry, device) for key, entry in table.entries.items()}


def _tensor(file: sources.Source, start: int, key: str, entry: Entry, device: str | None) -> Tensor:
    element = safetensors_header.ELEMENT[entry.kind]
    dtype = elements.kept(element)
    values = Values(file, start, entry, f"{file.name}: {key}", dtype)
    if elements.must_be_checked(element, dtype):
        elements.check(values.raw(), element, dtype, entry.shape, values.name)
    return Tensor(Buffer(entry.shape, dtype, pending=values, device=device).uop, device=device)


def _found(path: Path) -> Path:
    """The file that a path stands for: itself, or the index or the one file in a folder."""
    if not path.is_dir():
        return path
    names = sorted(p.name for p in path.iterdir() if p.name.endswith((INDEX, _WHOLE)))
    chosen = [n for n in names if n == "model" + INDEX] or [n for n in names if n.endswith(INDEX)] or [n for n in names if n == "model" + _WHOLE] or names
    if len(chosen) != 1:
        raise FileError(f"{path} is a folder with {', '.join(names) or 'no .safetensors file'}: name the file, or an index of shards")
    return path / chosen[0]


def _index(path: Path) -> dict[str, Any]:
    """What an index of shards says."""
    file = sources.OnDisk(path)
    if file.size > safetensors_header.LARGEST_HEADER:
        raise ParseError(f"{path} has {file.size:,} bytes: an index of shards has {safetensors_header.LARGEST_HEADER:,} at most")
    return safetensors_header.json_object(bytes(file.read(0, file.size)), f"{path} is no index of shards: it")


def _sharded(path: Path, device: str | None) -> dict[str, Tensor]:
    """The tensors that an index of shards names, in its order."""
    places = _index(path).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise ParseError(f"{path} is no index of shards: it has no weight_map from names to files")
    shards: dict[str, tuple[sources.Source, Table]] = {}
    found: dict[str, Tensor] = {}
    for key, shard in places.items():
        if shard not in shards:
            if shard in ("", ".", "..") or any(c in shard for c in "/\\:\0"):
                raise ParseError(f"{path}: {key!r} is in {shard!r}, which is no file beside the index")
            try:
                opened = sources.OnDisk(path.parent / shard)
            except FileError as error:
                raise FileError(f"{path}: a shard is missing: {error}") from error
            shards[shard] = opened, _table(opened)
        file, table = shards[shard]
        if key not in table.entries:
            raise ParseError(f"{path}: {key!r} is said to be in {shard}, which has no tensor of that name")
        found[key] = _tensor(file, table.start, key, table.entries[key], device)
    return found


def save(path: str | os.PathLike[str] | IO[bytes], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors by name to a path, in one step, or to an open binary file; the same tensors in any order give the same bytes.

    Raises UsageError for names or metadata that are no text, and FileError where writing fails, with the old file whole.
    """
    _check_texts(tensors, metadata or {})
    realise(tensors)
    atomic.put(path, _parts(tensors, metadata))


def save_sharded(folder: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, largest: int = 5 * 10**9) -> Path:
    """Write tensors to files of at most `largest` bytes each, with an index, into a folder; returns the path to load them from.

    A tensor is never split. What fits into one file becomes `model.safetensors`. No file takes its place before all are written, the index last.
    """
    _check_texts(tensors, metadata or {})
    realise(tensors)
    place, shards = Path(folder), _shards(tensors, largest)
    if len(shards) == 1:
        save(place / f"model{_WHOLE}", tensors, metadata)
        (place / f"model{INDEX}").unlink(missing_ok=True)
        return place / f"model{_WHOLE}"
    names = [f"model-{i:05}-of-{len(shards):05}{_WHOLE}" for i in range(1, len(shards) + 1)]
    total = sum(_size(t) for t in tensors.values())
    places = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
    said = {"metadata": {"total_size": total, **(metadata or {})}, "weight_map": dict(sorted(places.items()))}
    with contextlib.ExitStack() as made:  # files take their places when all are written, the index last
        made.enter_context(atomic.output(place / f"model{INDEX}")).write(json.dumps(said, indent=2).encode())
        for name, shard in zip(names, shards, strict=True):
            file = made.enter_context(atomic.output(place / name))
            for part in _parts({key: tensors[key] for key in shard}, metadata):
                file.write(part)
    return place / f"model{INDEX}"


def _shards(tensors: Mapping[str, Tensor], largest: int) -> list[list[str]]:
    """Names in groups, in order, of at most so many bytes where one tensor has no more."""
    groups: list[list[str]] = [[]]
    filled = 0
    for key, tensor in tensors.items():
        size = _size(tensor)
        if groups[-1] and filled + size > largest:
            groups.append([])
            filled = 0
        groups[-1].append(key)
        filled += size
    return groups


def realise(tensors: Mapping[str, Tensor]) -> None:
    """Compute what is still to be computed, together; what waits in a file stays there."""
    waiting = [tensor for tensor in tensors.values() if not tensor.is_realized]
    if waiting:
        Tensor.realize(*waiting)


def _check_texts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    for key, value in (*((k, "") for k in tensors), *metadata.items()):
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"names and metadata are texts: {key!r}: {value!r} is not")
        if any("\ud800" <= c <= "\udfff" for c in key + value):
            raise UsageError(f"{key!r} has half of a surrogate pair, which is no text")
    if "__metadata__" in tensors:
        raise UsageError("no tensor can be called '__metadata__': that is where the metadata are")


def _size(tensor: Tensor) -> int:
    return tensor.numel() * elements.of(tensor.dtype).width


def _parts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> Iterator[Bytes]:
    """A file, piece by piece: no more than one tensor is in memory at a time."""
    kinds = {key: safetensors_header.KIND[elements.of(tensor.dtype).name] for key, tensor in tensors.items()}
    names, entries, at = safetensors_header.order(kinds), dict[str, Entry](), 0
    for key in names:
        size = _size(tensors[key])
        entries[key] = Entry(kinds[key], tuple(n for n in tensors[key].shape if isinstance(n, int)), at, at + size)
        at += size
    header = safetensors_header.text(entries, metadata)
    if len(header) > safetensors_header.LARGEST_HEADER:
        raise UsageError(f"the names and metadata take {len(header):,} bytes: {safetensors_header.LARGEST_HEADER:,} are the most that a file can have")
    yield header
    for key in names:
        yield elements.from_buffer(tensors[key].data(), tensors[key].dtype)
