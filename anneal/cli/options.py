"""What the verbs' parsers share: the parser that teaches, the types of numbers, the options that several verbs have.

>>> parser = Parser(prog="anneal demo")
>>> _ = parser.add_argument("--steps", type=count)
>>> parser.parse_args(["--steps", "3"]).steps
3
"""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

from anneal.errors import UsageError, meant

VALUED: Final = frozenset(
    {
        "--batch", "--device", "--diff", "--dtype", "--file", "--find", "--host", "--let", "--load", "--log", "--lr", "--model", "--node", "--only",
        "--optimizer", "--output", "--port", "--resume", "--save", "--seed", "--site", "--stage", "--steps", "--svg", "--text",
    }
)  # fmt: skip
"""Every option that takes a value, so that a verb can be told from a value before it is known which verb it is."""
N = TypeVar("N", int, float)
DEVICES: Final = ("webgpu", "reference")
_SEEDS: Final = 1 << 63
_FORMS: Final[dict[object, str]] = {"*": "[{}...]", "+": "{}...", "?": "[{}]"}
"""How a usage shows words that may be many or none."""


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are UsageErrors; options are never abbreviated."""

    def __init__(self, *, prog: str, description: str = "", example: str = "") -> None:
        """`example` ends the help."""
        epilog = f"example:\n  {example}" if example else None
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)

    def format_help(self) -> str:
        """The help, with a usage of one line, for the options are listed below it: each verb's help fits a screen of 80 by 24."""
        words = [(str(action.metavar or action.dest), action.nargs) for action in self._actions if not action.option_strings]
        shown = [_FORMS.get(nargs, "{}").format(word) for word, nargs in words]
        self.usage = " ".join([self.prog, *shown, "[options]"])
        return super().format_help()

    def print_help(self, file: Any = None) -> None:
        """Print the help; a reader that is gone and a disk that is full are errors here as anywhere."""
        print(self.format_help(), end="", file=file, flush=True)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, with the option that may have been meant."""
        if message.startswith("unrecognized arguments: -"):
            word = message.split()[2].split("=", maxsplit=1)[0]
            question = meant(word, self._option_string_actions)
            message += f": {question}" if question else ": what begins with - and is no option goes after --"
        raise UsageError(f"{message}; see {self.prog} --help")


def count(text: str) -> int:
    """A whole number from 1 on."""
    return _number(text, int, lambda n: n >= 1, "a whole number from 1 on")


def seed(text: str) -> int:
    """A whole number from 0 on, of 63 bits."""
    return _number(text, int, lambda n: 0 <= n < _SEEDS, "a whole number from 0 to 2**63 - 1")


def rate(text: str) -> float:
    """A finite number, not negative."""
    return _number(text, float, lambda x: x >= 0 and math.isfinite(x), "a finite number from 0 on")


def _number(text: str, kind: Callable[[str], N], fits: Callable[[N], bool], what: str) -> N:
    """The number that a text is; raises ArgumentTypeError for one that does not fit."""
    with contextlib.suppress(ValueError):
        if fits(number := kind(text)):
            return number
    raise argparse.ArgumentTypeError(f"{text} is not {what}")


def add_output(parser: Parser) -> None:
    """The options that every verb has."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else there")
    parser.add_argument("--plain", action="store_true", help="no colours, ASCII symbols")


def add_model(parser: Parser, nargs: str | None = None, names: str = "mlp, conv") -> None:
    """The model; with `?` it may be left out."""
    parser.add_argument("model", metavar="MODEL", nargs=nargs, help=f"{names}, or path/to/file.py:function of your own")


def add_device(parser: Parser, what: str) -> None:
    """The device, with what it is for."""
    parser.add_argument("--device", choices=DEVICES, metavar="NAME", help=f"{' or '.join(DEVICES)}: {what}")


def add_part(parser: Parser) -> None:
    """Which part of a model's program to show, and of what size."""
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--backward", dest="part", action="store_const", const="backward", default="forward", help="loss and gradients")
    part.add_argument("--step", dest="part", action="store_const", const="step", help="the whole training step, as train runs it")
    parser.add_argument("--batch", type=count, metavar="N", help="rows a batch (default: the model's)")
