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

from collections.abc import Callable, Iterable
from typing import NamedTuple

from anneal.ir.uop import UOp
from anneal.rewrite.engine import Fix, Result, rewrite
from anneal.rewrite.table import Match, MatchFunction, Table


class Event(NamedTuple):
    """One rule that fired on one node."""

    stage: str
    """The pass that was running."""
    rule: str
    """The rule's name."""
    before: UOp
    """The node that matched, its operands in their final form."""
    after: UOp
    """What took its place."""


class Trace:
    """Collects events, of several passes if need be."""

    def __init__(self, observe: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        """What has fired so far, in order."""
        self.observe = observe
        """Called with each event as it happens."""

    def add(self, event: Event) -> None:
        """Record an event."""
        self.events.append(event)
        if self.observe is not None:
            self.observe(event)

    def rewrite(self, stage: str, roots: Iterable[UOp], table: Table, *, budget: int | None = None, fix: Fix | None = None) -> Result:
        """`rewrite` with its events recorded under the name of a stage."""
        traced = {op: tuple(self._watched(f, stage, table.names, fix) for f in functions) for op, functions in table.functions.items()}
        return rewrite(roots, Table(traced, table.names), budget=budget)

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
