"""What a kernel costs: arithmetic of the operations fused in it, and the bytes it must move at least.

>>> from anneal import Target, Tensor, compile
>>> kernel = compile(Tensor([[1.0] * 16] * 8) @ Tensor([[1.0] * 4] * 16), target=Target.portable()).kernels[0]
>>> kernel.flops == 2 * 8 * 16 * 4, kernel.bytes == 4 * (8 * 16 + 16 * 4 + 8 * 4)
(True, True)
"""

from __future__ import annotations

from anneal.codegen.bind import Bound
from anneal.codegen.types import width
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.schedule.facts import elements
from anneal.schedule.indexing import free_ranges, span
from anneal.schedule.kernels import Body


def flops(body: Body) -> int:
    """Arithmetic of the tensor-level operations, each element once; a reduction counts its operand's elements. Index arithmetic is free."""
    total = 0
    for u in body.nodes:
        if u.op.elementwise and u.op is not Ops.CAST:
            total += elements(shape(u))
        elif u.op is Ops.REDUCE_AXIS:
            total += elements(shape(u.src[0]))
    return total


def moved(bound: Bound, *, half: bool) -> int:
    """Bytes that are read, plus bytes that are written, each element once.

    What only a part of is read, such as the rows of a batch, counts as many elements as the loops around its loads have points. A buffer that
    is read and then overwritten counts twice. `half` says whether float16 takes 2 bytes.
    """
    read: dict[int, int] = {}
    written: dict[int, int] = {}
    for access in toposort(bound.sink):
        if access.op in (Ops.LOAD, Ops.STORE):
            counts = read if access.op is Ops.LOAD else written
            number = access.src[0].arg[0]
            counts[number] = counts.get(number, 0) + _points(access)
    return sum(_bytes(bound.memory[n], points, half=half) for counts in (read, written) for n, points in counts.items())


def _points(access: UOp) -> int:
    """At how many points a load or a store is done; not fewer than the elements it meets."""
    return span(free_ranges(access.src[1]))


def _bytes(memory: UOp, points: int, *, half: bool) -> int:
    return min(points, elements(shape(memory))) * width(memory.dtype, half=half)
