"""Large products in tiles: a workgroup loads a block of each operand into its memory, and its threads multiply from there.

For `out[m, n] = reduce over k of f(a[m, k], b[k, n])` with sizes that tiles divide. What depends on m and k alone, or on n and k alone, is
computed once a workgroup, elementwise work on the operands included; each thread keeps a block of accumulators in registers of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from anneal.codegen.emit import Emitter
from anneal.codegen.expand import vectorize
from anneal.codegen.opts import output_ranges, stride_one
from anneal.codegen.program import Program
from anneal.codegen.target import Target
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import substitute_all, toposort
from anneal.ir.ops import Ops
from anneal.ir.scalars import neutral
from anneal.ir.uop import ARENA, UOp
from anneal.schedule.indexing import free_ranges, scalars, span

_Batches = Sequence[Sequence[UOp]]
WORK: Final = 1 << 24
"""Multiplications from which a product is worth tiles."""
FULL: Final = 256
"""Workgroups that the larger tile must leave."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a product is cut."""

    m: UOp
    n: UOp
    k: UOp
    threads: int
    """Threads along m and along n."""
    block: int
    """Outputs a thread along m and along n."""
    depth: int
    """Elements of k that are in workgroup memory at once."""

    @property
    def side(self) -> int:
        """Outputs of a workgroup along m and along n."""
        return self.threads * self.block


class _Staged(NamedTuple):
    """An operand that a workgroup shares."""

    value: UOp
    axis: UOp
    memory: UOp


def tiling_for(sink: UOp, target: Target) -> Tiling | None:
    """The tiling of a body that is one large product, or None."""
    if not target.local_memory:
        return None
    ranges = output_ranges(sink)
    reduces = [u for u in toposort(sink) if u.op is Ops.REDUCE]
    if len(reduces) != 1 or len(reduces[0].src) != 2 or len(ranges) < 2 or any(free_ranges(s) != frozenset(ranges) for s in sink.src):
        return None
    k, value = reduces[0].src[1], reduces[0].src[0]
    if span((*ranges, k)) < WORK or any(r.src[0].op is not Ops.CONST for r in (*ranges, k)):
        return None
    m, n = ranges[-2:]
    for threads, depth in ((16, 8), (8, 16)):
        tiling = Tiling(m, n, k, threads, 8, depth)
        fits = span((m,)) % tiling.side == 0 and span((n,)) % tiling.side == 0 and span((k,)) % depth == 0
        groups = span(ranges) // tiling.side**2
        staged = _staged(value, tiling) if fits else []
        used = sum(s.memory.arg[1] * 4 for s in staged)
        if staged and threads**2 <= target.invocations and used <= target.workgroup_bytes and (groups >= FULL or threads == 8):
            return tiling
    return None


def _staged(value: UOp, tiling: Tiling) -> list[_Staged]:
    """The largest parts of a value that depend on k and on one of m and n; empty when there are not parts of both kinds."""
    m, n, k = tiling.m, tiling.n, tiling.k
    found: list[_Staged] = []
    for u in toposort(value, enter=lambda u: {m, n} <= free_ranges(u)):
        own = free_ranges(u)
        if k in own and (m in own) != (n in own):
            axis = m if m in own else n
            memory = ARENA.intern(Ops.LOCAL, u.dtype, (), (f"tile{len(found)}", tiling.depth * (tiling.side + 4)))
            found.append(_Staged(u, axis, memory))
    return found if {s.axis for s in found} == {m, n} else []


