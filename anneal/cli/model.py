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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from anneal.cli.output import nearest
from anneal.errors import UsageError
from anneal.examples import EXAMPLES
from anneal.examples.example import Example
from anneal.examples.program import Program
from anneal.export.schema.graph import Part
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.tensor.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Model:
    """What a command was given."""

    name: str
    """The example's name, or the reference to the user's function."""
    file: str | None
    """The user's file."""
    value: Example | list[Tensor]

    def example(self, verb: str) -> Example:
        """The example; raises UsageError where there are only tensors."""
        if not isinstance(self.value, Example):
            raise UsageError(f"{self.name} returned tensors, and anneal {verb} needs a model to train: return an anneal.examples.Example")
        return self.value

    def outputs(self, part: Part, batch: int | None) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The tensors of a part of the program, and names for its inputs."""
        if isinstance(self.value, Example):
            program = Program(self.value, batch=batch)
            return program.outputs(part), program.names()
        if part == "step":
            self.example("with --step")
        if batch is not None:
            raise UsageError(f"{self.name} returned tensors, which have the shape they have: leave --batch out")
        return (_with_gradients(self.name, self.value) if part == "backward" else self.value), {}


def _with_gradients(name: str, tensors: list[Tensor]) -> list[Tensor]:
    """The first tensor, the loss, and its gradients: for the tensors after it, or else for every buffer of floats below it."""
    loss, *wanted = tensors
    nodes = toposort(loss.uop, enter=lambda u: u.op is not Ops.DETACH)
    wanted = wanted or [Tensor(u) for u in nodes if u.op is Ops.BUFFER and u.dtype.is_float]
    if not wanted or loss.numel() != 1:
        raise UsageError(f"{name}: --backward needs a loss of one element, computed from floats; return it alone, or before the tensors to differentiate for")
    return [loss, *loss.gradient(*wanted)]


def load(reference: str) -> Model:
    """The model of that name, or of `path/to/file.py:function`; raises UsageError where there is none."""
    if not (":" in reference or reference.endswith(".py") or os.sep in reference):
        if reference not in EXAMPLES:
            raise UsageError(f"no model {reference!r}: {nearest(reference, list(EXAMPLES))}; a model of your own is path/to/file.py:function")
        return Model(reference, None, EXAMPLES[reference])
    path, _, function = reference.rpartition(":") if not reference.endswith(".py") else (reference, "", "")
    file = str(Path(path).resolve())
    if not Path(file).is_file():
        raise UsageError(f"no file {path!r}: a model of your own is path/to/file.py:function")
    with user_code(file, loading=True):
        module = _module(file)
        value = _find(module, path, function)
        value = value() if callable(value) and not isinstance(value, Tensor) else value
    return _checked(reference, file, value)


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


def _checked(reference: str, file: str, value: Any) -> Model:
    if isinstance(value, Example):
        return Model(value.name, file, value)
    tensors = [value] if isinstance(value, Tensor) else value
    if isinstance(tensors, list | tuple) and tensors and all(isinstance(t, Tensor) for t in tensors):
        return Model(reference, file, list(tensors))
    network = "; Example('name', 'what it is', model=..., data=...) makes one of a network" if callable(value) else ""
    raise UsageError(f"{reference} returned {type(value).__name__}: return an anneal.examples.Example, a Tensor or a list of tensors{network}")


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
