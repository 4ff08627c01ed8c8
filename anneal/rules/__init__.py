"""The rules themselves: `.upat` files, their handlers, and the module that is compiled from them.

>>> from anneal.ir.build import variable
>>> x = variable("x", 0, 9)
>>> simplify([(x * 4 + 3) // 4])[0] is x
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

from anneal.errors import RuleError
from anneal.ir.ops import Op
from anneal.ir.uop import UOp
from anneal.rewrite.engine import Fix, rewrite
from anneal.rewrite.table import Gradients, Rule, Table, merge
from anneal.rules.compiled import GRADIENT, GRADIENT_NAMES, GROUPS, RULES, TITLES

__all__ = ["GRADIENT", "GRADIENT_NAMES", "GROUPS", "KERNEL", "NAMES", "RULES", "SIMPLIFY", "TENSOR", "TITLES", "Gradients", "Rule", "rule", "simplify", "table"]

NAMES: Final = tuple(r.name for r in RULES)
SIMPLIFY: Final = ("folding", "algebra", "boolean", "minmax", "where", "cast", "divmod", "sums", "compare", "order", "bounds")
"""The groups for scalar expressions: index arithmetic and what kernels compute."""
KERNEL: Final = ("kernel", *SIMPLIFY)
"""The groups for the expressions that kernels compute."""
TENSOR: Final = ("tensor", "windows", *SIMPLIFY)
"""The groups for graphs of tensors. Some results are scalars that stand for a tensor; `fix` must give them their shape again."""


@cache
def table(*groups: str) -> Table:
    """The rules of these groups together, the first group's rules tried first; RuleError when there is no such group."""
    for group in groups:
        if group not in GROUPS:
            raise RuleError(f"no group of rules called {group!r}: there are {', '.join(GROUPS)}")
    return merge(tuple(GROUPS[group] for group in groups), NAMES)


def rule(name: str) -> Rule:
    """The rule with this name, as it is written."""
    for found in RULES:
        if found.name == name:
            return found
    raise RuleError(f"no rule called {name!r}")


def simplify(roots: Iterable[UOp], fix: Fix | None = None) -> tuple[UOp, ...]:
    """The roots in their simplest form under the rules for scalar expressions."""
    return rewrite(roots, table(*SIMPLIFY), fix=fix).roots


def gradient(op: Op) -> Callable[[UOp, UOp], Gradients] | None:
    """The gradient rule of an op: node and gradient of its result to the gradients of its operands. None when there is none."""
    return GRADIENT.get(op)
