"""Normalisation: mean 0 and variance 1 over some axes, then a scale and a shift, as layers need them.

All is computed in float32 and rounded once, to the input's dtype. `layernorm` and `batchnorm` are the bare arithmetic; the names with an
underscore are PyTorch's functions.

>>> from anneal import Tensor
>>> Tensor.arange(8).reshape(2, 4).float().layer_norm(4).shape
(2, 4)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from anneal.errors import ShapeError, UsageError
from anneal.ir.shape import product, show
from anneal.tensor import shapes
from anneal.tensor.core import no_grad
from anneal.tensor.pooling import Pools
from anneal.tensor.reduce import Axis


class Normalisation(Pools):
    """Elements less their mean, over their deviation."""

    __slots__ = ()

    def layernorm(self, axis: Axis = -1, eps: float = 1e-5) -> Self:
        """Mean 0 and variance 1 over the axes."""
        return self._normalised(axis, eps)._rounded_like(self)

    def _normalised(self, axis: Axis, eps: float) -> Self:
        x = self._floating()._wide()
        distance = x - x.mean(axis, keepdim=True)
        return distance * ((distance * distance).mean(axis, keepdim=True) + eps).rsqrt()

    def _rounded_like(self, other: Self) -> Self:
        """Rounded to the dtype of another, or float32 where that is no float."""
        return self.cast(other._floating().dtype)

    def batchnorm(self, weight: Self | None, bias: Self | None, mean: Self, invstd: Self, axis: int = 1) -> Self:
        """(x - mean) * invstd * weight + bias, each of these along one axis."""
        at = shapes.axis(axis, self.ndim)
        shape = tuple(-1 if i == at else 1 for i in range(self.ndim))
        x = (self - mean.reshape(shape)) * invstd.reshape(shape)
        if weight is not None:
            x = x * weight.reshape(shape)
        return x if bias is None else x + bias.reshape(shape)

    def layer_norm(self, normalized_shape: int | Sequence[int], weight: Self | None = None, bias: Self | None = None, eps: float = 1e-5) -> Self:
        """Mean 0 and variance 1 over the last axes, which have shape `normalized_shape`; then times `weight` plus `bias`, of that shape."""
        axes = self._last_axes("layer_norm", normalized_shape, weight, bias)
        return self._normalised(axes, eps)._scaled(weight, bias)._rounded_like(self)

    def rms_norm(self, normalized_shape: int | Sequence[int], weight: Self | None = None, eps: float | None = None) -> Self:
        """Divided by the root of the mean square over the last axes; `eps` is the dtype's own rounding unless given. Zhang, Sennrich 2019."""
        axes = self._last_axes("rms_norm", normalized_shape, weight, None)
        small = 2.0 ** (1 - self._floating().dtype.digits) if eps is None else eps
        x = self._floating()._wide()
        return (x * ((x * x).mean(axes, keepdim=True) + small).rsqrt())._scaled(weight, None)._rounded_like(self)

    def group_norm(self, num_groups: int, weight: Self | None = None, bias: Self | None = None, eps: float = 1e-5) -> Self:
        """Mean 0 and variance 1 over each of `num_groups` groups of channels of (batch, channels, ...), then scaled and shifted a channel."""
        if self.ndim < 2:
            raise ShapeError(f"group_norm needs (batch, channels, ...), not shape {show(self.shape)}")
        batch, channels = self.shape[:2]
        if num_groups < 1 or not isinstance(channels, int) or channels % num_groups:
            raise ShapeError(f"group_norm: the channels of shape {show(self.shape)} do not divide into {num_groups} groups")
        self._channels("group_norm", weight=weight, bias=bias)
        inside = product((channels // num_groups, *self.shape[2:]))
        x = self.reshape(batch, num_groups, inside)._normalised(-1, eps).reshape(self.shape)
        return x._scaled_channels(weight, bias)._rounded_like(self)

    def instance_norm(
        self,
        running_mean: Self | None = None,
        running_var: Self | None = None,
        weight: Self | None = None,
        bias: Self | None = None,
        use_input_stats: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Self:
        """Mean 0 and variance 1 over each channel of each sample of (batch, channels, ...), then scaled and shifted a channel.

        Running statistics, where given, are assigned the mean over the batch; they are used instead of the input's unless `use_input_stats`.
        """
        if not use_input_stats:
            return self.batch_norm(running_mean, running_var, weight, bias, training=False, eps=eps)
        if self.ndim < 3:
            raise ShapeError(f"instance_norm needs (batch, channels, ...), not shape {show(self.shape)}")
        self._channels("instance_norm", running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
        axes = tuple(range(2, self.ndim))
        self._several("instance_norm", axes)
        self._remember(running_mean, running_var, axes, momentum)
        return self._normalised(axes, eps)._scaled_channels(weight, bias)._rounded_like(self)

    def batch_norm(
        self,
        running_mean: Self | None,
        running_var: Self | None,
        weight: Self | None = None,
        bias: Self | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Self:
        """Each channel of (batch, channels, ...) less its mean, over its deviation, then scaled and shifted.

        In training by the batch's statistics, and the running ones, where given, are assigned `momentum` of them; otherwise by the running
        ones. Raises UsageError where there are none to use.
        """
        if self.ndim < 2:
            raise ShapeError(f"batch_norm needs (batch, channels, ...), not shape {show(self.shape)}")
        self._channels("batch_norm", running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
        if training:
            axes = tuple(i for i in range(self.ndim) if i != 1)
            self._several("batch_norm", axes)
            self._remember(running_mean, running_var, axes, momentum)
            return self._normalised(axes, eps)._scaled_channels(weight, bias)._rounded_like(self)
        if running_mean is None or running_var is None:
            raise UsageError("batch_norm needs running_mean and running_var unless training=True")
        return self._wide().batchnorm(weight, bias, running_mean._wide(), (running_var._wide() + eps).rsqrt())._rounded_like(self)

    def _remember(self, running_mean: Self | None, running_var: Self | None, axes: tuple[int, ...], momentum: float) -> None:
        """Assign running statistics a part of the input's, whose variance is the unbiased one."""
        with no_grad():
            x = self._floating()._wide()
            if running_mean is not None:
                mean = x.mean(axes).reshape(-1, x.shape[1])
                running_mean.assign((running_mean * (1 - momentum) + mean.mean(0) * momentum).cast(running_mean.dtype))
            if running_var is not None:
                var = x.var(axes).reshape(-1, x.shape[1])
                running_var.assign((running_var * (1 - momentum) + var.mean(0) * momentum).cast(running_var.dtype))

    # What fits.

    def _several(self, what: str, axes: tuple[int, ...]) -> None:
        if self._count(axes) == 1:
            raise ShapeError(f"{what}: shape {show(self.shape)} has one number a channel to take the variance of; it needs more than one")

    def _last_axes(self, what: str, normalized_shape: int | Sequence[int], weight: Self | None, bias: Self | None) -> tuple[int, ...]:
        last = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not last or self.shape[-len(last) :] != last:
            raise ShapeError(f"{what} over {show(last)} does not fit shape {show(self.shape)}: it must be the last sizes")
        for name, one in (("weight", weight), ("bias", bias)):
            if one is not None and one.shape != last:
                raise ShapeError(f"{what}: {name} must have shape {show(last)}, not {show(one.shape)}")
        return tuple(range(-len(last), 0))

    def _channels(self, what: str, **each: Self | None) -> None:
        for name, one in each.items():
            if one is not None and one.shape != self.shape[1:2]:
                raise ShapeError(f"{what}: {name} must have shape {show(self.shape[1:2])}, a number for each channel, not {show(one.shape)}")

    def _scaled(self, weight: Self | None, bias: Self | None) -> Self:
        x = self if weight is None else self * weight
        return x if bias is None else x + bias

    def _scaled_channels(self, weight: Self | None, bias: Self | None) -> Self:
        shape = (1, -1, *(1,) * (self.ndim - 2))
        return self._scaled(None if weight is None else weight.reshape(shape), None if bias is None else bias.reshape(shape))
