"""Values as JSON can hold them.

>>> plain({"loss": float("nan"), "axes": (0, 1)})
{'loss': 'NaN', 'axes': [0, 1]}
"""

from __future__ import annotations

import math
from typing import Any


def plain(value: Any) -> Any:
    """The same in dicts, lists and numbers that JSON has; those that it does not have become "NaN", "Infinity" and "-Infinity"."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
