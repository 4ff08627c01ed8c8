"""A rewrite in words: what stood there and what stands there now, as short listings that share their names.

Parts that both sides have are numbered, so that it can be seen what stays; what is deeper is `…`.

>>> from anneal.ir.build import variable
>>> x, y = variable("x", 0, 9), variable("y", 0, 9)
>>> part = x * y + 3
>>> sides(part * 2 + part * 2, (part + part) * 2)
(['%1 = x*y + 3', '%1*2 + %1*2'], ['(%1 + %1)*2'])
>>> sides(x * 1, x)
(['x*1'], ['x'])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anneal.ir.graph import toposort
from anneal.ir.uop import UOp
from anneal.view.expression import Writer
from anneal.view.history import LEAVES

LINES: Final = 12
"""Lines of a side at most."""
_PART: Final = 16
"""Operations and leaves of one line."""
_LONG: Final = 240
"""Characters of a line at most: names of a user's may be long."""


def sides(before: UOp, after: UOp, names: Mapping[UOp, str] | None = None) -> tuple[list[str], list[str]]:
    """The lines of a node and of what took its place; `names` are those of inputs and nodes that the reader knows."""
    given = {u: _cut(name, 40) for u, name in (names or {}).items() if u not in (before, after) or u.op in LEAVES}
    shared = _shared(before, after)
    numbered = {u: f"%{i}" for i, u in enumerate((u for u in shared if u not in given and u.op not in LEAVES), 1)}
    writer = Writer({**given, **numbered}, _PART)
    parts = [f"{name} = {writer.spelled(u)}" for u, name in numbered.items()]
    stood = [] if before in numbered else [writer.spelled(before)]  # a gradient may read the node that it is of: the last part
    return _fit([*parts, *stood]), _fit([writer.text(after) if after in numbered else writer.spelled(after)])


def _shared(before: UOp, after: UOp) -> list[UOp]:
    """The outermost parts that both sides have, in the order of the first side."""
    order = toposort(before)
    both = set(order) & set(toposort(after))
    outside = [u for u in (*order, *toposort(after)) if u not in both]
    found = {s for u in outside for s in u.src if s in both}.union(u for u in (before, after) if u in both)
    return [u for u in order if u in found]


def _fit(lines: list[str]) -> list[str]:
    """The last lines, if there are too many; each as long as a line may be."""
    kept = lines if len(lines) <= LINES else [f"… {len(lines) - LINES + 1} more parts", *lines[len(lines) - LINES + 1 :]]
    return [_cut(line, _LONG) for line in kept]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
