"""Kernels that bind more buffers than the target allows become several.

Between its outputs, where each of them fits by itself; else below one, where a value is stored through which many of the reads pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.schedule.facts import elements
from anneal.schedule.kernels import MEMORY, Body

Leaves = frozenset[UOp]
_NOTHING: Final[Leaves] = frozenset()
SEARCHED: Final = 256
"""Values below one, up to which each is tried as the one to store."""


@dataclass(slots=True)
class Cut:
    """How a body that binds too many buffers becomes several."""

    stored: list[UOp] = field(default_factory=list)
    """Values to store."""
    parts: list[list[UOp]] = field(default_factory=list)
    """Its roots in sets, each for a kernel of its own."""
    apart: list[UOp] = field(default_factory=list)
    """Roots that no reader may join."""


def cut(body: Body, limit: int, buffers: dict[UOp, UOp], physical: Callable[[UOp], UOp]) -> Cut:
    """How to divide a body so that each kernel binds at most `limit` buffers."""
    bound = [frozenset(physical(u) for u in toposort(s) if u.op in MEMORY) for s in body.sink.src]
    if len(bound) > 1 and all(len(b) <= limit for b in bound):
        return Cut(parts=_packed(list(zip(body.roots, bound, strict=True)), limit))
    values = _Values(body, limit, buffers, physical)
    if values.chosen:
        return Cut(stored=[u for u in values.chosen if u not in buffers], apart=[u for u in values.chosen if u in buffers])
    sums = [u for u in body.nodes if u.op is Ops.REDUCE_AXIS and u not in body.roots and len(values.leaves[u]) > 1]
    if sums:
        return Cut(stored=[max(sums, key=lambda u: len(values.leaves[u]))])
    return Cut(apart=list(body.roots))


def _packed(roots: Sequence[tuple[UOp, Leaves]], limit: int) -> list[list[UOp]]:
    """Roots in sets that bind at most `limit` buffers together; each goes where it adds the fewest."""
    sets: list[tuple[list[UOp], Leaves]] = []
    for root, bound in roots:
        fitting = [(len(bound - had), i) for i, (_, had) in enumerate(sets) if len(bound | had) <= limit]
        if fitting:
            _, i = min(fitting)
            sets[i] = ([*sets[i][0], root], sets[i][1] | bound)
        else:
            sets.append(([root], bound))
    return [members for members, _ in sets]


def _outputs_over(body: Body) -> dict[UOp, int]:
    """For each value the outputs that are computed from it, as bits."""
    found = {root: 1 << i for i, root in enumerate(body.roots)}
    for node in reversed(body.nodes):
        for operand in node.src:
            found[operand] = found.get(operand, 0) | found.get(node, 0)
    return found


class _Values:
    """The values of a body with the buffers that each takes, once some are loaded from memory so that none takes more than `limit`."""

    def __init__(self, body: Body, limit: int, buffers: dict[UOp, UOp], physical: Callable[[UOp], UOp]) -> None:
        self.limit = limit
        self.outputs = _outputs_over(body)
        self.memory = {u: frozenset((physical(memory),)) for u, memory in buffers.items()}
        self.leaves: dict[UOp, Leaves] = {}
        self.chosen: dict[UOp, None] = {}
        """Values to load: stored for this, or stored anyway and to be kept apart."""
        for node in body.nodes:
            own = self.memory.get(node, _NOTHING)
            found = own.union(*(self._of(s) for s in node.src))
            targets = _NOTHING.union(*(self.memory[root] for i, root in enumerate(body.roots) if self.outputs[node] >> i & 1))
            while len(found) > limit - found.isdisjoint(targets) and (value := self._best(node, own, len(found))) is not None:
                self.chosen[value] = None
                for u in toposort(*node.src, enter=self._computed):
                    if self._computed(u):
                        self.leaves[u] = self.memory.get(u, _NOTHING).union(*(self._of(s) for s in u.src))
                found = own.union(*(self._of(s) for s in node.src))
            self.leaves[node] = found

    def _computed(self, node: UOp) -> bool:
        """True for what the kernel computes, and does not load."""
        return node in self.leaves and node not in self.chosen

    def _of(self, node: UOp) -> Leaves:
        """The buffers that reading a value takes."""
        if self._computed(node):
            return self.leaves[node]
        loaded = node.op is Ops.PARAM or node in self.chosen
        return self.memory.get(node, frozenset((node,)) if loaded else _NOTHING)

    def _best(self, node: UOp, own: Leaves, count: int) -> UOp | None:
        """The value below a node that is best loaded: one that brings it below the limit, then one that serves many outputs; None when none helps."""
        below = [u for u in toposort(*node.src, enter=self._computed) if self._computed(u) and len(self.leaves[u]) > 1 and u.op.category != "movement"]
        choices = []
        for place, u in enumerate(below[-SEARCHED:]):
            left = len(self._without(node, own, u))
            if left < count:
                choices.append((max(left, self.limit), -self.outputs[u].bit_count(), u not in self.memory, elements(shape(u)), left, place))
        return below[-SEARCHED:][min(choices)[-1]] if choices else None

    def _without(self, node: UOp, own: Leaves, value: UOp) -> Leaves:
        """What a node takes when a value below it is loaded."""
        takes: dict[UOp, Leaves] = {value: self.memory.get(value, frozenset((value,)))}
        for u in toposort(*node.src, enter=lambda u: u is not value and self._computed(u) and len(self.leaves[u]) > 1):
            if u not in takes:
                opened = self._computed(u) and len(self.leaves[u]) > 1
                takes[u] = self.memory.get(u, _NOTHING).union(*(takes[s] for s in u.src)) if opened else self._of(u)
        return own.union(*(takes[s] for s in node.src))
