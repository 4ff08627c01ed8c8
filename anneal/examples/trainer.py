"""Training: one plan for forward, backward and update, run once a step.

The host uploads the row numbers of a batch and nothing else; losses wait on the device, in a ring of buffers, until a window of steps is
read at once. Batch, parameters and random numbers of step n depend on the seed and n alone, so training that stops and is resumed gives
the numbers of training that did not stop.

>>> from anneal.examples import EXAMPLES
>>> from anneal.runtime.device import get_device
>>> trainer = Trainer(Program(EXAMPLES["mlp"], batch=8), get_device("reference"))
>>> [round(w.losses[0], 1) for w in trainer.train(1)]
[2.4]
"""

from __future__ import annotations

import math
import random
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from anneal.errors import AnnealError
from anneal.examples.program import Program, trace
from anneal.ir.dtype import dtypes
from anneal.runtime.base import Storage
from anneal.runtime.device import Device
from anneal.runtime.plan import Plan
from anneal.tensor import host, realize, storage
from anneal.tensor.random import threefry
from anneal.tensor.realize import Executable
from anneal.tensor.storage import Buffer

WINDOW: Final = 10
"""Steps whose losses are read together; within what a device keeps recorded of one plan."""
_CALLS: Final = 1024
"""Random tensors of a program whose keys are renewed each step."""
_WORD: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Window:
    """Steps in a row."""

    last: int
    """Number of the last step; steps count from 1."""
    losses: list[float]
    seconds: float
    """Time of all of them, from the first upload to when the last loss was read."""


class Trainer:
    """A program compiled for a device, and how far it has got."""

    def __init__(self, program: Program, device: Device, done: int = 0) -> None:
        """`done` steps have been made already; their state is in the program's tensors."""
        self.program, self.device, self.done = program, device, done
        start = time.perf_counter()
        score, _ = trace([program.score()])
        traced, self.names = trace(program.outputs("step"), program.names())
        realize.compile_program(traced, device.target)
        self.compile_seconds = time.perf_counter() - start
        self._score: Executable | None = None
        self._score_program = score
        self._keys = _random_keys(traced.buffers, program.seed)
        self.executable = Executable(traced, device)
        self._dtype = traced.outputs[0].dtype
        self._loss = self.executable.plan.outputs[0] - self.executable.inputs
        self._ring = [device.allocate(4) for _ in range(WINDOW)]
        self._index = storage.buffer_of(program.index.uop)
        realize.place([self._index], device)
        self._epoch = -1
        self._order: list[int] = []

    @property
    def plan(self) -> Plan:
        """The plan of a step."""
        return self.executable.plan

    def train(self, until: int, stop: Callable[[], bool] = lambda: False) -> Iterator[Window]:
        """Go on to step `until`, or until `stop()` is true after a step; yields a window at the first step and at every multiple of ten.

        Raises AnnealError when the loss stops being a number; the message names the step.
        """
        stopped = self.done >= until
        while not stopped:
            start = time.perf_counter()
            slots: list[Storage] = []
            while not stopped and len(slots) < WINDOW:
                slots.append(self._step(len(slots)))
                stopped = self.done >= until or stop()
                if self.done % WINDOW == 0 or self.done == 1:
                    break
            losses = [float(host.decode(data, self._dtype, 1)[0]) for data in self.device.read_many([(s, 4) for s in slots])]
            self._check(losses)
            yield Window(self.done, losses, time.perf_counter() - start)

    def _step(self, slot: int) -> Storage:
        """Submit one step; returns the storage that will hold its loss."""
        self.device.write(self._index.storage, array("i", self._batch(self.done)).tobytes())
        for call, buffer in self._keys:
            key = threefry(_words(self.program.seed), (call, self.done & _WORD))
            self.device.write(buffer.storage, host.pack(key, dtypes.uint32))
        self.executable.made[self._loss] = self._ring[slot]
        self.executable.run()
        self.done += 1
        return self._ring[slot]

    def _batch(self, step: int) -> list[int]:
        """The rows of a step, counted from 0: the data in a new order each time they are through, without the part that fills no batch."""
        size = self.program.batch
        epoch, place = divmod(step, self.program.rows // size)
        if epoch != self._epoch:
            generator = random.Random(f"{self.program.seed} {epoch}")  # noqa: S311 - an order, no secret
            keys = [generator.random() for _ in range(self.program.rows)]
            self._epoch, self._order = epoch, sorted(range(len(keys)), key=keys.__getitem__)
        return self._order[place * size : (place + 1) * size]

    def _check(self, losses: list[float]) -> None:
        for step, loss in enumerate(losses, self.done - len(losses) + 1):
            if not math.isfinite(loss):
                raise AnnealError(f"the loss is {loss} at step {step}: training has diverged and stops here; try a smaller learning rate (--lr)")

    def score(self) -> float:
        """The number by which the model is judged, over the held-out rows, with the parameters as they are now."""
        if self._score is None:
            self._score = Executable(self._score_program, self.device)
        self._score.run()
        return float(host.decode(self._score.read(0), self._score_program.outputs[0].dtype, 1)[0])


def _words(seed: int) -> tuple[int, int]:
    return seed & _WORD, seed >> 32


def _random_keys(buffers: tuple[Buffer, ...], seed: int) -> list[tuple[int, Buffer]]:
    """The inputs that are keys of random tensors, such as a dropout's mask, with the number of the call that made each."""
    found = {b.pending: b for b in buffers if b.dtype is dtypes.uint32 and b.shape == (2,) and isinstance(b.pending, bytes)}
    keys = [host.pack(threefry(_words(seed), (call, 0)), dtypes.uint32) for call in range(_CALLS)] if found else []
    return [(call, found[key]) for call, key in enumerate(keys) if key in found]


def median_milliseconds(windows: list[Window]) -> float:
    """The median time of a step; the first window, which waits for the driver's compiler, counts only when there is no other."""
    firsts = [b.last - a.last for a, b in pairwise(windows)]
    times = [w.seconds / n for w, n in zip(windows[1:], firsts, strict=True)] or [w.seconds / len(w.losses) for w in windows] or [0.0]
    ordered = sorted(times)
    middle = len(ordered) // 2
    return 1e3 * (ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)
