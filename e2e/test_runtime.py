"""The device `webgpu` in a tab, on Chromium's software GPU: what it computes, what it refuses, and what happens when something goes wrong.

What plans compute on a native GPU is tested in `tests/`; here it is the tab's own part: copies, caches, promises, errors that come later.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from site_browser import Host

from anneal import Tensor
from anneal.examples import EXAMPLES
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer
from anneal.runtime.device import get_device
from e2e.conftest import Watched
from e2e.python_tab import PythonError, PythonTab, python_tab

START = """
import anneal
from anneal import Tensor, dtypes, nn
from anneal.runtime.device import get_device, open_device
device = await open_device()
"""
ERROR = """
from anneal.errors import AnnealError
def told(error):
    return [type(error).__name__, str(error), isinstance(error, AnnealError)]
"""


@pytest.fixture(scope="module")
def said() -> Iterator[Watched]:
    told = Watched()
    yield told
    told.check()


@pytest.fixture(scope="module")
def python(browser: Browser, host: Host, said: Watched) -> Iterator[PythonTab]:
    """One tab for tests that leave it as it was."""
    with python_tab(browser, host, said) as tab:
        tab.run(START + ERROR)
        yield tab


@pytest.fixture
def fresh(browser: Browser, host: Host, watched: Watched) -> Iterator[PythonTab]:
    """A tab of the test's own."""
    with python_tab(browser, host, watched) as tab:
        yield tab


# What it computes.


def test_it_is_the_software_gpu_with_its_own_limits(python: PythonTab) -> None:
    found = python.run("[device.name, device.description, device.clock, device.target.to_dict(), get_device() is device, get_device('webgpu') is device]")
    assert found[:3] == ["webgpu", "swiftshader (WebGPU, google)", "timestamp-query"]
    assert found[3]["storage_buffers"] > 8
    assert found[3]["binding_bytes"] > 128 << 20
    assert not found[3]["local_memory"], "a software adapter's workgroup memory is no faster than its caches"
    assert not found[3]["float16"]
    assert found[4:] == [True, True]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(Tensor([1.0, 2.0, 3.0]) * 2 + 1).relu()", [3.0, 5.0, 7.0]),
        ("Tensor([0.0, 1.0, 2.0, 3.0]).exp2()", [1.0, 2.0, 4.0, 8.0]),
        ("Tensor([[1, 2, 3], [4, 5, 6]]).float() @ Tensor([[7, 8], [9, 10], [11, 12]]).float()", [[58.0, 64.0], [139.0, 154.0]]),
        ("Tensor(list(range(1, 17))).reshape(4, 4).sum(0)", [28, 32, 36, 40]),
        ("Tensor([-5.0, -3.0, -1.0, -4.0]).max()", -1.0),
        ("Tensor([-7, -7, 7, 7]) // Tensor([3, -3, 3, -3])", [-3, 2, 2, -3]),
        ("Tensor([-7, -7, 7, 7]) % Tensor([3, -3, 3, -3])", [2, -1, 1, -2]),
        ("Tensor([2000000000]) + Tensor([2000000000])", [-294967296]),
        ("Tensor([5]) ^ Tensor([3])", [6]),
        ("Tensor([1, 2, 3], dtype=dtypes.uint32) * 3", [3, 6, 9]),
        ("Tensor([True, False, True]) & Tensor([True, True, False])", [True, False, False]),
        ("Tensor([1.0, 2.0, 3.0, 4.0]).reshape(2, 2).pad(((1, 1), (1, 1))).sum()", 10.0),
        ("Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]).conv2d(Tensor([[[[1.0, 0.0], [0.0, 1.0]]]]))", [[[[5.0]]]]),
        ("Tensor.arange(100_000).sum()", sum(range(100_000)) - (1 << 32)),
        ("Tensor([[1.0, 2.0], [3.0, 4.0]], dtype=dtypes.bfloat16).float()", [[1.0, 2.0], [3.0, 4.0]]),
        ("Tensor.zeros(0, 4)", []),
    ],
)
def test_values_are_right(python: PythonTab, expression: str, expected: object) -> None:
    assert python.run(f"await ({expression}).tolist_async()") == expected


