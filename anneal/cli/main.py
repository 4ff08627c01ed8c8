"""The command `anneal`: finds the verb, runs it, turns errors into messages and exit codes.

Exit codes: 0 done, 1 failed at run time, 2 wrong usage, 3 no usable device. A verb is imported when it is called for, so help is quick.

>>> split(["--json", "train", "mlp"])
('train', ['--json', 'mlp'])
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Final, TextIO

from anneal.cli.options import VALUED, Parser, add_output
from anneal.cli.output import nearest, note
from anneal.errors import AnnealError, CheckpointError, NoDeviceError, UsageError
from anneal.runtime.device import VARIABLE

VERBS: Final = {
    "train": "train a model and say how well it does on held-out data",
    "plot": "draw the curves of trainings",
    "run": "compute a model's outputs",
    "graph": "show the graph of a model's program",
    "kernels": "show the kernels that a program becomes, and why",
    "explain": "explain an op, a rule, a stage or an expression, with a real trace",
    "viz": "open the compiler in a browser, on a model: see, run and train it there",
    "doctor": "check this system and its devices",
    "bench": "measure compiling and running, against this device's peaks",
}
"""The verbs, each a module of this package with `options(parser)`, `run(arguments)` and `EXAMPLE`."""
DONE, FAILED, WRONG, NO_DEVICE = 0, 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default the process's own; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    code = _reported(lambda: _command(list(sys.argv[1:] if argv is None else argv)))
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would complain of it at its end
        code = code or _failed(error)
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # or Python would end with 120
    return code


def _reported(work: Callable[[], int]) -> int:
    """The exit code of some work; what it raises is told on stderr."""
    try:
        return work()
    except AnnealError as error:
        note(f"anneal: error: {_line(str(error))}")
        return exit_code(error)
    except OSError as error:
        return _failed(error)
    except KeyboardInterrupt:
        note("anneal: interrupted")
        return FAILED


def _failed(error: OSError) -> int:
    """The exit code where the system refuses something; a reader that has had enough is no failure."""
    if isinstance(error, BrokenPipeError):
        return DONE
    note(f"anneal: error: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
    return FAILED


def exit_code(error: AnnealError) -> int:
    """The exit code that tells of an error."""
    if isinstance(error, NoDeviceError):
        return NO_DEVICE
    return WRONG if isinstance(error, UsageError | CheckpointError) else FAILED


def _line(message: str) -> str:
    return " ".join(message.split())


def _command(argv: list[str]) -> int:
    verb, rest = split(argv)
    if verb is None:
        return _without_verb(rest)
    module = import_module(f"anneal.cli.{verb}")
    arguments = parser_of(verb).parse_args(rest)
    arguments.plain = getattr(arguments, "plain", False) or not _has_symbols(sys.stdout)
    with _default_device(getattr(arguments, "device", None)):
        return int(module.run(arguments))


def _has_symbols(stream: TextIO) -> bool:
    """True where the encoding of a stream has the symbols of trees and phases."""
    try:
        "—╌↻▪→└│".encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _default_device(name: str | None) -> Iterator[None]:
    """Inside, tensors that name no device go to this one, those that a user's model computes while it is made too."""
    before = os.environ.get(VARIABLE)
    if name is not None:
        os.environ[VARIABLE] = name
    try:
        yield
    finally:
        if before is not None:
            os.environ[VARIABLE] = before
        elif name is not None:
            del os.environ[VARIABLE]


def parser_of(verb: str) -> Parser:
    """The parser of a verb."""
    module = import_module(f"anneal.cli.{verb}")
    parser = Parser(prog=f"anneal {verb}", description=f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}.", example=module.EXAMPLE)
    module.options(parser)
    add_output(parser)
    return parser


def split(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """The verb, wherever it stands, and the other arguments; None without one."""
    rest = list(argv)
    for at, word in enumerate(argv):
        if word == "--":
            break
        if word in VERBS and (at == 0 or argv[at - 1] not in VALUED):
            del rest[at]
            return word, rest
    return None, rest


def _without_verb(argv: list[str]) -> int:
    if "--version" in argv:
        print(f"anneal {package_version()}")
        return DONE
    if {"-h", "--help"} & set(argv):
        print(_help())
        return DONE
    words = [w for i, w in enumerate(argv) if not w.startswith("-") and (i == 0 or argv[i - 1] not in VALUED)]
    if words:
        raise UsageError(f"no command {words[0]!r}: {nearest(words[0], list(VERBS))}")
    raise UsageError(f"say what to do: anneal {'|'.join(VERBS)}, or anneal --help")


def _help() -> str:
    verbs = "\n".join(f"  {name:<9} {doc}" for name, doc in VERBS.items())
    return (
        "usage: anneal VERB [MODEL] [options]\n\nA tensor compiler in pure Python: programs become fused WGSL kernels.\n\n"
        f"verbs:\n{verbs}\n\n"
        "options:\n  --help     of a verb too: anneal train --help\n  --version  print the version\n"
        "  --json     on every verb: one JSON document on stdout\n  --plain    on every verb: no colours, ASCII symbols\n\n"
        "Options may stand anywhere.\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 no usable device.\n\nexample:\n  anneal train mlp"
    )


def package_version() -> str:
    """The installed package's version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("anneal-compiler")
    except PackageNotFoundError:
        return "(not installed)"
