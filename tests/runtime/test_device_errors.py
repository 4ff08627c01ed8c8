"""What a device refuses, it refuses before any work, in words that name the kernel or buffer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from kernel_cases import F32, HELD, add_kernel, buffer, copy, edge_mask, half_precision, make_plan, module, with_temporaries

from anneal.codegen.target import Target
from anneal.errors import DeviceError, NoDeviceError, ParseError, UsageError
from anneal.runtime import device as registry
from anneal.runtime.base import check_fits, check_sizes
from anneal.runtime.device import NAMES, Device, get_device
from anneal.runtime.plan import Plan


@pytest.fixture(params=NAMES)
def device(request: pytest.FixtureRequest) -> Device:
    return get_device(request.param)


@pytest.fixture
def gpu() -> Device:
    return get_device("webgpu")


def with_wgsl(wgsl: str) -> Plan:
    plan = copy().plan
    return replace(plan, kernels=(replace(plan.kernels[0], name="broken", wgsl=wgsl),))


def test_unknown_device_lists_the_names() -> None:
    with pytest.raises(UsageError, match="no device 'cuda': there are webgpu, reference"):
        get_device("cuda")


def test_unknown_device_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "tpu")
    with pytest.raises(UsageError, match="ANNEAL_DEVICE=tpu: no device 'tpu'"):
        get_device()


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    assert get_device().name == "reference"
    monkeypatch.delenv("ANNEAL_DEVICE")
    assert get_device().name == "webgpu"


def test_without_an_adapter_the_reference_runs_and_says_so_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> Device:
        raise NoDeviceError("no GPU adapter (none here)")

    monkeypatch.delenv("ANNEAL_DEVICE", raising=False)
    monkeypatch.setattr(registry, "_OPENED", {})
    monkeypatch.setattr(registry, "_FALLBACK", [])
    monkeypatch.setattr(registry, "_OPEN", {**registry._OPEN, "webgpu": missing})
    assert [get_device().name, get_device().name] == ["reference", "reference"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no GPU adapter (none here); running on the reference device" in said
    with pytest.raises(NoDeviceError):
        get_device("webgpu")


def test_without_the_library_the_reference_runs() -> None:
    code = "import sys; sys.modules['wgpu'] = None; from anneal.runtime.device import get_device; print(get_device().name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "reference\n"
    assert done.stderr.count("\n") == 1
    assert "pip install wgpu" in done.stderr


def test_opening_the_gpu_is_silent() -> None:
    code = """
import os
os.environ.pop("XDG_RUNTIME_DIR", None)
from anneal.runtime.device import get_device
get_device("webgpu")
print("XDG_RUNTIME_DIR" in os.environ)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.parametrize(
    ("wgsl", "says"),
    [
        (module("let x: u32 = 1.5;", [("f32", False), ("f32", True)]), r"line 5 of its WGSL, `let x: u32 = 1\.5;`: the type of `x` is expected"),
        (module("data1[lid.x] = 1f\n+ 1u;", [("f32", False), ("f32", True)]), "kernel broken: the device rejects line 5 .*can't work"),
        (module("data1[lid.x] = data0[lid.x];", [("f32", False), ("f32", False)]), "kernel broken: .*valid destination for a store"),
        ("fn main() {", "kernel broken: the device rejects line 1"),
        (module("", [("f32", False), ("f32", True)]).replace("fn main", "fn other"), "kernel broken: .*Unable to find entry point 'main'"),
        (module("var<workgroup> x: array<f32, 9>;", []), "kernel broken: the device rejects line"),
        (module("data2[0] = 1f;", [("f32", False), ("f32", True), ("f32", True)]), "kernel broken: the device rejects it"),
    ],
    ids=["type", "operator", "access", "syntax", "entry", "scope", "binding"],
)
def test_bad_wgsl_names_the_kernel_and_the_line(gpu: Device, wgsl: str, says: str) -> None:
    with pytest.raises(DeviceError, match=says):
        gpu.execute(with_wgsl(wgsl), [gpu.allocate(1024), gpu.allocate(1024)])
    test_works_afterwards(gpu)


def test_works_afterwards(device: Device) -> None:
    case = copy()
    storages = [device.allocate(1024), device.allocate(1024)]
    device.write(storages[0], case.inputs[0].tobytes())
    device.execute(case.plan, storages)
    assert device.read(storages[1], 1024) == case.inputs[0].tobytes()


