"""The device of a browser tab, on a WebGPU of the test's own: what it asks for, what it reports and when, whatever browser it is.

Nothing is computed here; `e2e/test_runtime.py` does that in a real tab.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import SimpleNamespace
from typing import Any

import pytest
from kernel_cases import copy, with_temporaries

from anneal.errors import DeviceError, NoDeviceError
from anneal.runtime import browser
from anneal.runtime import device as registry
from anneal.runtime.adapters import LIMITS
from anneal.runtime.base import Blocking
from anneal.runtime.browser import BrowserDevice
from anneal.runtime.browser_adapter import INSECURE, NO_ADAPTER, NO_WEBGPU, camel, open_adapter
from anneal.runtime.browser_bridge import Bridge
from anneal.runtime.device import get_device

NULL = object()


class RejectedError(Exception):
    """What a promise is rejected with."""


class Promise:
    """Settled already, or pending until somebody calls `settle`."""

    def __init__(self, value: Any = None, *, pending: bool = False) -> None:
        self.value, self.pending = value, pending
        self.told: list[Callable[[Any], None]] = []

    def settle(self, value: Any = None) -> None:
        self.value, self.pending = value, False
        for tell in self.told:
            tell(value)

    def then(self, tell: Callable[[Any], None]) -> None:
        self.told.append(tell)

    def __await__(self) -> Generator[Any, None, Any]:
        while self.pending:
            yield from asyncio.sleep(0).__await__()
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Buffer:
    def __init__(self, size: int, usage: int) -> None:
        self.size, self.usage, self.data, self.gone = size, usage, bytearray(size), False
        self.mapping: Promise = Promise()

    def mapAsync(self, mode: int, start: int, size: int) -> Promise:  # noqa: N802 - the names are WebGPU's
        assert (mode, self.usage) == (1, 9)
        assert start + size <= self.size
        return self.mapping

    def getMappedRange(self, start: int, size: int) -> Any:  # noqa: N802
        return SimpleNamespace(to_bytes=lambda: bytes(self.data[start : start + size]))

    def unmap(self) -> None:
        pass

    def destroy(self) -> None:
        self.gone = True


class Encoder:
    """Notes what is recorded, and copies when it is submitted."""

    def __init__(self) -> None:
        self.copies: list[tuple[Any, ...]] = []
        self.dispatched = 0
        self.passes = 0
        self.bound: list[Any] = []

    def copyBufferToBuffer(self, *copied: Any) -> None:  # noqa: N802
        self.copies.append(copied)

    def beginComputePass(self, _descriptor: Any = None) -> Encoder:  # noqa: N802
        self.passes += 1
        return self

    def setPipeline(self, _pipeline: Any) -> None:  # noqa: N802
        pass

    def setBindGroup(self, _index: int, group: Any) -> None:  # noqa: N802
        self.bound += group

    def dispatchWorkgroups(self, *_count: int) -> None:  # noqa: N802
        self.dispatched += 1

    def resolveQuerySet(self, *_args: Any) -> None:  # noqa: N802
        pass

    def end(self) -> None:
        pass

    def finish(self) -> Encoder:
        return self


class GPU:
    """A GPUDevice with its queue. `fails` names calls that leave an error in the scope around them."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = SimpleNamespace(**limits)
        self.queue = self
        self.lost = Promise(pending=True)
        self.fails: dict[str, str] = {}
        self.scopes: list[list[str]] = []
        self.submitted: list[Encoder] = []
        self.nudges = 0
        self.buffers: list[Buffer] = []
        self.done: Promise = Promise()
        self.listen: Callable[[Any], None] = lambda _: None
        self.messages: list[Any] = []

    def addEventListener(self, name: str, listen: Callable[[Any], None]) -> None:  # noqa: N802
        assert name == "uncapturederror"
        self.listen = listen

    def pushErrorScope(self, kind: str) -> None:  # noqa: N802
        assert kind in ("validation", "out-of-memory")
        self.scopes.append([])

    def popErrorScope(self) -> Promise:  # noqa: N802
        found = self.scopes.pop()
        return Promise(SimpleNamespace(message=found[0]) if found else NULL)

    def made(self, what: str) -> None:
        if what in self.fails:
            self.scopes[-1].append(self.fails[what])

    def createBuffer(self, made: Any) -> Buffer:  # noqa: N802
        self.made("buffer")
        self.buffers.append(Buffer(made["size"], made["usage"]))
        return self.buffers[-1]

    def createBindGroupLayout(self, _: Any) -> Any:  # noqa: N802
        return self.made("layout")

    def createBindGroup(self, made: Any) -> Any:  # noqa: N802
        self.made("group")
        return [entry["resource"]["buffer"] for entry in made["entries"]]

    def createShaderModule(self, _: Any) -> Any:  # noqa: N802
        self.made("module")
        return SimpleNamespace(getCompilationInfo=lambda: Promise(SimpleNamespace(messages=self.messages)))

    def createPipelineLayout(self, _: Any) -> Any:  # noqa: N802
        return object()

    def createComputePipeline(self, _: Any) -> Any:  # noqa: N802
        return object()

    def createQuerySet(self, _: Any) -> Any:  # noqa: N802
        return SimpleNamespace(destroy=lambda: None)

    def createCommandEncoder(self) -> Encoder:  # noqa: N802
        return Encoder()

    def submit(self, commands: list[Encoder]) -> None:
        self.nudges += not commands
        for encoder in commands:
            self.submitted.append(encoder)
            for source, at, goal, place, size in encoder.copies:
                goal.data[place : place + size] = source.data[at : at + size]

    def writeBuffer(self, buffer: Buffer, start: int, data: Any) -> None:  # noqa: N802
        buffer.data[start : start + len(data)] = data

    def onSubmittedWorkDone(self) -> Promise:  # noqa: N802
        return self.done


