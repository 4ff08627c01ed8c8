"""Lines of a graph in columns: what a node is, its op, its type, and remarks; made to fit a terminal where there is one.

>>> columns = Columns([("%1 = x*2", "mul", "float32(2)", "y"), ("%22 = x", "param", "float32(2)", "")], PLAIN)
>>> columns.line(("%1 = x*2", "mul", "float32(2)", "y"), "forward")
'— %1 = x*2  mul    float32(2)  y'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from anneal.view.phases import PLAIN, Painter, symbol

WIDE: Final = 72
"""Letters of the first column, where a line may need more."""
NARROW: Final = 100
"""Columns of a terminal from which on the op has a column too; what a node is tells it as well."""
_LEAST: Final = 24
Row = tuple[str, str, str, str]


class Columns:
    """How wide each column is."""

    def __init__(self, rows: Iterable[Row], painter: Painter = PLAIN, width: int | None = None) -> None:
        """For these rows; with `width`, for lines that have so many letters at most."""
        self._painter, self._width = painter, width
        rows = list(rows)
        self._wide = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
        self._wide[0] = min(self._wide[0], WIDE)
        if width is not None:
            self._wide[1] = 0 if width < NARROW else self._wide[1]
            self._wide[0] = max(min(self._wide[0], width - sum(self._wide[1:]) - 6), _LEAST)

    def line(self, row: Row, phase: str) -> str:
        """A row after the symbol of its phase, painted."""
        painter, (first, second, third) = self._painter, self._wide
        op = f"  {row[1]:<{second}}" if second else ""
        text = f"{row[0]:<{first}}{op}  {row[2]:<{third}}  {row[3]}".rstrip()
        if self._width is not None and len(text) > (room := max(self._width - 2, 1)):
            dots = "..." if painter.plain else "…"
            text = text[: max(room - len(dots), 0)] + dots[:room]
        head, tail = text[: len(row[0])], text[len(row[0]) :]
        return f"{painter.paint(symbol(phase, ascii_only=painter.plain), phase)} {painter.text(head)}{painter.dim(tail) if tail else ''}"
