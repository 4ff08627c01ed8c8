"""NumPy's files, read and written without NumPy: `.npy`, one array, and `.npz`, several by name.

A file is believed nothing: what it announces is compared with the bytes that are there before memory is taken, and nothing in it is ever
run. Files are written as NumPy writes them.

>>> import io
>>> from anneal import Tensor
>>> file = io.BytesIO()
>>> save(file, Tensor([[1, 2], [3, 4]]))
>>> load(file.getvalue()).tolist()
[[1, 2], [3, 4]]
"""

from __future__ import annotations

import os
from typing import IO, Any

from anneal.errors import ParseError, UsageError
from anneal.formats import atomic, npy_header, npy_values, sources
from anneal.formats.npz import load_npz, save_npz
from anneal.formats.sources import Readable
from anneal.ir.dtype import DType
from anneal.tensor.tensor import Tensor

__all__ = ["load", "load_npz", "save", "save_npz"]


def load(path: Readable, dtype: DType | None = None) -> Tensor:
    """The array of a `.npy` file: of a path, of bytes, or of an open binary file, which is left behind the array.

    64-bit numbers become 32-bit, unless `dtype` asks for something else; integers that do not fit, pickled objects, texts and records
    raise ParseError, as does a damaged file, and a file that is not there FileError. `dtype` also says what raw bytes are, such as bfloat16.
    """
    if isinstance(path, str | os.PathLike | bytes | bytearray | memoryview):
        source = sources.opened(path)
        prefix = source.read(0, npy_header.PREFIX)
        start = npy_header.length(prefix, source.name)
        head = npy_header.parse(source.read(0, min(start, source.size)), source.name, dtype)
        if source.size != head.start + head.nbytes:
            raise ParseError(
                f"{source.name}: {head.element.name} {head.shape} takes {head.nbytes:,} bytes, and {source.size - head.start:,} follow its header: "
                "it is cut off, too long or damaged"
            )
        return npy_values.tensor_of(head, source.read(head.start, head.nbytes), source.name, dtype)
    file, name = sources.stream(path), sources.name_of(path)
    beginning = sources.exactly(file, npy_header.PREFIX, "the first words")
    beginning += sources.exactly(file, npy_header.length(beginning, name) - len(beginning), "its header")
    head = npy_header.parse(beginning, name, dtype)
    return npy_values.tensor_of(head, sources.exactly(file, head.nbytes, f"{head.element.name} {head.shape}"), name, dtype)


def save(path: str | os.PathLike[str] | IO[bytes], tensor: Tensor | Any) -> None:
    """Write a tensor, or what makes one, as `numpy.save` writes its array, to a path, in one step, or to an open binary file.

    bfloat16 and float8, which NumPy lacks, are written as float32: `load(path, dtype)` has them back. Raises FileError where that fails.
    """
    if not isinstance(tensor, Tensor):
        tensor = Tensor(tensor)
    if tensor.ndim > npy_header.MOST_AXES:
        raise UsageError(f"a file holds at most {npy_header.MOST_AXES} axes, not {tensor.ndim}: reshape the tensor first")
    atomic.put(path, npy_values.parts(tensor))
