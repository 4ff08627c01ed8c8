"""Movement: the same elements under other indices. Nothing is copied; the compiler turns each into index arithmetic.

>>> from anneal import Tensor
>>> x = Tensor.arange(6).reshape(2, -1)
>>> x.shape, x.T.shape
((2, 3), (3, 2))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypeVar

from anneal.errors import OutOfRangeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import dtypes, promote
from anneal.ir.ops import Ops
from anneal.ir.shape import Dim, Shape, product, show
from anneal.tensor import shapes
from anneal.tensor.activations import Activations

Moved = TypeVar("Moved", bound="Movement")


class Movement(Activations):
    """Other views of the same elements."""

    __slots__ = ()

    # Shape.

    def reshape(self, *shape: Any) -> Self:
        """The same elements in row-major order under another shape; one size may be -1."""
        return self._make(build.reshape(self.uop, shapes.infer(self.shape, shapes.dims(shape))))

    view = reshape

    def flatten(self, start: int = 0, end: int = -1) -> Self:
        """Axes `start` to `end`, inclusive, as one."""
        if not self.shape:
            return self.reshape(1)
        first, last = shapes.axis(start, self.ndim), shapes.axis(end, self.ndim)
        if first > last:
            raise ShapeError(f"cannot flatten axes {first} to {last}: the first comes after the last")
        dims = self.shape
        return self.reshape(*dims[:first], product(dims[first : last + 1]), *dims[last + 1 :])

    def unflatten(self, axis: int, sizes: Sequence[int]) -> Self:
        """One axis as several; one size may be -1."""
        at = shapes.axis(axis, self.ndim)
        inner = shapes.infer((self.shape[at],), shapes.dims(sizes))
        return self.reshape(*self.shape[:at], *inner, *self.shape[at + 1 :])

    def squeeze(self, axis: int | Sequence[int] | None = None) -> Self:
        """Without the axes of size 1, or those of `axis` that have size 1."""
        chosen = shapes.axes(axis, self.ndim)
        return self.reshape(tuple(n for i, n in enumerate(self.shape) if i not in chosen or n != 1))

    def unsqueeze(self, axis: int) -> Self:
        """With a new axis of size 1 at position `axis`."""
        at = shapes.axis(axis, self.ndim + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    # Order.

    def permute(self, *order: Any) -> Self:
        """Axis i of the result is axis order[i]."""
        axes = tuple(shapes.axis(a, self.ndim) for a in (order[0] if len(order) == 1 and isinstance(order[0], list | tuple) else order))
        return self._make(build.permute(self.uop, axes))

    def transpose(self, first: int = 1, second: int = 0) -> Self:
        """Two axes exchanged."""
        order = list(range(self.ndim))
        a, b = shapes.axis(first, self.ndim), shapes.axis(second, self.ndim)
        order[a], order[b] = b, a
        return self.permute(order)

    swapaxes = transpose
    swapdims = transpose

    def moveaxis(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Self:
        """Axes moved to other places, the others keeping their order."""
        old = tuple(shapes.axis(a, self.ndim) for a in ((source,) if isinstance(source, int) else source))
        new = tuple(shapes.axis(a, self.ndim) for a in ((destination,) if isinstance(destination, int) else destination))
        if len(old) != len(new) or len(set(old)) < len(old) or len(set(new)) < len(new):
            raise ShapeError(f"moveaxis needs as many places as axes, each named once: not {source} to {destination}")
        order = [i for i in range(self.ndim) if i not in old]
        for place, axis in sorted(zip(new, old, strict=True)):
            order.insert(place, axis)
        return self.permute(order)

    movedim = moveaxis

    @property
    def T(self) -> Self:  # noqa: N802 - the name everybody types
        """The matrix transposed."""
        if self.ndim != 2:
            raise ShapeError(f".T is for matrices, not shape {show(self.shape)}: use permute or transpose")
        return self.transpose()

    @property
    def mT(self) -> Self:  # noqa: N802 - PyTorch's name
        """The last two axes exchanged: each matrix transposed."""
        if self.ndim < 2:
            raise ShapeError(f".mT is for matrices, not shape {show(self.shape)}")
        return self.transpose(-1, -2)

    def flip(self, *axes: Any) -> Self:
        """The axes reversed."""
        chosen = shapes.axes(axes[0] if len(axes) == 1 else axes, self.ndim)
        return self._make(build.flip(self.uop, chosen))

    def fliplr(self) -> Self:
        """The second axis reversed."""
        return self.flip(1)

    def flipud(self) -> Self:
        """The first axis reversed."""
        return self.flip(0)

    # Size.

    def expand(self, *shape: Any) -> Self:
        """Axes of size 1 repeated; -1 keeps a size; new axes may come in front."""
        target = shapes.dims(shape)
        if -1 in target[: max(0, len(target) - self.ndim)]:
            raise ShapeError(f"cannot expand shape {show(self.shape)} to {show(target)}: -1 keeps a size, and a new axis has none")
        have = (1,) * (len(target) - self.ndim) + self.shape
        if len(have) > len(target):
            raise ShapeError(f"cannot expand shape {show(self.shape)} to {show(target)}: it has fewer axes")
        wanted = tuple(h if t == -1 else t for h, t in zip(have, target, strict=True))
        return self._make(build.broadcast_to(self.uop, wanted))

    broadcast_to = expand

    def expand_as(self, other: Self) -> Self:
        """Expanded to the shape of `other`."""
        return self.expand(other.shape)

    def reshape_as(self, other: Self) -> Self:
        """The same elements under the shape of `other`."""
        return self.reshape(other.shape)

    view_as = reshape_as

    def shrink(self, ranges: Sequence[tuple[Dim, Dim] | None]) -> Self:
        """Elements [start, end) of each axis; None keeps an axis."""
        if len(ranges) != self.ndim:
            raise ShapeError(f"shrink needs (start, end) or None for each of {self.ndim} axes, not {ranges}")
        return self._make(build.shrink(self.uop, [(0, n) if r is None else r for r, n in zip(ranges, self.shape, strict=True)]))

    def _narrow(self, axis: int, start: Dim, end: Dim) -> Self:
        return self.shrink([(start, end) if i == axis else None for i in range(self.ndim)])

    def narrow(self, axis: int, start: int, length: int) -> Self:
        """`length` elements of an axis from `start` on."""
        at = shapes.axis(axis, self.ndim)
        size = self.shape[at]
        first = start + size if isinstance(size, int) and start < 0 else start
        if isinstance(size, int) and not (0 <= first <= size and 0 <= length <= size - first):
            raise OutOfRangeError(f"narrow: axis {at} of size {size} has no {length} elements from {start} on")
        return self._narrow(at, first, first + length)

    def select(self, axis: int, index: int) -> Self:
        """The elements at one place of an axis, without the axis."""
        at = shapes.axis(axis, self.ndim)
        (size,) = shapes.known(self.shape[at : at + 1], "select")
        if not -size <= index < size:
            raise OutOfRangeError(f"index {index} is outside axis {at} of size {size}")
        return self._narrow(at, index % size, index % size + 1).squeeze(at)

    def repeat(self, *counts: Any) -> Self:
        """The whole repeated along each axis; new axes may come in front."""
        times = shapes.sizes(counts)
        if len(times) < self.ndim:
            raise ShapeError(f"repeat needs a count for each of {self.ndim} axes, not {show(times)}")
        dims: Shape = (1,) * (len(times) - self.ndim) + self.shape
        paired = tuple(n for pair in zip((1,) * len(dims), dims, strict=True) for n in pair)
        spread = tuple(n for pair in zip(times, dims, strict=True) for n in pair)
        return self.reshape(paired).expand(spread).reshape(tuple(product(pair) for pair in zip(times, dims, strict=True)))

    def unfold(self, axis: int, size: int, step: int = 1, dilation: int = 1) -> Self:
        """Windows of `size` elements, `dilation` apart, each `step` after the one before; the window is a new last axis."""
        at = shapes.axis(axis, self.ndim)
        length, reach = self.shape[at], dilation * (size - 1) + 1
        if size < 1 or step < 1 or dilation < 1 or not isinstance(length, int) or reach > length:
            windows = f"windows of {size} (step {step}, dilation {dilation})"
            raise ShapeError(f"cannot take {windows} of axis {at} of shape {show(self.shape)}: a window reaches over {reach}")
        count = (length - reach) // step + 1
        if step == size and dilation == 1:  # windows side by side are a reshape, and so is their gradient
            parts = self._narrow(at, 0, count * size).reshape(*self.shape[:at], count, size, *self.shape[at + 1 :])
            return parts.permute(*(i for i in range(parts.ndim) if i != at + 1), at + 1)
        wide = self.unsqueeze(-1).expand(*self.shape, size)
        return self._make(build.shear(wide.uop, at, self.ndim, step, dilation, count))

    # Several tensors.

    def cat(self: Moved | Sequence[Moved], *others: Moved, dim: int = 0) -> Moved:
        """Tensors one after another along an axis; `Tensor.cat(a, b, dim=1)` or `Tensor.cat([a, b], dim=1)`."""
        tensors = listed(self, others)
        first, *rest = tensors
        at, dtype = shapes.axis(dim, first.ndim), first.dtype
        for other in rest:
            dtype = promote(dtype, other.dtype)
            if other.ndim != first.ndim or any(a != b for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if i != at):
                raise ShapeError(f"cannot join shapes {show(first.shape)} and {show(other.shape)} along axis {at}: the other sizes differ")
        build.check_storable(dtype)
        sizes = shapes.known(tuple(t.shape[at] for t in tensors), "cat")
        # What is added to an element must leave it as it is: -0.0 does, while 0.0 makes 0.0 of -0.0.
        combine, fill = (Ops.OR, False) if dtype is dtypes.bool else (Ops.ADD, -0.0 if dtype.is_float else 0)
        before, joined = 0, None
        for tensor, size in zip(tensors, sizes, strict=True):
            amounts = [(before, sum(sizes) - before - size) if i == at else (0, 0) for i in range(first.ndim)]
            placed = build.pad(build.cast(tensor.uop, dtype), amounts, fill)
            joined = placed if joined is None else build.alu(combine, joined, placed)
            before += size
        assert joined is not None, "there is at least one tensor"
        return first._make(joined, *rest)

    concat = cat

    def stack(self: Moved | Sequence[Moved], *others: Moved, dim: int = 0) -> Moved:
        """Tensors of one shape along a new axis; `Tensor.stack(a, b)` or `Tensor.stack([a, b])`."""
        first, *rest = listed(self, others)
        for other in rest:
            if other.shape != first.shape:
                raise ShapeError(f"cannot stack shapes {show(first.shape)} and {show(other.shape)}: they must be equal")
        return first.unsqueeze(dim).cat(*(t.unsqueeze(dim) for t in rest), dim=shapes.axis(dim, first.ndim + 1))

    def split(self, size: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Pieces of `size` elements of an axis, the last one perhaps shorter; or pieces of the given sizes."""
        at = shapes.axis(dim, self.ndim)
        length = self.shape[at]
        if not isinstance(length, int):
            raise ShapeError("split needs an axis of known size")
        if isinstance(size, int):
            if size < bool(length):
                raise ShapeError(f"split needs pieces of at least 1 element, not {size}")
            size = [min(size, length - i) for i in range(0, length, size)] if length else [0]
        if sum(size) != length:
            raise ShapeError(f"cannot split {length} elements into {list(size)}: they add up to {sum(size)}")
        ends = [sum(size[: i + 1]) for i in range(len(size))]
        return tuple(self._narrow(at, end - n, end) for n, end in zip(size, ends, strict=True))

    def chunk(self, count: int, dim: int = 0) -> tuple[Self, ...]:
        """At most `count` pieces of equal size, the last one perhaps shorter; `count` empty ones of nothing."""
        length = self.shape[shapes.axis(dim, self.ndim)]
        if count < 1 or not isinstance(length, int):
            raise ShapeError(f"chunk needs at least 1 piece, not {count}")
        return self.split(-(-length // count) if length else [0] * count, dim)


def listed(first: Moved | Sequence[Moved], others: Sequence[Moved]) -> list[Moved]:
    """The tensors of a call on the class: one after the other, or as one list."""
    tensors = [first, *others] if isinstance(first, Movement) else [*first, *others]
    if not all(isinstance(t, Movement) for t in tensors):
        raise UsageError("give tensors one after the other, or one list of them; the axis by name: dim=1")
    if not tensors:
        raise UsageError("there are no tensors to join")
    return tensors
