"""What commands print: JSON on stdout, text with or without colour, messages on stderr.

Colour never carries meaning alone: each phase has a symbol and a word.

>>> Style(sys.stdout, plain=True).phases(("forward", "backward"))
'# forward+backward'
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from anneal.errors import meant
from anneal.export.plain import plain
from anneal.view.phases import COLOURS, kind_of, symbol

_NARROW: Final = 20
_CODE: Final = r"\x1b\[[\d;]*m"
_PART: Final = re.compile(rf"{_CODE}|\S")


class Style:
    """How to write for a stream: in colour where it is a terminal that wants it, in ASCII where plain text is asked for."""

    def __init__(self, stream: TextIO, *, plain: bool) -> None:
        self.plain = plain
        wanted = not plain and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.colour = wanted and stream.isatty()

    def text(self, text: str) -> str:
        """The text as it is."""
        return text

    def paint(self, text: str, kind: str) -> str:
        """The text in the colour of a phase, or of what is fused."""
        red, green, blue = bytes.fromhex(COLOURS[kind][1:])
        return f"\x1b[38;2;{red};{green};{blue}m{text}\x1b[0m" if self.colour else text

    def dim(self, text: str) -> str:
        """The text in the background."""
        return f"\x1b[2m{text}\x1b[0m" if self.colour else text

    def bold(self, text: str) -> str:
        """The text in the foreground."""
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    def phases(self, phases: Sequence[str]) -> str:
        """Phases with their symbol and colour; several are fused."""
        kind = kind_of(tuple(phases))
        return self.paint(f"{symbol(kind, ascii_only=self.plain)} {'+'.join(phases)}", kind)


def emit(document: Any) -> None:
    """Print a document as JSON; numbers that JSON does not have become "NaN", "Infinity" and "-Infinity"."""
    print(json.dumps(plain(document), indent=2))


def note(text: str) -> None:
    """A message to the user, on stderr; nobody listening is no failure."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process


def show(value: Any, edge: int = 3, most: int = 8) -> str:
    """Nested lists of numbers for a reader, long axes cut in the middle.

    >>> show([[1.0, 2.5], [3.0, 4.0]])
    '[[1.0, 2.5], [3.0, 4.0]]'
    >>> show(list(range(9)))
    '[0, 1, 2, ..., 6, 7, 8]'
    """
    if isinstance(value, list):
        cut = len(value) > most
        shown = [show(v, edge, most) for v in (value[:edge] + value[-edge:] if cut else value)]
        return "[" + ", ".join([*shown[:edge], "...", *shown[edge:]] if cut else shown) + "]"
    return repr(float(f"{value:.6g}")) if isinstance(value, float) else str(value)


def columns() -> int | None:
    """The columns of the terminal; None where output goes elsewhere and lines may have any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(line: str, width: int | None) -> list[str]:
    """A line, painted or not, in as many as it takes to fit a width of 20 or more, those after the first indented two more.

    >>> wrapped("problem: a line that is long", 20)
    ['problem: a line that', '  is long']
    """
    bare, width = re.sub(_CODE, "", line), sys.maxsize if width is None else max(width, _NARROW)
    if len(bare) <= width:
        return [line]
    indent = bare[: len(bare) - len(bare.lstrip())] + "  "
    made = textwrap.wrap(bare, width, subsequent_indent=indent, break_on_hyphens=False)
    return made if bare == line else _painted(made, line)


def _painted(bare: Sequence[str], line: str) -> list[str]:
    """Lines that a painted line was broken into, in its colours: the same letters in the same order, but for spaces."""
    codes: dict[int, str] = defaultdict(str)
    letters = 0
    for part in _PART.findall(line):
        if part.startswith("\x1b"):
            codes[letters] += part
        else:
            letters += 1
    at = itertools.count()
    made = ["".join(c if c.isspace() else codes[next(at)] + c for c in text) for text in bare]
    return [*made[:-1], made[-1] + codes[letters]]


def digits(number: float) -> str:
    """A number with three digits or all that it has before the point, its thousands apart; never with an exponent.

    >>> digits(61970.4), digits(4.17e3), digits(9.9996), digits(0.000012), digits(0)
    ('61,970', '4,170', '10.0', '0.0000120', '0')
    """
    if not number or not math.isfinite(number):
        return f"{number:.0f}"
    exponent = int(f"{number:.2e}".partition("e")[2])
    return f"{number:,.{max(2 - exponent, 0)}f}"


def duration(seconds: float, *, plain: bool = False) -> str:
    """Seconds for a reader, in the unit that fits.

    >>> duration(0.00123), duration(2.5), duration(4.2e-5, plain=True), duration(0)
    ('1.23 ms', '2.50 s', '42.0 us', '0 s')
    """
    rounded = float(f"{seconds:.3g}")
    units = {"s": 1.0, "ms": 1e-3, "us" if plain else "µs": 1e-6}
    unit = next((unit for unit, one in units.items() if rounded >= one or not rounded), [*units][-1])
    return f"{digits(seconds / units[unit])} {unit}"


def nearest(name: str, names: Collection[str]) -> str:
    """A hint at the name that was meant, and the list of all.

    >>> nearest("mpl", ["mlp", "conv"]), nearest("x", ["mlp"])
    ("did you mean 'mlp'? There are conv, mlp", 'there is only mlp')
    """
    listed = f"are {', '.join(sorted(names))}" if len(names) > 1 else f"is only {next(iter(names))}" if names else "is none"
    question = meant(name, names)
    return f"{question} There {listed}" if question else f"there {listed}"
