"""Adjoints too big for one line of `gradient.upat`.

Each function takes the node `y`, the gradient `g` of its result and the operand `x`, and returns the operand's gradient, made of ordinary
differentiable nodes so that gradients of gradients follow. The gradient of a 16-bit float may come in float32: sums are kept there.

>>> from anneal.ir import build
>>> from anneal.ir.dtype import dtypes
>>> x = build.param(0, (1, 3), dtypes.float32)
>>> y = build.expand(x, (2, 3))
>>> expand_adjoint(y, y, x)
<reduce_axis:float32 (expand) (Ops.ADD, (0,))>
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import Shape, add, negate, product, shape
from anneal.ir.uop import ARENA, UOp

PRODUCT_GROUP: Final = 16
"""Elements of a product that are left out one by one at a time; longer products are split into groups of this size."""


def wide(dtype: DType) -> DType:
    """The dtype that gradients of `dtype` are summed in: float32 for the 16-bit floats."""
    return dtypes.float32 if dtype.is_float and dtype.bits < dtypes.float32.bits else dtype


def sum_axes(g: UOp, axes: Sequence[int]) -> UOp:
    """`g` summed along `axes`, which stay with size 1; 16-bit floats are summed, and left, in float32."""
    return build.reduce_axis(Ops.ADD, build.cast(g, wide(g.dtype)), axes) if axes else g


def _reshaped(x: UOp, dims: Shape) -> UOp:
    """`x` under a shape known to fit, where sizes known at run time may be written in another way."""
    return x if shape(x) == dims else ARENA.intern(Ops.RESHAPE, x.dtype, (x,), dims)


def cast_adjoint(g: UOp, x: UOp) -> UOp:
    """The gradient in the operand's dtype; one that is wider than a 16-bit operand stays as it is."""
    return g if g.dtype is wide(x.dtype) else build.cast(g, x.dtype)


def reshape_adjoint(g: UOp, x: UOp) -> UOp:
    """The gradient under the operand's shape."""
    return _reshaped(g, shape(x))


def permute_adjoint(y: UOp, g: UOp) -> UOp:
    """The gradient with its axes put back."""
    return build.permute(g, sorted(range(len(y.arg)), key=y.arg.__getitem__))


def expand_adjoint(y: UOp, g: UOp, x: UOp) -> UOp:
    """The gradient summed over the repeated axes."""
    return sum_axes(g, [i for i, (n, m) in enumerate(zip(shape(x), shape(y), strict=True)) if n != m])


def pad_adjoint(y: UOp, g: UOp, x: UOp) -> UOp:
    """The gradient without the padding."""
    return _reshaped(build.shrink(g, [(before, add(before, n)) for (before, _), n in zip(y.arg, shape(x), strict=True)]), shape(x))


def shrink_adjoint(y: UOp, g: UOp, x: UOp) -> UOp:
    """The gradient with zeros where elements were dropped."""
    return _reshaped(build.pad(g, [(start, add(n, negate(end))) for (start, end), n in zip(y.arg, shape(x), strict=True)]), shape(x))


def flip_adjoint(y: UOp, g: UOp) -> UOp:
    """The gradient reversed along the same axes."""
    return build.flip(g, y.arg)


def shear_adjoint(y: UOp, g: UOp, x: UOp) -> UOp:
    """The gradient of x[o*stride + k*dilation] is that of element (o, k)."""
    axis, along, stride, dilation, _ = y.arg
    return build.unshear(g, axis, along, stride, dilation, shape(x)[axis])


def unshear_adjoint(y: UOp, g: UOp, x: UOp) -> UOp:
    """The gradient of element (o, k) is that of o*stride + k*dilation."""
    axis, along, stride, dilation, _ = y.arg
    return build.shear(g, axis, along, stride, dilation, shape(x)[axis])


def reduce_adjoint(y: UOp, g: UOp, x: UOp) -> UOp:
    """The adjoint of a reduction, by the op it combines with."""
    op, axes = y.arg
    if op is Ops.ADD:
        return build.expand(g, shape(x))
    if op is Ops.MUL:
        others = _others_along(build.cast(x, wide(x.dtype)), axes)
        return build.alu(Ops.MUL, build.expand(build.cast(g, others.dtype), shape(x)), others)
    return _extreme_adjoint(op, y, build.cast(g, wide(x.dtype)), x)


def _extreme_adjoint(op: Op, y: UOp, g: UOp, x: UOp) -> UOp:
    """Elements that equal the maximum or minimum share its gradient; a NaN result gives to all, so that it is not lost."""
    zero, one = build.const(0, g.dtype), build.const(1, g.dtype)
    bound = build.expand(y, shape(x))
    below = build.alu(Ops.LT, x, bound) if op is Ops.MAX else build.alu(Ops.LT, bound, x)
    count = sum_axes(build.alu(Ops.WHERE, below, zero, one), y.arg[1])
    return build.alu(Ops.WHERE, below, zero, build.expand(build.alu(Ops.DIV, g, count), shape(x)))


