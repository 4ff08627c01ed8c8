"""Which temporary values share a buffer.

A temporary lives from the kernel that stores it to the last that loads it. Buffers are handed out in order of execution: the smallest free one that fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Life(NamedTuple):
    """A temporary value."""

    first: int
    """The kernel that stores it."""
    last: int
    """The last kernel that reads it."""
    bytes: int


def share(lives: Mapping[int, Life]) -> tuple[dict[int, int], list[int]]:
    """For each value the number of its buffer, and the bytes of each buffer.

    >>> share({0: Life(0, 1, 8), 1: Life(1, 2, 8), 2: Life(2, 3, 4)})
    ({0: 0, 1: 1, 2: 0}, [8, 8])
    """
    place: dict[int, int] = {}
    sizes: list[int] = []
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    for value, life in sorted(lives.items(), key=lambda item: (item[1].first, item[0])):
        free += [b for last, b in busy if last < life.first]
        busy = [(last, b) for last, b in busy if last >= life.first]
        fitting: Sequence[int] = sorted((b for b in free if sizes[b] >= life.bytes), key=lambda b: (sizes[b], b))
        if fitting:
            chosen = fitting[0]
        elif free:
            chosen = max(free, key=lambda b: (sizes[b], -b))
            sizes[chosen] = life.bytes
        else:
            chosen = len(sizes)
            sizes.append(life.bytes)
        if chosen in free:
            free.remove(chosen)
        busy.append((life.last, chosen))
        place[value] = chosen
    return place, sizes
