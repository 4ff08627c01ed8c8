"""What networks are made of: products, convolutions, pools, normalisation and losses.

>>> from anneal import Tensor
>>> (Tensor.ones(4, 2, 3) @ Tensor.ones(3, 5)).shape
(4, 2, 5)
>>> Tensor.ones(1, 3, 8, 8).conv2d(Tensor.ones(6, 3, 3, 3), padding=1).max_pool2d(2).shape
(1, 6, 4, 4)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from anneal.errors import ShapeError, UsageError
from anneal.ir.dtype import Scalar, dtypes, promote
from anneal.ir.shape import show
from anneal.tensor import shapes
from anneal.tensor.elementwise import Operand
from anneal.tensor.reduce import Axis
from anneal.tensor.sorting import Sorting

Sizes = int | Sequence[int]


class Networks(Sorting):
    """Layers without state."""

    __slots__ = ()

    # Products.

    def matmul(self, other: Self) -> Self:
        """Matrix product of the last two axes, the axes before them broadcast; vectors count as one row or one column."""
        if not self.shape or not other.shape:
            raise ShapeError("matmul needs at least one axis on both sides: use * for numbers")
        if self.ndim == 1:
            return self.unsqueeze(0).matmul(other).squeeze(-2 if other.ndim > 1 else 0)
        if other.ndim == 1:
            return self.matmul(other.unsqueeze(1)).squeeze(-1)
        if self.shape[-1] != other.shape[-2]:
            columns, rows = show(self.shape[-1:])[1:-2], show(other.shape[-2:-1])[1:-2]
            raise ShapeError(f"cannot multiply {show(self.shape)} by {show(other.shape)}: {columns} columns meet {rows} rows")
        dtype = promote(self.dtype, other.dtype)
        left, right = self.cast(dtype).unsqueeze(-2), other.cast(dtype).transpose(-1, -2).unsqueeze(-3)
        return (left._wide() * right._wide()).sum(-1)._narrow_to(dtype)

    dot = matmul

    def __matmul__(self, other: Self) -> Self:
        return self.matmul(other)

    def __rmatmul__(self, other: Operand) -> Self:
        return type(self)(other, device=self._device).matmul(self)

    def linear(self, weight: Self, bias: Self | None = None) -> Self:
        """x @ weight.T + bias, with weight of shape (out, in)."""
        product = self.matmul(weight.transpose(-1, -2) if weight.ndim > 1 else weight)
        return product if bias is None else product + bias

    # Convolutions and pools over the last two axes.

    def _windows(self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Self:
        """(..., H, W) as (..., OH, OW, KH, KW)."""
        x = self
        for i, (size, step, apart) in enumerate(zip(kernel, stride, dilation, strict=True)):
            x = x.unfold(self.ndim - len(kernel) + i, size, step, apart)
        return x

    def _planes(self, what: str) -> None:
        if self.ndim not in (3, 4):
            raise ShapeError(f"{what} needs (batch, channels, height, width) or (channels, height, width), not shape {show(self.shape)}")

    def conv2d(self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1, groups: int = 1) -> Self:
        """Cross-correlation of (batch, channels, H, W) with weight (out, channels / groups, KH, KW), as PyTorch's."""
        self._planes("conv2d")
        if self.ndim == 3:
            return self.unsqueeze(0).conv2d(weight, bias, stride, padding, dilation, groups).squeeze(0)
        if weight.ndim != 4 or groups < 1 or weight.shape[1] != _part(self.shape[1], groups) or _part(weight.shape[0], groups) is None:
            fits = f"does not fit input {show(self.shape)} with {groups} groups: it must be (out, channels / groups, height, width)"
            raise ShapeError(f"conv2d: weight {show(weight.shape)} {fits}")
        dtype = promote(self.dtype, weight.dtype)
        out, inner, *kernel = weight.shape
        (top, left), batch = shapes.pair(padding, "padding"), self.shape[0]
        padded = self.cast(dtype).pad((left, left, top, top))
        windows = padded._windows(shapes.pair(tuple(kernel), "kernel"), shapes.pair(stride, "stride"), shapes.pair(dilation, "dilation"))  # type: ignore[arg-type]
        high, wide = windows.shape[2:4]
        # (batch, groups, 1, OH, OW, inner, KH, KW) times (groups, out / groups, 1, 1, inner, KH, KW)
        x = windows.reshape(batch, groups, 1, inner, high, wide, *kernel).permute(0, 1, 2, 4, 5, 3, 6, 7)
        w = weight.cast(dtype).reshape(groups, _part(out, groups), 1, 1, inner, *kernel)
        result = (x._wide() * w._wide()).sum((-3, -2, -1))._narrow_to(dtype).reshape(batch, out, high, wide)
        return result if bias is None else result + bias.reshape(1, -1, 1, 1)

    def max_pool2d(self, kernel_size: Sizes = 2, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1) -> Self:
        """The largest of each window; padding never wins."""
        self._planes("max_pool2d")
        lowest: Scalar = self.dtype.min
        return self._pooled(kernel_size, stride, padding, dilation, lowest).max((-2, -1))

    def avg_pool2d(self, kernel_size: Sizes = 2, stride: Sizes | None = None, padding: Sizes = 0, count_include_pad: bool = True) -> Self:
        """The mean of each window; padding counts as zeros unless `count_include_pad` is False."""
        self._planes("avg_pool2d")
        windows = self._pooled(kernel_size, stride, padding, 1, 0)
        if count_include_pad:
            return windows.mean((-2, -1))
        inside = self.ones_like(dtypes.float32)._pooled(kernel_size, stride, padding, 1, 0).sum((-2, -1))
        return (windows._wide().sum((-2, -1)) / inside).cast(self.dtype)

    def _pooled(self, kernel: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, fill: Scalar) -> Self:
        size, (top, left) = shapes.pair(kernel, "kernel_size"), shapes.pair(padding, "padding")
        if 2 * top > size[0] or 2 * left > size[1]:
            raise ShapeError(f"padding {padding} is more than half of the kernel {kernel}: some windows would hold padding only")
        padded = self.pad((left, left, top, top), fill)
        return padded._windows(size, shapes.pair(kernel if stride is None else stride, "stride"), shapes.pair(dilation, "dilation"))

    # Normalisation.

    def layernorm(self, axis: Axis = -1, eps: float = 1e-5) -> Self:
        """Mean 0 and variance 1 over the axes."""
        x = self._floating()._wide()
        distance = x - x.mean(axis, keepdim=True)
        return (distance * ((distance * distance).mean(axis, keepdim=True) + eps).rsqrt()).cast(self._floating().dtype)

    def batchnorm(self, weight: Self | None, bias: Self | None, mean: Self, invstd: Self, axis: int = 1) -> Self:
        """(x - mean) * invstd * weight + bias, each of these along one axis."""
        at = shapes.axis(axis, self.ndim)
        shape = tuple(-1 if i == at else 1 for i in range(self.ndim))
        x = (self - mean.reshape(shape)) * invstd.reshape(shape)
        if weight is not None:
            x = x * weight.reshape(shape)
        return x if bias is None else x + bias.reshape(shape)

    # Losses. Reductions: mean, sum or none.

    def _reduced(self, reduction: str) -> Self:
        if reduction not in ("mean", "sum", "none"):
            raise UsageError(f'reduction is "mean", "sum" or "none", not {reduction!r}')
        return self if reduction == "none" else self.mean() if reduction == "mean" else self.sum()

    def cross_entropy(self, target: Self, reduction: str = "mean", label_smoothing: float = 0.0) -> Self:
        """Loss of logits (batch, classes, ...) against class numbers (batch, ...) or probabilities (batch, classes, ...).

        A class number outside [0, classes) gives NaN; no number is ignored.
        """
        axis = 1 if self.ndim > 1 else 0
        scores = self.log_softmax(axis)
        if target.dtype.is_float:
            if target.shape != self.shape:
                raise ShapeError(f"cross_entropy: probabilities of shape {show(target.shape)} do not fit logits of shape {show(self.shape)}")
            if label_smoothing:
                target = target * (1 - label_smoothing) + label_smoothing / self._classes(axis)
            losses = -(scores * target).sum(axis)
            return losses.sum() / self._batch(axis) if reduction == "mean" else losses._reduced(reduction)
        losses = scores._nll(target, axis)
        if label_smoothing:
            losses = losses * (1 - label_smoothing) - scores.mean(axis) * label_smoothing
        return losses._reduced(reduction)

    def _classes(self, axis: int) -> int:
        size = self.shape[axis]
        if not isinstance(size, int):
            raise ShapeError("the number of classes must be known")
        return size

    def _batch(self, axis: int) -> int:
        return self.numel() // self._classes(axis)

    sparse_categorical_crossentropy = cross_entropy

    def nll_loss(self, target: Self, reduction: str = "mean") -> Self:
        """Loss of log-probabilities (batch, classes, ...) against class numbers (batch, ...); NaN for a number outside [0, classes)."""
        return self._nll(target, 1 if self.ndim > 1 else 0)._reduced(reduction)

    def _nll(self, target: Self, axis: int) -> Self:
        wanted = (*self.shape[:axis], *self.shape[axis + 1 :])
        if target.shape != wanted or not target.dtype.is_int:
            raise ShapeError(f"class numbers are integers of shape {show(wanted)}, not {target.dtype.name} of shape {show(target.shape)}")
        classes = self._classes(axis)
        hit = target.unsqueeze(axis).eq(self._iota(classes, self.ndim, axis, target.dtype))
        valid = (target >= 0) & (target < classes)
        return valid.where(-hit.where(self, 0).sum(axis), math.nan)

    def mse_loss(self, target: Self, reduction: str = "mean") -> Self:
        """Squared differences."""
        return (self - target).square()._reduced(reduction)

    def l1_loss(self, target: Self, reduction: str = "mean") -> Self:
        """Sizes of differences."""
        return (self - target).abs()._reduced(reduction)

    def binary_cross_entropy(self, target: Self, reduction: str = "mean") -> Self:
        """Loss of probabilities against probabilities; logarithms are kept above -100 as in PyTorch."""
        return -(target * self.log().maximum(-100) + (1 - target) * (1 - self).log().maximum(-100))._reduced(reduction)

    def binary_cross_entropy_with_logits(self, target: Self, reduction: str = "mean") -> Self:
        """Loss of logits against probabilities, without overflow."""
        return (self.softplus() - self * target)._reduced(reduction)


def _part(size: object, groups: int) -> int | None:
    """A size divided among groups; None when it does not divide."""
    return size // groups if isinstance(size, int) and size % groups == 0 else None
