"""A model of a few numbers, for tests of training."""

from __future__ import annotations

from typing import Any

from anneal import Tensor, nn
from anneal.examples import Data, Example


def small(**changes: Any) -> Example:
    """Something that trains at once."""

    def data() -> Data:
        x = Tensor([[i % 7 / 7, i % 5 / 5] for i in range(23)])
        y = Tensor([i % 3 for i in range(23)])
        return Data(x[:16], y[:16], x[16:], y[16:])

    return Example(**{"name": "small", "doc": "", "model": lambda: nn.Linear(2, 3), "data": data, "batch": 4, **changes})
