"""The document of `anneal graph`, which the browser reads too.

Nodes are referred to by number: `nodes` has those of the stage, `past` goes on counting with those that they were made from and that are gone by
then. Whoever follows `made` from a node, step after step, comes to a node of the user's program, whose `made` is None.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

from anneal.ir.uop import Phase

VERSION: Final = 2
Size = int | str
Number = int | float | str | bool
Part = Literal["forward", "backward", "step"]
"""What of a model's program: its outputs, its loss with the gradients, or the whole training step."""


class Origin(TypedDict):
    """A line of the user's program."""

    file: str
    line: int


class Made(TypedDict):
    """How a node came to be."""

    stage: str
    """The stage that did it; `backward` for a gradient rule."""
    by: str
    """The rule, or the stage's own word where no rule did it."""
    rule: bool
    """True where a rule did it."""
    source: int
    """The node that was there before; of a gradient rule, the node that is differentiated."""
    result: int
    """What took its place: the node itself, or one that holds it."""


class Node(TypedDict):
    """A node of a graph."""

    id: int
    """Its number. Operands come before users."""
    op: str
    dtype: str
    shape: list[Size]
    src: list[int]
    """Its operands."""
    arg: Any
    """What else the op needs: numbers, text, lists of them, names of ops; None for most."""
    phase: Phase
    rule: str | None
    """The gradient rule that made it, or what it was made from."""
    origin: Origin | None
    """The user's line that built it."""
    name: str | None
    """What the user calls it: an input, a parameter, a variable, the result of a module."""
    module: str | None
    """The module of the user's that it belongs to."""
    bounds: list[Number] | None
    """For integers and bools, the least and the largest value, where they are known."""
    made: Made | None
    """How it came to be; None for a node of the user's program, for a leaf, and for what the compiler makes of nothing."""


class Rewrite(TypedDict):
    """A rule that fired."""

    rule: str
    before: int
    after: int


class Kernel(TypedDict):
    """A kernel, after the stage `kernels` or `lowered`."""

    name: str
    phases: list[str]
    roots: list[int]
    """Its stores; after `lowered`, its instructions in order."""


class Graph(TypedDict):
    """A program after a stage of the compiler."""

    schema: Literal["anneal.graph"]
    version: int
    model: str
    part: Part
    stage: str
    ensures: str
    """What holds after the stage."""
    nodes: list[Node]
    past: list[Node]
    outputs: list[int]
    """The outputs of the program; none where there are kernels."""
    kernels: list[Kernel]
    modules: dict[str, str]
    """The class of each of the user's modules, by path."""
    rewrites: list[Rewrite]
    """What rules did in the stage, in order."""
    selected: list[int] | None
    """The nodes that were searched for; None where none were."""
