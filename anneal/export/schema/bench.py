"""The document of `anneal bench`."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

from anneal.export.schema.spread import Peaks, Spread

VERSION: Final = 1


class Compilation(TypedDict):
    """What it takes to compile an example's training step."""

    name: str
    doc: str
    uops: int
    rewrites: int
    kernels: int
    stages: dict[str, Spread]
    """Seconds: `graph`, in which the program is built with its gradients, then each stage of the compiler."""
    total: Spread


class Peer(TypedDict):
    """The same computation in PyTorch, measured in turns with this package's."""

    threads: int
    """One, or all that it has, whichever was faster."""
    seconds: Spread
    ratio: Spread
    """This package's time divided by PyTorch's, for each turn."""


class Sampled(TypedDict):
    """What it takes to run a computation."""

    name: str
    doc: str
    kernels: int
    seconds: Spread
    """From the call to the result, by the host's clock, many runs in a row with one wait."""
    device_seconds: Spread
    """Of the kernels alone, by the device's clock where it has one."""
    bytes: int
    """Bytes to read and to write, each element once."""
    flops: int
    bytes_per_second: Spread
    """Of the kernels alone, as the next."""
    flops_per_second: Spread
    peer: Peer | None


class Timing(Sampled):
    """The same, held against the peaks of the device."""

    bound: Literal["memory", "compute"]
    """What would take longer if the device were at its peak."""
    of_peak: float
    """The time that this would take, as part of the median of the kernels; more than 1 where reading, or a cache, is faster than copying memory."""


class Bench(TypedDict):
    """Measurements of this machine."""

    schema: Literal["anneal.bench"]
    version: int
    device: str
    backend: str
    quick: bool
    torch: str | None
    """PyTorch's version; None where nothing is compared."""
    torch_threads: int | None
    """As many as it has."""
    peaks: Peaks
    compilations: list[Compilation]
    timings: list[Timing]
    output: str | None
    """The picture that was written."""
