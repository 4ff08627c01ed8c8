"""The GPU, through wgpu.

One execute is one command encoder, one compute pass and one submit. Pipelines are cached by their WGSL, bind groups by the memory they
bind, and what a plan dispatches on the same memory is recorded once and replayed: a replay costs two or three library calls a kernel.
Memory is pooled and lives on the device; temporaries of all plans share one set of blocks, because what is submitted runs in order.
"""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anneal.codegen.target import UNIT
from anneal.errors import DeviceError
from anneal.runtime.adapters import open_adapter, target_of
from anneal.runtime.base import (
    NO_SYMBOLS,
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
    rejection,
)
from anneal.runtime.native import Command, Native, layout
from anneal.runtime.plan import Kernel, Plan
from anneal.runtime.pool import Pool

_POOL_BYTES: Final = 512 << 20
_PIPELINES: Final = 2048
_GROUPS: Final = 8192
_PLANS: Final = 256
_RECORDINGS: Final = 16
_QUERIES: Final = 2048
_COMPUTE_STAGE: Final = 4


@dataclass(slots=True, eq=False)
class _Block:
    """A GPU buffer of the pool."""

    buffer: Any
    room: int
    key: int = field(default_factory=new_key)


class _Storage(Storage):
    __slots__ = ("block",)

    def __init__(self, block: _Block, nbytes: int) -> None:
        super().__init__("webgpu", nbytes, block.key)
        self.block = block


@dataclass(slots=True, eq=False)
class _Pipeline:
    handle: Any
    layout: Any


@dataclass(slots=True, eq=False)
class _Recording:
    """What a plan dispatches on certain memory."""

    commands: list[Command]
    alive: list[Any]
    """Owners of the handles in `commands`."""
    ran: list[bool]
    """For each kernel of the plan whether it has a command; one over no elements has none."""


@dataclass(slots=True, eq=False)
class _Prepared:
    """A plan with its pipelines; holding the plan keeps its id from being used again."""

    plan: Plan
    pipelines: list[_Pipeline]
    recordings: OrderedDict[Any, _Recording] = field(default_factory=OrderedDict)


def _bounded(table: OrderedDict[Any, Any], limit: int) -> None:
    while len(table) > limit:
        table.popitem(last=False)


