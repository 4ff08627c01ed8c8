"""Convolution layers over one, two or three axes, and transposed ones. Names, shapes and initialisation are PyTorch's.

>>> from anneal import Tensor
>>> Conv2d(3, 8, 3, padding=1)(Tensor.ones(2, 3, 5, 5)).shape
(2, 8, 5, 5)
>>> ConvTranspose1d(3, 8, 4, stride=2)(Tensor.ones(2, 3, 5)).shape
(2, 8, 12)
"""

from __future__ import annotations

import math
from typing import ClassVar, Final

from anneal.errors import ShapeError, UsageError
from anneal.nn.layers import fan_uniform
from anneal.tensor import realize, shapes
from anneal.tensor.convolutions import Padding, Sizes, margins
from anneal.tensor.tensor import Tensor

_MODES: Final = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
"""What the modes of padding are called by `Tensor.pad`."""


class _Conv:
    """What the convolutions share."""

    axes: ClassVar[int]
    """How many axes a kernel has."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        """Parameters `weight` (out, in / groups, *kernel_size) and `bias` (out,), or None.

        `padding` may be "same" or "valid"; `padding_mode` is zeros, reflect, replicate or circular.
        """
        _check_groups(type(self).__name__, in_channels, out_channels, groups)
        if padding_mode not in _MODES:
            raise UsageError(f"padding_mode is one of {', '.join(_MODES)}, not {padding_mode!r}")
        self.kernel_size = kernel = shapes.pair(kernel_size, "kernel_size", self.axes)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.padding_mode = padding_mode
        fan_in = in_channels // groups * math.prod(kernel)
        self.weight = fan_uniform((out_channels, in_channels // groups, *kernel), fan_in)
        self.bias = fan_uniform((out_channels,), fan_in) if bias else None

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, in, ...) to (batch, out, ...); the batch may be missing."""
        convolve = (Tensor.conv1d, Tensor.conv2d, Tensor.conv3d)[self.axes - 1]
        if self.padding_mode == "zeros":
            return convolve(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        padded = x.pad(self._around(), _MODES[self.padding_mode])
        return convolve(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _around(self) -> list[int]:
        """(before, after) for each axis, the last first."""
        stride, apart = (shapes.pair(value, "an argument", self.axes) for value in (self.stride, self.dilation))
        return [n for pair in reversed(margins(self.padding, self.kernel_size, stride, apart)) for n in pair]


class Conv1d(_Conv):
    """Cross-correlation of (batch, channels, length) with learned kernels."""

    axes = 1


class Conv2d(_Conv):
    """Cross-correlation of (batch, channels, height, width) with learned kernels."""

    axes = 2


class Conv3d(_Conv):
    """Cross-correlation of (batch, channels, depth, height, width) with learned kernels."""

    axes = 3


class _ConvTranspose:
    """What the transposed convolutions share."""

    axes: ClassVar[int]
    """How many axes a kernel has."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
    ) -> None:
        """Parameters `weight` (in, out / groups, *kernel_size) and `bias` (out,), or None."""
        _check_groups(type(self).__name__, in_channels, out_channels, groups)
        self.kernel_size = kernel = shapes.pair(kernel_size, "kernel_size", self.axes)
        self.stride, self.padding, self.output_padding, self.groups, self.dilation = stride, padding, output_padding, groups, dilation
        fan_in = out_channels // groups * math.prod(kernel)  # as PyTorch counts it, by the weight's second axis
        self.weight = fan_uniform((in_channels, out_channels // groups, *kernel), fan_in)
        self.bias = fan_uniform((out_channels,), fan_in) if bias else None

    def __call__(self, x: Tensor, output_size: Sizes | None = None) -> Tensor:
        """(batch, in, ...) to (batch, out, ...); `output_size` chooses among the sizes that a convolution would take to the input's."""
        convolve = (Tensor.conv_transpose1d, Tensor.conv_transpose2d, Tensor.conv_transpose3d)[self.axes - 1]
        more = self.output_padding if output_size is None else self._more(x, shapes.pair(output_size, "output_size", self.axes))
        return convolve(x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation)

    def _more(self, x: Tensor, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding that gives a size."""
        shared = (shapes.pair(value, "an argument", self.axes) for value in (self.stride, self.padding, self.dilation))
        sizes = zip(realize.sizes(x.uop)[-self.axes :], self.kernel_size, *shared, strict=True)
        least = [(n - 1) * step - 2 * pad + apart * (k - 1) + 1 for n, k, step, pad, apart in sizes]
        steps = shapes.pair(self.stride, "stride", self.axes)
        if any(not low <= want < low + step for low, want, step in zip(least, wanted, steps, strict=True)):
            most = tuple(low + step - 1 for low, step in zip(least, steps, strict=True))
            raise ShapeError(f"{type(self).__name__}: output_size is from {tuple(least)} to {most} for an input of shape {x.shape}, not {wanted}")
        return tuple(want - low for want, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of Conv1d: (batch, channels, length) spread by learned kernels."""

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of Conv2d: (batch, channels, height, width) spread by learned kernels."""

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """The adjoint of Conv3d: (batch, channels, depth, height, width) spread by learned kernels."""

    axes = 3


def _check_groups(what: str, inputs: int, outputs: int, groups: int) -> None:
    if groups < 1 or inputs % groups or outputs % groups:
        raise UsageError(f"{what}: {inputs} input and {outputs} output channels do not divide into {groups} groups")
