"""The document of `anneal run`."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

VERSION: Final = 1


class Output(TypedDict):
    """Values of a tensor."""

    dtype: str
    shape: list[int]
    values: Any
    """Nested lists; NaN and infinities as text."""


class Run(TypedDict):
    """What `anneal run` reports."""

    schema: Literal["anneal.run"]
    version: int
    model: str
    device: str
    backend: str
    outputs: list[Output]


class Judged(Run, total=False):
    """What it reports of an example, which has held-out rows."""

    labels: list[Any]
    predictions: list[int]
    """The place of the largest output of each row, where outputs are scores of classes."""
    accuracy: float | str
