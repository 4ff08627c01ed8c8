"""Writing by position: assignment to elements, scatter and its reductions.

Nothing is written from several threads at once: each element of the result looks for the indices that name it, so that k places in n take
k*n comparisons. Where several name one, the last of them is written, and a reduction takes all of them. An index outside the tensor writes
nothing.

>>> from anneal import Tensor
>>> x = Tensor([1, 2, 3, 4])
>>> x[1:3] = 7
>>> x[[0, 3, 0]] = Tensor([5, 6, 8])
>>> x.tolist(), Tensor.zeros(3).scatter_add(0, Tensor([0, 2, 0]), Tensor([1.0, 2.0, 3.0])).tolist()
([8, 7, 7, 6], [4.0, 0.0, 2.0])
"""

from __future__ import annotations

import math
from typing import Any, Final, Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import Scalar, dtypes
from anneal.ir.ops import Ops
from anneal.ir.shape import Shape, shape, show
from anneal.ir.uop import UOp
from anneal.tensor import host, shapes
from anneal.tensor.core import Core
from anneal.tensor.elementwise import literal
from anneal.tensor.indexing import Indexing, Part

_REDUCTIONS: Final = ("sum", "prod", "mean", "amax", "amin")


class Scattering(Indexing):
    """Elements written where an index says."""

    __slots__ = ()

    # Assignment to elements.

    def __setitem__(self, key: Any, value: Any) -> None:
        """Overwrite the elements that `x[key]` reads, with a value broadcast to its shape and cast; the buffer then has the new elements.

        Of equal places in index tensors the last is written, and none for a place out of range. A mask alone with a value that is the same
        for each True is not realised; with a value for each True, or beside other indices, it is.
        """
        self.assign(self._changed(key, self._given(value)))

    def _changed(self, key: Any, value: Self) -> Self:
        """This tensor with a value of its dtype where a key says; in a call of its own, for a view that is alive would keep the old buffer."""
        if (masked := self._masked_by(key, value)) is not None:
            return masked
        parts = self._parse(key)
        mine = [p for p in parts if not p.fresh]
        if all(p.kind != "tensor" for p in parts):
            placed = value._fitted(tuple(p.kept for p in parts if p.kind != "int"))
            return self._overlaid(mine, placed.reshape(tuple(p.kept for p in mine)))
        part = self._sliced(mine)
        return self._overlaid(mine, part.reshape(tuple(p.kept for p in parts))._written(parts, value).reshape(part.shape))

    def _given(self, value: Any) -> Self:
        """A value in this tensor's dtype."""
        lifted = self._lift(value)
        if isinstance(lifted, Core):
            return lifted.cast(self.dtype)
        kind = self.dtype
        return self._wrap(literal(int(lifted) if kind.is_int and math.isfinite(lifted) else lifted, kind), self._device)

    def _fitted(self, dims: Shape) -> Self:
        """Broadcast to a shape; axes of size 1 in front of it do not count."""
        extra = self.ndim - len(dims)
        x = self.reshape(self.shape[extra:]) if extra > 0 and all(n == 1 for n in self.shape[:extra]) else self
        try:
            return x.expand(dims)
        except ShapeError as error:
            raise ShapeError(f"cannot write a value of shape {show(self.shape)} to elements of shape {show(dims)}: it does not broadcast") from error

    def _masked_by(self, key: Any, value: Self) -> Self | None:
        """The tensor with `value` where a mask, alone, is True; None for another key, and where each True has a value of its own."""
        keys = key if isinstance(key, tuple) else (key,)
        mask = keys[0] if len(keys) == 1 or (len(keys) == 2 and keys[1] is ...) else None
        if host.is_array(mask) and str(mask.dtype) == "bool":  # type: ignore[union-attr]
            mask = type(self)(mask, device=self._device)
        if not isinstance(mask, Indexing) or mask.dtype is not dtypes.bool or not mask.ndim or mask.shape != self.shape[: mask.ndim]:
            return None
        rest = self.ndim - mask.ndim
        while value.ndim > rest and value.shape[0] == 1:
            value = value.reshape(value.shape[1:])
        if value.ndim > rest:
            return None
        return mask.reshape((*mask.shape, *(1,) * rest)).where(value._fitted(self.shape[mask.ndim :]), self)  # type: ignore[return-value]

    def _overlaid(self, parts: list[Part], value: Self) -> Self:
        """This tensor with `value`, which has an axis for each part, where slices and numbers point."""
        inside = self._spread(parts, build.broadcast_to(build.const(True, dtypes.bool), value.shape))
        if inside is None:
            return value
        spread = self._spread(parts, value.uop)
        assert spread is not None, "it is where the first is"
        return self._make(build.alu(Ops.WHERE, inside, spread, self.uop), value)

    def _spread(self, parts: list[Part], x: UOp) -> UOp | None:
        """What slices and numbers would read as `x`, with 0 or False elsewhere; None where they read everything in order."""
        moved = False
        for axis, (part, size) in enumerate(zip(parts, self.shape, strict=True)):
            if part.kept is size and part.step == 1:
                continue
            assert isinstance(size, int), "only : fits other sizes"
            step = abs(part.step) if part.kept > 1 else 1
            if part.step < 0 and part.kept > 1:
                x, moved = build.flip(x, (axis,)), True
            span = (part.kept - 1) * step + 1 if part.kept else 0
            if step > 1:
                dims = shape(x)
                wide = build.unshear(build.reshape(x, (*dims, 1)), axis, len(dims), step, 1, span)
                x = build.reshape(wide, (*dims[:axis], span, *dims[axis + 1 :]))
            low = min(part.start, part.start + part.step * max(0, part.kept - 1)) if part.kept else 0
            if span != size:
                x, moved = build.pad(x, [(low, size - low - span) if i == axis else (0, 0) for i in range(len(parts))]), True
            moved = moved or step > 1
        return x if moved else None

    def _written(self, parts: list[Part], value: Self) -> Self:
        """This tensor, with an axis for each part, and `value` where index tensors point."""
        aim = self._aim(parts)
        kept = [parts[i].kept for i in aim.rest if parts[i].kind != "int"]
        rank, count = len(aim.common), 1
        for n in shapes.known(aim.common, "an index tensor"):
            count *= n
        if not count:
            return self
        given = value._fitted((*kept[: aim.before], *aim.common, *kept[aim.before :]))
        order = (*range(aim.before, aim.before + rank), *range(aim.before), *range(aim.before + rank, rank + len(kept)))
        rows = given.permute(order).reshape((count, *(parts[i].kept for i in aim.rest)))
        moved = self.permute(*aim.indexed, *aim.rest)
        lead = moved.shape[: len(aim.indexed)]
        hit = None
        for axis, (index, size) in enumerate(zip(aim.indices, lead, strict=True)):
            place = self._wrap(build.reshape(index, (count, *(1,) * len(lead))))
            one = place == self._iota(size, 1 + len(lead), 1 + axis, index.dtype)
            hit = one if hit is None else hit & one
        assert hit is not None, "there is an index tensor"
        last = hit.where(self._iota(count, 1 + len(lead), 0), -1).max(0)
        found = self._make(build.gather(rows.uop, last.uop), value)
        wrote = (last >= 0).reshape((*lead, *(1,) * len(aim.rest)))
        order = (*aim.indexed, *aim.rest)
        return wrote.where(found, moved).permute(sorted(range(self.ndim), key=order.__getitem__))

    # Scatter.

    def scatter(self, axis: int, index: Self, src: Self | Scalar, reduce: str | None = None) -> Self:
        """out[index[i][j]][j] = src[i][j] for axis 0, and so on; with `reduce` "add" or "multiply" combined with what is there.

        `src` is a number, or a tensor of this dtype in which the index lies. Of equal places the last counts, a place outside nothing.
        """
        if reduce not in (None, "add", "multiply"):
            raise UsageError(f'scatter: reduce is "add" or "multiply", not {reduce!r}; scatter_reduce has more')
        source = src if isinstance(src, Core) else self._given(src).expand(index.shape)
        if reduce:
            return self.scatter_reduce(axis, index, source, "sum" if reduce == "add" else "prod")
        return self._scattered(axis, index, source, None)

    def scatter_add(self, axis: int, index: Self, src: Self) -> Self:
        """out[index[i][j]][j] += src[i][j] for axis 0, and so on: the adjoint of `gather`."""
        return self._scattered(axis, index, src, "sum")

    def scatter_reduce(self, axis: int, index: Self, src: Self, reduce: str, include_self: bool = True) -> Self:
        """The sum, prod, mean, amax or amin of all of `src` that an index puts at a place, and of what is there unless not `include_self`.

        Means of integers are rounded down. Equal extremes share the gradient.
        """
        if reduce not in _REDUCTIONS:
            raise UsageError(f"scatter_reduce: reduce is one of {', '.join(_REDUCTIONS)}, not {reduce!r}")
        return self._scattered(axis, index, src, reduce, include_self=include_self)

    def _scattered(self, axis: int, index: Self, src: Self, reduce: str | None, *, include_self: bool = True) -> Self:
        if not self.ndim or not index.ndim:
            return self._lined()._scattered(axis, index._lined(), src._lined(), reduce, include_self=include_self).reshape(self.shape)
        what = f"scatter_{reduce}" if reduce else "scatter"
        at = shapes.axis(axis, self.ndim)
        self._fits(what, at, index)
        if src.ndim != index.ndim or any(isinstance(a, int) and isinstance(b, int) and a > b for a, b in zip(index.shape, src.shape, strict=True)):
            raise ShapeError(f"{what}: the index of shape {show(index.shape)} does not lie within the source of shape {show(src.shape)}")
        if src.dtype is not self.dtype:
            raise DTypeError(f"{what}: the source is {src.dtype.name} and the tensor {self.dtype.name}: cast one of them")
        wanted = index._index()
        if 0 in index.shape:
            return self
        values = src.shrink([(0, n) for n in index.shape])
        # Axes: those of the index but `at`, then the places of this tensor along `at`, then those of the index.
        hit = wanted.moveaxis(at, -1).unsqueeze(-2) == self._iota(self.shape[at], 2, 0, wanted.dtype)
        part = self.shrink([None if i == at else (0, n) for i, n in enumerate(index.shape)])
        if reduce is None:
            last = hit.where(self._iota(index.shape[at]), -1).max(-1).moveaxis(-1, at)
            return self._inset((last >= 0).where(values.gather(at, last), part))
        lanes = (hit, values.moveaxis(at, -1).unsqueeze(-2)._wide(), part.moveaxis(at, -1)._wide())
        return self._inset(_combined(reduce, *lanes, include_self=include_self).moveaxis(-1, at).cast(self.dtype))

    def _inset(self, part: Self) -> Self:
        """This tensor with its first elements replaced by those of `part`."""
        if part.shape == self.shape:
            return part
        amounts = [(0, n - m) if n is not m else (0, 0) for n, m in zip(shapes.known(self.shape, "scatter"), shapes.known(part.shape, "scatter"), strict=True)]
        inside = build.pad(build.broadcast_to(build.const(True, dtypes.bool), part.shape), amounts)
        return self._make(build.alu(Ops.WHERE, inside, build.pad(part.uop, amounts), self.uop), part)

    # The same with a vector of places.

    def _places_along(self, what: str, axis: int, index: Self, dims: Shape) -> Self:
        """A vector of places along an axis as an index of a shape; negative places count from the end."""
        at = shapes.axis(axis, self.ndim)
        if index.ndim > 1 or (dims and index.numel() != dims[at]):
            raise ShapeError(f"{what} takes a vector of places along axis {at} of shape {show(dims)}, not shape {show(index.shape)}")
        places = index._index()
        if places.dtype is dtypes.int32:
            (size,) = shapes.known(self.shape[at : at + 1], what)
            places = (places < 0).where(places + size, places)
        return places.reshape(tuple(-1 if i == at else 1 for i in range(self.ndim))).expand(dims)

    def index_add(self, axis: int, index: Self, source: Self, alpha: Scalar = 1) -> Self:
        """With the parts of `source` along an axis, times `alpha`, added to those that a vector of places names."""
        x, given = self._lined(), source._lined()
        return x.scatter_add(axis, x._places_along("index_add", axis, index, given.shape), given if alpha == 1 else given * alpha).reshape(self.shape)

    def index_copy(self, axis: int, index: Self, source: Self) -> Self:
        """With the parts of `source` along an axis in place of those that a vector of places names."""
        x, given = self._lined(), source._lined()
        return x.scatter(axis, x._places_along("index_copy", axis, index, given.shape), given).reshape(self.shape)

    def index_fill(self, axis: int, index: Self, value: Scalar) -> Self:
        """With `value` in the parts along an axis that a vector of places names."""
        x = self._lined()
        at = shapes.axis(axis, x.ndim)
        dims = tuple(index.numel() if i == at else n for i, n in enumerate(x.shape))
        return x.scatter(at, x._places_along("index_fill", at, index, dims), value).reshape(self.shape)

    def masked_scatter(self, mask: Self, source: Self) -> Self:
        """With the elements of `source`, one after the other, where `mask` is True; 0 where it has too few."""
        if mask.dtype is not dtypes.bool or source.dtype is not self.dtype:
            raise DTypeError(f"masked_scatter takes a bool mask and a {self.dtype.name} source, not {mask.dtype.name} and {source.dtype.name}")
        flags = mask.expand(self.shape).flatten()
        return flags.where(source.flatten().gather(0, flags.int().cumsum(0) - 1), self.flatten()).reshape(self.shape)


def _combined(reduce: str, hit: Any, values: Any, part: Any, *, include_self: bool) -> Any:
    """The values that hit each element, and the element itself, as one."""
    if reduce in ("amax", "amin"):
        lowest = part.dtype.min if reduce == "amax" else part.dtype.max
        chosen = hit.where(values, lowest)
        if include_self:  # in one reduction, so that all that are equal share the gradient
            chosen = chosen.cat(part.unsqueeze(-1), dim=-1)
        found = chosen.max(-1) if reduce == "amax" else chosen.min(-1)
    elif reduce == "prod":
        found = hit.where(values, 1).prod(-1)
        found = found * part if include_self else found
    else:
        found = hit.where(values, 0).sum(-1)
        found = found + part if include_self else found
        if reduce == "mean":
            count = (hit.sum(-1) + include_self).maximum(1)
            found = found / count if part.dtype.is_float else found // count
    return found if include_self else hit.any(-1).where(found, part)
