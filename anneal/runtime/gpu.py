"""What every GPU has in common, whichever library reaches it: pooled memory, caches, and plans prepared for replay.

Pipelines are cached by their WGSL, bind groups by the memory they bind, and what a plan dispatches on the same memory is recorded once and
replayed. Memory is pooled and lives on the device; temporaries of all plans share one set of blocks, because what is submitted runs in order.

>>> table = OrderedDict(a=1, b=2, c=3)
>>> bounded(table, 2)
>>> list(table)
['b', 'c']
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anneal.codegen.target import UNIT, Target
from anneal.errors import DeviceError
from anneal.runtime.base import (
    NO_SYMBOLS,
    Clock,
    Storage,
    aligned,
    check_fits,
    check_sizes,
    check_storages,
    check_symbols,
    dispatch,
    new_key,
)
from anneal.runtime.plan import Kernel, Plan
from anneal.runtime.pool import Pool

QUERIES: Final = 2048
"""Kernels that are clocked with one set of timestamps."""
_POOL_BYTES: Final = 512 << 20
_PIPELINES: Final = 2048
_GROUPS: Final = 8192
_PLANS: Final = 256
_RECORDINGS: Final = 16
COMPUTE_STAGE: Final = 4

Command = tuple[Any, Any, int, int, int]
"""Pipeline, bind group and workgroups of one dispatch, the first two as the library submits them."""


@dataclass(slots=True, eq=False)
class Block:
    """A GPU buffer of the pool."""

    buffer: Any
    room: int
    key: int = field(default_factory=new_key)


class GPUStorage(Storage):
    """Storage in a block of one GPU."""

    __slots__ = ("block", "epoch", "owner")

    def __init__(self, block: Block, nbytes: int, owner: GPU) -> None:
        super().__init__("webgpu", nbytes, block.key)
        self.block = block
        self.owner = owner
        self.epoch = -1
        """When a plan wrote it last, for a device that learns later whether a plan has failed."""


@dataclass(slots=True, eq=False)
class Pipeline:
    """A kernel ready to run, and the layout of its bind groups."""

    handle: Any
    layout: Any
    writes: tuple[bool, ...]
    """Which of its bindings it writes; two pipelines that agree in this share a layout."""


@dataclass(slots=True, eq=False)
class Recording:
    """What a plan dispatches on certain memory."""

    commands: list[Command]
    alive: list[Any]
    """Owners of what is in `commands`."""
    ran: list[bool]
    """For each kernel of the plan whether it has a command; one over no elements has none."""


@dataclass(slots=True, eq=False)
class _Prepared:
    """A plan with its pipelines; holding the plan keeps its id from being used again."""

    plan: Plan
    pipelines: list[Pipeline]
    recordings: OrderedDict[Any, Recording] = field(default_factory=OrderedDict)


def bounded(table: OrderedDict[Any, Any], limit: int) -> None:
    """Let go of the oldest entries beyond a number of them."""
    while len(table) > limit:
        table.popitem(last=False)


def layout(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where pieces of some sizes lie one after the other, and where the last ends; places are multiples of 8.

    >>> layout([3, 9])
    ([0, 8], 24)
    """
    places, end = [], 0
    for nbytes in sizes:
        places.append(end)
        end += -(-aligned(nbytes) // (2 * UNIT)) * 2 * UNIT
    return places, end


class GPU:
    """A device of WebGPU; what reaches it supplies the methods that make things."""

    name = "webgpu"

    def __init__(self, target: Target, description: str, largest: int, clock: Clock) -> None:
        """`largest` is the bytes of the largest buffer."""
        self.target = target
        self.clock: Clock = clock
        self.description = description
        self._largest = largest
        self._pool = Pool(self._new_block, self._drop, _POOL_BYTES)
        self._staging = Pool(lambda room: self._new_block(room, staging=True), lambda _: None, _POOL_BYTES)
        self._scratch: list[Block] = []
        self._pipelines: OrderedDict[Any, Pipeline] = OrderedDict()
        self._layouts: dict[tuple[bool, ...], Any] = {}
        self._groups: OrderedDict[Any, Any] = OrderedDict()
        self._plans: OrderedDict[int, _Prepared] = OrderedDict()
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<webgpu device: {self.description}>"

    # What a library makes.

    def _make_buffer(self, nbytes: int, *, staging: bool) -> Any:
        """A buffer to bind and copy, or one that is copied to and read by the host."""
        raise NotImplementedError

    def _make_layout(self, entries: list[dict[str, Any]], kernel: str) -> Any:
        """The layout of a kernel's bindings."""
        raise NotImplementedError

    def _make_group(self, layout: Any, entries: list[dict[str, Any]], kernel: str) -> Any:
        """A bind group."""
        raise NotImplementedError

    def _make_pipeline(self, kernel: Kernel, layout: Any) -> Any:
        """A compute pipeline."""
        raise NotImplementedError

    def _submitted(self, pipeline: Any, group: Any) -> tuple[Any, Any]:
        """A pipeline and a bind group as `Command` has them."""
        return pipeline, group

    # Memory.

    def allocate(self, nbytes: int) -> Storage:
        """New storage; freed memory is used again, so the contents are unspecified."""
        need = aligned(nbytes)
        with self._lock:
            block = self._take(need)
        storage = GPUStorage(block, need, self)
        weakref.finalize(storage, self._pool.give, block.room, block).atexit = False
        return storage

    def _take(self, nbytes: int) -> Block:
        if nbytes > self._largest:
            raise DeviceError(f"out of memory: cannot allocate {nbytes:,} bytes, the largest buffer of {self.description} has {self._largest:,}")
        try:
            return self._pool.take(nbytes)
        except DeviceError:
            self._forget()
            self._scratch = []
            self._pool.clear()
            return self._pool.take(nbytes)

    def _new_block(self, room: int, *, staging: bool = False) -> Block:
        return Block(self._make_buffer(min(room, self._largest // 4 * 4), staging=staging), room)

    def _drop(self, _: Block) -> None:
        self._forget()

    def _forget(self) -> None:
        """Let go of everything that holds memory without owning it."""
        self._groups.clear()
        for prepared in self._plans.values():
            prepared.recordings.clear()

    def _block(self, storage: Storage) -> Block:
        if not isinstance(storage, GPUStorage):
            raise DeviceError(f"this storage is on device {storage.device}, not webgpu: move it there first")
        if storage.owner is not self:
            raise DeviceError(f"this storage is on {storage.owner.description}, opened before, and its values are gone: make the tensor again")
        return storage.block

    # Preparing.

    def _recording(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None) -> Recording:
        """What running a plan on some memory dispatches; raises before any work where it cannot run."""
        prepared = self._prepared(plan)
        key: Any = tuple([s.key for s in storages])
        if symbols:
            key = (key, *symbols.items())
        found = prepared.recordings.get(key)
        return found or self._record(prepared, storages, symbols or NO_SYMBOLS, key)

    def _prepared(self, plan: Plan) -> _Prepared:
        found = self._plans.get(id(plan))
        if found is None:
            check_fits(plan, self.target, self.name)
            found = self._plans[id(plan)] = _Prepared(plan, [self._pipeline(k) for k in plan.kernels])
            bounded(self._plans, _PLANS)
        return found

    def _record(self, prepared: _Prepared, storages: Sequence[Storage], symbols: Mapping[str, int], key: Any) -> Recording:
        plan = prepared.plan
        check_symbols(plan, symbols)
        sizes = check_storages(self.name, plan, storages, symbols)
        check_sizes(plan, sizes, self.target, self.name)
        commands: list[Command] = []
        alive: list[Any] = []
        counts = [dispatch(k, symbols, self.target, self.name) for k in plan.kernels]
        blocks = [self._block(s) for s in storages]
        blocks += self._temporaries(sizes[len(blocks) :])
        for kernel, pipeline, (x, y, z) in zip(plan.kernels, prepared.pipelines, counts, strict=True):
            if min(x, y, z) > 0:
                group = self._group(pipeline, [blocks[b.buffer] for b in kernel.bindings], kernel.name)
                commands.append((*self._submitted(pipeline.handle, group), x, y, z))
                alive += (pipeline, group)
        recording = prepared.recordings[key] = Recording(commands, alive, [min(count) > 0 for count in counts])
        bounded(prepared.recordings, _RECORDINGS)
        return recording

    def _temporaries(self, sizes: Sequence[int]) -> list[Block]:
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

    def _group(self, pipeline: Pipeline, blocks: Sequence[Block], name: str) -> Any:
        key = (pipeline.writes, *(b.key for b in blocks))
        found = self._groups.get(key)
        if found is None:
            limit = self.target.binding_bytes // 4 * 4
            entries = [{"binding": i, "resource": {"buffer": b.buffer, "size": min(b.buffer.size, limit)}} for i, b in enumerate(blocks)]
            found = self._groups[key] = self._make_group(pipeline.layout, entries, name)
            bounded(self._groups, _GROUPS)
        return found

    def _pipeline(self, kernel: Kernel) -> Pipeline:
        key = self._pipeline_key(kernel)
        found = self._pipelines.get(key)
        if found is None:
            writes = tuple(b.writes for b in kernel.bindings)
            layout = self._layout(writes, kernel.name)
            found = self._pipelines[key] = Pipeline(self._make_pipeline(kernel, layout), layout, writes)
            bounded(self._pipelines, _PIPELINES)
        return found

    def _pipeline_key(self, kernel: Kernel) -> Any:
        """What two kernels agree in that share a pipeline."""
        return kernel.wgsl, tuple(b.writes for b in kernel.bindings)

    def _layout(self, writes: tuple[bool, ...], name: str) -> Any:
        if writes not in self._layouts:
            kinds = ["storage" if w else "read-only-storage" for w in writes]
            entries = [{"binding": i, "visibility": COMPUTE_STAGE, "buffer": {"type": kind}} for i, kind in enumerate(kinds)]
            self._layouts[writes] = self._make_layout(entries, name)
        return self._layouts[writes]
