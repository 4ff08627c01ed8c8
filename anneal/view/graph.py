"""A program's graph after a stage, to look at: as a tree, as a drawing, by search, node by node.

>>> from anneal.ir.build import const, alu, param, sink
>>> from anneal.ir.dtype import dtypes
>>> from anneal.ir.ops import Ops
>>> x = param(0, (2, 3), dtypes.float32)
>>> graph = Graph("tensor", ((sink(alu(Ops.MUL, x, const(2.0, dtypes.float32))),),), names={x: "x"})
>>> graph.find(op="mul")
[<node 2 of 3: mul float32(2, 3)>]
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from anneal.errors import AnnealError, number_of
from anneal.view.detail import Node
from anneal.view.nodes import Nodes

SMALL: Final = 150
"""Nodes of the largest graph that a notebook draws by itself."""


class Graph(Nodes):
    """A program after a stage. Printed, it is a tree; a notebook shows that in colour."""

    def __str__(self) -> str:
        from anneal.view import tree

        return "\n".join(tree.lines(self))

    def __repr__(self) -> str:
        return f"<graph after {self.stage}: {number_of(len(self.order), 'node')}>"

    def node(self, number: int) -> Node:
        """The node of a number, with its history; raises UsageError where there is none."""
        return Node.of(self, number)

    def find(self, **criteria: str) -> list[Node]:
        """The nodes that meet all criteria: op, shape, dtype, phase, name, rule, module, as `anneal graph --find` has them."""
        from anneal.view import find

        return [Node.of(self, self.numbers[u]) for u in find.matching(self, criteria)]

    def dot(self) -> str:
        """The graph in Graphviz's language."""
        from anneal.view import dot

        return dot.text(self)

    def svg(self) -> str:
        """The graph drawn by Graphviz; raises UsageError where that is not installed or does not finish."""
        from anneal.view import dot

        return dot.svg(self.dot())

    def _repr_html_(self) -> str:
        from anneal.view import html

        return html.page_part(self)

    def _repr_svg_(self) -> str | None:
        """A drawing for notebooks; None where Graphviz is missing or fails, or the graph is large."""
        from anneal.view import dot

        if len(self.order) > SMALL or not dot.installed():
            return None
        with suppress(AnnealError):
            return self.svg()
        return None
