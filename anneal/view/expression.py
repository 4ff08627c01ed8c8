"""Nodes as expressions, in the language of the rules: what a person would write for a graph.

One expression is bounded: what does not fit is `…`, and the outermost operations are those that are kept. `statements` leaves nothing out: parts that
are read twice, and parts that would make a line too long, get a number and a line of their own. The text is for reading; `anneal.ir.text` is exact.

>>> from anneal.ir.build import variable
>>> x = variable("x", 0, 99)
>>> expression((x * 4 + 3) // 4 - x)
'(x*4 + 3) // 4 - x'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp, is_const
from anneal.rewrite.terms import NUMBERS

MOST: Final = 40
"""Parts (operations and leaves) of one expression, unless the caller says otherwise."""
CUT: Final = "…"
"""What stands for a part that did not fit."""
TOTALS: Final = {Ops.ADD: "sum", Ops.MUL: "prod", Ops.MAX: "max", Ops.MIN: "min"}
"""What a reduction with an op is called."""
_ATOM, _UNARY, _PRODUCT, _SUM, _SHIFT, _AND, _XOR, _OR, _COMPARE, _CHOICE = range(10, 0, -1)
_LEVELS: Final = {
    Ops.MUL: _PRODUCT, Ops.DIV: _PRODUCT, Ops.IDIV: _PRODUCT, Ops.MOD: _PRODUCT, Ops.ADD: _SUM, Ops.SHL: _SHIFT, Ops.SHR: _SHIFT,
    Ops.AND: _AND, Ops.XOR: _XOR, Ops.OR: _OR, Ops.LT: _COMPARE, Ops.EQ: _COMPARE,
}  # fmt: skip
_TIGHT: Final = frozenset({Ops.MUL, Ops.DIV})
_NAMED: Final = frozenset({Ops.RANGE, Ops.REGISTER, Ops.LOOP})
"""Ops with operands that are written by a name all the same."""


class _Piece(NamedTuple):
    """The text of one occurrence of a node."""

    text: str
    level: int = _ATOM
    """How tightly its outermost operation binds."""
    positive: str | None = None
    """For what begins with a minus sign: the rest."""
    denied: str | None = None
    """For an equality: the inequality."""

    def within(self, level: int) -> str:
        """The text as an operand of an operation that binds as tightly as `level`."""
        return self.text if self.level >= level else f"({self.text})"


def expression(node: UOp, names: Mapping[UOp, str] | None = None, most: int = MOST) -> str:
    """`node` as one expression of about `most` parts; nodes in `names` are written by their name."""
    names = names or {}
    return names[node] if node in names else _write(node, names, most)


def statements(roots: Sequence[UOp], names: Mapping[UOp, str] | None = None, most: int = MOST) -> list[str]:
    """The whole graph: a line `%n = …` for each shared part and each that would not fit, then a line for each root.

    >>> from anneal.ir.build import alu, param
    >>> x = alu(Ops.EXP2, param(0, (), dtypes.float32))
    >>> statements([alu(Ops.DIV, x, alu(Ops.MUL, x, x))])
    ['%0 = exp2(data0)', '%0/(%0*%0)']
    """
    return Writer(names, most).listing(roots)


class Writer:
    """Writes one graph after another; a part that has a number keeps it.

    >>> from anneal.ir.build import variable
    >>> x, writer = variable("x", 0, 9), Writer()
    >>> writer.define(x * 4), writer.text(x * 4 + 1)
    ('%0 = x*4', '%0 + 1')
    """

    def __init__(self, names: Mapping[UOp, str] | None = None, most: int = MOST) -> None:
        self.names = dict(names or {})
        """What each node is called by now."""
        self.most = most
        self._count = 0

    def text(self, node: UOp) -> str:
        """The node by its name, or as one expression."""
        return expression(node, self.names, self.most)

    def spelled(self, node: UOp) -> str:
        """The node as one expression, whether it has a number or not; a leaf by its name."""
        return _write(node, self.names, self.most) if _opens(node) else self.text(node)

    def define(self, node: UOp) -> str:
        """Give the node a number, and return the line that says so; the name of a node that has one, the text of a leaf."""
        if node in self.names or not _opens(node):
            return self.text(node)
        line = f"%{self._count} = {_write(node, self.names, self.most)}"
        self.names[node] = f"%{self._count}"
        self._count += 1
        return line

    def listing(self, roots: Sequence[UOp]) -> list[str]:
        """The whole graph below the roots; what other listings have numbered is not repeated."""
        lines = [self.define(node) for node in _own_lines(roots, self.names, self.most)]
        return lines + [expression(root, self.names, 1 << 30) for root in roots]


def _own_lines(roots: Sequence[UOp], known: Mapping[UOp, str], most: int) -> list[UOp]:
    """The nodes that get a line of their own, operands first."""
    nodes = [u for u in toposort(*roots, enter=lambda u: not (u in known or u.op in _NAMED)) if u not in known]
    reads: dict[UOp, int] = {}
    for operand in (s for u in nodes if u.op not in _NAMED for s in u.src):
        reads[operand] = reads.get(operand, 0) + 1
    chosen = {u for u in nodes if _opens(u) and reads.get(u, 0) > 1}
    size: dict[UOp, int] = {}
    for node in nodes:
        parts = {s: 1 if s in known or s in chosen else size[s] for s in node.src if _opens(node)}
        while _total(node, parts) > most and max(parts.values()) > 1:
            largest = max(parts, key=lambda u: parts[u])
            chosen.add(largest)
            parts[largest] = 1
        size[node] = _total(node, parts)
    return [u for u in nodes if u in chosen]


def _total(node: UOp, parts: Mapping[UOp, int]) -> int:
    """Parts of a node's own text."""
    return 1 + sum(parts[s] for s in node.src if s in parts)


