"""Indexing as NumPy has it: numbers, slices with any step, None, Ellipsis, integer tensors and masks.

A slice moves nothing; integer tensors gather. Numbers out of range raise OutOfRangeError, an IndexError; in an index tensor, which may not
be known yet, negative values count from the end and values that are still outside give 0. How much `x[mask]` takes depends on the mask's
values, so a mask that is a tensor is realised for it. The axes of index tensors stand where NumPy puts them; PyTorch differs where a number
is among the keys but no neighbour: there they are in front. The gradient compares each place of the indexed axes with each index.

>>> from anneal import Tensor
>>> x = Tensor.arange(24).reshape(2, 3, 4)
>>> x[1, :, ::2].shape, x[:, None, -1].shape, x[:, [0, 2]].shape
((3, 2), (2, 1, 4), (2, 2, 4))
>>> x[x > 20].tolist()
[21, 22, 23]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import Any, NamedTuple, Self

from anneal.errors import DTypeError, OutOfRangeError, ShapeError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.shape import Dim, Shape, show
from anneal.ir.uop import UOp
from anneal.tensor import host, realize, shapes
from anneal.tensor.scans import Scans
from anneal.tensor.storage import Buffer


class Part(NamedTuple):
    """What an index says about one axis of the input, or about a new one."""

    start: int
    """First element that is kept."""
    step: int
    """Distance between elements that are kept; negative runs backwards."""
    kept: int
    """Number of elements kept."""
    kind: str
    """slice, int or tensor."""
    tensor: Any = None
    """Of a tensor: integers, none of them negative unless out of range."""
    fresh: bool = False
    """True for an axis that the input has not got."""


class Aim(NamedTuple):
    """What index tensors point at, of a tensor that has an axis for each part."""

    indices: list[UOp]
    """Integers of one shape, one node for each indexed axis."""
    common: Shape
    """Their shape."""
    indexed: list[int]
    """The axes that they index."""
    rest: list[int]
    """The other axes."""
    before: int
    """How many of the other axes that stay come before the index axes in the result."""


class Indexing(Scans):
    """Elements by their position."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Self:
        """The elements that a key names, a tensor of their own: writing to it writes nothing here. See the module for keys."""
        parts = self._parse(key)
        basic = self._sliced([p for p in parts if not p.fresh])
        if all(p.kind != "tensor" for p in parts):
            return basic.reshape(tuple(p.kept for p in parts if p.kind != "int"))
        return basic.reshape(tuple(p.kept for p in parts))._gathered(parts)

    def __iter__(self) -> Iterator[Self]:
        if not self.shape:
            raise TypeError("a tensor without axes cannot be iterated over")
        return (self[i] for i in range(len(self)))

    # What an index says.

    def _parse(self, key: Any) -> list[Part]:
        """One part for each axis of the input and each new axis."""
        keys = [found for one in (key if isinstance(key, tuple) else (key,)) for found in self._plain(one)]
        dots = [i for i, (k, _) in enumerate(keys) if isinstance(k, EllipsisType)]
        if len(dots) > 1:
            raise ShapeError("an index can have one ... only")
        used = sum(width for _, width in keys)
        if used > self.ndim:
            raise OutOfRangeError(f"{used} indices are too many for shape {show(self.shape)}")
        at = dots[0] if dots else len(keys)
        keys[at : at + bool(dots)] = [(slice(None), 1)] * (self.ndim - used)
        parts, axis = [], 0
        for k, width in keys:
            if k is None:
                parts.append(Part(0, 1, 1, "slice", fresh=True))
            elif isinstance(k, bool):  # an index into a new axis of size 1, as NumPy has it
                parts.append(Part(0, 1, 1, "tensor", self._places([0] * k, (int(k),)), fresh=True))
            elif isinstance(k, _Mask):
                parts += k.parts(self, axis)
            else:
                size = self.shape[axis]
                if not isinstance(size, int) and not (isinstance(k, slice) and k == slice(None)):
                    raise ShapeError(f"axis {axis} of shape {show(self.shape)} has a size known at run time: only : fits there")
                parts.append(self._part(k, axis, size))  # type: ignore[arg-type]
            axis += width
        return parts

    def _plain(self, key: Any) -> list[tuple[Any, int]]:
        """A key as Python has it, masks as such; and how many axes it takes."""
        if key is None or isinstance(key, EllipsisType):
            return [(key, 0)]
        if isinstance(key, list | tuple | range) or (host.is_array(key) and (bool(getattr(key, "ndim", 0)) or str(key.dtype) == "bool")):
            key = host.encode(key)
            if key.dtype is not dtypes.bool:
                return [(key, 1)]
            flat = host.decode(key.data, key.dtype, math.prod(key.shape))
            return [(_Mask(key.shape, flat), len(key.shape))] if key.shape else [(bool(flat[0]), 0)]
        if isinstance(key, Indexing) and key.dtype is dtypes.bool:
            dims = realize.sizes(key.uop)
            flat = host.decode(key._bytes(), dtypes.bool, math.prod(dims))
            return [(_Mask(dims, flat), len(dims))] if dims else [(bool(flat[0]), 0)]
        return [(key, 0 if isinstance(key, bool) else 1)]

    def _part(self, key: Any, axis: int, size: int) -> Part:
        if isinstance(key, slice):
            if key == slice(None):
                return Part(0, 1, size, "slice")
            try:
                chosen = range(size)[key]
            except (TypeError, ValueError) as error:
                raise ShapeError(f"cannot slice axis {axis} of size {size} by {key}: bounds are integers or None and the step is not 0") from error
            return Part(chosen.start, chosen.step, len(chosen), "slice")
        if isinstance(key, Indexing):
            index = key._index()
            negative = index.dtype.kind == "int"
            return Part(0, 1, size, "tensor", (index < 0).where(index + size, index) if negative else index)
        if isinstance(key, host.Encoded):
            return self._part_of_numbers(key, axis, size)
        if isinstance(key, float) or not hasattr(key, "__index__"):
            raise DTypeError(f"cannot index with {key!r}: use integers, slices, None, ... or integer tensors")
        at = int(key)
        if not -size <= at < size:
            raise OutOfRangeError(f"index {at} is outside axis {axis} of size {size}")
        return Part(at % size, 1, 1, "int")

    def _index(self) -> Self:
        """This tensor as one of indices: of 32 bits."""
        if not self.dtype.is_int:
            raise DTypeError(f"an index tensor holds integers, not {self.dtype.name}: cast with .int()")
        return self if self.dtype is dtypes.uint32 else self.cast(dtypes.int32)

    def _part_of_numbers(self, encoded: host.Encoded, axis: int, size: int) -> Part:
        """An index given as host numbers, which are checked here."""
        values = host.decode(encoded.data, encoded.dtype, math.prod(encoded.shape))
        if values and not encoded.dtype.is_int:
            raise DTypeError(f"an index list holds integers, not {encoded.dtype.name}")
        for value in values:
            if not -size <= value < size:
                raise OutOfRangeError(f"index {value} is outside axis {axis} of size {size}")
        return Part(0, 1, size, "tensor", self._places([int(v) % size for v in values], encoded.shape))

    def _places(self, values: Sequence[int], shape: tuple[int, ...]) -> Self:
        """Host integers as an index tensor."""
        data = host.pack(values, dtypes.int32)
        return self._wrap(Buffer(shape, dtypes.int32, pending=data, device=self._device).uop, self._device)

    # Reading.

    def _sliced(self, parts: list[Part]) -> Self:
        """The elements that slices and numbers keep, every axis still there."""
        ranges: list[tuple[Dim, Dim] | None] = []
        for part, size in zip(parts, self.shape, strict=True):
            if part.kept is size:
                ranges.append(None)
                continue
            last = part.start + part.step * max(0, part.kept - 1)
            ranges.append((min(part.start, last), max(part.start, last) + 1) if part.kept else (0, 0))
        x = self.shrink(ranges)
        if backwards := [i for i, p in enumerate(parts) if p.step < 0]:
            x = x.flip(backwards)
        for i, part in enumerate(parts):
            if abs(part.step) > 1 and part.kept > 1:
                wide = x.unsqueeze(-1)
                strided = build.shear(wide.uop, i, x.ndim, abs(part.step), 1, part.kept)
                x = x._make(strided).squeeze(-1)
        return x

    def _aim(self, parts: list[Part]) -> Aim:
        """Where index tensors point. Their axes stand in the result where they stood if they were neighbours, else in front, as in NumPy."""
        positions = [i for i, p in enumerate(parts) if p.kind in ("tensor", "int")]
        indexed = [i for i, p in enumerate(parts) if p.kind == "tensor"]
        common = shapes.broadcast(*(parts[i].tensor.shape for i in indexed))
        rest = [i for i in range(len(parts)) if i not in indexed]
        neighbours = positions == list(range(positions[0], positions[-1] + 1))
        before = sum(parts[i].kind != "int" and i < positions[0] for i in rest) if neighbours else 0
        return Aim([build.broadcast_to(parts[i].tensor.uop, common) for i in indexed], common, indexed, rest, before)

    def _gathered(self, parts: list[Part]) -> Self:
        """The elements that index tensors name, of `self` with an axis for each part."""
        aim = self._aim(parts)
        found = self._make(build.gather(self.permute(*aim.indexed, *aim.rest).uop, *aim.indices))
        kept = [parts[i].kept for i in aim.rest if parts[i].kind != "int"]
        rank, width = len(aim.common), len(aim.common) + len(kept)
        found = found.reshape((*aim.common, *kept))
        return found.permute(*range(rank, rank + aim.before), *range(rank), *range(rank + aim.before, width))

    def take(self, index: Self) -> Self:
        """Elements of the flattened tensor; negative places count from its end, and those outside give 0."""
        return self.flatten()[index]

    def index_select(self, axis: int, index: Self) -> Self:
        """The elements of an axis at the places that a vector names, read as `x[..., index]` reads them."""
        if index.ndim > 1:
            raise ShapeError(f"index_select takes a vector of places, not shape {show(index.shape)}: use gather or x[index]")
        return self[(*[slice(None)] * shapes.axis(axis, self.ndim), index.reshape(-1))]

    def gather(self, axis: int, index: Self) -> Self:
        """out[i][j] = x[index[i][j]][j] for axis 0, and so on; a place outside the axis, or negative, gives 0."""
        if not self.ndim or not index.ndim:
            return self._lined().gather(axis, index._lined()).reshape(index.shape)
        at = shapes.axis(axis, self.ndim)
        self._fits("gather", at, index)
        wanted, dims = index._index(), index.shape
        places = [wanted if i == at else self._iota(n, self.ndim, i).expand(dims) for i, n in enumerate(dims)]
        return self._make(build.gather(self.uop, *(p.uop for p in places)), index)

    def take_along_dim(self, index: Self, axis: int | None = None) -> Self:
        """As `gather`, the other axes of the tensor and of the index broadcast; places of the flattened tensor without an axis."""
        if axis is None:
            return self.flatten().gather(0, index.flatten())
        at = shapes.axis(axis, self.ndim)
        if index.ndim != self.ndim:
            raise ShapeError(f"take_along_dim: an index of shape {show(index.shape)} does not fit shape {show(self.shape)}: the numbers of axes differ")
        hidden = [tuple(1 if i == at else n for i, n in enumerate(t.shape)) for t in (self, index)]
        dims = shapes.broadcast(*hidden)
        mine, others = (tuple(t.shape[at] if i == at else n for i, n in enumerate(dims)) for t in (self, index))
        return self.expand(mine).gather(at, index.expand(others))

    def _lined(self) -> Self:
        """With an axis at least: a single element as one of one element."""
        return self if self.ndim else self.reshape(1)

    def _fits(self, what: str, at: int, index: Self) -> None:
        """Raise unless an index of places along axis `at` lies within this tensor along the others."""
        if index.ndim != self.ndim or any(
            isinstance(a, int) and isinstance(b, int) and a > b for i, (a, b) in enumerate(zip(index.shape, self.shape, strict=True)) if i != at
        ):
            raise ShapeError(f"{what}: the index of shape {show(index.shape)} does not fit shape {show(self.shape)} beside axis {at}")


class _Mask(NamedTuple):
    """Host values of a boolean index."""

    shape: tuple[int, ...]
    """Its axes, which must be those of the tensor."""
    flat: Sequence[Any]
    """The values, row by row."""

    def parts(self, x: Indexing, axis: int) -> list[Part]:
        """An index tensor for each axis of the mask, with the places of what is True."""
        have = x.shape[axis : axis + len(self.shape)]
        if have != self.shape:
            raise OutOfRangeError(f"a mask of shape {show(self.shape)} does not fit the axes of size {show(have)} of shape {show(x.shape)}")
        places = [i for i, value in enumerate(self.flat) if value]
        parts, stride = [], math.prod(self.shape)
        for size in self.shape:
            stride = stride // size if size else 1
            parts.append(Part(0, 1, size, "tensor", x._places([place // stride % size for place in places], (len(places),))))
        return parts
