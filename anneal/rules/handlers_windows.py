"""Handlers that bring the sums of convolution and pooling gradients together, so that each is one loop nest.

>>> from anneal.ir.build import param
>>> from anneal.ir.dtype import dtypes
>>> x = param(0, (2, 3), dtypes.float32)
>>> node = reduce_axis(Ops.ADD, reshape(x, (2, 1, 3)), [2])
>>> units_outside(node).src[0].arg
(Ops.ADD, (1,))
"""

from __future__ import annotations

from anneal.ir.build import permute, reduce_axis, reshape
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import ARENA, UOp


def units_outside(root: UOp) -> UOp | None:
    """The same sum or window of what a reshape that only adds or drops axes of size 1 reads, reshaped afterwards."""
    moved = root.src[0]
    x = moved.src[0]
    outer = [axis for axis, n in enumerate(shape(moved)) if n != 1]
    inner = [axis for axis, n in enumerate(shape(x)) if n != 1]
    if [shape(moved)[a] for a in outer] != [shape(x)[a] for a in inner]:
        return None
    place = dict(zip(outer, inner, strict=True))
    if root.op is Ops.REDUCE_AXIS:
        op, axes = root.arg
        return reshape(reduce_axis(op, x, [place[a] for a in axes if a in place]), shape(root))
    axis, along, *rest = root.arg
    if axis not in place or along not in place:
        return None
    return reshape(ARENA.intern(root.op, root.dtype, (x,), (place[axis], place[along], *rest)), shape(root))


def permute_inside(root: UOp) -> UOp:
    """The same reduction of the permuted operand."""
    inner = root.src[0]
    op, axes = inner.arg
    return reduce_axis(op, permute(inner.src[0], root.arg), [place for place, axis in enumerate(root.arg) if axis in axes])


def shear_inside(root: UOp) -> UOp | None:
    """The same sum of the sheared operand: what lies outside is 0 in both."""
    inner = root.src[0]
    op, axes = inner.arg
    if op is not Ops.ADD or root.arg[0] in axes or root.arg[1] in axes:
        return None
    return reduce_axis(op, ARENA.intern(root.op, root.dtype, inner.src, root.arg), axes)
