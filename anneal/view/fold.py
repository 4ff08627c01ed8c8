"""What stands on a line of its own, and what is folded into the line of its reader: leaves, and short movement and index arithmetic.

>>> from anneal.ir.build import alu, const, index, param, reshape, sink
>>> from anneal.ir.dtype import dtypes
>>> x = param(0, (6,), dtypes.float32)
>>> y = alu(Ops.MUL, reshape(x, (2, 3)), const(2.0, dtypes.float32))
>>> folded = Folded(Nodes("tensor", ((sink(y),),), names={x: "x"}))
>>> folded.text(y), list(folded.own) == [y]
('reshape(x)*2.0', True)
"""

from __future__ import annotations

from typing import Final

from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.view.expression import Writer
from anneal.view.nodes import LEAVES, Nodes

MOST: Final = 44
"""Letters of what is folded into a line."""
SHARED: Final = 24
"""Letters of index arithmetic that is written out at each of several places."""
_WITHOUT: Final = frozenset({Ops.RESHAPE, Ops.EXPAND})
"""Movement whose argument, the shape, is left out where it is folded: what it is read by has it."""
_ALL: Final = 1 << 30
_PARTS: Final = 24


class Folded:
    """The lines of a graph."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.own: dict[UOp, None] = {}
        """The nodes that have a line of their own, operands first."""
        self._writer = Writer(most=_PARTS)
        self._kept = {root for roots in nodes.graphs for root in roots} | set(nodes.outputs)
        for graph in nodes.graphs:
            if graph and graph[0].op is Ops.SINK:
                self._kept |= set(graph[0].src)
        for node, number in nodes.numbers.items():
            if not self._folds(node):
                self.own[node] = None
                self._writer.names[node] = f"%{number}"

    def text(self, node: UOp) -> str:
        """What a node is, its operands by name, by number, or folded in."""
        self._writer.most = _ALL
        return self._writer.spelled(node)

    def parts(self, node: UOp) -> list[UOp]:
        """The nodes that a line refers to by number, in the order of the operands; each once."""
        below = toposort(*node.src, enter=lambda u: u not in self.own)
        return [u for u in below if u in self.own]

    def leaves(self, node: UOp) -> list[UOp]:
        """The inputs that a line names."""
        return [u for u in toposort(node, enter=lambda u: u is node or u not in self.own) if u.op in LEAVES and u is not node]

    def _folds(self, node: UOp) -> bool:
        """True where a node is written in the line of whoever reads it; what it is written as is noted where it is no expression."""
        name = self.nodes.name(node)
        if node.op in LEAVES:
            if name is not None:
                self._writer.names[node] = name
            return node not in self._kept
        if node in self._kept or name is not None:
            return False
        readers = len(self.nodes.readers[node])
        arithmetic = node.op.elementwise and not node.dtype.is_float
        if not (arithmetic or (readers == 1 and (node.op.category == "movement" or node.op in (Ops.DETACH, Ops.CAST, Ops.LOAD)))):
            return False
        self._writer.most = _PARTS
        text = self._writer.spelled(node)
        if node.op in _WITHOUT:
            text = f"{node.op.name}({self._writer.text(node.src[0])})"
        if "…" in text or len(text) > (MOST if readers == 1 else SHARED if not node.op.category == "movement" else 0):
            return False
        if node.op in _WITHOUT:
            self._writer.names[node] = text
        return True
