"""How fast a device is: what kernels cost on it, and the most it can move and compute.

A number is never given alone: it comes with the middle half of its samples. A peak is measured by running kernels of the compiler's own
instructions on the very device: one copies a buffer four elements at a time, one does nothing but multiply and add into registers. Both grow
until the device has enough to do, their results are checked, and the fastest run counts. Reading alone, or from a cache, can be faster than
copying from memory to memory.

>>> Spread.of([3.0, 1.0, 2.0, 4.0, 5.0])
Spread(median=3.0, low=2.0, high=4.0, least=1.0, most=5.0, count=5)
"""

from __future__ import annotations

import statistics
import struct
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from anneal.codegen.program import Program
from anneal.codegen.target import UNIT, Target
from anneal.codegen.wgsl import render
from anneal.errors import DeviceError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.text import print_program
from anneal.ir.uop import ARENA, UOp
from anneal.runtime.base import Device, Storage
from anneal.runtime.plan import Binding, Kernel, Plan, PlanBuffer

_THREADS: Final = 128
"""Invocations of a workgroup: fewer than WebGPU guarantees."""
_ROW: Final = 512
"""Workgroups along x; the work grows along y, so the kernel stays the same."""
_LANES: Final = 4
_CHAINS: Final = 12
"""Registers that a thread multiplies and adds into: the next begins before the last has ended, and a processor has room for all of them."""
_UNROLLED: Final = 16
"""Multiplications and additions of each register in one turn of the loop, so that counting costs little."""
_TURNS: Final = 8
_FACTOR: Final = 0.5
"""`acc * factor + factor` ends at 1, whatever it starts from."""
_GROWTH: Final = 4
_ENOUGH: Final = 4e-3
"""Seconds from which a run is long enough for its clock."""
_LARGEST: Final = 256 << 20
"""Bytes of a buffer to copy: more than the caches of today's devices hold."""
_MOST_ROWS: Final = 1 << 12
_SECONDS: Final = 0.25
"""Seconds of runs for one peak."""
_RUNS: Final = 5
"""Runs that a median is worth something from."""
_PATIENCE: Final = 4
"""How many times longer it may take to come by so many runs."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Samples of a quantity: their median, quartiles and extremes."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """The spread of one sample or more."""
        quartiles = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else [samples[0]] * 3
        return cls(quartiles[1], quartiles[0], quartiles[2], min(samples), max(samples), len(samples))

    def rate(self, work: float) -> Spread:
        """For seconds, how much of `work` is done a second: what is slowest becomes least."""
        low, median, high, least, most = (work / max(s, 1e-12) for s in (self.high, self.median, self.low, self.most, self.least))
        return Spread(median, low, high, least, most, self.count)


@dataclass(frozen=True, slots=True)
class Peaks:
    """The most that a device was seen to do, with the spread of the runs that it was seen in."""

    copy: Spread
    """Bytes read and written a second by a copy from memory to memory."""
    multiply_add: Spread
    """Float32 operations a second of multiplications and additions in registers, two for each pair."""

    @property
    def copy_bytes_per_second(self) -> float:
        """The fastest copy."""
        return self.copy.most

    @property
    def flops_per_second(self) -> float:
        """The fastest run of multiplications and additions."""
        return self.multiply_add.most

    def or_better(self, other: Peaks) -> Peaks:
        """Of each peak the higher: a machine that does other work besides shows less than it can."""
        return Peaks(*(max(pair, key=lambda spread: spread.most) for pair in ((self.copy, other.copy), (self.multiply_add, other.multiply_add))))


def peaks(device: Device) -> Peaks:
    """Measure a device, in about a second. Raises DeviceError where it computes something else than it should."""
    return Peaks(_peak(device, _copy), _peak(device, _multiply_add))


def sample(run: Callable[[], float], seconds: float = _SECONDS, least: int = _RUNS, most: int = 1000) -> list[float]:
    """What `run` returns, called for about so many seconds; `least` times even where that takes four times as long, `most` times at most.

    >>> sample(lambda: 1.0, seconds=0)
    [1.0]
    """
    start = time.perf_counter()
    samples = [run()]
    while len(samples) < most and time.perf_counter() < start + seconds * (_PATIENCE if len(samples) < least else 1):
        samples.append(run())
    return samples


@dataclass(frozen=True, slots=True)
class _Work:
    """A kernel of some size that a peak is measured with."""

    plan: Plan
    amount: int
    """Bytes or operations of one run."""
    data: bytes
    """The input, as often as it fits."""
    expected: float


def _peak(device: Device, make: Callable[[Target, int], _Work | None]) -> Spread:
    """Run a kernel of growing size until its runs are long enough; the rate of the last size."""
    rows, work = 1, make(device.target, 1)
    assert work is not None
    storages = _prepare(device, work)
    while min(_once(device, work, storages), _once(device, work, storages)) < _ENOUGH and (larger := make(device.target, rows * _GROWTH)) is not None:
        rows, work = rows * _GROWTH, larger
        storages = _prepare(device, work)
    seconds = sample(lambda: _once(device, work, storages))
    _check(device, work, storages)
    return Spread.of([s for s in seconds if s > 0] or [_clocked(device, work, storages)]).rate(work.amount)


def _once(device: Device, work: _Work, storages: Sequence[Storage]) -> float:
    return sum(device.profile(work.plan, storages))


def _clocked(device: Device, work: _Work, storages: Sequence[Storage]) -> float:
    """Seconds by the host's clock: for a device whose own stands still."""
    device.wait()
    start = time.perf_counter()
    device.execute(work.plan, storages)
    device.wait()
    return time.perf_counter() - start


