"""What a program reads, as bytes of the host: the values that it has, or random ones in their place.

Nothing of the program changes: what is still to be computed is computed into memory of its own, what a device holds is copied.

>>> from anneal.ir.dtype import dtypes
>>> own = Values("w", (4,), dtypes.float32, host.pack([0.5, 1.0, 0.0, 2.5], dtypes.float32))
>>> [v >= 0 for v in own.drawn(random.Random(1)).numbers()]
[True, True, True, True]
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Final

from anneal.ir import build
from anneal.ir.dtype import DType, Scalar
from anneal.ir.uop import UOp
from anneal.runtime.base import Device, Storage
from anneal.tensor import host, realize
from anneal.tensor.storage import Buffer

PERIOD: Final = 1 << 16
"""Random numbers that are drawn for one input; a larger one has them again and again."""


@dataclass(frozen=True, slots=True)
class Values:
    """A tensor's values on the host."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    data: bytes

    @property
    def count(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    def numbers(self, most: int | None = None) -> list[Scalar]:
        """The elements in row-major order, at most so many."""
        return host.decode(self.data, self.dtype, self.count if most is None else min(self.count, most))

    def drawn(self, source: random.Random) -> Values:
        """Random values like these: floats of a normal distribution with the same mean and spread, none below 0 where none is.

        Where all are equal the spread is 1. Whole numbers and truths, which may say places in other tensors, are drawn from those that there are.
        """
        if not self.count:
            return self
        own, count = self.numbers(), min(self.count, PERIOD)
        if not self.dtype.is_float:
            return replace(self, data=host.pack(source.choices(own, k=self.count), self.dtype))
        finite = [v for v in own[:PERIOD] if math.isfinite(v)] or [0.0]
        mean, spread = statistics.fmean(finite), statistics.pstdev(finite) or 1.0
        values: Iterable[float] = (source.gauss(mean, spread) for _ in range(count))
        if min(finite) >= 0:
            values = map(abs, values)
        return replace(self, data=host.pack(islice(cycle(values), self.count), self.dtype))


async def given(program: realize.Program, names: Sequence[str], device: Device) -> list[Values]:
    """The values of a program's inputs, by slot. Raises DeviceError where the device cannot compute or read them."""
    known = await _computed(program.buffers, device)
    own = {b: b.storage for b in program.buffers if b.storage is not None and b.device == device.name} | known
    wanted = [b for b in program.buffers if b in own]
    found = dict(zip(wanted, await device.read_many_async([(own[b], b.nbytes) for b in wanted]), strict=True))
    for buffer in program.buffers:
        if isinstance(buffer.pending, bytes):
            found[buffer] = host.padded(buffer.pending)
        elif buffer not in found:
            found[buffer] = await realize.read_async(buffer)
    return [Values(name, b.shape, b.dtype, found[b]) for name, b in zip(names, program.buffers, strict=True)]


async def _computed(buffers: Iterable[Buffer], device: Device) -> dict[Buffer, Storage]:
    """Storages with the values of buffers that are still graphs, and of what those graphs read."""
    traced: dict[Buffer, realize.Program] = {}
    stack = list(buffers)
    while stack:
        buffer = stack.pop()
        if isinstance(buffer.pending, UOp) and buffer not in traced:
            traced[buffer] = realize.trace([build.contiguous(buffer.pending)])
            stack += traced[buffer].buffers
    done: dict[Buffer, Storage] = {}
    while waiting := [b for b in traced if b not in done]:
        ready = [b for b in waiting if all(x in done or x not in traced for x in traced[b].buffers)]
        done |= await _compute(ready, done, device)
    return done


async def _compute(ready: Sequence[Buffer], done: dict[Buffer, Storage], device: Device) -> dict[Buffer, Storage]:
    """Storages with the values of buffers whose graphs read only what is known; equal graphs share one."""
    graphs = list(dict.fromkeys(build.contiguous(b.pending) for b in ready if isinstance(b.pending, UOp)))
    program = realize.trace(graphs)
    plan = realize.compile_program(program, device.target)
    leaves = [done[b] if b in done else await _copied(b, device) for b in program.buffers]
    made = [device.allocate(int(b.bytes)) for b in plan.buffers if b.role == "output"]
    device.execute(plan, [*leaves, *made])
    bound = [*leaves, *made]
    placed = {graph: bound[at] for graph, at in zip(graphs, plan.outputs, strict=True)}
    return {b: placed[build.contiguous(b.pending)] for b in ready if isinstance(b.pending, UOp)}


async def _copied(buffer: Buffer, device: Device) -> Storage:
    """Storage of the device with a buffer's values; the buffer's own where it is there."""
    if buffer.storage is not None and buffer.device == device.name:
        storage: Storage = buffer.storage
        return storage
    storage = device.allocate(buffer.nbytes)
    device.write(storage, await realize.read_async(buffer))
    return storage
