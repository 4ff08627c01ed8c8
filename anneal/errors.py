"""The one family of errors a user meets.

Every error says what failed, on what, and what to try. Catch `AnnealError` to catch them all.

>>> issubclass(ShapeError, AnnealError)
True
"""

from __future__ import annotations


class AnnealError(Exception):
    """Base of every error this package raises on purpose."""


class ShapeError(AnnealError, ValueError):
    """A shape, axis or index that cannot be."""


class DTypeError(AnnealError, TypeError):
    """An operation that a dtype cannot do, or a dtype that the device cannot store."""


class GradientError(AnnealError):
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


class CheckpointError(AnnealError):
    """A checkpoint that cannot be read, written or fitted to a model."""


class StaleTensorError(AnnealError):
    """A lazy tensor whose input was overwritten before the tensor was realised."""
