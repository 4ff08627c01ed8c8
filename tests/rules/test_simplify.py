"""The scalar rules together: clean indices, values kept, fixpoints, and no dependence on the order of rules."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import pytest
from rule_instances import CANDIDATES, HANDLERS, STATEMENTS, Draft, Leaves, assignments, leaf, number, operand, same, size, value

from anneal.errors import RuleError
from anneal.ir.build import alu, const, index, param, variable
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.compile import load
from anneal.rewrite.engine import rewrite
from anneal.rewrite.table import Table, merge
from anneal.rules import GROUPS, SIMPLIFY, TENSOR, rule, simplify, table


def loop(name: str, size: int | UOp) -> UOp:
    return ARENA.intern(Ops.RANGE, dtypes.index, (index(size) if isinstance(size, int) else size,), (name, "loop"))


def show(node: UOp) -> str:
    """The expression as text, for golden comparisons."""
    if node.op is Ops.CONST:
        return str(node.arg)
    if node.op in (Ops.RANGE, Ops.VARIABLE):
        return str(node.arg[0])
    inner = [show(s) for s in node.src]
    return f"({inner[0]}{node.op.symbol}{inner[1]})" if node.op.symbol else f"{node.op.name}({', '.join(inner)})"


R0, R1, R2, R3 = loop("r0", 16), loop("r1", 64), loop("r2", 32), loop("r3", 3)
FLAT = R0 * 64 + R1
CONV = (R0 * 32 + R2) * 3 + R3


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (FLAT // 128 * 128 + FLAT % 128, "((r0*64)+r1)"),
        (FLAT % 64 * 16 + FLAT // 64, "((r1*16)+r0)"),
        (FLAT // 64 % 16 * 64 + FLAT % 64, "((r0*64)+r1)"),
        (FLAT // 4 % 16 * 4 + FLAT % 4, "r1"),
        (FLAT // 256 * 256 + FLAT // 4 % 64 * 4 + FLAT % 4, "((r0*64)+r1)"),
        ((R0 * 8 + R2 // 4) * 4 + R2 % 4, "((r0*32)+r2)"),
        ((R2 // 4 * 8 + R2 % 4 * 2) * 4, "(r2*8)"),
        ((R2 // 4 * 4 + R2 % 4) * 5 + R0, "((r2*5)+r0)"),
        (R2 // 4 * 20 + R0 + R2 % 4 * 5, "((r2*5)+r0)"),
        (FLAT % 128 // 64, "(r0%2)"),
        (FLAT % 128 % 64, "r1"),
        (R1 // 4 // 8, "(r1//32)"),
        ((R1 + 1) % 64, "((r1+1)%64)"),
        ((R0 * 3 + R1 * 6) // 12, "(((r1*2)+r0)//4)"),
        ((R0 * 64 + R1 + 128) // 64, "(r0+2)"),
        (CONV // 96, "r0"),
        (CONV // 3 % 32, "r2"),
        (CONV % 3, "r3"),
        ((R0 * 34 + R3 + R2) % 34, "(r2+r3)"),
        ((R0 * 34 + R3 + R2) // 34, "r0"),
        ((R0 * -1 + 15) * 64 + R1, "(((r0*-64)+r1)+960)"),
        (R0 * R2 + R2 * R0, "((r0*r2)*2)"),
        (alu(Ops.LT, FLAT, index(128)), "(r0<2)"),
        (alu(Ops.LT, FLAT // 8, index(4)), "(((r0*8)+(r1//8))<4)"),
        (alu(Ops.LT, FLAT, R0 * 64 + R2), "(r1<r2)"),
        (alu(Ops.LT, index(-1), R0), "True"),
        (alu(Ops.EQ, R0 * 4 + 2, index(7)), "False"),
        (alu(Ops.MAX, R0, index(-1)), "r0"),
        (alu(Ops.WHERE, alu(Ops.LT, R0, index(16)), R1, R2), "r1"),
        (alu(Ops.XOR, alu(Ops.LT, R0, index(3)), const(True, dtypes.bool)), "(2<r0)"),
        (alu(Ops.AND, alu(Ops.LT, R0 + R3, index(9)), alu(Ops.LT, R3 + R0, index(4))), "((r0+r3)<4)"),
    ],
    ids=str,
)
def test_indices_become_affine(node: UOp, text: str) -> None:
    result = simplify([node])[0]
    sums = [show(result)]
    if result.op in (Ops.ADD, Ops.LT, Ops.MUL):  # terms of equal weight stand in the order of their keys
        sums.append(show(result).replace("r3+r0", "r0+r3").replace("r3+r2", "r2+r3").replace("r2*r0", "r0*r2"))
    assert text in sums


def test_a_loop_over_a_symbol_stays_below_it() -> None:
    n = variable("n", 1, 1024)
    r = loop("r", n)
    assert simplify([(R0 * n + r) // n, (R0 * n + r) % n]) == (R0, r)


def test_equal_sums_are_one_node_whatever_the_order() -> None:
    terms = [R0 * 64, R1, R2 * 2, index(5), R0 * R2, R3 * 64]
    seen = set()
    for seed in range(20):
        order = terms[:]
        random.Random(seed).shuffle(order)
        left = order[0]
        for term in order[1:3]:
            left = left + term
        right = order[3]
        for term in order[4:]:
            right = term + right
        seen.add(simplify([left + right])[0])
    assert len(seen) == 1


def test_products_of_equal_factors_are_one_node() -> None:
    assert simplify([(R0 * 3) * (R1 * R2), R2 * (R0 * (R1 * 3))]) == (simplify([R0 * R1 * R2 * 3])[0],) * 2


def test_floats_swap_operands_and_never_reassociate() -> None:
    a, b, c = (param(i, (), dtypes.float32) for i in range(3))
    left, right = alu(Ops.ADD, alu(Ops.ADD, a, b), c), alu(Ops.ADD, a, alu(Ops.ADD, b, c))
    swapped = alu(Ops.ADD, c, alu(Ops.ADD, b, a))
    assert simplify([left])[0] is simplify([swapped])[0]
    assert simplify([left])[0] is not simplify([right])[0]


def expression(source: random.Random, draft: Draft, dtype: DType, depth: int) -> UOp:
    """A random scalar expression."""
    if depth == 0:
        return const(number(source, dtype), dtype) if source.random() < 0.25 else leaf(draft, dtype)
    if source.random() < 0.15:
        condition = expression(source, draft, dtypes.bool, depth - 1)
        return ARENA.intern(Ops.WHERE, dtype, (condition, expression(source, draft, dtype, depth - 1), expression(source, draft, dtype, depth - 1)))
    if dtype is dtypes.bool and source.random() < 0.7:
        kind = source.choice((dtypes.index, dtypes.index, dtypes.int32, dtypes.float32))
        sides = expression(source, draft, kind, depth - 1), expression(source, draft, kind, depth - 1)
        return ARENA.intern(source.choice((Ops.LT, Ops.EQ)), dtype, sides)
    ops: tuple[Op, ...]
    if dtype is dtypes.bool:
        ops = (Ops.AND, Ops.OR, Ops.XOR)
    elif dtype.is_float:
        ops = (Ops.ADD, Ops.MUL, Ops.MAX, Ops.MIN, Ops.DIV, Ops.CAST)
    else:
        ops = (Ops.ADD, Ops.ADD, Ops.MUL, Ops.IDIV, Ops.MOD, Ops.MAX, Ops.MIN)
    op = source.choice(ops)
    if op is Ops.CAST:
        return ARENA.intern(op, dtype, (expression(source, draft, source.choice((dtypes.int32, dtypes.bool, dtypes.float16)), depth - 1),))
    right = expression(source, draft, dtype, depth - 1 if op in (Ops.ADD, Ops.MAX, Ops.MIN) else source.randint(0, depth - 1))
    return ARENA.intern(op, dtype, (expression(source, draft, dtype, depth - 1), right))


def samples(seed: int, count: int) -> Iterator[tuple[UOp, Leaves, random.Random]]:
    source = random.Random(seed)
    for _ in range(count):
        draft = Draft(source, 0)
        dtype = source.choice((dtypes.index, dtypes.index, dtypes.index, *CANDIDATES))
        yield expression(source, draft, dtype, source.randint(1, 4)), draft.leaves, source


def check_values(node: UOp, result: UOp, leaves: Leaves, source: random.Random) -> None:
    for env in assignments(leaves, source, 12):
        before, after = value(node, env), value(result, env)
        assert same(before, after, ("no_signed_zero",)) or _signed_zero_seen(node, env), f"{show(node)} is {before}, {show(result)} is {after} for {env}"


def _signed_zero_seen(node: UOp, env: dict[UOp, Scalar]) -> bool:
    """A division by zero makes the sign of zero, which rules may ignore, visible."""
    return any(u.op is Ops.DIV and value(u.src[1], env) == 0 for u in toposort(node))


@pytest.mark.parametrize("seed", range(4))
def test_random_expressions_keep_their_value_and_reach_a_fixpoint(seed: int) -> None:
    for node, leaves, source in samples(seed, 250):
        result = simplify([node])[0]
        assert simplify([result])[0] is result, f"{show(node)} to {show(result)} to {show(simplify([result])[0])}"
        assert result.dtype is node.dtype
        check_values(node, result, leaves, source)


@cache
def shuffled(seed: int) -> Table:
    """All scalar rules in one group, in a random order."""
    rules = [r for r in STATEMENTS if r.group in SIMPLIFY]
    random.Random(seed).shuffle(rules)
    names = load('group g "G"\n' + "\n".join(f"{r.name}: {r.text}" for r in rules), HANDLERS)
    return merge((names["GROUPS"]["g"],), tuple(r.name for r in names["RULES"]))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rules_changes_no_value(seed: int) -> None:
    for node, leaves, source in samples(100 + seed, 120):
        result = rewrite([node], shuffled(seed)).roots[0]
        assert rewrite([result], shuffled(seed)).roots[0] is result
        check_values(node, result, leaves, source)


def test_tables_and_rules_by_name() -> None:
    assert table("algebra") is table("algebra")
    assert rule("mul_one").text == "x * 1 => x"
    assert set(TENSOR) <= set(GROUPS)
    with pytest.raises(RuleError, match="no group of rules called 'algebr': there are folding, algebra"):
        table("algebr")
    with pytest.raises(RuleError, match="no rule called 'nothing'"):
        rule("nothing")


def test_simplified_index_arithmetic_is_seldom_larger() -> None:
    source, before, after = random.Random(5), 0, 0
    for _ in range(400):
        node = operand(Draft(source, 4), dtypes.index, 4)
        before, after = before + size(node), after + size(simplify([node])[0])
    assert after < 0.8 * before