class WebGPUDevice:
    """The adapter that the system puts first for performance; raises NoDeviceError where there is none."""

    name = "webgpu"

    def __init__(self, *, trusted: bool = False) -> None:
        self.trusted = trusted
        """True leaves out the bounds and loop checks that the library adds to shaders: faster, for plans of this compiler only."""
        opened = open_adapter()
        self.adapter = opened.adapter
        self.features = opened.features
        """The optional features that the adapter offers and this package uses."""
        self._wgpu = wgpu = opened.library
        self._device = opened.device
        self.target = target_of(opened)
        self.description = opened.adapter.words
        self._native = Native(wgpu, wgpu.backends.wgpu_native, self._device, self.description)
        self._largest: int = self._device.limits["max-buffer-size"]
        usage = wgpu.BufferUsage
        self._usage = usage.STORAGE | usage.COPY_SRC | usage.COPY_DST
        self._pool = Pool(lambda room: self._new_block(room, self._usage), self._drop, _POOL_BYTES)
        self._staging = Pool(lambda room: self._new_block(room, usage.MAP_READ | usage.COPY_DST), lambda _: None, _POOL_BYTES)
        self._scratch: list[_Block] = []
        self._pipelines: OrderedDict[tuple[str, tuple[bool, ...], bool], _Pipeline] = OrderedDict()
        self._layouts: dict[tuple[bool, ...], Any] = {}
        self._groups: OrderedDict[Any, Any] = OrderedDict()
        self._plans: OrderedDict[int, _Prepared] = OrderedDict()
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<webgpu device: {self.description}>"

    # Memory.

    def allocate(self, nbytes: int) -> Storage:
        """New storage; freed memory is used again, so the contents are unspecified."""
        need = aligned(nbytes)
        with self._lock:
            block = self._take(need)
        storage = _Storage(block, need)
        weakref.finalize(storage, self._pool.give, block.room, block).atexit = False
        return storage

    def _take(self, nbytes: int) -> _Block:
        if nbytes > self._largest:
            raise DeviceError(f"out of memory: cannot allocate {nbytes:,} bytes, the largest buffer of {self.description} has {self._largest:,}")
        try:
            return self._pool.take(nbytes)
        except DeviceError:
            self._forget()
            self._scratch = []
            self._pool.clear()
            return self._pool.take(nbytes)

    def _new_block(self, room: int, usage: int) -> _Block:
        with self._native.errors(f"out of memory: cannot allocate {room:,} bytes on {self.description}"):
            return _Block(self._device.create_buffer(size=min(room, self._largest // 4 * 4), usage=usage), room)

    def _drop(self, _: _Block) -> None:
        self._forget()

    def _forget(self) -> None:
        """Let go of everything that holds memory without owning it."""
        self._groups.clear()
        for prepared in self._plans.values():
            prepared.recordings.clear()

    def write(self, storage: Storage, data: bytes | bytearray | memoryview) -> None:
        """Copy `data` to the start of `storage`, in order with the plans executed before and after."""
        view = memoryview(data)
        check_write(storage, view.nbytes)
        if not view.nbytes:
            return
        if view.nbytes % UNIT or not view.contiguous:
            view = memoryview(view.tobytes().ljust(aligned(view.nbytes), b"\0"))
        with self._lock:
            self._native.write(_block(storage).buffer, view)

    def read(self, storage: Storage, nbytes: int) -> bytes:
        """The first `nbytes` bytes of `storage`, after all work submitted so far."""
        return self.read_many([(storage, nbytes)])[0]

    def read_many(self, requests: Sequence[tuple[Storage, int]]) -> list[bytes]:
        """Several reads with one submit and one wait."""
        for storage, nbytes in requests:
            check_read(storage, nbytes)
        _, end = layout([nbytes for _, nbytes in requests])
        if end > self._largest and len(requests) > 1:
            half = len(requests) // 2
            return self.read_many(requests[:half]) + self.read_many(requests[half:])
        if not end:
            return []
        with self._lock:
            staging = self._staging.take(end)
            data = self._native.read([(_block(storage).buffer, nbytes) for storage, nbytes in requests], staging.buffer)
            self._staging.give(staging.room, staging)  # only now: after an error it may still be mapped
            return data

    def wait(self) -> None:
        """Return when all submitted work is done."""
        with self._lock, self._native.errors("cannot wait for the device"):
            self._native.wait()

    # Running.

    def execute(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> None:
        """Run a plan: one pass, one submit. Returns when the work is submitted; reads wait for it."""
        with self._lock:
            if commands := self._recording(plan, storages, symbols or NO_SYMBOLS).commands:
                self._native.run(commands)

    def profile(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        """Run a plan and return each kernel's seconds: on the device, or with submit and wait where the adapter has no timestamps."""
        with self._lock:
            recording = self._recording(plan, storages, symbols or NO_SYMBOLS)
            measure = self._stamped if "timestamp-query" in self.features else self._clocked
            seconds = iter(measure(recording.commands))
            return [next(seconds) if ran else 0.0 for ran in recording.ran]

    def _stamped(self, commands: Sequence[Command]) -> list[float]:
        seconds: list[float] = []
        usage = self._wgpu.BufferUsage
        for first in range(0, len(commands), _QUERIES):
            part = commands[first : first + _QUERIES]
            with self._native.errors("cannot make timestamps"):
                queries = self._device.create_query_set(type="timestamp", count=2 * len(part))
            block = self._new_block(16 * len(part), usage.QUERY_RESOLVE | usage.COPY_SRC)
            self._native.stamped(part, queries, block.buffer)
            ticks = memoryview(self.read(_Storage(block, block.room), block.room)).cast("Q")
            seconds += [max(ticks[i + 1] - ticks[i], 0) * self._native.tick for i in range(0, len(ticks), 2)]
        return seconds

    def _clocked(self, commands: Sequence[Command]) -> list[float]:
        seconds = []
        self.wait()
        for command in commands:
            start = time.perf_counter()
            self._native.run([command])
            self.wait()
            seconds.append(time.perf_counter() - start)
        return seconds

    # Preparing.

    def _recording(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int]) -> _Recording:
        prepared = self._prepared(plan)
        key = tuple([s.key for s in storages])
        found = prepared.recordings.get((key, *symbols.items()) if symbols else key)
        return found or self._record(prepared, storages, symbols, (key, *symbols.items()) if symbols else key)

    def _prepared(self, plan: Plan) -> _Prepared:
        found = self._plans.get(id(plan))
        if found is None:
            check_fits(plan, self.target, self.name)
            found = self._plans[id(plan)] = _Prepared(plan, [self._pipeline(k) for k in plan.kernels])
            _bounded(self._plans, _PLANS)
        return found

    def _record(self, prepared: _Prepared, storages: Sequence[Storage], symbols: Mapping[str, int], key: Any) -> _Recording:
        plan = prepared.plan
        check_symbols(plan, symbols)
        sizes = check_storages(self.name, plan, storages, symbols)
        check_sizes(plan, sizes, self.target, self.name)
        commands: list[Command] = []
        alive: list[Any] = []
        counts = [dispatch(k, symbols, self.target, self.name) for k in plan.kernels]
        blocks = [_block(s) for s in storages] + self._temporaries(sizes[len(storages) :])
        for kernel, pipeline, (x, y, z) in zip(plan.kernels, prepared.pipelines, counts, strict=True):
            if min(x, y, z) > 0:
                group = self._group(pipeline, [blocks[b.buffer] for b in kernel.bindings], kernel.name)
                commands.append((pipeline.handle._internal, group._internal, x, y, z))
                alive += (pipeline, group)
        recording = prepared.recordings[key] = _Recording(commands, alive, [min(count) > 0 for count in counts])
        _bounded(prepared.recordings, _RECORDINGS)
        return recording

    def _temporaries(self, sizes: Sequence[int]) -> list[_Block]:
        """Blocks for a plan's temporaries. All plans share them, the largest first: what is submitted runs in order."""
        order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
        rooms = [b.room for b in self._scratch]
        if len(rooms) < len(sizes) or any(rooms[slot] < sizes[position] for slot, position in enumerate(order)):
            self._forget()
            for block in self._scratch:
                self._pool.give(block.room, block)
            needs = itertools.zip_longest(rooms, (sizes[i] for i in order), fillvalue=0)
            self._scratch = []
            self._scratch = [self._take(max(pair)) for pair in needs]
        chosen = dict(zip(order, self._scratch, strict=False))
        return [chosen[i] for i in range(len(sizes))]

    def _group(self, pipeline: _Pipeline, blocks: Sequence[_Block], name: str) -> Any:
        key = (pipeline.layout, *(b.key for b in blocks))
        found = self._groups.get(key)
        if found is None:
            limit = self.target.binding_bytes // 4 * 4
            entries = [{"binding": i, "resource": {"buffer": b.buffer, "size": min(b.buffer.size, limit)}} for i, b in enumerate(blocks)]
            with self._native.errors(f"kernel {name}: the device rejects its buffers"):
                found = self._groups[key] = self._device.create_bind_group(layout=pipeline.layout, entries=entries)
            _bounded(self._groups, _GROUPS)
        return found

    def _pipeline(self, kernel: Kernel) -> _Pipeline:
        writes = tuple(b.writes for b in kernel.bindings)
        key = (kernel.wgsl, writes, self.trusted)
        found = self._pipelines.get(key)
        if found is None:
            found = self._pipelines[key] = self._build(kernel, writes)
            _bounded(self._pipelines, _PIPELINES)
        return found

    def _build(self, kernel: Kernel, writes: tuple[bool, ...]) -> _Pipeline:
        if writes not in self._layouts:
            kinds = ["storage" if w else "read-only-storage" for w in writes]
            entries = [{"binding": i, "visibility": _COMPUTE_STAGE, "buffer": {"type": kind}} for i, kind in enumerate(kinds)]
            with self._native.errors(f"kernel {kernel.name}: the device rejects its bindings"):
                self._layouts[writes] = self._device.create_bind_group_layout(entries=entries)
        layout = self._layouts[writes]
        with self._native.errors(lambda message: rejection(kernel, message)):
            if self.trusted:
                module = self._wgpu.GPUShaderModule(kernel.name, self._native.trusted_module(kernel.wgsl), self._device)
            else:
                module = self._device.create_shader_module(label=kernel.name, code=kernel.wgsl)
            whole = self._device.create_pipeline_layout(bind_group_layouts=[layout])
            stage = {"module": module, "entry_point": "main"}
            return _Pipeline(self._device.create_compute_pipeline(label=kernel.name, layout=whole, compute=stage), layout)


def _block(storage: Storage) -> _Block:
    if not isinstance(storage, _Storage):
        raise DeviceError(f"this storage is on device {storage.device}, not webgpu: move it there first")
    return storage.block
