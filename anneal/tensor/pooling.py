"""Pools: the mean or the largest of windows over one, two or three last axes, and back to where the largest were.

A pool is a reduction over windows that are index arithmetic. What padding adds never wins a maximum. Positions are int32, counted in the
flattened plane. Equal largest elements share the gradient.

>>> from anneal import Tensor
>>> Tensor.arange(16).reshape(1, 4, 4).max_pool2d(2).tolist()
[[[5, 7], [13, 15]]]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import mul
from typing import Any, Literal, NamedTuple, Self, TypeVar, overload

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir.shape import show
from anneal.tensor import shapes
from anneal.tensor.convolutions import Convolutions, Sizes

Step = Sizes | None
Outputs = int | None | Sequence[int | None]
Shaped = TypeVar("Shaped", bound=Convolutions)


class _Windows(NamedTuple):
    """Where the windows of a pool lie, an entry for each axis of the plane."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    over: tuple[int, ...]
    """Elements after the padding that only rounding up makes windows reach."""


class Pools(Convolutions):
    """Windows reduced to one element each."""

    __slots__ = ()

    # The largest.

    @overload
    def max_pool1d(
        self,
        kernel_size: Sizes = ...,
        stride: Step = ...,
        padding: Sizes = ...,
        dilation: Sizes = ...,
        ceil_mode: bool = ...,
        return_indices: Literal[False] = ...,
    ) -> Self: ...
    @overload
    def max_pool1d(
        self, kernel_size: Sizes = ..., stride: Step = ..., padding: Sizes = ..., dilation: Sizes = ..., ceil_mode: bool = ..., *, return_indices: Literal[True]
    ) -> tuple[Self, Self]: ...
    def max_pool1d(
        self, kernel_size: Sizes = 2, stride: Step = None, padding: Sizes = 0, dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False
    ) -> Self | tuple[Self, Self]:
        """The largest of each window of (..., channels, L); see `max_pool2d`."""
        x, windows = self._placed("max_pool1d", 1, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)
        return x._largest(windows, return_indices=return_indices)

    @overload
    def max_pool2d(
        self,
        kernel_size: Sizes = ...,
        stride: Step = ...,
        padding: Sizes = ...,
        dilation: Sizes = ...,
        ceil_mode: bool = ...,
        return_indices: Literal[False] = ...,
    ) -> Self: ...
    @overload
    def max_pool2d(
        self, kernel_size: Sizes = ..., stride: Step = ..., padding: Sizes = ..., dilation: Sizes = ..., ceil_mode: bool = ..., *, return_indices: Literal[True]
    ) -> tuple[Self, Self]: ...
    def max_pool2d(
        self, kernel_size: Sizes = 2, stride: Step = None, padding: Sizes = 0, dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False
    ) -> Self | tuple[Self, Self]:
        """The largest of each window of (..., channels, H, W); padding never wins. The stride is the kernel's size unless given.

        `ceil_mode` has a window for what is left at the end too. With `return_indices` also where each is in the flattened plane, int32:
        the first of equals.
        """
        x, windows = self._placed("max_pool2d", 2, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)
        return x._largest(windows, return_indices=return_indices)

    @overload
    def max_pool3d(
        self,
        kernel_size: Sizes = ...,
        stride: Step = ...,
        padding: Sizes = ...,
        dilation: Sizes = ...,
        ceil_mode: bool = ...,
        return_indices: Literal[False] = ...,
    ) -> Self: ...
    @overload
    def max_pool3d(
        self, kernel_size: Sizes = ..., stride: Step = ..., padding: Sizes = ..., dilation: Sizes = ..., ceil_mode: bool = ..., *, return_indices: Literal[True]
    ) -> tuple[Self, Self]: ...
    def max_pool3d(
        self, kernel_size: Sizes = 2, stride: Step = None, padding: Sizes = 0, dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False
    ) -> Self | tuple[Self, Self]:
        """The largest of each window of (..., channels, D, H, W); see `max_pool2d`."""
        x, windows = self._placed("max_pool3d", 3, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)
        return x._largest(windows, return_indices=return_indices)

    def _largest(self, windows: _Windows, *, return_indices: bool) -> Self | tuple[Self, Self]:
        """The largest of each window, and where it is."""
        found = self._pooled(windows, lowest=True)
        count = len(windows.size)
        best = found.max(tuple(range(-count, 0)))
        if not return_indices:
            return best
        plane = self._plane(count)
        return best, found._place_of(best, [self._positions(windows, plane, i) for i in range(count)], plane)

    def _place_of(self, best: Self, positions: list[Self], plane: tuple[int, ...]) -> Self:
        """Where the largest of each window (..., OH, OW, KH, KW) is in the flattened plane, from the positions (O, K) along each axis."""
        count = len(plane)
        axes = tuple(range(-count, 0))
        largest = best.detach().reshape(*best.shape, *(1,) * count)
        windows = self.detach()
        hit = windows == largest
        if self.dtype.is_float:
            hit = hit | windows.isnan()
        place: Self | None = None
        for i, (position, size) in enumerate(zip(positions, plane, strict=True)):
            spread = [1] * (2 * count)
            spread[i], spread[count + i] = (n if isinstance(n, int) else 1 for n in position.shape)
            along = position.reshape(spread)
            hit = hit & (along >= 0) & (along < size)
            place = along if place is None else place * size + along
        assert place is not None, "a plane has an axis"
        return hit.where(place, math.prod(plane)).min(axes)

    # The mean.

    def avg_pool1d(self, kernel_size: Sizes = 2, stride: Step = None, padding: Sizes = 0, ceil_mode: bool = False, count_include_pad: bool = True) -> Self:
        """The mean of each window of (..., channels, L); see `avg_pool2d`."""
        return self._averaged(1, kernel_size, stride, padding, None, ceil_mode=ceil_mode, count_include_pad=count_include_pad)

    def avg_pool2d(
        self,
        kernel_size: Sizes = 2,
        stride: Step = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Self:
        """The mean of each window of (..., channels, H, W); padding counts as zeros unless `count_include_pad` is False.

        What `ceil_mode` reaches beyond the padding never counts. `divisor_override` is divided by instead of the count.
        """
        return self._averaged(2, kernel_size, stride, padding, divisor_override, ceil_mode=ceil_mode, count_include_pad=count_include_pad)

    def avg_pool3d(
        self,
        kernel_size: Sizes = 2,
        stride: Step = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Self:
        """The mean of each window of (..., channels, D, H, W); see `avg_pool2d`."""
        return self._averaged(3, kernel_size, stride, padding, divisor_override, ceil_mode=ceil_mode, count_include_pad=count_include_pad)

    def _averaged(self, count: int, kernel: Sizes, stride: Step, padding: Sizes, divisor: int | None, *, ceil_mode: bool, count_include_pad: bool) -> Self:
        if divisor == 0:
            raise UsageError(f"avg_pool{count}d: divisor_override must not be 0")
        x, at = self._placed(f"avg_pool{count}d", count, kernel, stride, padding, 1, ceil_mode=ceil_mode)
        windows, axes = x._pooled(at), tuple(range(-count, 0))
        if divisor is not None:
            return (windows._floating()._wide().sum(axes) / divisor).cast(x._floating().dtype)
        if not any(at.over) and (count_include_pad or not any(at.padding)):
            return windows.mean(axes)
        lengths = []
        for i, length in enumerate(x._plane(count)):
            margin = at.padding[i] if count_include_pad else 0
            start = self._iota(windows.shape[self.ndim - count + i]) * at.stride[i] - at.padding[i]
            lengths.append((start + at.size[i]).minimum(length + margin) - start.maximum(-margin))
        return (windows._floating()._wide().sum(axes) / _areas(lengths)).cast(x._floating().dtype)

    # Windows of one size.

    def _plane(self, count: int) -> tuple[int, ...]:
        """The sizes of the last axes, which must be known."""
        return shapes.pair(self.shape[self.ndim - count :], "the plane", count)  # type: ignore[arg-type]

    def _placed(self, what: str, count: int, kernel: Sizes, stride: Step, padding: Sizes, dilation: Sizes, *, ceil_mode: bool) -> tuple[Self, _Windows]:
        """This tensor, checked, and where the windows lie."""
        self._planes(what, count)
        size, apart = shapes.pair(kernel, "kernel_size", count), shapes.pair(dilation, "dilation", count)
        step, margin = shapes.pair(kernel if stride is None else stride, "stride", count), shapes.pair(padding, "padding", count)
        if min(*size, *step, *apart) < 1:
            raise ShapeError(f"{what}: kernel_size {kernel}, stride {stride} and dilation {dilation} must be at least 1")
        if any(2 * p > d * (k - 1) + 1 for p, k, d in zip(margin, size, apart, strict=True)):
            raise ShapeError(f"{what}: padding {padding} is more than half of the kernel {kernel}: some windows would hold padding only")
        over = [0] * count
        for i, length in enumerate(self._plane(count)) if ceil_mode else ():
            reach, padded = apart[i] * (size[i] - 1) + 1, length + 2 * margin[i]
            outputs = -(-(padded - reach) // step[i]) + 1
            if (outputs - 1) * step[i] >= length + margin[i]:  # the last window would begin behind everything
                outputs -= 1
            over[i] = max(0, (outputs - 1) * step[i] + reach - padded)
        return self, _Windows(size, step, margin, apart, tuple(over))

    def _pooled(self, at: _Windows, *, lowest: bool = False) -> Self:
        """(..., H, W) as (..., OH, OW, KH, KW), with zeros or else the dtype's least number around."""
        around = [(p, p + more) for p, more in zip(at.padding, at.over, strict=True)]
        padded = self.pad([(0, 0)] * (self.ndim - len(around)) + around, self.dtype.min if lowest else 0)
        return padded._windows(at.size, at.stride, at.dilation)

    def _positions(self, at: _Windows, plane: tuple[int, ...], axis: int) -> Self:
        """Where along an axis of the plane each element of each window lies, (outputs, size); outside of the plane in the padding."""
        size, step, margin, apart = at.size[axis], at.stride[axis], at.padding[axis], at.dilation[axis]
        reach = plane[axis] + 2 * margin + at.over[axis] - apart * (size - 1) - 1
        first = self._iota(reach // step + 1, 2, 0) * step
        return first + self._iota(size, 2, 1) * apart - margin

    # Windows that divide a plane.

    @overload
    def adaptive_max_pool1d(self, output_size: Outputs, return_indices: Literal[False] = ...) -> Self: ...
    @overload
    def adaptive_max_pool1d(self, output_size: Outputs, return_indices: Literal[True]) -> tuple[Self, Self]: ...
    def adaptive_max_pool1d(self, output_size: Outputs, return_indices: bool = False) -> Self | tuple[Self, Self]:
        """The largest of `output_size` windows that share (..., channels, L); see `adaptive_max_pool2d`."""
        return self._adapted_largest(1, output_size, return_indices=return_indices)

    @overload
    def adaptive_max_pool2d(self, output_size: Outputs, return_indices: Literal[False] = ...) -> Self: ...
    @overload
    def adaptive_max_pool2d(self, output_size: Outputs, return_indices: Literal[True]) -> tuple[Self, Self]: ...
    def adaptive_max_pool2d(self, output_size: Outputs, return_indices: bool = False) -> Self | tuple[Self, Self]:
        """The largest of windows that share (..., channels, H, W) so that the result's plane is `output_size`; None keeps a size.

        Window i of n begins at floor(i * size / n) and ends at ceil((i + 1) * size / n), as PyTorch's. With `return_indices` also where each
        is in the flattened plane, int32.
        """
        return self._adapted_largest(2, output_size, return_indices=return_indices)

    @overload
    def adaptive_max_pool3d(self, output_size: Outputs, return_indices: Literal[False] = ...) -> Self: ...
    @overload
    def adaptive_max_pool3d(self, output_size: Outputs, return_indices: Literal[True]) -> tuple[Self, Self]: ...
    def adaptive_max_pool3d(self, output_size: Outputs, return_indices: bool = False) -> Self | tuple[Self, Self]:
        """The largest of windows that share (..., channels, D, H, W); see `adaptive_max_pool2d`."""
        return self._adapted_largest(3, output_size, return_indices=return_indices)

    def adaptive_avg_pool1d(self, output_size: Outputs) -> Self:
        """The mean of `output_size` windows that share (..., channels, L); see `adaptive_max_pool2d`."""
        return self._adapted_mean(1, output_size)

    def adaptive_avg_pool2d(self, output_size: Outputs) -> Self:
        """The mean of windows that share (..., channels, H, W), so that the plane is `output_size`; see `adaptive_max_pool2d`."""
        return self._adapted_mean(2, output_size)

    def adaptive_avg_pool3d(self, output_size: Outputs) -> Self:
        """The mean of windows that share (..., channels, D, H, W); see `adaptive_max_pool2d`."""
        return self._adapted_mean(3, output_size)

    def _adapted_largest(self, count: int, output_size: Outputs, *, return_indices: bool) -> Self | tuple[Self, Self]:
        outputs, even = self._shared(f"adaptive_max_pool{count}d", count, output_size)
        if even is not None:
            return self._largest(even, return_indices=return_indices)
        windows, places, inside = self._uneven(outputs)
        axes = tuple(range(-count, 0))
        kept = inside.where(windows, self.dtype.min)
        best = kept.max(axes)
        if not return_indices:
            return best
        return best, kept._place_of(best, places, self._plane(count))

    def _adapted_mean(self, count: int, output_size: Outputs) -> Self:
        outputs, even = self._shared(f"adaptive_avg_pool{count}d", count, output_size)
        axes = tuple(range(-count, 0))
        if even is not None:
            return self._pooled(even).mean(axes)
        windows, _, inside = self._uneven(outputs)
        shares = [_share(self._iota(wanted), length, wanted) for length, wanted in zip(self._plane(count), outputs, strict=True)]
        lengths: list[Self] = [end - start for start, end in shares]
        return (inside.where(windows._floating()._wide(), 0).sum(axes) / _areas(lengths)).cast(self._floating().dtype)

    def _shared(self, what: str, count: int, output_size: Outputs) -> tuple[tuple[int, ...], _Windows | None]:
        """The result's plane; and windows of one size where it divides the plane."""
        self._planes(what, count)
        plane = self._plane(count)
        asked = (output_size,) * count if output_size is None or isinstance(output_size, int) else tuple(output_size)
        if len(asked) != count:
            raise ShapeError(f"{what}: output_size must be one number or {count} of them, not {output_size!r}")
        outputs = shapes.pair(tuple(n if o is None else o for n, o in zip(plane, asked, strict=True)), "output_size", count)
        if min(outputs) < 1 or min(plane) < 1:
            raise ShapeError(f"{what}: a plane of shape {show(plane)} cannot be shared by {show(outputs)} windows: each needs an element")
        if any(n % o for n, o in zip(plane, outputs, strict=True)):
            return outputs, None
        size, zeros = tuple(n // o for n, o in zip(plane, outputs, strict=True)), (0,) * count
        return outputs, _Windows(size, size, zeros, (1,) * count, zeros)

    def _uneven(self, outputs: tuple[int, ...]) -> tuple[Self, list[Self], Self]:
        """Windows (..., OH, OW, KH, KW) as long as the longest; where along each axis (O, K) their elements are, -1 for none; and which are some."""
        count, plane = len(outputs), self._plane(len(outputs))
        x, places, inside = self, [], None
        for i, (length, wanted) in enumerate(zip(plane, outputs, strict=True)):
            longest = max(end - start for start, end in (_share(o, length, wanted) for o in range(wanted)))
            start, end = _share(self._iota(wanted, 2, 0), length, wanted)
            position = start + self._iota(longest, 2, 1)
            taken = position < end
            places.append(taken.where(position, -1))
            at = self.ndim - count + i
            x = x[(*(slice(None),) * at, position.minimum(length - 1))]
            # The gathered axis became two; its windows go to the end.
            x = x.permute(*(j for j in range(x.ndim) if j != at + 1), at + 1)
            spread = [1] * (2 * count)
            spread[i], spread[count + i] = wanted, longest
            mask = taken.reshape(spread)
            inside = mask if inside is None else inside & mask
        assert inside is not None, "a plane has an axis"
        return x, places, inside

    # Back.

    def max_unpool1d(self, indices: Self, kernel_size: Sizes = 2, stride: Step = None, padding: Sizes = 0, output_size: Sequence[int] | None = None) -> Self:
        """Elements of (..., channels, L) back where `max_pool1d` found them; see `max_unpool2d`."""
        return self._unpooled(1, indices, kernel_size, stride, padding, output_size)

    def max_unpool2d(self, indices: Self, kernel_size: Sizes = 2, stride: Step = None, padding: Sizes = 0, output_size: Sequence[int] | None = None) -> Self:
        """Elements of (..., channels, H, W) back where `max_pool2d` found them, at `indices` in a flattened plane of zeros.

        The plane is what the pool would have come from, or the last sizes of `output_size`. Of several elements for one place the last stays;
        an index outside the plane is dropped. Every place looks at every index.
        """
        return self._unpooled(2, indices, kernel_size, stride, padding, output_size)

    def max_unpool3d(self, indices: Self, kernel_size: Sizes = 2, stride: Step = None, padding: Sizes = 0, output_size: Sequence[int] | None = None) -> Self:
        """Elements of (..., channels, D, H, W) back where `max_pool3d` found them; see `max_unpool2d`."""
        return self._unpooled(3, indices, kernel_size, stride, padding, output_size)

    def _unpooled(self, count: int, indices: Self, kernel: Sizes, stride: Step, padding: Sizes, output_size: Sequence[int] | None) -> Self:
        what = f"max_unpool{count}d"
        self._planes(what, count)
        if indices.shape != self.shape:
            raise ShapeError(f"{what}: indices of shape {show(indices.shape)} do not fit shape {show(self.shape)}: they must be equal")
        if not indices.dtype.is_int:
            raise DTypeError(f"{what}: indices are integers, not {indices.dtype.name}: cast with .int()")
        size, margin = shapes.pair(kernel, "kernel_size", count), shapes.pair(padding, "padding", count)
        step = shapes.pair(kernel if stride is None else stride, "stride", count)
        usual = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(self._plane(count), step, margin, size, strict=True))
        plane = usual if output_size is None else shapes.pair(tuple(output_size)[-count:], "output_size", count)
        if any(not u - s < n < u + s for n, u, s in zip(plane, usual, step, strict=True)):
            raise ShapeError(f"{what}: output_size {show(plane)} is not within one stride of {show(usual)}")
        before, given, total = self.shape[: self.ndim - count], math.prod(self._plane(count)), math.prod(plane)
        if not given:
            return self.zeros(*before, *plane, dtype=self.dtype, device=self._device)
        places, values = indices.reshape(*before, 1, given), self.reshape(*before, 1, given)
        number, target = self._iota(given), self._iota(total, dtype=indices.dtype).unsqueeze(1)
        last = (places == target).where(number, -1).max(-1, keepdim=True)
        return (last == number).where(values, 0).sum(-1).cast(self.dtype).reshape(*before, *plane)


def _share(output: Any, length: int, wanted: int) -> tuple[Any, Any]:
    """Where window number `output` of `wanted` over so many elements begins and ends."""
    return output * length // wanted, ((output + 1) * length + (wanted - 1)) // wanted


def _areas(lengths: Sequence[Shaped]) -> Shaped:
    """How many elements each window has, from its length along each axis."""
    return reduce(mul, [along.reshape(-1, *(1,) * behind) for behind, along in zip(reversed(range(len(lengths))), lengths, strict=True)])
