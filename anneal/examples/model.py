"""What a user gave to be shown, run or trained: an example, or tensors, and the parts that there are of it.

>>> from anneal.examples import EXAMPLES
>>> checked("mlp", None, EXAMPLES["mlp"]).parts
('step', 'backward', 'forward')
>>> checked("mine", None, Tensor([[1.0, 2.0]])).parts
('forward',)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anneal.errors import UsageError
from anneal.examples.example import Example
from anneal.examples.program import Program
from anneal.export.schema.graph import Part
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
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

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that there are of it, what one looks at first in front: a training step, a loss with its gradients, the values themselves."""
        if isinstance(self.value, Example):
            return ("step", "backward", "forward")
        loss, *wanted = self.value
        below = _differentiable(loss) if loss.dtype.is_float and all(size == 1 for size in loss.shape) else {}
        there = all(w.uop in below for w in wanted) if wanted else any(u.op is Ops.BUFFER for u in below)
        return ("forward", "backward") if below and there else ("forward",)

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


def _differentiable(loss: Tensor) -> dict[UOp, None]:
    """What a loss could be differentiated for, operands first."""
    return dict.fromkeys(u for u in toposort(loss.uop, enter=lambda u: u.op is not Ops.DETACH) if u.dtype.is_float)


def _with_gradients(name: str, tensors: list[Tensor]) -> list[Tensor]:
    """The first tensor, the loss, and its gradients: for the tensors after it, or else for every buffer of floats below it."""
    loss, *wanted = tensors
    wanted = wanted or [Tensor(u) for u in _differentiable(loss) if u.op is Ops.BUFFER]
    if not wanted or loss.numel() != 1:
        raise UsageError(f"{name}: --backward needs a loss of one element, computed from floats; return it alone, or before the tensors to differentiate for")
    return [loss, *loss.gradient(*wanted)]


def checked(reference: str, file: str | None, value: Any, *, verb: str = "returned", ask: str = "return") -> Model:
    """A value as a model; raises UsageError for what is none. `verb` says how the value was come by, `ask` what is to be done with another."""
    if isinstance(value, Example):
        return Model(value.name, file, value)
    tensors = [value] if isinstance(value, Tensor) else value
    if isinstance(tensors, list | tuple) and tensors and all(isinstance(t, Tensor) for t in tensors):
        return Model(reference, file, list(tensors))
    network = "; Example('name', 'what it is', model=..., data=...) makes one of a network" if callable(value) else ""
    raise UsageError(f"{reference} {verb} {type(value).__name__}: {ask} an anneal.examples.Example, a Tensor or a list of tensors{network}")
