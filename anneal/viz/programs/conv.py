"""A small convolutional network on the same digits.

Convolutions are windows, multiplied and summed: no op of their own. Watch in the kernels how the
windows become index arithmetic, and how the gradient of a window is a window again.
"""

from functools import partial

from anneal import Tensor, nn
from anneal.examples import Example, digits


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


images = partial(digits.load, 1, 8, 8)

Example("conv", "convolutions of 16 and 32 channels, max-pool, linear, Adam", Conv, images, optimizer="adam", lr=5e-3)