def test_bad_program_names_the_kernel() -> None:
    plan = copy().plan
    device = get_device("reference")
    for text, error in (("%0 = nonsense:float32", ParseError), ('%0 = loop:index ["k"]', DeviceError)):
        broken = replace(plan, kernels=(replace(plan.kernels[0], name="broken", program=text),))
        with pytest.raises((error, ParseError), match="kernel broken: "):
            device.execute(broken, [device.allocate(1024), device.allocate(1024)])


@pytest.mark.parametrize("check", ["0", "1"])
def test_an_index_outside_names_the_kernel_and_the_buffer(monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    monkeypatch.setenv("ANNEAL_CHECK", check)
    case = edge_mask()
    device = get_device("reference")
    text = case.plan.kernels[0].program.replace("const:index [1013]", "const:index [1014]")
    wrong = replace(case.plan, kernels=(replace(case.plan.kernels[0], program=text),))
    with pytest.raises(DeviceError, match=r"kernel add: an invocation reads buffer 0\[1013\], which has 1013 elements"):
        device.execute(wrong, [device.allocate(4056), device.allocate(4056)])


def test_number_size_place_and_aliases_of_storages(device: Device) -> None:
    plan = copy().plan
    one, two = device.allocate(1024), device.allocate(1024)
    other = get_device(next(n for n in NAMES if n != device.name)).allocate(1024)
    for storages, says in (
        ([one], "this plan has 2 input and output buffers, and 1 storages were given"),
        ([one, two, one], "and 3 storages were given"),
        ([one, device.allocate(1020)], r"output 1 \(float32 \(256,\)\) needs 1024 bytes, and its storage has 1020"),
        ([one, one], "buffers 0 and 1 are one storage, which the plan writes"),
        ([other, two], f"input 0 .* is on device {other.device}, and the plan runs on {device.name}"),
    ):
        with pytest.raises(DeviceError, match=says):
            device.execute(plan, storages)


def test_one_storage_may_be_read_twice(device: Device) -> None:
    kernels = [add_kernel("a", 64, [(0, False), (2, True)]), add_kernel("b", 64, [(1, False), (3, True)], 2.0)]
    plan = make_plan([buffer("input", F32, 64), buffer("input", F32, 64), buffer("output", F32, 64), buffer("output", F32, 64)], kernels)
    x, a, b = (device.allocate(256) for _ in range(3))
    device.write(x, np.ones(64, np.float32).tobytes())
    device.execute(plan, [x, x, a, b])
    assert np.frombuffer(device.read(b, 256), np.float32)[5] == 3


def test_reads_and_writes_stay_inside(device: Device) -> None:
    storage = device.allocate(6)
    assert storage.nbytes == 8
    device.write(storage, b"abcdef")
    assert device.read(storage, 6) == b"abcdef"
    assert device.read(storage, 0) == b""
    device.write(storage, b"")
    device.write(storage, memoryview(b"xyz"))
    assert device.read_many([(storage, 3), (storage, 1)]) == [b"xyz", b"x"]
    assert device.read_many([]) == []
    with pytest.raises(DeviceError, match="cannot write 9 bytes to a storage of 8"):
        device.write(storage, b"123456789")
    with pytest.raises(DeviceError, match="cannot read 9 bytes from a storage of 8"):
        device.read(storage, 9)


@pytest.mark.parametrize("nbytes", [1 << 40, 1 << 62])
def test_huge_allocation_is_an_error(device: Device, nbytes: int) -> None:
    with pytest.raises(DeviceError, match="out of memory: cannot allocate"):
        device.allocate(nbytes)
    test_works_afterwards(device)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Target(storage_buffers=1), "kernel copy needs 2 storage buffers, and gpu has 1: compile the plan for its target"),
        (Target(invocations=32), "kernel copy needs 64 invocations a workgroup, and gpu has 32"),
        (Target(workgroup_x=63), "kernel copy needs 64 invocations along x or y, and gpu has 63"),
        (Target(workgroup_z=0), "kernel copy needs 1 invocations along z, and gpu has 0"),
    ],
)
def test_kernels_that_do_not_fit(target: Target, says: str) -> None:
    with pytest.raises(DeviceError, match=says):
        check_fits(copy().plan, target, "gpu")


def test_float16_and_workgroup_memory_that_are_not_there() -> None:
    with pytest.raises(DeviceError, match="kernel add computes in float16, which gpu lacks"):
        check_fits(half_precision().plan, Target(), "gpu")
    shared = "var<workgroup> a: array<f32, 4096>;\nvar<workgroup> b : array<vec4<f16>, 3>;\n"
    plan = with_wgsl(module("", [], top=shared))
    with pytest.raises(DeviceError, match="kernel broken needs 16,408 bytes of workgroup memory, and gpu has 16,384"):
        check_fits(plan, Target(), "gpu")


