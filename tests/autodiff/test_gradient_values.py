"""The gradient of every op, once and twice, against PyTorch at 1e-4, and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gradient_cases import CASES, Array, Case, alu, leaf, matmul, total, values

from anneal.autodiff.backward import gradients
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.ir.verify import verify
from anneal.rules import GRADIENT

BY_NAME = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def _agree(ours: list[Array], theirs: list[torch.Tensor]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        want = other.detach().numpy()
        assert mine.shape == want.shape
        np.testing.assert_allclose(mine, want, rtol=1e-4, atol=1e-5)


def _seed(y: UOp, slot: int) -> tuple[UOp, Array]:
    """A random gradient of `y` to start from, and its values."""
    dims = [d for d in shape(y) if isinstance(d, int)]
    return build.param(slot, shape(y), y.dtype), np.random.default_rng(slot).uniform(0.5, 1.5, dims).astype(np.float32)


@BY_NAME
def test_value_and_gradient_agree_with_torch(case: Case) -> None:
    leaves, inputs = case.leaves(), case.inputs()
    y = case.graph(*leaves)
    seed, weights = _seed(y, 7)
    ours = gradients(y, leaves, seed)
    table = dict(zip([*leaves, seed], [*inputs, weights], strict=True))
    tensors = [torch.tensor(a, requires_grad=True) for a in inputs]
    expected = case.oracle(*tensors)
    _agree(values([y], table), [expected])
    theirs = torch.autograd.grad(expected, tensors, torch.from_numpy(weights), allow_unused=True)
    found = [g if g is not None else build.broadcast_to(build.const(0, u.dtype), shape(u)) for g, u in zip(ours, leaves, strict=True)]
    _agree(values(found, table), [t if t is not None else torch.zeros_like(x) for t, x in zip(theirs, tensors, strict=True)])


@BY_NAME
def test_gradient_of_gradient_agrees_with_torch(case: Case) -> None:
    leaves, inputs = case.leaves(), case.inputs()
    y = case.graph(*leaves)
    seed, weights = _seed(y, 7)
    tensors = [torch.tensor(a, requires_grad=True) for a in inputs]
    weight = torch.tensor(weights, requires_grad=True)
    theirs = torch.autograd.grad(case.oracle(*tensors), tensors, weight, create_graph=True, allow_unused=True)
    table = dict(zip([*leaves, seed], [*inputs, weights], strict=True))
    compared = 0
    for i, (first, other) in enumerate(zip(gradients(y, leaves, seed), theirs, strict=True)):
        if first is None or other is None:
            continue
        again, more = _seed(first, 8 + i)
        second = gradients(first, [*leaves, seed], again)
        oracle = torch.autograd.grad(other, [*tensors, weight], torch.from_numpy(more), retain_graph=True, allow_unused=True)
        for mine, want, u in zip(second, oracle, [*leaves, seed], strict=True):
            got = np.zeros([d for d in shape(u) if isinstance(d, int)], np.float32) if mine is None else values([mine], {**table, again: more})[0]
            _agree([got], [torch.zeros(got.shape) if want is None else want])
            compared += 1
    assert compared


def test_the_cases_use_every_rule() -> None:
    used = {u.op for case in CASES for u in toposort(case.graph(*case.leaves()))}
    integers = {Ops.IDIV, Ops.MOD, Ops.AND, Ops.OR, Ops.XOR, Ops.SHL, Ops.SHR}
    assert set(GRADIENT) - used == integers


def test_sum_of_exp2() -> None:
    x = leaf(0, 4)
    [g] = gradients(total(alu(Ops.EXP2, x)), [x])
    assert g is not None
    np.testing.assert_allclose(values([g], {x: np.arange(4.0)})[0], math.log(2) * np.array([1, 2, 4, 8]), rtol=1e-6)


def test_mean_squared_error_of_a_matmul() -> None:
    x, w, t = leaf(0, 2, 3), leaf(1, 3, 2), leaf(2, 2, 2)
    error = alu(Ops.ADD, matmul(x, w), alu(Ops.MUL, t, -1.0))
    loss = alu(Ops.MUL, total(alu(Ops.MUL, error, error)), 0.25)
    gx, gw = gradients(loss, [x, w])
    assert gx is not None
    assert gw is not None
    found = values([loss, gx, gw], {x: np.arange(1.0, 7), w: np.arange(1.0, 7) / 10, t: np.arange(1.0, 5)})
    np.testing.assert_allclose(found[0], 2.8625, rtol=1e-6)
    np.testing.assert_allclose(found[1].ravel(), [0.14, 0.34, 0.54, 0.335, 0.765, 1.195], rtol=1e-5)
    np.testing.assert_allclose(found[2].ravel(), [4.4, 5.2, 5.95, 6.8, 7.5, 8.4], rtol=1e-5)


def test_max_ties_share_equally() -> None:
    x = leaf(0, 4)
    windows = build.reduce_axis(Ops.MAX, build.reshape(x, (2, 2)), (1,))
    for y in (total(build.shrink(windows, ((0, 1), (0, 1)))), build.reduce_axis(Ops.MAX, x, (0,))):
        [g] = gradients(y, [x])
        assert g is not None
        assert values([g], {x: np.array([3, 3, 1, 2])})[0].tolist() == [0.5, 0.5, 0, 0]


def test_a_nan_maximum_loses_no_gradient() -> None:
    x = leaf(0, 2)
    [g] = gradients(build.reduce_axis(Ops.MAX, x, (0,)), [x])
    assert g is not None
    assert values([g], {x: np.array([math.nan, 1.0])})[0].tolist() == [0.5, 0.5]


def test_descent_on_a_parabola() -> None:
    p = leaf(0)
    away = alu(Ops.ADD, p, -1.0)
    [g] = gradients(alu(Ops.MUL, away, away), [p])
    assert g is not None
    at, seen = 3.0, []
    for _ in range(4):
        seen.append(at)
        at -= 0.1 * float(values([g], {p: np.array(at)})[0])
    assert seen == pytest.approx([3, 2.6, 2.28, 2.024], rel=1e-5)


def test_casts_do_not_round_gradients_to_16_bits() -> None:
    x = leaf(0, dtype=dtypes.bfloat16)
    master = leaf(1)
    for start, narrow in ((x, x), (master, build.cast(master, dtypes.bfloat16))):
        [g] = gradients(alu(Ops.MUL, build.cast(narrow, dtypes.float32), 1 + 1 / 256), [start])
        assert g is not None
        assert g.dtype is dtypes.float32
        assert values([g], {start: np.array(1.0)})[0] == 1.00390625


def test_gradients_of_16_bit_floats_are_summed_in_float32() -> None:
    x = leaf(0, 1, dtype=dtypes.float16)
    y = alu(Ops.MUL, build.expand(x, (5,)), build.expand(x, (5,)))
    [g] = gradients(build.cast(y, dtypes.float32), [x], build.const(1, dtypes.float32))
    assert g is not None
    assert g.dtype is dtypes.float32
    assert all(u.dtype is dtypes.float32 for u in toposort(g) if u.op is Ops.REDUCE_AXIS)
    assert values([g], {x: np.array([0.5])})[0] == 5.0
    verify(g, "tensor")
    [once] = gradients(alu(Ops.MUL, build.expand(x, (5,)), 0.5), [x], build.const(1, dtypes.float16))
    assert once is not None
    assert once.dtype is once.src[0].dtype is dtypes.float32
    [h] = gradients(alu(Ops.SIN, x), [x])
    assert h is not None
    assert h.dtype is dtypes.float32
    np.testing.assert_allclose(values([h], {x: np.array([0.5])})[0], math.cos(0.5), rtol=2e-3)


def test_an_index_outside_reads_zero_and_gives_no_gradient() -> None:
    x, rows, columns = leaf(0, 2, 2), leaf(1, 3, dtype=dtypes.int32), leaf(2, 3, dtype=dtypes.int32)
    y = build.gather(x, rows, columns)
    g, *none = gradients(y, [x, rows, columns], build.const(1, dtypes.float32))
    assert g is not None
    assert none == [None, None]
    inputs = {x: np.array([1, 2, 3, 4]), rows: np.array([0, 0, 1]), columns: np.array([1, 2, 0])}
    assert [a.tolist() for a in values([y, g], inputs)] == [[2, 0, 3], [[0, 1], [1, 0]]]


@pytest.mark.parametrize("op", [Ops.ADD, Ops.MUL])
def test_empty_axes(op: Op) -> None:
    x, one = leaf(0, 2, 0), leaf(1, 2, 1)
    [g] = gradients(build.reduce_axis(op, x, (1,)), [x], build.const(1, dtypes.float32))
    [h] = gradients(build.expand(one, (2, 0)), [one], build.const(1, dtypes.float32))
    assert g is not None
    assert h is not None
    empty, zeros = values([g, h], {x: np.zeros((2, 0)), one: np.ones(2)})
    assert empty.shape == (2, 0)
    assert zeros.tolist() == [[0], [0]]


def test_sizes_known_at_run_time() -> None:
    n = build.variable("n", 1, 8)
    x = build.param(0, (n, 2), dtypes.float32)
    padded = build.pad(x, ((1, 0), (0, 0)))
    most = build.reduce_axis(Ops.MAX, padded, (0,))
    product = build.reduce_axis(Ops.MUL, x, (0,))
    part = alu(Ops.SIN, build.shrink(padded, ((2, n + 1), (0, 1))))
    flat = build.reshape(alu(Ops.MUL, x, build.expand(product, (n, 2))), (n * 2,))
    y = alu(Ops.ADD, alu(Ops.MUL, total(part), total(most)), total(flat))
    [g] = gradients(y, [x])
    assert g is not None
    data = torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]], requires_grad=True)
    above = torch.nn.functional.pad(data, (0, 0, 1, 0))
    (above[2:, :1].sin().sum() * above.amax(0).sum() + (data * data.prod(0, keepdim=True)).sum()).backward()
    [found] = evaluate([g], {x: data.detach().ravel().tolist(), n: [3]})
    assert data.grad is not None
    np.testing.assert_allclose(found, data.grad.ravel().numpy(), rtol=1e-5)
