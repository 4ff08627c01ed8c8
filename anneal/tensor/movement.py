"""Movement: the same elements under other indices. Nothing is copied; the compiler turns each into index arithmetic.

>>> from anneal import Tensor
>>> x = Tensor.arange(6).reshape(2, -1)
>>> x.shape, x.T.shape, x.pad(((0, 0), (1, 1))).shape
((2, 3), (3, 2), (2, 5))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from anneal.errors import ShapeError
from anneal.ir import build
from anneal.ir.dtype import Scalar, dtypes, promote
from anneal.ir.ops import Ops
from anneal.ir.shape import Dim, Shape, product, show
from anneal.tensor import shapes
from anneal.tensor.functions import Functions


class Movement(Functions):
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

    @property
    def T(self) -> Self:  # noqa: N802 - the name everybody types
        """The matrix transposed."""
        if self.ndim != 2:
            raise ShapeError(f".T is for matrices, not shape {show(self.shape)}: use permute or transpose")
        return self.transpose()

    def flip(self, *axes: Any) -> Self:
        """The axes reversed."""
        chosen = shapes.axes(axes[0] if len(axes) == 1 else axes, self.ndim)
        return self._make(build.flip(self.uop, chosen))

    # Size.

    def expand(self, *shape: Any) -> Self:
        """Axes of size 1 repeated; -1 keeps a size; new axes may come in front."""
        target = shapes.dims(shape)
        have = (1,) * (len(target) - self.ndim) + self.shape
        if len(have) > len(target):
            raise ShapeError(f"cannot expand shape {show(self.shape)} to {show(target)}: it has fewer axes")
        wanted = tuple(h if t == -1 else t for h, t in zip(have, target, strict=True))
        return self._make(build.broadcast_to(self.uop, wanted))

    broadcast_to = expand

    def pad(self, padding: Sequence[Any], value: Scalar = 0) -> Self:
        """Elements of `value` around: a (before, after) or None an axis, or PyTorch's flat form, last axis first. Negative amounts cut."""
        amounts = self._padding(padding)
        cut = [(max(0, -low), n if high >= 0 else n + high) for n, (low, high) in zip(self.shape, amounts, strict=True)]
        kept = build.shrink(self.uop, cut)
        return self._make(build.pad(kept, [(max(0, low), max(0, high)) for low, high in amounts], value))

    def _padding(self, padding: Sequence[Any]) -> list[tuple[int, int]]:
        if all(isinstance(p, int) for p in padding):
            if len(padding) % 2 or len(padding) > 2 * self.ndim:
                raise ShapeError(f"a flat padding has (before, after) for each axis from the last one on, not {tuple(padding)} for shape {show(self.shape)}")
            pairs = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)]
            return [(0, 0)] * (self.ndim - len(pairs)) + pairs[::-1]
        if len(padding) != self.ndim or not all(p is None or len(p) == 2 for p in padding):
            raise ShapeError(f"padding must have (before, after) or None for each of {self.ndim} axes, not {padding}")
        return [(0, 0) if p is None else (int(p[0]), int(p[1])) for p in padding]

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
        return self._narrow(at, start, start + length)

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

    def roll(self, shift: int, axis: int = 0) -> Self:
        """The elements of an axis moved by `shift`, those that fall off coming in at the other end."""
        at = shapes.axis(axis, self.ndim)
        length = self.shape[at]
        if not isinstance(length, int):
            raise ShapeError("roll needs an axis of known size")
        by = shift % length if length else 0
        if not by:
            return self
        return self._narrow(at, length - by, length).cat(self._narrow(at, 0, length - by), dim=at)

    # Several tensors.

    def cat(self, *others: Self, dim: int = 0) -> Self:
        """Tensors one after another along an axis; `Tensor.cat(a, b, dim=1)`."""
        tensors = (self, *others)
        at, dtype = shapes.axis(dim, self.ndim), self.dtype
        for other in others:
            dtype = promote(dtype, other.dtype)
            if other.ndim != self.ndim or any(a != b for i, (a, b) in enumerate(zip(self.shape, other.shape, strict=True)) if i != at):
                raise ShapeError(f"cannot join shapes {show(self.shape)} and {show(other.shape)} along axis {at}: the other sizes differ")
        build.check_storable(dtype)
        sizes = [t.shape[at] for t in tensors]
        total = sum(n for n in sizes if isinstance(n, int))
        combine, before, joined = Ops.OR if dtype is dtypes.bool else Ops.ADD, 0, None
        for tensor, size in zip(tensors, sizes, strict=True):
            if not isinstance(size, int):
                raise ShapeError("cat needs axes of known size")
            amounts = [(before, total - before - size) if i == at else (0, 0) for i in range(self.ndim)]
            placed = build.pad(build.cast(tensor.uop, dtype), amounts)
            joined = placed if joined is None else build.alu(combine, joined, placed)
            before += size
        assert joined is not None, "there is at least this tensor"
        return self._make(joined, *others)

    def stack(self, *others: Self, dim: int = 0) -> Self:
        """Tensors of one shape along a new axis."""
        for other in others:
            if other.shape != self.shape:
                raise ShapeError(f"cannot stack shapes {show(self.shape)} and {show(other.shape)}: they must be equal")
        return self.unsqueeze(dim).cat(*(t.unsqueeze(dim) for t in others), dim=shapes.axis(dim, self.ndim + 1))

    def split(self, size: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Pieces of `size` elements of an axis, the last one perhaps shorter; or pieces of the given sizes."""
        at = shapes.axis(dim, self.ndim)
        length = self.shape[at]
        if not isinstance(length, int):
            raise ShapeError("split needs an axis of known size")
        if isinstance(size, int):
            if size < 1:
                raise ShapeError(f"split needs pieces of at least 1 element, not {size}")
            size = [min(size, length - i) for i in range(0, length, size)]
        if sum(size) != length:
            raise ShapeError(f"cannot split {length} elements into {list(size)}: they add up to {sum(size)}")
        ends = [sum(size[: i + 1]) for i in range(len(size))]
        return tuple(self._narrow(at, end - n, end) for n, end in zip(size, ends, strict=True))

    def chunk(self, count: int, dim: int = 0) -> tuple[Self, ...]:
        """At most `count` pieces of equal size, the last one perhaps shorter."""
        length = self.shape[shapes.axis(dim, self.ndim)]
        if count < 1 or not isinstance(length, int):
            raise ShapeError(f"chunk needs at least 1 piece, not {count}")
        return self.split(max(1, -(-length // count)), dim)
