"""The interpreters: tensor operations against NumPy, expressions with loads and reductions against sums written out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anneal.errors import ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import Scalar, dtypes
from anneal.ir.interp import evaluate, evaluate_expr
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import ARENA, UOp

_X = build.param(0, (2, 3), dtypes.float32)
_A = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def _run(root: UOp, *arrays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The value of `root` as an array, with arrays for params 0, 1, ..."""
    inputs = {build.param(i, a.shape, _dtype(a)): a.reshape(-1).tolist() for i, a in enumerate(arrays)}
    dims = tuple(int(evaluate_expr(n, {})) if isinstance(n, UOp) else n for n in shape(root))
    return np.array(evaluate([root], inputs)[0], arrays[0].dtype).reshape(dims)


def _dtype(a: np.ndarray[Any, Any]) -> Any:
    return {"float32": dtypes.float32, "int32": dtypes.int32}[a.dtype.name]


def _windows(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """out[o, k] = a[0, o*2 + k] over the middle axis, 0 outside."""
    return np.array([[a[o * 2 + k, k] if o * 2 + k < a.shape[0] else 0 for k in range(a.shape[1])] for o in range(2)], a.dtype)


MOVEMENTS: list[tuple[str, UOp, Callable[[np.ndarray[Any, Any]], Any]]] = [
    ("reshape", build.reshape(_X, (3, 2)), lambda a: a.reshape(3, 2)),
    ("permute", build.permute(_X, (1, 0)), lambda a: a.T),
    ("permute of three", build.permute(build.reshape(_X, (1, 2, 3)), (2, 0, 1)), lambda a: a.reshape(1, 2, 3).transpose(2, 0, 1)),
    ("expand", build.expand(build.reshape(_X, (2, 1, 3)), (2, 4, 3)), lambda a: np.broadcast_to(a.reshape(2, 1, 3), (2, 4, 3))),
    ("pad", build.pad(_X, ((1, 0), (0, 2)), 7), lambda a: np.pad(a, ((1, 0), (0, 2)), constant_values=7)),
    ("pad with -inf", build.pad(_X, ((0, 0), (1, 1)), -math.inf), lambda a: np.pad(a, ((0, 0), (1, 1)), constant_values=-np.inf)),
    ("shrink", build.shrink(_X, ((1, 2), (0, 2))), lambda a: a[1:2, 0:2]),
    ("shrink to nothing", build.shrink(_X, ((0, 2), (1, 1))), lambda a: a[:, 1:1]),
    ("flip", build.flip(_X, (1,)), lambda a: a[:, ::-1]),
    ("flip both", build.flip(_X, (0, 1)), lambda a: a[::-1, ::-1]),
    ("shear", build.shear(_X, 0, 1, 2, 1, 2), _windows),
    ("sum", build.reduce_axis(Ops.ADD, _X, (0,)), lambda a: a.sum(0, keepdims=True)),
    ("sum of all", build.reduce_axis(Ops.ADD, _X, (0, 1)), lambda a: a.sum(keepdims=True)),
    ("product", build.reduce_axis(Ops.MUL, _X, (1,)), lambda a: a.prod(1, keepdims=True)),
    ("max", build.reduce_axis(Ops.MAX, _X, (1,)), lambda a: a.max(1, keepdims=True)),
    ("min", build.reduce_axis(Ops.MIN, _X, (0,)), lambda a: a.min(0, keepdims=True)),
    ("sum of nothing", build.reduce_axis(Ops.ADD, build.shrink(_X, ((0, 2), (1, 1))), (1,)), lambda a: a[:, 1:1].sum(1, keepdims=True)),
    ("contiguous", build.contiguous(_X), lambda a: a),
    ("detach", build.detach(_X), lambda a: a),
    ("elementwise with a scalar", build.alu(Ops.MUL, _X, build.const(3, dtypes.float32)), lambda a: a * 3),
    ("where", build.alu(Ops.WHERE, build.alu(Ops.LT, _X, build.const(0, dtypes.float32)), build.const(9, dtypes.float32), _X), lambda a: np.where(a < 0, 9, a)),
]


@pytest.mark.parametrize(("root", "oracle"), [m[1:] for m in MOVEMENTS], ids=[m[0] for m in MOVEMENTS])
def test_tensor_ops_agree_with_numpy(root: UOp, oracle: Callable[[np.ndarray[Any, Any]], Any]) -> None:
    expected, result = np.asarray(oracle(_A)), _run(root, _A)
    assert result.shape == expected.shape
    np.testing.assert_array_equal(result, expected)


def test_iota_and_const() -> None:
    assert evaluate([build.iota(4), build.const(2.5, dtypes.float32)], {}) == [[0, 1, 2, 3], [2.5]]


def test_gather_takes_leading_axes_and_gives_zero_outside() -> None:
    rows = build.param(1, (2, 2), dtypes.int32)
    columns = build.param(2, (2, 2), dtypes.int32)
    inputs: dict[UOp, Sequence[Scalar]] = {_X: _A.reshape(-1).tolist(), rows: [1, 0, 2, -1], columns: [2, 0, 0, 1]}
    by_row, by_both = evaluate([build.gather(_X, rows), build.gather(_X, rows, columns)], inputs)
    assert by_row == [1, 2, 3, -2, -1, 0, 0, 0, 0, 0, 0, 0]
    assert by_both == [3, -2, 0, 0]


def test_assign_is_its_value_and_a_sink_is_its_operands() -> None:
    state = build.buffer(5, (2,), dtypes.int32)
    written = build.assign(state, build.alu(Ops.ADD, state, build.const(1, dtypes.int32)))
    twice = build.alu(Ops.MUL, written, build.const(2, dtypes.int32))
    assert evaluate([build.sink(written, twice), state], {state: [3, 4]}) == [[4, 5], [8, 10], [3, 4]]


def test_sizes_known_at_run_time() -> None:
    n = build.variable("n", 1, 9)
    x = build.param(0, (n,), dtypes.float32)
    padded = build.pad(x, ((n + 1, 0),))
    total = build.reduce_axis(Ops.ADD, build.alu(Ops.MUL, build.cast(build.iota(n), dtypes.float32), x), (0,))
    assert evaluate([padded, total], {n: [2], x: [5.0, 6.0]}) == [[0, 0, 0, 5, 6], [6]]


def test_facts_of_the_predecessor() -> None:
    four = build.param(0, (4, 4), dtypes.float32)
    sixteen = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    assert _run(build.reduce_axis(Ops.ADD, four, (0,)), sixteen).tolist() == [[28, 32, 36, 40]]
    one = build.param(0, (4,), dtypes.float32)
    values = np.array([1, 2, 3, 4], np.float32)
    assert _run(build.reduce_axis(Ops.ADD, build.pad(one, ((1, 1),)), (0,)), values).tolist() == [10]
    assert _run(build.alu(Ops.EXP2, one), values - 1).tolist() == [1, 2, 4, 8]
    negative = np.array([-3, -1, -4, -2], np.float32)
    assert _run(build.reduce_axis(Ops.MAX, build.pad(one, ((2, 2),)), (0,)), negative).tolist() == [0]
    assert _run(build.reduce_axis(Ops.MAX, build.pad(one, ((2, 2),), -math.inf), (0,)), negative).tolist() == [-1]
    rows = build.reduce_axis(Ops.ADD, build.pad(_X, ((1, 1), (0, 0))), (0,))
    assert _run(rows, np.array([[1, 2, 3], [4, 5, 6]], np.float32)).tolist() == [[5, 7, 9]]


def _matmul(a: UOp, b: UOp) -> UOp:
    (m, k), (_, n) = shape(a), shape(b)
    left, right = build.expand(build.reshape(a, (m, k, 1)), (m, k, n)), build.expand(build.reshape(b, (1, k, n)), (m, k, n))
    return build.reshape(build.reduce_axis(Ops.ADD, build.alu(Ops.MUL, left, right), (1,)), (m, n))


def test_matmul_and_mean_square() -> None:
    a, b = np.arange(1, 7, dtype=np.float32).reshape(2, 3), np.arange(7, 13, dtype=np.float32).reshape(3, 2)
    x, w, t = _X, build.param(1, (3, 2), dtypes.float32), build.param(2, (2, 2), dtypes.float32)
    assert _run(_matmul(x, w), a, b).tolist() == [[58, 64], [139, 154]]
    error = build.alu(Ops.ADD, _matmul(x, w), build.alu(Ops.MUL, t, build.const(-1, dtypes.float32)))
    squares = build.reduce_axis(Ops.ADD, build.alu(Ops.MUL, error, error), (0, 1))
    mean = build.alu(Ops.DIV, squares, build.const(4, dtypes.float32))
    weights, target = np.arange(1, 7, dtype=np.float32).reshape(3, 2) / 10, np.arange(1, 5, dtype=np.float32).reshape(2, 2)
    assert _run(mean, a, weights, target).item() == pytest.approx(2.8625, rel=1e-6)


@settings(max_examples=50)
@given(size=st.integers(1, 6), window=st.integers(1, 3), stride=st.integers(1, 3), dilation=st.integers(1, 2), out=st.integers(1, 5), seed=st.integers(0, 99))
def test_unshear_is_the_adjoint_of_shear(size: int, window: int, stride: int, dilation: int, out: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.integers(-9, 9, (size, window)).astype(np.int32), random.integers(-9, 9, (out, window)).astype(np.int32)
    x, y = build.param(0, a.shape, dtypes.int32), build.param(0, b.shape, dtypes.int32)
    sheared = _run(build.shear(x, 0, 1, stride, dilation, out), a)
    unsheared = _run(build.unshear(y, 0, 1, stride, dilation, size), b)
    for o in range(out):
        for k in range(window):
            inside = o * stride + k * dilation < size
            assert sheared[o, k] == (a[o * stride + k * dilation, k] if inside else 0)
    assert (sheared * b).sum() == (a * unsheared).sum()


def _kernel_range(size: UOp | int, name: str) -> UOp:
    return ARENA.intern(Ops.RANGE, dtypes.index, (size if isinstance(size, UOp) else build.index(size),), (name, "loop"))


def test_expression_with_loads_and_a_reduction() -> None:
    x, row, k = build.param(0, (2, 3), dtypes.float32), build.variable("row", 0, 1), _kernel_range(3, "k")
    load = ARENA.intern(Ops.LOAD, dtypes.float32, (x, row * 3 + k))
    total = ARENA.intern(Ops.REDUCE, dtypes.float32, (load, k), Ops.ADD)
    scaled = build.alu(Ops.DIV, load, total)
    again = ARENA.intern(Ops.REDUCE, dtypes.float32, (scaled, k), Ops.MAX)
    data = {x: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    assert evaluate_expr(total, {row: 1}, data) == 15
    assert evaluate_expr(again, {row: 0}, data) == 0.5
    assert evaluate_expr(load, {row: 0, k: 2}, data) == 3


def test_nested_reductions_of_dependent_ranges() -> None:
    n = build.variable("n", 1, 9)
    i, j = _kernel_range(n, "i"), _kernel_range(3, "j")
    inner = ARENA.intern(Ops.REDUCE, dtypes.index, (i * 10 + j, j), Ops.ADD)
    outer = ARENA.intern(Ops.REDUCE, dtypes.index, (inner * i, i), Ops.ADD)
    both = ARENA.intern(Ops.REDUCE, dtypes.index, (i * 10 + j, j, i), Ops.MAX)
    assert evaluate_expr(outer, {n: 4}) == sum(sum(a * 10 + b for b in range(3)) * a for a in range(4))
    assert evaluate_expr(both, {n: 4}) == 32
    unused = ARENA.intern(Ops.REDUCE, dtypes.index, (build.index(5), j), Ops.ADD)
    assert evaluate_expr(unused, {}) == 15


def test_a_gate_that_is_false_reads_nothing() -> None:
    x, i = build.param(0, (2,), dtypes.int32), build.variable("i", 0, 9)
    load = ARENA.intern(Ops.LOAD, dtypes.int32, (x, i, build.alu(Ops.LT, i, build.index(2))))
    assert [evaluate_expr(load, {i: n}, {x: [7, 8]}) for n in range(4)] == [7, 8, 0, 0]


def test_long_chains_do_not_recurse() -> None:
    x = n = build.variable("n", 0, 9)
    y = build.param(0, (1,), dtypes.int32)
    for i in range(50_000):
        x = (x + i) % 1000
        y = build.alu(Ops.ADD, y, build.const(1, dtypes.int32))
    assert evaluate_expr(x, {n: 3}) == (3 + sum(range(50_000))) % 1000
    assert evaluate([y], {build.param(0, (1,), dtypes.int32): [5]}) == [[50_005]]


def test_errors_name_what_is_missing() -> None:
    n, x = build.variable("n", 0, 9), build.param(0, (2,), dtypes.int32)
    with pytest.raises(UsageError, match=r"no value for <variable:index \(\) \('n', 0, 9\)>"):
        evaluate_expr(n + 1, {})
    with pytest.raises(UsageError, match=r"no value for <param:int32"):
        evaluate([x], {})
    with pytest.raises(ShapeError, match="has 2 elements, not 3"):
        evaluate([x], {x: [1, 2, 3]})
    with pytest.raises(ShapeError, match="element 5 of a buffer of 2"):
        evaluate_expr(ARENA.intern(Ops.LOAD, dtypes.int32, (x, build.index(5))), {}, {x: [1, 2]})
    with pytest.raises(UsageError, match="is bound by no reduction"):
        evaluate_expr(_kernel_range(3, "k") + 1, {})
    with pytest.raises(UsageError, match="no value for <sink"):
        evaluate([build.contiguous(build.sink(x))], {x: [1, 2]})
