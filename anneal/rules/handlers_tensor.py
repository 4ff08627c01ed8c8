"""Handlers for movement ops and reductions of whole tensors. Every result has the shape of the node that it replaces.

>>> from anneal.ir.build import param, reshape
>>> x = param(0, (2, 3), dtypes.float32)
>>> merge_reshapes(reshape(reshape(x, (6,)), (2, 3))) is x
True
"""

from __future__ import annotations

import math
from typing import Final

from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.shape import Dim, add, shape
from anneal.ir.uop import ARENA, UOp

_KEEPS_ONE_VALUE: Final = frozenset({Ops.RESHAPE, Ops.EXPAND, Ops.PERMUTE, Ops.SHRINK, Ops.FLIP})
_SHEARS: Final = frozenset({Ops.SHEAR, Ops.UNSHEAR})


def constant_of(node: UOp) -> UOp | None:
    """The scalar constant that each element of `node` is, when movement ops of a constant say so."""
    while node.op in _KEEPS_ONE_VALUE:
        node = node.src[0]
    return node if node.op is Ops.CONST else None


def same_movement(root: UOp) -> UOp | None:
    """The operand of a movement that moves nothing."""
    x, arg = root.src[0], root.arg
    if root.op in (Ops.RESHAPE, Ops.EXPAND):
        return x if shape(x) == arg else None
    if root.op is Ops.PERMUTE:
        return build.permute(x, arg)
    if root.op is Ops.SHRINK:
        return build.shrink(x, arg)
    if root.op is Ops.PAD:
        return x if all(pair == (0, 0) for pair in arg) else None
    return build.flip(x, [axis for axis in arg if shape(x)[axis] != 1])


def merge_reshapes(root: UOp) -> UOp:
    """One reshape for two."""
    x = root.src[0].src[0]
    return x if shape(x) == root.arg else ARENA.intern(Ops.RESHAPE, x.dtype, (x,), root.arg)


def merge_permutes(root: UOp) -> UOp:
    """One permutation for two."""
    inner = root.src[0]
    return build.permute(inner.src[0], [inner.arg[axis] for axis in root.arg])


def merge_expands(root: UOp) -> UOp:
    """One expansion for two."""
    return build.expand(root.src[0].src[0], root.arg)


def merge_shrinks(root: UOp) -> UOp:
    """One cut for two."""
    inner = root.src[0]
    return build.shrink(inner.src[0], [(add(first, start), add(first, end)) for (first, _), (start, end) in zip(inner.arg, root.arg, strict=True)])


def merge_pads(root: UOp) -> UOp:
    """One padding for two of the same fill."""
    inner = root.src[0]
    amounts = tuple((add(a, c), add(b, d)) for (a, b), (c, d) in zip(inner.arg, root.arg, strict=True))
    return ARENA.intern(Ops.PAD, root.dtype, inner.src, amounts)


def merge_flips(root: UOp) -> UOp:
    """One reversal for two: an axis reversed twice is not reversed."""
    inner = root.src[0]
    return build.flip(inner.src[0], sorted(set(inner.arg) ^ set(root.arg)))


def shrink_padding(root: UOp) -> UOp | None:
    """The cut before the padding, when some of each axis is left and all sizes are numbers."""
    padded = root.src[0]
    x = padded.src[0]
    cuts: list[tuple[Dim, Dim]] = []
    amounts: list[tuple[Dim, Dim]] = []
    for size, (low, _), (start, end) in zip(shape(x), padded.arg, root.arg, strict=True):
        if not (isinstance(size, int) and isinstance(low, int) and isinstance(start, int) and isinstance(end, int)):
            return None
        first, last = max(0, start - low), min(size, end - low)
        if first >= last:
            return None
        cuts.append((first, last))
        amounts.append((max(0, low - start), max(0, end - low - size)))
    return build.pad(build.shrink(x, cuts), amounts, padded.src[1].arg)


def move_constant(root: UOp) -> UOp | None:
    """A tensor of one value moved, as that value expanded to the shape."""
    value = constant_of(root.src[0])
    if value is None or (root.op is Ops.PAD and root.src[1] is not value):
        return None
    if root.op in _SHEARS and value is not build.const(0, value.dtype):
        return None
    return build.broadcast_to(value, shape(root))


def scalar_operands(root: UOp) -> UOp | None:
    """An elementwise op with tensors of one value replaced by scalars."""
    operands = tuple(constant_of(s) or s for s in root.src)
    if operands == root.src:
        return None
    node = ARENA.intern(root.op, root.dtype, operands, root.arg)
    return build.broadcast_to(node, shape(root))


def drop_single_axes(root: UOp) -> UOp | None:
    """A reduction without the axes that hold one element."""
    x, (op, axes) = root.src[0], root.arg
    return build.reduce_axis(op, x, [axis for axis in axes if shape(x)[axis] != 1])


def merge_reductions(root: UOp) -> UOp | None:
    """One reduction for two with the same op."""
    inner = root.src[0]
    if inner.arg[0] is not root.arg[0]:
        return None
    return build.reduce_axis(root.arg[0], inner.src[0], (*inner.arg[1], *root.arg[1]))


def reduce_repeats(root: UOp) -> UOp | None:
    """A reduction over repeated elements: their maximum is one of them, their sum is one of them times their number."""
    repeated = root.src[0]
    x, (op, axes) = repeated.src[0], root.arg
    sizes = {axis: repeated.arg[axis] for axis in axes if shape(x)[axis] == 1 and repeated.arg[axis] != 1}
    if not sizes or not all(isinstance(n, int) and n > 0 for n in sizes.values()):
        return None
    inner = build.reduce_axis(op, x, [axis for axis in axes if axis not in sizes])
    if x.dtype is not dtypes.bool and op in (Ops.ADD, Ops.MUL):
        count = build.const(math.prod(sizes.values()), x.dtype)
        if op is Ops.MUL or count.arg != math.prod(sizes.values()):
            return None
        inner = build.alu(Ops.MUL, inner, count)
    return build.expand(inner, shape(root))
