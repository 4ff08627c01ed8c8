r"""Docstrings as the documentation shows them: plain text and examples become Markdown.

>>> markdown("Like x[i].\n\n>>> 1 + 1\n2")
'Like x\\[i].\n\n```pycon\n>>> 1 + 1\n2\n```'
"""

from __future__ import annotations

import ast
import re
from typing import Any, Final

import griffe

_PIECE: Final = re.compile(
    r"(?P<example>^>>> (?:.|\n(?!\n))*)"  # up to an empty line
    r"|(?P<code>`[^`]*`|^ {4}.*$)"
    r"|(?P<mark>[\[*_<])",
    re.MULTILINE,
)


def markdown(text: str) -> str:
    """A docstring as Markdown: a fence around each run of examples, and marks that Markdown would take for its own as they are."""
    return _PIECE.sub(_piece, text)


def _piece(found: re.Match[str]) -> str:
    if found["example"]:
        return f"```pycon\n{found[0].rstrip()}\n```"
    return found[0] if found["code"] else f"\\{found[0]}"


class Examples(griffe.Extension):
    """Turns every docstring that Griffe reads into Markdown."""

    def on_instance(self, *, node: ast.AST | griffe.ObjectNode, obj: griffe.Object, agent: griffe.Visitor | griffe.Inspector, **kwargs: Any) -> None:  # noqa: ARG002 - Griffe's signature
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
