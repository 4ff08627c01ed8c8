"""The default shape of a kernel: how many outputs a thread computes, and how many threads share one.

A `Shape` is chosen from the loops alone, so it is part of the plan and the same everywhere. Three shapes cover what is scheduled:
elementwise kernels (a vector of outputs a thread), products (a block of outputs a thread, each operand loaded once for the block), and
long or shared reductions (a workgroup an output, whose threads share the loop).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from anneal.codegen.target import Target
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.schedule.indexing import free_ranges, span

BLOCK: Final = 64
"""Outputs a thread at most."""
THREADS: Final = {True: 256, False: 64}
"""Threads that a kernel keeps, before outputs are blocked further: on a GPU, and on a processor."""
VECTORS: Final = 1024
"""Elements from which an elementwise kernel computes four a thread."""
BUSY: Final = {True: 65536, False: 1024}
"""Threads that a kernel should have, before its reductions are shared by several: with fast workgroup memory, and without."""
SHORT: Final = 4
"""Turns up to which the innermost loop of a reduction is written out."""
CODE: Final = 256
"""Multiplications that an innermost loop may hold."""
ROW: Final = 32
"""Elements up to which one thread runs through a row alone."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a kernel's loops become threads."""

    tile: tuple[UOp, ...]
    """Ranges spread over the grid."""
    upcast: tuple[tuple[UOp, int], ...] = ()
    """Ranges of stores of which one thread computes several elements."""
    unroll: tuple[tuple[UOp, int], ...] = ()
    """Reduction ranges of which one turn of the loop does several."""
    lanes: int = 1
    """Threads that share each reduction and each row; a workgroup when more than one."""


def output_ranges(sink: UOp) -> tuple[UOp, ...]:
    """The ranges of all stores, outermost first."""
    found = frozenset[UOp]().union(*(free_ranges(s) for s in sink.src))
    return tuple(sorted(found, key=lambda r: (r.arg[1], span((r,)))))


