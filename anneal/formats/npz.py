"""Archives of arrays, `.npz`: a `.npy` file for each name, stored or deflated, in a ZIP archive.

Users have these functions from `anneal.formats.npy`.

>>> import io
>>> from anneal import Tensor
>>> file = io.BytesIO()
>>> save_npz(file, {"a": Tensor([1.0, 2.0]), "b": Tensor(3)}, compressed=True)
>>> {name: tensor.tolist() for name, tensor in load_npz(file.getvalue()).items()}
{'a': [1.0, 2.0], 'b': 3}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Any, Final

from anneal.errors import ParseError, UsageError
from anneal.formats import archive, atomic, npy_header, npy_values, sources
from anneal.formats.archive import Member
from anneal.formats.sources import Readable, Source
from anneal.tensor.tensor import Tensor

_SUFFIX: Final = ".npy"


def load_npz(path: Readable) -> dict[str, Tensor]:
    """The arrays of a `.npz` file by name: of a path, of bytes, or of an open binary file; each as `load` has it.

    Raises ParseError for a damaged file, two members of one name, a name that is a way to another folder, and a member that is no array.
    """
    source = sources.opened(path)
    found: dict[str, Tensor] = {}
    for member in archive.members(source):
        if not member.name.endswith(_SUFFIX):
            raise ParseError(f"{source.name} has a member {member.name!r}, which is no array: their names end in .npy")
        found[member.name.removesuffix(_SUFFIX)] = _load(source, member)
    return found


def _load(source: Source, member: Member) -> Tensor:
    """One array, whose header is compared with the announced size before the rest is unpacked."""
    name = f"{member.name} in {source.name}"
    pieces = archive.unpacked(source, member)
    beginning = [next(pieces, b"")]
    start = npy_header.length(beginning[0], name)
    if start > member.size:
        raise ParseError(f"{name}: its header takes {start:,} bytes, and it has {member.size:,}")
    while sum(map(len, beginning)) < start and (more := next(pieces, b"")):
        beginning.append(more)
    data = b"".join(beginning)
    head = npy_header.parse(memoryview(data)[: max(start, npy_header.PREFIX)], name)
    if head.start + head.nbytes != member.size:
        raise ParseError(f"{name}: {head.element.name} {head.shape} takes {head.nbytes:,} bytes, and {member.size - head.start:,} follow its header")
    whole = b"".join((memoryview(data)[head.start :], *pieces))
    return npy_values.tensor_of(head, whole, name)


def save_npz(path: str | os.PathLike[str] | IO[bytes], tensors: Mapping[str, Tensor | Any], compressed: bool = False) -> None:
    """Write tensors by name as `numpy.savez`, or `numpy.savez_compressed`, writes its arrays, to a path, in one step, or to an open binary file.

    Raises UsageError for a name that is a way to another folder, and FileError where writing fails.
    """
    import zipfile

    for name in tensors:
        if wrong := archive.misnamed(name + _SUFFIX) if isinstance(name, str) else "a name is a text":
            raise UsageError(f"no array can be called {name!r}: {wrong}")
    made = {name: tensor if isinstance(tensor, Tensor) else Tensor(tensor) for name, tensor in tensors.items()}
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with atomic.output(path) as file, zipfile.ZipFile(file, "w", method) as packed:
        for name, tensor in made.items():
            with packed.open(name + _SUFFIX, "w", force_zip64=True) as member:
                for part in npy_values.parts(tensor):
                    member.write(part)