class Lent:
    """A proxy of Python's memory."""

    alive = 0

    def __init__(self, value: Any) -> None:
        self.value = value
        Lent.alive += 1

    def __call__(self, *values: Any) -> Any:
        return self.value(*values)

    def getBuffer(self, kind: str) -> Any:  # noqa: N802
        assert kind == "u8"
        return SimpleNamespace(data=self.value, release=lambda: None)

    def destroy(self) -> None:
        Lent.alive -= 1


class Browser:
    """A tab of some browser."""

    def __init__(self, agent: str = "Chrome", features: tuple[str, ...] = (), info: dict[str, Any] | None = None, **limits: int) -> None:
        self.limits = {camel(name): 1 << 16 for name in (*LIMITS, "max-bindings-per-bind-group")} | {"maxBufferSize": 1 << 28} | limits
        self.gpu = GPU(self.limits)
        self.asked: list[Any] = []
        self.info = SimpleNamespace(**(info or {"vendor": "acme", "architecture": "one"}))
        self.adapter: Any = SimpleNamespace(
            info=self.info, limits=SimpleNamespace(**self.limits), features=SimpleNamespace(has=lambda f: f in features), requestDevice=self.request_device
        )
        self.answer: Any = Promise(self.gpu)
        gpu = SimpleNamespace(requestAdapter=lambda _: Promise(self.adapter))
        self.scope = SimpleNamespace(navigator=SimpleNamespace(gpu=gpu, userAgent=agent), isSecureContext=True, Object=SimpleNamespace(fromEntries=dict))
        self.waits = True
        self.bridge = Bridge(self.scope, lambda value, **_: value, Lent, self.run_sync, lambda: self.waits, NULL, RejectedError)

    def request_device(self, descriptor: Any) -> Any:
        self.asked.append(descriptor)
        return self.answer

    def run_sync(self, work: Any) -> Any:
        return asyncio.run(work)

    def open(self) -> BrowserDevice:
        return BrowserDevice(self.bridge, run(open_adapter(self.bridge)))


def run(work: Awaitable[Any]) -> Any:
    async def waited() -> Any:
        return await work

    return asyncio.run(waited())


def started(device: BrowserDevice) -> list[Any]:
    """A copy of a plan's input to its output is submitted; returns the two storages."""
    storages = [device.allocate(1024), device.allocate(1024)]
    device.execute(copy().plan, storages)
    return storages


