"""One small sample of each op, with values, at each stage where the op may stand.

Not a test module: `test_matrix.py` sends every sample through every pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anneal.ir import build
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.uop import ARENA, UOp

F32, I32, U32, BOOL, INDEX = dtypes.float32, dtypes.int32, dtypes.uint32, dtypes.bool, dtypes.index
Values = Mapping[UOp, Sequence[Scalar]]


@dataclass(frozen=True)
class Graph:
    """A tensor-level sample."""

    node: UOp
    """A node of the op, its operands parameters or, where it has none, the node itself."""
    inputs: Values = field(default_factory=dict)
    whole: UOp | None = None
    """The op on integers whose bounds are known."""
    whole_inputs: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Body:
    """A kernel-level sample: the store of one element of each row, by number of memory."""

    sink: UOp
    inputs: tuple[Scalar, ...]
    output: tuple[Scalar, ...]
    whole: UOp | None = None
    """The op on integers whose bounds are known."""


@dataclass(frozen=True)
class Listing:
    """A program-level sample: instructions, run by `threads` invocations of one workgroup on memory 0 into memory 1."""

    instructions: tuple[UOp, ...]
    output: tuple[Scalar, ...]
    threads: int = 8


def vector(slot: int, dtype: DType = F32) -> UOp:
    return build.param(slot, (8,), dtype)


REALS: Final = (0.25, 1.5, 2.0, 3.0, 0.75, 1.0, 2.5, 4.0)
OTHERS: Final = (1.0, -2.5, 2.0, 0.5, -0.75, 3.0, 2.5, -1.0)
WHOLE: Final = (7, -7, 0, 3, 12, -1, 5, 2)
COUNTS: Final = (3, 3, 2, -2, 5, 4, 1, 2)
FLAGS: Final = (True, False, True, True, False, False, True, False)
X, Y, M, N, P = vector(0), vector(1), vector(0, I32), vector(1, I32), vector(0, BOOL)
IOTA: Final = build.iota(8)
"""0 to 7: an integer tensor whose bounds are known."""
GRID: Final = build.param(0, (2, 4), F32)
IOTA_GRID: Final = build.reshape(IOTA, (2, 4))


def alu(op: Op, *src: UOp | int) -> UOp:
    """An elementwise op; numbers take the dtype of the first operand."""
    first = src[0]
    assert isinstance(first, UOp)
    return build.alu(op, *(s if isinstance(s, UOp) else build.const(s, first.dtype) for s in src))


def _reals(op: Op, whole: UOp | None = None) -> Graph:
    if op.arity == 1:
        return Graph(build.alu(op, X), {X: REALS})
    return Graph(build.alu(op, X, Y), {X: REALS, Y: OTHERS}, whole)


def _integers(op: Op, other: int = 3) -> Graph:
    return Graph(build.alu(op, M, N), {M: WHOLE, N: COUNTS}, alu(op, IOTA, other))


def _moved(node: UOp, whole: UOp) -> Graph:
    return Graph(node, {GRID: REALS}, whole)


def _graphs() -> dict[Op, Graph]:
    """A tensor-level sample of each op that a graph of tensors may hold."""
    below = alu(Ops.LT, IOTA, 3)
    spread = build.expand(build.reshape(IOTA, (8, 1)), (8, 3))
    picked = build.param(1, (8,), I32)
    target = build.param(0, (8,), I32)
    number = build.variable("n", 1, 9)
    owned = build.buffer(1, (8,), I32)
    return {
        Ops.CONST: Graph(build.expand(build.reshape(build.const(3, I32), (1,)), (8,)), {}, build.const(3, I32)),
        Ops.BUFFER: Graph(owned, {owned: WHOLE}, owned, {owned: WHOLE}),
        Ops.PARAM: Graph(X, {X: REALS}, M, {M: WHOLE}),
        Ops.VARIABLE: Graph(number, {number: [4]}, number, {number: [4]}),
        Ops.IOTA: Graph(IOTA, {}, IOTA),
        **{op: _reals(op) for op in ALL_OPS if op.domain == "float"},
        **{op: _reals(op, alu(op, IOTA, 9)) for op in (Ops.ADD, Ops.MUL, Ops.MAX, Ops.MIN, Ops.LT, Ops.EQ)},
        **{op: _integers(op) for op in (Ops.IDIV, Ops.MOD, Ops.AND, Ops.OR, Ops.XOR, Ops.SHL, Ops.SHR)},
        Ops.CAST: Graph(build.cast(X, dtypes.int32), {X: REALS}, build.cast(below, I32)),
        Ops.BITCAST: Graph(build.bitcast(X, dtypes.uint32), {X: REALS}, build.bitcast(IOTA, U32)),
        Ops.WHERE: Graph(
            build.alu(Ops.WHERE, P, Y, vector(2)), {P: FLAGS, Y: REALS, vector(2): OTHERS}, build.alu(Ops.WHERE, below, IOTA, build.const(5, I32))
        ),
        Ops.RESHAPE: _moved(build.reshape(GRID, (4, 2)), build.reshape(IOTA, (4, 2))),
        Ops.PERMUTE: _moved(build.permute(GRID, (1, 0)), build.permute(IOTA_GRID, (1, 0))),
        Ops.EXPAND: _moved(build.expand(build.reshape(GRID, (2, 1, 4)), (2, 3, 4)), spread),
        Ops.PAD: _moved(build.pad(GRID, ((1, 0), (0, 2)), 1.5), build.pad(IOTA, ((1, 2),), -2)),
        Ops.SHRINK: _moved(build.shrink(GRID, ((0, 2), (1, 3))), build.shrink(IOTA, ((2, 5),))),
        Ops.FLIP: _moved(build.flip(GRID, (1,)), build.flip(IOTA, (0,))),
        Ops.SHEAR: Graph(build.shear(build.expand(build.reshape(X, (8, 1)), (8, 3)), 0, 1, 2, 1, 3), {X: REALS}, build.shear(spread, 0, 1, 2, 1, 3)),
        Ops.UNSHEAR: Graph(build.unshear(build.expand(build.reshape(X, (8, 1)), (8, 3)), 0, 1, 2, 1, 17), {X: REALS}, build.unshear(spread, 0, 1, 2, 1, 17)),
        Ops.REDUCE_AXIS: _moved(build.reduce_axis(Ops.ADD, GRID, (1,)), build.reduce_axis(Ops.ADD, IOTA_GRID, (1,))),
        Ops.GATHER: Graph(build.gather(X, picked), {X: REALS, picked: WHOLE}, build.gather(IOTA, picked), {picked: WHOLE}),
        Ops.CONTIGUOUS: Graph(build.contiguous(build.alu(Ops.ADD, X, X)), {X: REALS}, build.contiguous(IOTA)),
        Ops.DETACH: Graph(build.detach(X), {X: REALS}, build.detach(IOTA)),
        Ops.ASSIGN: Graph(build.assign(X, Y), {X: REALS, Y: OTHERS}, build.assign(target, IOTA), {target: WHOLE}),
        Ops.SINK: Graph(build.sink(build.alu(Ops.ADD, X, Y)), {X: REALS, Y: OTHERS}),
    }


def _node(op: Op, dtype: DType, *src: UOp, arg: Any = None) -> UOp:
    return ARENA.intern(op, dtype, src, arg)


def _bodies() -> dict[Op, Body]:
    """out[r] = the sum over k of in[4r + k], with the last column left out by a gate."""
    source, goal = build.param(1, (8,), F32), build.param(0, (2,), F32)
    row, column = (_node(Ops.RANGE, INDEX, build.index(n), arg=arg) for n, arg in ((2, ("r", 0)), (4, ("k", 0))))
    loaded = _node(Ops.LOAD, F32, source, row * 4 + column, build.alu(Ops.LT, column, build.index(3)))
    total = _node(Ops.REDUCE, F32, loaded, column, arg=Ops.ADD)
    sink = build.sink(_node(Ops.STORE, F32, goal, row, total))
    wholes = {Ops.LOAD: None, Ops.STORE: None, Ops.RANGE: row, Ops.REDUCE: _node(Ops.REDUCE, INDEX, column, column, arg=Ops.ADD)}
    return {op: Body(sink, REALS, (sum(REALS[:3]), sum(REALS[4:7])), whole) for op, whole in wholes.items()}


class _Lines:
    """Instructions, one appended at a time."""

    def __init__(self) -> None:
        self.made: list[UOp] = []
        self.source, self.goal = build.param(0, (8,), F32), build.param(1, (8,), F32)
        self.lane = self.put(Ops.SPECIAL, INDEX, arg=("lid.x", 8))

    def put(self, op: Op, dtype: DType, *src: UOp, arg: Any = None) -> UOp:
        self.made.append(_node(op, dtype, *src, arg=arg))
        return self.made[-1]

    def load(self, memory: UOp, index: UOp) -> UOp:
        return self.put(Ops.LOAD, memory.dtype, memory, index)

    def store(self, value: UOp) -> None:
        self.put(Ops.STORE, F32, self.goal, self.lane, value)

    def sample(self, output: Sequence[float], threads: int = 8) -> Listing:
        return Listing(tuple(self.made), tuple(output), threads)


def _counting() -> Listing:
    """Thread i adds up the first i elements in a register."""
    w = _Lines()
    w.put(Ops.COMMENT, BOOL, arg="the sum of the elements before each")
    register = w.put(Ops.REGISTER, F32, build.const(0.0, F32), arg="acc0")
    loop = w.put(Ops.LOOP, INDEX, build.index(0), w.lane, build.index(1), arg="k0")
    total = w.put(Ops.ADD, F32, register, w.load(w.source, loop))
    w.put(Ops.SET, F32, register, total)
    w.put(Ops.ENDLOOP, BOOL, loop)
    w.store(register)
    return w.sample([sum(REALS[:i]) for i in range(8)])


def _choosing() -> Listing:
    """Threads up to the fourth copy."""
    w = _Lines()
    begin = w.put(Ops.IF, BOOL, w.put(Ops.LT, BOOL, w.lane, build.index(4)))
    w.store(w.load(w.source, w.lane))
    w.put(Ops.ENDIF, BOOL, begin)
    return w.sample([*REALS[:4], 0, 0, 0, 0])


def _sharing() -> Listing:
    """Each thread hands its element to the thread across."""
    w = _Lines()
    shared = w.put(Ops.LOCAL, F32, arg=("shared0", 8))
    w.put(Ops.STORE, F32, shared, w.lane, w.load(w.source, w.lane))
    w.put(Ops.BARRIER, BOOL)
    back = w.put(Ops.MUL, INDEX, w.lane, build.index(-1))
    w.store(w.load(shared, w.put(Ops.ADD, INDEX, back, build.index(7))))
    return w.sample(REALS[::-1])


def _by_fours() -> Listing:
    """Each of two threads swaps the first and last of four elements."""
    w = _Lines()
    start = w.put(Ops.MUL, INDEX, w.lane, build.index(4))
    block = w.put(Ops.VLOAD, F32, w.source, start, arg=4)
    lanes = [w.put(Ops.LANE, F32, block, arg=i) for i in (3, 1, 2, 0)]
    w.put(Ops.VSTORE, F32, w.goal, start, *lanes)
    return w.sample([REALS[i] for i in (3, 1, 2, 0, 7, 5, 6, 4)], threads=2)


def _listings() -> dict[Op, Listing]:
    return {
        **dict.fromkeys((Ops.SPECIAL, Ops.REGISTER, Ops.SET, Ops.LOOP, Ops.ENDLOOP, Ops.COMMENT), _counting()),
        **dict.fromkeys((Ops.IF, Ops.ENDIF), _choosing()),
        **dict.fromkeys((Ops.LOCAL, Ops.BARRIER), _sharing()),
        **dict.fromkeys((Ops.VLOAD, Ops.LANE, Ops.VSTORE), _by_fours()),
    }


SAMPLES: Final[Mapping[Op, Graph | Body | Listing]] = {**_graphs(), **_bodies(), **_listings()}
