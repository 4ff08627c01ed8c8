"""Creation from shapes and numbers: constants of the graph, with no buffer behind them.

>>> from anneal import Tensor
>>> Tensor.full((2, 3), 7).shape, Tensor.arange(0, 1, 0.25).shape
((2, 3), (4,))
"""

from __future__ import annotations

import math
from typing import Any, Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.shape import Dim, Shape, show
from anneal.tensor import shapes
from anneal.tensor.arranging import Arranging
from anneal.tensor.elementwise import literal, weak


class Create(Arranging):
    """New tensors."""

    __slots__ = ()

    @classmethod
    def full(cls, shape: Any, value: Scalar, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> Self:
        """Every element is `value`."""
        chosen = dtype or weak(dtypes.bool, value)
        build.check_storable(chosen)
        made = cls._wrap(build.broadcast_to(literal(value, chosen), shapes.sizes((shape,))), device)
        return made.requires_grad_() if requires_grad else made

    @classmethod
    def zeros(cls, *shape: Any, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """Every element is 0."""
        return cls.full(shapes.dims(shape), 0, dtype, device, requires_grad)

    @classmethod
    def ones(cls, *shape: Any, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """Every element is 1."""
        return cls.full(shapes.dims(shape), 1, dtype, device, requires_grad)

    @classmethod
    def empty(cls, *shape: Any, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """A tensor whose values do not matter yet: zeros here, as a lazy tensor has no memory that something could be left in."""
        return cls.full(shapes.dims(shape), 0, dtype, device, requires_grad)

    def full_like(self, value: Scalar, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> Self:
        """This shape, dtype and device, filled with `value`."""
        return self.full(self.shape, value, dtype or self.dtype, device or self._device, requires_grad)

    def zeros_like(self, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> Self:
        """This shape, dtype and device, filled with 0."""
        return self.full_like(0, dtype, device, requires_grad)

    def ones_like(self, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> Self:
        """This shape, dtype and device, filled with 1."""
        return self.full_like(1, dtype, device, requires_grad)

    def empty_like(self, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> Self:
        """This shape, dtype and device; the values are zeros, see `empty`."""
        return self.full_like(0, dtype, device, requires_grad)

    @classmethod
    def arange(cls, start: Scalar, stop: Scalar | None = None, step: Scalar = 1, dtype: DType | None = None, device: str | None = None) -> Self:
        """start, start + step, ... before stop; `arange(n)` counts from 0. Integers give int32, a float among them float32.

        Raises ShapeError for a step of 0 or away from stop.
        """
        if stop is None:
            start, stop = 0, start
        if not step or not all(math.isfinite(v) for v in (start, stop, step)):
            raise ShapeError(f"cannot count from {start} to {stop} in steps of {step}")
        if (stop - start) / step < 0:
            raise ShapeError(f"steps of {step} lead away from {stop}, counting from {start}")
        chosen = dtype or weak(dtypes.int32, start + stop + step)
        build.check_storable(chosen)
        count = max(0, math.ceil((stop - start) / step))
        if not chosen.is_float:
            for end in (start, start + max(0, count - 1) * step):
                literal(int(end), chosen)
        counter = dtypes.float32 if chosen.is_float else chosen
        ramp = cls._wrap(build.cast(build.iota(count), counter), device)
        scaled = ramp if step == 1 else ramp * counter.round(step)
        return (scaled if start == 0 else scaled + counter.round(start)).cast(chosen)

    @classmethod
    def linspace(cls, start: Scalar, stop: Scalar, steps: int, dtype: DType = dtypes.float32, device: str | None = None) -> Self:
        """`steps` evenly spaced numbers from start to stop, both exactly included; of 1 only start."""
        if not dtype.is_float:
            raise DTypeError(f"linspace makes floats, not {dtype.name}: cast its result")
        ramp = cls._wrap(build.cast(build.iota(shapes.sizes((steps,))[0]), dtypes.float32), device)
        step = float(stop - start) / max(1, steps - 1)
        from_stop = (ramp - (steps - 1)) * step + float(stop)
        return (ramp < max(1, steps) / 2).where(ramp * step + float(start), from_stop).cast(dtype)

    @classmethod
    def eye(cls, rows: int, columns: int | None = None, dtype: DType = dtypes.float32, device: str | None = None) -> Self:
        """1 on the diagonal, 0 elsewhere."""
        wide = rows if columns is None else columns
        shape = shapes.sizes((rows, wide))
        down, across = cls._wrap(build.iota(shape[0]), device), cls._wrap(build.iota(shape[1]), device)
        return (down.unsqueeze(1) == across).cast(dtype)

    @classmethod
    def tri(cls, rows: int, columns: int | None = None, diagonal: int = 0, dtype: DType = dtypes.float32, device: str | None = None) -> Self:
        """1 on and below a diagonal, 0 above it."""
        return cls.ones(rows, rows if columns is None else columns, dtype=dtype, device=device).tril(diagonal)

    def meshgrid(self, *others: Self, indexing: str = "ij") -> tuple[Self, ...]:
        """Vectors repeated over a grid, each along an axis of its own: `Tensor.meshgrid(x, y)`; "xy" exchanges the first two axes."""
        if indexing not in ("ij", "xy"):
            raise UsageError(f'meshgrid: indexing is "ij" or "xy", not {indexing!r}')
        given = (self, *others)
        order = [1, 0, *range(2, len(given))] if indexing == "xy" and len(given) > 1 else list(range(len(given)))
        if any(t.ndim > 1 for t in given):
            raise ShapeError(f"meshgrid takes vectors, not shapes {', '.join(show(t.shape) for t in given)}")
        vectors = [t.reshape(-1) if not t.ndim else t for t in given]
        shape: list[Dim] = [1] * len(given)
        for vector, axis in zip(vectors, order, strict=True):
            shape[axis] = vector.shape[0]
        return tuple(v.reshape(tuple(v.shape[0] if i == axis else 1 for i in range(len(given)))).expand(*shape) for v, axis in zip(vectors, order, strict=True))

    @classmethod
    def _iota(cls, length: Dim, rank: int = 1, axis: int = 0, dtype: DType = dtypes.int32) -> Self:
        """0, 1, 2, ... along one axis of a tensor with `rank` axes, the others of size 1."""
        dims: Shape = tuple(length if i == axis else 1 for i in range(rank))
        return cls._wrap(build.reshape(build.iota(length, dtype), dims))

    def _band(self, *, lower: bool, diagonal: int) -> Self:
        if self.ndim < 2:
            raise ShapeError(f"a triangle needs a matrix, not shape {show(self.shape)}")
        rows, columns = self._iota(self.shape[-2], 2, 0), self._iota(self.shape[-1], 2, 1)
        keep = columns <= rows + diagonal if lower else columns >= rows + diagonal
        return keep.where(self, False)

    def tril(self, diagonal: int = 0) -> Self:
        """The lower triangle, 0 above the diagonal."""
        return self._band(lower=True, diagonal=diagonal)

    def triu(self, diagonal: int = 0) -> Self:
        """The upper triangle, 0 below the diagonal."""
        return self._band(lower=False, diagonal=diagonal)

    def one_hot(self, classes: int, dtype: DType = dtypes.int32) -> Self:
        """1 at the class that each integer names and 0 elsewhere, along a new last axis; all 0 where there is no such class."""
        if not self.dtype.is_int:
            raise DTypeError(f"one_hot needs integers, not {self.dtype.name}: cast with .int()")
        return (self.unsqueeze(-1) == self._iota(classes, dtype=self.dtype)).cast(dtype)
