"""The document of `anneal graph`, which the browser reads too."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

VERSION: Final = 1
Size = int | str


class Origin(TypedDict):
    """A line of the user's program."""

    file: str
    line: int


class Node(TypedDict):
    """A node of a tensor graph."""

    id: int
    """Its position: operands come before users."""
    op: str
    dtype: str
    shape: list[Size]
    src: list[int]
    """Its operands."""
    arg: Any
    """What else the op needs: numbers, text, lists of them, names of ops; None for most."""
    phase: Literal["forward", "backward", "update"]
    rule: str | None
    """The gradient rule that made it."""
    origin: Origin | None
    """The user's line that built it."""
    name: str | None
    """The name of an input."""


class Graph(TypedDict):
    """A tensor graph: what a program computes, before the compiler changes it."""

    schema: Literal["anneal.graph"]
    version: int
    model: str
    part: Literal["forward", "backward", "step"]
    nodes: list[Node]
    outputs: list[int]
