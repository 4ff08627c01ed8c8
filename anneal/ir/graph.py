"""Walks over graphs: iterative, each node once.

>>> from anneal.ir.build import const
>>> from anneal.ir.dtype import dtypes
>>> [u.op.name for u in toposort(const(1, dtypes.int32))]
['const']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Final

from anneal.ir.uop import ARENA, UOp

REBUILT: Final[ContextVar[Callable[[UOp, UOp], None] | None]] = ContextVar("rebuilt", default=None)
"""Called, where somebody watches, with each node that `replace_sources` puts on other operands, before and after."""


def toposort(*roots: UOp, enter: Callable[[UOp], bool] | None = None) -> list[UOp]:
    """Every node below the roots, operands before users, in the order a depth-first walk from the first root meets them.

    Nodes for which `enter` is False are listed, but what is below them is not visited.
    """
    done: dict[UOp, None] = {}
    stack: list[tuple[UOp, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if node in done:
            continue
        if ready or not node.src or (enter is not None and not enter(node)):
            done[node] = None
            continue
        stack.append((node, True))
        stack.extend((s, False) for s in reversed(node.src) if s not in done)
    return list(done)


def users(nodes: Iterable[UOp]) -> dict[UOp, list[UOp]]:
    """Who reads each node, among `nodes`; a reader that reads twice is listed once."""
    table: dict[UOp, list[UOp]] = {}
    for node in nodes:
        table.setdefault(node, [])
        for operand in dict.fromkeys(node.src):
            table.setdefault(operand, []).append(node)
    return table


def replace_sources(node: UOp, src: tuple[UOp, ...]) -> UOp:
    """`node` on other operands; `node` itself when they are the same. Phase, origin and rule carry over to a new node."""
    if src == node.src:
        return node
    before = ARENA.phase, ARENA.origin, ARENA.rule
    ARENA.phase, ARENA.origin, ARENA.rule = node.phase, node.origin, node.rule
    try:
        new = ARENA.intern(node.op, node.dtype, src, node.arg)
    finally:
        ARENA.phase, ARENA.origin, ARENA.rule = before
    if (observe := REBUILT.get()) is not None:
        observe(node, new)
    return new


def substitute(root: UOp, table: Mapping[UOp, UOp]) -> UOp:
    """`root` with every node that is a key of `table` replaced by its value; values are not searched again."""
    return substitute_all((root,), table)[0]


def substitute_all(roots: Iterable[UOp], table: Mapping[UOp, UOp]) -> list[UOp]:
    """Each root with the keys of `table` replaced by their values."""
    roots = list(roots)
    made: dict[UOp, UOp] = dict(table)
    for node in toposort(*roots, enter=lambda u: u not in table):
        if node not in made:
            made[node] = replace_sources(node, tuple(made[s] for s in node.src))
    return [made[r] for r in roots]