def test_softmax_and_layernorm_are_right(python: PythonTab) -> None:
    rows = [[0.5, -1.0, 2.0], [3.0, 3.0, 3.0]]
    found = python.run("[await Tensor(rows).softmax(-1).tolist_async(), await Tensor(rows).layernorm(-1, eps=1e-5).tolist_async()]", rows=rows)
    for row, soft, normal in zip(rows, *found, strict=True):
        total = sum(map(math.exp, row))
        mean = sum(row) / 3
        deviation = math.sqrt(sum((x - mean) ** 2 for x in row) / 3 + 1e-5)
        assert soft == pytest.approx([math.exp(x) / total for x in row], rel=1e-5)
        assert normal == pytest.approx([(x - mean) / deviation for x in row], rel=1e-4, abs=1e-6)


def test_gradients_are_right(python: PythonTab) -> None:
    """The loss and gradients of mean((x@W - t)²), by hand."""
    code = """
x = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
w = Tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], requires_grad=True)
loss = ((x @ w - Tensor([[1.0, 2.0], [3.0, 4.0]])) ** 2).mean()
loss.backward()
[await loss.item_async(), await x.grad.reshape(6).tolist_async(), await w.grad.reshape(6).tolist_async()]
"""
    loss, x, w = python.run(code)
    assert loss == pytest.approx(2.8625, rel=1e-5)
    assert x == pytest.approx([0.14, 0.34, 0.54, 0.335, 0.765, 1.195], rel=1e-4)
    assert w == pytest.approx([4.4, 5.2, 5.95, 6.8, 7.5, 8.4], rel=1e-4)


SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e38, -1e38, 2e-38, 123456.7]
METHODS = ("exp2", "exp", "log2", "sqrt", "floor", "abs", "relu", "sign", "isnan", "isinf", "tanh", "sigmoid", "sin", "reciprocal", "__neg__")


def bits(values: list[float]) -> list[int]:
    """Floats as their bits: NaN goes through no JSON."""
    return list(struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values)))


def test_infinities_and_nan_are_computed_as_on_the_reference_device(python: PythonTab) -> None:
    """The tab's GPU compiler approximates some functions by bits that mean something else in a NaN, an infinity or a zero."""
    code = """
import struct
x = Tensor([0.0] * len(special)).write_bytes(struct.pack(f"<{len(special)}I", *special))
async def bits(name):
    made = [float(v) for v in await getattr(x, name)().tolist_async()]
    return list(struct.unpack(f"<{len(made)}I", struct.pack(f"<{len(made)}f", *made)))
[await bits(name) for name in methods]
"""
    found = python.run(code, special=bits(SPECIAL), methods=METHODS)
    wrong = []
    for name, row in zip(METHODS, found, strict=True):
        expected = [float(v) for v in getattr(Tensor(SPECIAL, device="reference"), name)().tolist()]
        values = struct.unpack(f"<{len(row)}f", struct.pack(f"<{len(row)}I", *row))
        for x, value, goal in zip(SPECIAL, values, expected, strict=True):
            if name == "sin" and abs(x) > 1e6:
                continue  # WGSL promises no digit of it
            if value != pytest.approx(goal, rel=2e-3 if name == "sin" else 2e-5, abs=2e-3 if name == "sin" else 2e-38, nan_ok=True):
                wrong.append(f"{name}({x}) = {value}, not {goal}")
    assert not wrong


def test_bits_that_are_only_moved_stay(python: PythonTab) -> None:
    """A computation may flush the smallest numbers to zero; all others, infinities and both zeros come back as they went."""
    code = """
import struct
x = Tensor([0.0] * 6).write_bytes(struct.pack("<6I", *pattern))
back = await x.flip(0).contiguous().tolist_async()
list(struct.unpack("<6I", struct.pack("<6f", *back)))
"""
    pattern = [0x7F800000, 0xFF800000, 0x80000000, 0x00000000, 0x3F800001, 0x7F7FFFFF]
    assert python.run(code, pattern=pattern) == pattern[::-1]


