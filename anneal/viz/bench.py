"""A plan on a device, with memory of its own for every buffer: run whole or in parts, read anywhere, timed.

Temporaries are kept like outputs, so what any kernel wrote can be read. Inputs are copies, written anew where a run has overwritten them.

>>> import asyncio, struct, anneal
>>> from anneal.ir.dtype import dtypes
>>> from anneal.runtime.device import get_device
>>> plan = anneal.compile(anneal.Tensor([1.0, 2.0]) + 1, target=anneal.Target.portable())
>>> bench = Bench(get_device("reference"), plan, [Values("x", (2,), dtypes.float32, struct.pack("<2f", 5, 6))])
>>> bench.run(bench.part(0, 1))
>>> [v.numbers() for v in asyncio.run(bench.read([(1, "y", (2,), "float32")]))]
[[6.0, 7.0]]
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from anneal.ir.dtype import by_name
from anneal.runtime.base import Device, Storage
from anneal.runtime.plan import Plan
from anneal.tensor import host
from anneal.viz.inputs import Values

RUNS: Final = 5
"""Timed runs, after one that may compile."""
SECONDS: Final = 0.5
"""After so long no further run begins."""
Wanted = tuple[int, str, Sequence[Any], str]
"""What to read: a buffer of the plan, and the name, shape and dtype of the value in it."""


class Bench:
    """A plan with memory of its own."""

    def __init__(self, device: Device, plan: Plan, given: Sequence[Values]) -> None:
        self.device = device
        self.plan = replace(plan, buffers=tuple(replace(b, role="output") if b.role == "temporary" else b for b in plan.buffers))
        self.given = given
        self.storages: list[Storage] = [device.allocate(int(b.bytes)) for b in plan.buffers]
        for storage, values in zip(self.storages, given, strict=False):
            device.write(storage, values.data)

    def part(self, first: int, last: int) -> Plan:
        """The plan with only the kernels from `first` to before `last`."""
        return replace(self.plan, kernels=self.plan.kernels[first:last])

    def begin(self) -> None:
        """Give the inputs that a run overwrites the values that they had."""
        for at in self.plan.assigned:
            self.device.write(self.storages[at], self.given[at].data)

    def run(self, part: Plan) -> None:
        """Run a part of the plan on what the buffers hold."""
        if part.kernels:
            self.device.execute(part, self.storages)

    async def read(self, wanted: Sequence[Wanted]) -> list[Values]:
        """What buffers of the plan hold now."""
        blank = [Values(name, tuple(map(int, shape)), by_name(dtype), b"") for _, name, shape, dtype in wanted]
        requests = [(self.storages[row[0]], host.nbytes(v.shape, v.dtype)) for row, v in zip(wanted, blank, strict=True)]
        return [replace(v, data=data) for v, data in zip(blank, await self.device.read_many_async(requests), strict=True)]

    async def times(self, part: Plan) -> list[list[float]]:
        """For each kernel of a part that begins with the first one the seconds of several runs."""
        await self._timed(part)
        found: list[list[float]] = []
        start = time.perf_counter()
        while not found or (len(found) < RUNS and time.perf_counter() < start + SECONDS):
            found.append(await self._timed(part))
        return [list(row) for row in zip(*found, strict=True)]

    async def _timed(self, part: Plan) -> list[float]:
        self.begin()
        return await self.device.profile_async(part, self.storages)
