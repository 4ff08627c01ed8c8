"""What property tests of rules share: instances of rules, every value that their leaves may take, and what an expression gives."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping

from anneal.ir.dtype import Scalar
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate_expr
from anneal.ir.uop import UOp
from anneal.view.instances import CANDIDATES, Draft, Leaves, alone, draw, handlers, leaf, number, operand, statements

__all__ = ["CANDIDATES", "HANDLERS", "STATEMENTS", "Draft", "Leaves", "alone", "assignments", "draw", "leaf", "number", "operand", "same", "size", "value"]

HANDLERS = handlers()
STATEMENTS = statements()


def assignments(leaves: Mapping[UOp, tuple[Scalar, ...]], source: random.Random, most: int = 40) -> Iterator[dict[UOp, Scalar]]:
    """Values for the leaves: every combination when there are few, else a sample."""
    names = list(leaves)
    if math.prod(len(v) for v in leaves.values()) <= most:
        for values in itertools.product(*leaves.values()):
            yield dict(zip(names, values, strict=True))
        return
    for _ in range(most):
        yield {n: source.choice(v) for n, v in leaves.items()}


def value(node: UOp, env: Mapping[UOp, Scalar]) -> Scalar:
    """What the expression gives."""
    return evaluate_expr(node, env)


def same(a: Scalar, b: Scalar, assumes: tuple[str, ...]) -> bool:
    """Equal as values of one dtype: a NaN is a NaN, and zeros have signs unless that is assumed away."""
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return a == b and (math.copysign(1, a) == math.copysign(1, b) or "no_signed_zero" in assumes)
    return type(a) is type(b) and a == b


def size(node: UOp) -> int:
    """Operations in an expression."""
    return sum(u.op.elementwise for u in toposort(node))
