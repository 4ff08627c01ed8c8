"""The state of a training that every display shares: what is trained, each step so far, and whether to pause or stop.

The trainer writes it in one thread; displays read it in any, at any time, and only ever ask: `pause`, `resume`, `stop`. Records are
added and never changed, so a reader needs no lock: it takes the length once and reads up to there.

>>> facts = Facts("mlp", "reference", "NumPy", batch=8, optimizer="sgd", seed=0, rows=64, held=16, parameters=10)
>>> monitor = Monitor(facts, steps=3)
>>> monitor.add([Record(1, 2.5, 0.5, 0.1, 0.4, None), Record(2, 2.25, 0.25, 0.05, 0.2, 0.5)])
>>> monitor.done, monitor.step_seconds, monitor.line()
(2, 0.375, 'step 2/3  loss 2.2500  250.00 ms/step  accuracy 0.5000')
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

State = Literal["waiting", "training", "scoring", "paused", "done", "stopped", "failed"]
Time = Literal["seconds", "host_seconds", "device_seconds"]
RECENT: Final = 100
"""Steps that medians and the time left are taken from: the last ones."""
_LOOK: Final = 0.02
"""Seconds from one look whether a paused training goes on to the next, where it cannot block."""


@dataclass(frozen=True, slots=True)
class Record:
    """One step."""

    step: int
    """Its number; steps count from 1, also those made before a resumption."""
    loss: float
    seconds: float
    """Its time: that of its window, from the first upload to when the last loss was read, shared equally."""
    host_seconds: float
    """The part in which Python prepared and submitted it, the mean over its window. A GPU computes meanwhile."""
    device_seconds: float | None
    """The time of its kernels by the device's clock, the mean over the steps of its window that were clocked; None where none was."""
    accuracy: float | None
    """The score over the held-out rows after this step, where it was taken; its time is in no step's."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is trained, where and how; nothing of it changes during the training."""

    model: str
    device: str
    """Name of the device."""
    backend: str
    """The device in words."""
    batch: int
    optimizer: str
    seed: int
    rows: int
    """Rows to learn from."""
    held: int
    """Rows held out to judge by."""
    parameters: int
    """Numbers that are learned."""
    start: int = 0
    """Steps made before, when it is resumed."""
    uops: int = 0
    """Nodes of the step's graph."""
    kernels: int = 0
    """Kernels of a step."""
    phases: dict[str, int] = field(default_factory=dict)
    """How many kernels compute which phases together, such as {"forward": 3, "backward+update": 2}."""
    bytes: int = 0
    """Bytes of all buffers of a step: data, parameters, state, temporaries."""
    fingerprint: str = ""
    """The plan's."""
    compile_seconds: float = 0.0

    @property
    def fused(self) -> int:
        """Kernels that compute more than one phase."""
        return sum(count for phases, count in self.phases.items() if "+" in phases)


