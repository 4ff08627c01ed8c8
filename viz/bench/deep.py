"""Networks as deep as a benchmark of layouts wants them: their training steps have about as many nodes as the function's name says.

>>> len(thousand().model().layers)
22
"""

from __future__ import annotations

from typing import Final

from anneal import nn
from anneal.examples import digits
from anneal.examples.example import Example
from anneal.tensor.tensor import Tensor

WIDTH: Final = 16
"""Hidden units a layer."""


class Deep:
    """Linear layers with ReLU between, so many that the step is large."""

    def __init__(self, depth: int) -> None:
        self.layers = [nn.Linear(digits.PIXELS, WIDTH), *(nn.Linear(WIDTH, WIDTH) for _ in range(depth - 2)), nn.Linear(WIDTH, 10)]

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, 64) to logits (batch, 10)."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


def _example(depth: int) -> Example:
    return Example("deep", f"{depth} linear layers", lambda: Deep(depth), digits.load, optimizer="sgd", lr=0.1)


def thousand() -> Example:
    """A step of about 1,000 nodes."""
    return _example(22)


def usual() -> Example:
    """A step of about 2,300 nodes."""
    return _example(52)


def huge() -> Example:
    """A step of about 20,000 nodes."""
    return _example(464)
