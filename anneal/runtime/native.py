"""Calls into the WebGPU library, below its Python wrapper.

The wrapper costs several times what the calls themselves do, so what runs on every step is called directly. The library reports errors
while a call runs and aborts the process when it is handed commands that are in error: `errors` collects the reports and raises them, and
`encoder` never submits after one. Private parts of the wrapper are used here and nowhere else; `pyproject.toml` pins its version for that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from anneal.errors import DeviceError
from anneal.runtime.base import aligned, plain
from anneal.runtime.gpu import Command, layout

IN_FLIGHT: Final = 32
"""Submits that may wait on the device before the next one waits for the oldest."""


class Native:
    """One device's queue."""

    def __init__(self, wgpu: Any, native: Any, device: Any, description: str) -> None:
        self.description = description
        self._lib, self._ffi, self._handler = native.lib, native.ffi, native._api.error_handler
        self._failures: tuple[type[Exception], ...] = (wgpu.GPUError, RuntimeError)
        self._device, self._queue = device._internal, device.queue._internal
        self._null = self._ffi.NULL
        self._flight: deque[Any] = deque()
        self._mapped: list[int] = []
        self._on_map = self._ffi.callback("void(WGPUMapAsyncStatus, WGPUStringView, void *, void *)", self._note)

    def _note(self, status: int, *_: object) -> None:
        self._mapped.append(status)

    @contextmanager
    def errors(self, what: str | Callable[[str], str]) -> Iterator[None]:
        """Turn what the library reports inside into a DeviceError that starts with `what`, or that `what` words."""
        message: str | None = None
        self._handler.capture("anneal")
        try:
            yield
        except DeviceError:
            raise
        except self._failures as error:
            message = str(error)
        finally:
            reported = self._handler.release("anneal")
        if reported is not None and message is None:
            message = reported[1]
        if message is None:
            return
        if "device is lost" in message:
            raise DeviceError(f"{self.description} was lost: the driver reset it or it was removed; start again, with less work at a time")
        raise DeviceError(what(message) if callable(what) else f"{what}: {plain(message)}")

    @contextmanager
    def encoder(self, what: str) -> Iterator[Any]:
        """A command encoder whose commands are submitted at the end, unless the library found fault with one of them."""
        lib, ffi = self._lib, self._ffi
        with self.errors(what):
            encoder = lib.wgpuDeviceCreateCommandEncoder(self._device, self._null)
            yield encoder
            commands = lib.wgpuCommandEncoderFinish(encoder, self._null)
            lib.wgpuCommandEncoderRelease(encoder)
        index = lib.wgpuQueueSubmitForIndex(self._queue, 1, ffi.new("WGPUCommandBuffer[]", [commands]))
        lib.wgpuCommandBufferRelease(commands)
        self._flight.append(index)
        if len(self._flight) > IN_FLIGHT:
            lib.wgpuDevicePoll(self._device, 1, ffi.new("WGPUSubmissionIndex *", self._flight.popleft()))

    def run(self, commands: Sequence[Command]) -> None:
        """Submit dispatches in one pass."""
        lib, null = self._lib, self._null
        set_pipeline, set_group = lib.wgpuComputePassEncoderSetPipeline, lib.wgpuComputePassEncoderSetBindGroup
        dispatch = lib.wgpuComputePassEncoderDispatchWorkgroups
        current = None
        with self.encoder("the device rejects the commands of this plan") as encoder:
            scope = lib.wgpuCommandEncoderBeginComputePass(encoder, null)
            for pipeline, group, x, y, z in commands:
                if pipeline is not current:
                    set_pipeline(scope, pipeline)
                    current = pipeline
                set_group(scope, 0, group, 0, null)
                dispatch(scope, x, y, z)
            lib.wgpuComputePassEncoderEnd(scope)
            lib.wgpuComputePassEncoderRelease(scope)

    def stamped(self, commands: Sequence[Command], queries: Any, resolved: Any) -> None:
        """Submit dispatches in one pass each, with the times of their begin and end written to `resolved`."""
        lib, ffi, handle = self._lib, self._ffi, queries._internal
        with self.encoder("the device rejects the commands of this plan") as encoder:
            for number, (pipeline, group, x, y, z) in enumerate(commands):
                stamps = {"querySet": handle, "beginningOfPassWriteIndex": 2 * number, "endOfPassWriteIndex": 2 * number + 1}
                writes = ffi.new("WGPUPassTimestampWrites *", stamps)
                scope = lib.wgpuCommandEncoderBeginComputePass(encoder, ffi.new("WGPUComputePassDescriptor *", {"timestampWrites": writes}))
                lib.wgpuComputePassEncoderSetPipeline(scope, pipeline)
                lib.wgpuComputePassEncoderSetBindGroup(scope, 0, group, 0, self._null)
                lib.wgpuComputePassEncoderDispatchWorkgroups(scope, x, y, z)
                lib.wgpuComputePassEncoderEnd(scope)
                lib.wgpuComputePassEncoderRelease(scope)
            lib.wgpuCommandEncoderResolveQuerySet(encoder, handle, 0, 2 * len(commands), resolved._internal, 0)

    @property
    def tick(self) -> float:
        """Seconds that one unit of a timestamp stands for."""
        return float(self._lib.wgpuQueueGetTimestampPeriod(self._queue)) * 1e-9

    def write(self, buffer: Any, view: memoryview) -> None:
        """Copy bytes, a multiple of 4, to the start of a buffer."""
        with self.errors("cannot write to the device"):
            self._lib.wgpuQueueWriteBuffer(self._queue, buffer._internal, 0, self._ffi.from_buffer(view), view.nbytes)

    def read(self, sources: Sequence[tuple[Any, int]], staging: Any) -> list[bytes]:
        """The first bytes of each of some buffers, by way of a buffer that can be mapped."""
        lib, ffi, raw = self._lib, self._ffi, staging._internal
        places, end = layout([nbytes for _, nbytes in sources])
        with self.encoder("cannot read from the device") as encoder:
            for (source, nbytes), place in zip(sources, places, strict=True):
                lib.wgpuCommandEncoderCopyBufferToBuffer(encoder, source._internal, 0, raw, place, aligned(nbytes))
        self._mapped.clear()
        info = ffi.new("WGPUBufferMapCallbackInfo *", {"mode": lib.WGPUCallbackMode_AllowProcessEvents, "callback": self._on_map})
        with self.errors("cannot read from the device"):
            lib.wgpuBufferMapAsync(raw, lib.WGPUMapMode_Read, 0, end, info[0])
            self.wait()
        if self._mapped != [lib.WGPUMapAsyncStatus_Success]:
            raise DeviceError(f"cannot read from {self.description}: its memory cannot be mapped (status {self._mapped})")
        view = ffi.buffer(lib.wgpuBufferGetConstMappedRange(raw, 0, end), end)
        data: list[bytes] = [view[place : place + nbytes] for place, (_, nbytes) in zip(places, sources, strict=True)]
        lib.wgpuBufferUnmap(raw)
        return data

    def wait(self) -> None:
        """Return when all submitted work is done."""
        self._flight.clear()
        self._lib.wgpuDevicePoll(self._device, 1, self._null)

    def trusted_module(self, wgsl: str) -> Any:
        """The handle of a shader module without injected bounds and loop checks."""
        ffi, lib, text = self._ffi, self._lib, wgsl.encode()
        code = ffi.new("char []", text)
        source = ffi.new("WGPUShaderSourceWGSL *", {"chain": {"sType": lib.WGPUSType_ShaderSourceWGSL}, "code": {"data": code, "length": len(text)}})
        descriptor = ffi.new("WGPUShaderModuleDescriptor *", {"nextInChain": ffi.cast("WGPUChainedStruct *", source)})
        return lib.wgpuDeviceCreateShaderModuleTrusted(self._device, descriptor, 0)
