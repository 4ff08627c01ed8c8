"""Runs the open program on the device of the tab: values, pictures, times of the kernels, and a check against plain Python.

A run works on memory of its own and on copies of what the program has, so nothing that a user could see afterwards changes, also when it fails.
With `kernel` the kernels up to that one run, and its inputs and outputs are told; `seed` draws random inputs instead of the program's own.

>>> picture((16, 3, 32, 32), [-1.0, 1.0]), picture((100, 64), [-1.5, 2.0]), picture((10, 4), [0.0, 1.0])
({'width': 32, 'height': 32, 'channels': 3, 'sure': True}, {'width': 8, 'height': 8, 'channels': 1, 'sure': False}, None)
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from anneal.errors import NoDeviceError, UsageError, number_of
from anneal.export.plain import plain
from anneal.ir.dtype import Scalar
from anneal.ir.uop import UOp
from anneal.runtime import pipeline
from anneal.runtime.base import Clock
from anneal.runtime.device import open_device
from anneal.viz import checking, inputs
from anneal.viz.bench import Bench
from anneal.viz.checking import Verdict
from anneal.viz.inputs import Values
from anneal.viz.lines import kernel_number
from anneal.viz.messages import Params, is_whole
from anneal.viz.state import Opened, State

MOST_VALUES: Final = 4096
"""Numbers of an output that the page is told."""
MOST_INPUT_VALUES: Final = 2048
LARGEST_SEED: Final = (1 << 32) - 1
SIDES: Final = range(4, 257)
"""Pixels that a side of a picture may have."""
ROWS: Final = {64: 8, 256: 16, 784: 28, 1024: 32}
"""Elements of a row that may be a square picture, as of the digits, and its side."""


class Image(TypedDict):
    """The elements of a value as pictures, one after the other: channels, then rows, then columns."""

    width: int
    height: int
    channels: int
    sure: bool
    """False where it may as well be a matrix."""


class Check(TypedDict):
    """How a value compares with plain Python's."""

    agrees: bool
    max_error: float | str
    tolerance: float
    count: int
    """Elements compared."""
    message: str


class Told(TypedDict):
    """A value on the device."""

    name: str
    dtype: str
    shape: list[int]
    values: list[float | bool | str]
    """The first elements in row-major order; what is not finite is text, as `anneal.export.plain` has it."""
    count: int
    """How many elements there are."""
    image: Image | None
    check: Check | None


class KernelTimes(TypedDict):
    """What a kernel took."""

    name: str
    number: int
    seconds: float
    """The median of `times`."""
    times: list[float]


class Checked(TypedDict):
    """What became of a check that was asked for."""

    how: Literal["whole", "sample", "refused"]
    agrees: bool
    message: str


class Ran(TypedDict):
    """A run."""

    kernel: int | None
    outputs: list[Told]
    inputs: list[Told]
    kernels: list[KernelTimes]
    clock: Clock
    seconds: float
    """The median of all kernels together."""
    runs: int
    device: str
    checked: Checked | None


def picture(shape: Sequence[int], values: Sequence[Scalar]) -> Image | None:
    """What pictures a value of this shape, of which some elements are given, may be.

    Surely (…, channels 3, H, W) and, of three axes or more, (…, H, W), where the sides are 4 to 256 pixels and neither is more than twice the other.
    Two axes whose rows have 64, 256, 784 or 1,024 elements may be a square a row: surely where nothing is below 0, nor everything 0, as in pixels;
    else it may as well be a matrix. Nothing else is a picture.
    """
    if len(shape) >= 3:
        *_, depth, height, width = shape
        if height in SIDES and width in SIDES and max(height, width) <= 2 * min(height, width):
            return {"width": width, "height": height, "channels": 3 if depth == 3 else 1, "sure": True}
    if len(shape) == 2 and (side := ROWS.get(shape[1])):
        return {"width": side, "height": side, "channels": 1, "sure": any(v > 0 for v in values) and not any(v < 0 for v in values)}
    return None


