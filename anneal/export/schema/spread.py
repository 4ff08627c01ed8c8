"""A measured quantity in a document: never a number alone."""

from __future__ import annotations

from typing import TypedDict


class Spread(TypedDict):
    """Samples of a quantity: `anneal.runtime.measure.Spread` as JSON."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    least: float
    most: float
    count: int
