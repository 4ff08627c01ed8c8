"""A small convolutional network on the same digits, as images of 8×8.

>>> Conv()(Tensor.zeros(5, 1, 8, 8)).shape
(5, 10)
"""

from __future__ import annotations

from functools import partial
from typing import Final

from anneal import nn
from anneal.examples import digits
from anneal.examples.example import Example
from anneal.tensor.tensor import Tensor


class Conv:
    """Two convolutions of 16 and 32 channels, the larger of each 2×2, a linear layer."""

    def __init__(self) -> None:
        self.first = nn.Conv2d(1, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 32, 3, padding=1)
        self.output = nn.Linear(32 * 4 * 4, 10)

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, 1, 8, 8) to logits (batch, 10)."""
        x = self.first(x).relu()
        x = self.second(x).relu()
        return self.output(x.max_pool2d(2).flatten(1))


_images = partial(digits.load, 1, 8, 8)

EXAMPLE: Final = Example("conv", "convolutions of 16 and 32 channels, max-pool, linear on handwritten digits, Adam", Conv, _images, optimizer="adam", lr=5e-3)
