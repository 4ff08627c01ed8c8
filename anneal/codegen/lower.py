"""From a kernel body to a list of instructions that every invocation executes.

The ranges of the tile become one point of the grid a thread, or a workgroup where threads work together; stores go under the loops and
conditions that they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anneal.codegen.emit import Emitter, in_terms_of, invariants
from anneal.codegen.expand import expand, vectorize
from anneal.codegen.opts import Shape
from anneal.codegen.program import Program
from anneal.codegen.target import Target
from anneal.errors import CompileError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import substitute
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp
from anneal.schedule.indexing import ZERO, free_ranges, span

GROUP: Final = 64
"""Threads of a workgroup whose threads do not work together."""
LEAST: Final = {True: 32, False: 8}
"""The smallest such workgroup: what one unit of a GPU, or of a processor, runs in step."""
SPREAD: Final = 32
"""Workgroups that a kernel should have, before they grow."""


@ARENA.crediting()
def lower(sink: UOp, shape: Shape, target: Target, notes: Sequence[str] = ()) -> Program:
    """The instructions of a body in a shape."""
    groups, tile = expand(sink, shape)
    total = span(tile)
    flat = ARENA.intern(Ops.RANGE, dtypes.index, (build.index(total),), ("r", tile[0].arg[1] if len(tile) == 1 else -1))
    flattened = iter(in_terms_of(flat, tile, [_gated(s, tile) for group in groups for s in group]))
    batches, vectors = vectorize([[next(flattened) for _ in group] for group in groups])

    size = shape.lanes if shape.lanes > 1 else _group_size(total, target)
    needed = total if shape.lanes > 1 else -(-total // size)
    grid = _grid(needed, target)
    lane = ARENA.intern(Ops.SPECIAL, dtypes.index, (), ("lid.x", size))
    emitter = Emitter(shape.lanes, lane)
    for line in notes:
        emitter.op(Ops.COMMENT, dtypes.bool, (), line)
    group = _workgroup(emitter, grid)
    if size > 1:
        emitter.scopes[0][lane] = emitter.emit(lane)
    point = group if shape.lanes > 1 or size == 1 else emitter.op(Ops.ADD, dtypes.index, (emitter.op(Ops.MUL, dtypes.index, (group, build.index(size))), lane))
    emitter.scopes[0][flat] = point
    guarded = (grid[0] * grid[1] if shape.lanes > 1 else grid[0] * grid[1] * size) != total
    if guarded:
        emitter.open_if(ARENA.intern(Ops.LT, dtypes.bool, (flat, build.index(total))), scope=False)
    emitter.reductions([v for batch in batches for s in batch if free_ranges(s) <= {flat} for v in s.src[1:]])
    for batch in batches:
        _emit_stores(emitter, batch, flat)
    if guarded:
        emitter.close_if(scope=False)
    parts = in_terms_of(flat, tile, tile)
    names = {substitute(part, {flat: point}): f"r{r.arg[1]}" for r, part in zip(tile, parts, strict=True) if part.op is not Ops.CONST}
    return Program(tuple(emitter.out), grid, (size, 1, 1), {point: "point"} | names, vectors, target.float16)


def _group_size(total: int, target: Target) -> int:
    """Threads of a workgroup that do not work together: fewer where all of them would leave units of the device idle."""
    least = LEAST[target.local_memory]
    size = min(GROUP, target.invocations)
    while size > least and total < SPREAD * size:
        size //= 2
    return min(size, total)


def _grid(workgroups: int, target: Target) -> tuple[int, int, int]:
    """A dispatch of at least this many workgroups, within the target's limit along each dimension."""
    if workgroups <= target.workgroups:
        return (workgroups, 1, 1)
    rows = -(-workgroups // target.workgroups)
    if rows > target.workgroups:
        raise CompileError(f"{workgroups} workgroups are more than a dispatch of {target.workgroups}² can have: split the tensor")
    return (-(-workgroups // rows), rows, 1)


def _workgroup(emitter: Emitter, grid: tuple[int, int, int]) -> UOp:
    """The number of this workgroup."""
    x = emitter.op(Ops.SPECIAL, dtypes.index, (), ("wid.x", grid[0]))
    if grid[1] == 1:
        return x
    y = emitter.op(Ops.SPECIAL, dtypes.index, (), ("wid.y", grid[1]))
    return emitter.op(Ops.ADD, dtypes.index, (emitter.op(Ops.MUL, dtypes.index, (y, build.index(grid[0]))), x))


def _gated(store: UOp, tile: Sequence[UOp]) -> UOp:
    """A store that only one thread makes along the ranges of the tile that it does not have."""
    own = free_ranges(store)
    missing = [ARENA.intern(Ops.EQ, dtypes.bool, (r, ZERO)) for r in tile if r not in own]
    if not missing:
        return store
    gate = missing[0]
    for other in missing[1:]:
        gate = ARENA.intern(Ops.AND, dtypes.bool, (gate, other))
    return ARENA.intern(Ops.STORE, store.dtype, (*store.src, gate))


def _emit_stores(emitter: Emitter, batch: Sequence[UOp], flat: UOp) -> None:
    """Stores of one batch: those with equal loops and equal gates together, all values before the first store."""
    kinds: dict[tuple[frozenset[UOp], UOp | None], list[UOp]] = {}
    for store in batch:
        gate = store.src[3] if store.op is Ops.STORE and len(store.src) > 3 else None
        kinds.setdefault((free_ranges(store) - {flat}, gate), []).append(store)
    every = [s for stores in kinds.values() for s in stores]
    if emitter.lanes > 1:
        emitter.reductions([part for s in every for v in s.src[1:] for part in invariants(v, free_ranges(s) - {flat})])
    for (ranges, gate), stores in kinds.items():
        conditions = [] if gate is None else [gate]
        loops = tuple(sorted(ranges, key=lambda r: r.arg))
        if emitter.lanes > 1 and not loops:
            conditions.append(ARENA.intern(Ops.EQ, dtypes.bool, (emitter.lane, ZERO)))
        _under(emitter, stores, loops, conditions)


def _under(emitter: Emitter, stores: Sequence[UOp], loops: tuple[UOp, ...], conditions: Sequence[UOp]) -> None:
    """Emit stores below loops and conditions."""
    for gate in conditions:
        emitter.open_if(gate)
    shared = emitter.lanes > 1
    if loops and shared:
        loops, stores = emitter.flatten(loops, list(stores))
    opened = emitter.open_loops(loops, [v for s in stores for v in s.src[1:]], shared=shared)
    emitter.store(stores)
    for loop in reversed(opened):
        emitter.close_loop(loop)
    for _ in conditions:
        emitter.close_if()
