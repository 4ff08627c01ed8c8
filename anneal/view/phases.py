"""Phases as people see them: a colour, a symbol that says the same without colour, and a line style for drawings.

>>> PLAIN.paint(symbol("backward"), "backward"), symbol("update", ascii_only=True)
('╌', '^')
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

COLOURS: Final = {"forward": "#00ADD8", "backward": "#FF7A45", "update": "#8C8C8C", "fused": "#F2C57C"}
SYMBOLS: Final = {"forward": ("—", "-"), "backward": ("╌", "~"), "update": ("↻", "^"), "fused": ("▪", "#")}
"""For each phase, and for what fuses several, the symbol and its ASCII form."""
LINES: Final = {"forward": "solid", "backward": "dashed", "update": "dotted"}
ORDER: Final = ("forward", "backward", "update")
"""In the order in which a program has them."""


def symbol(kind: str, *, ascii_only: bool = False) -> str:
    """The symbol of a phase, or of what is fused."""
    return SYMBOLS[kind][ascii_only]


def kind_of(phases: Sequence[str]) -> str:
    """What phases are shown as together: themselves where there is one, else fused."""
    return phases[0] if len(phases) == 1 else "fused"


def marked(phases: Sequence[str], *, ascii_only: bool = False) -> str:
    """Phases with their symbol.

    >>> marked(("backward", "update"))
    '▪ backward+update'
    """
    return f"{symbol(kind_of(phases), ascii_only=ascii_only)} {'+'.join(phases)}"


class Painter(Protocol):
    """How text is written for someone: in a terminal, on a page, or as it is."""

    @property
    def plain(self) -> bool:
        """True for ASCII symbols."""

    def text(self, text: str) -> str:
        """Text as it is."""

    def paint(self, text: str, kind: str) -> str:
        """Text in the colour of a phase, or of what is fused."""

    def dim(self, text: str) -> str:
        """Text in the background."""

    def bold(self, text: str) -> str:
        """Text in the foreground."""


class Unpainted:
    """Text as it is, with or without the symbols that ASCII lacks."""

    def __init__(self, *, plain: bool = False) -> None:
        self.plain = plain
        """True for ASCII symbols."""

    def text(self, text: str) -> str:
        """The text."""
        return text

    def paint(self, text: str, kind: str) -> str:  # noqa: ARG002 - the kind is the other painters'
        """The text."""
        return text

    dim = bold = text


PLAIN: Final = Unpainted()
