"""The traced driver: the same rewriting as `anneal.rewrite.engine`, and a record of every rule that fired.

The driver that nobody watches knows nothing of this one: here the match functions themselves are wrapped, so both give the same nodes.

>>> from anneal.ir.build import index, variable
>>> from anneal.ir.ops import Ops
>>> x = variable("x", 0, 9)
>>> table = Table({Ops.ADD: (lambda u: (0, u.src[0]) if u.src[1] is index(0) else None,)}, ("add_zero",))
>>> trace = Trace()
>>> trace.rewrite("simplify", [x + 0], table).roots[0] is x
True
>>> [(e.stage, e.rule, e.after is x) for e in trace.events]
[('simplify', 'add_zero', True)]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.engine import Fix, Result, rewrite
from anneal.rewrite.table import Match, MatchFunction, Table

OPERANDS: Final = "operands"
"""The step that puts a node on operands which have changed."""


class Event(NamedTuple):
    """One rule that fired on one node."""

    stage: str
    """The pass that was running."""
    rule: str
    """The rule's name."""
    before: UOp
    """The node that matched, its operands in their final form; of a gradient rule, the node that is differentiated."""
    after: UOp
    """What took its place; of a gradient rule, what it gives one of the operands."""


class Move(NamedTuple):
    """A node that a pass put in another's place without a rule: the same op on new operands, or one element of a tensor."""

    stage: str
    step: str
    """What was done: `OPERANDS`, or the pass's own word."""
    before: UOp
    after: UOp


class Call(NamedTuple):
    """One call of the rewriter: what it was given, what it gave, and which of the trace's events and moves are its own."""

    stage: str
    roots: tuple[UOp, ...]
    results: tuple[UOp, ...]
    """What each root has become."""
    events: range
    """Positions among the events, in the order in which the rules fired."""
    moves: range
    """Positions among the moves, all of them `OPERANDS`."""


class Snapshot(NamedTuple):
    """A program after a stage; the first of a compilation, `tensor`, is the program as it was given."""

    stage: str
    ensures: str
    """What holds now."""
    graphs: tuple[tuple[UOp, ...], ...]
    """The roots of each graph: one graph of the whole program, later one a kernel; after `lowered`, a kernel's instructions in order."""
    milliseconds: float
    rewrites: int
    """How often rules fired in the stage."""
    lines: tuple[tuple[tuple[UOp, ...], ...], ...] = ()
    """Of the last stage, whose result is text: for each kernel, the instructions that each line says."""


class Trace:
    """Collects what passes did, of several compilations if need be. Holds the nodes that it tells of."""

    def __init__(self, observe: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        """Which rules have fired so far, in order."""
        self.moves: list[Move] = []
        """What else has taken another node's place, in order."""
        self.calls: list[Call] = []
        """Every call of the rewriter that came to its end, in order."""
        self.snapshots: list[Snapshot] = []
        """The program after each stage, compilation after compilation."""
        self.observe = observe
        """Called with each event as it happens."""

    def add(self, event: Event) -> None:
        """Record an event."""
        self.events.append(event)
        if self.observe is not None:
            self.observe(event)

    def fired(self, stage: str | None = None) -> dict[str, int]:
        """How often each rule fired, in a stage or in all, the busiest first."""
        times = Counter(e.rule for e in self.events if stage in (None, e.stage))
        return dict(sorted(times.items(), key=lambda row: (-row[1], row[0])))

    def rewrite(self, stage: str, roots: Iterable[UOp], table: Table, *, budget: int | None = None, fix: Fix | None = None) -> Result:
        """`rewrite` with its events recorded under the name of a stage."""
        traced = {op: tuple(self._watched(f, stage, table.names, fix) for f in functions) for op, functions in table.functions.items()}
        roots, events, moves = tuple(roots), len(self.events), len(self.moves)
        result = rewrite(roots, Table(traced, table.names), budget=budget)
        final = result.final
        for node in final:
            src = tuple([final[s] for s in node.src])
            if src != node.src:
                self.moves.append(Move(stage, OPERANDS, node, ARENA.intern(node.op, node.dtype, src, node.arg)))
        self.calls.append(Call(stage, roots, result.roots, range(events, len(self.events)), range(moves, len(self.moves))))
        return result

    def _watched(self, function: MatchFunction, stage: str, names: tuple[str, ...], fix: Fix | None) -> MatchFunction:
        def watched(node: UOp) -> Match | None:
            if (match := function(node)) is None:
                return None
            number, new = match
            if fix is not None:
                new = fix(node, new)
            if new is not node:
                self.add(Event(stage, names[number], node, new))
            return number, new

        return watched

    def _rows(self) -> list[Sequence[object]]:
        """Stage, rule and how often it fired, stages in order, the busiest rule of each first."""
        return [(stage, *row) for stage in dict.fromkeys(e.stage for e in self.events) for row in self.fired(stage).items()]

    def __str__(self) -> str:
        rows = self._rows()
        wide = [max((len(str(row[i])) for row in rows), default=0) for i in range(3)]
        lines = [f"{stage:<{wide[0]}}  {rule:<{wide[1]}}  {times:>{wide[2]}}" for stage, rule, times in rows]
        return "\n".join([*lines, repr(self)])

    def __repr__(self) -> str:
        return f"<trace: {len(self.events)} rewrites by {len(self.fired())} rules, {len(self.snapshots)} stages>"

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from html import escape

        rows = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in self._rows())
        head = "<tr><th>stage</th><th>rule</th><th>times</th></tr>"
        return f"<details open><summary>{escape(repr(self)[1:-1])}</summary><table>{head}{rows}</table></details>"
