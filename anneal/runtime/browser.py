"""The GPU of a browser tab, through `navigator.gpu`: the device called `webgpu` there.

Opening it and reading from it take a promise's time, so a program begins with `await open_device()` and reads with `await`. Where the browser
can switch WebAssembly stacks, the plain forms wait by themselves. What the browser finds wrong it tells later: the next call that waits for
the device raises it, and values that came of it cannot be read. Plans, memory and caches are those of `anneal.runtime.gpu`, as on a native GPU.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from anneal.codegen.target import UNIT
from anneal.errors import DeviceError, NoDeviceError
from anneal.runtime.base import Storage, aligned, check_read, check_write, plain, rejected_line, rejection
from anneal.runtime.browser_adapter import Opened, open_adapter
from anneal.runtime.browser_bridge import Bridge
from anneal.runtime.browser_queue import COPY_DST, COPY_SRC, MAP_READ, QUERY_RESOLVE, STORAGE, Queue
from anneal.runtime.gpu import GPU, QUERIES, Block, Command, GPUStorage, layout
from anneal.runtime.plan import Kernel, Plan

Result = TypeVar("Result")


class BrowserDevice(GPU):
    """A tab's GPU; `open_device` makes it."""

    def __init__(self, bridge: Bridge, opened: Opened) -> None:
        self.adapter, self.features = opened.adapter, opened.features
        super().__init__(opened.target, opened.adapter.words, opened.largest, "timestamp-query" if "timestamp-query" in opened.features else "wall")
        self._bridge, self._device = bridge, opened.device
        self._queue = Queue(bridge, opened.device, self.description)
        self._epoch = 0
        """Counts the times that everything submitted so far was checked."""
        self._failed: dict[int, str] = {}
        """What went wrong in an epoch: what plans wrote in it cannot be read."""
        self._broken: list[Any] = []
        """Buffers that there was no memory for."""
        self._lent: list[list[Block]] = []
        """Temporaries of plans that are run in several submits, which may wait between two of them."""

    @property
    def lost(self) -> bool:
        """True when it works no more, and is to be opened anew."""
        return self._queue.lost is not None

    # Memory.

    def write(self, storage: Storage, data: bytes | bytearray | memoryview) -> None:
        """Copy `data` to the start of `storage`, in order with the plans executed before and after."""
        view = memoryview(data)
        check_write(storage, view.nbytes)
        if not view.nbytes:
            return
        self._queue.alive()
        if view.nbytes % UNIT or not view.contiguous:
            view = memoryview(view.tobytes().ljust(aligned(view.nbytes), b"\0"))
        self._queue.write(self._block(storage).buffer, view)
        if view.nbytes == storage.nbytes:
            self._own(storage).epoch = self._epoch  # whatever failed before is overwritten

    def read(self, storage: Storage, nbytes: int) -> bytes:
        """The first `nbytes` bytes of `storage`, after all work submitted so far; raises DeviceError where the tab cannot wait."""
        return self.read_many([(storage, nbytes)])[0]

    def read_many(self, requests: Sequence[tuple[Storage, int]]) -> list[bytes]:
        """Several reads with one wait; raises DeviceError where the tab cannot wait."""
        return self.finish(self.read_many_async(requests))

    async def read_many_async(self, requests: Sequence[tuple[Storage, int]]) -> list[bytes]:
        """Several reads with one submit and one wait."""
        for storage, nbytes in requests:
            check_read(storage, nbytes)
        _, end = layout([nbytes for _, nbytes in requests])
        if end > self._largest and len(requests) > 1:
            half = len(requests) // 2
            return await self.read_many_async(requests[:half]) + await self.read_many_async(requests[half:])
        if not end:
            return []
        self._queue.alive()
        self._check_values(s for s, _ in requests)
        staging = self._staging.take(end)
        data = await self._queue.read([(self._block(storage).buffer, nbytes) for storage, nbytes in requests], staging.buffer)
        await self._settle()
        self._check_values(s for s, _ in requests)
        self._staging.give(staging.room, staging)  # only now: after an error it may still be mapped
        return data

    def wait(self) -> None:
        """Return when all submitted work is done; raises DeviceError where the tab cannot wait."""
        self.finish(self.wait_async())

    async def wait_async(self) -> None:
        """Return when all submitted work is done."""
        self._queue.alive()
        await self._queue.wait()
        await self._settle()

    def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What a coroutine returns; raises DeviceError, before any of it, where the tab cannot wait."""
        return self._bridge.finish(work)

    # Running.

    def execute(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> None:
        """Run a plan: one pass, one submit. Returns when the work is submitted; reads wait for it."""
        if commands := self._commands(plan, storages, symbols)[0]:
            self._queue.run(commands)

    def profile(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        """As `profile_async`; raises DeviceError where the tab cannot wait."""
        return self.finish(self.profile_async(plan, storages, symbols))

    async def profile_async(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        """Run a plan and return each kernel's seconds by `clock`. Browsers round timestamps, Chrome to a tenth of a millisecond."""
        commands, ran = self._commands(plan, storages, symbols)
        with self._keeping_temporaries():
            seconds = iter(await (self._stamped if self.clock == "timestamp-query" else self._clocked)(commands))
        await self._settle()
        return [next(seconds) if done else 0.0 for done in ran]

    @contextmanager
    def _keeping_temporaries(self) -> Iterator[None]:
        """Inside, the temporaries of the plan that was recorded last are no other plan's."""
        kept = self._scratch
        self._lent.append(kept)
        try:
            yield
        finally:
            self._lent = [lent for lent in self._lent if lent is not kept]
            if self._scratch is not kept:
                for block in kept:
                    self._pool.give(block.room, block)

    def _commands(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None) -> tuple[list[Command], list[bool]]:
        """What running a plan dispatches, and for each kernel whether it does; notes what will be written."""
        self._queue.alive()
        inputs = len(plan.inputs)
        self._check_values(storages[:inputs])
        if self._scratch and any(lent is self._scratch for lent in self._lent):
            self._forget()
            self._scratch = []
        recording = self._recording(plan, storages, symbols)
        for storage in (*storages[inputs:], *(storages[at] for at in plan.assigned)):
            self._own(storage).epoch = self._epoch
        return recording.commands, recording.ran

    async def _stamped(self, commands: Sequence[Command]) -> list[float]:
        seconds: list[float] = []
        for first in range(0, len(commands), QUERIES):
            part = commands[first : first + QUERIES]
            queries = self._device.createQuerySet(self._bridge.convert({"type": "timestamp", "count": 2 * len(part)}))
            resolved = self._new_buffer(16 * len(part), QUERY_RESOLVE | COPY_SRC)
            self._queue.stamped(part, queries, resolved)
            staging = self._staging.take(16 * len(part))
            ticks = memoryview((await self._queue.read([(resolved, 16 * len(part))], staging.buffer))[0]).cast("Q")
            self._staging.give(staging.room, staging)
            seconds += [max(ticks[i + 1] - ticks[i], 0) * 1e-9 for i in range(0, len(ticks), 2)]
            queries.destroy()
            resolved.destroy()
        return seconds

    async def _clocked(self, commands: Sequence[Command]) -> list[float]:
        seconds = []
        await self._queue.wait()
        for command in commands:
            start = time.perf_counter()
            self._queue.run([command])
            await self._queue.wait()
            seconds.append(time.perf_counter() - start)
        return seconds

    # What goes wrong.

    async def _settle(self) -> None:
        """Check what was submitted; after an error nothing is kept that may have come of it."""
        epoch = self._epoch
        self._epoch += 1
        try:
            await self._queue.settle()
        except DeviceError as error:
            self._failed[epoch] = str(error)
            self._plans.clear()
            self._pipelines.clear()
            self._pool.clear()
            raise

    def _check_values(self, storages: Iterable[Storage]) -> None:
        """Raise where values come of something that failed."""
        if self._failed:
            for storage in storages:
                if (reason := self._failed.get(self._own(storage).epoch)) is not None:
                    raise DeviceError(f"these values were not computed: {reason}")

    def _own(self, storage: Storage) -> GPUStorage:
        self._block(storage)
        assert isinstance(storage, GPUStorage), "what has a block here is this device's storage"
        return storage

    # What the browser makes.

    def _take(self, nbytes: int) -> Block:
        block = super()._take(nbytes)
        while any(block.buffer is broken for broken in self._broken):
            block = super()._take(nbytes)
        return block

    def _make_buffer(self, nbytes: int, *, staging: bool) -> Any:
        return self._new_buffer(nbytes, MAP_READ | COPY_DST if staging else STORAGE | COPY_SRC | COPY_DST)

    def _new_buffer(self, nbytes: int, usage: int) -> Any:
        self._queue.alive()

        async def words(_: str) -> str:
            self._broken.append(buffer)
            return f"out of memory: cannot allocate {nbytes:,} bytes on {self.description}"

        with self._queue.checked("out-of-memory", words):
            buffer = self._device.createBuffer(self._bridge.convert({"size": nbytes, "usage": usage}))
        return buffer

    def _drop(self, block: Block) -> None:
        super()._drop(block)
        block.buffer.destroy()

    def _make_layout(self, entries: list[dict[str, Any]], kernel: str) -> Any:
        async def words(message: str) -> str:
            self._layouts.clear()
            return f"kernel {kernel}: the device rejects its bindings: {plain(message)}"

        with self._queue.checked("validation", words):
            return self._device.createBindGroupLayout(self._bridge.convert({"entries": entries}))

    def _make_group(self, layout: Any, entries: list[dict[str, Any]], kernel: str) -> Any:
        async def words(message: str) -> str:
            self._groups.clear()
            return f"kernel {kernel}: the device rejects its buffers: {plain(message)}"

        with self._queue.checked("validation", words):
            return self._device.createBindGroup(self._bridge.convert({"layout": layout, "entries": entries}))

    def _make_pipeline(self, kernel: Kernel, layout: Any) -> Any:
        async def words(message: str) -> str:
            info = await self._queue.arrived(module.getCompilationInfo())
            errors = [m for m in info.messages if m.type == "error" and m.lineNum]
            return rejected_line(kernel, errors[0].lineNum, plain(errors[0].message)) if errors else rejection(kernel, message)

        convert = self._bridge.convert
        with self._queue.checked("validation", words):
            module = self._device.createShaderModule(convert({"label": kernel.name, "code": kernel.wgsl}))
            whole = self._device.createPipelineLayout(convert({"bindGroupLayouts": [layout]}))
            stage = {"module": module, "entryPoint": "main"}
            return self._device.createComputePipeline(convert({"label": kernel.name, "layout": whole, "compute": stage}))


