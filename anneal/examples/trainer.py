"""Training: one plan for forward, backward and update, run once a step.

The host uploads the row numbers of a batch and nothing else; losses wait on the device, in a ring of buffers, until a window of steps is
read at once. Batch, parameters and random numbers of step n depend on the seed and n alone, so training that stops and is resumed gives
the numbers of training that did not stop. Now and then the last step of a window is clocked kernel by kernel on the device, which changes no
number either.

>>> from anneal.examples import EXAMPLES
>>> from anneal.runtime.device import get_device
>>> trainer = Trainer(Program(EXAMPLES["mlp"], batch=8), get_device("reference"))
>>> [round(w.losses[0], 1) for w in trainer.train(1)]
[2.4]
"""

from __future__ import annotations

import math
import random
import signal
import statistics
import threading
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from anneal.codegen.target import Target
from anneal.errors import AnnealError
from anneal.examples.monitor import Facts, Monitor, Record
from anneal.examples.program import Program, trace
from anneal.ir.dtype import dtypes
from anneal.runtime.device import Device
from anneal.runtime.plan import Plan
from anneal.tensor import host, realize, storage
from anneal.tensor.random import threefry
from anneal.tensor.realize import Executable
from anneal.tensor.storage import Buffer
from anneal.view.phases import ORDER

WINDOW: Final = 10
"""Steps whose losses are read together; within what a device keeps recorded of one plan."""
SCORES: Final = 30
"""How often a training is scored on the held-out rows, about."""
_SCORED: Final = 500
"""Steps after which it is scored at the latest."""
_CLOCKED: Final = 0.25
"""Seconds from one step that is clocked kernel by kernel to the next."""
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
    """Time of all of them, from the first upload to when the last loss was read; a clocked step counts as the mean of the others."""
    host_seconds: float
    """Mean time of a step in which Python prepared and submitted it, without the kernels that the reference device runs then; a GPU computes meanwhile."""
    device_seconds: float | None
    """Mean time of a step's kernels, over the steps that were clocked; None where none was."""


class Trainer:
    """A program compiled for a device, and how far it has got."""

    def __init__(self, program: Program, device: Device, done: int = 0, target: Target | None = None) -> None:
        """`done` steps have been made already; their state is in the program's tensors. The step is compiled for `target`, by default the device's."""
        self.program, self.device, self.done = program, device, done
        start = time.perf_counter()
        score, _ = trace([program.score()])
        traced, self.names = trace(program.outputs("step"), program.names())
        realize.compile_program(traced, target or device.target)
        self.compile_seconds = time.perf_counter() - start
        self._score: Executable | None = None
        self._score_program = score
        self._keys = _random_keys(traced.buffers, program.seed)
        self.executable = Executable(traced, device, target)
        self._dtype = traced.outputs[0].dtype
        self._loss = self.executable.plan.outputs[0] - self.executable.inputs
        self._ring = [device.allocate(4) for _ in range(WINDOW)]
        self._index = storage.buffer_of(program.index.uop)
        realize.place([self._index], device)
        self._clocked = -math.inf
        """When a step was clocked last."""
        self._inline = device.name == "reference"
        """The device computes inside the call that submits, and clocks every kernel anyway."""
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
            window, stopped = self.device.finish(self._window(until, stop))
            yield window

    async def train_async(self, until: int, stop: Callable[[], bool] = lambda: False) -> AsyncIterator[Window]:
        """As `train`; whenever a window waits for the device, a browser tab goes on with other work."""
        stopped = self.done >= until
        while not stopped:
            window, stopped = await self._window(until, stop)
            yield window

    async def _window(self, until: int, stop: Callable[[], bool]) -> tuple[Window, bool]:
        """The next window, and whether the training stops after it."""
        submitted, device, aside = list[float](), list[float](), 0.0
        start, first = time.perf_counter(), self.done
        while True:
            clocked = self._inline or (len(submitted) > 0 and self._due(until))
            if clocked and not self._inline:
                await self.device.wait_async()
            began = time.perf_counter()
            kernels = await self._step(self.done - first, clocked=clocked)
            spent = time.perf_counter() - began
            if clocked:
                device.append(sum(kernels))
            if clocked and not self._inline:
                aside, self._clocked = spent, began
            else:
                submitted.append(spent - sum(kernels))
            stopped = self.done >= until or stop()
            if stopped or self.done % WINDOW == 0 or self.done == 1:
                break
        count = self.done - first
        read = await self.device.read_many_async([(s, 4) for s in self._ring[:count]])
        losses = [float(host.decode(data, self._dtype, 1)[0]) for data in read]
        self._check(losses)
        seconds = (time.perf_counter() - start - aside) * count / len(submitted)
        return Window(self.done, losses, seconds, statistics.fmean(submitted), statistics.fmean(device) if device else None), stopped

    def _due(self, until: int) -> bool:
        """True when the next step is the last of a window, and it is time that one is clocked."""
        return (self.done + 1 >= until or (self.done + 1) % WINDOW == 0) and time.perf_counter() - self._clocked > _CLOCKED

    async def _step(self, slot: int, *, clocked: bool) -> list[float]:
        """Submit one step, which will leave its loss in the ring; returns the seconds of each kernel when it is clocked."""
        self.device.write(self._index.storage, array("i", self._batch(self.done)).tobytes())
        for call, buffer in self._keys:
            key = threefry(_words(self.program.seed), (call, self.done & _WORD))
            self.device.write(buffer.storage, host.pack(key, dtypes.uint32))
        self.executable.made[self._loss] = self._ring[slot]
        kernels: list[float] = []
        if clocked:
            kernels = await self.executable.profile_async()
        else:
            self.executable.run()
        self.done += 1
        return kernels

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
                raise AnnealError(f"the loss is {loss} at step {step}: training has diverged and stops here; try a smaller learning rate (lr)")

    def score(self) -> float:
        """The number by which the model is judged, over the held-out rows, with the parameters as they are now."""
        return self.device.finish(self.score_async())

    async def score_async(self) -> float:
        """As `score`; a browser tab goes on with other work meanwhile."""
        if self._score is None:
            self._score = Executable(self._score_program, self.device)
        self._score.run()
        return float(host.decode(await self._score.read_async(0), self._score_program.outputs[0].dtype, 1)[0])


