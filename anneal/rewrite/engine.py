"""The iterative driver: rewrites graphs bottom-up until no rule matches anywhere.

Every operand is in its final form before a node is tried, every new node is tried again, and each node is worked on once a call. So the
result is a fixpoint: rewriting it again gives the same objects. Nothing recurses, and the walk is linear in the nodes it meets.

>>> from anneal.ir.build import index, variable
>>> from anneal.ir.ops import Ops
>>> from anneal.rewrite.table import Table
>>> x = variable("x", 0, 9)
>>> table = Table({Ops.ADD: (lambda u: (0, u.src[0]) if u.src[1] is index(0) else None,)}, ("add_zero",))
>>> rewrite([x + 0 + 0], table) == Result((x,), 1)
True
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from anneal.errors import RuleError
from anneal.ir.graph import toposort
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.table import Table

Fix = Callable[[UOp, UOp], UOp]
_FREE = 10_000
_PER_NODE = 200
_REPORTED = 1_000


@dataclass(frozen=True, slots=True)
class Result:
    """What a rewrite gives."""

    roots: tuple[UOp, ...]
    """The roots in their final form, in order."""
    count: int
    """How often a rule fired."""
    final: Mapping[UOp, UOp] = field(default_factory=dict, compare=False, repr=False)
    """What each node that was met has become, in the order they were done."""


def rewrite(roots: Iterable[UOp], table: Table, *, budget: int | None = None, fix: Fix | None = None) -> Result:
    """Rewrite `roots` with the rules of `table` until none matches.

    `fix(old, new)` may turn what a rule gives into something equal, for example of the old shape; it returns `old` to refuse. `budget`
    bounds how often rules may fire, by default 10,000 times and 200 times a node; beyond it, RuleError names the rules that go round.
    New nodes take phase, origin and gradient rule of the node that they replace.
    """
    goals = tuple(roots)
    with ARENA.crediting():
        return _Driver(goals, table, budget, fix).run()


class _Driver:
    """One call of `rewrite`: what is final, what waits for what, and what has fired."""

    def __init__(self, goals: tuple[UOp, ...], table: Table, budget: int | None, fix: Fix | None) -> None:
        self.goals = goals
        self.functions = table.functions
        self.names = table.names
        self.limit = _FREE if budget is None else budget
        self.extends = budget is None
        self.fix = fix
        self.fired: list[int] = []

    def run(self) -> Result:
        """Work until every goal is final."""
        final: dict[UOp, UOp] = {}
        for goal in self.goals:
            self._finish(goal, final)
        return Result(tuple(final[goal] for goal in self.goals), len(self.fired), final)

    def _finish(self, goal: UOp, final: dict[UOp, UOp]) -> None:
        """Put the final form of `goal`, and of all below it, into `final`."""
        arena, tried = ARENA, self._tried
        waiting: dict[UOp, UOp] = {}
        stack = [goal]
        while stack:
            node = stack[-1]
            if node in final:
                stack.pop()
                continue
            if node in waiting:
                if (new := waiting[node]) not in final:
                    raise self._endless()
                final[node] = final[new]
                stack.pop()
                continue
            old = node.src
            if missing := [s for s in old if s not in final]:
                stack += missing[::-1]
                continue
            if node.phase != arena.phase or node.origin != arena.origin or node.rule != arena.rule:
                arena.phase, arena.origin, arena.rule = node.phase, node.origin, node.rule
            src = tuple([final[s] for s in old])
            new = tried(node) if src == old else arena.intern(node.op, node.dtype, src, node.arg)
            if new in final:
                final[node] = final[new]
                stack.pop()
            elif new is node:
                final[node] = node
                stack.pop()
            else:
                waiting[node] = new
                stack.append(new)

    def _tried(self, node: UOp) -> UOp:
        """What the first rule that matches makes of `node`; the node itself when none does."""
        for function in self.functions.get(node.op, ()):
            if (match := function(node)) is not None:
                number, new = match
                if self.fix is not None:
                    new = self.fix(node, new)
                if new is not node:
                    self.fired.append(number)
                    if len(self.fired) > self.limit:
                        self._extend()
                return new
        return node

    def _extend(self) -> None:
        """Extend a default budget, once, by the size of the goals."""
        if self.extends:
            self.extends = False
            self.limit += _PER_NODE * len(toposort(*self.goals))
        if len(self.fired) > self.limit:
            raise self._endless(", or allow more with budget=")

    def _endless(self, remedy: str = "") -> RuleError:
        """The error that names the rules which fired last."""
        names = Counter(self.names[number] for number in self.fired[-_REPORTED:])
        told = ", ".join(f"{name} ({count} times)" for name, count in sorted(names.items(), key=lambda row: (-row[1], row[0])))
        return RuleError(f"rules do not come to an end: {len(self.fired)} fired, the last of them {told}; give one of them a guard{remedy}")
