"""The device that is always there: NumPy.

It runs the same kernels as a GPU does, from the instructions that the WGSL was written from, over all invocations of many workgroups at a
time. It is slow, and exact about what WGSL leaves open: an index outside a buffer is an error that names the kernel. With ANNEAL_CHECK=1 in
the environment it also finds races between invocations.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anneal.codegen.target import Target
from anneal.errors import DeviceError, ParseError
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.runtime.base import (
    NO_SYMBOLS,
    Blocking,
    Clock,
    Storage,
    aligned,
    check_fits,
    check_read,
    check_sizes,
    check_storages,
    check_symbols,
    check_write,
    dispatch,
    new_key,
)
from anneal.runtime.plan import Kernel, Plan
from anneal.runtime.reference.memory import Fault, Memory
from anneal.runtime.reference.numeric import HELD, STORED, Value
from anneal.runtime.reference.program import AXES, LANES, Frame, Program, compile_program

CHECK: Final = "ANNEAL_CHECK"
"""The environment variable that turns on the search for races."""
_ITEMS: Final = 1 << 16
"""Invocations to run at once: enough to make NumPy's cost a call small, few enough for values to stay in the cache."""
_PROGRAMS: Final = 1024
_GARBAGE: Final = 0xA5


class _Storage(Storage):
    __slots__ = ("data",)

    def __init__(self, nbytes: int, *, garbage: bool) -> None:
        super().__init__("reference", nbytes, new_key())
        self.data = np.full(nbytes, _GARBAGE if garbage else 0, np.uint8)