def _opens(node: UOp) -> bool:
    """True for what is written with its operands."""
    return bool(node.src) and node.op not in _NAMED


def number(value: Scalar, dtype: DType) -> str:
    """A constant as a rule would write it: the shortest text that means this value in its dtype.

    >>> number(dtypes.float32.round(0.1), dtypes.float32), number(dtypes.float32.round(1.4426950408889634), dtypes.float32), number(3.0, dtypes.float32)
    ('0.1', 'LOG2E', '3.0')
    """
    if not isinstance(value, float):
        return str(value)
    for name, known in NUMBERS.items():
        if value in (dtype.round(known), -dtype.round(known)):
            return name if value > 0 else f"-{name}"
    texts = (f"{value:.{digits}g}" for digits in range(1, 18))
    text = next((t for t in texts if dtype.round(float(t)) == value), repr(value))
    return text if set(text) & set(".en") else f"{text}.0"


def _write(root: UOp, names: Mapping[UOp, str], most: int = 1 << 30) -> str:
    """The expression of a root that is written out whatever names there are."""
    occurrences: list[tuple[UOp, range | None]] = [(root, None)]
    for at, (node, _) in enumerate(occurrences):  # outermost first: the list grows while it is walked
        if _opens(node) and (at == 0 or node not in names) and len(occurrences) + len(node.src) <= max(most, 1 + len(root.src)):
            first = len(occurrences)
            occurrences += [(s, None) for s in node.src]
            occurrences[at] = node, range(first, len(occurrences))
    pieces: list[_Piece] = [_Piece(CUT)] * len(occurrences)
    for at in range(len(occurrences) - 1, -1, -1):
        node, below = occurrences[at]
        if at and node in names:
            pieces[at] = _Piece(names[node])
        elif not _opens(node):
            pieces[at] = _leaf(node)
        elif below is not None:
            pieces[at] = _piece(node, [pieces[i] for i in below])
    return pieces[0].text


def _leaf(node: UOp) -> _Piece:
    match node.op:
        case Ops.CONST:
            text = number(node.arg, node.dtype)
            return _Piece(text, _UNARY, text[1:]) if text.startswith("-") else _Piece(text)
        case Ops.PARAM:
            return _Piece(f"data{node.arg[0]}")
        case Ops.BUFFER:
            return _Piece(f"buffer{node.arg[0]}")
        case Ops.VARIABLE | Ops.SPECIAL | Ops.LOCAL:
            return _Piece(str(node.arg[0]))
        case Ops.RANGE:
            return _Piece("".join(map(str, node.arg)))
        case Ops.REGISTER | Ops.LOOP:
            return _Piece(str(node.arg))
        case Ops.IOTA:
            return _Piece(f"iota({_plain(node.arg)})")
        case _:
            return _call(node.op.name, [], node.arg)


