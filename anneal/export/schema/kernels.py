"""The document of `anneal kernels`."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

from anneal.export.schema.graph import Size

VERSION: Final = 1


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
