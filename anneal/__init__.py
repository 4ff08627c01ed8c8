"""A machine-learning compiler in pure Python: tensor programs become fused WGSL kernels.

>>> from anneal import Tensor
>>> (Tensor([1.0, 2.0]) * 2 + 1).shape
(2,)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from anneal.codegen.target import Target
from anneal.errors import (
    AnnealError,
    CheckpointError,
    CompileError,
    DeviceError,
    DTypeError,
    FileError,
    GradientError,
    NoDeviceError,
    OutOfRangeError,
    ParseError,
    RuleError,
    ShapeError,
    StaleTensorError,
    UsageError,
    VerifyError,
)
from anneal.ir.build import variable as Variable  # noqa: N812 - it makes what users of this family of libraries call a Variable
from anneal.ir.dtype import dtypes
from anneal.rewrite.session import watching as trace
from anneal.rewrite.trace import Trace
from anneal.runtime.plan import Plan
from anneal.tensor.core import no_grad
from anneal.tensor.execute import execute
from anneal.tensor.tensor import Tensor, compile

if TYPE_CHECKING:
    from anneal import nn

__all__ = [
    "AnnealError",
    "CheckpointError",
    "CompileError",
    "DTypeError",
    "DeviceError",
    "FileError",
    "GradientError",
    "NoDeviceError",
    "OutOfRangeError",
    "ParseError",
    "Plan",
    "RuleError",
    "ShapeError",
    "StaleTensorError",
    "Target",
    "Tensor",
    "Trace",
    "UsageError",
    "Variable",
    "VerifyError",
    "compile",
    "dtypes",
    "execute",
    "nn",
    "no_grad",
    "trace",
]

_LAZY: Final = frozenset({"nn"})


def __getattr__(name: str) -> Any:
    """Rooms that are imported when first used."""
    if name in _LAZY:
        return import_module(f"anneal.{name}")
    raise AttributeError(f"module 'anneal' has no attribute {name!r}")
