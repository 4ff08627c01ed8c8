"""Every rule about whole tensors, compiled alone, fires and keeps shape and values: both sides against the interpreter."""

from __future__ import annotations

import math
import random

import pytest
from rule_instances import STATEMENTS, alone

from anneal.ir.dtype import Scalar
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.rewrite.upat import Statement
from anneal.rules import KERNEL
from anneal.view.instances_tensor import Maker, sizes

TENSOR = [rule for rule in STATEMENTS if rule.group not in KERNEL]
FIRES, TRIES = 25, 6_000


def values(node: UOp, inputs: dict[UOp, list[Scalar]]) -> list[Scalar]:
    return evaluate([node], inputs)[0]


@pytest.mark.parametrize("rule", TENSOR, ids=lambda r: r.name)
def test_rule_fires_and_keeps_shape_and_values(rule: Statement) -> None:
    source = random.Random(rule.name)
    fired = 0
    for _ in range(TRIES):
        node = Maker(source).draw(rule)
        match = None if node is None else alone(rule)[node.op](node)
        if node is None or match is None:
            continue
        result = match[1]
        assert result is not node
        assert result.dtype is node.dtype
        assert shape(result) == shape(node), f"{rule.text}: {node} to {result}"
        leaves = [u for u in toposort(node) if u.op is Ops.PARAM]
        inputs = {u: [u.dtype.round(source.choice((-2, -1, 0, 1, 2, 3))) for _ in range(1000)][: math.prod(sizes(u))] for u in leaves}
        assert values(node, inputs) == values(result, inputs), f"{rule.text}: {node} {node.arg} to {result} {result.arg}"
        fired += 1
        if fired == FIRES:
            break
    assert fired, f"{rule.name} never fired: {rule.text}"
