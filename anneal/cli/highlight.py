"""WGSL in colour, in the terminal's own sixteen colours, so it is read on dark and on light ground.

>>> import sys
>>> wgsl("let x = 1;", Style(sys.stdout, plain=True))
'let x = 1;'
"""

from __future__ import annotations

from anneal.cli.output import Style


def wgsl(source: str, style: Style) -> str:
    """The same source, in colour where the style has colour and Pygments is installed."""
    if not style.colour:
        return source
    try:
        from pygments import highlight  # type: ignore[import-untyped]  # its stubs are a package of their own
        from pygments.formatters import TerminalFormatter  # type: ignore[import-untyped]
        from pygments.lexers import WgslLexer  # type: ignore[import-untyped]
    except ImportError:
        return source
    return str(highlight(source, WgslLexer(stripnl=False, ensurenl=False), TerminalFormatter()))
