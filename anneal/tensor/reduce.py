"""Reductions: sums, extremes, statistics, norms.

`axis` is one axis, several, or None for all; negative axes count from the end, and a tensor without axes may be reduced over axis 0. Sums
of bool and of narrow integers are int32; sums of narrow floats are kept in float32 and rounded at the end. NaN counts as the largest and
the smallest value. Over nothing, sums are 0, products 1, means and variances NaN; extremes raise ShapeError.

>>> from anneal import Tensor
>>> Tensor.ones(2, 3).sum(axis=1, keepdim=True).shape
(2, 1)
>>> Tensor([3.0, 4.0]).norm().item()
5.0
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import Dim, as_uop, product, show
from anneal.ir.uop import UOp
from anneal.tensor import shapes
from anneal.tensor.create import Create

Axis = int | Sequence[int] | None


def over(axis: Axis, rank: int) -> tuple[int, ...]:
    """The axes to reduce over; of a tensor without axes, 0 and -1 name nothing, as PyTorch has it."""
    if rank:
        return shapes.axes(axis, rank)
    if axis is not None:
        shapes.axes(axis, 1)
    return ()


class Reduce(Create):
    """Many elements combined into one."""

    __slots__ = ()

    def _reduce(self, op: Op, axis: Axis, *, keepdim: bool) -> Self:
        axes = over(axis, self.ndim)
        out = self._make(build.reduce_axis(op, self.uop, axes))
        return out if keepdim else out._without(axes)

    def _without(self, axes: Sequence[int]) -> Self:
        """Without axes, which have size 1."""
        return self.reshape(tuple(n for i, n in enumerate(self.shape) if i not in axes))

    def _wide(self) -> Self:
        """As the dtype in which sums are kept: float32 for floats, int32 for bool and narrow integers."""
        if self.dtype.is_float:
            return self.cast(dtypes.float32)
        return self.cast(dtypes.int32) if self.dtype.bits < dtypes.int32.bits else self

    def _narrow_to(self, dtype: DType) -> Self:
        return self.cast(dtype) if dtype.is_float else self

    def _as(self, dtype: DType | None) -> Self:
        return self if dtype is None else self.cast(dtype)

    def _of_floats(self, what: str) -> Self:
        if not self.dtype.is_float:
            raise DTypeError(f"{what} needs floats, not {self.dtype.name}: cast with .float()")
        return self

    def _count(self, axis: Axis) -> Dim:
        """How many elements meet in one."""
        return product(tuple(self.shape[i] for i in over(axis, self.ndim)))

    # Sums.

    def sum(self, axis: Axis = None, keepdim: bool = False, dtype: DType | None = None) -> Self:
        """The sum over axes, of the elements as `dtype` where one is given; int32 for bool and narrow integers."""
        x = self._as(dtype)
        return x._wide()._reduce(Ops.ADD, axis, keepdim=keepdim)._narrow_to(x.dtype)

    def prod(self, axis: Axis = None, keepdim: bool = False, dtype: DType | None = None) -> Self:
        """The product over axes, of the elements as `dtype` where one is given; its gradient is right where elements are 0."""
        x = self._as(dtype)
        return x._wide()._reduce(Ops.MUL, axis, keepdim=keepdim)._narrow_to(x.dtype)

    def mean(self, axis: Axis = None, keepdim: bool = False, dtype: DType | None = None) -> Self:
        """The mean over axes, of the elements as `dtype` where one is given; integers give float32, and nothing NaN."""
        x = self._as(dtype)._floating()
        return x._wide()._reduce(Ops.ADD, axis, keepdim=keepdim)._over(x._count(axis))._narrow_to(x.dtype)

    def _over(self, count: Dim, less: float = 0) -> Self:
        """This tensor divided by a count, `less` so many but not below 0; nothing by 0 gives NaN, as the mean of nothing is."""
        if isinstance(count, UOp):
            known = self._wrap(build.cast(as_uop(count), dtypes.float32))
            return self / ((known - less).maximum(0) if less else known)
        return self / max(0, count - less)

    def _variance_and_mean(self, axis: Axis, correction: float) -> tuple[Self, Self]:
        """The variance and the mean over axes, wide, the axes still there; the mean is the same node in both."""
        x = self._floating()._wide()
        mean = x.mean(axis, keepdim=True)
        distance = x - mean
        return (distance * distance).sum(axis, keepdim=True)._over(self._count(axis), correction), mean

    def _root(self) -> Self:
        """The square root, with gradient 0 at 0: where nothing varies, no direction is better than another."""
        zero = self.eq(0)
        return zero.where(0, zero.where(1, self).sqrt())

    def _settled(self, axis: Axis, keepdim: bool, dtype: DType) -> Self:
        """A wide result with its axes still there, as the caller asked for it."""
        kept = self if keepdim else self._without(over(axis, self.ndim))
        return kept.cast(dtype) if dtype.is_float else kept

    def var(self, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> Self:
        """The variance over axes: squared distances from the mean, summed and divided by the count less `correction`."""
        return self._variance_and_mean(axis, correction)[0]._settled(axis, keepdim, self.dtype)

    def std(self, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> Self:
        """The square root of the variance; its gradient is 0 where nothing varies."""
        return self._variance_and_mean(axis, correction)[0]._root()._settled(axis, keepdim, self.dtype)

    def var_mean(self, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> tuple[Self, Self]:
        """The variance and the mean over axes."""
        variance, mean = self._variance_and_mean(axis, correction)
        return variance._settled(axis, keepdim, self.dtype), mean._settled(axis, keepdim, self.dtype)

    def std_mean(self, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> tuple[Self, Self]:
        """The square root of the variance, and the mean, over axes."""
        variance, mean = self._variance_and_mean(axis, correction)
        return variance._root()._settled(axis, keepdim, self.dtype), mean._settled(axis, keepdim, self.dtype)

    def norm(self, p: float | str = 2.0, axis: Axis = None, keepdim: bool = False) -> Self:
        """The p-norm over axes, sum(|x|**p)**(1/p): "fro" is 2, 0 counts what is not 0, inf and -inf are the largest and smallest |x|.

        The gradient is 0 where the norm is 0. Raises DTypeError unless the elements are floats.
        """
        order = 2.0 if p == "fro" else p
        if isinstance(order, str):
            raise UsageError(f'norm: p is a number or "fro", not {p!r}')
        size = self._of_floats("norm")._wide().abs()
        if math.isinf(order):
            return (size.max(axis, keepdim) if order > 0 else size.min(axis, keepdim)).cast(self.dtype)
        if order in (0, 1, 2):
            total = (size.ne(0).float() if order == 0 else size if order == 1 else size * size).sum(axis, keepdim)
            return (total._root() if order == 2 else total).cast(self.dtype)
        return size._raised(order).sum(axis, keepdim)._raised(1 / order).cast(self.dtype)

    def _raised(self, exponent: float) -> Self:
        """Sizes to a power, with gradient 0 at 0."""
        zero = self.eq(0)
        return zero.where(0.0 if exponent > 0 else math.inf, zero.where(1, self).pow(exponent))

    def normalize(self, p: float = 2.0, axis: Axis = 1, eps: float = 1e-12) -> Self:
        """Divided by the p-norm over axes, or by `eps` where that is larger; floats."""
        x = self._of_floats("normalize")._wide()
        return (x / x.norm(p, axis, keepdim=True).maximum(eps)).cast(self.dtype)

    # Extremes.

    def max(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The largest over axes; NaN if there is one. Equal largest elements share the gradient, as those of PyTorch's `amax`.

        Values only, also with an axis, where PyTorch's `max` gives indices too: `argmax` has them.
        """
        return self._reduce(Ops.MAX, axis, keepdim=keepdim)

    def min(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The smallest over axes; NaN if there is one. Equal smallest elements share the gradient, as those of PyTorch's `amin`.

        Values only, also with an axis, where PyTorch's `min` gives indices too: `argmin` has them.
        """
        return self._reduce(Ops.MIN, axis, keepdim=keepdim)

    amax = max
    amin = min

    def argmax(self, axis: int | None = None, keepdim: bool = False) -> Self:
        """Where the largest is along an axis, or in the flattened tensor: the first of equals, the first NaN if there is one; int32."""
        return self._arg(Ops.MAX, axis, keepdim=keepdim)

    def argmin(self, axis: int | None = None, keepdim: bool = False) -> Self:
        """Where the smallest is along an axis, or in the flattened tensor: the first of equals, the first NaN if there is one; int32."""
        return self._arg(Ops.MIN, axis, keepdim=keepdim)

    def _arg(self, op: Op, axis: int | None, *, keepdim: bool) -> Self:
        if axis is None or not self.ndim:
            over(axis, self.ndim)
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
        """True where an element over the axes is not 0; False over nothing."""
        return self.count_nonzero(axis, keepdim).ne(0)

    def all(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """True where no element over the axes is 0, as over nothing."""
        return self.logical_not().sum(axis, keepdim).eq(0)

    def count_nonzero(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """How many elements over the axes are not 0; int32. NaN is not 0."""
        return self.bool().sum(axis, keepdim)

    # Normalised exponentials.

    def _shifted(self, axis: Axis) -> Self:
        """Less the largest, so that exponentials do not overflow; the shift cancels, so no gradient passes through it."""
        return self if self._count(axis) == 0 else self - self.max(axis, keepdim=True).detach()

    def softmax(self, axis: Axis = -1, dtype: DType | None = None) -> Self:
        """exp(x) divided by its sum over the axis; of the elements as `dtype` where one is given. Floats."""
        x = self._as(dtype)._of_floats("softmax")
        raised = x._wide()._shifted(axis).exp()
        return (raised / raised.sum(axis, keepdim=True)).cast(x.dtype)

    def log_softmax(self, axis: Axis = -1, dtype: DType | None = None) -> Self:
        """The logarithm of softmax, without overflow; of the elements as `dtype` where one is given. Floats."""
        x = self._as(dtype)._of_floats("log_softmax")
        shifted = x._wide()._shifted(axis)
        return (shifted - shifted.exp().sum(axis, keepdim=True).log()).cast(x.dtype)

    def logsumexp(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """The logarithm of the sum of exponentials, without overflow: -inf over nothing, and with gradient 0 where it is -inf."""
        x = self._floating()._wide()
        if self._count(axis) == 0:
            return x.sum(axis, keepdim).log().cast(self._floating().dtype)
        largest = x.max(axis, keepdim=True).detach()
        shift = largest.isinf().where(0, largest)
        none = largest.eq(-math.inf)
        total = none.where(1, (x - shift).exp().sum(axis, keepdim=True)).log() + shift
        return none.where(-math.inf, total)._settled(axis, keepdim, self.dtype)
