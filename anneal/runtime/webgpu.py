"""The GPU, through wgpu.

One execute is one command encoder, one compute pass and one submit; a replay of what `GPU` has recorded costs two or three library calls a
kernel. What the device rejects is an error at once, in the call that asked for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from anneal.codegen.target import UNIT
from anneal.runtime.adapters import open_adapter, target_of
from anneal.runtime.base import Blocking, Clock, Storage, aligned, check_read, check_write, rejection
from anneal.runtime.gpu import GPU, QUERIES, Block, Command, GPUStorage, layout
from anneal.runtime.native import Native
from anneal.runtime.plan import Kernel, Plan


class WebGPUDevice(Blocking, GPU):
    """The adapter that the system puts first for performance; raises NoDeviceError where there is none."""

    def __init__(self, *, trusted: bool = False) -> None:
        self.trusted = trusted
        """True leaves out the bounds and loop checks that the library adds to shaders: faster, for plans of this compiler only."""
        opened = open_adapter()
        self.adapter = opened.adapter
        self.features = opened.features
        """The optional features that the adapter offers and this package uses."""
        self._wgpu = wgpu = opened.library
        self._device = opened.device
        clock: Clock = "timestamp-query" if "timestamp-query" in opened.features else "wall"
        limits = self._device.limits
        target = target_of(limits, opened.features, software=opened.adapter.software)
        super().__init__(target, opened.adapter.words, limits["max-buffer-size"], clock)
        self._native = Native(wgpu, wgpu.backends.wgpu_native, self._device, self.description)

    # Memory.

    def write(self, storage: Storage, data: bytes | bytearray | memoryview) -> None:
        """Copy `data` to the start of `storage`, in order with the plans executed before and after."""
        view = memoryview(data)
        check_write(storage, view.nbytes)
        if not view.nbytes:
            return
        if view.nbytes % UNIT or not view.contiguous:
            view = memoryview(view.tobytes().ljust(aligned(view.nbytes), b"\0"))
        with self._lock:
            self._native.write(self._block(storage).buffer, view)

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
            data = self._native.read([(self._block(storage).buffer, nbytes) for storage, nbytes in requests], staging.buffer)
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
            if commands := self._recording(plan, storages, symbols).commands:
                self._native.run(commands)

    def profile(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        """Run a plan and return each kernel's seconds: on the device, or with submit and wait where the adapter has no timestamps."""
        with self._lock:
            recording = self._recording(plan, storages, symbols)
            measure = self._stamped if self.clock == "timestamp-query" else self._clocked
            seconds = iter(measure(recording.commands))
            return [next(seconds) if ran else 0.0 for ran in recording.ran]

    def _stamped(self, commands: Sequence[Command]) -> list[float]:
        seconds: list[float] = []
        usage = self._wgpu.BufferUsage
        for first in range(0, len(commands), QUERIES):
            part = commands[first : first + QUERIES]
            with self._native.errors("cannot make timestamps"):
                queries = self._device.create_query_set(type="timestamp", count=2 * len(part))
                block = Block(self._device.create_buffer(size=16 * len(part), usage=usage.QUERY_RESOLVE | usage.COPY_SRC), 16 * len(part))
            self._native.stamped(part, queries, block.buffer)
            ticks = memoryview(self.read(GPUStorage(block, block.room, self), block.room)).cast("Q")
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

    # What the library makes.

    def _make_buffer(self, nbytes: int, *, staging: bool) -> Any:
        usage = self._wgpu.BufferUsage
        kinds = usage.MAP_READ | usage.COPY_DST if staging else usage.STORAGE | usage.COPY_SRC | usage.COPY_DST
        with self._native.errors(f"out of memory: cannot allocate {nbytes:,} bytes on {self.description}"):
            return self._device.create_buffer(size=nbytes, usage=kinds)

    def _make_layout(self, entries: list[dict[str, Any]], kernel: str) -> Any:
        with self._native.errors(f"kernel {kernel}: the device rejects its bindings"):
            return self._device.create_bind_group_layout(entries=entries)

    def _make_group(self, layout: Any, entries: list[dict[str, Any]], kernel: str) -> Any:
        with self._native.errors(f"kernel {kernel}: the device rejects its buffers"):
            return self._device.create_bind_group(layout=layout, entries=entries)

    def _make_pipeline(self, kernel: Kernel, layout: Any) -> Any:
        with self._native.errors(lambda message: rejection(kernel, message)):
            if self.trusted:
                module = self._wgpu.GPUShaderModule(kernel.name, self._native.trusted_module(kernel.wgsl), self._device)
            else:
                module = self._device.create_shader_module(label=kernel.name, code=kernel.wgsl)
            whole = self._device.create_pipeline_layout(bind_group_layouts=[layout])
            stage = {"module": module, "entry_point": "main"}
            return self._device.create_compute_pipeline(label=kernel.name, layout=whole, compute=stage)

    def _pipeline_key(self, kernel: Kernel) -> Any:
        return (*super()._pipeline_key(kernel), self.trusted)

    def _submitted(self, pipeline: Any, group: Any) -> tuple[Any, Any]:
        return pipeline._internal, group._internal
