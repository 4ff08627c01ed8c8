"""Order: sorting, the largest few, medians, and what depends on where something is true.

Elements are compared by whole-number keys of the same order, in which NaN is the largest and -0 equals 0. A short axis is sorted by
counting: the place of an element is the number of elements before it. A longer one is sorted in runs, and runs are merged by pairs: each
place of the result finds by bisection how many elements the first run gives to the places before it. So nothing is scattered, equal
elements keep their order in every case, and n elements cost n * log(n)**2 loads.

>>> from anneal import Tensor
>>> Tensor([3.0, 1.0, 2.0]).argsort().tolist()
[1, 2, 0]
>>> Tensor([3.0, 1.0, 2.0]).topk(2).values.tolist()
[3.0, 2.0]
"""

from __future__ import annotations

from typing import Any, Final, Self

from anneal.errors import DTypeError, ShapeError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.shape import Dim, product, show
from anneal.tensor import host, shapes
from anneal.tensor.resizing import Resizing
from anneal.tensor.scans import Found

RUN: Final = 512
"""Elements at most that are sorted by counting."""
SHORT: Final = 128
"""Elements at least of a run of which a few are wanted."""
_LARGEST: Final = dtypes.int32.max
"""The key of NaN, and of what fills up."""


class Sorting(Resizing):
    """Elements by their size."""

    __slots__ = ()

    def sort(self, axis: int = -1, descending: bool = False, stable: bool = False) -> Found[Self]:
        """The elements of an axis in order, and where they stood; NaN counts as the largest. Stable whether asked for or not.

        The gradient of each element is that of its place in the result.
        """
        return self._found(self.argsort(axis, descending, stable), axis)

    def argsort(self, axis: int = -1, descending: bool = False, stable: bool = False) -> Self:  # noqa: ARG002 - it is stable anyway
        """Where the elements of an axis in order stand, int32; NaN counts as the largest. Stable whether asked for or not."""
        return self._key(descending=descending)._along(axis, lambda t: t._order(t.shape[-1]))

    def topk(self, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Found[Self]:  # noqa: A002, ARG002 - PyTorch's names
        """The `k` largest or smallest elements of an axis, in order whether asked for or not, and where they stand; the first of equals."""
        at = shapes.axis(axis, max(1, self.ndim))
        length = self.shape[at] if self.shape else 1
        if not isinstance(length, int) or not 0 <= k <= length:
            raise ShapeError(f"topk: cannot take {k} of axis {at} of shape {show(self.shape)}")
        if not self.shape:
            whole = self.reshape(1).topk(k, largest=largest)
            return Found(whole.values.reshape(()), whole.indices.reshape(())) if k else whole
        if not k or 0 in self.shape:
            return self._found(self.int()._narrow(at, 0, k), at)
        return self._found(self._key(descending=largest)._along(at, lambda t: t._order(k)), at)

    def median(self, axis: int | None = None, keepdim: bool = False) -> Any:
        """The lower of the middle elements, NaN if there is one: of all, or with an axis as values and their places along it.

        The gradient goes to that element, the first of equals.
        """
        if axis is None:
            if not self.numel():
                raise ShapeError(f"the median of shape {show(self.shape)} would be that of nothing")
            return self.flatten().median(0).values
        if not self.shape:
            shapes.axis(axis, 1)
            return Found(self, self._iota(1).reshape(()))
        at = shapes.axis(axis, self.ndim)
        length = self.shape[at]
        if not isinstance(length, int) or not length:
            raise ShapeError(f"a median needs an axis of known size that is not 0, not axis {at} of shape {show(self.shape)}")
        broken = self.isnan().sum(at, keepdim=True)
        middle = (broken > 0).where(length - broken, (length - 1) // 2)
        found = self._found(self.argsort(at).gather(at, middle), at)
        return found if keepdim else Found(found.values.squeeze(at), found.indices.squeeze(at))

    def _found(self, places: Self, axis: int) -> Found[Self]:
        return Found(self.gather(axis, places) if self.shape else self, places)

    # Keys.

    def _key(self, *, descending: bool) -> Self:
        """Integers, int32, in the order of the elements or in the opposite one."""
        x = self.detach()
        if x.dtype.is_float:
            x = x.float()
            bits = x.eq(0).where(0, x.bitcast(dtypes.int32))
            key = x.isnan().where(_LARGEST, bits ^ ((bits >> 31) & _LARGEST))
        elif x.dtype is dtypes.uint32:
            key = x.bitcast(dtypes.int32) ^ dtypes.int32.min
        else:
            key = x.int()
        return ~key if descending else key

    def _order(self, count: Dim) -> Self:
        """Of keys: where the first `count` of the last axis in order stand."""
        length = self.shape[-1]
        assert isinstance(length, int), "sorting begins with a look at the size"
        assert isinstance(count, int), "sorting begins with a look at the size"
        if length <= RUN:
            return self._counted(count)
        if 2 * count <= RUN:
            return self._selected(count)
        return self._merged()._narrow(self.ndim - 1, 0, count)

    def _counted(self, count: int) -> Self:
        """As `_order`, by counting how many keys come before each."""
        length, rank = self.shape[-1], self.ndim + 1
        here, there = self._iota(length, rank, rank - 2), self._iota(length, rank, rank - 1)
        mine, others = self.unsqueeze(-1), self.unsqueeze(-2)
        place = ((others < mine) | (others.eq(mine) & (there < here))).sum(-1)
        wanted = self._iota(count, rank, rank - 2)
        return place.unsqueeze(-2).eq(wanted).where(there, 0).sum(-1)

    def _selected(self, count: int) -> Self:
        """As `_order`, for few of many: the first of each run, and the first of those."""
        *outer, length = self.shape
        assert isinstance(length, int), "sorting begins with a look at the size"
        run = min(RUN, max(SHORT, 4 * count))
        runs = -(-length // run)
        keys = self._filled(0, runs * run - length, _LARGEST).reshape(*outer, runs, run)
        places = keys._counted(count).contiguous()
        chosen = keys.gather(-1, places).reshape(*outer, runs * count).contiguous()
        starts = self._iota(runs, self.ndim + 1, self.ndim - 1) * run
        return (places + starts).reshape(*outer, runs * count).gather(-1, chosen._order(count))

    def _merged(self) -> Self:
        """As `_order`, of all: runs by counting, then merged by pairs."""
        *outer, length = self.shape
        assert isinstance(length, int), "sorting begins with a look at the size"
        rounds = (-(-length // RUN) - 1).bit_length()
        run = -(-length // (1 << rounds))
        total = run << rounds
        runs = self._filled(0, total - length, _LARGEST).reshape(-1, run)
        starts = self._iota(runs.shape[0], 2, 0) * run
        keys = runs.reshape(-1).contiguous()
        order = (runs._counted(run) + starts).reshape(-1).contiguous()
        keys = keys._at(order).contiguous()
        for round_ in range(rounds):
            taken = keys._merging(run << round_)
            keys, order = keys._at(taken).contiguous(), order._at(taken).contiguous()
        rows = order.reshape(product(tuple(outer)), total)
        return (rows - self._iota(rows.shape[0], 2, 0) * total).reshape(*outer, total)._narrow(self.ndim - 1, 0, length)

    def _at(self, places: Self) -> Self:
        """The elements of a vector at places that are inside it."""
        return self._make(build.gather(self.uop, places.uop))

    def _merging(self, run: int) -> Self:
        """Of runs of keys in order: where to take each key from, so that each two runs become one."""
        place = self._iota(self.shape[0])
        first = place // (2 * run) * (2 * run)
        second, before = first + run, place % (2 * run)
        low, high = (before - run).maximum(0), before.minimum(run)
        for _ in range(run.bit_length()):  # low <= keys of the first run that come before this place <= high
            middle = (low + high) >> 1
            more = (low < high) & (self._at(first + middle) <= self._at(second + before - 1 - middle))
            low, high = more.where(middle + 1, low), more.where(high, middle)
        mine, other = first + low, second + before - low
        return ((low < run) & ((before - low >= run) | (self._at(mine) <= self._at(other)))).where(mine, other)

    # What depends on the values.

    def masked_select(self, mask: Self) -> Self:
        """The elements where `mask`, broadcast with the tensor, is True, as a vector. Realises the mask: its values decide the size."""
        if mask.dtype is not dtypes.bool:
            raise DTypeError(f"masked_select takes a bool mask, not {mask.dtype.name}: compare first, for example x > 0")
        dims = shapes.broadcast(self.shape, mask.shape)
        return self.expand(dims).flatten()[mask.expand(dims).flatten()]

    def nonzero(self, as_tuple: bool = False) -> Any:
        """Where the elements are not 0, as a row of places for each, int32; or as a vector for each axis. Realises the tensor."""
        flags = self.bool()
        if not self.shape:
            found = self._places([0] if flags.item() else [], (int(flags.item()),))
            return (found,) if as_tuple else found.unsqueeze(1)._narrow(1, 0, 0)
        values = host.decode(flags._bytes(), dtypes.bool, flags.numel())
        at = [i for i, value in enumerate(values) if value]
        columns, stride = [], flags.numel()
        for size in self.shape:
            stride = stride // size if at else 1  # type: ignore[operator]
            columns.append([i // stride % size for i in at])  # type: ignore[operator]
        if as_tuple:
            return tuple(self._places(c, (len(at),)) for c in columns)
        return self._places([c[i] for i in range(len(at)) for c in columns], (len(at), self.ndim))

    def unique(self, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False) -> Any:  # noqa: A002, ARG002 - PyTorch's names
        """The different elements of the flattened tensor, in order whether asked for or not; each NaN is one of its own.

        With `return_inverse` also the place in them of each element, with `return_counts` how often each occurs, as a tuple. Realises
        the tensor: its values decide the size.
        """
        flat = self.flatten()
        length = flat.shape[0]
        if not isinstance(length, int):
            raise ShapeError(f"unique needs a shape of known size, not {show(self.shape)}")
        order = flat.argsort()
        ordered = flat.gather(0, order)
        fresh = ordered.ne(ordered._behind(0)) | self._iota(length).eq(0)
        starts = fresh.nonzero().flatten()
        found = [ordered[starts]]
        if return_inverse:
            found.append((fresh.cumsum() - 1).gather(0, order.argsort()).reshape(self.shape))
        if return_counts:
            ends = starts._narrow(0, min(1, len(starts)), len(starts)).pad((0, min(1, len(starts))), value=length)
            found.append(ends - starts)
        return found[0] if len(found) == 1 else tuple(found)
