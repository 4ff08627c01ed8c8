"""The parts of the code generator by themselves: shapes, expansion, vectors, scopes."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from anneal import Target
from anneal.codegen.emit import Emitter, in_terms_of, invariants
from anneal.codegen.expand import divides, expand, vectorize
from anneal.codegen.opts import Shape, choose, output_ranges
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate_expr
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp
from anneal.schedule.indexing import ZERO, replace_ranges

TARGETS: Final = (Target.portable(), Target(local_memory=False))


def loop(size: int, kind: str, number: int) -> UOp:
    return ARENA.intern(Ops.RANGE, dtypes.index, (build.index(size),), (kind, number))


def load(binding: int, size: int, place: UOp) -> UOp:
    return ARENA.intern(Ops.LOAD, dtypes.float32, (build.param(binding, (size,), dtypes.float32), place))


def store(binding: int, size: int, place: UOp, value: UOp) -> UOp:
    return ARENA.intern(Ops.STORE, dtypes.float32, (build.param(binding, (size,), dtypes.float32), place, value))


def body(*stores: UOp) -> UOp:
    return ARENA.intern(Ops.SINK, dtypes.bool, stores)


def product(m: int, k: int, n: int) -> UOp:
    r0, r1, k0 = loop(m, "r", 0), loop(n, "r", 1), loop(k, "k", 0)
    value = build.alu(Ops.MUL, load(1, m * k, r0 * k + k0), load(2, k * n, k0 * n + r1))
    return body(store(0, m * n, r0 * n + r1, ARENA.intern(Ops.REDUCE, dtypes.float32, (value, k0), Ops.ADD)))


@pytest.mark.parametrize(("m", "k", "n"), [(64, 64, 64), (63, 65, 67), (1, 4096, 1), (5, 7, 11), (512, 16, 512)])
@pytest.mark.parametrize("target", TARGETS, ids=["gpu", "software"])
def test_shapes_fit_the_loops(m: int, k: int, n: int, target: Target) -> None:
    sink = product(m, k, n)
    shape = choose(sink, None, target)
    assert shape.tile == output_ranges(sink)
    for r, factor in (*shape.upcast, *shape.unroll):
        assert r.src[0].arg % factor == 0
        assert factor > 1
    assert {r for r, _ in shape.upcast} <= set(shape.tile)
    assert shape.lanes & (shape.lanes - 1) == 0
    assert shape.lanes <= target.invocations


@settings(max_examples=25)
@for_all(st.integers(0, 2), st.integers(0, 2), st.sampled_from([1, 2, 4]))
def test_expansion_keeps_every_element(a: int, b: int, c: int) -> None:
    m, k, n = 4, 8, 8
    sink = product(m, k, n)
    r0, r1 = output_ranges(sink)
    (k0,) = (u for u in toposort(sink) if u.op is Ops.RANGE and u.arg[0] == "k")
    shape = Shape((r0, r1), tuple((r, f) for r, f in ((r0, 2**a), (r1, 2**b)) if f > 1), ((k0, c),) if c > 1 else ())
    groups, tile = expand(sink, shape)
    left, right = [float(i % 5) for i in range(m * k)], [float(i % 7 - 3) for i in range(k * n)]
    data = {build.param(1, (m * k,), dtypes.float32): left, build.param(2, (k * n,), dtypes.float32): right}
    found: dict[int, float] = {}
    for i in range(tile[0].src[0].arg):
        for j in range(tile[1].src[0].arg):
            for s in (s for group in groups for s in group):
                place = int(evaluate_expr(s.src[1], {tile[0]: i, tile[1]: j}))
                assert place not in found
                found[place] = float(evaluate_expr(s.src[2], {tile[0]: i, tile[1]: j}, data))
    wanted = np.array(left).reshape(m, k) @ np.array(right).reshape(k, n)
    assert [found[i] for i in range(m * n)] == wanted.ravel().tolist()


def test_runs_of_four_become_vectors() -> None:
    r = loop(16, "r", 0)
    groups = [(store(0, 64, r * 4 + i, load(1, 64, r * 4 + i)),) for i in range(4)]
    batches, memory = vectorize(groups)
    assert {m.arg[0] for m in memory} == {0, 1}
    assert [[s.op for s in batch] for batch in batches] == [[Ops.VSTORE]]
    odd = [(store(0, 64, r * 4 + i, load(1, 65, r * 4 + i + 1)),) for i in range(4)]
    batches, memory = vectorize(odd)
    assert {m.arg[0] for m in memory} == {0}
    three = [(store(0, 48, r * 3 + i, load(1, 48, r * 3 + i)),) for i in range(3)]
    assert vectorize(three)[1] == frozenset()


def test_divisibility_of_sums() -> None:
    r, s = loop(5, "r", 0), loop(5, "r", 1)
    assert divides(4, None)
    assert divides(4, r * 8 + s * 4 + 12)
    assert not divides(4, r * 8 + s)
    assert not divides(4, r * 8 + 2)


def test_ranges_in_terms_of_a_flat_one() -> None:
    ranges = (loop(3, "r", 0), loop(4, "r", 1), loop(5, "r", 2))
    flat = loop(60, "r", 9)
    parts = in_terms_of(flat, ranges, ranges)
    for i in range(60):
        assert [evaluate_expr(p, {flat: i}) for p in parts] == [i // 20, i // 5 % 4, i % 5]


def test_ranges_that_a_reduction_binds_are_its_own() -> None:
    k0, k1, r0 = loop(6, "k", 0), loop(7, "k", 1), loop(3, "r", 0)
    inner = ARENA.intern(Ops.REDUCE, dtypes.float32, (load(1, 42, k0 * 7 + k1), k0, k1), Ops.ADD)
    value = build.alu(Ops.ADD, load(1, 42, k0 * 7 + k1), inner)
    (changed,) = replace_ranges([value], {k0: r0, k1: ZERO})
    assert changed.src[1] is inner
    assert changed.src[0] is load(1, 42, r0 * 7 + ZERO)
    partly = ARENA.intern(Ops.REDUCE, dtypes.float32, (load(1, 42, k0 * 7 + k1), k1), Ops.ADD)
    (half,) = replace_ranges([partly], {k0: r0, k1: ZERO})
    assert half.src[1] is k1
    assert half.src[0] is load(1, 42, r0 * 7 + k1)


def test_invariants_are_the_largest_parts() -> None:
    k0, r0 = loop(6, "k", 0), loop(3, "r", 0)
    still = build.alu(Ops.MUL, load(1, 3, r0), load(1, 3, r0))
    value = build.alu(Ops.ADD, build.alu(Ops.MUL, still, load(2, 6, k0)), still)
    assert invariants(value, [k0]) == [still]


def test_equal_loops_are_one() -> None:
    emitter = Emitter(1, ZERO)
    k0 = loop(8, "k", 0)
    sums = [ARENA.intern(Ops.REDUCE, dtypes.float32, (load(n, 8, k0), k0), Ops.ADD) for n in (1, 2, 3)]
    emitter.values(sums)
    assert sum(u.op is Ops.LOOP for u in emitter.out) == 1
    assert sum(u.op is Ops.REGISTER for u in emitter.out) == 3
