"""Both devices compute the same from one plan, what NumPy says it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from kernel_cases import CASES, HELD, Array, Case, edge_mask, with_temporaries

from anneal.errors import DeviceError
from anneal.runtime.device import NAMES, Device, get_device
from anneal.runtime.plan import Plan


@pytest.fixture(params=NAMES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setenv("ANNEAL_CHECK", "1")
    return get_device(request.param)


def run(device: Device, plan: Plan, inputs: Sequence[Array], times: int = 1) -> list[Array]:
    """Execute and return all inputs and outputs."""
    bound = [b for b in plan.buffers if b.role != "temporary"]
    storages = [device.allocate(int(b.bytes)) for b in bound]
    for storage, data in zip(storages, inputs, strict=False):
        device.write(storage, data.tobytes())
    for _ in range(times):
        device.execute(plan, storages)
    shapes = [tuple(int(n) for n in b.shape) for b in bound]
    sizes = [math.prod(s) * b.element.storage for s, b in zip(shapes, bound, strict=True)]
    found = device.read_many(list(zip(storages, sizes, strict=True)))
    return [np.frombuffer(data, HELD[b.element]).reshape(s) for data, b, s in zip(found, bound, shapes, strict=True)]


@pytest.mark.parametrize("make", CASES, ids=lambda f: f.__name__)
def test_computes_what_numpy_says(device: Device, make: Callable[[], Case]) -> None:
    case = make()
    if case.plan.target.float16 and not device.target.float16:
        with pytest.raises(DeviceError, match="computes in float16, which webgpu lacks"):
            run(device, case.plan, case.inputs)
        return
    found = run(device, case.plan, case.inputs)
    for result, expected in zip(found[-len(case.expected) :], case.expected, strict=True):
        np.testing.assert_array_equal(result, expected.reshape(result.shape))


def test_repeats_and_other_storages(device: Device) -> None:
    case = with_temporaries()
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=100).astype(np.float32)
        _, result = run(device, case.plan, [x], times=3)
        np.testing.assert_array_equal(result, x + np.float32(1) + np.float32(2) + np.float32(4))


def test_plan_from_json_runs_the_same(device: Device) -> None:
    case = edge_mask()
    _, result = run(device, Plan.from_json(case.plan.to_json()), case.inputs)
    np.testing.assert_array_equal(result, case.expected[0])


def test_profile_gives_a_time_for_each_kernel(device: Device) -> None:
    case = with_temporaries()
    storages = [device.allocate(400), device.allocate(400)]
    device.write(storages[0], case.inputs[0].tobytes())
    seconds = device.profile(case.plan, storages)
    assert len(seconds) == 3
    assert all(0 <= s < 5 for s in seconds)
    assert sum(seconds) > 0
    np.testing.assert_array_equal(np.frombuffer(device.read(storages[1], 400), np.float32), case.expected[0])
