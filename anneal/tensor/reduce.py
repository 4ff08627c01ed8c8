"""Reductions: sums, extremes, statistics.

`axis` is one axis, several, or None for all; negative axes count from the end. Sums of bool are int32; sums of 16-bit floats are kept in
float32 and rounded at the end. NaN counts as the largest and the smallest value.

>>> from anneal import Tensor
>>> Tensor.ones(2, 3).sum(axis=1, keepdim=True).shape
(2, 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from anneal.errors import DTypeError, ShapeError
from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import Dim, as_uop, product, show
from anneal.ir.uop import UOp
from anneal.tensor import shapes
from anneal.tensor.create import Create

Axis = int | Sequence[int] | None


class Reduce(Create):
    """Many elements combined into one."""

    __slots__ = ()

    def _reduce(self, op: Op, axis: Axis, *, keepdim: bool) -> Self:
        axes = shapes.axes(axis, self.ndim)
        out = build.reduce_axis(op, self.uop, axes)
        if not keepdim:
            out = build.reshape(out, tuple(n for i, n in enumerate(self.shape) if i not in axes))
        return self._make(out)

    def _wide(self) -> Self:
        """As the dtype in which sums are kept."""
        if self.dtype is dtypes.bool:
            return self.cast(dtypes.int32)
        return self.cast(dtypes.float32) if self.dtype.is_float else self

    def _narrow_to(self, dtype: DType) -> Self:
        return self.cast(dtype) if dtype.is_float else self

    def _count(self, axis: Axis) -> Dim:
        """How many elements meet in one."""
        return product(tuple(self.shape[i] for i in shapes.axes(axis, self.ndim)))

    # Sums.

    def sum(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The sum over axes."""
        return self._wide()._reduce(Ops.ADD, axis, keepdim=keepdim)._narrow_to(self.dtype)

    def prod(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The product over axes."""
        return self._wide()._reduce(Ops.MUL, axis, keepdim=keepdim)._narrow_to(self.dtype)

    def mean(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The mean over axes; integers give float32."""
        total = self._floating()._wide()._reduce(Ops.ADD, axis, keepdim=keepdim)
        return total._over(self._count(axis))._narrow_to(self.dtype)

    def _over(self, count: Dim) -> Self:
        """This tensor divided by a count; 0 gives NaN, as the mean of nothing is."""
        if isinstance(count, UOp):
            return self / self._wrap(build.cast(as_uop(count), dtypes.float32))
        return self / count

    def var(self, axis: Axis = None, keepdim: bool = False, correction: int = 1) -> Self:
        """The variance over axes: squared distances from the mean, summed and divided by the count less `correction`."""
        x = self._floating()._wide()
        distance = x - x.mean(axis, keepdim=True)
        count = self._count(axis)
        over = max(0, count - correction) if isinstance(count, int) else count - correction
        return (distance * distance).sum(axis, keepdim)._over(over)._narrow_to(self.dtype)

    def std(self, axis: Axis = None, keepdim: bool = False, correction: int = 1) -> Self:
        """The square root of the variance."""
        return self.var(axis, keepdim, correction).sqrt()

    def cumsum(self, axis: int = 0) -> Self:
        """Sums of the elements up to each; n*n/2 additions for n elements, none of them stored."""
        return self._scanned(axis).sum(-1)._narrow_to(self.dtype)

    def cumprod(self, axis: int = 0) -> Self:
        """Products of the elements up to each; n*n/2 multiplications."""
        return self._scanned(axis, 1).prod(-1)._narrow_to(self.dtype)

    def _scanned(self, axis: int, fill: int = 0) -> Self:
        """A last axis with the elements up to each along `axis`, filled up in front."""
        at = shapes.axis(axis, self.ndim)
        length = self.shape[at]
        if not isinstance(length, int):
            raise ShapeError(f"a cumulative reduction needs an axis of known size, not {show(self.shape)}")
        padded = self._wide().pad([(max(0, length - 1), 0) if i == at else None for i in range(self.ndim)], fill)
        return padded.unfold(at, length) if length else padded.unsqueeze(-1)

    # Extremes.

    def max(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The largest over axes; NaN if there is one. Equal largest elements share the gradient."""
        return self._reduce(Ops.MAX, axis, keepdim=keepdim)

    def min(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The smallest over axes; NaN if there is one. Equal smallest elements share the gradient."""
        return self._reduce(Ops.MIN, axis, keepdim=keepdim)

    def argmax(self, axis: int | None = None, keepdim: bool = False) -> Self:
        """Where the largest is along an axis, or in the flattened tensor: the first of equals, the first NaN if there is one; int32."""
        return self._arg(Ops.MAX, axis, keepdim=keepdim)

    def argmin(self, axis: int | None = None, keepdim: bool = False) -> Self:
        """Where the smallest is along an axis, or in the flattened tensor: the first of equals, the first NaN if there is one; int32."""
        return self._arg(Ops.MIN, axis, keepdim=keepdim)

    def _arg(self, op: Op, axis: int | None, *, keepdim: bool) -> Self:
        if axis is None:
            flat = self.flatten()._arg(op, 0, keepdim=False)
            return flat.reshape((1,) * self.ndim) if keepdim else flat
        at = shapes.axis(axis, self.ndim)
        length = self.shape[at]
        if not isinstance(length, int):
            raise ShapeError(f"argmax and argmin need an axis of known size, not {show(self.shape)}")
        x = self.detach()
        found = x == x._reduce(op, at, keepdim=True)
        if self.dtype.is_float:
            found = found | x.isnan()
        return found.where(self._iota(length, self.ndim, at), length)._reduce(Ops.MIN, at, keepdim=keepdim)

    # Logic.

    def any(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """True where an element over the axes is not 0."""
        return self.bool().sum(axis, keepdim).ne(0)

    def all(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """True where no element over the axes is 0."""
        return self.logical_not().sum(axis, keepdim).eq(0)

    # Normalised exponentials.

    def _shifted(self, axis: Axis) -> Self:
        """Less the largest, so that exponentials do not overflow; the shift cancels, so no gradient passes through it."""
        return self - self.max(axis, keepdim=True).detach()

    def softmax(self, axis: Axis = -1) -> Self:
        """exp(x) divided by its sum over the axis."""
        if not self.dtype.is_float:
            raise DTypeError(f"softmax needs floats, not {self.dtype.name}: cast with .float()")
        raised = self._wide()._shifted(axis).exp()
        return (raised / raised.sum(axis, keepdim=True)).cast(self.dtype)

    def log_softmax(self, axis: Axis = -1) -> Self:
        """The logarithm of softmax, without overflow."""
        if not self.dtype.is_float:
            raise DTypeError(f"log_softmax needs floats, not {self.dtype.name}: cast with .float()")
        shifted = self._wide()._shifted(axis)
        return (shifted - shifted.exp().sum(axis, keepdim=True).log()).cast(self.dtype)

    def logsumexp(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The logarithm of the sum of exponentials, without overflow."""
        x = self._floating()._wide()
        largest = x.max(axis, keepdim=True).detach()
        shift = largest.isinf().where(0, largest)
        total = (x - shift).exp().sum(axis, keepdim=True).log() + shift
        axes = shapes.axes(axis, self.ndim)
        kept = total if keepdim else total.reshape(tuple(n for i, n in enumerate(self.shape) if i not in axes))
        return kept._narrow_to(self.dtype)
