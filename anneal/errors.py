"""The one family of errors a user meets.

Every error says what failed, on what, and what to try. Catch `AnnealError` to catch them all.

>>> issubclass(ShapeError, AnnealError)
True
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_ALIKE: Final = 0.6
"""How much of two names agrees when one may be meant by the other."""
_CLOSE: Final = 0.1
"""How much less than the best another name may agree, to be named beside it."""


class AnnealError(Exception):
    """Base of every error this package raises on purpose."""


class ShapeError(AnnealError, ValueError, RuntimeError):
    """A shape, axis or index that cannot be: ValueError to Python and NumPy, RuntimeError to PyTorch."""


class OutOfRangeError(ShapeError, IndexError):
    """An axis or an index that a tensor does not have."""


class DTypeError(AnnealError, TypeError, RuntimeError):
    """An operation that a dtype cannot do, or a dtype that the device cannot store: TypeError to Python, RuntimeError to PyTorch."""


class GradientError(AnnealError, RuntimeError):
    """A derivative that does not exist: no rule for an op, or no path to a tensor."""


class RuleError(AnnealError):
    """A rewrite rule that cannot be parsed or compiled, or rules that do not terminate."""


class VerifyError(AnnealError):
    """A graph that breaks what a stage guarantees. A bug in the compiler, not in the program."""


class ParseError(AnnealError, ValueError):
    """Text that is not a graph, a plan or a program."""


class CompileError(AnnealError):
    """A program that cannot be compiled for a target."""


class DeviceError(AnnealError, RuntimeError):
    """A device that is missing, lost, out of memory or that rejected a kernel."""


class NoDeviceError(DeviceError):
    """No device of the kind that was asked for."""


class UsageError(AnnealError, ValueError):
    """A wrong argument to a command or function: unknown model, missing file, bad option."""


class FileError(UsageError, OSError):
    """A file that cannot be read or written, or that has changed while it was needed."""


class CheckpointError(AnnealError, RuntimeError):
    """A checkpoint that cannot be read, written or fitted to a model."""


class StaleTensorError(AnnealError):
    """A lazy tensor whose input was overwritten before the tensor was realised."""


def meant(name: str, known: Iterable[str], most: int = 1) -> str:
    """The question whether one of the known names was meant, the most alike first; empty where none is close.

    >>> meant("ad", ["add", "and", "mul"], 3)
    "did you mean 'add' or 'and'?"
    """
    from difflib import SequenceMatcher

    alike = {other: SequenceMatcher(None, other.lower(), name.lower()).ratio() for other in known}
    least = max(_ALIKE, max(alike.values(), default=0.0) - _CLOSE)
    close = sorted((other for other in alike if alike[other] >= least), key=lambda other: (-alike[other], other[:1] != name[:1]))
    quoted = [repr(other) for other in close[:most]]
    return f"did you mean {' or '.join(filter(None, (', '.join(quoted[:-1]), quoted[-1])))}?" if quoted else ""


def number_of(number: int, what: str) -> str:
    """So many of something.

    >>> number_of(1, "node"), number_of(2, "node")
    ('1 node', '2 nodes')
    """
    return f"{number} {what}{'s' * (number != 1)}"
