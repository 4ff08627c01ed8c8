"""The model that a command is about: a registered example, or a function of the user's own file.

The function takes no arguments and returns an `Example`, a `Tensor` or a list of tensors; with `--backward` the first of these is the loss,
and the others, if any, are what it is differentiated for. What goes wrong in the user's code is reported
with the user's own line.

>>> load("mlp").name
'mlp'
"""

from __future__ import annotations

import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from anneal.cli.output import nearest
from anneal.cli.reference import split
from anneal.errors import UsageError
from anneal.examples import EXAMPLES
from anneal.examples.model import Model, checked
from anneal.tensor.tensor import Tensor


def load(reference: str, also: Collection[str] = ()) -> Model:
    """The model of that name, or of `path/to/file.py:function`; raises UsageError where there is none. `also` are names that the verb knows besides."""
    path, function = split(reference, also)
    if path is None:
        return Model(reference, None, EXAMPLES[function])
    file = str(Path(path).resolve())
    with user_code(file, loading=True):
        module = _module(file)
        value = _find(module, path, function)
        value = value() if callable(value) and not isinstance(value, Tensor) else value
    return checked(reference, file, value)


def _module(file: str) -> ModuleType:
    """The user's file as a module, its folder importable as when Python runs it."""
    spec = importlib.util.spec_from_file_location(f"anneal_model_{Path(file).stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(Path(file).parent))
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, path: str, function: str) -> Any:
    if function and not function.startswith("_") and hasattr(module, function):
        return getattr(module, function)
    own = [(n, v) for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__ and not n.startswith("_")]
    there = [n for n, v in own if not isinstance(v, type)]
    what = f"no function {function!r} in {path}" if function else f"say which function of {path}, as {path}:{there[0] if there else 'function'}"
    raise UsageError(f"{what}: {nearest(function, there)}")


@contextmanager
def user_code(file: str | None, *, loading: bool = False) -> Iterator[None]:
    """Turn what the user's file raises inside into a UsageError with the user's line; other errors pass, unless the file is being loaded."""
    try:
        yield
    except (Exception, SystemExit) as error:
        place = _place(error, file) or (file and loading and not isinstance(error, UsageError) and os.path.relpath(file))
        if not place:
            raise
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UsageError(f"{place}: {said}") from error


def _place(error: BaseException, file: str | None) -> str | None:
    """The user's innermost line in an error's traceback; None when the user's file has no part in it."""
    if file is None:
        return None
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{os.path.relpath(file)}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    if frames:
        line = linecache.getline(file, frames[-1].lineno or 0).strip()
        return f"{os.path.relpath(file)}:{frames[-1].lineno}: in {frames[-1].name}: {line}"
    return None