# Opening.


def test_all_that_the_adapter_has_is_asked_for_and_told_in_the_target() -> None:
    tab = Browser(features=("shader-f16", "timestamp-query", "subgroups"), maxStorageBuffersPerShaderStage=10, maxBindingsPerBindGroup=9)
    device = tab.open()
    [asked] = tab.asked
    assert asked["requiredFeatures"] == ["shader-f16", "timestamp-query"]
    assert asked["requiredLimits"].keys() == {camel(name) for name in LIMITS}
    assert asked["requiredLimits"]["maxStorageBuffersPerShaderStage"] == 10
    assert (device.target.storage_buffers, device.target.float16, device.target.local_memory) == (9, True, True)
    assert (device.clock, device.description, repr(device)) == ("timestamp-query", "one (WebGPU, acme)", "<webgpu device: one (WebGPU, acme)>")


@pytest.mark.parametrize(
    ("info", "software", "name"),
    [
        ({"architecture": "swiftshader", "vendor": "google"}, True, "swiftshader"),
        ({"architecture": "", "isFallbackAdapter": True}, True, "GPU"),
        ({"architecture": "ampere", "description": "NVIDIA RTX", "vendor": "nvidia"}, False, "NVIDIA RTX"),
        ({"architecture": "apple-m3", "isFallbackAdapter": False}, False, "apple-m3"),
    ],
)
def test_a_processor_that_stands_in_for_a_gpu_is_known(info: dict[str, Any], software: bool, name: str) -> None:
    device = Browser(info=info).open()
    assert device.adapter.software is software
    assert device.target.local_memory is not software
    assert device.adapter.name == name


def without_webgpu(tab: Browser) -> None:
    tab.scope.navigator.gpu = None


def without_navigator(tab: Browser) -> None:
    del tab.scope.navigator


def insecure(tab: Browser) -> None:
    tab.scope.navigator, tab.scope.isSecureContext = SimpleNamespace(), False


def without_adapter(tab: Browser) -> None:
    tab.adapter = NULL


