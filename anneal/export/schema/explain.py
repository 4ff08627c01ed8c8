"""The document of `anneal explain`."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

VERSION: Final = 1


class Meaning(TypedDict):
    """A name and what it stands for: an assumption, a Python function that a rule calls, an example."""

    name: str
    doc: str


class Rule(TypedDict):
    """A rule as it is written."""

    group: str
    name: str
    doc: str
    """Its comment."""
    text: str
    file: str
    line: int
    guard: str | None
    """The condition, as Python."""
    matches: list[str]
    """The ops that it may take the place of."""
    assumes: list[Meaning]
    """What it takes for granted beyond IEEE arithmetic."""
    calls: list[Meaning]
    """The functions that it calls."""
    fired: int | None
    """How often it fired when the examples were compiled; None where that was not counted."""


class Input(TypedDict):
    """What a free name stands for."""

    name: str
    dtype: str
    """An element type, or index for the compiler's own integers."""
    shape: list[int]
    low: int | None
    """The smallest value, where a range is known."""
    high: int | None
    assumed: bool
    """True where nobody said so."""


class Step(TypedDict):
    """A rule that fired."""

    rule: str
    group: str
    """The rule's group; empty for what a pass does without a written rule."""
    text: str
    doc: str
    before: str
    """The node it fired on; of a gradient rule, the node that is differentiated."""
    after: str
    """What took its place; of a gradient rule, what it gives an operand. `%7 = …` where later lines call it %7."""
    whole: str | None
    """All of the expression after the step, where that is more than `after` and short enough to read."""
    times: int
    """How often it did just this."""


class Pass(TypedDict):
    """What one stage did."""

    stage: str
    ensures: str
    nodes: int
    """Nodes after it."""
    rewrites: int
    milliseconds: float | None
    graph: list[str]
    """The program after it: parts that are read twice have a line of their own."""
    steps: list[Step]


class Boundary(TypedDict):
    """Why a value is where it is."""

    value: str
    scope: Literal["inline", "group", "global"]
    """Computed where it is read; once a workgroup; or stored in a buffer."""
    reason: str


class Kernel(TypedDict):
    """A kernel that came out."""

    name: str
    phases: list[str]
    body: list[str]
    """What it stores."""
    workgroups: list[int | str]
    workgroup_size: list[int]
    boundaries: list[Boundary]
    wgsl: str


class Trace(TypedDict):
    """An expression on its way through the compiler."""

    source: str
    inputs: list[Input]
    passes: list[Pass]
    result: list[str]
    """What it became: scalars simplified, tensors as each kernel's stores."""
    kernels: list[Kernel]


class Concern(TypedDict):
    """A rule that has to do with an op."""

    rule: Rule
    role: Literal["matches", "inside", "builds"]
    """The op is what it replaces, stands inside its pattern, or only in its result."""


class Operation(TypedDict):
    """An op."""

    name: str
    doc: str
    category: str
    arity: int
    """Number of operands; -1 when it varies."""
    symbol: str
    commutative: bool
    compares: bool
    domain: str
    concerns: list[Concern]
    gradient: Rule | None
    trace: Trace | None
    """The op on inputs, with its gradient where it has one; None for ops of kernels and programs."""
    seen: Meaning | None
    """For ops of kernels and programs: an example that has it, and the first place there; None where no example does."""
    method: str | None
    """A call of the Tensor method of that name, where there is one."""


class Shown(TypedDict):
    """A rule, and where it was seen to fire."""

    rule: Rule
    place: str
    """Where the trace comes from: an instance of the rule's pattern, or an example."""
    trace: Trace | None
    compiled: Trace | None
    """What all rules together make of the same instance, where that is more than this rule does."""


class GroupUse(TypedDict):
    """A group of rules in a stage."""

    name: str
    title: str
    rules: int
    fired: int


class Stage(TypedDict):
    """A stage of the compiler, and what it did to an example."""

    name: str
    ensures: str
    groups: list[GroupUse]
    """The groups that ran in it."""
    model: str
    nodes_before: int | None
    """None before the first stage."""
    nodes_after: int | None
    """None after the last stage, which leaves text."""
    rewrites: int
    milliseconds: float | None
    fired: dict[str, int]
    """How often each rule fired."""


class Group(TypedDict):
    """A group of rules."""

    name: str
    title: str
    rules: list[Rule]


class _Head(TypedDict):
    schema: Literal["anneal.explain"]
    version: int
    what: str


class Explanation(_Head, total=False):
    """What `anneal explain` says; a name of several kinds has a key for each."""

    op: Operation
    rule: Shown
    stage: Stage
    group: Group
    expression: Trace
    rules: list[Rule]
    """All rules."""
