"""The smallest network worth training: 64 pixels, 128 hidden units, 10 digits.

>>> MLP()(Tensor.zeros(5, 64)).shape
(5, 10)
"""

from __future__ import annotations

from typing import Final

from anneal import nn
from anneal.examples import digits
from anneal.examples.example import Example
from anneal.tensor.tensor import Tensor


class MLP:
    """Two linear layers with a ReLU between."""

    def __init__(self) -> None:
        self.hidden = nn.Linear(digits.PIXELS, 128)
        self.output = nn.Linear(128, 10)

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, 64) to logits (batch, 10)."""
        hidden = self.hidden(x).relu()
        return self.output(hidden)


EXAMPLE: Final = Example("mlp", "64 → 128 → 10 with ReLU on handwritten digits, SGD with momentum", MLP, digits.load, optimizer="sgd", lr=0.2)
