"""The lines of the log that `anneal train --log` writes: a `Header`, then a `Step` for each step; a resumed training adds a `Header` of its own."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

VERSION: Final = 1


class Header(TypedDict):
    """What is trained, where and how."""

    schema: Literal["anneal.log"]
    version: int
    model: str
    device: str
    backend: str
    """The device in words."""
    batch: int
    optimizer: str
    seed: int
    steps: int
    """The step at which the training was to end."""
    start: int
    """Steps made before; more than 0 when it is resumed."""
    rows: int
    """Rows to learn from."""
    held: int
    """Rows held out to judge by."""
    parameters: int
    """Numbers that are learned."""
    uops: int
    kernels: int
    phases: dict[str, int]
    """How many kernels compute which phases together."""
    bytes: int
    """Bytes of all buffers of a step."""
    fingerprint: str


class Step(TypedDict):
    """A step."""

    step: int
    loss: float | str
    """A number, or "NaN", "Infinity", "-Infinity"; so for `accuracy`."""
    seconds: float
    """Time of the step: that of its window, shared equally."""
    host_seconds: float
    """The part in which Python prepared and submitted it."""
    device_seconds: float | None
    """The time of its kernels by the device's clock, where it was taken."""
    accuracy: float | str | None
    """The score over the held-out rows after this step, where it was taken."""
