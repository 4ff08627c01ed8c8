"""Normalisation layers. Names, shapes, initialisation and the tensors that they keep are PyTorch's.

In training, which is inside `Tensor.train()`, layers that keep running statistics assign them; `Optimizer.step()` realises them with the step.
Who compiles a step realises them with it: they are the layer's tensors.

>>> from anneal import Tensor
>>> layer = BatchNorm1d(2)
>>> with Tensor.train():
...     y = layer(Tensor([[1.0, 0.0], [3.0, 0.0]]))
>>> Tensor.realize(y, layer.running_mean, layer.running_var, layer.num_batches_tracked).tolist()
[[-0.9999949932098389, 0.0], [0.9999949932098389, 0.0]]
>>> [round(v, 3) for v in layer.running_mean.tolist()]
[0.2, 0.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from anneal.errors import ShapeError, UsageError
from anneal.ir.shape import show
from anneal.nn import pending
from anneal.tensor.core import no_grad
from anneal.tensor.tensor import Tensor


class LayerNorm:
    """Mean 0 and variance 1 over the last axes, then a learned scale and shift."""

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True) -> None:
        """Parameters `weight` and `bias` of the normalised shape, or None."""
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = Tensor.ones(*self.normalized_shape, requires_grad=True) if elementwise_affine else None
        self.bias = Tensor.zeros(*self.normalized_shape, requires_grad=True) if elementwise_affine and bias else None

    def __call__(self, x: Tensor) -> Tensor:
        """Of the input's shape."""
        return x.layer_norm(self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm:
    """Divided by the root of the mean square over the last axes, then a learned scale."""

    def __init__(self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True) -> None:
        """Parameter `weight` of the normalised shape, or None; `eps` is the dtype's own rounding unless given."""
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = Tensor.ones(*self.normalized_shape, requires_grad=True) if elementwise_affine else None

    def __call__(self, x: Tensor) -> Tensor:
        """Of the input's shape."""
        return x.rms_norm(self.normalized_shape, self.weight, self.eps)


class GroupNorm:
    """Mean 0 and variance 1 over groups of channels of each sample, then a learned scale and shift a channel."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        """Parameters `weight` and `bias` (channels,), or None."""
        if num_groups < 1 or num_channels % num_groups:
            raise UsageError(f"GroupNorm: {num_channels} channels do not divide into {num_groups} groups")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = Tensor.ones(num_channels, requires_grad=True) if affine else None
        self.bias = Tensor.zeros(num_channels, requires_grad=True) if affine else None

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, channels, ...) of the same shape."""
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm of {self.num_channels} channels needs (batch, {self.num_channels}, ...), not shape {show(x.shape)}")
        return x.group_norm(self.num_groups, self.weight, self.bias, self.eps)


class _Running:
    """What layers with running statistics share."""

    ranks: ClassVar[tuple[int, ...]]
    """How many axes an input may have."""

    def __init__(self, num_features: int, eps: float, momentum: float | None, *, affine: bool, track_running_stats: bool) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.track_running_stats = track_running_stats
        self.weight = Tensor.ones(num_features, requires_grad=True) if affine else None
        self.bias = Tensor.zeros(num_features, requires_grad=True) if affine else None
        self.running_mean = Tensor.zeros(num_features) if track_running_stats else None
        self.running_var = Tensor.ones(num_features) if track_running_stats else None
        self.num_batches_tracked = Tensor(0) if track_running_stats else None

    def _check(self, x: Tensor, channels: int) -> None:
        """Raise ShapeError unless the input has the right number of axes, and of channels along that axis."""
        if x.ndim not in self.ranks or x.shape[channels] != self.num_features:
            ranks = " or ".join(map(str, self.ranks))
            found = f"{ranks} axes with {self.num_features} channels, not shape {show(x.shape)}"
            raise ShapeError(f"{type(self).__name__} needs {found}")

    def _count(self, x: Tensor) -> Any:
        """Count a batch; returns the share of its statistics in the running ones."""
        share: Any = self.momentum
        if self.num_batches_tracked is not None:
            with no_grad():
                self.num_batches_tracked.assign(self.num_batches_tracked + 1)
                if share is None:  # the mean of all batches
                    share = 1 / self.num_batches_tracked.float()
            pending.note(self.num_batches_tracked, x)
        return 0.0 if share is None else share

    def _note(self, x: Tensor) -> None:
        """Let the step that comes realise the statistics, too."""
        for tensor in (self.running_mean, self.running_var):
            if tensor is not None:
                pending.note(tensor, x)


class _BatchNorm(_Running):
    """What batch normalisations share."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True) -> None:
        """Parameters `weight` and `bias`, statistics `running_mean`, `running_var` and `num_batches_tracked`; each may be left out.

        `momentum` is the share of a batch in the running statistics; None weighs all batches alike.
        """
        super().__init__(num_features, eps, momentum, affine=affine, track_running_stats=track_running_stats)

    def __call__(self, x: Tensor) -> Tensor:
        """Of the input's shape; in training the running statistics are assigned."""
        self._check(x, 1)
        if not Tensor.training:
            statistics = self.running_mean, self.running_var
            return x.batch_norm(*statistics, self.weight, self.bias, not self.track_running_stats, 0.0, self.eps)
        share = self._count(x)
        y = x.batch_norm(self.running_mean, self.running_var, self.weight, self.bias, True, share, self.eps)
        self._note(x)
        return y


class BatchNorm1d(_BatchNorm):
    """Mean 0 and variance 1 a channel of (batch, channels) or (batch, channels, length), by the batch in training and by running statistics otherwise."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Mean 0 and variance 1 a channel of (batch, channels, height, width), by the batch in training and by running statistics otherwise."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Mean 0 and variance 1 a channel of (batch, channels, depth, height, width), by the batch in training and by running statistics otherwise."""

    ranks = (5,)


class _InstanceNorm(_Running):
    """What instance normalisations share."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False, track_running_stats: bool = False) -> None:
        """No parameters and no statistics unless they are asked for."""
        super().__init__(num_features, eps, momentum, affine=affine, track_running_stats=track_running_stats)

    def __call__(self, x: Tensor) -> Tensor:
        """Of the input's shape; the batch may be missing."""
        self._check(x, x.ndim - min(self.ranks))
        if x.ndim == min(self.ranks):
            return self(x.unsqueeze(0)).squeeze(0)
        own = Tensor.training or not self.track_running_stats
        kept = self.running_mean, self.running_var
        y = x.instance_norm(*kept, self.weight, self.bias, own, self.momentum or 0.0, self.eps)
        if Tensor.training:
            self._note(x)
        return y


class InstanceNorm1d(_InstanceNorm):
    """Mean 0 and variance 1 a sample and channel of (batch, channels, length)."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Mean 0 and variance 1 a sample and channel of (batch, channels, height, width)."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Mean 0 and variance 1 a sample and channel of (batch, channels, depth, height, width)."""

    ranks = (4, 5)
