"""The document of `anneal run`."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


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