class Monitor:
    """A training as displays see it."""

    def __init__(self, facts: Facts, steps: int) -> None:
        """The training goes to step `steps`, counted from the start also when it is resumed."""
        self.facts, self.steps = facts, steps
        self.records: list[Record] = []
        """Every step of this process, in order."""
        self.accuracies: list[tuple[int, float]] = []
        """Step and score, for each time that the held-out rows were scored."""
        self.state: State = "waiting"
        self.error: str | None = None
        """Why the training failed."""
        self.observers: list[Callable[[Sequence[Record]], None]] = []
        """Called in the trainer's thread with each window's new records."""
        self.warm = 0
        """How many of the records are of the first window, which waits for the driver's compiler; medians leave them out."""
        self.score_seconds = 0.0
        """Time of the last scoring."""
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        self._began = time.monotonic()
        self._ended: float | None = None

    # What displays ask for.

    def stop(self) -> None:
        """End the training after the step it is at."""
        self._stop.set()
        self._go.set()

    def pause(self) -> None:
        """Hold the training after the step it is at."""
        self._go.clear()
        if self._stop.is_set():  # in this order nobody is left waiting, whichever thread stops the training meanwhile
            self._go.set()

    def resume(self) -> None:
        """Go on after a pause."""
        self._go.set()

    @property
    def stopping(self) -> bool:
        """True once `stop` was called."""
        return self._stop.is_set()

    @property
    def pausing(self) -> bool:
        """True from `pause` to `resume`."""
        return not self._go.is_set()

    # What the trainer tells.

    def halt(self) -> bool:
        """True when the trainer shall come back after the step it is at."""
        return self._stop.is_set() or not self._go.is_set()

    def wait(self) -> None:
        """Return when the training may go on."""
        if not self._go.is_set():
            self.state = "paused"
            self._go.wait()
        self.state = "training"

    async def wait_async(self) -> None:
        """As `wait`; whoever shares the event loop with the training goes on meanwhile."""
        while not self._go.is_set():
            self.state = "paused"
            await asyncio.sleep(_LOOK)
        self.state = "training"

    def add(self, records: Sequence[Record]) -> None:
        """A window's records; tells the observers."""
        self.warm = self.warm or len(records)
        self.accuracies += [(r.step, r.accuracy) for r in records if r.accuracy is not None]
        self.records += records
        for observer in self.observers:
            observer(records)

    def end(self, error: BaseException | None = None) -> None:
        """The training is over: finished, stopped, or failed with an error."""
        self._ended = time.monotonic()
        self.error = None if error is None else str(error) or type(error).__name__
        self.state = "failed" if error is not None else "done" if self.done >= self.steps else "stopped"

    # What displays show.

    @property
    def done(self) -> int:
        """Steps done, those before a resumption too."""
        return self.records[-1].step if self.records else self.facts.start

    @property
    def fraction(self) -> float:
        """The part of this process's steps that is done, from 0 to 1."""
        return (self.done - self.facts.start) / max(self.steps - self.facts.start, 1)

    @property
    def elapsed(self) -> float:
        """Seconds since the training began, pauses and scoring too."""
        return (self._ended or time.monotonic()) - self._began

    @property
    def interrupted(self) -> bool:
        """True when it ended, or will end, before its last step because `stop` was called."""
        return self.stopping and self.done < self.steps

    def counted(self, recent: int | None = RECENT) -> list[Record]:
        """The last `recent` records, or all, without those of the first window unless there are no others."""
        first = self.warm if self.warm < len(self.records) else 0
        return self.records[first if recent is None else max(first, len(self.records) - recent) :]

    def median(self, what: Time, recent: int | None = RECENT) -> float | None:
        """The median of a time over the last steps, or all; None where there is none."""
        found = [value for r in self.counted(recent) if (value := getattr(r, what)) is not None]
        return statistics.median(found) if found else None

    @property
    def step_seconds(self) -> float | None:
        """Median time of the last steps."""
        return self.median("seconds")

    @property
    def samples_per_second(self) -> float | None:
        """Rows learned from in a second."""
        seconds = self.step_seconds
        return self.facts.batch / seconds if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Time until the last step, scoring included; None before the first window."""
        seconds = self.step_seconds
        if seconds is None:
            return None
        left = self.steps - self.done
        scored = len(self.accuracies) / max(len(self.records), 1)
        return left * (seconds + scored * self.score_seconds)

    @property
    def accuracy(self) -> float | None:
        """The last score."""
        return self.accuracies[-1][1] if self.accuracies else None

    def line(self) -> str:
        """The last step as a line of text."""
        if not self.records:
            return f"step {self.done}/{self.steps}"
        last = self.records[-1]
        text = f"step {last.step:>{len(str(self.steps))}}/{self.steps}  loss {last.loss:.4f}  {last.seconds * 1e3:.2f} ms/step"
        return text if last.accuracy is None else f"{text}  accuracy {last.accuracy:.4f}"
