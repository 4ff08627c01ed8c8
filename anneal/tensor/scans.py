"""Scans: what a reduction gives for the elements up to each.

An axis of more than `BLOCK` elements is cut into blocks. Each block is scanned by itself, one result a thread; the blocks' totals are
scanned the same way, and meet the elements of the blocks behind them. So the work of n elements is n times `BLOCK`, the kernels are two
more for each factor of `BLOCK` in the length, and float sums are as exact as sums in blocks are. Gradients are scans too, backwards.

>>> from anneal import Tensor
>>> Tensor([1, 2, 3, 4]).cumsum().tolist()
[1, 3, 6, 10]
>>> Tensor([1.0, 3.0, 2.0, 3.0]).cummax().indices.tolist()
[0, 1, 1, 3]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, Self, TypeVar

from anneal.errors import ShapeError
from anneal.ir.dtype import DType, Scalar
from anneal.ir.shape import show
from anneal.tensor import shapes
from anneal.tensor.reduce import Reduce

BLOCK: Final = 64
"""Elements of an axis that are scanned together."""
T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """Elements, and where along the axis they stand."""

    values: T
    """The elements."""
    indices: T
    """Their places along the axis, int32."""


class Kind(NamedTuple, Generic[T]):
    """A way to combine neighbours."""

    reduce: Callable[[T], T]
    """Combines the last axis."""
    combine: Callable[[T, T], T]
    """Combines what came before with what follows."""
    neutral: Scalar
    """What changes nothing."""


class Scans(Reduce):
    """Reductions up to each element of an axis."""

    __slots__ = ()

    def cumsum(self, axis: int = 0, dtype: DType | None = None) -> Self:
        """Sums of the elements up to each, of the elements as `dtype` where one is given; int32 for bool and narrow integers."""
        x = self._as(dtype)
        kind = Kind[Self](lambda t: t.sum(-1), lambda a, b: a + b, 0)
        return x._wide()._along(axis, lambda t: t._scan(kind))._narrow_to(x.dtype)

    def cumprod(self, axis: int = 0, dtype: DType | None = None) -> Self:
        """Products of the elements up to each, as `dtype` where one is given; the gradient is right where elements are 0."""
        x = self._as(dtype)
        kind = Kind[Self](lambda t: t.prod(-1), lambda a, b: a * b, 1)
        return x._wide()._along(axis, lambda t: t._scan(kind))._narrow_to(x.dtype)

    def logcumsumexp(self, axis: int = 0) -> Self:
        """The logarithm of the sum of the exponentials of the elements up to each, without overflow; integers give float32."""
        x = self._floating()
        kind = Kind[Self](lambda t: t.logsumexp(-1), lambda a, b: a.logaddexp(b), -math.inf)
        return x._wide()._along(axis, lambda t: t._scan(kind)).cast(x.dtype)

    def cummax(self, axis: int = 0) -> Found[Self]:
        """The largest element up to each, NaN once there was one, and its place: the last of equals. The gradient goes to that place."""
        return self._extremes(axis, Kind[Self](lambda t: t.max(-1), lambda a, b: a.maximum(b), self.dtype.min))

    def cummin(self, axis: int = 0) -> Found[Self]:
        """The smallest element up to each, NaN once there was one, and its place: the last of equals. The gradient goes to that place."""
        return self._extremes(axis, Kind[Self](lambda t: t.min(-1), lambda a, b: a.minimum(b), self.dtype.max))

    def _extremes(self, axis: int, kind: Kind[Self]) -> Found[Self]:
        x = self.detach()
        values = x._along(axis, lambda t: t._scan(kind))
        record = x.eq(values)
        if self.dtype.is_float:
            record = record | x.isnan()
        at = shapes.axis(axis, max(1, self.ndim))
        size = self.shape[at] if self.shape else 1
        latest = Kind[Self](lambda t: t.max(-1), lambda a, b: a.maximum(b), 0)
        count = self._iota(size, self.ndim, at) if self.shape else 0
        places = record.where(count, 0).int()._along(axis, lambda t: t._scan(latest))
        if self.dtype.is_float:
            last = places.transpose(at, -1) if self.shape else places.reshape(1)
            values = self._along(axis, lambda t: t._taken(last))
        return Found(values, places)

    def _along(self, axis: int, scan: Callable[[Self], Self]) -> Self:
        """What a scan of the last axis gives along any axis; a tensor without axes counts as one element."""
        if not self.shape:
            shapes.axis(axis, 1)
            return scan(self.reshape(1)).reshape(())
        at = shapes.axis(axis, self.ndim)
        if not isinstance(self.shape[at], int):
            raise ShapeError(f"a scan needs an axis of known size, not {show(self.shape)}")
        return scan(self.transpose(at, -1)).transpose(at, -1) if 0 not in self.shape else self

    def _scan(self, kind: Kind[Self]) -> Self:
        """The last axis scanned."""
        length, rank = self.shape[-1], self.ndim + 1
        assert isinstance(length, int), "a scan begins with a look at the size"
        if length <= BLOCK:
            before = self._iota(length, rank, rank - 1) <= self._iota(length, rank, rank - 2)
            return kind.reduce(before.where(self.unsqueeze(-2), kind.neutral))
        blocks = self._blocks(kind.neutral)
        totals = kind.reduce(blocks)._behind(kind.neutral)._scan(kind)
        return kind.combine(totals.unsqueeze(-1), blocks._scan(kind))._joined(length)

    def _taken(self, places: Self) -> Self:
        """x[places] along the last axis, for places that never fall and are never ahead of the element: the gradient is a scan too."""
        length, rank = self.shape[-1], self.ndim + 1
        assert isinstance(length, int), "a scan begins with a look at the size"
        if length <= BLOCK:
            return self.unsqueeze(-2)._taken_at(places)
        blocks = self._blocks(0)
        inside = places._blocks(0) - self._iota(blocks.shape[-2], rank, rank - 2) * BLOCK
        own = blocks.unsqueeze(-2)._taken_at(inside)
        last = places._blocks(0)._narrow(rank - 1, BLOCK - 1, BLOCK).squeeze(-1)
        ends = own._narrow(rank - 1, BLOCK - 1, BLOCK).squeeze(-1)._taken(last // BLOCK)
        return (inside < 0).where(ends._behind(0).unsqueeze(-1), own)._joined(length)

    def _taken_at(self, places: Self) -> Self:
        """Elements of the last axis, with an axis of size 1 before it for the places; 0 where there is no such element."""
        return places.unsqueeze(-1).eq(self._iota(self.shape[-1], places.ndim + 1, places.ndim)).where(self, 0).sum(-1)

    def _blocks(self, fill: Scalar) -> Self:
        """The last axis as blocks, filled up."""
        *outer, length = self.shape
        assert isinstance(length, int), "a scan begins with a look at the size"
        count = -(-length // BLOCK)
        return self._filled(0, count * BLOCK - length, fill).reshape(*outer, count, BLOCK)

    def _behind(self, fill: Scalar) -> Self:
        """The last axis moved by one, so that each place has what came before."""
        return self._filled(1, 0, fill)._narrow(self.ndim - 1, 0, self.shape[-1])

    def _filled(self, before: int, after: int, fill: Scalar) -> Self:
        return self.pad([*[None] * (self.ndim - 1), (before, after)], value=fill)

    def _joined(self, length: int) -> Self:
        """Blocks as one axis, without what filled them up."""
        *outer, count, size = self.shape
        return self.reshape(*outer, count * size)._narrow(self.ndim - 2, 0, length)
