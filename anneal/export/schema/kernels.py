"""The documents of `anneal kernels`."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

from anneal.export.schema.graph import Part, Size
from anneal.export.schema.spread import Spread
from anneal.ir.uop import Phase

VERSION: Final = 1
DIFFERENCE_VERSION: Final = 1


class Value(TypedDict):
    """A value that a kernel reads or writes."""

    name: str
    """An input by its name in the model; what a kernel keeps for another by its kernel and op."""
    role: Literal["input", "output", "temporary"]
    dtype: str
    shape: list[Size]
    bytes: Size
    maker: str | None
    """The kernel that made it; None for what the program is given."""
    readers: list[str]
    """The kernels that read it."""


class Boundary(TypedDict):
    """Why a value is where it is."""

    value: str
    """Op, dtype and shape."""
    scope: Literal["inline", "group", "global"]
    """Computed where it is read; once a workgroup; or stored in a buffer."""
    reason: str
    name: str | None
    """The name of a stored value, as among `outputs`."""


class KernelRun(TypedDict):
    """What a kernel took on a device."""

    seconds: Spread
    share: float
    """Part of the whole run's time, from 0 to 1."""
    bytes_per_second: float
    flops_per_second: float
    of_copy_peak: float
    """Bytes a second as a part of what a copy reaches; more than 1 for what fits into a cache."""
    of_flops_peak: float


class Run(TypedDict):
    """How the kernels were timed."""

    device: str
    backend: str
    inputs: str
    """What they ran on, in words."""
    seconds: Spread
    """Of all kernels of a run together."""
    copy_bytes_per_second: float
    """The measured peak of the device."""
    multiply_add_flops_per_second: float


class _Kernel(TypedDict):
    name: str
    phases: list[Phase]
    ops: list[str]
    op_phases: list[Phase]
    """For each of `ops` its phase."""
    inputs: list[Value]
    outputs: list[Value]
    flops: Size
    bytes: Size
    intensity: float | None
    """Flops a byte."""
    workgroups: list[Size]
    workgroup_size: list[int]
    boundaries: list[Boundary]
    wgsl: str


class Kernel(_Kernel, total=False):
    """A kernel of a plan, in the order of dispatch."""

    run: KernelRun
    """With --run."""


class _Kernels(TypedDict):
    schema: Literal["anneal.kernels"]
    version: int
    model: str
    part: Part
    target: dict[str, int | bool]
    fingerprint: str
    stats: dict[str, Any]
    kernels: list[Kernel]


class Kernels(_Kernels, total=False):
    """The kernels of a program."""

    run: Run
    """With --run."""


class Side(TypedDict):
    """One side of a comparison, and its kernels together."""

    model: str
    part: Part
    batch: int | None
    """Rows a batch, where they were chosen."""
    target: dict[str, int | bool]
    fingerprint: str
    uops: int
    kernels: int
    kernels_fused: int
    flops: int
    bytes: int
    buffer_bytes: int


What = Literal["phases", "ops", "inputs", "outputs", "materialised", "flops", "bytes", "workgroups", "workgroup_size", "wgsl"]


class Change(TypedDict):
    """What differs between two kernels."""

    what: What
    a: Any
    """What a has; of ops, inputs, outputs and materialised, what only a has. `materialised` are stored values with the reason."""
    b: Any


class Pair(TypedDict):
    """A kernel of one side with that of the other which does the same work."""

    a: str | None
    """None where only b has it."""
    b: str | None
    phases: list[Phase]
    changes: list[Change]
    """Empty for kernels that are the same."""


class Difference(TypedDict):
    """Two programs compared, with --diff."""

    schema: Literal["anneal.kernels.difference"]
    version: int
    a: Side
    b: Side
    pairs: list[Pair]
