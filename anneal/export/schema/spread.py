"""Measured quantities in documents: never a number alone."""

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


class Peaks(TypedDict):
    """The most that a device was seen to do."""

    copy_bytes_per_second: float
    """Bytes read and written."""
    flops_per_second: float
    """Multiplications and additions of float32."""
    copy: Spread
    multiply_add: Spread