class _State:
    """The tab's one device."""

    device: BrowserDevice | None = None
    problem: NoDeviceError | None = None
    """Why there is none, where it was asked for in vain."""

    def __init__(self) -> None:
        self.opening = asyncio.Lock()
        """Held by whoever opens it, so that others who ask meanwhile get the same."""


_STATE: Final = _State()


def _bridge() -> Bridge:
    import js  # type: ignore[import-not-found]
    from pyodide import ffi  # type: ignore[import-not-found]

    return Bridge(js, ffi.to_js, ffi.create_proxy, ffi.run_sync, ffi.can_run_sync, ffi.jsnull, ffi.JsException)


async def open_device() -> BrowserDevice:
    """The tab's GPU: the one that is open, or a new one at first and after a loss. Raises NoDeviceError, with what to do, where there is none."""
    async with _STATE.opening:
        if _STATE.device is None or _STATE.device.lost:
            bridge = _bridge()
            try:
                _STATE.device = BrowserDevice(bridge, await open_adapter(bridge))
            except NoDeviceError as error:
                _STATE.problem = error
                raise
        return _STATE.device


async def open_device_or_reason() -> str | None:
    """Open the tab's GPU; returns None, or why there is none and what to do."""
    try:
        await open_device()
    except NoDeviceError as error:
        return str(error)
    return None


def opened() -> BrowserDevice:
    """The tab's GPU, opened now where the tab can wait for it; else raises what `open_device` raised, or DeviceError where it was not called."""
    device = _STATE.device
    if device is not None and not device.lost:
        return device
    bridge = _bridge()
    if bridge.can_run_sync():
        return bridge.finish(open_device())
    if device is not None:
        return device  # each call says that it is lost, and what to do
    raise _STATE.problem or DeviceError("the GPU of a browser tab takes a moment to open: call `await anneal.runtime.device.open_device()` first")