def choose(sink: UOp, outer: frozenset[UOp] | None, target: Target) -> Shape:
    """The default shape for a body."""
    ranges = output_ranges(sink)
    reduces = [u for u in toposort(sink) if u.op is Ops.REDUCE]
    if outer is not None:
        return _shared(sink, ranges, reduces, outer, target)
    if not reduces:
        return Shape(ranges, _vector(ranges, sink))
    longest = max(span(u.src[1:]) for u in reduces)
    upcast = _blocks(ranges, reduces, THREADS[target.local_memory])
    block = math.prod(n for _, n in upcast)
    lanes = _lanes(span(ranges) // block, longest, block, reduces, target)
    return Shape(ranges, upcast, _unrolled(reduces, block) if lanes == 1 else _along(reduces, lanes), lanes)


def _shared(sink: UOp, ranges: Sequence[UOp], reduces: Sequence[UOp], outer: frozenset[UOp], target: Target) -> Shape:
    """A row for each thread where rows are short, else for each workgroup."""
    tile = tuple(r for r in ranges if r in outer)
    rest = tuple(r for r in ranges if r not in outer)
    row = max([span(rest), *(span(u.src[1:]) for u in reduces)])
    if row <= ROW:
        return Shape(tile)
    room = max(1, target.workgroup_bytes // (4 * max(1, len(reduces))))
    lanes = min(_power(max(32, row // 4)), 256, _power(target.invocations), _power(room))
    last = rest[-1:]
    quads = tuple((r, 4) for r in last if _size(r) % 4 == 0 and _size(r) >= 4 * lanes and all(r in free_ranges(s) for s in sink.src))
    return Shape(tile, quads, _along(reduces, lanes), lanes)


def _along(reduces: Sequence[UOp], lanes: int) -> tuple[tuple[UOp, int], ...]:
    """Four neighbours a turn of a shared loop, where a load runs along it and every thread still gets some."""
    last = dict.fromkeys(u.src[-1] for u in reduces if span(u.src[1:]) >= 4 * lanes)
    return tuple((k, 4) for k in last if _size(k) % 4 == 0 and any(_runs_along(u, k) for u in reduces))


def _runs_along(reduce: UOp, k: UOp) -> bool:
    return any(u.op is Ops.LOAD and stride_one(u.src[1], k) for u in toposort(reduce.src[0]))


def stride_one(index: UOp, r: UOp) -> bool:
    """True when a sum has the range itself as a term: neighbours along it are neighbours in memory."""
    terms = [index]
    while terms:
        u = terms.pop()
        if u is r:
            return True
        if u.op is Ops.ADD:
            terms += u.src
    return False


def _power(n: int) -> int:
    """The largest power of two up to n."""
    return 1 << (n.bit_length() - 1)


def _lanes(tiles: int, longest: int, block: int, reduces: Sequence[UOp], target: Target) -> int:
    """Threads that share a reduction: where it runs along memory, or where there would be few threads."""
    most = min(longest // (4 if block == 1 else 32), 256, target.invocations, target.workgroup_bytes // (4 * block * len(reduces)))
    along = target.local_memory and block == 1 and all(_runs_along(u, u.src[-1]) for u in reduces)
    wanted = most if along else min(most // 2, BUSY[target.local_memory] // max(1, tiles))
    return _power(wanted) if wanted >= 16 and longest >= 128 else 1


def _size(r: UOp) -> int:
    return span((r,)) if r.src[0].op is Ops.CONST else 0


def _vector(ranges: tuple[UOp, ...], sink: UOp) -> tuple[tuple[UOp, int], ...]:
    """Four neighbours of the last axis a thread, where all are there and threads remain."""
    if not ranges or _size(ranges[-1]) % 4 or span(ranges) < VECTORS or any(free_ranges(s) != frozenset(ranges) for s in sink.src):
        return ()
    last = ranges[-1]
    loads = (u for u in toposort(sink) if u.op is Ops.LOAD and last in free_ranges(u))
    return ((last, 4),) if all(stride_one(u.src[1], last) for u in loads) else ()


def _blocks(ranges: tuple[UOp, ...], reduces: Sequence[UOp], threads: int) -> tuple[tuple[UOp, int], ...]:
    """Up to two axes along which loads are used again, and how many elements of each a thread computes."""
    reads = [free_ranges(u.src[1]) for u in toposort(*(r.src[0] for r in reduces)) if u.op is Ops.LOAD]
    again = [r for r in ranges if _size(r) > 1 and any(r not in own for own in reads)]
    first = again[-1:]
    varying = [own for own in reads if first and first[0] in own]
    second = [r for r in again[:-1] if any(r not in own for own in varying)]
    axes = second[-1:] + first
    best: tuple[tuple[int, int], tuple[tuple[UOp, int], ...]] = ((1, 0), ())
    for choice in _choices([[n for n in (8, 5, 4, 3, 2, 1) if _size(r) % n == 0] for r in axes]):
        area = math.prod(choice) * len(reduces)
        if area <= BLOCK and span(ranges) // math.prod(choice) >= min(threads, span(ranges) // 8) and (area, -sum(choice)) > best[0]:
            best = ((area, -sum(choice)), tuple((r, n) for r, n in zip(axes, choice, strict=True) if n > 1))
    return best[1]


def _choices(options: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    result: list[tuple[int, ...]] = [()]
    for each in options:
        result = [(*head, n) for head in result for n in each]
    return result


def _unrolled(reduces: Sequence[UOp], block: int) -> tuple[tuple[UOp, int], ...]:
    """Turns of the innermost loop to write out: all of a short one, else four, as far as the code stays small."""
    last = {u.src[-1] for u in reduces}
    if len(last) != 1:
        return ()
    (k,) = last
    if 1 < _size(k) <= SHORT and block * _size(k) <= CODE:
        return ((k, _size(k)),)
    return ((k, 4),) if _size(k) % 4 == 0 and _size(k) > 4 and block * 4 <= CODE // 2 else ()
