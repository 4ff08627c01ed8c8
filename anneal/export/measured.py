"""Measurements as documents have them.

>>> spread(Spread.of([1.0, 3.0]))["median"]
2.0
"""

from __future__ import annotations

from anneal.export.schema.spread import Peaks as PeaksData
from anneal.export.schema.spread import Spread as SpreadData
from anneal.runtime.measure import Peaks, Spread


def spread(found: Spread) -> SpreadData:
    """Samples of a quantity."""
    return {"median": found.median, "low": found.low, "high": found.high, "least": found.least, "most": found.most, "count": found.count}


def peaks(found: Peaks) -> PeaksData:
    """The most that a device was seen to do."""
    return {
        "copy_bytes_per_second": found.copy_bytes_per_second,
        "flops_per_second": found.flops_per_second,
        "copy": spread(found.copy),
        "multiply_add": spread(found.multiply_add),
    }
