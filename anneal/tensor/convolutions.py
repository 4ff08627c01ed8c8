"""Convolutions over one, two or three last axes, and the transposed ones that undo their shapes. As PyTorch's, they do not flip the kernel.

Windows are index arithmetic; a convolution is one sum of products over them, bias included, in one kernel.

>>> from anneal import Tensor
>>> Tensor.ones(1, 3, 8, 8).conv2d(Tensor.ones(6, 3, 3, 3), padding="same").shape
(1, 6, 8, 8)
>>> Tensor.ones(1, 6, 4, 4).conv_transpose2d(Tensor.ones(6, 3, 2, 2), stride=2).shape
(1, 3, 8, 8)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from anneal.errors import ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import DType, promote
from anneal.ir.shape import show
from anneal.tensor import shapes
from anneal.tensor.products import Products

Sizes = int | Sequence[int]
Padding = int | Sequence[int] | str
_PLANE: Final = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class Convolutions(Products):
    """Sums of products over windows."""

    __slots__ = ()

    def _windows(self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Self:
        """(..., H, W) as (..., OH, OW, KH, KW)."""
        x = self
        for i, (size, step, apart) in enumerate(zip(kernel, stride, dilation, strict=True)):
            x = x.unfold(self.ndim - len(kernel) + i, size, step, apart)
        return x

    def _planes(self, what: str, count: int = 2) -> None:
        """Raise unless there are `count` axes after the channels, with a batch in front or not."""
        if self.ndim not in (count + 1, count + 2):
            plane = ", ".join(_PLANE[count])
            raise ShapeError(f"{what} needs (batch, channels, {plane}) or (channels, {plane}), not shape {show(self.shape)}")

    # Forward.

    def conv1d(self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1) -> Self:
        """Cross-correlation of (batch, channels, L) with weight (out, channels / groups, K); see `conv2d`."""
        return self._convolved(1, weight, bias, stride, padding, dilation, groups)

    def conv2d(self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1) -> Self:
        """Cross-correlation of (batch, channels, H, W) with weight (out, channels / groups, KH, KW), as PyTorch's; the batch may be missing.

        `padding` is a number or one an axis, "valid" for none, or "same" for the input's size, with stride 1. Raises ShapeError where shapes
        do not fit.
        """
        return self._convolved(2, weight, bias, stride, padding, dilation, groups)

    def conv3d(self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1) -> Self:
        """Cross-correlation of (batch, channels, D, H, W) with weight (out, channels / groups, KD, KH, KW); see `conv2d`."""
        return self._convolved(3, weight, bias, stride, padding, dilation, groups)

    def _convolved(self, count: int, weight: Self, bias: Self | None, stride: Sizes, padding: Padding, dilation: Sizes, groups: int) -> Self:
        what = f"conv{count}d"
        self._planes(what, count)
        if self.ndim == count + 1:
            return self.unsqueeze(0)._convolved(count, weight, bias, stride, padding, dilation, groups).squeeze(0)
        inputs = self.shape[1]
        if weight.ndim != count + 2 or groups < 1 or weight.shape[1] != _part(inputs, groups) or _part(weight.shape[0], groups) is None:
            fits = f"does not fit input {show(self.shape)} with {groups} groups: it must be (out, channels / groups, {', '.join(_PLANE[count])})"
            raise ShapeError(f"{what}: weight {show(weight.shape)} {fits}")
        dtype = promote(self.dtype, weight.dtype)
        out, inner, *kernel = weight.shape
        size = shapes.pair(tuple(kernel), "kernel", count)  # type: ignore[arg-type]
        steps, apart = shapes.pair(stride, "stride", count), shapes.pair(dilation, "dilation", count)
        if min(*steps, *apart, *size) < 1:
            raise ShapeError(f"{what}: stride {stride}, dilation {dilation} and the kernel's sizes {show(size)} must be at least 1")
        around = margins(padding, size, steps, apart)
        windows = self.cast(dtype).pad([(0, 0), (0, 0), *around])._windows(size, steps, apart)
        plane, batch = windows.shape[2 : 2 + count], self.shape[0]
        # (batch, groups, 1, OH, OW, inner, KH, KW) times (groups, out / groups, 1, 1, inner, KH, KW)
        x = windows.reshape(batch, groups, 1, inner, *plane, *kernel).permute(_channels_inside(count))
        w = weight.cast(dtype).reshape(groups, _part(out, groups), *(1,) * count, inner, *kernel)
        result = (x._wide() * w._wide()).sum(tuple(range(-1 - count, 0))).reshape(batch, out, *plane)
        return result._biased(bias, dtype, what)

    def _biased(self, bias: Self | None, dtype: DType, what: str) -> Self:
        """With a number for each channel added, and rounded to `dtype`."""
        if bias is None:
            return self._narrow_to(dtype)
        if bias.ndim != 1 or bias.shape[0] != self.shape[1]:
            raise ShapeError(f"{what}: bias must have shape {show(self.shape[1:2])}, a number for each channel of the result, not {show(bias.shape)}")
        return (self + bias.reshape(1, -1, *(1,) * (self.ndim - 2)))._narrow_to(promote(dtype, bias.dtype))

    # Transposed.

    def conv_transpose1d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1
    ) -> Self:
        """The adjoint of conv1d: (batch, channels, L) with weight (channels, out / groups, K); see `conv_transpose2d`."""
        return self._transposed(1, weight, bias, stride, padding, output_padding, groups, dilation)

    def conv_transpose2d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1
    ) -> Self:
        """The adjoint of conv2d: each element of (batch, channels, H, W) spreads weight (channels, out / groups, KH, KW), `stride` apart.

        An axis gets (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1 elements. Raises ShapeError where shapes do
        not fit, UsageError where `output_padding` is not smaller than stride or dilation.
        """
        return self._transposed(2, weight, bias, stride, padding, output_padding, groups, dilation)

    def conv_transpose3d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1
    ) -> Self:
        """The adjoint of conv3d: (batch, channels, D, H, W) with weight (channels, out / groups, KD, KH, KW); see `conv_transpose2d`."""
        return self._transposed(3, weight, bias, stride, padding, output_padding, groups, dilation)

    def _transposed(
        self, count: int, weight: Self, bias: Self | None, stride: Sizes, padding: Sizes, output_padding: Sizes, groups: int, dilation: Sizes
    ) -> Self:
        what = f"conv_transpose{count}d"
        self._planes(what, count)
        if self.ndim == count + 1:
            return self.unsqueeze(0)._transposed(count, weight, bias, stride, padding, output_padding, groups, dilation).squeeze(0)
        if weight.ndim != count + 2 or groups < 1 or weight.shape[0] != self.shape[1] or _part(self.shape[1], groups) is None:
            fits = f"does not fit input {show(self.shape)} with {groups} groups: it must be (channels, out / groups, {', '.join(_PLANE[count])})"
            raise ShapeError(f"{what}: weight {show(weight.shape)} {fits}")
        dtype = promote(self.dtype, weight.dtype)
        batch, inner, out = self.shape[0], _part(self.shape[1], groups), weight.shape[1]
        plane = shapes.pair(self.shape[2:], "the plane", count)  # type: ignore[arg-type]
        kernel = shapes.pair(weight.shape[2:], "kernel", count)  # type: ignore[arg-type]
        steps, apart = shapes.pair(stride, "stride", count), shapes.pair(dilation, "dilation", count)
        cut, more = shapes.pair(padding, "padding", count), shapes.pair(output_padding, "output_padding", count)
        if min(*steps, *apart, *kernel) < 1:
            raise ShapeError(f"{what}: stride {stride}, dilation {dilation} and the kernel's sizes {show(kernel)} must be at least 1")
        if any(m >= max(s, d) for m, s, d in zip(more, steps, apart, strict=True)):
            raise UsageError(f"{what}: output_padding {output_padding} must be smaller than stride {stride} or dilation {dilation}")
        reach = [(n - 1) * s + d * (k - 1) + 1 + m for n, k, s, d, m in zip(plane, kernel, steps, apart, more, strict=True)]
        if any(n <= 2 * p for n, p in zip(reach, cut, strict=True)):
            raise ShapeError(f"{what}: padding {padding} leaves nothing of shape {show(self.shape)}, which spreads over {tuple(reach)}")
        ones = (1,) * count
        x = self.cast(dtype)._wide().reshape(batch, groups, 1, inner, *plane, *ones).expand(batch, groups, 1, inner, *plane, *kernel)
        for i in range(count):
            x = x._make(build.unshear(x.uop, 4 + i, 4 + count + i, steps[i], apart[i], reach[i]))
        x = x.shrink([None] * 4 + [(p, n - p) for n, p in zip(reach, cut, strict=True)] + [None] * count)
        plane = shapes.pair(x.shape[4 : 4 + count], "the plane", count)  # type: ignore[arg-type]
        w = weight.cast(dtype)._wide().reshape(groups, inner, out, *kernel).transpose(1, 2).reshape(groups, out, *ones, inner, *kernel)
        result = (x.permute(_channels_inside(count)) * w).sum(tuple(range(-1 - count, 0)))
        return result.reshape(batch, _times(out, groups), *plane)._biased(bias, dtype, what)


def _channels_inside(count: int) -> list[int]:
    """(batch, groups, 1, channels, plane, kernel) as (batch, groups, 1, plane, channels, kernel)."""
    return [0, 1, 2, *range(4, 4 + count), 3, *range(4 + count, 4 + 2 * count)]


def margins(padding: Padding, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
    """How much is added before and after each axis; where "same" is odd, one more after."""
    if not isinstance(padding, str):
        return [(p, p) for p in shapes.pair(padding, "padding", len(kernel))]
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if padding != "same":
        raise UsageError(f'padding is numbers, "same" or "valid", not {padding!r}')
    if any(s != 1 for s in stride):
        raise UsageError(f'padding="same" needs stride 1, not {tuple(stride)}: give the padding as numbers')
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return [(n // 2, n - n // 2) for n in totals]


def _part(size: object, groups: int) -> int | None:
    """A size divided among groups; None when it does not divide."""
    return size // groups if isinstance(size, int) and size % groups == 0 else None


def _times(size: object, groups: int) -> int:
    if not isinstance(size, int):
        raise ShapeError("a convolution needs a known number of channels")
    return size * groups
