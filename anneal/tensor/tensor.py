"""`Tensor`: all layers together.

>>> x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
>>> (x @ x).shape
(2, 2)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from anneal.tensor import origin, realize
from anneal.tensor.random import Random

if TYPE_CHECKING:
    from anneal.codegen.target import Target
    from anneal.runtime.plan import Plan


@final
class Tensor(Random):
    """A lazy array of numbers that knows how it is computed, and can be differentiated and run on a GPU.

    Names and meanings follow PyTorch and tinygrad. Nothing is computed until values are asked for: `numpy()`, `tolist()`, `item()`,
    `realize()`. Each node of the graph notes the user's line that built it.
    """

    __slots__ = ()

    @classmethod
    @contextmanager
    def train(cls, mode: bool = True) -> Iterator[None]:
        """Inside, `Tensor.training` is `mode`: `with Tensor.train(): ...` or `@Tensor.train()`."""
        before, cls.training = cls.training, mode
        try:
            yield
        finally:
            cls.training = before


origin.trace_methods(Tensor)


def compile(*tensors: Tensor, target: Target) -> Plan:
    """Compile tensors together into a plan for `target`; needs no device and computes nothing."""
    return realize.compile_program(realize.trace([t.uop for t in tensors]), target)
