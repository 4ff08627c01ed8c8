"""Movement ops as index arithmetic.

A `Context` says at which element a tensor-level value is read: one index expression an axis, and a gate outside of which the element is
not needed. `source` turns the context of a movement op into the context of its operand; nothing is ever copied.

>>> from anneal.ir.build import index, param, permute, shape
>>> x = param(0, (2, 3), dtypes.float32)
>>> r0, r1 = loop_range(3, 0), loop_range(2, 1)
>>> source(permute(x, (1, 0)), Context((r0, r1), None)).indices == (r1, r0)
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from anneal import rules
from anneal.analysis.bounds import hi, lo
from anneal.errors import CompileError
from anneal.ir.dtype import dtypes
from anneal.ir.graph import replace_sources
from anneal.ir.ops import Ops
from anneal.ir.shape import Dim, Shape, as_uop, product, shape
from anneal.ir.uop import ARENA, UOp, is_const, side_table
from anneal.rewrite import session


class Context(NamedTuple):
    """Where a value is read."""

    indices: tuple[UOp, ...]
    """One index expression an axis."""
    gate: UOp | None
    """A bool outside of which the element may not exist and is not needed; None for always."""


ZERO = ARENA.intern(Ops.CONST, dtypes.index, (), 0)
TRUE = ARENA.intern(Ops.CONST, dtypes.bool, (), True)


def scalars(roots: Iterable[UOp]) -> tuple[UOp, ...]:
    """Scalar expressions in their simplest form."""
    return session.apply(roots, rules.table(*rules.KERNEL))


def simplify(u: UOp) -> UOp:
    """One index expression in its simplest form."""
    return u if not u.src else scalars((u,))[0]


def loop_range(size: Dim, axis: int) -> UOp:
    """The index of output axis `axis`; 0 where there is one element. Kernels share it, so equal loops are the same object."""
    return ZERO if size == 1 else ARENA.intern(Ops.RANGE, dtypes.index, (as_uop(size),), ("r", axis))


def reduce_range(size: Dim, number: int) -> UOp:
    """The index of a reduced axis."""
    return ZERO if size == 1 else ARENA.intern(Ops.RANGE, dtypes.index, (as_uop(size),), ("k", number))


def free_ranges(root: UOp) -> frozenset[UOp]:
    """The ranges that an expression depends on; a reduction binds its own."""
    return root._ranges if root._ranges is not None else side_table(root, "_ranges", _ranges_of)


def replace_ranges(roots: Iterable[UOp], table: Mapping[UOp, UOp]) -> list[UOp]:
    """Each root with free ranges replaced; a reduction keeps those that it binds, even where the same range is free outside of it."""
    made: dict[tuple[UOp, frozenset[UOp]], UOp] = {}
    wanted = [(u, free_ranges(u).intersection(table)) for u in roots]
    stack = list(reversed(wanted))
    while stack:
        node, ranges = task = stack[-1]
        if not ranges or node.op is Ops.RANGE:
            made[task] = table[node] if node in ranges else node
        if task in made:
            stack.pop()
            continue
        inner = ranges.difference(node.src[1:]) if node.op is Ops.REDUCE else ranges
        parts = [(s, free_ranges(s) & inner) for s in node.src]
        if missing := [p for p in parts if p not in made]:
            stack.extend(reversed(missing))
            continue
        made[task] = replace_sources(node, tuple(made[p] for p in parts))
        stack.pop()
    return [made[task] for task in wanted]


_NONE: frozenset[UOp] = frozenset()


def _ranges_of(node: UOp) -> frozenset[UOp]:
    if node.op is Ops.RANGE:
        return frozenset((node,))
    found = _NONE
    for operand in node.src:
        ranges: frozenset[UOp] = operand._ranges  # type: ignore[assignment]
        if ranges and ranges is not found:
            found = found | ranges if found else ranges
    return found.difference(node.src[1:]) if node.op is Ops.REDUCE else found


def both(a: UOp | None, b: UOp | None) -> UOp | None:
    """Conjunction of two gates, simplified; None for always."""
    if a is None or b is None:
        return a if b is None else b
    return simplify(ARENA.intern(Ops.AND, dtypes.bool, (a, b)))


def within(i: UOp, size: Dim) -> UOp | None:
    """The gate 0 <= i < size, None where the bounds of `i` show that it always holds."""
    limit = as_uop(size)
    below = simplify(ARENA.intern(Ops.LT, dtypes.bool, (i, limit)))
    low = lo(i)
    above = None if low is not None and low >= 0 else simplify(ARENA.intern(Ops.XOR, dtypes.bool, (ARENA.intern(Ops.LT, dtypes.bool, (i, ZERO)), TRUE)))
    return both(None if below is TRUE else below, None if above is TRUE else above)


def flat_index(indices: tuple[UOp, ...], dims: Shape) -> UOp:
    """The row-major position of an element."""
    total: UOp = ZERO
    for i, n in zip(indices, dims, strict=True):
        total = total * as_uop(n) + i
    return simplify(total)


def source(node: UOp, context: Context) -> Context:
    """The context in which a movement op reads its operand."""
    inner = _source(node, context)
    for index in inner.indices:
        if index not in context.indices:
            session.tell("index", node, index)
    return inner


def _source(node: UOp, context: Context) -> Context:
    indices, gate = context
    inner = shape(node.src[0])
    match node.op:
        case Ops.RESHAPE:
            return Context(_reshaped(indices, shape(node), inner), gate)
        case Ops.PERMUTE:
            places = sorted(range(len(indices)), key=lambda i: node.arg[i])
            return Context(tuple(indices[i] for i in places), gate)
        case Ops.EXPAND:
            return Context(tuple(ZERO if n == 1 else i for i, n in zip(indices, inner, strict=True)), gate)
        case Ops.SHRINK:
            return Context(tuple(i if s == 0 else simplify(i + as_uop(s)) for i, (s, _) in zip(indices, node.arg, strict=True)), gate)
        case Ops.FLIP:
            return Context(tuple(simplify(as_uop(n) - 1 - i) if a in node.arg else i for a, (i, n) in enumerate(zip(indices, inner, strict=True))), gate)
        case Ops.PAD:
            moved = tuple(i if low == 0 else simplify(i - as_uop(low)) for i, (low, _) in zip(indices, node.arg, strict=True))
            for i, n, pair in zip(moved, inner, node.arg, strict=True):
                gate = gate if pair == (0, 0) else both(gate, within(i, n))
            return Context(moved, gate)
        case Ops.SHEAR | Ops.UNSHEAR:
            return _sheared(node, context)
    raise CompileError(f"{node.op.name} is not a movement op")


def _sheared(node: UOp, context: Context) -> Context:
    axis, along, stride, dilation, _ = node.arg
    indices, gate = list(context.indices), context.gate
    n, i, k = shape(node.src[0])[axis], indices[axis], indices[along]
    if node.op is Ops.SHEAR:
        indices[axis] = simplify(i * stride + k * dilation)
    else:
        start = simplify(i - k * dilation)
        whole = simplify(ARENA.intern(Ops.EQ, dtypes.bool, (start % stride, ZERO)))
        gate = both(gate, None if whole is TRUE else whole)
        indices[axis] = simplify(start // stride)
    return Context(tuple(indices), both(gate, within(indices[axis], n)))


def _reshaped(indices: tuple[UOp, ...], outer: Shape, inner: Shape) -> tuple[UOp, ...]:
    """Indices under another shape. Runs of axes with equal products are matched, so that untouched axes stay as they are."""
    result: list[UOp] = []
    o = 0
    for take_inner, take_outer in _matched(inner, outer):
        own, sizes = indices[o : o + take_outer], outer[o : o + take_outer]
        targets = inner[len(result) : len(result) + take_inner]
        o += take_outer
        solid = [(i, n) for i, n in zip(own, sizes, strict=True) if n != 1]
        wide = [n for n in targets if n != 1]
        if len(solid) <= 1 and len(wide) <= 1:
            result.extend(ZERO if n == 1 else solid[0][0] for n in targets)
            continue
        flat = flat_index(tuple(i for i, _ in solid), tuple(n for _, n in solid))
        for place, n in enumerate(targets):
            below = product(targets[place + 1 :])
            part = flat if below == 1 else flat // as_uop(below)
            first = all(m == 1 for m in targets[:place])
            result.append(ZERO if n == 1 else simplify(part if first else part % as_uop(n)))
    return tuple(result)


def _matched(inner: Shape, outer: Shape) -> list[tuple[int, int]]:
    """Split two shapes of equal size into the shortest runs of axes whose products are equal: (inner axes, outer axes) each."""
    runs: list[tuple[int, int]] = []
    a = b = 0
    while a < len(inner) or b < len(outer):
        start_a, start_b = a, b
        left: Dim = 1
        right: Dim = 1
        if a < len(inner):
            left, a = inner[a], a + 1
        if b < len(outer) and not (left == 1 and a > start_a and outer[b] != 1):
            right, b = outer[b], b + 1
        while left != right:
            grow_left = a < len(inner) and (not (isinstance(left, int) and isinstance(right, int)) or left < right or b == len(outer))
            if grow_left:
                left, a = left * inner[a], a + 1
            elif b < len(outer):
                right, b = right * outer[b], b + 1
            else:
                return [(len(inner), len(outer))]
        runs.append((a - start_a, b - start_b))
    return runs


def span(ranges: frozenset[UOp] | tuple[UOp, ...]) -> int:
    """How many points some ranges have; symbols count at their largest."""
    total = 1
    for r in ranges:
        high = hi(r)
        total *= 1 if high is None else int(high) + 1
    return total


def is_never(gate: UOp | None) -> bool:
    """True for a gate that no element passes."""
    return gate is not None and is_const(gate, False)