def refusing(tab: Browser) -> None:
    tab.answer = Promise(RejectedError("OperationError: too much"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without_webgpu, NO_WEBGPU),
        (without_navigator, NO_WEBGPU),
        (insecure, INSECURE),
        (without_adapter, NO_ADAPTER),
        (refusing, "the GPU one refuses a device (OperationError: too much)"),
    ],
)
def test_why_there_is_no_gpu_is_told_with_what_to_do(spoil: Callable[[Browser], None], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tab = Browser()
    spoil(tab)
    monkeypatch.setattr(browser, "_bridge", lambda: tab.bridge)
    monkeypatch.setattr(browser, "_STATE", browser._State())
    assert run(browser.open_device_or_reason()) == says
    tab.waits = False
    with pytest.raises(NoDeviceError) as caught:  # what was found is told again where nothing can wait
        browser.opened()
    assert str(caught.value) == says


def test_a_device_is_opened_once_and_again_after_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    tab = Browser()
    monkeypatch.setattr(browser, "_bridge", lambda: tab.bridge)
    monkeypatch.setattr(browser, "_STATE", browser._State())
    tab.waits = False
    with pytest.raises(DeviceError, match=r"call `await anneal\.runtime\.device\.open_device\(\)` first"):
        browser.opened()
    assert run(browser.open_device_or_reason()) is None
    first = browser.opened()
    assert run(browser.open_device()) is first
    tab.gpu.lost.settle(SimpleNamespace(message="driver reset", reason="unknown"))
    assert first.lost
    assert browser.opened() is first
    tab.answer = Promise(GPU(tab.limits))
    tab.waits = True
    second = browser.opened()
    assert second is not first
    assert browser.opened() is second


def test_the_registry_opens_the_tab_s_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    tab = Browser()
    monkeypatch.delenv("ANNEAL_DEVICE", raising=False)
    monkeypatch.setattr(registry, "_IN_TAB", True)
    monkeypatch.setattr(browser, "_bridge", lambda: tab.bridge)
    monkeypatch.setattr(browser, "_STATE", browser._State())
    found = run(registry.open_device())
    assert isinstance(found, BrowserDevice)
    assert get_device() is get_device("webgpu") is found


def test_without_any_device_the_reason_is_the_gpu_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NumPy is missing too, as in a tab, nobody is told to install it."""

    def missing(what: str) -> Callable[[], Any]:
        def fails() -> Any:
            raise NoDeviceError(what)

        return fails

    monkeypatch.delenv("ANNEAL_DEVICE", raising=False)
    monkeypatch.setattr(registry, "_OPENED", {})
    monkeypatch.setattr(registry, "_FALLBACK", [])
    monkeypatch.setattr(registry, "_OPEN", {"webgpu": missing("no GPU here"), "reference": missing("no NumPy here")})
    with pytest.raises(NoDeviceError, match="no GPU here"):
        get_device()


def test_opening_is_the_same_natively() -> None:
    assert run(registry.open_device("reference")) is get_device("reference")


# Waiting.


def test_coroutines_are_finished_at_once_by_a_device_that_blocks() -> None:
    device = get_device("reference")

    async def work() -> bytes:
        storage = device.allocate(4)
        device.write(storage, b"abcd")
        await device.wait_async()
        return (await device.read_many_async([(storage, 4)]))[0]

    assert device.finish(work()) == b"abcd"

    async def fails() -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        device.finish(fails())

    async def waits() -> None:
        await Promise(pending=True)

    with pytest.raises(DeviceError, match="awaits something else than its device"):
        Blocking().finish(waits())


def test_plain_forms_wait_or_say_what_to_do_instead() -> None:
    tab = Browser()
    device = tab.open()
    storage = device.allocate(8)
    device.write(storage, b"abcdefgh")
    assert device.read(storage, 3) == b"abc"
    assert device.read_many([]) == []
    device.wait()
    tab.waits = False
    for call in (lambda: device.read(storage, 3), device.wait, lambda: device.profile(copy().plan, started(device))):
        with pytest.raises(DeviceError, match=r"use the asynchronous form, `await tensor\.tolist_async\(\)`"):
            call()


def test_small_and_large_writes_arrive_and_nothing_stays_lent() -> None:
    tab = Browser()
    device = tab.open()
    before = Lent.alive
    for nbytes in (5, 1 << 16, (1 << 16) + 5):
        storage, data = device.allocate(nbytes), bytes(i % 251 for i in range(nbytes))
        device.write(storage, data)
        assert device.read(storage, nbytes) == data
    assert Lent.alive == before


def test_more_than_a_buffer_holds_is_read_in_parts() -> None:
    tab = Browser(maxBufferSize=1024)
    device = tab.open()
    storages = [device.allocate(512) for _ in range(5)]
    for number, storage in enumerate(storages):
        device.write(storage, bytes([number]) * 512)
    assert device.read_many([(s, 512) for s in storages]) == [bytes([n]) * 512 for n in range(5)]
    assert max(b.size for b in tab.gpu.buffers) <= 1024


@pytest.mark.parametrize(("agent", "nudged"), [("Mozilla/5.0 Firefox/150.0", True), ("Mozilla/5.0 Chrome/156.0", False)])
def test_firefox_is_nudged_while_it_is_waited_for(agent: str, nudged: bool) -> None:
    tab = Browser(agent)
    device = tab.open()
    tab.gpu.done = Promise(pending=True)

    async def work() -> None:
        waiting = asyncio.ensure_future(device.wait_async())
        await asyncio.sleep(0.05)
        tab.gpu.done.settle()
        await waiting

    run(work())
    assert (tab.gpu.nudges > 1) is nudged


def test_a_plan_is_one_pass_and_one_submit() -> None:
    tab = Browser()
    device = tab.open()
    storages = started(device)
    device.execute(copy().plan, storages)
    assert [(e.passes, e.dispatched) for e in tab.gpu.submitted] == [(1, 1)] * 2


@pytest.mark.parametrize("features", [("timestamp-query",), ()])
def test_kernels_are_timed_with_and_without_the_device_s_clock(features: tuple[str, ...]) -> None:
    tab = Browser(features=features)
    device = tab.open()
    seconds = run(device.profile_async(copy().plan, [device.allocate(1024), device.allocate(1024)]))
    assert len(seconds) == 1
    assert device.clock == ("timestamp-query" if features else "wall")
    assert (seconds[0] > 0) is not bool(features), "this GPU's timestamps stand still"


def test_a_plan_that_is_clocked_in_pieces_has_its_temporaries_to_itself() -> None:
    """Other work goes on between its kernels, and may use neither what they pass on to one another, nor more memory each time."""
    tab = Browser()
    device = tab.open()
    plan = with_temporaries().plan
    pairs = [[device.allocate(1024), device.allocate(1024)] for _ in range(2)]
    named = {id(device._block(storage).buffer) for pair in pairs for storage in pair}

    async def work() -> tuple[set[int], set[int]]:
        tab.gpu.done, tab.gpu.submitted = Promise(pending=True), []
        clocked = asyncio.ensure_future(device.profile_async(plan, pairs[0]))
        await asyncio.sleep(0.01)
        device.execute(plan, pairs[1])
        tab.gpu.done.settle()
        assert len(await clocked) == 3
        other, *own = [{id(buffer) for buffer in encoder.bound} - named for encoder in tab.gpu.submitted]
        return other, set.union(*own)

    for _ in range(3):
        other, own = run(work())
        assert len(other) == len(own) == 2
        assert not other & own
        count = len(tab.gpu.buffers)
    run(work())
    assert len(tab.gpu.buffers) == count


# What goes wrong.


def test_what_fails_while_somebody_waits_is_told_to_whom_it_concerns() -> None:
    tab = Browser()
    device = tab.open()
    slow, pop = Promise(pending=True), tab.gpu.popErrorScope
    tab.gpu.popErrorScope = lambda: (pop(), slow)[1]  # type: ignore[method-assign]
    storages = [device.allocate(1024), device.allocate(1024)]
    tab.gpu.popErrorScope = pop  # type: ignore[method-assign]

    async def work() -> None:
        waiting = asyncio.ensure_future(device.wait_async())
        await asyncio.sleep(0.01)
        tab.gpu.fails["module"] = "no"
        device.execute(copy().plan, storages)
        slow.settle(NULL)
        await waiting
        for _ in range(2):
            with pytest.raises(DeviceError, match="kernel copy: the device rejects it: no"):
                await device.read_many_async([(storages[1], 4)])

    run(work())


def test_a_rejected_kernel_is_told_with_its_line_and_its_values_are_gone() -> None:
    tab = Browser()
    device = tab.open()
    tab.gpu.fails["module"] = "Error while parsing WGSL: :2:15 error: no such thing\n\n - While calling [Device].CreateShaderModule"
    tab.gpu.messages = [SimpleNamespace(type="warning", lineNum=1, message="never mind"), SimpleNamespace(type="error", lineNum=2, message="no such\nthing")]
    one, two = started(device)
    line = copy().plan.kernels[0].wgsl.splitlines()[1].strip()
    with pytest.raises(DeviceError) as caught:
        device.read(two, 4)
    assert str(caught.value) == f"kernel copy: the device rejects line 2 of its WGSL, `{line}`: no such thing"
    with pytest.raises(DeviceError, match="these values were not computed: kernel copy"):
        device.read(two, 4)
    assert device.read(one, 4) == bytes(4)
    third = device.allocate(1024)
    with pytest.raises(DeviceError, match="these values were not computed: kernel copy"):
        device.execute(copy().plan, [two, third])
    tab.gpu.fails.clear()
    device.execute(copy().plan, [one, two])  # nothing broken is kept, and what is computed anew can be read
    assert device.read(two, 4) == bytes(4)


def test_what_is_written_anew_can_be_read() -> None:
    tab = Browser()
    device = tab.open()
    tab.gpu.fails["module"] = "no"
    _, two = started(device)
    with pytest.raises(DeviceError, match="kernel copy: the device rejects it: no"):
        device.wait()
    device.write(two, b"part")
    with pytest.raises(DeviceError, match="these values were not computed"):
        device.read(two, 4)
    device.write(two, bytes(1024))
    assert device.read(two, 4) == bytes(4)


@pytest.mark.parametrize(
    ("call", "says"), [("layout", "kernel copy: the device rejects its bindings: wrong"), ("group", "kernel copy: the device rejects its buffers: wrong")]
)
def test_rejected_bindings_are_told_each_time(call: str, says: str) -> None:
    tab = Browser()
    device = tab.open()
    for _ in range(2):
        tab.gpu.fails[call] = "wrong"
        started(device)
        with pytest.raises(DeviceError, match=says):
            device.wait()
    tab.gpu.fails.clear()
    started(device)
    device.wait()


def test_a_buffer_that_there_was_no_memory_for_is_never_used_again() -> None:
    tab = Browser()
    device = tab.open()
    tab.gpu.fails["buffer"] = "out of memory"
    storage = device.allocate(1024)
    tab.gpu.fails.clear()
    with pytest.raises(DeviceError, match=r"out of memory: cannot allocate 1,024 bytes on one \(WebGPU, acme\)"):
        device.wait()
    broken = tab.gpu.buffers[0]
    del storage
    again = [device.allocate(1024) for _ in range(3)]
    assert all(s.block.buffer is not broken for s in again)  # type: ignore[attr-defined]


def test_an_error_outside_of_every_scope_is_told_at_the_next_wait() -> None:
    tab = Browser()
    device = tab.open()
    quiet: list[bool] = []
    _, two = started(device)
    tab.gpu.listen(SimpleNamespace(error=SimpleNamespace(message="bad submit"), preventDefault=lambda: quiet.append(True)))
    with pytest.raises(DeviceError, match=r"one \(WebGPU, acme\) rejects a command: bad submit"):
        device.read(two, 4)
    assert quiet == [True], "the console says nothing"
    device.wait()


def test_a_loss_is_told_in_whatever_is_asked_next() -> None:
    tab = Browser()
    device = tab.open()
    storages = started(device)
    tab.gpu.lost.settle(SimpleNamespace(message="", reason="destroyed"))
    calls: list[Callable[[], object]] = [
        lambda: device.read(storages[0], 4),
        lambda: device.write(storages[0], b"abcd"),
        lambda: device.execute(copy().plan, storages),
        lambda: device.allocate(1 << 20),
        device.wait,
    ]
    for call in calls:
        with pytest.raises(DeviceError, match=r"one \(WebGPU, acme\) was lost \(destroyed\).*open_device\(\)"):
            call()


def test_a_loss_while_it_is_waited_for_is_told_as_one() -> None:
    """A browser may reject the promise first and tell of the loss afterwards."""
    tab = Browser()
    device = tab.open()
    tab.gpu.done = Promise(RejectedError("AbortError: the device was lost"))

    async def work() -> None:
        waiting = asyncio.ensure_future(device.wait_async())
        await asyncio.sleep(0.02)
        tab.gpu.lost.settle(SimpleNamespace(message="GPU process gone", reason="unknown"))
        await waiting

    with pytest.raises(DeviceError, match="was lost \\(GPU process gone\\)"):
        run(work())


def test_a_promise_that_is_rejected_without_a_loss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anneal.runtime.browser_queue._GRACE", 0.01)
    tab = Browser()
    device = tab.open()
    tab.gpu.done = Promise(RejectedError("OperationError: nobody knows"))
    with pytest.raises(DeviceError, match=r"does not answer: OperationError: nobody knows"):
        device.wait()


def test_storage_of_another_device_is_refused() -> None:
    first, second = Browser().open(), Browser().open()
    storage = first.allocate(8)
    with pytest.raises(DeviceError, match=r"opened before, and its values are gone: make the tensor again"):
        second.read(storage, 4)
    with pytest.raises(DeviceError, match="this storage is on device reference, not webgpu"):
        second.write(get_device("reference").allocate(4), b"abcd")
