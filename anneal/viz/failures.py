"""Errors as the page shows them: what, where in the user's program, and what to try.

>>> failure(UsageError("no program is open"))["message"]
'no program is open'
"""

from __future__ import annotations

import linecache
import re
import traceback
from types import TracebackType
from typing import Final

from anneal.errors import AnnealError, NoDeviceError, StaleTensorError, UsageError
from anneal.viz.messages import Failure, Frame
from anneal.viz.program import Ran
from anneal.viz.rows import FILE

NO_VALUE: Final = "NoValue"
_FRAMES: Final = 20
_LONG: Final = 4000
_NAMED_LINE: Final = re.compile(r"(?:\bline (\d+) of program\.py\b|\bprogram\.py:(\d+))")
_HERE: Final = "Python's standard library and anneal"
_INSTEAD: Final = {
    "numpy": "Tensor has most of what arrays have: Tensor([[1.0, 2.0]]), .sum(axis), .reshape, @",
    "torch": "anneal's Tensor and nn go by the same names: from anneal import Tensor, nn",
    "tinygrad": "anneal's Tensor and nn go by the same names: from anneal import Tensor, nn",
}


def failure(error: BaseException, ran: Ran | None = None, line: int | None = None) -> Failure:
    """The failure for an error, `line` being where it is told where the error itself does not know."""
    frames = _frames(error.__traceback__, ran.files if ran is not None else frozenset())
    found: Failure = {
        "kind": type(error).__name__,
        "message": _message(error)[:_LONG],
        "line": line,
        "column": None,
        "end_column": None,
        "printed": ran.printed.text() if ran is not None else "",
        "hint": hint(error),
        "frames": frames,
    }
    if isinstance(error, SyntaxError) and error.filename == FILE:
        found["line"], found["column"] = error.lineno, error.offset or None
        found["end_column"] = error.end_offset if error.end_lineno == error.lineno and error.end_offset else None
    elif own := [f for f in frames if f["file"] == FILE]:
        found["line"], found["column"], found["end_column"] = own[-1]["line"], own[-1]["column"], own[-1]["end_column"]
    elif isinstance(error, AnnealError) and (named := _NAMED_LINE.search(str(error))) is not None:
        found["line"] = int(named[1] or named[2])
    return found


def _message(error: BaseException) -> str:
    """What an error says, with Python's suggestion where it has one."""
    match error:
        case SyntaxError():
            return error.msg or "invalid syntax"
        case SystemExit():
            return f"the program left by exit({'' if error.code is None else repr(error.code)})"
        case KeyboardInterrupt():
            return "the program was interrupted"
        case AnnealError():
            return str(error)
    said = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format_exception_only()).strip()
    kind, colon, text = said.partition(": ")
    return text if colon and kind.rpartition(".")[2] == type(error).__name__ else said


def hint(error: BaseException) -> str | None:
    """What to try; None where the message says it already."""
    match error:
        case ModuleNotFoundError(name=str(name)):
            root = name.partition(".")[0]
            return f"This tab has {_HERE}, no {root}. {_INSTEAD.get(root, 'Write what you need of it into the program.')}"
        case EOFError():
            return "Nobody can type here: put what input() would give into the program."
        case RecursionError():
            return "A function calls itself without an end, or an expression is nested too deeply."
        case MemoryError():
            return "The tab has less memory than this needs: make the tensors or lists smaller."
        case SystemExit():
            return "Leave the call of exit out: the program ends where its text ends."
        case NoDeviceError():
            return "Everything but running still works: end the program with the tensor itself, without asking for its values."
        case StaleTensorError():
            return "Everything here is shown before anything has run: make the tensors anew after the assign."
        case OSError():
            return "A tab has no files of yours and no open network: write the data into the program, or make them with Tensor.rand."
    return None


def _frames(trace: TracebackType | None, files: frozenset[str]) -> list[Frame]:
    """The user's part of a traceback, the innermost calls of a long one."""
    found = [f for f in traceback.extract_tb(trace) if f.filename in files]
    return [_frame(f) for f in found[-_FRAMES:]]


def _frame(frame: traceback.FrameSummary) -> Frame:
    text = linecache.getline(frame.filename, frame.lineno or 1)
    single = frame.end_lineno in (None, frame.lineno)
    return {
        "file": frame.filename,
        "line": frame.lineno or 1,
        "column": _characters(text, frame.colno),
        "end_column": _characters(text, frame.end_colno) if single else None,
        "name": frame.name,
        "text": text.strip(),
    }


def _characters(line: str, at: int | None) -> int | None:
    """A place in a line, in UTF-8 from 0, as characters from 1."""
    return None if at is None else len(line.encode("utf-8", "surrogatepass")[:at].decode("utf-8", "ignore")) + 1


def no_value(ran: Ran) -> Failure:
    """The failure of a program that ends in nothing to show."""
    main = '; a part under `if __name__ == "__main__":` does not run here' if "__main__" in ran.source else ""
    found = failure(UsageError(f"the program ends without a value to show{main}"), ran, max(1, len(ran.source.splitlines())))
    return {**found, "kind": NO_VALUE, "hint": "Let its last line be an expression: a Tensor, a list of tensors, or an anneal.examples.Example."}
