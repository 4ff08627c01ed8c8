"""Nodes: identity is structural equality, keys are stable, and the arena holds no more than the program does."""

from __future__ import annotations

import copy
import gc
import math
import os
import pickle
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.graph import replace_sources, substitute, substitute_all, toposort, users
from anneal.ir.ops import ALL_OPS, ORDER, Ops, op_by_name
from anneal.ir.uop import ARENA, Account, UOp, is_const, structural_key


def _sum(*values: int) -> UOp:
    total = build.const(values[0], dtypes.int32)
    for value in values[1:]:
        total = build.alu(Ops.ADD, total, build.const(value, dtypes.int32))
    return total


def test_equal_structure_is_the_same_object() -> None:
    assert _sum(1, 2, 3) is _sum(1, 2, 3)
    assert _sum(1, 2, 3) is not _sum(1, 3, 2)
    assert build.param(0, (2, 3), dtypes.int32) is not build.param(0, (3, 2), dtypes.int32)
    assert build.const(1, dtypes.int32) is not build.const(1, dtypes.uint32)


@pytest.mark.parametrize(("a", "b"), [(True, 1), (False, 0), (1, 1.0)])
def test_equal_numbers_of_different_types_are_different(a: object, b: object) -> None:
    one, other = (ARENA.intern(Ops.CONST, dtypes.int32, (), arg) for arg in (a, b))
    assert one is not other
    assert (type(one.arg), type(other.arg)) == (type(a), type(b))


@pytest.mark.parametrize(("a", "b"), [(0.0, -0.0), (1.0, 1.0000001), (math.inf, -math.inf), (math.nan, 0.0)])
def test_different_floats_are_different_constants(a: float, b: float) -> None:
    assert build.const(a, dtypes.float32) is not build.const(b, dtypes.float32)


def test_nan_is_one_constant() -> None:
    assert build.const(math.nan, dtypes.float32) is build.const(-float("nan"), dtypes.float32)
    assert is_const(build.const(math.nan, dtypes.float32))
    assert not is_const(build.const(1, dtypes.int32), 2)


@given(st.integers(), st.sampled_from([dtypes.int32, dtypes.index, dtypes.uint32]))
def test_constants_are_rounded_into_their_dtype(value: int, dtype: DType) -> None:
    assert build.const(value, dtype) is build.const(dtype.round(value), dtype)


def test_side_tables_are_no_part_of_identity() -> None:
    gc.collect()
    ARENA.phase, ARENA.rule, ARENA.origin = "backward", "mul", ("m.py", 3)
    try:
        made = _sum(71, 72)
    finally:
        ARENA.phase, ARENA.rule, ARENA.origin = "forward", None, None
    assert _sum(71, 72) is made
    assert (made.phase, made.rule, made.origin) == ("backward", "mul", ("m.py", 3))
    moved = replace_sources(made, (made.src[1], made.src[0]))
    assert (moved.phase, moved.rule, moved.origin) == ("backward", "mul", ("m.py", 3))
    assert ARENA.phase == "forward"


