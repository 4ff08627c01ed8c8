"""Where a value is read, and where it reads its operands.

Movement ops are `indexing.source`; here are the other ops, so that a walk over contexts needs to know none of them.

>>> from anneal.ir.build import param
>>> own_context(param(0, (4, 1), dtypes.float32)).indices[1] is ZERO
True
"""

from __future__ import annotations

from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.shape import shape, show
from anneal.ir.uop import ARENA, UOp
from anneal.schedule.indexing import ZERO, Context, both, free_ranges, is_never, loop_range, reduce_range, source, within


def own_context(node: UOp) -> Context:
    """Where a stored value is computed: one loop an axis."""
    return Context(tuple(loop_range(n, axis) for axis, n in enumerate(shape(node))), None)


def free_ranges_of(context: Context) -> frozenset[UOp]:
    """The ranges that a context depends on."""
    found: frozenset[UOp] = frozenset().union(*(free_ranges(i) for i in context.indices))
    return found if context.gate is None else found | free_ranges(context.gate)


def reduced_context(node: UOp, context: Context) -> tuple[Context, tuple[UOp, ...]]:
    """The context in which a reduction reads its operand, and the ranges that it binds."""
    taken = [r.arg[1] for r in free_ranges_of(context) if r.arg[0] == "k"]
    number = max(taken, default=-1) + 1
    indices, bound = list(context.indices), []
    for axis in node.arg[1]:
        indices[axis] = reduce_range(shape(node.src[0])[axis], number)
        if indices[axis] is not ZERO:
            bound.append(indices[axis])
            number += 1
    return Context(tuple(indices), context.gate), tuple(bound)


def operands(node: UOp, context: Context) -> list[tuple[UOp, Context, frozenset[UOp]]]:
    """Each operand that a value computed at `context` reads: where, and inside which further ranges."""
    none: frozenset[UOp] = frozenset()
    if node.op.elementwise:
        return [(s, context if shape(s) else Context((), context.gate), none) for s in dict.fromkeys(node.src)]
    match node.op:
        case _ if not node.src:
            return []
        case Ops.CONTIGUOUS | Ops.DETACH:
            return [(node.src[0], context, none)]
        case Ops.ASSIGN:
            return [(node.src[1], context if shape(node.src[1]) else Context((), context.gate), none)]
        case Ops.REDUCE_AXIS:
            inner, bound = reduced_context(node, context)
            return [(node.src[0], inner, frozenset(bound))]
        case Ops.GATHER:
            return _gathered(node, context)
        case _:
            inner = source(node, context)
            return [] if is_never(inner.gate) else [(node.src[0], inner, none)]


def _gathered(node: UOp, context: Context) -> list[tuple[UOp, Context, frozenset[UOp]]]:
    inner, at = gather_context(node, context)
    return [(node.src[0], inner, frozenset()), *((s, at, frozenset()) for s in dict.fromkeys(node.src[1:]))]


def gather_context(node: UOp, context: Context) -> tuple[Context, Context]:
    """Where a gather reads its first operand, at loaded indices, and where it reads those."""
    rank = len(shape(node.src[1]))
    at = Context(context.indices[:rank], context.gate)
    gate = context.gate
    given = () if gate is None else (gate,)
    loaded = tuple(ARENA.intern(Ops.CAST, dtypes.index, (ARENA.intern(Ops.AT, s.dtype, (*at.indices, *given), (s, rank)),)) for s in node.src[1:])
    for i, n in zip(loaded, shape(node.src[0]), strict=False):
        gate = both(gate, within(i, n))
    return Context((*loaded, *context.indices[rank:]), gate), at


def label(node: UOp) -> str:
    """The op of a value; of a reduction with the op that it combines with."""
    return f"reduce_{node.arg[0].name}" if node.op is Ops.REDUCE_AXIS else node.op.name


def describe(node: UOp) -> str:
    """A value as a reader names it: op, dtype, shape."""
    return f"{label(node)} {node.dtype.name}{show(shape(node))}"
