"""The instance that shows what a rule does: there is one for every rule but those about loads, it is the same each time, and the rule fires on it."""

from __future__ import annotations

import pytest

from anneal import rules
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.rewrite.upat import Statement
from anneal.view.firing import firing
from anneal.view.instances import alone, statements

RULES = [s for s in statements() if s.group != "kernel"]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_rule_fires_on_its_instance(rule: Statement) -> None:
    found = firing(rule)
    assert found is not None
    assert alone(rule)[found.before.op](found.before) == (0, found.after)
    assert found.before is not found.after
    inputs = {u for u in toposort(found.before) if u.op in (Ops.VARIABLE, Ops.PARAM, Ops.RANGE)}
    assert inputs == found.names.keys()
    assert len(set(found.names.values())) == len(inputs)


def test_the_instance_is_the_same_each_time() -> None:
    rule = next(r for r in RULES if r.name == "recombine")
    assert firing(rule) == firing(rule)


def test_an_instance_is_one_where_the_rule_is_first_if_there_is_any() -> None:
    rule = next(r for r in RULES if r.name == "collect")
    found = firing(rule)
    assert found is not None
    table = rules.table(*rules.SIMPLIFY)
    number, _ = next(m for f in table.functions[found.before.op] if (m := f(found.before)) is not None)
    assert table.names[number] == "collect"


def test_rules_about_loads_have_no_instance() -> None:
    assert [firing(s) for s in statements() if s.group == "kernel"] == [None, None]