async def run(state: State, params: Params) -> Ran:
    """Answer `run {check, seed, kernel}`. Raises NoDeviceError without a device, DeviceError where it fails, UsageError for no such kernel or seed."""
    opened = state.open
    if state.no_device is not None:
        raise NoDeviceError(state.no_device)
    kernel = None if params.get("kernel") is None else kernel_number(opened, params["kernel"])
    seed = _seed(params.get("seed"))
    device = await open_device()
    plan = opened.compiled.plan
    given = await inputs.given(opened.traced, opened.known.inputs, device)
    if seed is not None:
        source = random.Random(seed)  # noqa: S311 - values to compute with, no secret
        given = [values.drawn(source) for values in given]
    bench = Bench(device, plan, given)
    last = len(plan.kernels) if kernel is None else kernel + 1
    times = await bench.times(bench.part(0, last)) if last else []
    bench.begin()
    check = bool(params.get("check"))
    results = await (_program(opened, bench, check=check) if kernel is None else _kernel(opened, bench, kernel, check=check))
    whole = [sum(row) for row in zip(*times, strict=True)]
    return {
        "kernel": kernel,
        "outputs": [_told(v, MOST_VALUES, verdict) for v, verdict in zip(results.wrote, results.verdicts, strict=True)],
        "inputs": [_told(v, MOST_INPUT_VALUES, None) for v in results.read],
        "kernels": [{"name": k.name, "number": i, "seconds": _median(t), "times": t} for i, (k, t) in enumerate(zip(plan.kernels, times, strict=False))],
        "clock": device.clock,
        "seconds": _median(whole) if whole else 0.0,
        "runs": len(whole),
        "device": device.description,
        "checked": results.checked,
    }


def _seed(value: object) -> int | None:
    if value is None or is_whole(value, 0, LARGEST_SEED):
        return value
    raise UsageError(f"a seed is a whole number from 0 to {LARGEST_SEED:,}, or nothing for the program's own inputs, not {value!r}")