def _others_along(x: UOp, axes: tuple[int, ...]) -> UOp:
    """For each element, the product of all others along `axes`."""
    dims = shape(x)
    order = [i for i in range(len(dims)) if i not in axes] + list(axes)
    kept = len(dims) - len(axes)
    moved = build.permute(x, order)
    flat = _reshaped(moved, (*shape(moved)[:kept], product(shape(moved)[kept:])))
    return build.permute(_reshaped(_others(flat), shape(moved)), sorted(range(len(order)), key=order.__getitem__))


def _others(x: UOp) -> UOp:
    """For each element, the product of all others along the last axis: without dividing, so right where elements are 0, at every order.

    A long axis is split into groups: the others of its own group, times the other groups. The work stays linear in the length.
    """
    *outer, length = shape(x)
    if not isinstance(length, int) or length <= PRODUCT_GROUP:
        return _others_directly(x)
    groups = -(-length // PRODUCT_GROUP)
    filled = build.pad(x, [(0, 0)] * len(outer) + [(0, groups * PRODUCT_GROUP - length)], 1)
    split = _reshaped(filled, (*outer, groups, PRODUCT_GROUP))
    rest = _others(_reshaped(build.reduce_axis(Ops.MUL, split, [len(outer) + 1]), (*outer, groups)))
    both = build.alu(Ops.MUL, _others_directly(split), build.expand(_reshaped(rest, (*outer, groups, 1)), shape(split)))
    return build.shrink(_reshaped(both, shape(filled)), [(0, n) for n in (*outer, length)])


def _others_directly(x: UOp) -> UOp:
    """For each element, the product along the last axis with the element itself replaced by 1."""
    *outer, length = shape(x)
    ones, square = (1,) * len(outer), (*outer, length, length)
    count = build.iota(length)
    row, column = (build.expand(_reshaped(count, (*ones, *pair)), square) for pair in ((length, 1), (1, length)))
    factors = build.expand(_reshaped(x, (*outer, 1, length)), square)
    kept = build.alu(Ops.WHERE, build.alu(Ops.EQ, row, column), build.const(1, x.dtype), factors)
    return _reshaped(build.reduce_axis(Ops.MUL, kept, [len(square) - 1]), shape(x))


def gather_adjoint(y: UOp, g: UOp) -> tuple[UOp | None, ...]:
    """Each element of x sums the gradients of the results that read it: a comparison of its place with the indices, no scatter needed.

    An index that only counts along an axis of its own needs no comparison: what it reads is that axis.
    """
    x, *indices = y.src
    leading, rest, read = shape(x)[: len(indices)], shape(x)[len(indices) :], shape(indices[0])
    counted = _counted(indices, leading)
    compared = tuple(1 if axis in counted else n for axis, n in enumerate(leading))
    space = (*read, *compared, *rest)

    def spread(u: UOp, before: int, dims: Shape) -> UOp:
        """`u`, whose axes stand at `before` in the space of (read, leading, rest), repeated along all other axes."""
        return build.expand(_reshaped(u, (*(1,) * before, *dims, *(1,) * (len(space) - before - len(dims)))), space)

    given = build.expand(_reshaped(g, (*read, *(1,) * len(leading), *rest)), space)
    for axis, (u, n) in enumerate(zip(indices, leading, strict=True)):
        if axis not in counted:
            hit = build.alu(Ops.EQ, spread(u, 0, read), spread(build.iota(n, u.dtype), len(read) + axis, (n,)))
            given = build.alu(Ops.WHERE, hit, given, build.const(0, g.dtype))
    given = sum_axes(given, [axis for axis in range(len(read)) if axis not in counted.values()])
    order = list(range(len(space)))
    for axis, along in counted.items():
        order[len(read) + axis], order[along] = along, len(read) + axis
    dims = tuple(read[counted[axis]] if axis in counted else n for axis, n in enumerate(leading))
    placed = _reshaped(build.permute(given, order), (*dims, *rest))
    amounts = [(0, add(n, negate(m)) if n != m else 0) for n, m in zip(leading, dims, strict=True)]
    return (build.pad(placed, [*amounts, *(((0, 0),) * len(rest))]), *(None for _ in indices))


def _counted(indices: Sequence[UOp], leading: Shape) -> dict[int, int]:
    """Indices of axes that are 0, 1, 2, ... along an axis of the result which no other index counts along, with that axis."""
    found: dict[int, int] = {}
    for axis, (index, length) in enumerate(zip(indices, leading, strict=True)):
        dims = shape(index)
        u = index.src[0] if index.op is Ops.EXPAND else index
        along = [i for i, n in enumerate(shape(u)) if n != 1]
        u = u.src[0] if u.op is Ops.RESHAPE else u
        if u.op is not Ops.IOTA or len(along) != 1 or along[0] in found.values():
            continue
        size = dims[along[0]]
        if size == length or (isinstance(size, int) and isinstance(length, int) and size <= length):
            found[axis] = along[0]
    return found
