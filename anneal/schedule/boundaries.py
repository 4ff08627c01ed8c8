"""Where each value lives: computed where it is read, shared by a workgroup, or stored in a buffer.

One walk from the outputs to the inputs, each node once. A value knows by then every place that reads it (`reads`), so the decision is
local, and each decision records its reason. Kernels in the making are `Group`s; the level of a group is the length of the longest chain of
kernels behind it, and groups merge only where levels show that no path joins them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from anneal.errors import number_of
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.schedule.contexts import free_ranges_of, operands, own_context
from anneal.schedule.facts import Facts, elements, gather_facts
from anneal.schedule.indexing import ZERO, Context, span

Scope = Literal["inline", "group", "global"]
Active = frozenset[UOp]

DISPATCH: Final = 8192
"""Cost of one more kernel, in element loads."""
FLOP: Final = 0.125
"""Cost of an arithmetic operation, in element loads."""
SAVED: Final = 4
"""How many times dearer a value may be to compute again than to store, where storing it would break up a kernel whose rows are shared."""
NEST: Final = 2048
"""Elements up to which a reduction inside another is not worth a kernel of its own."""
SHARE: Final = 16384
"""Elements up to which one workgroup alone may run through a row; with `ROWS` rows or more, any length."""
ROWS: Final = 32


class Decision(NamedTuple):
    """Where a value was placed and why."""

    node: UOp
    scope: Scope
    reason: str


@dataclass(eq=False, slots=True)
class Group:
    """A kernel in the making."""

    number: int
    ranges: frozenset[UOp]
    """Ranges of all its outputs together."""
    level: int
    """Length of the longest chain of kernels that must run after it."""
    ceiling: int = 1 << 60
    """Smallest level among the groups that feed it: its own level stays below."""
    outer: frozenset[UOp] | None = None
    """Ranges at which reductions are computed once and shared along the others; None when nothing is shared."""
    plain: bool = False
    """True once it holds a reduction over all its output ranges."""
    part: int | None = None
    """Number of the only kernel that its values may be in, where one kernel with all of them would bind too much."""
    into: Group | None = None
    """The group it was merged into."""
    roots: list[UOp] = field(default_factory=list)
    """The values it stores."""
    nodes: list[UOp] = field(default_factory=list)
    """Every value computed in it, readers before what they read."""

    def now(self) -> Group:
        """The group this one has become."""
        group = self
        while group.into is not None:
            group = group.into
        return group


Reads = dict[Context, dict[Group, Active]]


@dataclass(slots=True)
class Placement:
    """The result of the walk."""

    groups: list[Group]
    """Kernels, each with its roots."""
    group_of: dict[UOp, Group]
    """The group that stores a value, for the stored ones."""
    contexts: dict[UOp, list[Context]]
    """Every place where a value is computed."""
    decisions: list[Decision]
    order: list[UOp]
    """The graph in topological order."""


@dataclass(frozen=True, slots=True)
class Demands:
    """What a placement must respect besides the graph."""

    stored: dict[UOp, str]
    """Values that get a buffer in any case, and why."""
    apart: frozenset[UOp]
    """Stored values whose kernel no reader joins."""
    parts: dict[UOp, int]
    """Stored values that share a kernel only with those of the same number."""


class Boundaries:
    """The walk. `expected` are values that an earlier walk stored: what reads them is taken to load them."""

    def __init__(self, order: Sequence[UOp], outputs: Iterable[UOp], demands: Demands, expected: Collection[UOp] = ()) -> None:
        self.order = list(order)
        self.facts: dict[UOp, Facts] = gather_facts(order, expected)
        self.must: dict[UOp, str] = dict.fromkeys(outputs, "an output of the program") | demands.stored
        self.must |= {u: "contiguous() asked for a buffer" for u in order if u.op is Ops.CONTIGUOUS and u not in self.must}
        self.must |= {u: "an assignment: the new contents of its buffer" for u in order if u.op is Ops.ASSIGN}
        self.apart, self.parts = demands.apart, demands.parts
        self.reads: dict[UOp, Reads] = {}
        self.groups: list[Group] = []
        self.group_of: dict[UOp, Group] = {}
        self.contexts: dict[UOp, list[Context]] = {}
        self.decisions: list[Decision] = []

    def run(self) -> Placement:
        """Place every node."""
        for node in reversed(self.order):
            reads = self.reads.pop(node, {})
            if node.op is Ops.SINK or not (reads or node in self.must):
                continue
            if not node.src and node not in self.must:
                self.contexts[node] = list(reads)
                continue
            group = self._placed(node, reads)
            if group is None:
                self._descend(node, reads)
            else:
                group.roots.append(node)
                group.part = self.parts.get(node, group.part)
                self.group_of[node] = group
                own = own_context(node)
                self._descend(node, {own: {group: free_ranges_of(own)}})
        groups = [g for g in self.groups if g.into is None]
        return Placement(groups, {u: g.now() for u, g in self.group_of.items()}, self.contexts, self.decisions, self.order)

    # What is stored.

    def _placed(self, node: UOp, reads: Reads) -> Group | None:
        """The group that stores `node`, or None where it is computed in place."""
        reads = {c: _current(groups) for c, groups in reads.items()}
        reason = self.must.get(node)
        if reason is None:
            scope, reason = self._reduction(node, reads) if node.op is Ops.REDUCE_AXIS else self._elementwise(node, reads)
            if scope != "inline" or reason:
                self.decisions.append(Decision(node, scope, reason))
            if scope != "global":
                return None
        else:
            self.decisions.append(Decision(node, "global", reason))
        return self._root(node, reads)

    def _root(self, node: UOp, reads: Reads) -> Group:
        """A group that stores `node`: that of a reader which reads it as it is written, or a new one."""
        own = own_context(node)
        ranges = free_ranges_of(own)
        near = sorted(reads.get(own, {}), key=lambda g: g.number) if node not in self.apart else []
        for group in near:
            others = {g for c, groups in reads.items() for g in groups if c != own or g is not group}
            level = max([group.level, *(g.level + 1 for g in others)])
            if group in others or level >= group.ceiling or not self._fits(node, group, ranges):
                continue
            if len({self.parts.get(node), group.part} - {None}) > 1:
                continue
            group.level = level
            self._feeds(group, others)
            return group
        readers = {g for groups in reads.values() for g in groups}
        made = Group(len(self.groups), ranges, max((g.level + 1 for g in readers), default=0))
        self.groups.append(made)
        self._feeds(made, readers)
        if node.op is Ops.REDUCE_AXIS:
            made.plain = True
        return made

    def _fits(self, node: UOp, group: Group, ranges: frozenset[UOp]) -> bool:
        """Whether a root with these ranges may be computed in the kernel of `group`."""
        if ranges == group.ranges and group.outer is None:
            return True
        if not self.facts[node].heavy:
            return True
        return self._shares(node, own_context(node), group, group.ranges)

    def _feeds(self, group: Group, readers: Iterable[Group]) -> None:
        for reader in readers:
            if reader is not group:
                reader.ceiling = min(reader.ceiling, group.level)

    # Elementwise values and movement.

    def _elementwise(self, node: UOp, reads: Reads) -> tuple[Scope, str]:
        if node.op.category == "movement" or not node.op.elementwise:
            return "inline", ""
        facts, count = self.facts[node], elements(shape(node))
        points = [span(active) for groups in reads.values() for active in groups.values()]
        if facts.heavy:
            if len(points) > 1 and len(reads) == 1 and self._merge_all(next(iter(reads.values()))):
                return "inline", f"{len(points)} outputs that read it share one kernel"
            if len(reads) == 1 and len(points) == 1 and points[0] > count and self._row_value(node, reads):
                return "inline", ""
            if len(points) > 1 or points[0] > count:
                repeated = f"in a loop that meets each element {points[0] // max(count, 1):,} times"
                where = _places(reads) if len(points) > 1 else repeated
                return "global", f"read {where}: stored once, since the reduction below it would otherwise be computed again each time"
            return "inline", ""
        if len(points) == 1 and points[0] <= count:
            return "inline", ""
        once = facts.loads + FLOP * facts.flops
        recompute = sum(points) * once
        store = count * (once + 1) + sum(points) + DISPATCH
        only = next(iter(next(iter(reads.values()))))
        alone = only.outer is not None and all(set(groups) == {only} for groups in reads.values())
        if facts.loads == 0 or recompute <= store * (SAVED if alone else 1):
            return "inline", f"read {_places(reads)}: computing it again is cheaper than storing it, {_against(recompute, store)}" if len(points) > 1 else ""
        if len(points) > 1 and len(reads) == 1 and self._merge_all(next(iter(reads.values()))):
            return "inline", f"{len(points)} outputs that read it share one kernel"
        return "global", f"read {_places(reads)}, {sum(points):,} times: storing it once is cheaper than computing it again, {_against(store, recompute)}"

    def _row_value(self, node: UOp, reads: Reads) -> bool:
        """Whether a value made of a reduction can be computed once a row, as the reduction itself can."""
        context, groups = next(iter(reads.items()))
        group, active = next(iter(groups.items()))
        return self._shares(node, context, group, active)

    # Reductions.

    def _reduction(self, node: UOp, reads: Reads) -> tuple[Scope, str]:
        if len(reads) > 1:
            return "global", f"read {_places(reads)}: a reduction is computed once, and stored"
        context, groups = next(iter(reads.items()))
        scopes: list[Scope] = []
        for group, active in groups.items():
            scope, reason = self._reduction_in(node, context, group, active)
            if scope == "global":
                return scope, reason
            scopes.append(scope)
        if len(groups) > 1 and not self._merge_all(groups):
            return "global", f"read by {len(groups)} kernels that cannot be one: a reduction is computed once, and stored"
        kept = next(iter(groups)).now()
        if "group" in scopes:
            kept.outer = free_ranges_of(context)
            return "group", f"computed once for each of {span(kept.outer):,} rows, by a workgroup that shares it along the row"
        if free_ranges_of(context) == kept.ranges:
            kept.plain = True
        return "inline", "one kernel with what is computed from it"

    def _reduction_in(self, node: UOp, context: Context, group: Group, active: Active) -> tuple[Scope, str]:
        """Whether one kernel can compute the reduction where it reads it."""
        count, points, free = elements(shape(node)), span(active), free_ranges_of(context)
        inside = [r for r in free if r.arg[0] == "k"]
        total = points * _reduced(node)
        if inside and total > NEST:
            return "global", "read inside another reduction, where it would be computed again at each turn: stored once"
        if points <= count and not (group.outer is not None and free != group.outer):
            return "inline", ""
        if self._shares(node, context, group, active):
            return "group", ""
        return "global", f"read {points:,} times for {count:,} elements: a reduction is computed once, and stored"

    def _shares(self, node: UOp, context: Context, group: Group, active: Active) -> bool:
        """Whether a workgroup can compute the reduction once and share it along the rest of its loops."""
        free = free_ranges_of(context)
        exact = all(i is ZERO or i.op is Ops.RANGE for i in context.indices) and context.gate is None
        if not exact or any(r.arg[0] != "r" for r in free) or not free <= group.ranges:
            return False
        if group.outer not in (None, free) or (group.plain and group.ranges != free):
            return False
        row = max(span(active) // max(1, span(free)), _reduced(node))
        return row <= SHARE or span(free) >= ROWS

    def _merge_all(self, groups: Iterable[Group]) -> bool:
        """Make several groups one, where levels and loops allow; all or none."""
        members = sorted({g.now() for g in groups}, key=lambda g: g.number)
        parts = {g.part for g in members} - {None}
        if len(parts) > 1 or any(not self.apart.isdisjoint(g.roots) for g in members):
            return len(members) == 1
        level = max(g.level for g in members)
        if any(g.level < level and level >= g.ceiling for g in members) or any(g.ceiling <= level for g in members):
            return False
        outers = {g.outer for g in members if g.outer is not None}
        ranges = {g.ranges for g in members}
        shared = frozenset.intersection(*ranges)
        if len(outers) > 1 or (len(ranges) > 1 and (any(g.plain and g.ranges != shared for g in members) or (outers and next(iter(outers)) != shared))):
            return False
        kept = members[0]
        for other in members[1:]:
            other.into = kept
            kept.roots += other.roots
            kept.nodes += other.nodes
            kept.ranges |= other.ranges
            kept.plain |= other.plain
            kept.ceiling = min(kept.ceiling, other.ceiling)
        kept.level, kept.outer, kept.part = level, next(iter(outers), None), next(iter(parts), None)
        return True

    # What is read below.

    def _descend(self, node: UOp, reads: Reads) -> None:
        """Pass the reads of a computed value on to its operands."""
        self.contexts[node] = list(reads)
        for group in dict.fromkeys(g.now() for groups in reads.values() for g in groups):
            group.nodes.append(node)
        for context, groups in reads.items():
            for operand, inner, extra in operands(node, context):
                table = self.reads.setdefault(operand, {}).setdefault(inner, {})
                free = free_ranges_of(context) if node.op is Ops.REDUCE_AXIS else None
                for group, active in groups.items():
                    kept = group.now()
                    table[kept] = table.get(kept, frozenset()) | (active if free is None else free) | extra


def _current(groups: dict[Group, Active]) -> dict[Group, Active]:
    """Reads by the groups that exist now."""
    result: dict[Group, Active] = {}
    for group, active in groups.items():
        kept = group.now()
        result[kept] = result.get(kept, frozenset()) | active
    return result


def _places(reads: Reads) -> str:
    """Where a value is read, in words: ranges differ where its readers want other elements of it at one point of their loops."""
    count = sum(len(groups) for groups in reads.values())
    return f"at {number_of(count, 'place')}" + (" with different ranges" if len(reads) > 1 else "")


def _against(less: float, more: float) -> str:
    """Two costs, as loads of an element."""
    return f"as {less:,.0f} loads to {more:,.0f}"


def _reduced(node: UOp) -> int:
    """How many elements a reduction combines into one; 1 for other values."""
    if node.op is not Ops.REDUCE_AXIS:
        return 1
    return elements(shape(node.src[0])) // max(1, elements(shape(node)))