def test_the_first_steps_of_a_training_are_those_of_the_native_device(python: PythonTab) -> None:
    code = """
from anneal.examples import EXAMPLES
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer
trainer = Trainer(Program(EXAMPLES["mlp"], seed=3), device)
losses = [loss async for window in trainer.train_async(30) for loss in window.losses]
[losses, await trainer.score_async()]
"""
    losses, score = python.run(code)
    native = Trainer(Program(EXAMPLES["mlp"], seed=3), get_device("reference"))
    expected = [loss for window in native.train(30) for loss in window.losses]
    assert losses == pytest.approx(expected, rel=2e-4)
    assert score == pytest.approx(native.score(), abs=0.01)


def test_a_learning_rate_may_change_between_windows(python: PythonTab) -> None:
    """A rate of nothing leaves the parameters alone, without another compilation."""
    code = """
from anneal.examples import EXAMPLES
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer
trainer = Trainer(Program(EXAMPLES["mlp"], optimizer="adamw", lr=0.01), device)
scores, plan = [], trainer.plan
for until, lr in ((10, 0.01), (20, 0.0), (30, 0.0), (40, 0.01)):
    trainer.program.optimizer.set_lr(lr)
    async for window in trainer.train_async(until):
        pass
    scores.append(await trainer.program.parameters[0].sum().item_async())
[scores, plan is trainer.plan]
"""
    (first, second, third, fourth), same = python.run(code)
    assert first == second == third != fourth
    assert same


def test_a_watched_training_pauses_goes_on_and_stops(python: PythonTab) -> None:
    """While it is paused, other work of the tab goes on; what is watched is trained as what is not."""
    code = """
import asyncio
from anneal.examples import EXAMPLES
from anneal.examples.program import Program
from anneal.examples.monitor import Monitor
from anneal.examples.trainer import Trainer, facts, follow_async
trainer = Trainer(Program(EXAMPLES["mlp"]), device)
monitor = Monitor(facts(trainer, "sgd"), 100000)
monitor.observers.append(lambda records: monitor.done == 20 and monitor.pause())
task = asyncio.ensure_future(follow_async(trainer, monitor))
while monitor.state != "paused":
    await asyncio.sleep(0.01)
held = monitor.done
await asyncio.sleep(0.1)
states = [monitor.state, monitor.done == held]
monitor.resume()
while monitor.done < 40:
    await asyncio.sleep(0.01)
monitor.stop()
await task
alone = Trainer(Program(EXAMPLES["mlp"]), device)
losses = [loss async for window in alone.train_async(40) for loss in window.losses]
[states, monitor.state, losses == [r.loss for r in monitor.records][:40]]
"""
    assert python.run(code) == [["paused", True], "stopped", True]


def test_a_training_from_python_is_the_same_awaited_or_not(python: PythonTab) -> None:
    code = """
from anneal.examples import train, train_async
plain, awaited = train("mlp", 12, device="webgpu"), await train_async("mlp", 12)
[plain.losses == awaited.losses, len(plain.losses), plain.accuracy == awaited.accuracy, awaited.monitor.state]
"""
    assert python.run(code) == [True, 12, True, "done"]


# Memory.


def test_a_thousand_steps_take_no_more_memory(python: PythonTab) -> None:
    code = """
import gc
from anneal.ir.uop import ARENA
made = []
make = type(device)._new_buffer
def counted(self, nbytes, usage):
    made.append(nbytes)
    return make(self, nbytes, usage)
type(device)._new_buffer = counted
w = Tensor([1.0] * 256, requires_grad=True)
async def turn():
    w.assign(w.detach() * 0.5 + 1)
    w.realize()
for _ in range(50):
    await turn()
await w.tolist_async()
gc.collect()
before, live, groups = len(made), len(ARENA), len(device._groups)
for number in range(1000):
    await turn()
    if number % 100 == 0:
        await w.tolist_async()
gc.collect()
type(device)._new_buffer = make
[len(made) - before, len(ARENA) - live, len(device._groups) - groups, (await w.tolist_async())[:2]]
"""
    assert python.run(code) == [0, 0, 0, [2.0, 2.0]]


def test_many_buffers_are_read_at_once(python: PythonTab) -> None:
    code = """
storages = [device.allocate(4 * (n + 1)) for n in range(300)]
for n, storage in enumerate(storages):
    device.write(storage, bytes([n % 251]) * (4 * (n + 1)))
found = await device.read_many_async([(s, 4 * (n + 1) - n % 4) for n, s in enumerate(storages)])
all(data == bytes([n % 251]) * (4 * (n + 1) - n % 4) for n, data in enumerate(found))
"""
    assert python.run(code) is True


