"""The measuring of `anneal bench`: compilations stage by stage, and computations in turns with PyTorch's.

A time is the host's, from the first call to when the device is done, over as many calls in a row as its clock can tell; that of the kernels
alone is the device's. The two sides take turns, so what slows the machine for a while slows both, and the ratio of each turn is a sample.

>>> from anneal.cli.bench_cases import select
>>> from anneal.runtime.device import get_device
>>> compilation(select(["compile-mlp"])[0], get_device("reference"), seconds=0)["stages"].keys() >= {"graph", "simplified", "wgsl"}
True
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from anneal.cli.bench_cases import Case
from anneal.cli.bench_peer import Peer
from anneal.examples import EXAMPLES
from anneal.examples.program import Program, trace
from anneal.examples.trainer import WINDOW, Trainer
from anneal.export import measured
from anneal.export.schema.bench import Compilation, Sampled, Timing
from anneal.export.schema.bench import Peer as PeerTimes
from anneal.runtime import pipeline
from anneal.runtime.device import Device, Storage
from anneal.runtime.measure import Peaks, Spread, sample
from anneal.runtime.plan import Plan
from anneal.tensor.realize import Executable, compile_program
from anneal.tensor.tensor import Tensor

_LEAST: Final = 3
"""Samples at the least."""
_SHARE: Final = 4
"""The kernels alone are given one part in so many of the time."""
_TICK: Final = 1e-9
"""What a device's clock can tell apart, about: no time is shorter."""
_ENOUGH: Final = 0.02
"""Seconds of one sample: many calls of what is quick."""
_SLOW: Final = 0.5
"""Seconds of a first call from which there is no need of a second one to know that it is slow."""
_MOST: Final = 1000
"""Calls of one sample."""

Clock = Callable[[], float]
"""Seconds of a call, measured when it is called."""


def compilation(case: Case, device: Device, seconds: float) -> Compilation:
    """Compile an example's step again and again, each time from nothing but loaded data and imported modules."""
    stages: dict[str, list[float]] = {}
    stats: dict[str, Any] = {}

    def once() -> float:
        program = Program(EXAMPLES[case.model])
        pipeline.forget()
        gc.collect()
        start = time.perf_counter()
        traced, _ = trace(program.outputs("step"), program.names())
        graph = time.perf_counter() - start
        stats.update(compile_program(traced, device.target).stats)
        whole = time.perf_counter() - start
        for stage, spent in {"graph": graph, **{name: ms / 1e3 for name, ms in stats["ms"].items()}}.items():
            stages.setdefault(stage, []).append(spent)
        return whole

    once()
    stages.clear()
    total = Spread.of(sample(once, seconds, _LEAST))
    return Compilation(
        name=case.name,
        doc=case.doc,
        uops=stats["uops"],
        rewrites=stats["rewrites"],
        kernels=stats["kernels"],
        stages={stage: measured.spread(Spread.of(times)) for stage, times in stages.items()},
        total=measured.spread(total),
    )


@dataclass(frozen=True, slots=True)
class _Ready:
    """A computation that can be run."""

    clock: Clock
    """Of a run, by the host."""
    plan: Plan
    storages: Callable[[], Sequence[Storage]]
    """What the plan runs on by now."""
    bytes: int
    flops: int


def timing(case: Case, device: Device, peer: Peer | None, seconds: float) -> Sampled:
    """Run a computation or a training step for about so many seconds, in turns with PyTorch's."""
    ready = _step(case, device) if case.kind == "step" else _kernel(case, device)
    other = peer.prepare(case) if peer is not None else None
    theirs = None if other is None else _clock(other.call, lambda: None)
    turns: list[tuple[float, float]] = []

    def turn() -> float:
        turns.append((ready.clock(), theirs() if theirs else 0.0))
        return turns[-1][0]

    spread = Spread.of(sample(turn, seconds, _LEAST))
    sample(ready.clock, seconds / _SHARE, least=1)  # a device that idled while the other side computed begins slowly
    alone = Spread.of(sample(lambda: sum(device.profile(ready.plan, ready.storages())), seconds / _SHARE, _LEAST))
    return Sampled(
        name=case.name,
        doc=case.doc,
        kernels=len(ready.plan.kernels),
        seconds=measured.spread(spread),
        device_seconds=measured.spread(alone),
        bytes=ready.bytes,
        flops=ready.flops,
        bytes_per_second=measured.spread(alone.rate(ready.bytes)),
        flops_per_second=measured.spread(alone.rate(ready.flops)),
        peer=None if other is None else _compared(turns, other.threads),
    )


def held_against(peaks: Peaks, found: Sampled) -> Timing:
    """What was sampled, with how near it comes to the peaks."""
    memory, compute = found["bytes"] / peaks.copy_bytes_per_second, found["flops"] / peaks.flops_per_second
    ideal = max(memory, compute) / max(found["device_seconds"]["median"], _TICK)
    return {**found, "bound": "memory" if memory >= compute else "compute", "of_peak": ideal}


def _compared(turns: Sequence[tuple[float, float]], threads: int) -> PeerTimes:
    seconds, ratio = Spread.of([theirs for _, theirs in turns]), Spread.of([ours / theirs for ours, theirs in turns])
    return PeerTimes(threads=threads, seconds=measured.spread(seconds), ratio=measured.spread(ratio))


def _clock(call: Callable[[], object], wait: Callable[[], object]) -> Clock:
    """A clock of a call, over as many calls in a row as fill a sample; the first call, which may compile, is not counted."""

    def measure(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            call()
        wait()
        return (time.perf_counter() - start) / times

    first = measure(1)
    second = first if first > _SLOW else measure(1)
    times = max(1, min(_MOST, int(_ENOUGH / max(second, 1e-6))))
    return lambda: measure(times)


def _kernel(case: Case, device: Device) -> _Ready:
    """A computation on random numbers."""
    assert case.run is not None
    operands = [Tensor.rand(*shape, device=device.name).realize() for shape in case.shapes]
    ready = Executable(trace([case.run(*operands)])[0], device)
    return _Ready(_clock(ready.run, device.wait), ready.plan, partial(_storages, ready), case.bytes, case.flops)


def _step(case: Case, device: Device) -> _Ready:
    """A training step as `anneal train` runs it; bytes and operations are those that its kernels count."""
    trainer = Trainer(Program(EXAMPLES[case.model]), device)
    windows = trainer.train(1 << 30)
    for _ in range(2):
        next(windows)  # the first step alone, then those up to the tenth
    kernels = trainer.plan.kernels
    moved, done = sum(int(k.bytes) for k in kernels), sum(int(k.flops) for k in kernels)
    return _Ready(lambda: next(windows).seconds / WINDOW, trainer.plan, partial(_storages, trainer.executable), moved, done)


def _storages(ready: Executable) -> list[Storage]:
    return [*(b.storage for b in ready.program.buffers), *ready.made]
