"""Every scalar rule of every `.upat` file, compiled alone, fires and keeps the value: both sides against the interpreter."""

from __future__ import annotations

import random

import pytest
from rule_instances import HANDLERS, STATEMENTS, alone, assignments, draw, same, value

from anneal.ir.build import alu, const, index, param, variable
from anneal.ir.dtype import dtypes
from anneal.ir.interp import evaluate_expr
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.table import MatchFunction
from anneal.rewrite.upat import Statement, parse
from anneal.rules import KERNEL, SIMPLIFY, TENSOR

SCALAR = [rule for rule in STATEMENTS if rule.group in SIMPLIFY]
BY_HAND = {"div_below", "mod_below", "lt_size"}
FIRES = 40
TRIES = 20_000


def counterexample(rule: Statement, functions: dict[Op, MatchFunction], fires: int = FIRES) -> tuple[int, str | None]:
    """How often the rule fired, and where its two sides differ."""
    source = random.Random(rule.name)
    fired = 0
    for attempt in range(TRIES):
        drawn = draw(rule, source, depth=attempt % 3)
        if drawn is None or (match := functions[drawn[0].op](drawn[0])) is None:
            continue
        node, leaves = drawn
        result = match[1]
        assert result is not node
        assert result.dtype is node.dtype
        for env in assignments(leaves, source):
            before, after = value(node, env), value(result, env)
            if not same(before, after, rule.assumes):
                return fired, f"{rule.text}: {node} is {before}, {result} is {after} for {env}"
        fired += 1
        if fired >= fires:
            break
    return fired, None


@pytest.mark.parametrize("rule", [r for r in SCALAR if r.name not in BY_HAND], ids=lambda r: r.name)
def test_rule_fires_and_keeps_the_value(rule: Statement) -> None:
    fired, difference = counterexample(rule, alone(rule))
    assert difference is None, difference
    assert fired, f"{rule.name} never fired: {rule.text}"


@pytest.mark.parametrize(
    "text",
    [
        "x * 0 => 0",
        "x + 0 => x",
        "x == x => True",
        "(x + c1) + c2 => x + (c1 + c2)",
        "x*c1 + x*c2 => x * (c1 + c2)",
        "x + c1 < c2 => x < c2 + c1*-1 when is_int(x)",
        "x // c => 0 when is_index(x) and hi(x) < c",
        "(x // c1) // c2 => x // (c1 * c2) when is_index(x)",
        "(x % c1) % c2 => x % c2 when is_index(x)",
        "x * c1 < c2 => x < c2 // c1 when is_index(x) and c1 > 0",
        "(x*y) // y => x when is_index(x)",
        "cast(cast(x)) => cast(x)",
        "x / c => x * (1 / c)",
        "where(p, x, where(q, x, y)) => where(p & q, x, y)",
        "max(min(x, c1), c2) => c2 when c1 <= c2",
    ],
)
def test_a_false_rule_is_refuted(text: str) -> None:
    rule = parse(f'group g "g"\nfalse_rule: {text}', "false.upat", frozenset(HANDLERS)).rules[0]
    assert counterexample(rule, alone(rule), fires=2_000)[1] is not None


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_a_loop_index_is_below_its_own_size(name: str) -> None:
    function = alone(next(r for r in SCALAR if r.name == name))
    n, m = variable("n", 1, 64), variable("m", 1, 64)
    r = ARENA.intern(Ops.RANGE, dtypes.index, (n,), ("r", "loop"))
    op, result = {"div_below": (Ops.IDIV, index(0)), "mod_below": (Ops.MOD, r), "lt_size": (Ops.LT, const(True, dtypes.bool))}[name]
    assert function[op](alu(op, r, n)) == (0, result)
    assert function[op](alu(op, r, m)) is None
    assert function[op](alu(op, n, r)) is None


def gated(number: int, i: UOp, *gates: UOp) -> UOp:
    """A load from buffer `number` where all the gates hold."""
    gate = gates[0]
    for other in gates[1:]:
        gate = alu(Ops.AND, gate, other)
    return ARENA.intern(Ops.LOAD, dtypes.float32, (param(number, (8,), dtypes.float32), i, gate))


def test_a_choice_of_what_is_zero_anyway_goes() -> None:
    i, j = variable("i", 0, 9), variable("j", 0, 9)
    p, q = alu(Ops.LT, i, index(4)), alu(Ops.LT, j, index(5))
    zero = const(0, dtypes.float32)
    rule = alone(next(r for r in STATEMENTS if r.name == "gated_twice"))[Ops.WHERE]
    covered = alu(Ops.ADD, alu(Ops.MUL, gated(0, i, p), gated(1, j, q, p)), gated(0, j, p, q))
    open_ = alu(Ops.ADD, gated(0, i, p), gated(1, j, q))
    match = rule(alu(Ops.WHERE, p, covered, zero))
    assert match is not None
    assert rule(alu(Ops.WHERE, p, open_, zero)) is None
    buffers = {param(n, (8,), dtypes.float32): [n + 1.5 * k for k in range(8)] for n in (0, 1)}
    for env in ({i: a, j: b} for a in range(10) for b in range(10)):
        before, after = (evaluate_expr(u, env, buffers) for u in (alu(Ops.WHERE, p, covered, zero), match[1]))
        assert before == after


def test_a_decided_gate_goes() -> None:
    rule = alone(next(r for r in STATEMENTS if r.name == "gate_decided"))[Ops.LOAD]
    i = variable("i", 0, 7)
    true, false = const(True, dtypes.bool), const(False, dtypes.bool)
    plain = ARENA.intern(Ops.LOAD, dtypes.float32, (param(0, (8,), dtypes.float32), i))
    assert rule(gated(0, i, true)) == (0, plain)
    assert rule(gated(0, i, false)) == (0, const(0, dtypes.float32))
    assert rule(plain) is None


def test_every_group_is_in_a_pipeline() -> None:
    assert {r.group for r in STATEMENTS} == {*KERNEL, *TENSOR, "after_autodiff"}