@pytest.mark.parametrize("nbytes", [0, 1, 5, 65536, 65537, 9_000_000])
def test_bytes_come_back_as_they_went(python: PythonTab, nbytes: int) -> None:
    """Small and large copies take different ways; sizes need not be multiples of 4."""
    code = """
data = bytes(i * 31 % 256 for i in range(1000)) * (nbytes // 1000 + 1)
storage = device.allocate(nbytes)
device.write(storage, memoryview(data)[:nbytes])
(await device.read_many_async([(storage, nbytes)]))[0] == data[:nbytes]
"""
    assert python.run(code, nbytes=nbytes) is True


def test_views_that_are_not_in_one_piece_are_written_too(python: PythonTab) -> None:
    code = """
storage = device.allocate(8)
device.write(storage, memoryview(b"a-b-c-d-e-f-g-h-")[::2])
(await device.read_many_async([(storage, 8)]))[0].decode()
"""
    assert python.run(code) == "abcdefgh"


# Waiting.


def test_plain_reading_waits_where_the_browser_can(python: PythonTab) -> None:
    code = "[(Tensor([1.0, 2.0]) + 1).tolist(), Tensor([3]).sum().item(), float(Tensor(2.5) * 2), device.wait()]"
    assert python.run(code) == [[2.0, 3.0], 3, 5.0, None]


def test_plain_reading_is_refused_where_it_cannot(python: PythonTab) -> None:
    """The refusal names the asynchronous form, which works; nothing is left behind."""
    code = """
from dataclasses import replace
before = device._bridge
device._bridge = replace(before, can_run_sync=lambda: False)
x = Tensor([1.0, 2.0]) * 3
errors = []
try:
    for ask in (x.tolist, x.sum().item, device.wait):
        try:
            errors.append(ask())
        except AnnealError as error:
            errors.append(told(error))
    value = await x.tolist_async()
finally:
    device._bridge = before
[errors, value]
"""
    errors, value = python.run(code)
    assert [e[0] for e in errors] == ["DeviceError"] * 3
    assert all("await tensor.tolist_async()" in e[1] for e in errors)
    assert value == [3.0, 6.0]


def test_opening_is_asked_for_where_the_tab_cannot_wait(fresh: PythonTab) -> None:
    code = f"""
{ERROR}
from anneal.runtime import browser
from anneal.runtime.device import get_device, open_device
from pyodide import ffi
before, ffi.can_run_sync = ffi.can_run_sync, lambda: False
try:
    try:
        get_device()
    except AnnealError as error:
        first = told(error)
    await open_device()
    name = get_device().name
finally:
    ffi.can_run_sync = before
[first, name]
"""
    first, name = fresh.run(code)
    assert first[0] == "DeviceError"
    assert "await anneal.runtime.device.open_device()" in first[1]
    assert name == "webgpu"


def test_opening_waits_by_itself_where_it_can(fresh: PythonTab) -> None:
    assert fresh.run("import anneal\n(anneal.Tensor([1.0, 2.0]) * 2).tolist()") == [2.0, 4.0]


def test_a_browser_that_needs_it_is_nudged_while_it_is_waited_for(python: PythonTab) -> None:
    """Firefox looks at its GPU ten times a second unless something is submitted: here, a promise that only a nudge resolves."""
    code = """
import asyncio
queue = device._queue
class Counting:
    def __init__(self, inner):
        self.inner, self.empty = inner, 0
    def submit(self, commands):
        self.empty += not commands.length
        self.inner.submit(commands)
        if self.empty == 3:
            asked.set_result("nudged")
inner = queue._queue
queue._queue, queue._nudges = Counting(inner), True
asked = asyncio.get_running_loop().create_future()
try:
    answer = await queue.arrived(asked)
finally:
    count = queue._queue.empty
    queue._queue, queue._nudges = inner, False
[answer, count]
"""
    assert python.run(code) == ["nudged", 3]


# Times.


