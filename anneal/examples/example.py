"""What a trainable model is to the command line: a network, its data, a loss and an optimiser.

A file of your own takes part by a function that returns an `Example`, as the registered ones are made, or, to be shown and run but not
trained, a tensor or a list of tensors:

    # mine.py, then: anneal train mine.py:small
    def small():
        return Example("small", "one layer", model=lambda: nn.Linear(64, 10), data=digits.load, optimizer="adam")

>>> accuracy(Tensor([[0.1, 0.9], [0.8, 0.2]]), Tensor([1, 1])).shape
()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from anneal import nn
from anneal.errors import UsageError
from anneal.nn.optim import Optimizer
from anneal.tensor.tensor import Tensor

_classes = partial(Tensor.cross_entropy, ignore_index=None)


class Data(NamedTuple):
    """Examples to learn from, and others held out to judge by; the first axis counts examples."""

    inputs: Tensor
    """What the model is called with, a batch of rows at a time."""
    labels: Tensor
    """What the loss compares its outputs with."""
    held_inputs: Tensor
    held_labels: Tensor


def accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The part of the rows whose largest output is at the label."""
    return (outputs.argmax(-1) == labels).float().mean()


@dataclass(frozen=True, slots=True)
class Example:
    """A model that can be trained."""

    name: str
    """What it is called in output and checkpoints."""
    doc: str
    """One line."""
    model: Callable[[], Callable[[Tensor], Tensor]]
    """Makes the network: an object that holds its parameters as attributes and is called with a batch."""
    data: Callable[[], Data]
    """Loads the data."""
    optimizer: str | Callable[[Sequence[Tensor], float], Optimizer] = "sgd"
    """A name among `OPTIMIZERS`, or a function of parameters and learning rate."""
    lr: float | None = None
    """Learning rate; None is the optimiser's own."""
    loss: Callable[[Tensor, Tensor], Tensor] = _classes
    """From outputs and labels, each of them a class, to the number to minimise."""
    score: Callable[[Tensor, Tensor], Tensor] = accuracy
    """From outputs and labels of the held-out part to the number that is reported as accuracy."""
    steps: int = 300
    """Steps to train for."""
    batch: int = 64
    """Rows a step."""


class _Kind(NamedTuple):
    make: Callable[[Sequence[Tensor], float], Optimizer]
    lr: float


OPTIMIZERS: Final[dict[str, _Kind]] = {
    "sgd": _Kind(lambda params, lr: nn.optim.SGD(params, lr, momentum=0.9), 0.1),
    "adam": _Kind(nn.optim.Adam, 5e-3),
    "adamw": _Kind(nn.optim.AdamW, 5e-3),
}
"""Optimisers by name, each with its usual learning rate. `sgd` has a momentum of 0.9."""


def optimizer_name(example: Example, name: str | None) -> str:
    """The name of the optimiser to use: the one asked for, else the example's."""
    return name or (example.optimizer if isinstance(example.optimizer, str) else "own")


def make_optimizer(example: Example, params: Sequence[Tensor], name: str | None = None, lr: float | None = None) -> Optimizer:
    """The example's optimiser, or that of another name, with a learning rate of choice; raises UsageError for an unknown name."""
    chosen: Any = name or example.optimizer
    rate = lr if lr is not None else example.lr if chosen == example.optimizer else None
    if not isinstance(chosen, str):
        return chosen(params, 1e-3 if rate is None else rate)  # type: ignore[no-any-return]
    if chosen not in OPTIMIZERS:
        raise UsageError(f"no optimiser {chosen!r}: there are {', '.join(OPTIMIZERS)}")
    kind = OPTIMIZERS[chosen]
    return kind.make(params, kind.lr if rate is None else rate)
