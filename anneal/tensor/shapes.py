"""Shapes and axes as users write them: -1, single numbers, negative axes, broadcasting.

>>> infer((2, 6), (-1, 4))
(3, 4)
>>> axes(-1, 3), axes(None, 2)
((2,), (0, 1))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anneal.errors import OutOfRangeError, ShapeError
from anneal.ir.shape import Dim, Shape, product, show
from anneal.ir.uop import UOp


def dims(args: Sequence[Any]) -> Shape:
    """A shape given as one sequence or as several numbers."""
    flat = tuple(args[0]) if len(args) == 1 and isinstance(args[0], list | tuple) else tuple(args)
    return tuple(_dim(d) for d in flat)


def _dim(value: Any) -> Dim:
    if isinstance(value, UOp):
        return value
    if isinstance(value, float) or not hasattr(value, "__index__"):
        raise ShapeError(f"a size must be an integer, not {value!r}")
    return int(value.__index__())


def sizes(args: Sequence[Any]) -> Shape:
    """The shape of a new tensor: no size is negative."""
    shape = dims(args)
    if any(isinstance(d, int) and d < 0 for d in shape):
        raise ShapeError(f"a new tensor cannot have shape {show(shape)}: sizes start at 0")
    return shape


def infer(have: Shape, target: Shape) -> Shape:
    """`target` with its one -1 replaced by what is left of `have`."""
    free = [i for i, d in enumerate(target) if d == -1]
    if not free:
        return target
    if len(free) > 1:
        raise ShapeError(f"cannot reshape to {show(target)}: only one size may be -1")
    rest, total = product(tuple(d for d in target if d != -1)), product(have)
    if not isinstance(rest, int) or not isinstance(total, int) or rest <= 0 or total % rest:
        raise ShapeError(f"cannot reshape {total} elements of shape {show(have)} to {show(target)}: {total} is not a multiple of {rest}")
    return (*target[: free[0]], total // rest, *target[free[0] + 1 :])


def axis(value: int, rank: int) -> int:
    """An axis counted from the front; raises OutOfRangeError, an IndexError, where there is none."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ShapeError(f"an axis must be an integer, not {value!r}")
    at = int(value)
    if not -rank <= at < rank:
        raise OutOfRangeError(f"axis {at} does not exist: a tensor with {rank} axes has {f'axes {-rank} to {rank - 1}' if rank else 'none'}")
    return at % rank


def axes(value: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Axes to work on, sorted: all of them for None."""
    if value is None:
        return tuple(range(rank))
    chosen = tuple(axis(v, rank) for v in (value if isinstance(value, list | tuple) else (value,)))
    if len(set(chosen)) < len(chosen):
        raise ShapeError(f"an axis is named twice in {value}")
    return tuple(sorted(chosen))


def known(shape: Shape, what: str) -> tuple[int, ...]:
    """The sizes as numbers; raises ShapeError where `what` would need one that is known at run time only."""
    sizes = tuple(n for n in shape if isinstance(n, int))
    if len(sizes) < len(shape):
        raise ShapeError(f"{what} needs axes of known size, not shape {show(shape)}")
    return sizes


def broadcast(*shapes: Shape) -> Shape:
    """The shape that all broadcast to: aligned at the end, sizes equal or 1."""
    rank = max(map(len, shapes), default=0)
    out: list[Dim] = [1] * rank
    for shape in shapes:
        for at, size in enumerate(shape, start=rank - len(shape)):
            if out[at] == 1:
                out[at] = size
            elif size not in (1, out[at]):
                pair = " and ".join(map(show, dict.fromkeys(shapes)))
                raise ShapeError(f"cannot broadcast shapes {pair}: axis {at - rank} has sizes {show((out[at],))[1:-2]} and {show((size,))[1:-2]}, neither is 1")
    return tuple(out)


def pair(value: int | Sequence[int], what: str, count: int = 2) -> tuple[int, ...]:
    """A number for each spatial axis, from one for all or a sequence."""
    chosen = (value,) * count if isinstance(value, int) else tuple(value)
    if len(chosen) != count or any(not isinstance(v, int) or v < 0 for v in chosen):
        raise ShapeError(f"{what} must be one number or {count} of them, none negative, not {value!r}")
    return chosen