def _prepare(device: Device, work: _Work) -> list[Storage]:
    """Storages with the input written, after a first run."""
    source, result = (device.allocate(int(b.bytes)) for b in work.plan.buffers)
    device.write(source, work.data * (source.nbytes // len(work.data)))
    device.write(result, bytes(UNIT * _LANES))
    _once(device, work, [source, result])
    return [source, result]


def _check(device: Device, work: _Work, storages: Sequence[Storage]) -> None:
    """Raise unless the result starts with what it should be."""
    got = struct.unpack(f"<{_LANES}f", device.read(storages[1], UNIT * _LANES))
    if any(abs(value - work.expected) > 1e-5 for value in got):
        raise DeviceError(f"{device.description} computes wrong numbers: kernel {work.plan.kernels[0].name} gives {got[0]}, which should be {work.expected}")


class _Body:
    """Instructions of a kernel, one thread an index `point`."""

    def __init__(self, rows: int) -> None:
        self.out: list[UOp] = []
        lane = self.op(Ops.SPECIAL, (), ("lid.x", _THREADS))
        x, y = self.op(Ops.SPECIAL, (), ("wid.x", _ROW)), self.op(Ops.SPECIAL, (), ("wid.y", rows))
        group = self.op(Ops.ADD, (self.op(Ops.MUL, (y, build.index(_ROW))), x))
        self.point = self.op(Ops.ADD, (self.op(Ops.MUL, (group, build.index(_THREADS))), lane))
        self.threads = rows * _ROW * _THREADS

    def op(self, op: Op, src: tuple[UOp, ...], arg: object = None) -> UOp:
        """Append an instruction on indices."""
        self.out.append(ARENA.intern(op, dtypes.index, src, arg))
        return self.out[-1]

    def value(self, op: Op, src: tuple[UOp, ...], arg: object = None) -> UOp:
        """Append an instruction on float32."""
        self.out.append(ARENA.intern(op, dtypes.float32, src, arg))
        return self.out[-1]

    def work(self, name: str, target: Target, rows: int, sizes: tuple[int, int], amount: tuple[int, int], expected: float) -> _Work:
        """The kernel as a plan. `sizes`: elements of input and output; `amount`: operations and bytes."""
        vectors = frozenset(u.src[0] for u in self.out if u.op in (Ops.VLOAD, Ops.VSTORE))
        program = Program(tuple(self.out), (_ROW, rows, 1), (_THREADS, 1, 1), {self.point: "point"}, vectors)
        flops, moved = amount
        kernel = Kernel(
            name=name,
            wgsl=render(program),
            program=print_program(program.instructions),
            bindings=(Binding(1, writes=True), Binding(0, writes=False)),
            workgroups=program.workgroups,
            workgroup_size=program.workgroup_size,
            phases=("forward",),
            ops=(name,),
            flops=flops,
            bytes=moved,
        )
        source, result = sizes
        buffers = PlanBuffer("input", "float32", (source,), source * UNIT), PlanBuffer("output", "float32", (result,), result * UNIT)
        return _Work(Plan(target, buffers, (kernel,), (1,)), flops or moved, array("f", [_FACTOR]).tobytes() * _ROW, expected)


def _copy(target: Target, rows: int) -> _Work | None:
    """A copy of a buffer; None where it would be larger than the device binds."""
    body = _Body(rows)
    count = body.threads * _LANES
    if count * UNIT > min(target.binding_bytes, _LARGEST):
        return None
    source, result = (build.param(slot, (count,), dtypes.float32) for slot in (1, 0))
    first = body.op(Ops.MUL, (body.point, build.index(_LANES)))
    vector = body.value(Ops.VLOAD, (source, first), _LANES)
    lanes = [body.value(Ops.LANE, (vector,), i) for i in range(_LANES)]
    body.value(Ops.VSTORE, (result, first, *lanes))
    return body.work("copy", target, rows, (count, count), (0, 2 * count * UNIT), _FACTOR)


def _multiply_add(target: Target, rows: int) -> _Work | None:
    """Chains of multiplications and additions in registers; None where there would be more threads than need be."""
    if rows > _MOST_ROWS:
        return None
    body = _Body(rows)
    source, result = (build.param(slot, (body.threads,), dtypes.float32) for slot in (1, 0))
    factor = body.value(Ops.LOAD, (source, body.point))
    registers = [body.value(Ops.REGISTER, (build.const(float(i), dtypes.float32),), f"acc{i}") for i in range(_CHAINS)]
    loop = body.op(Ops.LOOP, (build.index(0), build.index(_TURNS), build.index(1)), "k0")
    for _ in range(_UNROLLED):
        for register in registers:
            product = body.value(Ops.MUL, (register, factor))
            body.value(Ops.SET, (register, body.value(Ops.ADD, (product, factor))))
    body.out.append(ARENA.intern(Ops.ENDLOOP, dtypes.bool, (loop,)))
    total = registers[0]
    for register in registers[1:]:
        total = body.value(Ops.ADD, (total, register))
    body.value(Ops.STORE, (result, body.point, total))
    flops = 2 * _CHAINS * _UNROLLED * _TURNS * body.threads
    return body.work("multiply_add", target, rows, (body.threads, body.threads), (flops, 2 * body.threads * UNIT), _CHAINS)
