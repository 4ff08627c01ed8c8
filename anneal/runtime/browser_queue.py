"""Calls into a browser tab's WebGPU, and what it reports later.

A browser says nothing while a call runs: errors arrive in promises and events, and whoever waits for the device learns of them from `settle`.
Nothing of the tab is imported here; a `Bridge` holds what is needed of it.

>>> MAP_READ | COPY_DST
9
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from anneal.errors import DeviceError
from anneal.runtime.base import aligned, plain
from anneal.runtime.browser_bridge import Bridge
from anneal.runtime.gpu import Command, layout

MAP_READ: Final = 0x1
COPY_SRC: Final = 0x4
COPY_DST: Final = 0x8
STORAGE: Final = 0x80
QUERY_RESOLVE: Final = 0x200
_READING: Final = 1
"""GPUMapMode.READ."""
_NUDGE: Final = 0.004
"""Seconds from one empty submit to the next, in a browser that looks at its GPU ten times a second unless something is submitted."""
_SMALL: Final = 1 << 16
"""Bytes up to which one copy more costs less than lending out Python's memory."""
_GRACE: Final = 0.5
"""Seconds in which a loss is told, after a promise was rejected because of it."""

Words = Callable[[str], Awaitable[str]]
"""From a browser's message to what a user is told."""


class Queue:
    """One device's queue."""

    def __init__(self, bridge: Bridge, device: Any, description: str) -> None:
        self.lost: str | None = None
        """Why the device is lost; None while it works."""
        self._bridge, self._device, self._queue = bridge, device, device.queue
        self._description = description
        self._checks: list[tuple[Any, Words]] = []
        self._reported: list[str] = []
        self._settling = asyncio.Lock()
        self._nudges = "Firefox" in str(bridge.scope.navigator.userAgent)
        self._on_lost, self._on_error = bridge.create_proxy(self._note_loss), bridge.create_proxy(self._note_error)
        device.lost.then(self._on_lost)
        device.addEventListener("uncapturederror", self._on_error)

    def _note_loss(self, info: Any) -> None:
        self.lost = plain(str(info.message)) if info.message else str(info.reason)

    def _note_error(self, event: Any) -> None:
        event.preventDefault()  # it is told in Python, not on the console
        self._reported.append(f"{self._description} rejects a command: {plain(str(event.error.message))}")

    def alive(self) -> None:
        """Raise where the device is lost."""
        if self.lost is not None:
            raise DeviceError(
                f"{self._description} was lost ({self.lost}): the browser ended it or its driver was reset, and what was on it is gone; "
                "open it again with `await anneal.runtime.device.open_device()`, and give it less work at a time"
            )

    # What goes wrong.

    @contextmanager
    def checked(self, kind: str, words: Words) -> Iterator[None]:
        """Inside, errors of a kind ("validation" or "out-of-memory") are for `settle` to raise, in `words`."""
        self._device.pushErrorScope(kind)
        try:
            yield
        finally:
            self._checks.append((self._device.popErrorScope(), words))

    async def settle(self) -> None:
        """Raise DeviceError for the first thing that has gone wrong from the last time to this call, once that is known."""
        checks, self._checks = self._checks, []  # what others submit meanwhile is theirs to settle
        async with self._settling:
            found: list[str] = []
            for promise, words in checks:
                error = await self.arrived(promise)
                if error is not None:
                    found.append(await words(str(error.message)))
            found += self._reported
            self._reported.clear()
            self.alive()
            if found:
                raise DeviceError(found[0])

    async def arrived(self, promise: Any) -> Any:
        """What a promise of the device brings; raises DeviceError where it is rejected."""
        try:
            if not self._nudges:
                return self._bridge.value(await promise)
            waiting = asyncio.ensure_future(promise)
            while not (await asyncio.wait([waiting], timeout=_NUDGE))[0]:
                self._queue.submit(self._bridge.to_js([]))
            return self._bridge.value(waiting.result())
        except self._bridge.failure as error:
            for _ in range(50):
                if self.lost is None:
                    await asyncio.sleep(_GRACE / 50)
            self.alive()
            raise DeviceError(f"{self._description} does not answer: {plain(str(error))}") from error

    # What is submitted.

    def run(self, commands: Sequence[Command]) -> None:
        """Submit dispatches in one pass."""
        encoder = self._device.createCommandEncoder()
        scope = encoder.beginComputePass()
        current = None
        for pipeline, group, x, y, z in commands:
            if pipeline is not current:
                scope.setPipeline(pipeline)
                current = pipeline
            scope.setBindGroup(0, group)
            scope.dispatchWorkgroups(x, y, z)
        scope.end()
        self._submit(encoder)

    def stamped(self, commands: Sequence[Command], queries: Any, resolved: Any) -> None:
        """Submit dispatches in one pass each, with the times of their begin and end written to `resolved`, in nanoseconds."""
        encoder = self._device.createCommandEncoder()
        for number, (pipeline, group, x, y, z) in enumerate(commands):
            stamps = {"querySet": queries, "beginningOfPassWriteIndex": 2 * number, "endOfPassWriteIndex": 2 * number + 1}
            scope = encoder.beginComputePass(self._bridge.convert({"timestampWrites": stamps}))
            scope.setPipeline(pipeline)
            scope.setBindGroup(0, group)
            scope.dispatchWorkgroups(x, y, z)
            scope.end()
        encoder.resolveQuerySet(queries, 0, 2 * len(commands), resolved, 0)
        self._submit(encoder)

    def write(self, buffer: Any, data: memoryview) -> None:
        """Copy bytes, a multiple of 4, to the start of a buffer, large ones straight from Python's memory."""
        if data.nbytes <= _SMALL:
            self._queue.writeBuffer(buffer, 0, self._bridge.to_js(data))
            return
        proxy = self._bridge.create_proxy(data)
        view = proxy.getBuffer("u8")
        try:
            self._queue.writeBuffer(buffer, 0, view.data)
        finally:
            view.release()
            proxy.destroy()

    async def read(self, sources: Sequence[tuple[Any, int]], staging: Any) -> list[bytes]:
        """The first bytes of each of some buffers, by way of a buffer that can be mapped."""
        places, end = layout([nbytes for _, nbytes in sources])
        encoder = self._device.createCommandEncoder()
        for (source, nbytes), place in zip(sources, places, strict=True):
            encoder.copyBufferToBuffer(source, 0, staging, place, aligned(nbytes))
        self._submit(encoder)
        await self.arrived(staging.mapAsync(_READING, 0, end))
        data = [staging.getMappedRange(place, aligned(nbytes)).to_bytes()[:nbytes] for place, (_, nbytes) in zip(places, sources, strict=True)]
        staging.unmap()
        return data

    async def wait(self) -> None:
        """Return when all submitted work is done."""
        await self.arrived(self._queue.onSubmittedWorkDone())

    def _submit(self, encoder: Any) -> None:
        self._queue.submit(self._bridge.to_js([encoder.finish()]))
