"""`Tensor`: all layers together.

>>> x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
>>> (x @ x).shape
(2, 2)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

from anneal.errors import UsageError
from anneal.ir.dtype import Scalar
from anneal.tensor import host, origin, realize
from anneal.tensor.attention import Attention

if TYPE_CHECKING:
    from anneal.codegen.target import Target
    from anneal.runtime.plan import Plan
    from anneal.view.graph import Graph


@final
class Tensor(Attention):
    """A lazy array of numbers that knows how it is computed, and can be differentiated and run on a GPU.

    Names and meanings follow PyTorch and tinygrad. Nothing is computed until values are asked for: `numpy()`, `tolist()`, `item()`,
    `realize()`; `tolist_async()` and `item_async()` are to be awaited. Each node of the graph notes the user's line that built it.
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

    async def tolist_async(self) -> Any:
        """As `tolist`, awaited: in a browser tab, where not every browser lets Python wait for the GPU, other work goes on meanwhile."""
        data = await realize.read_async(self._buffer())
        return host.nest(host.decode(data, self.dtype, self.numel()), realize.sizes(self.uop))

    async def item_async(self) -> Scalar:
        """As `item`, awaited; see `tolist_async`."""
        self._check_single()
        return host.decode(await realize.read_async(self._buffer()), self.dtype, 1)[0]

    def graph(self, stage: str = "tensor", target: Target | None = None) -> Graph:
        """The graph that computes this tensor, as it is written or after a stage of the compiler: `simplified`, `kernels`, `lowered`.

        It shows itself in a notebook and prints as a tree; see `anneal.view.graph.Graph`. Nothing is computed. `target` is what it is compiled
        for, any WebGPU device unless it is given. Raises UsageError for another stage, CompileError where the target cannot run the program.
        """
        from anneal.tensor import graph

        return graph.describe([self.uop], stage, target)

    def _repr_html_(self) -> str:
        """What a notebook shows: the facts, and the values where they have been computed."""
        from anneal.tensor import html

        return html.page(self)


origin.trace_methods(Tensor)


def compile(*tensors: Tensor, target: Target) -> Plan:
    """Compile tensors together into a plan for `target`; needs no device and computes nothing."""
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise UsageError(f"compile takes tensors one after the other, not {type(tensor).__name__}")
    return realize.compile_program(realize.trace([t.uop for t in tensors]), target)
