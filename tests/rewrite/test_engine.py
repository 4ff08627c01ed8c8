"""The drivers: fixpoints, linear time, side tables, cycles by name, and the trace."""

from __future__ import annotations

import pytest
from counting import calls

from anneal.errors import RuleError
from anneal.ir.build import alu, const, index, param, variable
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.compile import load
from anneal.rewrite.engine import Fix, rewrite
from anneal.rewrite.table import Table, merge
from anneal.rewrite.trace import Event, Trace
from anneal.rules import SIMPLIFY, table

X, Y = variable("x", 0, 9), variable("y", 0, 9)
ALL = table(*SIMPLIFY)


def compiled(text: str) -> Table:
    """A table of the rules in `.upat` text."""
    names = load('group g "G"\n' + text)
    return merge((names["GROUPS"]["g"],), tuple(r.name for r in names["RULES"]))


def test_new_nodes_are_rewritten_again() -> None:
    rules = compiled("a: max(x, 1) => min(x, 2)\nb: min(x, 2) => x + 3\nc: x + 3 => x")
    result = rewrite([alu(Ops.MAX, X, index(1))], rules)
    assert result.roots == (X,)
    assert result.count == 3


def test_operands_come_first_and_roots_keep_their_order() -> None:
    rules = compiled("a: x + 0 => x\nb: x * 1 => x")
    roots = [(X + 0) * 1, Y, (Y * 1) + (X + 0), X * 1]
    assert rewrite(roots, rules).roots == (X, Y, Y + X, X)


def test_the_result_is_a_fixpoint_of_the_same_objects() -> None:
    roots = [(X * 4 + Y + 8) // 4 + (Y + X) % 3, alu(Ops.LT, X + 3, Y + 1)]
    once = rewrite(roots, ALL)
    again = rewrite(once.roots, ALL)
    assert all(a is b for a, b in zip(once.roots, again.roots, strict=True))
    assert again.count == 0


def test_nothing_changed_gives_the_same_object() -> None:
    node = alu(Ops.SIN, param(0, (3,), dtypes.float32))
    result = rewrite([node], ALL)
    assert result.roots[0] is node
    assert result.count == 0


def test_the_work_grows_with_the_chain() -> None:
    def work(count: int) -> int:
        node, other = param(0, (), dtypes.float32), param(1, (), dtypes.float32)
        for i in range(count):
            node = alu(Ops.ADD, other, alu(Ops.SIN, node)) if i % 2 else alu(Ops.MUL, const(1.5, dtypes.float32), node)
        results = []
        done = calls(lambda: results.append(rewrite([node], ALL, budget=10**9)))
        assert len(toposort(*results[0].roots)) > count
        return done

    short, long = work(10_000), work(50_000)
    assert 10_000 < short < long < 5.5 * short


def test_long_index_chains_end() -> None:
    node, distinct = X, X
    for i in range(20_000):
        node = node + 1
        distinct = distinct + variable(f"v{i}", 0, 9)
    assert rewrite([node], ALL).roots[0] is X + 20_000
    assert len(toposort(*rewrite([distinct], ALL).roots)) >= 40_000


def test_rules_that_go_round_are_named() -> None:
    rules = compiled("there: x + y => x * y\nback: x * y => x + y\nidle: sqrt(x) => x")
    with pytest.raises(RuleError, match=r"rules do not come to an end: 2 fired, the last of them back \(1 times\), there \(1 times\)"):
        rewrite([X + Y], rules)


def test_rules_that_grow_are_named_when_the_budget_is_spent() -> None:
    rules = compiled("grow: x * c => (x * (c + 1)) + 1")
    with pytest.raises(RuleError, match=r"101 fired, the last of them grow \(101 times\); give one of them a guard, or allow more with budget="):
        rewrite([X * 1], rules, budget=100)
    with pytest.raises(RuleError, match=r"grow \(1000 times\)"):
        rewrite([X * 1], rules)


def test_a_node_that_needs_itself_is_a_cycle() -> None:
    with pytest.raises(RuleError, match="wrap"):
        rewrite([X + Y], compiled("wrap: x + y => max(x + y, y)"))


def test_new_nodes_inherit_phase_origin_and_gradient_rule() -> None:
    ARENA.phase, ARENA.origin, ARENA.rule = "backward", ("model.py", 7), "grad_mul"
    try:
        leaf = param(31, (), dtypes.float32)
        node = alu(Ops.MUL, leaf, const(4.25, dtypes.float32))
        root = alu(Ops.MUL, alu(Ops.SIN, node), const(-1, dtypes.float32))
    finally:
        ARENA.phase, ARENA.origin, ARENA.rule = "forward", None, None
    top = alu(Ops.ADD, root, const(77.125, dtypes.float32))
    result = rewrite([top], compiled("r: sin(x) => exp2(sqrt(x))")).roots[0]
    new = [u for u in toposort(result) if u.op in (Ops.EXP2, Ops.SQRT, Ops.MUL)]
    assert len(new) == 4
    assert {(u.phase, u.origin, u.rule) for u in new} == {("backward", ("model.py", 7), "grad_mul")}
    assert (result.phase, result.origin) == ("forward", None)
    assert (ARENA.phase, ARENA.origin, ARENA.rule) == ("forward", None, None)


def test_the_arena_is_as_before_after_an_error() -> None:
    def fail(node: UOp) -> tuple[int, UOp] | None:
        ARENA.phase = "update"
        raise ValueError(node)

    with pytest.raises(ValueError, match="add"):
        rewrite([X + Y], Table({Ops.ADD: (fail,)}, ()))
    assert ARENA.phase == "forward"


def test_fix_may_replace_or_refuse_a_result() -> None:
    rules = compiled("a: x + 0 => x")
    assert rewrite([X + 0], rules, fix=lambda old, new: new * 2).roots[0] is X * 2
    refused = rewrite([X + 0], rules, fix=lambda old, new: old)
    assert refused.roots[0] is X + 0
    assert refused.count == 0


@pytest.mark.parametrize("fix", [None, lambda old, new: new if new.op is not Ops.CONST else old])
def test_the_traced_driver_gives_the_same_nodes(fix: Fix | None) -> None:
    roots = [(X * 64 + Y) // 128 * 128 + (X * 64 + Y) % 128, alu(Ops.LT, X * 2 + 1, Y * 2 + 4), (X + 0) * 0, Y + X]
    trace = Trace()
    plain, traced = rewrite(roots, ALL, fix=fix), trace.rewrite("simplify", roots, ALL, fix=fix)
    assert all(a is b for a, b in zip(plain.roots, traced.roots, strict=True))
    assert plain.count == traced.count == len(trace.events) > 0


def test_events_tell_stage_rule_before_and_after() -> None:
    seen: list[Event] = []
    trace = Trace(seen.append)
    trace.rewrite("first", [X + 0], compiled("a: x + 0 => x"))
    trace.rewrite("second", [X * 1], compiled("b: x * 1 => x"))
    assert trace.events == seen == [Event("first", "a", X + 0, X), Event("second", "b", X * 1, X)]
