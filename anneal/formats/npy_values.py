r"""The elements of a `.npy` array as a tensor, and a tensor's values as such elements.

>>> bytes(row_major(bytes(range(6)), 1, (2, 3)))  # columns of two become rows of three
b'\x00\x02\x04\x01\x03\x05'
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from math import prod
from typing import Final

from anneal.formats import npy_header
from anneal.formats.elements import Bytes, from_buffer, kept, of, to_buffer
from anneal.formats.npy_header import Head
from anneal.ir.build import check_storable
from anneal.ir.dtype import DType, dtypes
from anneal.tensor.storage import Buffer
from anneal.tensor.tensor import Tensor

_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


def tensor_of(head: Head, data: Bytes, name: str, dtype: DType | None = None) -> Tensor:
    """A tensor of the elements that a header describes; raises ParseError for an integer that does not fit."""
    element, shape = head.element, head.shape
    own = kept(element)
    chosen = dtype or own
    check_storable(chosen)
    if head.swapped:
        elements = _elements(data, element.width)
        elements.byteswap()
        data = elements.tobytes()
    if head.fortran:
        data = row_major(data, element.width, shape)
    if not element.code and own is not chosen:
        return tensor_of(head._replace(swapped=False, fortran=False), data, name).cast(chosen)
    return Tensor(Buffer(shape, chosen, pending=bytes(to_buffer(data, element, chosen, shape, name))).uop)


def row_major(data: Bytes, width: int, shape: Sequence[int]) -> Bytes:
    """Elements whose first axis varies fastest, in the order where the last one does."""
    sizes = [n for n in shape if n != 1]
    if len(sizes) < 2 or 0 in sizes:
        return data
    elements, done = _elements(data, width), 1
    for size in sizes[:-1]:  # the fastest axis becomes the slowest of what is left, in every block of the axes before it
        elements = _blocks_transposed(elements, done, size)
        done *= size
    return elements.tobytes()


def _blocks_transposed(elements: array[int], blocks: int, size: int) -> array[int]:
    """Each of equal blocks, a matrix with rows of `size`, turned on its diagonal."""
    made, block = array(elements.typecode, bytes(len(elements) * elements.itemsize)), len(elements) // blocks
    rows = block // size
    for start in range(0, len(elements), block):
        if size <= rows:
            for i in range(size):
                made[start + i * rows : start + (i + 1) * rows] = elements[start + i : start + block : size]
        else:
            for j in range(rows):
                made[start + j : start + block : rows] = elements[start + j * size : start + (j + 1) * size]
    return made


def _elements(data: Bytes, width: int) -> array[int]:
    elements = array(_CODES[width])
    elements.frombytes(data)
    return elements


def parts(tensor: Tensor) -> Iterator[Bytes]:
    """A tensor as NumPy writes its array, header and elements; types that NumPy lacks as the float32 of the same value."""
    if of(tensor.dtype).name not in npy_header.WRITTEN:
        tensor = tensor.cast(dtypes.float32)
    data = from_buffer(tensor.data(), tensor.dtype)
    sizes = tuple(n for n in tensor.shape if isinstance(n, int))
    assert len(data) == prod(sizes) * of(tensor.dtype).width
    yield npy_header.text(of(tensor.dtype), sizes)
    yield data
