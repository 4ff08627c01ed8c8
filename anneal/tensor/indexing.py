"""Indexing as NumPy has it: numbers, slices, None, Ellipsis, and integer tensors.

A slice moves nothing; integer tensors gather. Numbers out of range are errors; in an index tensor, which may not be known yet, negative
values count from the end and values that are still outside give 0.

>>> from anneal import Tensor
>>> x = Tensor.arange(24).reshape(2, 3, 4)
>>> x[1, :, ::2].shape, x[:, None, -1].shape, x[:, [0, 2]].shape
((3, 2), (2, 1, 4), (2, 2, 4))
"""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType
from typing import Any, NamedTuple, Self

from anneal.errors import DTypeError, ShapeError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.shape import Dim, Shape, show
from anneal.tensor import host, shapes
from anneal.tensor.core import Core
from anneal.tensor.scans import Scans


class _Part(NamedTuple):
    """What an index says about one axis of the input, or about a new one."""

    start: int
    """First element that is kept."""
    step: int
    """Distance between elements that are kept; negative runs backwards."""
    kept: int
    """Number of elements kept."""
    kind: str
    """slice, int, new, or tensor."""
    tensor: Any = None


class Indexing(Scans):
    """Elements by their position."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Self:
        parts = self._parse(key)
        basic = self._sliced([p for p in parts if p.kind != "new"])
        positions = [i for i, p in enumerate(parts) if p.kind == "tensor"]
        if not positions:
            return basic.reshape(tuple(1 if p.kind == "new" else p.kept for p in parts if p.kind != "int"))
        return basic.reshape(tuple(p.kept for p in parts))._gathered(parts)

    def __iter__(self) -> Iterator[Self]:
        if not self.shape:
            raise TypeError("a tensor without axes cannot be iterated over")
        return (self[i] for i in range(len(self)))

    def _parse(self, key: Any) -> list[_Part]:
        """One part for each axis of the input and each new axis."""
        keys = list(key) if isinstance(key, tuple) else [key]
        dots = [i for i, k in enumerate(keys) if isinstance(k, EllipsisType)]
        if len(dots) > 1:
            raise ShapeError("an index can have one ... only")
        used = sum(k is not None and not isinstance(k, EllipsisType) for k in keys)
        if used > self.ndim:
            raise ShapeError(f"{used} indices are too many for shape {show(self.shape)}")
        at = dots[0] if dots else len(keys)
        keys[at : at + 1] = [slice(None)] * (self.ndim - used)
        parts, axis = [], 0
        for k in keys:
            if k is None:
                parts.append(_Part(0, 1, 1, "new"))
                continue
            size = self.shape[axis]
            if not isinstance(size, int) and k != slice(None):
                raise ShapeError(f"axis {axis} of shape {show(self.shape)} has a size known at run time: only : fits there")
            parts.append(self._part(k, axis, size))  # type: ignore[arg-type]
            axis += 1
        return parts

    def _part(self, key: Any, axis: int, size: int) -> _Part:
        if isinstance(key, slice):
            if key == slice(None):
                return _Part(0, 1, size, "slice")
            try:
                chosen = range(size)[key]
            except (TypeError, ValueError) as error:
                raise ShapeError(f"cannot slice axis {axis} of size {size} by {key}: bounds are integers or None and the step is not 0") from error
            return _Part(chosen.start, chosen.step, len(chosen), "slice")
        if isinstance(key, bool) or (isinstance(key, Indexing) and key.dtype is dtypes.bool):
            raise DTypeError("the size of x[mask] would depend on the data: use mask.where(x, 0), x.masked_fill(mask, value) or x * mask")
        if isinstance(key, Indexing):
            if not key.dtype.is_int:
                raise DTypeError(f"an index tensor holds integers, not {key.dtype.name}: cast with .int()")
            negative = key.dtype is not dtypes.uint32
            return _Part(0, 1, size, "tensor", (key < 0).where(key + size, key) if negative else key)
        if isinstance(key, list | tuple) or (host.is_array(key) and getattr(key, "ndim", False)):
            return self._part_of_numbers(key, axis, size)
        if isinstance(key, float) or not hasattr(key, "__index__"):
            raise DTypeError(f"cannot index with {key!r}: use integers, slices, None, ... or integer tensors")
        at = int(key)
        if not -size <= at < size:
            raise ShapeError(f"index {at} is outside axis {axis} of size {size}")
        return _Part(at % size, 1, 1, "int")

    def _part_of_numbers(self, key: Any, axis: int, size: int) -> _Part:
        """An index given as host numbers, which are checked here."""
        encoded = host.encode(key)
        if encoded.dtype is dtypes.bool:
            return self._part(True, axis, size)
        values = host.decode(encoded.data, encoded.dtype, len(encoded.data) // encoded.dtype.storage)
        if not values:
            encoded = host.encode([], dtypes.int32)._replace(shape=encoded.shape)
        elif not encoded.dtype.is_int:
            raise DTypeError(f"an index list holds integers, not {encoded.dtype.name}")
        for value in values:
            if not -size <= value < size:
                raise ShapeError(f"index {value} is outside axis {axis} of size {size}")
        packed = host.pack([int(v) % size for v in values], dtypes.int32)
        return _Part(0, 1, size, "tensor", type(self)(self._from_bytes(packed, encoded.shape)))

    def _from_bytes(self, data: bytes, shape: tuple[int, ...]) -> Core:
        from anneal.tensor.storage import Buffer

        return self._wrap(Buffer(shape, dtypes.int32, pending=data).uop, self._device)

    def _sliced(self, parts: list[_Part]) -> Self:
        """The elements that slices and numbers keep, every axis still there."""
        ranges: list[tuple[Dim, Dim]] = []
        for part in parts:
            last = part.start + part.step * max(0, part.kept - 1)
            low, high = min(part.start, last), max(part.start, last)
            ranges.append((low, high + 1) if part.kept else (0, 0))
        ranges = [(0, n) if p.kind == "tensor" or p.kept is n else r for r, n, p in zip(ranges, self.shape, parts, strict=True)]
        x = self.shrink(ranges)
        if backwards := [i for i, p in enumerate(parts) if p.step < 0 and p.kept > 1]:
            x = x.flip(backwards)
        for i, part in enumerate(parts):
            if abs(part.step) > 1 and part.kept > 1:
                wide = x.unsqueeze(-1)
                strided = build.shear(wide.uop, i, x.ndim, abs(part.step), 1, part.kept)
                x = x._make(strided).squeeze(-1)
        return x

    def _gathered(self, parts: list[_Part]) -> Self:
        """The elements that index tensors name, of `self` with an axis for each part."""
        positions = [i for i, p in enumerate(parts) if p.kind in ("tensor", "int")]
        tensors: list[Self] = [p.tensor for p in parts if p.kind == "tensor"]
        indexed = [i for i, p in enumerate(parts) if p.kind == "tensor"]
        common = shapes.broadcast(*(t.shape for t in tensors))
        dtype = tensors[0].dtype if all(t.dtype is tensors[0].dtype for t in tensors) else dtypes.int32
        indices = [build.broadcast_to(build.cast(t.uop, dtype), common) for t in tensors]
        rest = [i for i in range(len(parts)) if i not in indexed]
        found = self._make(build.gather(self.permute(*indexed, *rest).uop, *indices))
        # As NumPy has it: the result's index axes stand where they stood if they were neighbours, else in front.
        neighbours = positions == list(range(positions[0], positions[-1] + 1))
        kept = [i for i in rest if parts[i].kind != "int"]
        found = found.reshape((*common, *(parts[i].kept for i in kept)))
        before = sum(i < positions[0] for i in kept) if neighbours else 0
        rank, width = len(common), len(common) + len(kept)
        return found.permute(*range(rank, rank + before), *range(rank), *range(rank + before, width))

    def take(self, index: Self) -> Self:
        """Elements of the flattened tensor."""
        return self.flatten()[index]

    def gather(self, dim: int, index: Self) -> Self:
        """out[i][j] = x[index[i][j]][j] for dim 0, and so on; an index outside the axis gives 0."""
        at = shapes.axis(dim, self.ndim)
        if index.ndim != self.ndim or any(
            isinstance(a, int) and isinstance(b, int) and a > b for i, (a, b) in enumerate(zip(index.shape, self.shape, strict=True)) if i != at
        ):
            raise ShapeError(f"gather: the index of shape {show(index.shape)} does not fit shape {show(self.shape)} beside axis {at}")
        if not index.dtype.is_int:
            raise DTypeError(f"an index tensor holds integers, not {index.dtype.name}: cast with .int()")
        part = self.shrink([None if i == at else (0, n) for i, n in enumerate(index.shape)])
        order = (*(i for i in range(self.ndim) if i != at), at)
        across, wanted = part.permute(order).unsqueeze(-2), index.permute(order)
        hit = wanted.unsqueeze(-1).eq(self._iota(self.shape[at], dtype=index.dtype))
        found = hit.where(across, 0).sum(-1).cast(self.dtype)
        back = sorted(range(self.ndim), key=order.__getitem__)
        return found.permute(back)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Overwrite elements that numbers and slices of step 1 name; the tensor then has a new value, its buffer the new elements."""
        parts = self._parse(key)
        if any(p.kind in ("tensor", "new") or (p.step != 1 and p.kept > 1) for p in parts):
            raise ShapeError("only numbers, ... and slices of step 1 can be assigned to: use mask.where(new, x) and x.assign(...) for anything else")
        held: Shape = tuple(p.kept for p in parts)
        lifted = self._lift(value)
        if isinstance(lifted, Core):
            kept = tuple(p.kept for p in parts if p.kind != "int")
            placed = build.reshape(build.broadcast_to(build.cast(lifted.uop, self.dtype), kept), held)
        else:
            placed = build.broadcast_to(build.const(lifted, self.dtype), held)
        amounts = [(p.start, n - p.start - p.kept) if p.kept else (0, n) for p, n in zip(parts, self.shape, strict=True)]
        inside = build.pad(build.broadcast_to(build.const(True, dtypes.bool), held), amounts)
        new = build.alu(Ops.WHERE, inside, build.pad(placed, amounts), self.uop)
        others = (lifted,) if isinstance(lifted, Core) else ()
        self.assign(self._make(new, *others))
