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
from anneal.view.expression import CUT, Writer
from anneal.view.history import LEAVES
from anneal.view.nodes import Nodes

MOST: Final = 44
"""Letters of what is folded into a line."""
SHARED: Final = 24
"""Letters of index arithmetic that is written out at each of several places."""
_WITHOUT: Final = frozenset({Ops.RESHAPE, Ops.EXPAND})
"""Movement whose argument, the shape, is left out where it is folded: what it is read by has it."""
_VARIABLES: Final = frozenset({Ops.REGISTER, Ops.LOOP})
"""What is read by a name of its own."""
_STATEMENTS: Final = {
    Ops.COMMENT: "# {arg}",
    Ops.REGISTER: "{arg} starts as {0}",
    Ops.LOOP: "for {arg} from {0} below {1} step {2}",
    Ops.ENDLOOP: "end of {0}",
    Ops.IF: "if {0}",
    Ops.ENDIF: "end of if",
    Ops.BARRIER: "wait for the workgroup",
}
"""Instructions that are no expressions."""
DONE: Final = frozenset({*_STATEMENTS, Ops.SET, Ops.STORE, Ops.VSTORE})
"""Instructions that are there for what they do."""
LOWERED: Final = "lowered"
"""The stage whose graphs are instructions in order."""
_ALL: Final = 1 << 30
_PARTS: Final = 24


class Folded:
    """The lines of a graph."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.own: dict[UOp, None] = {}
        """The nodes that have a line of their own, operands first."""
        self._writer = Writer(nodes.leaf_names, _PARTS)
        self._kept = set(nodes.outputs)
        for number in range(len(nodes.graphs)):
            self._kept.update(u for u in nodes.roots(number) if u.op in DONE or nodes.stage != LOWERED)
        for node, number in nodes.numbers.items():
            if not self._folds(node):
                self.own[node] = None
                if node.op in LEAVES:
                    continue
                self._writer.names[node] = str(node.arg) if node.op in _VARIABLES else f"%{number}"

    def text(self, node: UOp) -> str:
        """What a node is, its operands by name, by number, or folded in."""
        if node.op in _STATEMENTS:
            return _STATEMENTS[node.op].format(*map(self._writer.text, node.src), arg=node.arg)
        self._writer.most = _ALL
        return self._writer.text(node) if node.op in LEAVES else self._writer.spelled(node)

    def parts(self, node: UOp) -> list[UOp]:
        """The nodes with a line of their own that a line refers to, in the order of the operands; each once."""
        return [u for u in toposort(*node.src, enter=lambda u: u not in self.own) if u in self.own]

    def leaves(self, node: UOp) -> list[UOp]:
        """The leaves that a line names."""
        return [u for u in toposort(node, enter=lambda u: u is node or u not in self.own) if u.op in LEAVES and u is not node]

    def _folds(self, node: UOp) -> bool:
        """True where a node is written in the line of whoever reads it; the text is noted where it is shorter than the expression."""
        if node.op in LEAVES and node.op is not Ops.COMMENT:
            return node not in self._kept
        if node in self._kept or self.nodes.name(node) is not None:
            return False
        once = len(self.nodes.readers[node]) == 1
        if not (_is_index_arithmetic(node) or (once and _is_movement(node, self.nodes.stage))):
            return False
        self._writer.most = _PARTS
        text = f"{node.op.name}({self._writer.text(node.src[0])})" if node.op in _WITHOUT else self._writer.spelled(node)
        if CUT in text or len(text) > (MOST if once else SHARED):
            return False
        if node.op in _WITHOUT:
            self._writer.names[node] = text
        return True


def _is_index_arithmetic(node: UOp) -> bool:
    return node.op.elementwise and not node.dtype.is_float


def _is_movement(node: UOp, stage: str) -> bool:
    """True for what only moves values; where instructions stand in order, a load has a place among them."""
    return node.op.category == "movement" or node.op in (Ops.DETACH, Ops.CAST) or (node.op is Ops.LOAD and stage == "kernels")