def _words(seed: int) -> tuple[int, int]:
    return seed & _WORD, seed >> 32


def _random_keys(buffers: tuple[Buffer, ...], seed: int) -> list[tuple[int, Buffer]]:
    """The inputs that are keys of random tensors, such as a dropout's mask, with the number of the call that made each."""
    found = {b.pending: b for b in buffers if b.dtype is dtypes.uint32 and b.shape == (2,) and isinstance(b.pending, bytes)}
    keys = [host.pack(threefry(_words(seed), (call, 0)), dtypes.uint32) for call in range(_CALLS)] if found else []
    return [(call, found[key]) for call, key in enumerate(keys) if key in found]


def facts(trainer: Trainer, optimizer: str) -> Facts:
    """What a trainer trains, where and how, before its first step."""
    program, plan = trainer.program, trainer.plan
    combined = Counter(tuple(at for at, phase in enumerate(ORDER) if phase in kernel.phases) for kernel in plan.kernels)
    return Facts(
        program.example.name,
        trainer.device.name,
        trainer.device.description,
        batch=program.batch,
        optimizer=optimizer,
        seed=program.seed,
        rows=program.rows,
        held=program.held,
        parameters=sum(p.numel() for p in program.parameters),
        start=trainer.done,
        uops=plan.stats["uops"],
        kernels=len(plan.kernels),
        phases={"+".join(ORDER[at] for at in phases): count for phases, count in sorted(combined.items())},
        bytes=plan.stats["peak_bytes"],
        fingerprint=plan.fingerprint,
        compile_seconds=trainer.compile_seconds,
    )


def follow(trainer: Trainer, monitor: Monitor) -> None:
    """Train as the monitor's displays ask, and tell it everything; raises what training raises, which the monitor knows by then.

    Scoring reads the parameters and changes nothing, so the losses are those of a training that is not watched.
    """

    async def hold() -> None:
        monitor.wait()

    trainer.device.finish(_follow(trainer, monitor, hold))


async def follow_async(trainer: Trainer, monitor: Monitor) -> None:
    """As `follow`; while the device computes and while the training is paused, a browser tab goes on with other work."""
    await _follow(trainer, monitor, monitor.wait_async)


async def _follow(trainer: Trainer, monitor: Monitor, hold: Callable[[], Awaitable[None]]) -> None:
    every = _interval(monitor.steps - trainer.done)
    try:
        await hold()
        while trainer.done < monitor.steps and not (monitor.stopping and monitor.records):
            async for window in trainer.train_async(monitor.steps, monitor.halt):
                ends = window.last >= monitor.steps or monitor.halt()
                accuracy = await _scored(trainer, monitor) if ends or window.last % every == 0 else None
                monitor.add(_records(window, accuracy))
            await hold()
    except BaseException as error:
        monitor.end(error)
        raise
    monitor.end()


def _interval(steps: int) -> int:
    """Steps from one scoring to the next: whole windows."""
    return min(_SCORED, max(WINDOW, math.ceil(steps / SCORES / WINDOW) * WINDOW))


async def _scored(trainer: Trainer, monitor: Monitor) -> float:
    monitor.state = "scoring"
    start = time.perf_counter()
    accuracy = await trainer.score_async()
    monitor.score_seconds = time.perf_counter() - start
    monitor.state = "training"
    return accuracy


def _records(window: Window, accuracy: float | None) -> list[Record]:
    """The steps of a window; the score belongs to the last."""
    first, count = window.last - len(window.losses) + 1, len(window.losses)
    each = window.seconds / count
    return [
        Record(first + i, loss, each, window.host_seconds, window.device_seconds, accuracy if i == count - 1 else None) for i, loss in enumerate(window.losses)
    ]


@contextmanager
def interruptible(monitor: Monitor) -> Iterator[None]:
    """Inside, a first Ctrl-C asks the training to stop after the step it is at; the next one is Python's own again."""
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread only
        yield
        return

    def press(_: int, __: object) -> None:
        monitor.stop()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
