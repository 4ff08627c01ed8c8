"""Where nodes come from: rule by rule back to the user's program.

A node is the user's, or a rule made it, or a pass put an older node on new operands. A node inside what a rule gave belongs to that rule too.
Nothing is guessed: everything is read from a trace of what the compiler did, and a node that no step made has no maker.

>>> from anneal.ir.build import index, variable
>>> x = variable("x", 0, 9)
>>> past = History([Event("simplified", "mul_one", x * 1, x), Event("simplified", "double", x + x, x * 2)], [], [x + x])
>>> [(s.stage, s.by) for s in past.chain(x * 2)], past.maker(x)
([('simplified', 'double')], None)
>>> [s.by for s in past.replaced(x)]
['mul_one']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.rewrite.trace import Event, Move

BACKWARD: Final = "backward"
"""The stage of gradient rules."""
LEAVES: Final = frozenset({Ops.CONST, Ops.PARAM, Ops.BUFFER, Ops.VARIABLE, Ops.IOTA, Ops.RANGE, Ops.SPECIAL, Ops.LOCAL, Ops.COMMENT})
"""What is written by its name or value wherever it is read; nothing is told of how it came to be, for it is made anew at many places."""
WORDS: Final = {
    "operands": "the same operation, on operands that had changed",
    "split": "a long reduction, in two",
    "index": "which element of its operand a movement op reads",
    "load": "an element of what is stored",
    "element": "what computes one element of a tensor",
    "store": "where an element of a stored tensor is written",
    "binding": "a buffer, as the kernel numbers it",
    "unroll": "one turn of a loop, written out",
    "vector": "elements that are read or written together",
    "loop": "a reduction, as a loop",
    "instruction": "a value, as an instruction",
}
"""What passes do that is no rule."""


class Step(NamedTuple):
    """Something that put a node in another's place."""

    stage: str
    by: str
    """The rule, or the pass's own word where no rule did it."""
    before: UOp
    after: UOp
    ruled: bool
    """True where a rule did it."""


def _over(known: Mapping[UOp, UOp] | None, steps: Iterable[Step]) -> Iterator[Step]:
    """Gradient steps over the graph that was compiled; other steps as they are."""
    for step in steps:
        if known is None or step.stage != BACKWARD:
            yield step
        elif step.after in known:
            yield step._replace(before=known.get(step.before, step.before), after=known[step.after])


def _unseen(root: UOp, seen: set[UOp]) -> list[UOp]:
    """What is new at and below a node, operands first."""
    return [] if root in seen else [u for u in toposort(root, enter=lambda u: u not in seen) if u not in seen]


class History:
    """Answers where nodes come from, for one compilation."""

    def __init__(self, events: Iterable[Event], moves: Iterable[Move], program: Iterable[UOp], known: Mapping[UOp, UOp] | None = None) -> None:
        """From what a trace recorded. `program` holds the roots of the user's graph; `known` says which of its nodes stands for an older one.

        Gradient rules run on the older graph; those whose gradient nobody asked for are left out where `known` is given.
        """
        self.steps = list(_over(known, (Step(*e, ruled=True) for e in events)))
        """What rules did, in order."""
        self._given = frozenset(u for u in toposort(*program) if u.phase != "backward" or u.rule is None)
        self._made: dict[UOp, Step] = {}
        self._into: dict[UOp, list[Step]] = {}
        self._from: dict[UOp, list[UOp]] = {}
        every = [*self.steps, *(Step(*m, ruled=False) for m in moves)]
        self.words = frozenset(step.by for step in every)
        """Every rule that fired, and the passes' own words."""
        self._find_makers(every)
        for step in every:
            self._into.setdefault(step.after, []).append(step)
            if step.stage != BACKWARD:
                self._from.setdefault(step.before, []).append(step.after)

    def _find_makers(self, steps: Iterable[Step]) -> None:
        """Note for each node the first step that gave it, or something that holds it: rules first, then other steps."""
        seen = {True: set(self._given), False: set(self._given)}
        for step in steps:
            old = seen[step.ruled]
            if step.ruled and step.stage != BACKWARD:
                old.update(_unseen(step.before, old))
            new = _unseen(step.after, old)
            for node in new:
                if node.op not in LEAVES:
                    self._made.setdefault(node, step)
            old.update(new)

    def given(self, node: UOp) -> bool:
        """True for a node of the user's program."""
        return node in self._given

    def maker(self, node: UOp) -> Step | None:
        """The step that made a node; None for a node of the user's program."""
        return self._made.get(node)

    def chain(self, node: UOp) -> list[Step]:
        """The steps that led to a node, the oldest first; each begins with a node that the step before it made, or made a part of."""
        found: list[Step] = []
        seen: set[UOp] = set()
        while node not in seen and (step := self._made.get(node)) is not None:
            seen.add(node)
            found.append(step)
            node = step.before
        return found[::-1]

    def replaced(self, node: UOp) -> list[Step]:
        """The steps in which other nodes became this one, apart from the step that made it; each once."""
        maker = self._made.get(node)
        return [s for s in dict.fromkeys(self._into.get(node, ())) if s != maker]

    def became(self, node: UOp) -> list[UOp]:
        """Everything that took the place of a node, directly or in several steps, in order; the node itself first."""
        found = {node: None}
        stack = [node]
        while stack:
            for after in self._from.get(stack.pop(), ()):
                if after not in found:
                    found[after] = None
                    stack.append(after)
        return list(found)
