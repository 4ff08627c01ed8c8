"""What the compiler of rules hands to the drivers: a rule's own row, and the match functions by op.

A match function takes a node and returns the number of the rule that matched with the new node, or None. Names are beside it for
messages and traces; the hot path sees numbers only.

>>> Table({}, ("add_zero",)).names[0]
'add_zero'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from anneal.ir.ops import Op
from anneal.ir.uop import UOp

Match = tuple[int, UOp]
MatchFunction = Callable[[UOp], Match | None]
Gradients = tuple[UOp | None, ...]


class Rule(NamedTuple):
    """One rule as it is written; its place in the table of all rules is its number."""

    group: str
    """The group that it belongs to."""
    name: str
    """Its name, unique among all rules."""
    doc: str
    """Its one-line comment."""
    text: str
    """The statement, on one line, without name and comment."""
    file: str
    """The file's name, such as `algebra.upat`."""
    line: int
    """The line where the statement starts."""
    assumes: tuple[str, ...]
    """What it takes for granted beyond IEEE arithmetic, such as `no_signed_zero`."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rules that run together."""

    functions: Mapping[Op, tuple[MatchFunction, ...]]
    """Match functions by the op of the node that they take, tried in order."""
    names: tuple[str, ...]
    """The name of each rule, by number."""


def merge(groups: tuple[Mapping[Op, MatchFunction], ...], names: tuple[str, ...]) -> Table:
    """The groups as one table, the first group's rules tried first."""
    merged: dict[Op, tuple[MatchFunction, ...]] = {}
    for group in groups:
        for op, function in group.items():
            merged[op] = (*merged.get(op, ()), function)
    return Table(merged, names)