def _piece(node: UOp, src: Sequence[_Piece]) -> _Piece:
    """A node from the pieces of its operands."""
    op = node.op
    if op in _LEVELS:
        return _infix(node, op, *src)
    if op.elementwise:
        return _call(op.name, src, node.dtype.name if op in (Ops.CAST, Ops.BITCAST) else None)
    if op.category in ("movement", "reduce"):
        return _moved(node, src)
    if op.category in ("kernel", "program"):
        return _in_kernel(node, src)
    if op is Ops.GATHER:
        return _Piece(f"{src[0].within(_ATOM)}[{_list(src[1:])}]")
    return _Piece(_list(src) or "()") if op is Ops.SINK else _call(op.name, src, node.arg)


def _infix(node: UOp, op: Op, left: _Piece, right: _Piece) -> _Piece:
    """An operation with a symbol, and the signs that stand for what the rules build: `x - y`, `-x`, `~x`, `x != y`."""
    level = _LEVELS[op]
    if op is Ops.MUL and is_const(node.src[1], -1) and node.dtype is not dtypes.bool:
        inner = left.within(_UNARY)
        return _Piece(f"-{inner}", _UNARY, inner)
    if op is Ops.XOR and node.dtype is dtypes.bool and is_const(node.src[1], True):
        return _Piece(left.denied, _COMPARE) if left.denied else _Piece(f"~{left.within(_UNARY)}", _UNARY)
    if op is Ops.ADD and right.positive is not None:
        return _Piece(f"{left.within(level)} - {right.positive}", level)
    before = left.within(level + (level == _COMPARE))
    sign = op.symbol if op in _TIGHT else f" {op.symbol} "
    denied = f"{before} != {right.within(level + 1)}" if op is Ops.EQ else None
    return _Piece(f"{before}{sign}{right.within(level + 1)}", level, denied=denied)


def _moved(node: UOp, src: Sequence[_Piece]) -> _Piece:
    """Movement and reduction of a tensor."""
    op, arg, x = node.op, node.arg, src[0]
    if op is Ops.REDUCE_AXIS:
        axes = arg[1][0] if len(arg[1]) == 1 else arg[1]
        return _Piece(f"{TOTALS[arg[0]]}({x.text}, axis={_plain(axes)})")
    if op is Ops.SHRINK:
        dims = shape(node.src[0])
        cuts = [":" if pair == (0, size) else f"{_plain(pair[0])}:{_plain(pair[1])}" for pair, size in zip(arg, dims, strict=True)]
        return _Piece(f"{x.within(_ATOM)}[{', '.join(cuts)}]")
    if op is Ops.PAD and not is_const(node.src[1], 0):
        return _call(op.name, [x], arg, f"fill={src[1].text}")
    return _call(op.name, [x], arg)


def _in_kernel(node: UOp, src: Sequence[_Piece]) -> _Piece:
    """What stands in kernels and programs only."""
    match node.op:
        case Ops.LOAD:
            value = f"{src[0].within(_ATOM)}[{src[1].text}]"
            return _Piece(value) if len(src) == 2 else _Piece(f"{value} if {src[2].text} else {number(node.dtype.round(0), node.dtype)}", _CHOICE)
        case Ops.STORE:
            gate = f" if {src[3].text}" if len(src) == 4 else ""
            return _Piece(f"{src[0].within(_ATOM)}[{src[1].text}] = {src[2].text}{gate}", _CHOICE)
        case Ops.REDUCE:
            over = "".join(f" for {r.text} in range({_plain_end(u)})" for r, u in zip(src[1:], node.src[1:], strict=True))
            return _Piece(f"{TOTALS[node.arg]}({src[0].text}{over})")
        case Ops.SET:
            return _Piece(f"{src[0].text} = {src[1].text}", _CHOICE)
        case _:
            return _call(node.op.name, src, node.arg)


def _plain_end(node: UOp) -> str:
    """Where a range ends."""
    return expression(node.src[0], most=8) if node.op is Ops.RANGE else CUT


def _call(name: str, src: Sequence[_Piece], arg: Any, *more: str) -> _Piece:
    given = [arg] if arg is not None and not isinstance(arg, UOp) else []
    return _Piece(f"{name}({', '.join([*(s.text for s in src), *map(_plain, given), *more])})")


def _list(src: Sequence[_Piece]) -> str:
    return ", ".join(s.text for s in src)


def _plain(arg: Any) -> str:
    """An argument: numbers, names, symbols and tuples of them."""
    if isinstance(arg, UOp):
        return str(arg.arg[0]) if arg.op is Ops.VARIABLE else CUT
    if isinstance(arg, Op):
        return arg.name
    if isinstance(arg, tuple):
        return "(" + ", ".join(map(_plain, arg)) + ("," if len(arg) == 1 else "") + ")"
    return str(arg)
