"""What the page asks and what it is told, as JSON.

A request is `{"kind": ..., "params": {...}}`, an answer `{"ok": true, "value": {...}}` or `{"ok": false, "error": Failure}`. Lines and columns
count from 1, columns in characters. Everything that comes from a program, names above all, is text that may hold anything.

>>> whole({"id": 3}, "id"), text({}, "stage", "tensor")
(3, 'tensor')
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, TypeGuard

from anneal.errors import UsageError
from anneal.export.schema.graph import Part, Size
from anneal.export.schema.kernels import Kernel

Params = Mapping[str, Any]
Row = list[Any]
"""A node: `[id, op, dtype, shape | None, src ids, label, phase 0 | 1 | 2, flags, line | 0, module | None, name | None]`.

Phases are forward, backward, update. Flags: 1 for a constant or another leaf that its reader may show; 2 for index arithmetic and for a reshape,
expand or detach, which the picture may pass through; 4 for an output of the program or a store. What is a root of the graph shown is not to be folded.
"""


class Frame(TypedDict):
    """A call in the user's program that was under way when it failed."""

    file: str
    """`program.py`, or a module beside it."""
    line: int
    column: int | None
    end_column: int | None
    name: str
    """The function, or `<module>`."""
    text: str
    """The line."""


class Failure(TypedDict):
    """Why a request has no answer."""

    kind: str
    """The class of the error, such as SyntaxError or ShapeError; `NoValue` for a program that ends in nothing to show."""
    message: str
    line: int | None
    """Where in the user's program, as far as is known."""
    column: int | None
    end_column: int | None
    printed: str
    """What the program printed before."""
    hint: str | None
    """What to try."""
    frames: list[Frame]
    """The user's own part of the traceback, the outermost call first."""


class ExampleDoc(TypedDict):
    """A program for the editor to begin with."""

    name: str
    title: str
    doc: str
    source: str
    part: Part | None
    """What of it is worth looking at first; None for its natural part."""


class RuleDoc(TypedDict):
    """A rewrite rule as it is written."""

    group: str
    text: str
    doc: str
    file: str
    line: int
    assumes: list[str]


class DeviceDoc(TypedDict):
    """What there is to run on."""

    available: bool
    description: str
    message: str
    """Why there is none; empty where there is one."""
    remedy: str
    """What to do about that."""
    features: list[str]


class Info(TypedDict):
    """What the page needs to know once."""

    version: str
    python: str
    source_hash: str
    examples: list[ExampleDoc]
    rules: dict[str, RuleDoc]
    ops: dict[str, str]
    device: DeviceDoc


class Value(TypedDict):
    """An input or output of a program."""

    name: str
    dtype: str
    shape: list[Size]


class Opened(TypedDict):
    """A program that has been run and built."""

    name: str
    part: Part
    parts: list[Part]
    """What could be shown of it."""
    printed: str
    value: str
    """What is shown, in words."""
    note: str | None
    """What a reader should know besides: another part than asked for, a program shown as it ran by itself."""
    outputs: list[Value]
    inputs: list[Value]
    seconds: float
    """What running and building took."""


class StageDoc(TypedDict):
    """A stage of the compilation."""

    name: str
    ensures: str
    nodes: int
    graphs: int
    milliseconds: float
    rewrites: int
    changed: bool
    fired: dict[str, int]
    """How often each rule fired, the busiest first."""


class KernelDoc(Kernel):
    """A kernel of the plan, in the order of dispatch."""

    number: int
    """From 0."""


class Compiled(TypedDict):
    """A compilation."""

    fingerprint: str
    stages: list[StageDoc]
    kernels: list[KernelDoc]
    stats: dict[str, Any]
    target: dict[str, int | bool]


class GraphPart(TypedDict):
    """One graph of a stage: the whole program, or a kernel."""

    kernel: int | None
    name: str
    phases: list[str]
    roots: list[int]
    """Outputs; a kernel's stores; of instructions those that no other reads."""
    nodes: list[int]
    """Operands first; of instructions, in order."""


class Graph(TypedDict):
    """The program after a stage."""

    stage: str
    ensures: str
    graphs: list[GraphPart]
    rows: list[Row]
    """Those nodes that were not told of before."""
    modules: dict[str, str]
    """The class of each module, by path."""


class MadeBy(TypedDict):
    """A step that led to a node, the oldest first."""

    stage: str
    by: str
    ruled: bool
    """True where a rule did it; `by` is then its name."""
    doc: str
    before: str
    """As expressions."""
    after: str
    ids: list[int]
    """The nodes before and after."""


class NodeDoc(TypedDict):
    """Everything that is known of a node."""

    id: int
    title: str
    op: str
    doc: str
    dtype: str
    shape: list[Size]
    arg: str | None
    bounds: list[Any] | None
    phase: str
    line: int
    source: str
    module: str | None
    name: str | None
    path: str | None
    """Names the node in this stage; None where it is not in it."""
    reads: list[int]
    readers: list[int]
    made: list[MadeBy]
    kernels: list[int]
    """The kernels that it ended in, from 0."""
    lines: list[list[int]]
    """`[kernel, line of its WGSL]` for each that says something of it."""
    became: list[int]
    """The nodes of the stage that it became, or came from."""
    text: list[str]
    """The same as lines of text; empty where the node is not in the stage."""
    rows: list[Row]
    """Of nodes told of here and never before."""


class Ids(TypedDict):
    """Some nodes."""

    ids: list[int]
    rows: list[Row]


class Id(TypedDict):
    """A node, or none."""

    id: int | None


class Export(TypedDict):
    """A file to save."""

    name: str
    type: str
    """Its media type."""
    text: str


class Answer(TypedDict):
    """A request that was answered."""

    ok: bool
    value: NotRequired[Any]
    error: NotRequired[Failure]


def text(params: Params, key: str, default: str | None = None) -> str:
    """A parameter that is to be text; raises UsageError for anything else."""
    value = params.get(key, default)
    if not isinstance(value, str):
        raise UsageError(f"{key} is to be text, not {type(value).__name__}")
    return value


def is_whole(value: object, least: float = -math.inf, most: float = math.inf) -> TypeGuard[int]:
    """True for a whole number within bounds; a truth is none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def whole(params: Params, key: str, default: int | None = None) -> int:
    """A parameter that is to be a whole number; raises UsageError for anything else."""
    value = params.get(key, default)
    if not is_whole(value):
        raise UsageError(f"{key} is to be a whole number, not {type(value).__name__}")
    return value
