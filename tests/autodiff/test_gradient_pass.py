"""What the pass guarantees: no gradient cut in silence, marked nodes, a deterministic and linear walk, taught errors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from counting import calls
from gradient_cases import CASES, Case, alu, leaf, total

from anneal.autodiff.backward import PASS_RULES, gradients
from anneal.errors import AnnealError, GradientError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.uop import ARENA, UOp
from anneal.ir.verify import verify
from anneal.rules import GRADIENT, GRADIENT_NAMES

WITHOUT_RULE = {
    Ops.BITCAST: "bits are no number: a derivative through them would be meaningless",
    Ops.SINK: "groups outputs; it is no value",
}


def test_every_tensor_op_has_a_rule_or_a_reason() -> None:
    tensor_level = {op for op in ALL_OPS if op.elementwise or op.category in ("movement", "reduce", "tensor")}
    assert set(GRADIENT) | set(WITHOUT_RULE) == tensor_level
    assert not set(GRADIENT) & set(WITHOUT_RULE)
    assert set(GRADIENT_NAMES) == set(GRADIENT)


def test_no_gradient_by_definition_is_a_rule() -> None:
    x, count, holds = leaf(0), leaf(1, dtype=dtypes.int32), leaf(2, dtype=dtypes.bool)
    nodes = [alu(Ops.FLOOR, x), build.detach(x), alu(Ops.LT, x, x), alu(Ops.EQ, x, x)]
    nodes += [alu(op, count, count) for op in (Ops.IDIV, Ops.MOD, Ops.SHL, Ops.SHR)]
    nodes += [alu(op, holds, holds) for op in (Ops.AND, Ops.OR, Ops.XOR)]
    for y in nodes:
        assert GRADIENT[y.op](y, x) == (None,) * len(y.src)


def test_bitcast_raises_by_name() -> None:
    x = leaf(0)
    y = build.bitcast(build.bitcast(x, dtypes.int32), dtypes.float32)
    with pytest.raises(GradientError, match="bitcast has no gradient rule") as caught:
        gradients(alu(Ops.SIN, y), [x])
    assert isinstance(caught.value, AnnealError)
    assert "detach()" in str(caught.value)


def test_a_missing_rule_says_where() -> None:
    x = leaf(0)
    ARENA.origin = ("model.py", 12)
    try:
        y = build.bitcast(build.cast(x, dtypes.int32), dtypes.float32)
    finally:
        ARENA.origin = None
    with pytest.raises(GradientError, match=r"model\.py:12"):
        gradients(y, [x])


def _named(op: Op) -> Case | None:
    """The first case that is about `op`."""
    name = op.name.removesuffix("_axis").replace("reduce", "add over")
    return next((c for c in CASES if c.name == name or c.name.startswith(name + " ")), None)


_ONE_EACH = {op: case for op in GRADIENT if (case := _named(op))}


@pytest.mark.parametrize("op", _ONE_EACH, ids=lambda op: op.name)
def test_each_op_would_raise_without_its_rule(op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    case = _ONE_EACH[op]
    leaves = case.leaves()
    y = case.graph(*leaves)
    monkeypatch.delitem(GRADIENT, op)
    if op in (Ops.DETACH, Ops.EQ):  # a detach is where the walk ends, and a truth value gets no gradient: nothing reaches them
        assert gradients(y, leaves, build.const(1, y.dtype))
    else:
        with pytest.raises(GradientError, match=f"{op.name} has no gradient rule"):
            gradients(y, leaves, build.const(1, y.dtype))


def test_an_op_without_a_rule_beside_the_path_does_not_matter() -> None:
    x, bits = leaf(0), leaf(1, dtype=dtypes.int32)
    other = build.bitcast(build.bitcast(build.detach(x), dtypes.int32), dtypes.float32)
    y = alu(Ops.MUL, x, alu(Ops.ADD, build.bitcast(bits, dtypes.float32), other))
    assert gradients(y, [x])[0] is not None


def test_a_scalar_operand_gets_the_sum_by_a_named_step() -> None:
    x, s = leaf(0, 2, 3), leaf(1)
    [g] = gradients(alu(Ops.MUL, x, s), [s], build.param(7, (2, 3), dtypes.float32))
    assert g is not None
    assert [u.rule for u in (g, *g.src, *g.src[0].src)] == ["unbroadcast", "unbroadcast", GRADIENT_NAMES[Ops.MUL]]


def test_no_path_is_none() -> None:
    x, y, count = leaf(0), leaf(1), leaf(2, dtype=dtypes.int32)
    z = alu(Ops.MUL, alu(Ops.MUL, x, build.detach(y)), build.cast(count, dtypes.float32))
    gx, *others = gradients(z, [x, y, count, build.const(3, dtypes.float32)])
    assert gx is not None
    assert others == [None, None, None]


def test_intermediate_nodes_and_the_root_itself() -> None:
    x = leaf(0)
    h = alu(Ops.MUL, x, x)
    y = alu(Ops.MUL, h, 3.0)
    gy, gh, gx, again = gradients(y, [y, h, x, x])
    assert gx is again
    assert gy is build.const(1, dtypes.float32)
    assert gh is not None
    assert gx is not None
    assert evaluate([gh, gx], {x: [5]}) == [[3], [30]]


def test_a_value_read_many_times_adds_up() -> None:
    x = leaf(0)
    y = x
    for i in range(5):
        y = alu(Ops.ADD, y, alu(Ops.MUL, x, float(i)))
    [g] = gradients(y, [x])
    assert g is not None
    assert evaluate([g], {x: [1]}) == [[11]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gradients(leaf(0, dtype=dtypes.int32), []), "cannot differentiate int32"),
        (lambda: gradients(leaf(0, 2, 3), []), r"shape \(2, 3\) without a seed.*sum\(\)"),
        (lambda: gradients(build.param(0, (build.variable("n", 1, 4),), dtypes.float32), []), r"shape \(n,\) without a seed"),
        (lambda: gradients(leaf(0, 2), [], leaf(1, 3)), r"float32 of shape \(3,\), but the result is float32 of shape \(2,\)"),
        (lambda: gradients(leaf(0, 2), [], leaf(1, 2, dtype=dtypes.int32)), r"int32 of shape \(2,\), but"),
    ],
)
def test_roots_and_seeds_that_do_not_fit(make: Callable[[], object], message: str) -> None:
    with pytest.raises(GradientError, match=message):
        make()


def test_one_element_of_any_rank_is_a_root() -> None:
    x = leaf(0, 1, 1)
    [g] = gradients(alu(Ops.MUL, x, x), [x])
    assert g is not None
    assert evaluate([g], {x: [4]}) == [[8]]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_each_backward_node_knows_phase_rule_and_origin(case: Case) -> None:
    ARENA.origin = ("user.py", sum(map(ord, case.name)))
    try:
        leaves = case.leaves()
        y = case.graph(*leaves)
        forward = set(toposort(y))
        seed = build.param(7, (), y.dtype)
    finally:
        ARENA.origin = None
    forward.add(seed)
    gs = [g for g in gradients(y, leaves, seed) if g is not None]
    verify(gs, "tensor")
    varying: set[UOp] = set()  # a constant expression may be somebody else's node, built before
    for u in toposort(*gs):
        if u.op is Ops.PARAM or not varying.isdisjoint(u.src):
            varying.add(u)
    made = [u for u in toposort(*gs) if u in varying and u not in forward]
    known = set(GRADIENT_NAMES.values()) | set(PASS_RULES)
    assert [u for u in made if u.phase != "backward" or u.rule not in known] == []
    assert all(u.phase == "forward" and u.rule is None for u in forward if u.op is not Ops.CONST)


def test_backward_nodes_have_the_origin_of_what_they_differentiate() -> None:
    ARENA.origin = ("origin.py", 1)
    x = leaf(0, 3)
    h = alu(Ops.SQRT, x)
    ARENA.origin = ("origin.py", 2)
    y = alu(Ops.LOG2, h)
    ARENA.origin = None
    [g] = gradients(y, [x], build.param(7, (3,), dtypes.float32))
    assert g is not None
    assert g.origin == ("origin.py", 1)
    assert g.rule == GRADIENT_NAMES[Ops.SQRT]
    lines = {u.rule: u.origin for u in toposort(g) if u.phase == "backward" and u.op is Ops.DIV}
    assert lines[GRADIENT_NAMES[Ops.LOG2]] == ("origin.py", 2)


def test_the_arena_is_left_as_it_was_also_after_an_error() -> None:
    x = leaf(0)
    ARENA.phase, ARENA.origin, ARENA.rule = "update", ("f.py", 3), "r"
    try:
        gradients(alu(Ops.SIN, x), [x])
        with pytest.raises(GradientError):
            gradients(build.bitcast(build.cast(x, dtypes.int32), dtypes.float32), [x])
        assert (ARENA.phase, ARENA.origin, ARENA.rule) == ("update", ("f.py", 3), "r")
    finally:
        ARENA.phase, ARENA.origin, ARENA.rule = "forward", None, None


def test_a_long_chain_is_linear_and_does_not_recurse() -> None:
    def work(length: int) -> int:
        x = leaf(length)
        y: UOp = x
        for _ in range(length // 2):
            y = alu(Ops.ADD, alu(Ops.MUL, y, x), 0.25)
        results = []
        done = calls(lambda: results.append(gradients(y, [x])))
        assert results[0][0] is not None
        return done

    short, long = work(5_000), work(50_000)
    assert 5_000 < short < long < 11 * short


def test_the_value_at_the_end_of_a_long_chain() -> None:
    x = leaf(0)
    y: UOp = x
    for _ in range(5_000):
        y = alu(Ops.ADD, alu(Ops.MUL, y, 0.999), 0.25)
    [g] = gradients(y, [x])
    assert g is not None
    assert evaluate([g], {x: [1]})[0][0] == pytest.approx(0.999**5000, rel=1e-3)


def test_the_same_gradient_is_the_same_node() -> None:
    x, y = leaf(0, 3), leaf(1, 3)
    z = total(alu(Ops.MUL, alu(Ops.SIN, x), alu(Ops.ADD, x, y)))
    assert gradients(z, [x, y]) == gradients(z, [y, x])[::-1]


_PROGRAM = """
from anneal.autodiff.backward import gradients
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.uop import structural_key
xs = [build.param(i, (3, 2), dtypes.float32) for i in range(4)]
y = xs[0]
for a in xs * 3:
    y = build.alu(Ops.ADD, build.alu(Ops.MUL, y, a), build.expand(build.reduce_axis(Ops.MAX, a, (0,)), (3, 2)))
print([structural_key(g).hex() for g in gradients(y, xs, build.const(1, dtypes.float32))])
"""


def test_gradients_do_not_depend_on_the_hash_seed() -> None:
    def run(seed: str) -> str:
        return subprocess.run([sys.executable, "-c", _PROGRAM], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout

    assert run("1") == run("2") != ""
