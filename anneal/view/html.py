"""A graph as a part of a page: the tree, in the colours of the phases, on light and dark pages.

>>> HtmlPainter().paint("a < b", "forward")
'<span style="color:#00ADD8;color:color-mix(in srgb,#00ADD8 55%,currentColor)">a &lt; b</span>'
"""

from __future__ import annotations

from html import escape
from typing import Final

from anneal.errors import number_of
from anneal.view import tree
from anneal.view.nodes import Nodes
from anneal.view.phases import COLOURS

MOST: Final = 400
"""Lines that are shown."""
OPEN: Final = 60
"""Lines of the longest graph that is not folded away."""
_STYLE: Final = "line-height:1.35;overflow-x:auto;font-size:0.85em"


def ink(kind: str) -> str:
    """The colour of a phase as CSS: mixed with the page's own colour of text, so that it can be read on white and on black."""
    colour = COLOURS[kind]
    return f"color:{colour};color:color-mix(in srgb,{colour} 55%,currentColor)"


class HtmlPainter:
    """Text as spans; escaped, so that nothing in a graph is markup."""

    plain = False

    def text(self, text: str) -> str:
        """As it is."""
        return escape(text)

    def paint(self, text: str, kind: str) -> str:
        """In the colour of a phase."""
        return f'<span style="{ink(kind)}">{escape(text)}</span>'

    def dim(self, text: str) -> str:
        """In the background."""
        return f'<span style="opacity:0.65">{escape(text)}</span>'

    def bold(self, text: str) -> str:
        """In the foreground."""
        return f"<b>{escape(text)}</b>" if text else ""


def page_part(nodes: Nodes) -> str:
    """The graph for a page or a notebook, folded away where it is long."""
    shown = tree.lines(nodes, HtmlPainter())
    left_out = len(shown) - MOST
    if left_out > 0:
        shown = [*shown[: MOST - 2], f"… {left_out} lines more: print(graph) shows them all", shown[-1]]
    opened = " open" if len(shown) <= OPEN else ""
    summary = escape(f"graph after {nodes.stage}: {number_of(len(nodes.order), 'node')}")
    return f'<details{opened}><summary>{summary}</summary><pre style="{_STYLE}">' + "\n".join(shown) + "</pre></details>"
