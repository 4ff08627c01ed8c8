"""The documents that commands print with `--json`, and the browser reads.

Each has a version, which changes when a reader of the old form would be misled; new keys may come at any time. Sizes are numbers, or
expressions in symbols as text.

>>> check({"value": "add float32(2,)", "scope": "inline", "reason": "", "more": 1}, Boundary)
>>> check({"value": 1, "scope": "inline", "reason": ""}, Boundary)
Traceback (most recent call last):
    ...
anneal.errors.ParseError: value: expected str, found 1
"""

from __future__ import annotations

import types
from typing import Any, Final, Literal, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

from anneal.errors import ParseError

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


class Value(TypedDict):
    """A buffer that a kernel reads or writes."""

    name: str
    role: Literal["input", "output", "temporary"]
    dtype: str
    shape: list[Size]
    bytes: Size


class Boundary(TypedDict):
    """Why a value is where it is."""

    value: str
    scope: Literal["inline", "group", "global"]
    reason: str


class Kernel(TypedDict):
    """A kernel of a plan, in the order of dispatch."""

    name: str
    phases: list[str]
    ops: list[str]
    inputs: list[Value]
    outputs: list[Value]
    flops: Size
    bytes: Size
    workgroups: list[Size]
    workgroup_size: list[int]
    boundaries: list[Boundary]
    wgsl: str


class Kernels(TypedDict):
    """The kernels of a program."""

    schema: Literal["anneal.kernels"]
    version: int
    model: str
    part: Literal["forward", "backward", "step"]
    target: dict[str, int | bool]
    fingerprint: str
    stats: dict[str, Any]
    kernels: list[Kernel]


class Training(TypedDict):
    """What `anneal train` reports."""

    model: str
    device: str
    backend: str
    steps: int
    resumed_from: int
    batch: int
    optimizer: str
    seed: int
    loss_first: float
    loss_last: float
    accuracy: float
    step_ms_median: float
    first_step_ms: float
    compile_ms: float
    uops: int
    kernels: int
    kernels_fused: int
    fingerprint: str
    interrupted: bool
    saved: str | None


class Output(TypedDict):
    """Values of a tensor."""

    dtype: str
    shape: list[int]
    values: Any
    """Nested lists; NaN and infinities as text."""


class Run(TypedDict):
    """What `anneal run` reports."""

    model: str
    device: str
    backend: str
    outputs: list[Output]
    labels: NotRequired[list[Any]]
    predictions: NotRequired[list[int]]
    accuracy: NotRequired[float | str]


def check(document: Any, schema: Any, place: str = "") -> None:
    """Raise ParseError, saying where, unless a document has the form that a TypedDict or another annotation describes."""
    stack: list[tuple[Any, Any, str]] = [(document, schema, place)]
    while stack:
        value, kind, where = stack.pop()
        if is_typeddict(kind):
            hints = get_type_hints(kind)
            if not isinstance(value, dict) or (missing := sorted(kind.__required_keys__ - value.keys())):
                lack = f"lacks {', '.join(missing)}" if isinstance(value, dict) else f"is {value!r}"
                raise ParseError(f"{where or 'the document'} {lack}: expected {kind.__name__}")
            stack.extend((v, hints[k], f"{where}.{k}".lstrip(".")) for k, v in value.items() if k in hints)
        elif get_origin(kind) is list and isinstance(value, list):
            stack.extend((v, get_args(kind)[0], f"{where}[{i}]") for i, v in enumerate(value))
        elif not _is(value, kind):
            raise ParseError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {value!r}")


def _is(value: Any, kind: Any) -> bool:
    """True where a value is of a kind that is no TypedDict and no list of them."""
    origin = get_origin(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in get_args(kind)
    if origin in (types.UnionType, Union):
        return any(_is(value, k) or (is_typeddict(k) and isinstance(value, dict)) for k in get_args(kind))
    if origin is dict:
        return isinstance(value, dict) and all(_is(v, get_args(kind)[1]) for v in value.values())
    if origin is not None or is_typeddict(kind):
        return False
    return isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
