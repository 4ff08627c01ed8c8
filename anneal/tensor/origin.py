"""Which line of the user's program builds a node.

>>> line = caller()
>>> line is None or isinstance(line[1], int)
True
"""

from __future__ import annotations

import functools
import linecache
import sys
from collections.abc import Callable
from typing import Any, Final

from anneal.ir.uop import ARENA, Origin

# The package's place as its frames tell it: bytecode keeps the name that it was compiled under, wherever its archive lies.
_FILE: Final = sys._getframe().f_code.co_filename
_PACKAGE: Final = _FILE.rpartition("tensor")[0]
_EXAMPLES: Final = _PACKAGE + "examples" + _FILE.rpartition("tensor")[2][0]


def caller() -> Origin | None:
    """File and line of the innermost frame outside this package; the examples are users too."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        example = file.startswith(_EXAMPLES)
        if example or not file.startswith(_PACKAGE):
            if example:  # who reads the line later finds it inside an archive, too
                linecache.lazycache(file, frame.f_globals)
            return None if file.startswith("<frozen") else (file, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if ARENA.origin is not None:
            return function(*args, **kwargs)
        ARENA.origin = caller()
        try:
            return function(*args, **kwargs)
        finally:
            ARENA.origin = None

    return call


def trace_methods(cls: type) -> None:
    """Let every public method and operator of `cls` and its bases note the user's line in the nodes it builds."""
    for owner in cls.__mro__[:-1]:
        for name, value in list(vars(owner).items()):
            operator = name.startswith("__") and name.endswith("__") and name.strip("_") in _OPERATORS
            if name.startswith("_") and not operator:
                continue
            if isinstance(value, classmethod):
                setattr(owner, name, classmethod(_traced(value.__func__)))
            elif callable(value) and not isinstance(value, type):
                setattr(owner, name, _traced(value))


_ARITHMETIC: Final = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
_OTHERS: Final = ("neg", "invert", "abs", "eq", "ne", "lt", "le", "gt", "ge", "getitem", "setitem", "init", "iter")
_OPERATORS: Final = frozenset((*_ARITHMETIC, *(f"{kind}{n}" for n in _ARITHMETIC for kind in "ri"), *_OTHERS))
