"""Arrangement: elements repeated, turned and rolled, diagonals, tensors side by side and apart again.

>>> from anneal import Tensor
>>> x = Tensor([[1, 2], [3, 4]])
>>> x.rot90().tolist(), x.diagonal().tolist(), x.roll(1, 1).tolist()
([[2, 4], [1, 3]], [1, 4], [[2, 1], [4, 3]])
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.shape import Dim, product, show
from anneal.tensor import shapes
from anneal.tensor.movement import Moved, listed
from anneal.tensor.padding import Padding


class Arranging(Padding):
    """The same elements elsewhere, or several times."""

    __slots__ = ()

    # Repeated.

    def tile(self, *counts: Any) -> Self:
        """As `repeat`, where counts for the last axes are enough."""
        times = shapes.sizes(counts)
        return self.repeat((1,) * (self.ndim - len(times)) + times)

    def repeat_interleave(self, repeats: int | Sequence[int] | Self, axis: int | None = None) -> Self:
        """Each element of an axis, or of the flattened tensor, repeated: all as often, or each by a count of its own.

        A tensor of counts is realised here, for the result's size depends on it.
        """
        x = self.flatten() if axis is None else self
        at = shapes.axis(axis or 0, x.ndim)
        times = _counts(repeats)
        if len(times) == 1:
            dims, size = x.shape, x.shape[at]
            spread = x.unsqueeze(at + 1).expand((*dims[: at + 1], times[0], *dims[at + 1 :]))
            return spread.reshape((*dims[:at], product((size, times[0])), *dims[at + 1 :]))
        if len(times) != x.shape[at]:
            raise ShapeError(f"repeat_interleave needs one count, or one for each of the {show(x.shape[at : at + 1])[1:-2]} elements, not {len(times)}")
        return x._picked(at, type(self)([i for i, count in enumerate(times) for _ in range(count)], dtype=dtypes.int32, device=self._device))

    def _picked(self, axis: int, index: Self) -> Self:
        """The elements of an axis that a vector of places names."""
        order = (axis, *(i for i in range(self.ndim) if i != axis))
        found = build.gather(build.permute(self.uop, order), index.uop)
        return self._make(build.permute(found, sorted(range(self.ndim), key=order.__getitem__)), index)

    # Moved round.

    def roll(self, shifts: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Self:
        """The elements of each axis, or of the flattened tensor, moved by a shift, those that fall off coming in at the other end."""
        if axis is None:
            if not isinstance(shifts, int):
                raise ShapeError(f"roll: the shifts {tuple(shifts)} need an axis each")
            return self.flatten().roll(shifts, 0).reshape(self.shape)
        by = (shifts,) if isinstance(shifts, int) else tuple(shifts)
        at = (axis,) if isinstance(axis, int) else tuple(axis)
        if len(by) != len(at):
            raise ShapeError(f"roll needs a shift for each axis, not {by} for {at}")
        out = self
        for shift, one in zip(by, at, strict=True):
            out = out._rolled(shift, shapes.axis(one, self.ndim))
        return out

    def _rolled(self, shift: int, at: int) -> Self:
        (length,) = shapes.known(self.shape[at : at + 1], "roll")
        by = shift % length if length else 0
        if not by:
            return self
        return self._narrow(at, length - by, length).cat(self._narrow(at, 0, length - by), dim=at)

    def rot90(self, k: int = 1, axes: Sequence[int] = (0, 1)) -> Self:
        """Turned by `k` times 90 degrees, from the first of two axes towards the second."""
        if len(axes) != 2 or self.ndim < 2:
            raise ShapeError(f"rot90 turns two axes, not {tuple(axes)} of shape {show(self.shape)}")
        a, b = (shapes.axis(one, self.ndim) for one in axes)
        if a == b:
            raise ShapeError(f"rot90 turns two different axes, not {tuple(axes)}")
        return (self, self.flip(b).transpose(a, b), self.flip((a, b)), self.flip(a).transpose(a, b))[k % 4]

    # Diagonals.

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """The diagonal of two axes, `offset` above the main one, as a new last axis: of it reshaped so that its places are a column."""
        a, b = shapes.axis(axis1, self.ndim), shapes.axis(axis2, self.ndim)
        if a == b:
            raise ShapeError(f"diagonal needs two different axes, not {axis1} and {axis2}")
        rest = [i for i in range(self.ndim) if i not in (a, b)]
        x = self.permute(*rest, a, b)
        rows, columns = shapes.known(x.shape[-2:], "diagonal")
        top, left = max(0, -offset), max(0, offset)
        size = max(0, min(rows - top, columns - left))
        outer: list[tuple[Dim, Dim] | None] = [None] * len(rest)
        if not size:
            return x.flatten(-2)._narrow(len(rest), 0, 0)
        square = x.shrink([*outer, (top, top + size), (left, left + size)])
        line = square.flatten(-2).pad((0, size))
        return line.reshape(*x.shape[:-2], size, size + 1)._narrow(len(rest) + 1, 0, 1).squeeze(-1)

    def diag(self, diagonal: int = 0) -> Self:
        """The matrix that has a vector on a diagonal, or the diagonal of a matrix."""
        if self.ndim == 2:
            return self.diagonal(diagonal)
        if self.ndim != 1:
            raise ShapeError(f"diag takes a vector or a matrix, not shape {show(self.shape)}: use diagonal")
        (size,) = shapes.known(self.shape, "diag")
        rows = self.unsqueeze(1).pad((0, size)).flatten()._narrow(0, 0, size * size).reshape(size, size)
        low, high = max(0, -diagonal), max(0, diagonal)
        return rows.pad((high, low, low, high))

    # Side by side.

    def hstack(self: Moved | Sequence[Moved], *others: Moved) -> Moved:
        """Tensors, or a list of them, joined along their second axis, vectors along their only one."""
        tensors = [t if t.shape else t.reshape(1) for t in listed(self, others)]
        return tensors[0].cat(*tensors[1:], dim=0 if tensors[0].ndim == 1 else 1)

    def vstack(self: Moved | Sequence[Moved], *others: Moved) -> Moved:
        """Tensors, or a list of them, joined along their first axis, vectors as rows."""
        first, *rest = (t if t.ndim > 1 else t.reshape(1, -1 if t.shape else 1) for t in listed(self, others))
        return first.cat(*rest, dim=0)

    def dstack(self: Moved | Sequence[Moved], *others: Moved) -> Moved:
        """Tensors, or a list of them, joined along their third axis, which those of fewer axes get."""
        tensors = [t if t.ndim > 1 else t.reshape(1, -1 if t.shape else 1) for t in listed(self, others)]
        first, *rest = (t if t.ndim > 2 else t.unsqueeze(-1) for t in tensors)
        return first.cat(*rest, dim=2)

    def tensor_split(self, parts: int | Sequence[int], axis: int = 0) -> tuple[Self, ...]:
        """So many pieces, sizes differing by 1 at most; or the pieces between the given places, which are as those of a slice."""
        at = shapes.axis(axis, self.ndim)
        (length,) = shapes.known(self.shape[at : at + 1], "tensor_split")
        if isinstance(parts, int):
            if parts < 1:
                raise UsageError(f"tensor_split makes at least 1 piece, not {parts}")
            least, more = divmod(length, parts)
            ends = [i * least + min(i, more) for i in range(1, parts)]
        else:
            ends = [slice(place).indices(length)[1] for place in parts]
        bounds = [0, *ends, length]
        return tuple(self._narrow(at, start, max(start, end)) for start, end in pairwise(bounds))

    def unbind(self, axis: int = 0) -> tuple[Self, ...]:
        """The parts along an axis, each without it."""
        at = shapes.axis(axis, self.ndim)
        (length,) = shapes.known(self.shape[at : at + 1], "unbind")
        return tuple(self.select(at, i) for i in range(length))


def _counts(repeats: Any) -> list[int]:
    """How often, as numbers."""
    values = repeats if isinstance(repeats, int | list | tuple) else repeats.tolist()
    times = [values] if isinstance(values, int) else list(values)
    if any(isinstance(count, bool) or not isinstance(count, int) for count in times):
        raise DTypeError(f"repeat_interleave: counts are integers in one row, not {values}")
    if any(count < 0 for count in times):
        raise ShapeError(f"repeat_interleave: a count is not negative, and there is one in {values}")
    return times
