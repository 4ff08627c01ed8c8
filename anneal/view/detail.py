"""One node: what it is, who reads it, and how it came to be, step by step back to the user's line.

>>> from anneal.ir.build import const, alu, param, sink
>>> from anneal.ir.dtype import dtypes
>>> from anneal.ir.ops import Ops
>>> x = param(0, (2, 3), dtypes.float32)
>>> nodes = Nodes("tensor", ((sink(alu(Ops.MUL, x, const(2.0, dtypes.float32))),),), names={x: "x"})
>>> print(Node.of(nodes, 2))
%2 = x*2.0
op       mul: x * y; and for bool
type     float32(2, 3)
phase    — forward
reads    %0 x, %1 2.0
role     output 0
history  the user's program has it as it is
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from anneal.analysis.bounds import bounds
from anneal.errors import RuleError, UsageError
from anneal.ir.uop import Origin, UOp
from anneal.rules import rule
from anneal.view.expression import Writer
from anneal.view.history import BACKWARD, LEAVES, WORDS, Step
from anneal.view.names import source_line
from anneal.view.nodes import Nodes
from anneal.view.phases import PLAIN, Painter, symbol
from anneal.view.tree import typed

_PARTS: Final = 16
"""Operations and leaves of an expression in a history."""
_LISTED: Final = 12


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a graph."""

    nodes: Nodes
    number: int
    uop: UOp

    @classmethod
    def of(cls, nodes: Nodes, number: int) -> Node:
        """The node of a number; raises UsageError where there is none."""
        if not 0 <= number < len(nodes.order):
            there = f"there are 0 to {len(nodes.order) - 1}" if nodes.order else "there is none, for nothing is left to compute"
            raise UsageError(f"no node {number} after the stage {nodes.stage}: {there}")
        return cls(nodes, number, nodes.order[number])

    @property
    def history(self) -> list[Step]:
        """The steps that led to the node, the oldest first; none where the user's program has it as it is."""
        return self.nodes.history.chain(self.uop)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<node {self.number} of {len(self.nodes.order)}: {self.uop.op.name} {typed(self.uop)}>"

    def lines(self, painter: Painter = PLAIN) -> list[str]:
        """Everything that is known of the node."""
        nodes, node = self.nodes, self.uop
        writer = _writer(nodes)
        title = f"%{self.number} = {writer.text(node) if node.op in LEAVES else writer.spelled(node)}"
        facts = [(key, value) for key, value in self._facts(painter) if value]
        made = [f"{painter.dim(f'{key:<8}')} {value}" for key, value in facts]
        return [painter.bold(title), *made, *_told(self.history, nodes.history.replaced(node), self, writer, painter)]

    def _facts(self, painter: Painter) -> list[tuple[str, str]]:
        nodes, node = self.nodes, self.uop
        module = nodes.module(node)
        kind = nodes.kinds.get(module or "")
        limits = bounds(node) if not node.dtype.is_float else None
        output = nodes.outputs.get(node)
        phase = painter.paint(f"{symbol(node.phase, ascii_only=painter.plain)} {node.phase}", node.phase)
        return [
            ("op", painter.text(f"{node.op.name}: {node.op.doc}")),
            ("type", painter.text(typed(node))),
            ("phase", phase),
            ("name", painter.text(nodes.name(node) or "")),
            ("module", painter.text(f"{module}: {kind}" if kind and kind != module else module or "")),
            ("bounds", f"{limits.low} to {limits.high}" if limits is not None and None not in limits else ""),
            ("reads", self._listed(node.src, painter)),
            ("read by", self._listed(nodes.readers[node], painter)),
            ("role", f"output {output}" if output is not None else ""),
        ]

    def _listed(self, others: tuple[UOp, ...] | list[UOp], painter: Painter) -> str:
        """Other nodes by number, with what they are."""
        nodes = self.nodes
        known = [u for u in dict.fromkeys(others) if u in nodes.numbers]
        writer = _writer(nodes)
        told = [f"%{nodes.numbers[u]} {writer.text(u) if u.op in LEAVES else nodes.name(u) or u.op.name}" for u in known[:_LISTED]]
        return painter.text(", ".join(told) + (f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""))


def _writer(nodes: Nodes) -> Writer:
    """Writes nodes of the stage by number, inputs by name."""
    names = {u: f"%{number}" for u, number in nodes.numbers.items() if u.op not in LEAVES}
    return Writer({**names, **nodes.leaf_names}, _PARTS)


def _told(chain: list[Step], replaced: list[Step], shown: Node, writer: Writer, painter: Painter) -> list[str]:
    """The history as lines."""
    node = shown.uop
    start = chain[0].before if chain else node
    origin = start.origin or node.origin
    told = [place(origin)] if origin is not None else []
    told.append(writer.spelled(start) if chain else _beginning(shown))
    made = [f"{painter.dim('history ' if i == 0 else ' ' * 8)} {painter.text(text)}" for i, text in enumerate(told)]
    runs = [list(run) for _, run in groupby(chain, key=lambda s: (s.stage, s.by, s.ruled) if not s.ruled else s)]
    for number, run in enumerate(runs, 1):
        step, times = run[-1], f" ({len(run)} times)" if len(run) > 1 else ""
        following = runs[number][0].before if number < len(runs) else node
        inside = "" if step.after is following else f"   holds {writer.spelled(following)}"
        made.append(f"{number:>8} {painter.text(f'{step.stage}: ')}{painter.bold(step.by)}{painter.text(_doc(step) + times)}")
        made.append(f"{painter.dim('   gives')} {painter.text(writer.spelled(step.after) + inside)}")
    for step in replaced[:_LISTED]:
        said = f" {'gives this too, for' if step.stage == BACKWARD else 'put this in place of'} {writer.spelled(step.before)}"
        made.append(f"{painter.dim('    also')} {painter.text(f'{step.stage}: ')}{painter.bold(step.by)}{painter.text(said)}")
    if len(replaced) > _LISTED:
        made.append(f"{painter.dim('    also')} {len(replaced) - _LISTED} more")
    return made


def _beginning(shown: Node) -> str:
    """What there is to say of a node that no step made."""
    node = shown.uop
    if shown.nodes.history.given(node):
        return f"the user's program has it as it is{f', from {node.rule}' if node.rule else ''}"
    if node.rule is not None:
        return f"made by {node.rule}"
    return "the compiler made it for this stage, by no rule"


def _doc(step: Step) -> str:
    """The text of the rule, or the passes' own word explained."""
    if step.ruled:
        try:
            return f"   {rule(step.by).text}"
        except RuleError:
            return ""
    return f": {WORDS[step.by]}" if step.by in WORDS else ""


def place(origin: Origin) -> str:
    """A line of the user's program: where, and what it says."""
    file, line = origin
    near = os.path.relpath(file) if os.path.isabs(file) else file
    return f"{file if near.startswith('..') else near}:{line}: {source_line(origin)}".rstrip(": ")
