"""The document of `anneal train`."""

from __future__ import annotations

from typing import TypedDict


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
