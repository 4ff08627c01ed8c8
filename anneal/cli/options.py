"""What the verbs' parsers share: the parser that teaches, the types of numbers, the options that several verbs have.

>>> parser = Parser(prog="anneal demo")
>>> _ = parser.add_argument("--steps", type=count)
>>> parser.parse_args(["--steps", "3"]).steps
3
"""

from __future__ import annotations

import argparse
import math
from typing import Final, NoReturn

from anneal.errors import UsageError

VALUED: Final = frozenset(
    {
        "--batch", "--device", "--diff", "--find", "--let", "--load", "--log", "--lr", "--node",
        "--only", "--optimizer", "--output", "--resume", "--save", "--seed", "--stage", "--steps", "--svg",
    }
)  # fmt: skip
"""Every option that takes a value, so that a verb can be told from a value before it is known which verb it is."""
DEVICES: Final = ("webgpu", "reference")
_SEEDS: Final = 1 << 63


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are UsageErrors; options are never abbreviated."""

    def __init__(self, *, prog: str, description: str = "", example: str = "") -> None:
        """`example` ends the help."""
        epilog = f"example:\n  {example}" if example else None
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)

    def format_help(self) -> str:
        """The help, with a usage of one line, for the options are listed below it: each verb's help fits a screen of 80 by 24."""
        words = [str(action.metavar or action.dest) + ("..." if action.nargs == "+" else "") for action in self._actions if not action.option_strings]
        self.usage = " ".join([self.prog, *words, "[options]"])
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message}; see {self.prog} --help")


def count(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return number


def seed(text: str) -> int:
    """A whole number from 0 on, of 63 bits."""
    number = int(text)
    if not 0 <= number < _SEEDS:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to 2**63 - 1")
    return number


def rate(text: str) -> float:
    """A finite number, not negative."""
    number = float(text)
    if not (number >= 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number from 0 on")
    return number


def add_output(parser: Parser) -> None:
    """The options that every verb has."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else there")
    parser.add_argument("--plain", action="store_true", help="no colours, ASCII symbols")


def add_model(parser: Parser) -> None:
    """The model."""
    parser.add_argument("model", metavar="MODEL", help="mlp, conv, or path/to/file.py:function of your own")


def add_device(parser: Parser, what: str) -> None:
    """The device, with what it is for."""
    parser.add_argument("--device", choices=DEVICES, metavar="NAME", help=f"{' or '.join(DEVICES)}: {what}")


def add_part(parser: Parser) -> None:
    """Which part of a model's program to show, and of what size."""
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--backward", dest="part", action="store_const", const="backward", default="forward", help="loss and gradients")
    part.add_argument("--step", dest="part", action="store_const", const="step", help="the whole training step, as train runs it")
    parser.add_argument("--batch", type=count, metavar="N", help="rows a batch (default: the model's)")