def _median(times: Sequence[float]) -> float:
    return sorted(times)[len(times) // 2]


@dataclass(slots=True)
class _Results:
    """What a run read and wrote, and how that compares."""

    read: Sequence[Values]
    wrote: Sequence[Values]
    verdicts: Sequence[Verdict | None]
    checked: Checked | None = None


async def _program(opened: Opened, bench: Bench, *, check: bool) -> _Results:
    """Run everything."""
    sink, plan = opened.traced.sink, bench.plan
    wanted = [(at, name, plan.buffers[at].shape, plan.buffers[at].dtype) for at, name in zip(plan.outputs, opened.output_names, strict=True)]
    if check and (work := checking.work_of([sink])) > checking.MOST:
        found = [row for number in range(len(plan.kernels)) for row in await _sampled(opened, bench, number)]
        what = f"The whole graph is too much for plain Python ({work:,} elements), but elements of what every kernel stores, drawn at random, were computed"
        wrote = await bench.read(wanted)
        return _Results(bench.given, wrote, [None] * len(wrote), _judged("sample", [v for _, v in found], what))
    bench.run(plan)
    wrote = await bench.read(wanted)
    if not check:
        return _Results(bench.given, wrote, [None] * len(wrote))
    expected = checking.whole(sink, [v.numbers() for v in bench.given])
    verdicts = [checking.compare(v.numbers(), want, v.dtype) for v, want in zip(wrote, expected, strict=True)]
    return _Results(bench.given, wrote, verdicts, _judged("whole", verdicts, "The whole graph was computed"))


async def _kernel(opened: Opened, bench: Bench, number: int, *, check: bool) -> _Results:
    """Run the kernels up to one, and tell what that one read and wrote."""
    plan = bench.plan
    told = opened.compiled.plan.explain(opened.known.inputs, opened.output_names).kernels[number]
    bindings = plan.kernels[number].bindings
    bench.run(bench.part(0, number))
    reads = zip((b for b in bindings if not b.writes or b.updates), told.inputs, strict=True)
    read = await bench.read([(b.buffer, v.name, v.shape, v.dtype) for b, v in reads])
    stores = [b for b in bindings if b.writes]
    verdicts: list[Verdict | None] = [None] * len(stores)
    checked = None
    if check:
        found = await _sampled(opened, bench, number)
        worst = dict(sorted(found, key=lambda row: row[1] is not None and not row[1].agrees))  # of several stores into one buffer, what differs
        verdicts = [worst.get(b.buffer) for b in stores]
        checked = _judged("sample", [v for _, v in found], "Elements of what the kernel stores, drawn at random, were computed from what it was given")
    else:
        bench.run(bench.part(number, number + 1))
    wrote = await bench.read([(b.buffer, v.name, v.shape, v.dtype) for b, v in zip(stores, told.outputs, strict=True)])
    return _Results(read, wrote, verdicts, checked)


async def _sampled(opened: Opened, bench: Bench, number: int) -> list[tuple[int, Verdict | None]]:
    """Run one kernel on what the buffers hold; for each of its stores the buffer and how a sample compares, None where that is too much."""
    kernel = bench.plan.kernels[number]
    rows = [(b.buffer, "", b.shape, b.dtype) for b in kernel.bindings]
    memory = {i: v.numbers() for i, v in enumerate(await bench.read(rows))}
    bench.run(bench.part(number, number + 1))
    after = await bench.read(rows)
    source = random.Random(number)  # noqa: S311 - which elements to look at, no secret
    share = checking.SECONDS / sum(len(body.src) for body in _bodies(opened))
    found: list[tuple[int, Verdict | None]] = []
    for store in _bodies(opened)[number].src:
        at = store.src[0].arg[0]
        drawn, got = checking.sample(store, memory, source, share), after[at].numbers()
        verdict = None if drawn is None else checking.compare([got[i] for i in drawn.places], drawn.values, after[at].dtype, drawn.places)
        found.append((kernel.bindings[at].buffer, verdict))
    return found


def _bodies(opened: Opened) -> list[UOp]:
    """Each kernel's body before it was lowered: a SINK of STOREs into PARAMs, which are its bindings."""
    return opened.once("bodies", lambda: [b.sink for b in pipeline.compile_until(opened.traced.sink, opened.compiled.target, "lowered").bound])


def _judged(how: Literal["whole", "sample"], verdicts: Sequence[Verdict | None], what: str) -> Checked:
    """All verdicts of a run as one; None stands for a value that was too much to check."""
    done = [v for v in verdicts if v is not None]
    limit = f"one element takes plain Python more than {checking.MOST_OF_ONE:,} operations"
    if verdicts and not done:
        return {"how": "refused", "agrees": False, "message": f"Not checked: {limit}."}
    left = f" Not checked: {number_of(len(verdicts) - len(done), 'value')}, where {limit}." if len(done) < len(verdicts) else ""
    wrong = next((v for v in done if not v.agrees), None)
    if wrong is not None:
        return {"how": how, "agrees": False, "message": f"{what} in plain Python. It differs: {wrong.message}.{left}"}
    count = sum(v.count for v in done)
    return {
        "how": how,
        "agrees": True,
        "message": f"{what} in plain Python. All agree ({number_of(count, 'element')}) within the tolerance of their dtype.{left}",
    }


def _told(values: Values, most: int, verdict: Verdict | None) -> Told:
    numbers = [_short(v) for v in values.numbers(most)]
    check: Check | None = None
    if verdict is not None:
        check = {
            "agrees": verdict.agrees,
            "max_error": plain(verdict.max_error),
            "tolerance": verdict.tolerance,
            "count": verdict.count,
            "message": verdict.message,
        }
    return {
        "name": values.name,
        "dtype": values.dtype.name,
        "shape": list(values.shape),
        "values": plain(numbers),
        "count": values.count,
        "image": picture(values.shape, numbers) if values.dtype.is_float else None,
        "check": check,
    }


def _short(value: Scalar) -> Scalar:
    """A float in as many digits as a float32 has."""
    return float(f"{value:.8g}") if isinstance(value, float) else value
