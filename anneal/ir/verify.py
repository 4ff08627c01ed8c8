"""What a graph must satisfy at each stage, checked node by node.

`verify` returns nothing, or raises a VerifyError that names the first wrong node, operands first. Arguments are judged by the functions of
`anneal.ir.build` that check them, so there is one statement of what is right. It costs time: the pipeline calls it in tests.

>>> from anneal.ir.uop import ARENA
>>> verify(build.const(1, dtypes.int32), "tensor")
>>> verify(ARENA.intern(Ops.ADD, dtypes.int32, (build.const(1, dtypes.int32), build.const(True, dtypes.bool))), "tensor")
Traceback (most recent call last):
anneal.errors.VerifyError: at the tensor stage, <add:int32 (const, const)>: add: operands of dtypes int32 and bool; cast them to one dtype
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

from anneal.errors import VerifyError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp

Stage = Literal["tensor", "kernel", "program"]
_Check = Callable[[UOp], str | None]

_ELEMENTWISE: Final = frozenset(op for op in ALL_OPS if op.elementwise)
_MEMORY: Final = frozenset({Ops.PARAM, Ops.BUFFER, Ops.LOCAL})
_INDEXES: Final = frozenset({dtypes.index, dtypes.int32})
_LINE_BREAKS: Final = frozenset("\n\v\f\r\x85\u2028\u2029")

_ALLOWED: Final[dict[Stage, frozenset[Op]]] = {
    "tensor": _ELEMENTWISE | {op for op in ALL_OPS if op.category in ("leaf", "movement", "reduce", "tensor")},
    "kernel": _ELEMENTWISE | _MEMORY | {Ops.CONST, Ops.VARIABLE, Ops.RANGE, Ops.LOAD, Ops.STORE, Ops.REDUCE, Ops.SINK},
    "program": _ELEMENTWISE | {Ops.CONST, Ops.VARIABLE, Ops.PARAM, Ops.LOAD, Ops.STORE} | {op for op in ALL_OPS if op.category == "program"},
}


def verify(root: UOp | Sequence[UOp], stage: Stage) -> None:
    """Raise VerifyError unless the graph below `root`, or the program that is the list `root`, is right at `stage`."""
    roots = (root,) if isinstance(root, UOp) else tuple(root)
    nodes = toposort(*roots)
    for node in nodes:
        if (complaint := _complaint(node, stage)) is not None:
            raise _error(node, stage, complaint)
    if stage == "program":
        _Scopes().walk(roots)
    elif stage == "kernel":
        _verify_ranges(nodes)


def _error(node: UOp, stage: Stage, complaint: str) -> VerifyError:
    where = f" from {node.origin[0]}:{node.origin[1]}" if node.origin else ""
    return VerifyError(f"at the {stage} stage, {node!r}{where}: {complaint}")


def _complaint(node: UOp, stage: Stage) -> str | None:
    """What is wrong with a node whose operands are right."""
    op = node.op
    if op not in _ALLOWED[stage]:
        return f"{op.name} cannot stand here, only {_stages(op)}"
    if op.arity >= 0 and len(node.src) != op.arity:
        return f"{op.name} takes {op.arity} operands, not {len(node.src)}"
    if stage != "tensor" and (complaint := _memory_operand(node)) is not None:
        return complaint
    try:
        complaint = _CHECKS[op](node)
        shape(node)
    except (ValueError, TypeError, IndexError, AttributeError) as error:  # the checking builders raise the first two
        return str(error)
    return complaint


def _stages(op: Op) -> str:
    names = [stage for stage, allowed in _ALLOWED.items() if op in allowed]
    return f"at the {' and '.join(names)} stage" if names else "while a pass is at work"


def _memory_operand(node: UOp) -> str | None:
    """Only accesses take memory as an operand, and only first."""
    accesses = node.op in (Ops.LOAD, Ops.STORE, Ops.VLOAD, Ops.VSTORE)
    if accesses and (not node.src or node.src[0].op not in _MEMORY):
        return f"{node.op.name} needs a param, buffer or local first"
    for operand in node.src[1:] if accesses else node.src:
        if operand.op in _MEMORY:
            return f"{node.op.name} cannot take {operand!r} as a value: load from it"
    return None


def _rebuilt(make: Callable[[UOp], UOp]) -> _Check:
    """The check that a builder makes this very node of these parts, or finds that it does nothing."""

    def check(node: UOp) -> str | None:
        if _symbolic(node):
            return None if node.dtype is node.src[0].dtype else f"the dtype must be that of the operand, {node.src[0].dtype.name}"
        made = make(node)
        return None if made is node or (made is node.src[0] and made.dtype is node.dtype) else f"should be {made!r}"

    return check


def _symbolic(node: UOp) -> bool:
    """True for a movement of sizes known at run time, which the builders can judge only as they were written."""
    return node.op.category == "movement" and (_has_uop(node.arg) or any(isinstance(n, UOp) for n in shape(node.src[0])))


def _has_uop(arg: Any) -> bool:
    return isinstance(arg, UOp) or (isinstance(arg, tuple) and any(map(_has_uop, arg)))


def _pad(node: UOp) -> UOp:
    fill = node.src[1]
    if fill.op is not Ops.CONST or fill.dtype is not node.dtype:
        raise TypeError(f"the fill must be a constant of dtype {node.dtype.name}, not {fill!r}")
    return build.pad(node.src[0], node.arg, fill.arg)


def _all(*checks: tuple[Callable[[UOp], object], str]) -> _Check:
    """The complaint of the first pair whose test fails."""

    def check(node: UOp) -> str | None:
        return next((complaint for holds, complaint in checks if not holds(node)), None)

    return check


def _const_fits(node: UOp) -> bool:
    kinds = {"bool": bool, "float": float}
    if type(node.arg) is not kinds.get(node.dtype.kind, int):
        return False
    return repr(node.dtype.round(node.arg)) == repr(node.arg)


def _is_size(n: object) -> bool:
    return n.dtype.is_int if isinstance(n, UOp) else type(n) is int and n >= 0


def _is_variable(node: UOp) -> bool:
    name, low, high = node.arg
    return isinstance(name, str) and low <= high and node.dtype.is_int


def _is_local(node: UOp) -> bool:
    name, elements = node.arg
    return isinstance(name, str) and _is_size(elements)


def _has_dims(node: UOp) -> bool:
    number, dims = node.arg
    return isinstance(number, int) and isinstance(dims, tuple) and all(map(_is_size, dims))


def _is_coordinate(node: UOp) -> bool:
    name = node.arg[0] if isinstance(node.arg, tuple) else node.arg
    return name in ("wid.x", "wid.y", "wid.z", "lid.x", "lid.y", "lid.z")


def _is_range(node: UOp) -> bool:
    _name, _kind = node.arg
    return True


def _binds_ranges(node: UOp) -> bool:
    _value, *ranges = node.src
    return bool(ranges) and all(r.op is Ops.RANGE for r in ranges) and len(set(ranges)) == len(ranges)


def _is_lane(node: UOp) -> bool:
    return node.src[0].op is Ops.VLOAD and 0 <= node.arg < node.src[0].arg


def _is_one_line(node: UOp) -> bool:
    return isinstance(node.arg, str) and _LINE_BREAKS.isdisjoint(node.arg)


def _typed_loop(node: UOp) -> bool:
    return node.dtype.is_int and all(s.dtype is node.dtype for s in node.src)


_Pair = tuple[Callable[[UOp], object], str]


def _gate_at(position: int) -> _Pair:
    names = ("a buffer", "an index", "a value")[:position]
    return lambda u: [s.dtype for s in u.src[position:]] in ([], [dtypes.bool]) and len(u.src) >= position, f"takes {', '.join(names)} and perhaps a bool"


def _same_as_operand(position: int) -> _Pair:
    return lambda u: u.dtype is u.src[position].dtype, "the dtype must be that of the operand"


def _values_from(position: int, least: int = 1) -> _Pair:
    def holds(node: UOp) -> bool:
        return len(node.src) >= position + least and all(v.dtype is node.src[0].dtype for v in node.src[position:])

    return holds, f"takes {least} or more values, of the dtype of what they are written to"


_INDEXED: Final[_Pair] = ((lambda u: u.src[1].dtype in _INDEXES), "the index must be of dtype index or int32")
_IS_INDEX: Final[_Pair] = ((lambda u: u.dtype in _INDEXES), "the dtype must be index or int32")
_SAME: Final[_Pair] = _same_as_operand(0)
_NAMED: Final[_Pair] = ((lambda u: isinstance(u.arg, str)), "arg must be a name")
_DIMS: Final[_Pair] = (_has_dims, "arg must be a number and a shape of sizes from 0 on")

_CHECKS: Final[dict[Op, _Check]] = {
    Ops.CONST: _all((_const_fits, "arg is no value of the dtype")),
    Ops.BUFFER: _all(_DIMS, ((lambda u: u.dtype.storage), "the dtype cannot be stored")),
    Ops.PARAM: _all(_DIMS),
    Ops.VARIABLE: _all((_is_variable, "must be an integer with arg (name, low, high)")),
    Ops.IOTA: _all(((lambda u: _is_size(u.arg)), "arg must be a length")),
    Ops.RANGE: _all(_IS_INDEX, _SAME, (_is_range, "arg must be (name, kind)")),
    **dict.fromkeys(_ELEMENTWISE, _rebuilt(lambda u: build.alu(u.op, *u.src))),
    Ops.CAST: _rebuilt(lambda u: build.cast(u.src[0], u.dtype)),
    Ops.BITCAST: _rebuilt(lambda u: build.bitcast(u.src[0], u.dtype)),
    Ops.RESHAPE: _rebuilt(lambda u: build.reshape(u.src[0], u.arg)),
    Ops.PERMUTE: _rebuilt(lambda u: build.permute(u.src[0], u.arg)),
    Ops.EXPAND: _rebuilt(lambda u: build.expand(u.src[0], u.arg)),
    Ops.PAD: _rebuilt(_pad),
    Ops.SHRINK: _rebuilt(lambda u: build.shrink(u.src[0], u.arg)),
    Ops.FLIP: _rebuilt(lambda u: build.flip(u.src[0], u.arg)),
    Ops.SHEAR: _rebuilt(lambda u: build.shear(u.src[0], *u.arg)),
    Ops.UNSHEAR: _rebuilt(lambda u: build.unshear(u.src[0], *u.arg)),
    Ops.REDUCE_AXIS: _rebuilt(lambda u: build.reduce_axis(u.arg[0], u.src[0], u.arg[1])),
    Ops.GATHER: _rebuilt(lambda u: build.gather(*u.src)),
    Ops.CONTIGUOUS: _all(_SAME),
    Ops.DETACH: _all(_SAME),
    Ops.ASSIGN: _rebuilt(lambda u: build.assign(*u.src)),
    Ops.SINK: _all(),
    Ops.LOAD: _all(_gate_at(2), _INDEXED, _SAME),
    Ops.STORE: _all(_gate_at(3), _INDEXED, ((lambda u: u.src[2].dtype is u.src[0].dtype), "the value's dtype must be that of the buffer")),
    Ops.REDUCE: _all(
        ((lambda u: u.arg in build.REDUCERS), "arg must be add, mul, max or min"),
        (_binds_ranges, "takes a value and the ranges to combine it over, each once"),
        _SAME,
    ),
    Ops.SPECIAL: _all((_is_coordinate, "arg must be wid.x to wid.z or lid.x to lid.z"), _IS_INDEX),
    Ops.LOCAL: _all((_is_local, "arg must be (name, elements)")),
    Ops.REGISTER: _all(_NAMED, _SAME),
    Ops.SET: _all(((lambda u: u.src[0].op is Ops.REGISTER), "only a register can be set"), _values_from(1)),
    Ops.LOOP: _all(_NAMED, (_typed_loop, "start, end and step must be integers of its dtype")),
    Ops.ENDLOOP: _all(((lambda u: u.src[0].op is Ops.LOOP), "ends a loop")),
    Ops.IF: _all(((lambda u: u.src[0].dtype is dtypes.bool), "the condition must be bool")),
    Ops.ENDIF: _all(((lambda u: u.src[0].op is Ops.IF), "ends an if")),
    Ops.BARRIER: _all(),
    Ops.VLOAD: _all(((lambda u: type(u.arg) is int and u.arg > 1), "arg must be the number of elements, at least 2"), _INDEXED, _SAME),
    Ops.LANE: _all((_is_lane, "arg must be the number of an element of a vload"), _SAME),
    Ops.VSTORE: _all(_INDEXED, _values_from(2, least=2)),
    Ops.COMMENT: _all((_is_one_line, "arg must be one line of text")),
}


def _verify_ranges(nodes: Iterable[UOp]) -> None:
    """A store must not write several values at one place: what its value depends on, its index or gate depends on too."""
    free: dict[UOp, frozenset[UOp]] = {}
    for node in nodes:
        mine = _union([free[s] for s in node.src])
        if node.op is Ops.RANGE:
            mine |= {node}
        elif node.op is Ops.REDUCE:
            mine -= frozenset(node.src[1:])
        elif node.op is Ops.STORE:
            place, value, *gate = (free[s] for s in node.src[1:])
            if loose := value - place.union(*gate):
                name = min(str(r.arg) for r in loose)
                raise _error(node, "kernel", f"the value depends on range {name}, and neither index nor gate does: many values for one place")
        elif node.op is Ops.SINK and (other := next((s for s in node.src if s.op is not Ops.STORE), None)) is not None:
            raise _error(node, "kernel", f"the operands must be stores, not {other!r}")
        free[node] = mine


def _union(sets: Sequence[frozenset[UOp]]) -> frozenset[UOp]:
    """The union; one of the sets itself where it can be, so that a long chain shares one set."""
    largest = max(sets, key=len, default=frozenset())
    return largest if all(s <= largest for s in sets) else largest.union(*sets)


class _Scopes:
    """A walk over a program: which values are in scope, and which differ within a workgroup."""

    def __init__(self) -> None:
        self.known: set[UOp] = set()
        self.blocks: list[tuple[UOp, list[UOp]]] = []
        self.varying: dict[UOp, bool] = {}

    def walk(self, program: Iterable[UOp]) -> None:
        """Check each instruction in order."""
        for node in program:
            self._check_operands(node)
            self.varying[node] = self._varies(node)
            if node.op in (Ops.ENDLOOP, Ops.ENDIF):
                self._close(node)
            elif node.op in (Ops.LOOP, Ops.IF):
                self._open(node)
            elif node.op is Ops.BARRIER:
                self._check_barrier(node)
            if node not in self.known:
                self.known.add(node)
                if self.blocks:
                    self.blocks[-1][1].append(node)
        if self.blocks:
            raise _error(self.blocks[-1][0], "program", "is never ended")

    def _check_operands(self, node: UOp) -> None:
        """Operands are leaves, which are everywhere, or instructions above in an open block."""
        for operand in node.src:
            if operand.src and operand not in self.known:
                raise _error(node, "program", f"uses {operand!r}, which is not computed above in a block that is still open")

    def _varies(self, node: UOp) -> bool:
        """True when invocations of one workgroup may see different values."""
        if node.op is Ops.SPECIAL:
            return not str(node.arg[0] if isinstance(node.arg, tuple) else node.arg).startswith("wid")
        if node.op in (Ops.LOAD, Ops.VLOAD, Ops.REGISTER):
            return True
        return any(self.varying[s] if s in self.varying else self._varies(s) for s in node.src)

    def _check_barrier(self, node: UOp) -> None:
        block = next((b for b, _ in self.blocks if self.varying[b]), None)
        if block is not None:
            raise _error(node, "program", f"stands inside {block!r}, which invocations of one workgroup may pass differently")

    def _open(self, node: UOp) -> None:
        if any(b is node for b, _ in self.blocks):
            raise _error(node, "program", "is open already")
        self.blocks.append((node, []))

    def _close(self, node: UOp) -> None:
        if not self.blocks or self.blocks[-1][0] is not node.src[0]:
            inside = f"the innermost open block is {self.blocks[-1][0]!r}" if self.blocks else "no block is open"
            raise _error(node, "program", f"ends {node.src[0]!r}, but {inside}")
        self.known.difference_update(self.blocks.pop()[1])
