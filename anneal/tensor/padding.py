"""Padding: more elements around, of one value or continued from those that are there.

>>> from anneal import Tensor
>>> x = Tensor([1, 2, 3])
>>> x.pad((1, 2)).tolist(), x.pad((1, 2), "reflect").tolist(), x.pad((1, 2), "circular").tolist()
([0, 1, 2, 3, 0, 0], [2, 1, 2, 3, 2, 1], [3, 1, 2, 3, 1, 2])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

from anneal.errors import ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import Scalar
from anneal.ir.shape import show
from anneal.tensor.movement import Movement

_MODES: Final = ("constant", "reflect", "replicate", "circular")


class Padding(Movement):
    """More elements around."""

    __slots__ = ()

    def pad(self, padding: Sequence[Any], mode: str | Scalar = "constant", value: Scalar | None = None) -> Self:
        """Elements around: `value`, or by `mode` the neighbours reflected, the edge repeated (`replicate`) or the other end (`circular`).

        Plain numbers are PyTorch's `pad`: (before, after) of the last axis, then of the one before it, and so on. Pairs are one (before,
        after) or None for each axis, the first axis first. Negative amounts cut. A number as `mode` is the value: `x.pad(((1, 1),), 7)`.
        """
        amounts = self._padding(padding)
        if not isinstance(mode, str):
            value, mode = mode, "constant"
        if mode not in _MODES:
            raise UsageError(f"pad: the mode is one of {', '.join(_MODES)}, not {mode!r}")
        if mode != "constant":
            if value:
                raise UsageError(f"pad: a value, {value}, is for the mode constant, not for {mode}")
            out = self
            for axis, (low, high) in enumerate(amounts):
                if low or high:
                    out = out._continued(axis, low, high, mode)
            return out
        cut = [(max(0, -low), n if high >= 0 else n + high) for n, (low, high) in zip(self.shape, amounts, strict=True)]
        kept = build.shrink(self.uop, cut)
        return self._make(build.pad(kept, [(max(0, low), max(0, high)) for low, high in amounts], 0 if value is None else value))

    def _padding(self, padding: Sequence[Any]) -> list[tuple[int, int]]:
        if all(isinstance(p, int) for p in padding):
            if len(padding) % 2 or len(padding) > 2 * self.ndim:
                raise ShapeError(f"a flat padding has (before, after) for each axis from the last one on, not {tuple(padding)} for shape {show(self.shape)}")
            pairs = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)]
            return [(0, 0)] * (self.ndim - len(pairs)) + pairs[::-1]
        if len(padding) != self.ndim or not all(p is None or len(p) == 2 for p in padding):
            raise ShapeError(f"padding must have (before, after) or None for each of {self.ndim} axes, not {padding}")
        return [(0, 0) if p is None else (int(p[0]), int(p[1])) for p in padding]

    def _continued(self, axis: int, low: int, high: int, mode: str) -> Self:
        """One axis padded from its own elements: pieces side by side, so that each is read once and the gradient is a sum of pieces."""
        length = self.shape[axis]
        if not isinstance(length, int):
            raise ShapeError(f"pad by {mode} needs an axis of known size, not axis {axis} of shape {show(self.shape)}")
        cut_low, cut_high, low, high = max(0, -low), max(0, -high), max(0, low), max(0, high)
        if mode == "circular":  # goes round what is left, as PyTorch's does; the others continue what was there
            return self._cut(axis, length, cut_low, cut_high)._beside(axis, low, high, mode)
        return self._beside(axis, low, high, mode)._cut(axis, low + length + high, cut_low, cut_high)

    def _cut(self, axis: int, length: int, low: int, high: int) -> Self:
        if low + high > length:
            raise ShapeError(f"pad cannot cut {low} and {high} elements from axis {axis}, which has {length}")
        return self._narrow(axis, low, length - high)

    def _beside(self, axis: int, low: int, high: int, mode: str) -> Self:
        """An axis with `low` and `high` more elements before and behind."""
        length = self.shape[axis]
        assert isinstance(length, int), "checked by the caller"
        most = {"reflect": length - 1, "replicate": length and max(low, high), "circular": length}[mode]
        if max(low, high) > most:
            raise ShapeError(f"pad: axis {axis} of shape {show(self.shape)} can be continued by {max(0, most)} elements with {mode}, not {max(low, high)}")
        if mode == "circular":
            before, after = self._narrow(axis, length - low, length), self._narrow(axis, 0, high)
        elif mode == "reflect":
            before, after = self._narrow(axis, 1, low + 1).flip(axis), self._narrow(axis, length - high - 1, length - 1).flip(axis)
        else:
            before, after = self._edge(axis, 0, low), self._edge(axis, length - 1, high)
        pieces = [piece for piece, count in ((before, low), (self, length), (after, high)) if count]
        return pieces[0].cat(*pieces[1:], dim=axis) if pieces else self

    def _edge(self, axis: int, at: int, count: int) -> Self:
        """The element at one place of an axis, `count` times."""
        if not count:
            return self
        return self._narrow(axis, at, at + 1).expand(tuple(count if i == axis else n for i, n in enumerate(self.shape)))