def test_buffers_and_dispatches_that_do_not_fit(device: Device) -> None:
    plan = copy().plan
    with pytest.raises(DeviceError, match=r"buffer 0 \(input, float32 \(256,\)\) takes 1,024 bytes, and gpu binds 512 at most"):
        check_sizes(plan, [1024, 1024], Target(binding_bytes=512), "gpu")
    wide = replace(plan, kernels=(replace(plan.kernels[0], workgroups=(1, 65536, 1)),))
    with pytest.raises(DeviceError, match="kernel copy needs .* workgroups, and .* at most 65,535 along an axis"):
        device.execute(wide, [device.allocate(1024), device.allocate(1024)])


def test_symbols_are_checked(device: Device) -> None:
    plan = replace(copy().plan, symbols={"n": (1, 8)})
    storages = [device.allocate(1024), device.allocate(1024)]
    with pytest.raises(UsageError, match="this plan needs a value for 'n', from 1 to 8"):
        device.execute(plan, storages)
    with pytest.raises(UsageError, match=r"n = 9 is outside the range \[1, 8\]"):
        device.execute(plan, storages, {"n": 9})


def test_symbolic_sizes_and_workgroups(device: Device) -> None:
    plan = copy().plan
    sized = tuple(replace(b, bytes="n*256") for b in plan.buffers)
    plan = replace(plan, symbols={"n": (0, 4)}, buffers=sized, kernels=(replace(plan.kernels[0], workgroups=("n", 1, 1)),))
    x = np.arange(256, dtype=np.float32)
    storages = [device.allocate(1024), device.allocate(1024)]
    device.write(storages[0], x.tobytes())
    for n in (0, 2, 4):
        device.write(storages[1], bytes(1024))
        device.execute(plan, storages, {"n": n})
        np.testing.assert_array_equal(np.frombuffer(device.read(storages[1], 1024), np.float32), np.where(np.arange(256) < 64 * n, x, 0))


def test_a_lost_device_says_so() -> None:
    code = """
import logging; logging.disable()
import sys; sys.path.insert(0, "tests/runtime")
from kernel_cases import copy
from anneal.errors import DeviceError
from anneal.runtime.webgpu import WebGPUDevice
device = WebGPUDevice()
storages = [device.allocate(1024), device.allocate(1024)]
device.execute(copy().plan, storages)
device._device.destroy()
for act, *arguments in (device.execute, copy().plan, storages), (device.read, storages[0], 4), (device.write, storages[0], b"1234"), (device.allocate, 1 << 20):
    try:
        act(*arguments)
    except DeviceError as error:
        print("was lost" in str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n" * 4


def test_races_are_found_when_checking(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernel_cases import in_place, tree_sum

    monkeypatch.setenv("ANNEAL_CHECK", "1")
    device = get_device("reference")
    case = tree_sum()
    lines = case.plan.kernels[0].program.splitlines()
    without = "\n".join(line for line in lines if "barrier" not in line)
    wrong = replace(case.plan, kernels=(replace(case.plan.kernels[0], program=without),))
    with pytest.raises(DeviceError, match="kernel tree_sum: an invocation reads what another one writes, with no barrier between: shared"):
        device.execute(wrong, [device.allocate(2304), device.allocate(36)])
    case = in_place()
    text = case.plan.kernels[0].program.replace("[64]", "[0]")
    wrong = replace(case.plan, kernels=(replace(case.plan.kernels[0], program=text),))
    storages = [device.allocate(1200), device.allocate(1200)]
    for storage, data in zip(storages, case.inputs, strict=True):
        device.write(storage, data.tobytes())
    with pytest.raises(DeviceError, match="kernel update: an invocation .* another one .*: buffer 0"):
        device.execute(wrong, storages)


def test_the_environment_is_not_needed_for_the_plan_to_be_right() -> None:
    """Temporaries and outputs start with unspecified contents: nothing may depend on them."""
    case = with_temporaries()
    for device in (get_device(n) for n in NAMES):
        dirty = [device.allocate(400) for _ in range(8)]
        for storage in dirty:
            device.write(storage, b"\xff" * 400)
        del dirty, storage
        storages = [device.allocate(400), device.allocate(400)]
        device.write(storages[0], case.inputs[0].tobytes())
        device.execute(case.plan, storages)
        assert np.array_equal(np.frombuffer(device.read(storages[1], 400), HELD[F32]), case.expected[0])
