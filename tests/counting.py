"""How much work something is, in calls of functions: the same number on every machine, where a time is not."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls(run: Callable[[], object]) -> int:
    """Calls of functions, those of C too, while `run` runs."""
    count: Counter[str] = Counter()

    def profile(_frame: FrameType, event: str, _arg: Any) -> None:
        count[event] += 1

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count["call"] + count["c_call"]