@ARENA.crediting()
def lower_tiled(sink: UOp, tiling: Tiling, notes: Sequence[str], target: Target) -> Program:
    """The instructions of a large product."""
    grid, places = _places(sink, tiling)
    size = tiling.threads
    lx, ly = (ARENA.intern(Ops.SPECIAL, dtypes.index, (), (f"lid.{axis}", size)) for axis in "xy")
    outer = ARENA.intern(Ops.RANGE, dtypes.index, (build.index(span((tiling.k,)) // tiling.depth),), ("k", 0))
    inner = ARENA.intern(Ops.RANGE, dtypes.index, (build.index(tiling.depth),), ("k", 1))
    reduce = next(u for u in toposort(sink) if u.op is Ops.REDUCE)
    staged = _staged(reduce.src[0], tiling)
    thread = {tiling.m: ly, tiling.n: lx}
    cells = list(itertools.product(range(tiling.block), repeat=2))

    start = build.const(neutral(reduce.arg, reduce.dtype), reduce.dtype)
    registers = [ARENA.intern(Ops.REGISTER, reduce.dtype, (start,), f"acc{i}") for i in range(len(cells))]
    values, stores = [], []
    row = tiling.side + 4
    for (i, j), register in zip(cells, registers, strict=True):
        at = {tiling.m: i, tiling.n: j}
        loads = {s.value: ARENA.intern(Ops.LOAD, s.value.dtype, (s.memory, inner * row + thread[s.axis] * tiling.block + at[s.axis])) for s in staged}
        moved = {r: places[r] + thread[r] * tiling.block + at[r] for r in (tiling.m, tiling.n)} | {r: p for r, p in places.items() if r not in at}
        values.append(substitute_all((substitute_all((reduce.src[0],), loads)[0],), {**moved, tiling.k: outer * tiling.depth + inner})[0])
        stores.append(substitute_all(substitute_all(sink.src, {reduce: register}), moved))
    fills = [_fill(s, tiling, places, outer, ARENA.intern(Ops.ADD, dtypes.index, (ly * size, lx))) for s in staged]
    done = iter(scalars((*values, *(s for group in (*fills, *stores) for s in group))))
    values = [next(done) for _ in values]
    groups = [[next(done) for _ in group] for group in (*fills, *stores)]
    batches, vectors = vectorize(groups)
    split = sum(1 for batch in batches if any(s.src[0].op is Ops.LOCAL for s in batch))
    emitter = Emitter(1, lx)
    for u in (lx, ly):
        emitter.scopes[0][u] = emitter.emit(u)
    for line in notes:
        emitter.op(Ops.COMMENT, dtypes.bool, (), line)
    block = f"{tiling.block} x {tiling.block} outputs a thread"
    emitter.op(Ops.COMMENT, dtypes.bool, (), f"tiles of {tiling.side} x {tiling.side}, {tiling.depth} of {span((tiling.k,))} at a time; {block}")
    _emit(emitter, reduce, registers, values, batches[:split], batches[split:], (outer, inner))
    return Program(tuple(emitter.out), grid, (size, size, 1), {}, vectors, target.float16)


def _places(sink: UOp, tiling: Tiling) -> tuple[tuple[int, int, int], dict[UOp, UOp]]:
    """The dispatch, and where each range starts in a workgroup."""
    others = [r for r in output_ranges(sink) if r not in (tiling.m, tiling.n)]
    counts = (span((tiling.n,)) // tiling.side, span((tiling.m,)) // tiling.side, span(tuple(others)))
    x, y, z = (ARENA.intern(Ops.SPECIAL, dtypes.index, (), (f"wid.{axis}", n)) for axis, n in zip("xyz", counts, strict=True))
    places = {tiling.n: x * tiling.side, tiling.m: y * tiling.side}
    below = 1
    for r in reversed(others):
        places[r] = (z // below) % span((r,))
        below *= span((r,))
    return counts, places


def _fill(staged: _Staged, tiling: Tiling, places: dict[UOp, UOp], outer: UOp, lane: UOp) -> list[UOp]:
    """The stores with which one thread fills its share of a tile: neighbours along the axis where memory is contiguous."""
    along_k = any(u.op is Ops.LOAD and stride_one(u.src[1], tiling.k) for u in toposort(staged.value))
    fast, slow = (tiling.depth, tiling.side) if along_k else (tiling.side, tiling.depth)
    share = fast * slow // tiling.threads**2
    stores = []
    for i in range(share):
        step, place = divmod(i, 4)
        flat = (lane + step * tiling.threads**2) * 4 + place
        a, b = flat % fast, flat // fast
        kk, mm = (a, b) if along_k else (b, a)
        value = substitute_all((staged.value,), {**places, staged.axis: places[staged.axis] + mm, tiling.k: outer * tiling.depth + kk})[0]
        stores.append(ARENA.intern(Ops.STORE, value.dtype, (staged.memory, kk * (tiling.side + 4) + mm, value)))
    return stores


def _emit(emitter: Emitter, reduce: UOp, registers: Sequence[UOp], values: Sequence[UOp], fills: _Batches, stores: _Batches, loops: tuple[UOp, UOp]) -> None:
    """Accumulators, the loop over tiles with its two barriers, and the stores."""
    for u in (*registers, *dict.fromkeys(s.src[0] for batch in fills for s in batch)):
        emitter.scopes[0][u] = emitter.emit(u)
    outer = emitter.open_loop(loops[0], shared=False)
    emitter.op(Ops.BARRIER, dtypes.bool)
    for batch in fills:
        emitter.store(batch)
    emitter.op(Ops.BARRIER, dtypes.bool)
    inner = emitter.open_loop(loops[1], shared=False)
    for register, value in zip(registers, emitter.values(values), strict=True):
        emitter.op(Ops.SET, reduce.dtype, (register, emitter.op(reduce.arg, reduce.dtype, (register, value))))
    emitter.close_loop(inner)
    emitter.close_loop(outer)
    for batch in stores:
        emitter.store(batch)