def test_each_kernel_is_timed_by_the_device_or_by_the_wall(python: PythonTab) -> None:
    code = """
from anneal.tensor.realize import Executable, trace
x = Tensor([[1.0] * 512] * 512)
run = Executable(trace([((x @ x).softmax(0) @ x).uop]), device)
found = []
for clock in ("timestamp-query", "wall"):
    device.clock = clock
    await run.profile_async()
    found.append(await run.profile_async())
device.clock = "timestamp-query"
[len(run.plan.kernels), found, run.profile() is not None]
"""
    count, (stamped, clocked), again = python.run(code)
    assert count > 1
    assert len(stamped) == len(clocked) == count
    assert all(seconds >= 0 for seconds in stamped)
    assert sum(stamped) > 0
    assert all(seconds > 0 for seconds in clocked)
    assert again


# What goes wrong.


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        ("float16", [2.0, 0.333251953125, -4.0]),
        ("bfloat16", [2.0, 0.333984375, -4.0]),
        ("float8_e4m3", [2.0, 0.34375, -4.0]),
        ("float8_e5m2", [2.0, 0.3125, -4.0]),
        ("int16", [2, 0, -4]),
        ("int8", [2, 0, -4]),
        ("uint8", [2, 0, 0]),
    ],
)
def test_narrow_elements_lie_packed_in_words(python: PythonTab, dtype: str, wanted: list[float]) -> None:
    code = f"await (Tensor([1.0, {1 / 6!r}, -2.0]) * 2).cast(dtypes.{dtype}).realize().flip(0).flip(0).tolist_async()"
    assert python.run(code) == wanted


BROKEN = """
from dataclasses import replace
from anneal.tensor import execute
plan = anneal.compile(Tensor([1.0, 2.0, 3.0]) * 2, target=device.target)
def spoilt(old, new):
    kernel = plan.kernels[0]
    assert old in kernel.wgsl, kernel.wgsl
    return replace(plan, kernels=(replace(kernel, wgsl=kernel.wgsl.replace(old, new), name="broken"),))
"""


def test_a_kernel_that_is_rejected_is_told_with_its_line_when_it_is_read(python: PythonTab) -> None:
    """And the values cannot be had afterwards either, nor what was computed from them; other work goes on."""
    code = (
        BROKEN
        + """
[result] = anneal.execute(spoilt("* 2.0", "* true"), [1.0, 2.0, 3.0])
later = (result + 1).realize()
errors = []
for tensor in (result, result, later):
    try:
        errors.append(await tensor.tolist_async())
    except AnnealError as error:
        errors.append(told(error))
try:
    errors.append(await (result * 3).tolist_async())
except AnnealError as error:
    errors.append(told(error))
[errors, await anneal.execute(plan, [1.0, 2.0, 3.0])[0].tolist_async(), await (Tensor([5.0]) + 1).tolist_async()]
"""
    )
    errors, good, other = python.run(code)
    assert [e[0] for e in errors] == ["DeviceError"] * 4
    assert all("kernel broken: the device rejects line " in e[1] and "of its WGSL, `" in e[1] for e in errors)
    assert errors[1][1].startswith("these values were not computed: ")
    assert good == [2.0, 4.0, 6.0]
    assert other == [6.0]


def test_a_kernel_without_its_entry_point_is_told_too(python: PythonTab) -> None:
    code = (
        BROKEN
        + """
[result] = anneal.execute(spoilt("fn main", "fn other"), [1.0, 2.0, 3.0])
try:
    answer = result.tolist()
except AnnealError as error:
    answer = told(error)
answer
"""
    )
    kind, message, _ = python.run(code)
    assert kind == "DeviceError"
    assert message.startswith("kernel broken: the device rejects it: ")
    assert "main" in message


def test_a_rejected_kernel_is_rejected_each_time(python: PythonTab) -> None:
    """Nothing broken stays in a cache as if it worked."""
    code = (
        BROKEN
        + """
errors = []
for _ in range(3):
    [result] = anneal.execute(spoilt("* 2.0", "* vec2(1f)"), [1.0, 2.0, 3.0])
    try:
        errors.append(await result.tolist_async())
    except AnnealError as error:
        errors.append(told(error)[0])
errors
"""
    )
    assert python.run(code) == ["DeviceError"] * 3


