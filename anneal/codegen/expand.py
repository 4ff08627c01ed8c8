"""Several outputs a thread: ranges replaced by blocks, loops unrolled, neighbouring loads and stores made vectors.

Expansion substitutes and lets the index rules fold; equal loads fall together by interning.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from anneal.codegen.opts import Shape
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import replace_sources, substitute_all, toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite import session
from anneal.schedule.indexing import free_ranges, replace_ranges, scalars

WIDTH: Final = 4


def shrunk(r: UOp, factor: int) -> UOp:
    """A range of a factor-th of the size."""
    return ARENA.intern(Ops.RANGE, dtypes.index, (build.index(r.src[0].arg // factor),), r.arg)


def expand(sink: UOp, shape: Shape) -> tuple[list[tuple[UOp, ...]], tuple[UOp, ...]]:
    """Apply the upcasts and unrolls of a shape to a body: its stores, those of one element of the block together, and what remains of the tile."""
    sink = _unroll(sink, dict(shape.unroll))
    axes = [r for r, _ in shape.upcast]
    stores: list[UOp] = []
    sizes = []
    for offsets in itertools.product(*(range(n) for _, n in shape.upcast)):
        table = {r: shrunk(r, n) * n + o for (r, n), o in zip(shape.upcast, offsets, strict=True)}
        kept = [s for s in sink.src if all(o == 0 or r in free_ranges(s) for r, o in zip(axes, offsets, strict=True))]
        sizes.append(len(kept))
        stores += replace_ranges(kept, table)
    done = scalars(stores)
    groups: list[tuple[UOp, ...]] = []
    start = 0
    for n in sizes:
        groups.append(done[start : start + n])
        start += n
    factors = dict(shape.upcast)
    return groups, tuple(shrunk(r, factors[r]) if r in factors else r for r in shape.tile)


def _unroll(sink: UOp, factors: Mapping[UOp, int]) -> UOp:
    """Every reduction over a range in `factors`, with several elements combined a turn."""
    if not factors:
        return sink
    made: dict[UOp, UOp] = {}
    for node in toposort(sink):
        new = replace_sources(node, tuple(made[s] for s in node.src))
        hit = next((r for r in node.src[1:] if r in factors), None) if node.op is Ops.REDUCE else None
        if hit is not None:
            n = factors[hit]
            small = shrunk(hit, n)
            whole = small.src[0].arg == 1
            values = [replace_ranges((new.src[0],), {hit: build.index(o) if whole else small * n + o})[0] for o in range(n)]
            total = values[0]
            for value in values[1:]:
                total = ARENA.intern(node.arg, node.dtype, (total, value))
            bound = tuple(small if r is hit else r for r in new.src[1:] if not (whole and r is hit))
            new = ARENA.intern(Ops.REDUCE, node.dtype, (total, *bound), node.arg) if bound else total
            session.tell("unroll", node, new)
        made[node] = new
    return made[sink]


def vectorize(groups: Sequence[Sequence[UOp]]) -> tuple[list[list[UOp]], frozenset[UOp]]:
    """Stores in batches, with neighbouring accesses as vectors where every access to a buffer can be one; and those buffers.

    A batch holds what is stored together: the stores of one element, or of four neighbours.
    """
    order = toposort(*(s for group in groups for s in group))
    accesses: dict[UOp, list[UOp]] = {}
    for u in order:
        if u.op in (Ops.LOAD, Ops.STORE) and u.src[0].op is Ops.PARAM:
            accesses.setdefault(u.src[0], []).append(u)
    run_of: dict[UOp, list[UOp]] = {}
    runs: list[list[UOp]] = []
    vectors = set()
    for memory, found in accesses.items():
        kinds = [[u for u in found if u.op is op] for op in (Ops.LOAD, Ops.STORE)]
        grouped = [_runs(kind) for kind in kinds]
        if memory.arg[1][0] % WIDTH or any(g is None for g in grouped):
            continue
        vectors.add(memory)
        run_of |= {u: run for run in grouped[0] or () for u in run}
        runs += grouped[1] or ()
    loads: dict[UOp, UOp] = {}
    for u in order:
        if u in run_of and u not in loads:  # its index may read what is a vector by now
            memory, place = run_of[u][0].src
            vector = ARENA.intern(Ops.VLOAD, u.dtype, (memory, *substitute_all((place,), loads)), WIDTH)
            for lane, scalar in enumerate(run_of[u]):
                loads[scalar] = ARENA.intern(Ops.LANE, u.dtype, (vector,), lane)
                session.tell("vector", scalar, loads[scalar])
            session.tell("vector", u, vector)
    return _batches(groups, loads, runs), frozenset(vectors)


def _batches(groups: Sequence[Sequence[UOp]], loads: Mapping[UOp, UOp], runs: Sequence[Sequence[UOp]]) -> list[list[UOp]]:
    """Groups joined by the runs of stores, with loads and stores replaced by vectors."""
    run_of = {u: run for run in runs for u in run}
    group_of = {u: i for i, group in enumerate(groups) for u in group}
    batch_of: dict[int, int] = {}
    batches: list[list[UOp]] = []
    for i, group in enumerate(groups):
        joined = next((batch_of[group_of[u]] for s in group for u in run_of.get(s, ()) if group_of[u] in batch_of), None)
        if joined is None:
            joined = len(batches)
            batches.append([])
        batch_of[i] = joined
        batches[joined] += group
    result = []
    for batch in batches:
        plain = dict(zip(batch, substitute_all(batch, loads), strict=True))
        done: list[UOp] = []
        for store in batch:
            run = run_of.get(store)
            if run is None:
                done.append(plain[store])
            elif run[0] is store:
                first = plain[store]
                done.append(ARENA.intern(Ops.VSTORE, first.dtype, (*first.src[:2], *(plain[u].src[2] for u in run))))
                session.tell("vector", first, done[-1])
        result.append(done)
    return result


def _runs(accesses: Sequence[UOp]) -> list[list[UOp]] | None:
    """Accesses in runs of four neighbours that start at a multiple of four; None unless all fall into runs."""
    by_base: dict[UOp | None, dict[int, UOp]] = {}
    for u in accesses:
        base, offset = _affine(u.src[1])
        places = by_base.setdefault(base, {})
        if len(u.src) > (2 if u.op is Ops.LOAD else 3) or offset in places or not divides(WIDTH, base):
            return None
        places[offset] = u
    runs = []
    for places in by_base.values():
        starts = sorted(o for o in places if o % WIDTH == 0)
        if len(starts) * WIDTH != len(places) or any(o + i not in places for o in starts for i in range(WIDTH)):
            return None
        runs += [[places[o + i] for i in range(WIDTH)] for o in starts]
    return runs


def _affine(index: UOp) -> tuple[UOp | None, int]:
    """An index as a variable part and a constant."""
    if index.op is Ops.CONST:
        return None, index.arg
    if index.op is Ops.ADD and index.src[1].op is Ops.CONST:
        return index.src[0], index.src[1].arg
    return index, 0


def divides(n: int, index: UOp | None) -> bool:
    """True when every value of `index`, a sum of products with constants, is a multiple of n."""
    terms = [] if index is None else [index]
    while terms:
        u = terms.pop()
        if u.op is Ops.ADD:
            terms += u.src
        elif not (u.op is Ops.CONST and u.arg % n == 0) and not (u.op is Ops.MUL and u.src[1].op is Ops.CONST and u.src[1].arg % n == 0):
            return False
    return True