def _memory() -> float:
    """Bytes of memory that this machine has; a system may promise more and end the process that uses it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return float("inf")


class ReferenceDevice(Blocking):
    """Runs kernels with NumPy."""

    name = "reference"
    description = f"NumPy {np.__version__}, one thread"
    target = Target(float16=True)
    clock: Clock = "wall"

    def __init__(self) -> None:
        self._programs: OrderedDict[str, Program] = OrderedDict()

    def __repr__(self) -> str:
        return f"<reference device: {self.description}>"

    def allocate(self, nbytes: int) -> Storage:
        """New storage, with unspecified contents."""
        failure = DeviceError(f"out of memory: cannot allocate {nbytes:,} bytes on the reference device")
        if nbytes > _memory():
            raise failure
        try:
            return _Storage(aligned(nbytes), garbage=_checking())
        except MemoryError as error:
            raise failure from error

    def write(self, storage: Storage, data: bytes | bytearray | memoryview) -> None:
        """Copy `data` to the start of `storage`."""
        raw = np.frombuffer(memoryview(data).tobytes(), np.uint8)
        check_write(storage, raw.nbytes)
        _data(storage)[: raw.nbytes] = raw

    def read(self, storage: Storage, nbytes: int) -> bytes:
        """The first `nbytes` bytes of `storage`."""
        check_read(storage, nbytes)
        return _data(storage)[:nbytes].tobytes()

    def read_many(self, requests: Sequence[tuple[Storage, int]]) -> list[bytes]:
        """Several reads."""
        return [self.read(storage, nbytes) for storage, nbytes in requests]

    def wait(self) -> None:
        """Nothing: work is done when `execute` returns."""

    def execute(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> None:
        """Run a plan."""
        self.profile(plan, storages, symbols)

    def profile(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        """Run a plan and return the seconds each kernel took."""
        values = symbols or NO_SYMBOLS
        check_symbols(plan, values)
        sizes = check_storages(self.name, plan, storages, values)
        check_sizes(plan, sizes, self.target, self.name)
        check_fits(plan, self.target, self.name)
        counts = [dispatch(k, values, self.target, self.name) for k in plan.kernels]
        buffers = [_data(s) for s in storages] + [_data(self.allocate(n)) for n in sizes[len(storages) :]]
        seconds = []
        for kernel, count in zip(plan.kernels, counts, strict=True):
            start = time.perf_counter()
            self._run(kernel, count, [(buffers[b.buffer], b.writes) for b in kernel.bindings], values)
            seconds.append(time.perf_counter() - start)
        return seconds

    def _run(self, kernel: Kernel, count: tuple[int, int, int], bound: list[tuple[NDArray[np.uint8], bool]], symbols: Mapping[str, int]) -> None:
        checked = _checking()
        try:
            program = self._program(kernel.program)
            frame = program.frame.copy()
            for node, slot in program.leaves:
                if node.op is Ops.PARAM:
                    frame[slot] = _buffer(node, bound, checked=checked)
                elif node.op is Ops.VARIABLE:
                    frame[slot] = symbols[node.arg[0]]
            with np.errstate(all="ignore"):
                for origin, extent in _parts(count, kernel.workgroup_size):
                    _run_part(program, frame.copy(), origin, extent, count if checked else None)
        except Fault as error:
            raise DeviceError(f"kernel {kernel.name}: {error}") from None
        except ParseError as error:
            raise ParseError(f"kernel {kernel.name}: {error}") from None

    def _program(self, text: str) -> Program:
        found = self._programs.get(text)
        if found is None:
            found = self._programs[text] = compile_program(text)
            while len(self._programs) > _PROGRAMS:
                self._programs.popitem(last=False)
        return found


def _checking() -> bool:
    return os.environ.get(CHECK, "") not in ("", "0")


def _data(storage: Storage) -> NDArray[np.uint8]:
    if not isinstance(storage, _Storage):
        raise DeviceError(f"this storage is on device {storage.device}, not reference: move it there first")
    return storage.data


def _buffer(node: UOp, bound: list[tuple[NDArray[np.uint8], bool]], *, checked: bool) -> Memory:
    binding, dims = node.arg
    if not 0 <= binding < len(bound):
        raise Fault(f"it uses binding {binding}, and has {len(bound)}")
    raw, writes = bound[binding]
    data = raw.view(STORED[node.dtype])
    limit = len(data)
    if all(isinstance(n, int) for n in dims):
        limit = int(np.prod(dims, dtype=np.int64))
        if limit > len(data):
            raise Fault(f"binding {binding} has {len(data)} elements, and the kernel expects {limit}")
    memory = Memory(f"buffer {binding}", data, limit, checked=checked and writes)
    memory.decode = node.dtype is dtypes.bool
    return memory


def _parts(count: tuple[int, int, int], size: tuple[int, int, int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Boxes of workgroups and invocations, as origin and extent over the six axes, of about as many invocations as run at once."""
    room = max(_ITEMS // int(np.prod(size)), 1)
    steps = []
    for n in count:
        steps.append(max(min(n, room), 1))
        room = max(room // steps[-1], 1)
    starts = [range(0, n, step) for n, step in zip(count, steps, strict=True)]
    for x, y, z in itertools.product(*starts):
        box = [min(step, n - at) for step, n, at in zip(steps, count, (x, y, z), strict=True)]
        yield (z, y, x, 0, 0, 0), (*reversed(box), *reversed(size))


def _run_part(program: Program, frame: Frame, origin: tuple[int, ...], extent: tuple[int, ...], count: tuple[int, int, int] | None) -> None:
    for node, slot in program.leaves:
        if node.op is Ops.SPECIAL:
            name = node.arg[0] if isinstance(node.arg, tuple) else node.arg
            frame[slot] = _coordinate(origin, extent, AXES[name], node)
        elif node.op is Ops.LOCAL:
            frame[slot] = _shared(node, extent, checked=count is not None)
    if count is not None:
        frame[LANES] = _numbers(origin, extent, count)
    for step in program.steps:
        step(frame)


def _axis(origin: tuple[int, ...], extent: tuple[int, ...], axis: int) -> NDArray[np.int64]:
    shape = [1] * len(extent)
    shape[axis] = extent[axis]
    return np.arange(origin[axis], origin[axis] + extent[axis], dtype=np.int64).reshape(shape)


def _coordinate(origin: tuple[int, ...], extent: tuple[int, ...], axis: int, node: UOp) -> Value:
    if extent[axis] == 1:
        return origin[axis] if node.dtype is dtypes.index else HELD[node.dtype](origin[axis])
    return _axis(origin, extent, axis).astype(HELD[node.dtype])


def _linear(origin: tuple[int, ...], extent: tuple[int, ...], sizes: Sequence[int], axes: Sequence[int]) -> NDArray[np.int64]:
    """Numbers of coordinates, row-major over some axes of the given sizes."""
    number: Any = np.zeros((1,) * len(extent), np.int64)
    for axis, n in zip(axes, sizes, strict=True):
        number = number * n + _axis(origin, extent, axis)
    return np.asarray(number)


def _numbers(origin: tuple[int, ...], extent: tuple[int, ...], count: tuple[int, int, int]) -> NDArray[np.int64]:
    """The number of each invocation among all of the dispatch."""
    x, y, z = count
    return _linear(origin, extent, (z, y, x, *extent[3:]), range(6))


def _shared(node: UOp, extent: tuple[int, ...], *, checked: bool) -> Memory:
    """Workgroup memory of all workgroups of a part, one after the other."""
    name, elements = node.arg
    groups = extent[:3]
    memory = Memory(name, np.zeros(max(int(np.prod(groups)) * elements, 1), HELD[node.dtype]), elements, checked=checked)
    memory.base = _linear((0,) * 6, extent, groups, range(3)) * elements
    memory.local = True
    return memory