def test_operators_build_index_arithmetic() -> None:
    n = build.variable("n", 1, 9)
    assert n - 3 is n + build.index(3) * -1
    assert 2 * n is build.index(2) * n
    assert 7 - n is build.index(7) + n * -1
    assert (n // 4, n % 4) == (build.alu(Ops.IDIV, n, build.index(4)), build.alu(Ops.MOD, n, build.index(4)))
    assert (build.const(3, dtypes.uint32) * -1).src[1].arg == 2**32 - 1
    with pytest.raises(TypeError, match="operators on nodes are for integer arithmetic"):
        build.const(1, dtypes.float32) + 1


def test_nodes_are_copied_as_themselves_and_not_pickled() -> None:
    node = _sum(1, 2)
    assert copy.copy(node) is node
    assert copy.deepcopy([node])[0] is node
    with pytest.raises(TypeError, match=r"bound to its arena: print it with anneal\.ir\.text"):
        pickle.dumps(node)
    assert pickle.loads(pickle.dumps((Ops.ADD, dtypes.int32))) == (Ops.ADD, dtypes.int32)


def test_ten_thousand_graphs_hold_memory_flat() -> None:
    def turn() -> None:
        x = build.param(0, (4, 4), dtypes.float32)
        for i in range(5):
            x = build.alu(Ops.ADD, build.reshape(build.permute(x, (1, 0)), (4, 4)), build.const(i, dtypes.float32))
        structural_key(build.sink(x))

    gc.collect()
    for _ in range(10):
        turn()
    alive = len(ARENA)
    for _ in range(10_000):
        turn()
    assert len(ARENA) == alive


def test_many_different_graphs_leave_nothing_behind() -> None:
    gc.collect()
    alive = len(ARENA)
    for i in range(1000):
        _sum(i, i + 1, i + 2, -i)
    assert len(ARENA) == alive


def test_a_long_chain_is_built_keyed_and_freed_without_recursion() -> None:
    gc.collect()
    alive, length = len(ARENA), 50_000
    x = build.param(0, (), dtypes.int32)
    for i in range(length):
        x = build.alu(Ops.XOR, x, build.const(i, dtypes.int32))
    structural_key(x)
    assert len(toposort(x)) == 2 * length + 1
    assert len(ARENA) >= alive + length
    del x
    assert len(ARENA) == alive


def test_threads_intern_one_object() -> None:
    made: list[list[UOp]] = [[] for _ in range(8)]
    start = threading.Barrier(8)

    def work(mine: list[UOp]) -> None:
        start.wait()
        mine.extend(_sum(i, i + 1) for i in range(500))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(a is b for mine in made for a, b in zip(mine, made[0], strict=True))


_KEYS = """
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.uop import structural_key
n = build.variable("n", 1, 9)
x = build.param(0, (n, 3), dtypes.float32)
y = build.pad(build.alu(Ops.MUL, x, build.const(0.5, dtypes.float32)), ((n + 1, 0), (0, 0)), float("-inf"))
print(structural_key(build.reduce_axis(Ops.MAX, y, (0,))).hex())
"""


def test_structural_keys_are_stable_across_processes_and_hash_seeds() -> None:
    keys = set()
    for seed in ("0", "1", "7"):
        done = subprocess.run([sys.executable, "-c", _KEYS], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        keys.add(done.stdout.strip())
    assert keys == {"4da42ac09cfea51d23ae35cd30f3343f"}


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=4), st.lists(st.integers(-3, 3), min_size=1, max_size=4))
def test_keys_are_equal_exactly_when_nodes_are(a: list[int], b: list[int]) -> None:
    assert (structural_key(_sum(*a)) == structural_key(_sum(*b))) is (_sum(*a) is _sum(*b))


def test_toposort_lists_operands_first_and_each_node_once() -> None:
    a, b = build.const(1, dtypes.int32), build.const(2, dtypes.int32)
    c = build.alu(Ops.ADD, a, b)
    d = build.alu(Ops.MUL, c, c)
    assert toposort(d, a) == [a, b, c, d]
    assert toposort(d, enter=lambda u: u is not c) == [c, d]
    assert users([a, b, c, d]) == {a: [c], b: [c], c: [d], d: []}


def test_substitute_replaces_keys_and_does_not_search_values() -> None:
    a, b, c = (build.const(i, dtypes.int32) for i in range(3))
    expression = build.alu(Ops.MUL, build.alu(Ops.ADD, a, b), a)
    assert substitute(expression, {a: b, b: a}) is build.alu(Ops.MUL, build.alu(Ops.ADD, b, a), b)
    assert substitute(expression, {c: a}) is expression
    whole = build.alu(Ops.ADD, a, b)
    assert substitute_all([expression, a], {whole: build.alu(Ops.ADD, whole, c)}) == [build.alu(Ops.MUL, build.alu(Ops.ADD, whole, c), a), a]


def test_ops_have_one_name_each() -> None:
    assert len({op.name for op in ALL_OPS}) == len(ALL_OPS) == len(ORDER)
    for op in ALL_OPS:
        assert op_by_name(op.name) is op
        assert getattr(Ops, op.name.upper()) is op
        assert repr(op) == f"Ops.{op.name.upper()}"
        assert op.doc


def test_a_node_of_another_program_is_credited_anew_and_back() -> None:
    def seven() -> UOp:
        return build.const(7 * 1_000_003, dtypes.int32)

    ARENA.origin = ("old.py", 1)
    old = seven()
    first, second = Account(), Account()
    with ARENA.account(second):
        ARENA.origin = ("new.py", 2)
        fresh = build.const(8 * 1_000_003, dtypes.int32)
        assert seven() is old
        assert old.origin == fresh.origin == ("new.py", 2)
        ARENA.origin = ("new.py", 3)
        assert seven().origin == ("new.py", 2), "the first builder inside counts"
    with ARENA.account(first):
        assert seven().origin == ("new.py", 2), "an earlier account has no say any more"
    assert seven().origin == ("new.py", 2)
    second.undo()
    ARENA.origin = ("first.py", 4)
    assert (old.origin, fresh.origin) == (("old.py", 1), ("new.py", 2))
    with ARENA.account(first):
        assert seven().origin == ("first.py", 4)
    first.settle()
    first.undo()
    ARENA.origin = None
    assert old.origin == ("first.py", 4), "what is settled stays"
