"""How long each kernel of a program takes on a device, and how near that comes to what the device can do.

The program runs on its real inputs. What it would overwrite is a copy, written anew before each run, so every run computes the same
and what the caller holds stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from anneal.errors import DeviceError
from anneal.export.measured import spread
from anneal.export.schema.kernels import KernelRun, Kernels, Run
from anneal.runtime.device import Device, Storage
from anneal.runtime.measure import Peaks, Spread, peaks, sample
from anneal.runtime.plan import Plan, size
from anneal.tensor.realize import Program, place

_NO_SYMBOLS: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds by kernel, over several runs."""

    kernels: tuple[Spread, ...]
    whole: Spread
    """Of all kernels of a run together."""
    peaks: Peaks


def timed(program: Program, plan: Plan, device: Device) -> Timing:
    """Run a program several times; the first run, which may compile, does not count. Raises DeviceError where the device fails."""
    place(program.buffers, device)
    storages, copies = _storages(program, plan, device)
    runs: list[list[float]] = []

    def once() -> float:
        for storage, data in copies:
            device.write(storage, data)
        runs.append(device.profile(plan, storages))
        return sum(runs[-1])

    once()
    runs.clear()
    whole = Spread.of(sample(once))
    return Timing(tuple(Spread.of(times) for times in zip(*runs, strict=True)), whole, peaks(device))


def _storages(program: Program, plan: Plan, device: Device) -> tuple[list[Storage], list[tuple[Storage, bytes]]]:
    """Storages for the plan's inputs and outputs, and what to write into those that a run changes."""
    storages: list[Storage] = []
    copies: list[tuple[Storage, bytes]] = []
    for at, buffer in enumerate(b for b in plan.buffers if b.role != "temporary"):
        own = program.buffers[at].storage if buffer.role == "input" else None
        if own is None or at in plan.assigned:
            storages.append(device.allocate(size(buffer.bytes, _NO_SYMBOLS)))
            if own is not None:
                copies.append((storages[-1], device.read(own, size(buffer.bytes, _NO_SYMBOLS))))
        else:
            storages.append(own)
    return storages, copies


def add_times(document: Kernels, timing: Timing, device: Device, inputs: str) -> None:
    """Put what was measured into the document of a program's kernels. `inputs` says in words what it ran on."""
    if not timing.kernels:
        raise DeviceError("the program has no kernels to time")
    total = sum(s.median for s in timing.kernels) or 1.0
    for kernel, seconds in zip(document["kernels"], timing.kernels, strict=True):
        kernel["run"] = _kernel_run(kernel["flops"], kernel["bytes"], seconds, total, timing.peaks)
    document["run"] = Run(
        device=device.name,
        backend=device.description,
        inputs=inputs,
        seconds=spread(timing.whole),
        copy_bytes_per_second=timing.peaks.copy_bytes_per_second,
        multiply_add_flops_per_second=timing.peaks.flops_per_second,
    )


def _kernel_run(flops: int | str, moved: int | str, seconds: Spread, total: float, limits: Peaks) -> KernelRun:
    rates = [size(work, _NO_SYMBOLS) / seconds.median if seconds.median else 0.0 for work in (flops, moved)]
    return {
        "seconds": spread(seconds),
        "share": seconds.median / total,
        "flops_per_second": rates[0],
        "bytes_per_second": rates[1],
        "of_flops_peak": rates[0] / limits.flops_per_second,
        "of_copy_peak": rates[1] / limits.copy_bytes_per_second,
    }
