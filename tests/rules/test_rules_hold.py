"""Every scalar rule of every `.upat` file, compiled alone, fires and keeps the value: both sides against the interpreter."""

from __future__ import annotations

import random

import pytest
from rule_instances import STATEMENTS, assignments, draw, fire, same, value

from anneal.rules import GROUPS, RULES

SCALAR = [rule for rule in STATEMENTS if rule.group not in ("tensor", "after_autodiff")]
BY_HAND = {"div_below", "mod_below"}
FIRES = 1500
TRIES = 100_000


@pytest.mark.parametrize("rule", [r for r in SCALAR if r.name not in BY_HAND], ids=lambda r: r.name)
def test_rule_fires_and_keeps_the_value(rule) -> None:
    source = random.Random(rule.name)
    fired = 0
    for attempt in range(TRIES):
        drawn = draw(rule, source, depth=attempt % 3)
        if drawn is None:
            continue
        node, leaves = drawn
        result = fire(rule.name, node)
        if result is None:
            continue
        assert result is not node
        assert result.dtype is node.dtype
        for env in assignments(leaves, source):
            before, after = value(node, env), value(result, env)
            assert same(before, after, rule.assumes), f"{rule.name}: {rule.text}\n{node} is {before}, {result} is {after} for {env}"
        fired += 1
        if fired >= FIRES:
            return
    assert fired, f"{rule.name} never fired: {rule.text}"
