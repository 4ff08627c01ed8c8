"""Resizing: a grid of values read at the places of a coarser or finer one.

Each axis takes its elements at places computed in the kernel, so that a whole interpolation is one expression.

>>> from anneal import Tensor
>>> x = Tensor([[[1.0, 2.0, 4.0]]])
>>> x.interpolate(6).tolist(), x.interpolate(5, mode="linear", align_corners=True).tolist()
([[[1.0, 1.0, 2.0, 2.0, 4.0, 4.0]]], [[[1.0, 1.5, 2.0, 3.0, 4.0]]])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir.dtype import dtypes
from anneal.ir.shape import show
from anneal.tensor import shapes
from anneal.tensor.scattering import Scattering

_AXES: Final = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
"""Axes of space that a mode is for; the nearest modes are for any."""
_NEAREST: Final = ("nearest", "nearest-exact")
_CUBIC: Final = -0.75
"""The slope parameter of cubic convolution, as PyTorch has it: Keys, Cubic convolution interpolation for digital image processing, 1981."""


class Resizing(Scattering):
    """Values of a grid on another one."""

    __slots__ = ()

    def interpolate(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> Self:
        """(batch, channels, ...) with 1 to 3 axes of space of another size, given itself or as a factor; PyTorch's, without `antialias`.

        Modes: nearest, nearest-exact, linear, bilinear, bicubic, trilinear. With `align_corners` the outermost elements meet, else their
        outer edges; then a factor that is not recomputed from the sizes is taken as it is.
        """
        if mode not in (*_NEAREST, *_AXES):
            raise UsageError(f"interpolate: the mode is one of {', '.join((*_NEAREST, *_AXES))}, not {mode!r}")
        if not 3 <= self.ndim <= 5 or _AXES.get(mode, self.ndim - 2) != self.ndim - 2:
            raise ShapeError(f"interpolate: mode {mode} is not for shape {show(self.shape)}: it must be (batch, channels, ...) with the mode's axes of space")
        if mode in _NEAREST and align_corners is not None:
            raise UsageError(f"interpolate: align_corners is for the modes {', '.join(_AXES)}, not for {mode}")
        if mode not in _NEAREST and not self.dtype.is_float:
            raise DTypeError(f"interpolate: mode {mode} needs floats, not {self.dtype.name}: cast with .float()")
        have = shapes.known(self.shape[2:], "interpolate")
        wanted, factors = _sizes(have, size, scale_factor)
        if 0 in have:
            raise ShapeError(f"interpolate: shape {show(self.shape)} has nothing to read from")
        x = self._wide() if mode not in _NEAREST else self
        for axis, (old, new, factor) in enumerate(zip(have, wanted, factors, strict=True), start=2):
            step = old / new if factor is None or recompute_scale_factor else 1 / factor
            if align_corners:
                step = (old - 1) / (new - 1) if new > 1 else 0.0
            if old != new or step != 1:
                x = x._resized(axis, old, new, step, mode, corners=bool(align_corners))
        return x.cast(self.dtype)

    def _resized(self, axis: int, old: int, new: int, step: float, mode: str, *, corners: bool) -> Self:
        """One axis of `old` elements as `new`, whose places are `step` apart."""
        if mode in _NEAREST and new % old == 0 and step == old / new:
            return self.repeat_interleave(new // old, axis)
        ramp = self._iota(new, dtype=dtypes.int32).float()
        if mode in _NEAREST:
            return self._picked(axis, self._inside((ramp if mode == "nearest" else ramp + 0.5) * step, old))
        place = ramp * step if corners else (ramp + 0.5) * step - 0.5
        if mode != "bicubic":
            place = place.maximum(0)
        below = place.floor()
        far = place - below
        weights = _cubic(far) if mode == "bicubic" else (1 - far, far)
        first = -1 if mode == "bicubic" else 0
        total: Self | None = None
        for tap, weight in enumerate(weights, start=first):
            aligned = weight.reshape(tuple(new if i == axis else 1 for i in range(self.ndim)))
            part = self._picked(axis, self._inside(below + tap, old)) * aligned
            total = part if total is None else total + part
        assert total is not None, "there are at least two taps"
        return total

    def _inside(self, place: Self, size: int) -> Self:
        """Places as integers, the nearest of those that are there."""
        return place.floor().maximum(0).minimum(size - 1).int()


def _sizes(have: tuple[int, ...], size: int | Sequence[int] | None, factor: float | Sequence[float] | None) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The sizes of the result, and the factors where these were given."""
    if (size is None) == (factor is None):
        raise UsageError("interpolate: give either size or scale_factor")
    if size is not None:
        wanted = shapes.pair(size, "size", len(have))
        factors: tuple[float | None, ...] = (None,) * len(have)
    else:
        given = (factor,) * len(have) if isinstance(factor, int | float) else tuple(factor or ())
        if len(given) != len(have) or any(isinstance(f, bool) or not isinstance(f, int | float) or not f > 0 or not math.isfinite(f) for f in given):
            raise ShapeError(f"scale_factor must be one positive number or {len(have)} of them, not {factor!r}")
        wanted, factors = tuple(math.floor(n * f) for n, f in zip(have, given, strict=True)), given
    if 0 in wanted:
        raise ShapeError(f"interpolate: the result would have sizes {show(wanted)}, and each must be at least 1")
    return wanted, factors


def _cubic(far: Any) -> tuple[Any, Any, Any, Any]:
    """The weights of the four elements around a place that lies `far`, from 0 to 1, behind the second of them."""

    def near(t: Any) -> Any:
        return ((_CUBIC + 2) * t - (_CUBIC + 3)) * t * t + 1

    def distant(t: Any) -> Any:
        return ((_CUBIC * t - 5 * _CUBIC) * t + 8 * _CUBIC) * t - 4 * _CUBIC

    return distant(far + 1), near(far), near(1 - far), distant(2 - far)