def test_more_memory_than_there_is_is_an_error(python: PythonTab) -> None:
    code = """
try:
    answer = device.allocate(1 << 40)
except AnnealError as error:
    answer = told(error)
[answer, await (Tensor([5.0]) + 1).tolist_async()]
"""
    (kind, message, _), other = python.run(code)
    assert kind == "DeviceError"
    assert message.startswith("out of memory: cannot allocate 1,099,511,627,776 bytes")
    assert other == [6.0]


def test_a_command_that_is_rejected_is_told_at_the_next_wait(python: PythonTab) -> None:
    code = """
device._device.createBuffer(device._bridge.convert({"size": 3, "usage": 0}))
try:
    answer = await device.wait_async()
except AnnealError as error:
    answer = told(error)
[answer, await (Tensor([5.0]) + 1).tolist_async()]
"""
    (kind, message, _), other = python.run(code)
    assert kind == "DeviceError"
    assert "swiftshader (WebGPU, google) rejects a command: " in message
    assert other == [6.0]


def test_a_lost_device_says_so_and_is_opened_anew(fresh: PythonTab) -> None:
    code = """
kept = Tensor([1.0, 2.0]).realize()
total = (kept * 2).realize()
device._device.destroy()
errors = []
def note(error):
    errors.append(told(error))
try:
    await total.tolist_async()
except AnnealError as error:
    note(error)
for call in (lambda: device.allocate(4), lambda: device.wait(), lambda: device.write(device_storage, b"abcd")):
    try:
        call()
    except AnnealError as error:
        note(error)
again = await open_device()
value = await (Tensor([4.0]) * 2).tolist_async()
for tensor in (total, kept + 1):
    try:
        await tensor.tolist_async()
    except AnnealError as error:
        note(error)
[errors, again is device, device.lost, value, get_device() is again]
"""
    errors, same, lost, value, current = fresh.run(START + ERROR + "device_storage = device.allocate(4)\n" + code)
    assert [e[0] for e in errors] == ["DeviceError"] * 6
    assert all("was lost (Device was destroyed.)" in e[1] and "open_device()" in e[1] for e in errors[:4])
    assert all("opened before, and its values are gone" in e[1] for e in errors[4:])
    assert (same, lost, value, current) == (False, True, [8.0], True)


def test_a_lost_device_opens_by_itself_where_the_tab_can_wait(fresh: PythonTab) -> None:
    code = """
device._device.destroy()
await device._device.lost
(Tensor([4.0]) * 2).tolist()
"""
    assert fresh.run(START + code) == [8.0]


def test_a_tab_without_webgpu_says_what_to_do(browser_without_gpu: Browser, host: Host, watched: Watched) -> None:
    """The compiler works all the same; running is refused in the browser's words, not in those of the reference device."""
    watched.allowed.append("WebGPU")
    code = f"""
{ERROR}
import anneal
from anneal import Tensor
from anneal.runtime import browser
reason = await browser.open_device_or_reason()
plan = anneal.compile(Tensor([1.0]) * 2, target=anneal.Target.portable())
errors = []
for name in (None, "webgpu"):
    try:
        (Tensor([1.0], device=name) * 2).tolist()
    except AnnealError as error:
        errors.append(told(error))
[reason, len(plan.kernels), errors]
"""
    with python_tab(browser_without_gpu, host, watched) as tab:
        reason, kernels, errors = tab.run(code)
    assert "Chrome" in reason
    assert "--enable-unsafe-webgpu" in reason
    assert kernels == 1
    assert [e[:2] for e in errors] == [["NoDeviceError", reason]] * 2


def test_a_page_that_is_not_safe_is_told_to_be_opened_otherwise(fresh: PythonTab) -> None:
    code = """
from types import SimpleNamespace
from anneal.runtime import browser
real = browser._bridge
from dataclasses import replace
scope = SimpleNamespace(navigator=SimpleNamespace(), isSecureContext=False)
browser._bridge = lambda: replace(real(), scope=scope)
await browser.open_device_or_reason()
"""
    assert "https://" in fresh.run(code)


def test_what_a_snippet_raises_comes_back(python: PythonTab) -> None:
    """The harness itself: an error in the tab is an error of the test."""
    with pytest.raises(PythonError, match="ZeroDivisionError"):
        python.run("1 / 0")
