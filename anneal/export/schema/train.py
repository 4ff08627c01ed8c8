"""The document of `anneal train`."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

VERSION: Final = 1


class Training(TypedDict):
    """What `anneal train` reports."""

    schema: Literal["anneal.train"]
    version: int
    model: str
    device: str
    backend: str
    """The device in words."""
    steps: int
    """Steps done, those before a resumption too."""
    resumed_from: int
    batch: int
    optimizer: str
    seed: int
    parameters: int
    """Numbers that are learned."""
    loss_first: float
    """Of the first step of this process."""
    loss_last: float
    accuracy: float | str
    """The score over the held-out rows at the end; "NaN" where it is no number."""
    accuracies: list[list[float | str]]
    """Step and score, for each time that the held-out rows were scored."""
    step_ms_median: float
    host_ms_median: float
    """Of a step, the part in which Python prepared and submitted it."""
    device_ms_median: float | None
    """The kernels of a step by the device's clock; None where no step was clocked."""
    samples_per_second: float
    first_step_ms: float
    compile_ms: float
    uops: int
    kernels: int
    kernels_fused: int
    """Kernels that compute more than one of forward, backward and update."""
    phases: dict[str, int]
    """How many kernels compute which phases together."""
    bytes: int
    """Bytes of all buffers of a step."""
    fingerprint: str
    interrupted: bool
    saved: str | None
    log: str | None
    """The log that was written."""
