"""The rule language: what it reads, and what it says about mistakes."""

from __future__ import annotations

import pytest

from anneal.errors import RuleError
from anneal.ir.ops import Ops
from anneal.rewrite.terms import Branch, Handler, Leaf
from anneal.rewrite.upat import File, Statement, parse

HEAD = 'group g "G"\n'
HANDLERS = frozenset({"handle", "fits"})


def read(text: str) -> File:
    return parse(HEAD + text, "t.upat", HANDLERS)


def rule(text: str) -> Statement:
    return read(f"r: {text}").rules[0]


def test_a_statement_becomes_data() -> None:
    found = read("# above\n# it\nr: (x + c1) * c2\n    => x  # behind\n    when c1 != 0 and lo(x) < c2\n    assumes no_signed_zero, reassociation\n").rules[0]
    assert (found.group, found.name, found.file, found.line) == ("g", "r", "t.upat", 4)
    assert found.doc == "above it behind"
    assert found.text == "(x + c1) * c2 => x when c1 != 0 and lo(x) < c2 assumes no_signed_zero, reassociation"
    assert found.assumes == ("no_signed_zero", "reassociation")
    assert found.pattern == Branch((Ops.MUL,), (Branch((Ops.ADD,), (Leaf("x"), Leaf("c1")), label="add"), Leaf("c2")), label="mul")
    assert found.result == Leaf("x")


@pytest.mark.parametrize(
    ("sugar", "plain"),
    [
        ("-x + 0", "x * -1 + 0"),
        ("x - y", "x + y * -1"),
        ("x - 3", "x + -3"),
        ("x != y", "(x == y) ^ True"),
        ("~x & x", "(x ^ True) & x"),
        ("x > y", "y < x"),
        ("x@f32 + 1", "x@float32 + 1"),
        ("x@i32 + 1", "x@int32 + 1"),
    ],
)
def test_sugar_is_the_same_rule(sugar: str, plain: str) -> None:
    assert rule(f"{sugar} => x").pattern == rule(f"{plain} => x").pattern


def test_names_of_parts_wildcards_and_rest() -> None:
    found = rule("max((m := x + _), reduce(y, ...)) => handle(m, y, root)")
    inner, reduction = found.pattern.args
    assert isinstance(inner, Branch)
    assert inner.name == "m"
    assert inner.args == (Leaf("x"), Leaf())
    assert isinstance(reduction, Branch)
    assert reduction.rest
    assert found.result == Handler("handle", (Leaf("m"), Leaf("y"), Leaf("root")))


def test_a_class_of_ops_matches_each() -> None:
    ops = rule("commutative(x, y) => handle(root)").pattern.ops
    assert Ops.ADD in ops
    assert Ops.EQ in ops
    assert all(op.commutative for op in ops)


def test_gradients() -> None:
    found = read("grad where(p, a, b): _, where(p, g, 0), where(p, 0, g)\ngrad reduce_axis(x): handle(y, g, x)").gradients
    assert [(g.op, g.name, len(g.results)) for g in found] == [(Ops.WHERE, "grad_where", 3), (Ops.REDUCE_AXIS, "grad_reduce_axis", 1)]
    assert found[0].results[0] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r: x + 0", "t.upat:2: rule r needs one =>, it has 0"),
        ("r: x + 0 => x => x", "t.upat:2: rule r needs one =>, it has 2"),
        ("r: x + 0 => y", "t.upat:2: y is not bound by the pattern: it has x"),
        ("r: x + 0\n    =>\n    y", "t.upat:4: y is not bound by the pattern: it has x"),
        ("r: x + 0 => handel(x)", "t.upat:2: unknown op or handler 'handel'; did you mean 'handle"),
        ("r: sqr(x) => x", "t.upat:2: unknown op 'sqr' in a pattern; did you mean 'sqrt'?"),
        ("r: x@f31 + 0 => x", "t.upat:2: unknown dtype 'f31'"),
        ("r: x + 0 => 0@float", "t.upat:2: unknown dtype 'float' to build"),
        ("r: x + 0 => x@f32", "t.upat:2: a dtype can be given to a number or an op, not to x"),
        ("r: x + 0 => x\nr: x * 1 => x", "t.upat:3: rule r is already on line 2"),
        ("r: x => x", "t.upat:2: rule r: a pattern starts with an op"),
        ("r: x + => x", "t.upat:2: cannot read 'x +'"),
        ("r: x + 0 => x when", "t.upat:2: cannot read"),
        ("r: x + 0 => x when y > 0", "t.upat:2: y is not bound by the pattern: it has x"),
        ("r: x + 0 => x\n    when is_itn(x)", "t.upat:3: unknown function 'is_itn' in a guard; did you mean 'is_int"),
        ("r: x + 0 => x when lo(x + 1) > 0", "t.upat:2: lo takes one name"),
        ("r: x + 0 => x when [x]", "t.upat:2: '[x]' cannot stand in a guard"),
        ("r: x + 0 => x when x.op", "t.upat:2: 'x.op' cannot stand in a guard"),
        ("r: x + 0 => x assumes luck", "t.upat:2: unknown assumption 'luck': there are no_signed_zero, reassociation"),
        ("r: sqrt(x, y) => x", "t.upat:2: sqrt takes 1 operands, not 2"),
        ("r: reduce(x) => x", "t.upat:2: reduce takes any number of operands, not 1: write ... for further ones"),
        ("r: sqrt(binary(x, y)) => x", "t.upat:2: binary stands for several ops, and may only be the outermost call"),
        ("r: x + 0 => reshape(x)", "t.upat:2: reshape needs more than operands: build it in a handler"),
        ("r: x + 0 => sqrt(x, x)", "t.upat:2: sqrt takes 1 operands, not 2"),
        ("r: x < y < z => x", "t.upat:2: 'x < y < z' has no meaning in a rule"),
        ("r: x + 'a' => x", "has no meaning in a rule"),
        ("r: x + (root := y + 0) => x", "t.upat:2: root has a meaning of its own"),
        ("r: x + (m := y) => x", "t.upat:2: m := names a part that has an op"),
        ("what is this", "t.upat:2: write a rule as: name: pattern => result"),
        ("group bad title", 't.upat:2: write a group as: group name "title"'),
        ("grad mull(a, b): g, g", "t.upat:2: unknown op 'mull'; did you mean 'mul'"),
        ("grad mul(a): g", "t.upat:2: mul takes 2 operands, not 1"),
        ("grad mul(a, b): g", "t.upat:2: mul has 2 operands and 1 gradients"),
        ("grad mul(a, b) g, g", "t.upat:2: write a gradient as: grad op(a, b)"),
        ("grad mul(a, b): g*d, g", "t.upat:2: d is not bound by the pattern: it has a, b, g, y"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        read(text)
    assert message in str(caught.value)


def test_the_first_statement_is_a_group() -> None:
    with pytest.raises(RuleError, match=r't\.upat:1: the first statement must be: group name "title"'):
        parse("r: x + 0 => x", "t.upat", frozenset())


def test_nothing_to_continue() -> None:
    with pytest.raises(RuleError, match=r"t\.upat:1: an indented line continues a statement, and there is none above"):
        parse("  r: x + 0 => x", "t.upat", frozenset())
