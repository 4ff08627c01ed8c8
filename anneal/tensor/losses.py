"""Losses: how far predictions are from targets, as one number, or one for each prediction.

Every loss takes `reduction`: "mean", "sum" or "none". Classes are axis 1, or axis 0 of a vector; further axes are more predictions. Targets may
be differentiated too, where they are floats.

>>> from anneal import Tensor
>>> Tensor([[2.0, 0.0], [0.0, 1.0]]).cross_entropy(Tensor([0, 1]), reduction="none").shape
(2,)
"""

from __future__ import annotations

import math
from typing import Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.shape import product, show
from anneal.tensor import shapes
from anneal.tensor.normalisation import Normalisation

_IGNORED = -100
"""The class number that is ignored unless another is given, as in PyTorch."""


class Losses(Normalisation):
    """Distances from a target."""

    __slots__ = ()

    def _reduced(self, reduction: str) -> Self:
        _check(reduction)
        return self if reduction == "none" else self.mean() if reduction == "mean" else self.sum()

    # Of classes.

    def cross_entropy(
        self, target: Self, weight: Self | None = None, ignore_index: int | None = _IGNORED, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> Self:
        """Loss of logits (batch, classes, ...) against class numbers (batch, ...) or probabilities (batch, classes, ...).

        `weight` (classes,) weighs classes, in the mean too. Predictions whose class number is `ignore_index` do not count; another number
        outside [0, classes) gives NaN. With None none is ignored, which saves counting them. `label_smoothing` mixes that much of equal
        probabilities into the target.
        """
        _check(reduction)
        if not 0 <= label_smoothing <= 1:
            raise UsageError(f"label_smoothing is from 0 to 1, not {label_smoothing}")
        axis = self._class_axis(weight)
        scores = self.log_softmax(axis)
        if not target.dtype.is_float:
            return scores._nll(target, axis, weight, ignore_index, reduction, label_smoothing)
        if target.shape != self.shape:
            raise ShapeError(f"cross_entropy: probabilities of shape {show(target.shape)} do not fit logits of shape {show(self.shape)}")
        if label_smoothing:
            target = target * (1 - label_smoothing) + label_smoothing / self._classes(axis)
        if weight is not None:
            scores = scores * self._along_classes(weight, axis)
        losses = -(scores * target).sum(axis)
        return losses.sum()._over(product((*self.shape[:axis], *self.shape[axis + 1 :]))) if reduction == "mean" else losses._reduced(reduction)

    sparse_categorical_crossentropy = cross_entropy

    def nll_loss(self, target: Self, weight: Self | None = None, ignore_index: int | None = _IGNORED, reduction: str = "mean") -> Self:
        """Loss of log-probabilities (batch, classes, ...) against class numbers (batch, ...); see `cross_entropy`."""
        _check(reduction)
        return self._nll(target, self._class_axis(weight), weight, ignore_index, reduction, 0.0)

    def _nll(self, target: Self, axis: int, weight: Self | None, ignored: int | None, reduction: str, smoothing: float) -> Self:
        wanted = (*self.shape[:axis], *self.shape[axis + 1 :])
        if target.shape != wanted or not target.dtype.is_int:
            raise ShapeError(f"class numbers are integers of shape {show(wanted)}, not {target.dtype.name} of shape {show(target.shape)}")
        classes = self._classes(axis)
        hit = target.unsqueeze(axis).eq(self._iota(classes, self.ndim, axis, target.dtype))
        losses = -hit.where(self, 0).sum(axis)
        share = None if weight is None else weight._make(build.gather(weight.uop, target.cast(dtypes.int32).uop))
        if share is not None:
            losses = losses * share
        losses = ((target >= 0) & (target < classes)).where(losses, math.nan)
        if smoothing:
            scores = self if weight is None else self * self._along_classes(weight, axis)
            losses = losses * (1 - smoothing) - scores.mean(axis) * smoothing
        if ignored is not None and target.dtype.min <= ignored <= target.dtype.max:
            counted = target.ne(ignored)
            losses = counted.where(losses, 0)
            share = counted.cast(self.dtype) if share is None else counted.where(share, 0)
        if reduction != "mean" or share is None:
            return losses._reduced(reduction)
        # In a buffer of its own the count is ready before gradients need it, and splits nothing else.
        return losses.sum() / share.sum().contiguous()

    def _class_axis(self, weight: Self | None) -> int:
        """The axis of the classes, which must be there and fit their weights."""
        if not self.shape:
            raise ShapeError("a loss of classes needs an axis of classes, not a single number")
        axis = 1 if self.ndim > 1 else 0
        if weight is not None and (not isinstance(weight, Losses) or weight.shape != self.shape[axis : axis + 1]):
            raise ShapeError(f"the weight of classes is a tensor of shape {show(self.shape[axis : axis + 1])}, not {weight!r}")
        return axis

    def _along_classes(self, weight: Self, axis: int) -> Self:
        return weight.reshape(tuple(-1 if i == axis else 1 for i in range(self.ndim)))

    def _classes(self, axis: int) -> int:
        size = self.shape[axis]
        if not isinstance(size, int):
            raise ShapeError("the number of classes must be known")
        return size

    # Of numbers.

    def _apart(self, target: Self, what: str) -> Self:
        """The differences, of shapes that broadcast."""
        try:
            shapes.broadcast(self.shape, target.shape)
        except ShapeError as error:
            raise ShapeError(f"{what}: a target of shape {show(target.shape)} does not fit predictions of shape {show(self.shape)}") from error
        return self - target

    def mse_loss(self, target: Self, reduction: str = "mean") -> Self:
        """Squared differences."""
        return self._apart(target, "mse_loss").square()._reduced(reduction)

    def l1_loss(self, target: Self, reduction: str = "mean") -> Self:
        """Sizes of differences."""
        return self._apart(target, "l1_loss").abs()._reduced(reduction)

    def smooth_l1_loss(self, target: Self, reduction: str = "mean", beta: float = 1.0) -> Self:
        """0.5 d² / beta for differences below `beta`, else |d| - 0.5 beta: the Huber loss divided by beta. Girshick 2015."""
        if beta < 0:
            raise UsageError(f"smooth_l1_loss: beta must not be negative, and is {beta}")
        return self.l1_loss(target, reduction) if beta == 0 else (self._apart(target, "smooth_l1_loss")._huber(beta) / beta)._reduced(reduction)

    def huber_loss(self, target: Self, reduction: str = "mean", delta: float = 1.0) -> Self:
        """0.5 d² for differences up to `delta`, else delta * (|d| - 0.5 delta). Huber 1964."""
        if delta <= 0:
            raise UsageError(f"huber_loss: delta must be positive, and is {delta}")
        return self._apart(target, "huber_loss")._huber(delta)._reduced(reduction)

    def _huber(self, delta: float) -> Self:
        size = self.abs()
        return (size < delta).where(size * size * 0.5, (size - 0.5 * delta) * delta)

    def cosine_similarity(self, other: Self, axis: int = 1, eps: float = 1e-8) -> Self:
        """The cosine of the angle between vectors along an axis; no length counts as less than `eps`."""
        if not (self.dtype.is_float and other.dtype.is_float):
            raise DTypeError(f"cosine_similarity needs floats, not {self.dtype.name} and {other.dtype.name}: cast with .float()")
        common = shapes.broadcast(self.shape, other.shape)
        at = shapes.axis(axis, len(common))
        x, y = self.expand(common)._wide(), other.expand(common)._wide()
        lengths = (one.square().sum(at, keepdim=True).maximum(eps * eps).sqrt() for one in (x, y))
        cosine = ((x / next(lengths)) * (y / next(lengths))).sum(at)
        return cosine.cast((self * 0 + other * 0).dtype)

    # Of probabilities.

    def binary_cross_entropy(self, target: Self, weight: Self | None = None, reduction: str = "mean") -> Self:
        """Loss of probabilities against probabilities; logarithms are kept above -100 as in PyTorch. `weight` broadcasts."""
        _check(reduction)
        self._same_shape(target, "binary_cross_entropy")
        losses = -(target * self.log().maximum(-100) + (1 - target) * (1 - self).log().maximum(-100))
        return (losses if weight is None else losses * weight)._reduced(reduction)

    def binary_cross_entropy_with_logits(self, target: Self, weight: Self | None = None, reduction: str = "mean", pos_weight: Self | None = None) -> Self:
        """Loss of logits against probabilities, without overflow. `weight` broadcasts; `pos_weight`, too, weighs what is true."""
        _check(reduction)
        self._same_shape(target, "binary_cross_entropy_with_logits")
        losses = self.softplus() - self * target if pos_weight is None else self * (1 - target) + ((pos_weight - 1) * target + 1) * (-self).softplus()
        return (losses if weight is None else losses * weight)._reduced(reduction)

    binary_crossentropy = binary_cross_entropy
    binary_crossentropy_logits = binary_cross_entropy_with_logits

    def _same_shape(self, target: Self, what: str) -> None:
        if target.shape != self.shape:
            raise ShapeError(f"{what}: a target of shape {show(target.shape)} does not fit predictions of shape {show(self.shape)}: they must be equal")

    def kl_div(self, target: Self, reduction: str = "mean", log_target: bool = False) -> Self:
        """target * (log(target) - x) of log-probabilities x; the target's logarithm with `log_target`. Also "batchmean": the sum over axis 0's size."""
        if reduction != "batchmean":
            _check(reduction, '"batchmean"')
        self._apart(target, "kl_div")
        if log_target:
            losses = target.exp() * (target - self)
        else:
            positive = target > 0
            losses = positive.where(target * positive.where(target, 1).log(), target * 0) - target * self
        if reduction != "batchmean":
            return losses._reduced(reduction)
        if not self.shape:
            raise ShapeError('kl_div: "batchmean" needs a batch, not a single number: use "mean"')
        return losses.sum()._over(self.shape[0])

    # Rows of a table.

    def embedding(self, weight: Self, padding_idx: int | None = None) -> Self:
        """Rows of `weight` (rows, width), by these integers: (...) to (..., width). Row `padding_idx` gets no gradient."""
        if weight.ndim != 2:
            raise ShapeError(f"embedding: the weight has shape (rows, width), not {show(weight.shape)}")
        if not self.dtype.is_int:
            raise DTypeError(f"embedding needs integers, not {self.dtype.name}: cast with .int()")
        if padding_idx is not None:
            rows = weight._classes(0)
            if not -rows <= padding_idx < rows:
                raise UsageError(f"embedding: padding_idx {padding_idx} is no row of a weight of shape {show(weight.shape)}")
            weight = self._iota(rows, 2, 0).eq(padding_idx % rows).where(weight.detach(), weight)
        return weight[self]


def _check(reduction: str, more: str = "") -> None:
    if reduction not in ("mean", "sum", "none"):
        known = ", ".join(filter(None, ('"mean"', '"sum"', more)))
        raise UsageError(f'reduction is {known} or "none", not {reduction!r}')
