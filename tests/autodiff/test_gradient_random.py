"""Gradients of random composed expressions against central differences in float64."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from gradient_cases import Array, alu, total, values

from anneal.autodiff.backward import gradients
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import UOp

DIMS = (2, 3)
OPERATIONS = 12
STEP = 1e-5


def _reduced(op: Op, axis: int, x: UOp) -> UOp:
    return build.expand(build.reduce_axis(op, x, (axis,)), DIMS)


def _turned(x: UOp) -> UOp:
    return build.permute(x, (1, 0))


def _rows(x: UOp, first: int) -> UOp:
    """Row `first` twice."""
    return build.gather(x, alu(Ops.ADD, alu(Ops.MUL, build.iota(2), 0), first))


# From an operand of shape DIMS, and an axis, to a result of that shape whose values stay tame.
_UNARY: list[Callable[[UOp, int], UOp]] = [
    lambda x, _: alu(Ops.SIN, x),
    lambda x, _: alu(Ops.MUL, x, -0.75),
    lambda x, _: alu(Ops.EXP2, alu(Ops.SIN, x)),
    lambda x, _: alu(Ops.LOG2, alu(Ops.ADD, alu(Ops.MUL, x, x), 1.25)),
    lambda x, _: alu(Ops.SQRT, alu(Ops.ADD, alu(Ops.MUL, x, x), 0.5)),
    lambda x, _: alu(Ops.DIV, x, alu(Ops.ADD, alu(Ops.MUL, x, x), 1.5)),
    lambda x, _: alu(Ops.WHERE, alu(Ops.LT, x, 0.25), alu(Ops.MUL, x, 0.5), alu(Ops.SIN, x)),
    lambda x, _: alu(Ops.MUL, build.contiguous(x), alu(Ops.SIN, alu(Ops.MUL, total(x), 0.125))),
    lambda x, axis: alu(Ops.MUL, _reduced(Ops.ADD, axis, x), 0.25),
    lambda x, axis: _reduced(Ops.MAX, axis, x),
    lambda x, axis: _reduced(Ops.MIN, axis, x),
    lambda x, axis: alu(Ops.SIN, _reduced(Ops.MUL, axis, x)),
    lambda x, _: build.reshape(_turned(x), DIMS),
    lambda x, axis: build.flip(x, (axis,)),
    lambda x, _: build.shrink(build.pad(x, ((1, 0), (0, 2)), 1), ((0, 2), (1, 4))),
    lambda x, _: _turned(build.shear(_turned(x), 0, 1, 1, 1, 3)),
    lambda x, _: _turned(build.unshear(_turned(x), 0, 1, 1, 1, 3)),
    _rows,
]
_BINARY: list[Callable[[UOp, UOp], UOp]] = [
    lambda a, b: alu(Ops.ADD, a, b),
    lambda a, b: alu(Ops.MUL, alu(Ops.SIN, a), b),
    lambda a, b: alu(Ops.DIV, a, alu(Ops.ADD, alu(Ops.MUL, b, b), 1.0)),
    lambda a, b: alu(Ops.MAX, a, b),
    lambda a, b: alu(Ops.MIN, a, b),
    lambda a, b: alu(Ops.WHERE, alu(Ops.LT, a, b), a, alu(Ops.MUL, b, 0.5)),
]


def _expression(seed: int) -> tuple[UOp, list[UOp]]:
    """A random scalar expression of two tensors and a scalar, which stands for a tensor where it is used."""
    choose = random.Random(seed)
    leaves = [build.param(0, DIMS, dtypes.float64), build.param(1, DIMS, dtypes.float64), build.param(2, (), dtypes.float64)]
    pool = [leaves[0], leaves[1], alu(Ops.MUL, leaves[0], leaves[2]), alu(Ops.ADD, leaves[2], leaves[1])]
    for _ in range(OPERATIONS):
        if choose.random() < 0.5:
            pool.append(choose.choice(_UNARY)(choose.choice(pool[-4:]), choose.randrange(2)))
        else:
            pool.append(choose.choice(_BINARY)(choose.choice(pool[-3:]), choose.choice(pool)))
    return total(alu(Ops.ADD, pool[-1], alu(Ops.MUL, pool[-2], 0.5))), leaves


def _difference(y: UOp, table: dict[UOp, Array], u: UOp, i: int) -> float:
    """The slope of `y` along element i of `u`."""
    ends = []
    for step in (STEP, -STEP):
        moved = table[u].copy()
        moved.ravel()[i] += step
        ends.append(float(values([y], {**table, u: moved})[0]))
    return (ends[0] - ends[1]) / (2 * STEP)


@pytest.mark.parametrize("seed", range(50))
def test_random_expression_agrees_with_differences(seed: int) -> None:
    y, leaves = _expression(seed)
    numbers = np.random.default_rng(seed)
    table = {u: numbers.uniform(0.2, 1.8, (1 if u is leaves[2] else 6,)) * numbers.choice([-1, 1]) for u in leaves}
    compared = 0
    for u, g in zip(leaves, gradients(y, leaves), strict=True):
        if g is not None:
            found = values([g], table)[0].ravel()
            expected = [_difference(y, table, u, i) for i in range(found.size)]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
            compared += 1
    assert compared


def test_random_expressions_use_every_operation_often() -> None:
    counts: dict[Op, int] = {}
    for seed in range(50):
        for op in {u.op for u in toposort(_expression(seed)[0])}:
            counts[op] = counts.get(op, 0) + 1
    elementwise = (Ops.DIV, Ops.EXP2, Ops.LOG2, Ops.SQRT, Ops.WHERE, Ops.MAX, Ops.MIN)
    assert not {op.name for op in (*elementwise, Ops.SHEAR, Ops.UNSHEAR, Ops.PAD, Ops.FLIP, Ops.GATHER) if counts.get(op, 0) < 5}
