"""Interval bounds: known values, soundness on random expressions, and tightness where an interval can be tight."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anneal.analysis.bounds import Bounds, bounds, hi, lo
from anneal.ir import build
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate_expr
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.uop import ARENA, UOp

_FULL = Bounds(-(2**31), 2**31 - 1)
_UFULL = Bounds(0, 2**32 - 1)


def _var(low: int, high: int, name: str = "x", dtype: DType = dtypes.index) -> UOp:
    """A variable of any range; the builder wants low >= 0."""
    return ARENA.intern(Ops.VARIABLE, dtype, (), (name, low, high))


def _range(size: UOp | int) -> UOp:
    return ARENA.intern(Ops.RANGE, dtypes.index, (size if isinstance(size, UOp) else build.index(size),), ("r", "loop"))


N = build.variable("n", 1, 1024)
X32 = build.param(0, (), dtypes.int32)
U32 = build.param(1, (), dtypes.uint32)
FLAG = build.param(2, (), dtypes.bool)
TENSOR = build.param(3, (2, 3), dtypes.int32)
LID = ARENA.intern(Ops.SPECIAL, dtypes.index, (), "lid.x")


def _i32(value: int) -> UOp:
    return build.const(value, dtypes.int32)


def _small() -> UOp:
    """An int32 in [0, 1023]."""
    return build.alu(Ops.AND, X32, _i32(1023))


def _reduce(op: Op, value: UOp, *ranges: UOp) -> UOp:
    return ARENA.intern(Ops.REDUCE, value.dtype, (value, *ranges), op)


CASES: list[tuple[UOp, Bounds]] = [
    (_var(5, 10) - _var(1, 3, "y"), Bounds(2, 9)),
    (_var(-5, -2) * _var(-4, -2, "y"), Bounds(4, 20)),
    (_var(-2, 3) * _var(1, 2, "y"), Bounds(-4, 6)),
    (_var(-2, 3) * _var(-2, 3), Bounds(0, 9)),
    (_var(-7, 0) // 3, Bounds(-3, 0)),
    (_var(6, 12) // _var(2, 3, "y"), Bounds(2, 6)),
    (_var(-3, 3) % 4, Bounds(0, 3)),
    (_var(-1, 1) % 2, Bounds(0, 1)),
    (_var(0, 16) % 8, Bounds(0, 7)),
    (_var(2, 5) % 10, Bounds(2, 5)),
    (_var(12, 15) % 10, Bounds(2, 5)),
    (_var(0, 16) % -8, Bounds(-7, 0)),
    (_var(-3, -1) % -8, Bounds(-3, -1)),
    (N * 4 + 3, Bounds(7, 4099)),
    (_var(1, 2) // _var(0, 2, "y"), Bounds(None, None)),
    (_var(1, 2) % _var(-1, 2, "y"), Bounds(None, None)),
    (build.alu(Ops.IDIV, _small(), X32), _FULL),
    (build.alu(Ops.MOD, U32, U32), _UFULL),
    (build.const(7, dtypes.uint32), Bounds(7, 7)),
    (build.const(1.5, dtypes.float32), Bounds(1.5, 1.5)),
    (build.const(math.nan, dtypes.float32), Bounds(None, None)),
    (build.param(9, (), dtypes.float32), Bounds(None, None)),
    (X32, _FULL),
    (U32, _UFULL),
    (FLAG, Bounds(False, True)),
    (build.alu(Ops.ADD, X32, _i32(1)), _FULL),
    (build.alu(Ops.ADD, _small(), _i32(1)), Bounds(1, 1024)),
    (build.alu(Ops.MUL, _small(), _i32(2**21)), Bounds(0, 1023 * 2**21)),
    (build.alu(Ops.MUL, _small(), _i32(2**22)), _FULL),
    (build.alu(Ops.SHL, _small(), _i32(3)), Bounds(0, 1023 * 8)),
    (build.alu(Ops.SHL, _small(), _i32(31)), _FULL),
    (build.alu(Ops.SHL, _small(), X32), _FULL),
    (build.alu(Ops.SHR, X32, _i32(28)), Bounds(-8, 7)),
    (build.alu(Ops.SHR, U32, build.const(28, dtypes.uint32)), Bounds(0, 15)),
    (build.alu(Ops.OR, _small(), _i32(4)), Bounds(4, 1023)),
    (build.alu(Ops.OR, X32, _i32(4)), _FULL),
    (build.alu(Ops.XOR, _small(), _i32(4096)), Bounds(0, 8191)),
    (build.alu(Ops.MAX, X32, _i32(5)), Bounds(5, 2**31 - 1)),
    (build.alu(Ops.MIN, _small(), _i32(5)), Bounds(0, 5)),
    (build.alu(Ops.LT, _small(), _i32(1024)), Bounds(True, True)),
    (build.alu(Ops.LT, _small(), _i32(1023)), Bounds(False, True)),
    (build.alu(Ops.LT, _i32(1023), _small()), Bounds(False, False)),
    (build.alu(Ops.LT, X32, X32), Bounds(False, False)),
    (build.alu(Ops.EQ, X32, X32), Bounds(True, True)),
    (build.alu(Ops.EQ, _small(), _i32(-1)), Bounds(False, False)),
    (build.alu(Ops.EQ, _small(), _i32(9)), Bounds(False, True)),
    (build.alu(Ops.EQ, _i32(9), _i32(9)), Bounds(True, True)),
    (build.alu(Ops.XOR, FLAG, build.const(True, dtypes.bool)), Bounds(False, True)),
    (build.alu(Ops.XOR, build.const(True, dtypes.bool), build.const(True, dtypes.bool)), Bounds(False, False)),
    (build.alu(Ops.AND, FLAG, build.const(False, dtypes.bool)), Bounds(False, False)),
    (build.alu(Ops.OR, FLAG, build.const(True, dtypes.bool)), Bounds(True, True)),
    (build.alu(Ops.ADD, FLAG, build.const(True, dtypes.bool)), Bounds(True, True)),
    (build.alu(Ops.MUL, FLAG, build.const(False, dtypes.bool)), Bounds(False, False)),
    (build.alu(Ops.WHERE, FLAG, _i32(-2), _small()), Bounds(-2, 1023)),
    (build.alu(Ops.WHERE, build.const(False, dtypes.bool), X32, _i32(4)), Bounds(4, 4)),
    (build.cast(N, dtypes.int32), Bounds(1, 1024)),
    (build.cast(X32, dtypes.index), _FULL),
    (build.cast(X32, dtypes.uint32), _UFULL),
    (build.cast(_small(), dtypes.uint32), Bounds(0, 1023)),
    (build.cast(FLAG, dtypes.int32), Bounds(0, 1)),
    (build.cast(N, dtypes.bool), Bounds(True, True)),
    (build.cast(_small(), dtypes.bool), Bounds(False, True)),
    (build.cast(build.const(2.75, dtypes.float32), dtypes.int32), Bounds(2, 2)),
    (build.cast(build.param(9, (), dtypes.float32), dtypes.uint32), _UFULL),
    (build.cast(build.param(9, (), dtypes.float32), dtypes.index), _FULL),
    (build.bitcast(U32, dtypes.int32), _FULL),
    (_range(8), Bounds(0, 7)),
    (_range(N), Bounds(0, 1023)),
    (_range(8) * 4 + _var(0, 3), Bounds(0, 31)),
    (LID, Bounds(0, None)),
    (ARENA.intern(Ops.SPECIAL, dtypes.index, (), ("lid.x", 64)), Bounds(0, 63)),
    (LID * 4 + 1, Bounds(1, None)),
    (LID * -4 + 1, Bounds(None, 1)),
    (LID // 4, Bounds(0, None)),
    (LID // -4, Bounds(None, 0)),
    (LID % 4, Bounds(0, 3)),
    (LID + LID * -1, Bounds(None, None)),
    (build.alu(Ops.MIN, LID, build.index(9)), Bounds(0, 9)),
    (build.alu(Ops.AND, LID, build.index(7)), Bounds(0, 7)),
    (build.alu(Ops.OR, LID, build.index(7)), Bounds(7, None)),
    (build.alu(Ops.LT, LID, build.index(0)), Bounds(False, False)),
    (ARENA.intern(Ops.LOOP, dtypes.index, (build.index(2), N, build.index(4)), "i"), Bounds(2, 1023)),
    (ARENA.intern(Ops.LOAD, dtypes.uint32, (U32, build.index(0))), _UFULL),
    (build.iota(10), Bounds(0, 9)),
    (build.iota(N), Bounds(0, 1023)),
    (TENSOR, _FULL),
    (build.reshape(build.iota(6), (2, 3)), Bounds(0, 5)),
    (build.expand(build.reshape(build.iota(6), (6, 1)), (6, 4)), Bounds(0, 5)),
    (build.flip(build.iota(6), (0,)), Bounds(0, 5)),
    (build.shrink(build.iota(6), ((1, 3),)), Bounds(0, 5)),
    (build.pad(build.iota(6), ((1, 0),), -9), Bounds(-9, 5)),
    (build.pad(build.alu(Ops.ADD, build.iota(6), _i32(3)), ((1, 0),)), Bounds(0, 8)),
    (build.shear(build.alu(Ops.ADD, build.reshape(build.iota(6), (2, 3)), _i32(3)), 0, 1, 1, 1, 2), Bounds(0, 8)),
    (build.gather(build.alu(Ops.ADD, build.iota(6), _i32(3)), build.iota(2)), Bounds(0, 8)),
    (build.reduce_axis(Ops.ADD, build.reshape(build.iota(6), (2, 3)), (1,)), Bounds(0, 15)),
    (build.reduce_axis(Ops.MAX, build.reshape(build.iota(6), (2, 3)), (0, 1)), Bounds(0, 5)),
    (build.reduce_axis(Ops.MUL, build.reshape(build.iota(6), (2, 3)), (1,)), _FULL),
    (build.reduce_axis(Ops.ADD, TENSOR, (1,)), _FULL),
    (build.reduce_axis(Ops.ADD, build.iota(N), (0,)), Bounds(0, 1023 * 1024)),
    (build.reduce_axis(Ops.MUL, build.alu(Ops.LT, TENSOR, TENSOR), (0,)), Bounds(False, False)),
    (build.assign(TENSOR, build.expand(build.reshape(build.iota(3), (1, 3)), (2, 3))), Bounds(0, 2)),
    (_reduce(Ops.ADD, _range(8), _range(8)), Bounds(0, 56)),
    (_reduce(Ops.MAX, _range(8) * 3, _range(8)), Bounds(0, 21)),
    (_reduce(Ops.MUL, _range(8), _range(8)), Bounds(None, None)),
    (_reduce(Ops.ADD, build.index(2), _range(build.variable("m", 0, 5))), Bounds(0, 10)),
    (_reduce(Ops.MAX, build.index(2), _range(build.variable("m", 0, 5))), Bounds(None, None)),
]


@pytest.mark.parametrize(("node", "expected"), CASES, ids=[f"{i}-{u.op.name}" for i, (u, _) in enumerate(CASES)])
def test_known_bounds(node: UOp, expected: Bounds) -> None:
    assert bounds(node) == expected
    assert repr(bounds(node)) == repr(expected)
    assert bounds(node) is bounds(node)


def test_every_op_with_a_value_is_covered() -> None:
    seen = {u.op for root, _ in CASES for u in toposort(root)}
    unknown = {op.name for op in ALL_OPS if op not in seen and op.category in ("leaf", "unary", "binary", "ternary", "movement", "reduce", "tensor")}
    assert unknown == {"buffer", "permute", "unshear", "contiguous", "detach", "sink", "exp2", "log2", "sin", "sqrt", "floor", "div"}


def test_lo_and_hi_are_integers_only() -> None:
    assert (lo(N), hi(N)) == (1, 1024)
    assert (lo(LID), hi(LID)) == (0, None)
    half = build.const(0.5, dtypes.float32)
    assert (lo(half), hi(half)) == (None, None)


def test_huge_integers_stay_exact() -> None:
    huge = 10**400
    assert bounds(N * huge + 1) == Bounds(huge + 1, 1024 * huge + 1)
    assert bounds(LID * huge + 1) == Bounds(1, None)
    assert bounds(build.alu(Ops.LT, N * huge, build.index(huge))) == Bounds(False, False)


@pytest.mark.parametrize("op", [Ops.LT, Ops.EQ], ids=["lt", "eq"])
@pytest.mark.parametrize("limit", [math.inf, -math.inf, math.nan, 0.0])
def test_comparisons_of_floats_are_decided_only_between_constants(op: Op, limit: float) -> None:
    x, c = build.param(9, (), dtypes.float32), build.const(limit, dtypes.float32)
    for a, b in ((x, c), (c, x), (c, c)):
        result = bounds(build.alu(op, a, b))
        decided = a is b and (op is Ops.LT or not math.isnan(limit))
        assert (result.low == result.high) is decided
        for value in (limit, math.nan, 1.0, math.inf, -math.inf):
            assert result.low <= evaluate_expr(build.alu(op, a, b), {x: value}) <= result.high  # type: ignore[operator]


_INTERVALS = [(a, b) for a in range(-5, 6) for b in range(a, 6)]
_EXACT = {Ops.ADD: True, Ops.MUL: True, Ops.MAX: True, Ops.MIN: True, Ops.IDIV: True, Ops.MOD: False, Ops.AND: False, Ops.OR: False, Ops.XOR: False}


@pytest.mark.parametrize("op", _EXACT, ids=lambda op: op.name)
def test_all_small_intervals(op: Op) -> None:
    """Sound for every pair of small intervals; the least interval for the operations that are monotone."""
    for (a, b), (c, d) in itertools.product(_INTERVALS, _INTERVALS[::3]):
        x, y = _var(a, b, "x"), _var(c, d, "y")
        node = build.alu(op, x, y)
        values = [evaluate_expr(node, {x: i, y: j}) for i in {a, b, (a + b) // 2} for j in range(c, d + 1)]
        low, high = bounds(node)
        assert low is None or low <= min(values), node
        assert high is None or high >= max(values), node
        if _EXACT[op] and not (op is Ops.IDIV and c <= 0 <= d):
            assert (low, high) == (min(values), max(values)), (node, x, y)


_BINARY = [Ops.ADD, Ops.MUL, Ops.IDIV, Ops.MOD, Ops.MAX, Ops.MIN, Ops.AND, Ops.OR, Ops.XOR]
_LEAVES = {dtypes.index: [_var(-9, 4, "a"), _var(0, 40, "b"), LID, N], dtypes.int32: [X32, _small()], dtypes.uint32: [U32], dtypes.bool: [FLAG]}
_KINDS = list(_LEAVES)


@st.composite
def _expressions(draw: Any, dtype: DType, depth: int) -> UOp:
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        constant = build.const(draw(st.integers(-5, 5) | st.integers(-(2**31), 2**31)), dtype)
        return draw(st.sampled_from([*_LEAVES[dtype], constant, constant]))  # type: ignore[no-any-return]

    def operand(kind: DType) -> UOp:
        return draw(_expressions(kind, depth - 1))  # type: ignore[no-any-return]

    choice = draw(st.sampled_from(["binary", "binary", "binary", "where", "cast", "shift" if dtype.is_int else "compare"]))
    if choice == "where":
        return build.alu(Ops.WHERE, operand(dtypes.bool), operand(dtype), operand(dtype))
    if choice == "cast":
        return build.cast(operand(draw(st.sampled_from(_KINDS))), dtype)
    if choice == "shift":
        return build.alu(draw(st.sampled_from([Ops.SHL, Ops.SHR])), operand(dtype), build.const(draw(st.integers(0, 31)), dtype))
    if choice == "compare":
        kind = draw(st.sampled_from(_KINDS))
        return build.alu(draw(st.sampled_from([Ops.LT, Ops.EQ])), operand(kind), operand(kind))
    allowed = _BINARY if dtype.is_int else [op for op in _BINARY if op not in (Ops.IDIV, Ops.MOD)]
    return build.alu(draw(st.sampled_from(allowed)), operand(dtype), operand(dtype))


_LEAF_VALUES = {
    _LEAVES[dtypes.index][0]: st.integers(-9, 4),
    _LEAVES[dtypes.index][1]: st.integers(0, 40),
    LID: st.integers(0, 2**31),
    N: st.integers(1, 1024),
    X32: st.integers(-5, 5) | st.integers(-(2**31), 2**31 - 1),
    U32: st.integers(0, 5) | st.integers(0, 2**32 - 1),
    FLAG: st.booleans(),
}


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_expressions_stay_inside(data: st.DataObject) -> None:
    root = data.draw(_expressions(data.draw(st.sampled_from(_KINDS)), 4))
    env: dict[UOp, Scalar] = {leaf: data.draw(values) for leaf, values in _LEAF_VALUES.items()}
    for node in toposort(root):
        value, (low, high) = evaluate_expr(node, env), bounds(node)
        assert low is None or low <= value, node
        assert high is None or value <= high, node


def test_long_chains_do_not_recurse() -> None:
    x: UOp = N
    for i in range(50_000):
        x = (x + i) % 1000
    assert bounds(x) == Bounds(0, 999)
