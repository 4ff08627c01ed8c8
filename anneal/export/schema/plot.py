"""The document of `anneal plot`."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

VERSION: Final = 1
Number = float | str
"""A number, or "NaN", "Infinity", "-Infinity"."""


class Series(TypedDict):
    """The steps of a training, in order."""

    steps: list[int]
    losses: list[Number]
    seconds: list[float]
    """Time of each step."""
    accuracies: list[list[Number]]
    """Step and score, for each time that the held-out rows were scored."""


class Summary(TypedDict):
    """A training in a few numbers; None where no step tells."""

    steps: int
    """The last step."""
    loss_first: Number | None
    loss_last: Number | None
    loss_least: Number | None
    accuracy: Number | None
    """The last score."""
    step_ms_median: float | None
    host_ms_median: float | None
    device_ms_median: float | None


class Run(TypedDict):
    """A log."""

    file: str
    model: str
    device: str
    backend: str
    batch: int
    optimizer: str
    seed: int
    cut: bool
    """The last line is half a line, which is left out."""
    series: Series
    summary: Summary


class Plot(TypedDict):
    """The curves of some trainings."""

    schema: Literal["anneal.plot"]
    version: int
    output: str | None
    """The picture that was written."""
    runs: list[Run]
