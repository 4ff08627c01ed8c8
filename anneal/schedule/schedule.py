"""The scheduler: from a tensor graph to kernel bodies in order.

`schedule` places values, builds bodies, and looks at the result: a body that binds too many buffers, or an assign that would overwrite what
is still read, adds a stored value and the walk runs again. Each round is linear in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from anneal.errors import CompileError
from anneal.ir import build
from anneal.ir.graph import replace_sources, toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.schedule.assigns import settle
from anneal.schedule.boundaries import Boundaries, Decision, Demands, Placement
from anneal.schedule.cut import cut
from anneal.schedule.facts import elements
from anneal.schedule.kernels import Bodies, Body, memory_of
from anneal.schedule.merge import merge
from anneal.schedule.order import hazards, order, physical_of
from anneal.schedule.split import split_reductions

ROUNDS: Final = 64
LARGE: Final = 512
"""Values that one kernel computes, from which it is cut: shader compilers take more than linear time."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Kernel bodies in order of execution."""

    bodies: tuple[Body, ...]
    buffers: dict[UOp, UOp]
    """For each stored value the BUFFER that stands for it."""
    physical: Callable[[UOp], UOp]
    """The PARAM behind the BUFFER of an assign; other memory is itself."""
    decisions: tuple[Decision, ...]
    """Where each value was placed and why."""
    outputs: tuple[UOp, ...]
    """The program's outputs, as the values scheduled for them."""


@dataclass(slots=True)
class _Wishes:
    """What earlier rounds found to be needed."""

    sink: UOp
    stored: dict[UOp, str]
    apart: frozenset[UOp] = frozenset()
    parts: dict[UOp, int] = field(default_factory=dict)

    def store_first(self, assigns: Iterable[UOp]) -> None:
        """Compute the value of each assign into a buffer of its own, where it is read from, and copy it from there last of all."""
        chosen = frozenset(assigns) - self.apart
        if not chosen:
            raise CompileError("cannot order the assigns of this program: realise some of them first")
        made: dict[UOp, UOp] = {}
        copies: dict[UOp, UOp] = {}
        for node in toposort(self.sink):
            src = tuple(copies.get(s, made[s]) if node.op is Ops.SINK else made[s] for s in node.src)
            if node in chosen:
                made[node] = src[1] if src[1].op is Ops.CONTIGUOUS else build.contiguous(src[1])
                copies[node] = replace_sources(node, (src[0], made[node]))
            else:
                made[node] = replace_sources(node, src)
        self.sink = made[self.sink]
        self.stored = {made[u]: reason for u, reason in self.stored.items()}
        self.parts = {copies.get(u, made[u]): part for u, part in self.parts.items()}
        self.apart = frozenset(copies.get(u, made[u]) for u in self.apart) | {made[u] for u in chosen} | frozenset(copies.values())


def schedule(sink: UOp, limit: int) -> Schedule:
    """Schedule the outputs of `sink` with at most `limit` storage buffers a kernel."""
    wishes = _Wishes(settle(split_reductions(sink)), {})
    for _ in range(ROUNDS):
        done = _round(wishes, limit)
        if done is not None:
            return done
    raise CompileError(f"no schedule with {limit} storage buffers a kernel after {ROUNDS} rounds: realise part of the program first")


def _round(wishes: _Wishes, limit: int) -> Schedule | None:
    graph = toposort(wishes.sink)
    outputs = [u for u in wishes.sink.src if u.op is not Ops.PARAM and elements(shape(u))]
    placement = _place(graph, outputs, wishes)
    if _divide(placement, wishes):
        return None
    builder = Bodies(placement)
    bodies = builder.build()
    physical = physical_of(builder.buffers)
    if _cut_all(bodies, limit, builder.buffers, physical, wishes):
        return None
    bodies = merge(bodies, limit, physical, wishes.apart)
    if dangerous := hazards(bodies, physical):
        wishes.store_first(dangerous)
        return None
    ordered, stuck = order(bodies, builder.buffers)
    if len(ordered) != len(bodies):
        waiting = [u for u in stuck if u not in wishes.apart]
        wishes.store_first(waiting[: 1 + len(wishes.apart)])
        return None
    kept, unread = _read_again(ordered, builder.buffers, physical, wishes.sink)
    decisions = tuple(d._replace(scope="inline", reason="read in its own kernel only") if d.node in unread else d for d in placement.decisions)
    return Schedule(tuple(kept), builder.buffers, physical, decisions, wishes.sink.src)


def _read_again(bodies: Sequence[Body], buffers: dict[UOp, UOp], physical: Callable[[UOp], UOp], sink: UOp) -> tuple[list[Body], frozenset[UOp]]:
    """The bodies without stores of what no body loads and nobody asked for, and those values: a kernel does not load what it computes itself."""
    loaded = {u for body in bodies for u in memory_of(body.sink)[1]} | {buffers[u] for u in sink.src if u in buffers}
    unread = {u for u, memory in buffers.items() if memory not in loaded and physical(memory) is memory and u.op is not Ops.CONTIGUOUS}
    kept = []
    for body in bodies:
        pairs = [(root, store) for root, store in zip(body.roots, body.sink.src, strict=True) if root not in unread]
        if len(pairs) == len(body.roots):
            kept.append(body)
        elif pairs:
            kept.append(replace(body, sink=build.sink(*(s for _, s in pairs)), roots=tuple(r for r, _ in pairs)))
    return kept, frozenset(unread)


def _place(graph: Sequence[UOp], outputs: Sequence[UOp], wishes: _Wishes) -> Placement:
    """The better of two walks: one that knows nothing, and one that knows what the first has stored."""
    demands = Demands(wishes.stored, wishes.apart, wishes.parts)
    first = Boundaries(graph, outputs, demands).run()
    second = Boundaries(graph, outputs, demands, first.group_of).run()
    return second if len(second.groups) <= len(first.groups) else first


def _divide(placement: Placement, wishes: _Wishes) -> bool:
    """Note what to store so that no kernel computes too many values; True when something was noted."""
    before = len(wishes.stored)
    for group in placement.groups:
        if len(group.nodes) > 2 * LARGE:
            middle = [u for i, u in enumerate(reversed(group.nodes)) if i % LARGE == LARGE - 1 and u.op.elementwise and u not in placement.group_of]
            wishes.stored |= {u: f"its kernel would compute {len(group.nodes)} values at once" for u in middle}
            wishes.apart |= frozenset(middle)
    return len(wishes.stored) != before


def _cut_all(bodies: Sequence[Body], limit: int, buffers: dict[UOp, UOp], physical: Callable[[UOp], UOp], wishes: _Wishes) -> bool:
    """Note what to store so that every body binds at most `limit` buffers; True when something was noted."""
    before = len(wishes.stored), len(wishes.apart), tuple(wishes.parts.values())
    most = 0
    for body in bodies:
        written, loaded = memory_of(body.sink)
        count = len({physical(u) for u in (*written, *loaded)})
        if count <= limit:
            continue
        most = max(most, count)
        found = cut(body, limit, buffers, physical)
        wishes.stored |= dict.fromkeys(found.stored, f"its kernel would bind {count} buffers where the target allows {limit}")
        wishes.apart |= frozenset((*found.stored, *found.apart))
        first = 1 + max(wishes.parts.values(), default=0)
        wishes.parts |= {root: first + i for i, roots in enumerate(found.parts) for root in roots}
    changed = (len(wishes.stored), len(wishes.apart), tuple(wishes.parts.values())) != before
    if most and not changed:
        raise CompileError(f"a kernel needs {most} storage buffers and cannot be split; the target allows {limit}")
    return changed
