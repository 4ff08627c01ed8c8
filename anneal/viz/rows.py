"""A node as a row of the page's table: what is written on it, and how it is drawn.

A row says nothing of the stage, so it is told once however often its node is shown. What may be folded depends on the node alone: constants and
other leaves, index arithmetic (integers computed from loop indices and constants only), and movement that changes no element's neighbours.

>>> from anneal.ir.build import param, reshape, variable
>>> from anneal.ir.dtype import dtypes
>>> x = param(0, (6,), dtypes.float32)
>>> label(reshape(x, (2, 3))), label(variable("n", 1, 8) * 4), label(x, "x")
('reshape (2, 3)', 'mul', 'param x')
>>> fold(x), fold(reshape(x, (2, 3))), fold(variable("n", 1, 8)), Folds().flag(variable("n", 1, 8) * 4)
(0, 2, 1, 2)
"""

from __future__ import annotations

from typing import Final

from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import Dim, shape
from anneal.ir.uop import Origin, UOp
from anneal.view.expression import TOTALS, expression, number
from anneal.view.phases import ORDER

FILE: Final = "program.py"
"""The name of the user's program in origins and tracebacks."""
LEAF: Final = 1
PASSED: Final = 2
RESULT: Final = 4
_LEAVES: Final = frozenset({Ops.CONST, Ops.VARIABLE, Ops.IOTA, Ops.RANGE, Ops.SPECIAL})
_INDICES: Final = _LEAVES | {Ops.LOOP}
"""What index arithmetic begins with."""
_PASSED: Final = frozenset({Ops.RESHAPE, Ops.EXPAND, Ops.DETACH})
STORES: Final = frozenset({Ops.STORE, Ops.VSTORE})
_MOST: Final = 48
_CUT: Final = "…"
_PHASES: Final = {phase: i for i, phase in enumerate(ORDER)}


def fold(node: UOp) -> int:
    """LEAF, PASSED or 0, as far as the node alone says."""
    return LEAF if node.op in _LEAVES else PASSED if node.op in _PASSED else 0


class Folds:
    """What may be folded into its reader; remembers which nodes are index arithmetic."""

    def __init__(self) -> None:
        self._index: dict[UOp, bool] = {}

    def flag(self, node: UOp) -> int:
        """LEAF, PASSED or 0."""
        return fold(node) or (PASSED if node.op.elementwise and self._is_index(node) else 0)

    def _is_index(self, node: UOp) -> bool:
        """True for integers that are computed from loop indices and constants only."""
        known = self._index
        for u in toposort(node, enter=lambda u: u not in known):
            if u not in known:
                known[u] = u.op in _INDICES or (u.op.elementwise and not u.dtype.is_float and all(known[s] for s in u.src))
        return known[node]


def label(node: UOp, name: str | None = None) -> str:
    """What is written on a node: its op, with what matters of it.

    >>> from anneal.ir.build import const, reduce_axis, param
    >>> from anneal.ir.dtype import dtypes
    >>> label(const(2, dtypes.float32)), label(reduce_axis(Ops.MAX, param(0, (2, 3), dtypes.float32), (1,)))
    ('const 2.0', 'max axis 1')
    """
    said = f"{_word(node)} {_detail(node, name)}".rstrip()
    return said if len(said) <= _MOST else f"{said[: _MOST - 1]}{_CUT}"


def _word(node: UOp) -> str:
    match node.op:
        case Ops.REDUCE_AXIS:
            return TOTALS[node.arg[0]]
        case Ops.REDUCE:
            return TOTALS[node.arg]
        case _:
            return node.op.name


def _detail(node: UOp, name: str | None) -> str:
    op, arg = node.op, node.arg
    match op:
        case Ops.CONST:
            return number(arg, node.dtype)
        case Ops.PARAM | Ops.BUFFER:
            return name or f"data{arg[0]}"
        case Ops.CAST | Ops.BITCAST:
            return node.dtype.name
        case Ops.REDUCE_AXIS:
            axes = arg[1]
            return f"{'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
        case Ops.REDUCE:
            return ", ".join(expression(r, most=4) for r in node.src[1:])
        case Ops.RANGE | Ops.LOCAL | Ops.VARIABLE:
            return str(arg[0]) if op is not Ops.RANGE else expression(node, most=4)
        case _:
            return plain(arg) if arg is not None else ""


def plain(arg: object) -> str:
    """An argument as text: numbers, names, ops and tuples of them."""
    if isinstance(arg, tuple):
        return f"({', '.join(map(plain, arg))}{',' * (len(arg) == 1)})"
    if isinstance(arg, UOp):
        return expression(arg, most=8)
    return arg.name if isinstance(arg, Op) else str(arg)


def dim(size: Dim) -> int | str:
    """A size: a number, or an expression of symbols."""
    return size if isinstance(size, int) else expression(size, most=16)


def dims(node: UOp) -> list[int | str]:
    """The shape of a node."""
    return [dim(d) for d in shape(node)]


def line(origin: Origin | None) -> int:
    """The line of the user's program; 0 where it is another file's."""
    return origin[1] if origin is not None and origin[0] == FILE else 0


def phase(node: UOp) -> int:
    """0 for forward, 1 for backward, 2 for update."""
    return _PHASES[node.phase]
