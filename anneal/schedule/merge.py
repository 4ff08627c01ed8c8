"""Kernels that ride along with others.

`merge` makes two bodies of one level one where the smaller reads, in its loops, only what the larger reads in the same loops: the gradient
of a bias beside that of its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp
from anneal.schedule.contexts import free_ranges_of, own_context
from anneal.schedule.indexing import span
from anneal.schedule.kernels import Body, memory_of


@dataclass(frozen=True, slots=True)
class _Loops:
    """What merging compares."""

    ranges: frozenset[UOp]
    bound: frozenset[UOp]
    """Ranges that its reductions bind."""
    loads: frozenset[UOp]
    """Loads: those inside reductions, or all where there is no reduction."""
    written: frozenset[UOp]
    read: frozenset[UOp]


def _loops(body: Body) -> _Loops:
    reduces = [u for u in toposort(body.sink) if u.op is Ops.REDUCE]
    loads = [u for u in toposort(*(r.src[0] for r in reduces) if reduces else (body.sink,)) if u.op is Ops.LOAD]
    written, loaded = memory_of(body.sink)
    ranges = frozenset[UOp]().union(*(free_ranges_of(own_context(r)) for r in body.roots))
    bound = frozenset(r for u in reduces for r in u.src[1:])
    return _Loops(ranges, bound, frozenset(loads), frozenset(written), frozenset(loaded))


def merge(bodies: Sequence[Body], limit: int, physical: Callable[[UOp], UOp], apart: frozenset[UOp]) -> list[Body]:
    """Bodies with riders in their hosts; `limit` storage buffers a kernel. The larger come first as hosts."""
    facts = [_loops(body) for body in bodies]
    order = sorted(range(len(bodies)), key=lambda i: (-span(facts[i].ranges), i))
    hosts: dict[tuple[int, UOp], list[int]] = {}
    merged: dict[int, tuple[Body, _Loops]] = {}
    gone: set[int] = set()
    for i in order:
        body, own = bodies[i], facts[i]
        if not own.loads or body.outer is not None or apart.intersection(body.roots):
            continue
        some = next(u for u in toposort(body.sink) if u in own.loads)
        host = next((j for j in hosts.get((body.level, some), ()) if _rides(own, merged[j][1], limit, physical)), None)
        if host is None:
            merged[i] = (body, own)
            for load in own.loads:
                hosts.setdefault((body.level, load), []).append(i)
            continue
        gone.add(i)
        merged[host] = _together(merged[host], (body, own))
    return [merged[i][0] if i in merged else body for i, body in enumerate(bodies) if i not in gone]


def _rides(rider: _Loops, host: _Loops, limit: int, physical: Callable[[UOp], UOp]) -> bool:
    if not rider.ranges <= host.ranges or rider.bound != host.bound or not rider.loads <= host.loads:
        return False
    if not rider.bound and rider.ranges != host.ranges:
        return False
    if {physical(u) for u in rider.written} & {physical(u) for u in host.read | host.written}:
        return False
    if {physical(u) for u in host.written} & {physical(u) for u in rider.read}:
        return False
    return len({physical(u) for u in rider.written | rider.read | host.written | host.read}) <= limit


def _together(host: tuple[Body, _Loops], rider: tuple[Body, _Loops]) -> tuple[Body, _Loops]:
    (a, x), (b, y) = host, rider
    sink = ARENA.intern(Ops.SINK, dtypes.bool, a.sink.src + b.sink.src)
    nodes = tuple(dict.fromkeys(a.nodes + b.nodes))
    body = replace(a, sink=sink, roots=a.roots + b.roots, nodes=nodes)
    return body, _Loops(x.ranges | y.ranges, x.bound, x.loads | y.loads, x.written | y.written, x.read | y.read)
