"""Peaks: the kernels do the work that is counted, their results are right, and what is reported is what the clock said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anneal.codegen.target import Target
from anneal.errors import DeviceError
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.text import parse_program
from anneal.runtime import measure
from anneal.runtime.base import Device, Storage
from anneal.runtime.device import NAMES, get_device
from anneal.runtime.measure import Peaks, Spread, peaks, sample
from anneal.runtime.plan import Plan
from anneal.runtime.reference import ReferenceDevice

positive = st.floats(1e-6, 1e6)


@given(st.lists(positive, min_size=1, max_size=40))
def test_a_spread_is_what_numpy_says(samples: list[float]) -> None:
    found = Spread.of(samples)
    low, median, high = np.percentile(samples, [25, 50, 75])
    assert (found.low, found.median, found.high) == pytest.approx((low, median, high), rel=1e-12)
    assert (found.least, found.most, found.count) == (min(samples), max(samples), len(samples))


@given(st.lists(positive, min_size=1, max_size=40), positive)
def test_rates_are_the_spread_of_each_sample_s_rate(samples: list[float], work: float) -> None:
    found, each = Spread.of(samples).rate(work), sorted(work / s for s in samples)
    assert (found.least, found.most, found.count) == pytest.approx((each[0], each[-1], len(each)))
    assert found.least <= found.low * (1 + 1e-9)
    assert found.low <= found.median * (1 + 1e-9)
    assert found.median <= found.high * (1 + 1e-9)
    if len(samples) % 2:
        assert found.median == pytest.approx(each[len(each) // 2])


def test_samples_are_as_many_as_asked_for() -> None:
    calls: list[int] = []

    def call() -> float:
        calls.append(len(calls))
        return float(len(calls))

    assert sample(call, seconds=0) == [1.0]
    assert sample(call, seconds=1e6, most=7) == [float(n) for n in range(2, 9)]


@pytest.mark.parametrize("name", NAMES)
def test_the_copy_copies(name: str) -> None:
    device, work = get_device(name), measure._copy(get_device(name).target, 1)
    assert work is not None
    count = int(work.plan.buffers[0].shape[0])
    data = np.random.default_rng(0).standard_normal(count, np.float32)
    source, result = device.allocate(data.nbytes), device.allocate(data.nbytes)
    device.write(source, data.tobytes())
    device.execute(work.plan, [source, result])
    assert device.read(result, data.nbytes) == data.tobytes()
    assert work.amount == work.plan.kernels[0].bytes == 2 * data.nbytes


@pytest.mark.parametrize("name", NAMES)
def test_the_multiplications_are_made(name: str) -> None:
    """By another factor than the one that peaks are measured with, against the same sum in float64."""
    device, work = get_device(name), measure._multiply_add(get_device(name).target, 1)
    assert work is not None
    count = int(work.plan.buffers[0].shape[0])
    factor = np.random.default_rng(1).uniform(0.97, 0.999, count).astype(np.float32)
    source, result = device.allocate(factor.nbytes), device.allocate(factor.nbytes)
    device.write(source, factor.tobytes())
    device.execute(work.plan, [source, result])
    chains = np.arange(measure._CHAINS, dtype=np.float64)[:, None] * np.ones(count)
    for _ in range(measure._UNROLLED * measure._TURNS):
        chains = chains * factor + factor
    np.testing.assert_allclose(np.frombuffer(device.read(result, factor.nbytes), np.float32), chains.sum(0), rtol=1e-4)


def test_what_is_counted_is_in_the_instructions() -> None:
    work = measure._multiply_add(Target.portable(), 2)
    assert work is not None
    kernel = work.plan.kernels[0]
    instructions = parse_program(kernel.program)
    begin = next(i for i, u in enumerate(instructions) if u.op is Ops.LOOP)
    end = next(i for i, u in enumerate(instructions) if u.op is Ops.ENDLOOP)
    start, limit, step = (u.arg for u in instructions[begin].src)
    inside = sum(u.op in (Ops.MUL, Ops.ADD) and u.dtype is dtypes.float32 for u in instructions[begin:end])
    threads = prod(map(int, kernel.workgroups)) * prod(kernel.workgroup_size)
    assert work.amount == kernel.flops == inside * len(range(start, limit, step)) * threads


def test_kernels_of_every_size_are_one_kernel_and_fit_every_device() -> None:
    for make in (measure._copy, measure._multiply_add):
        made = [work for rows in (1, 4, 16) if (work := make(Target.portable(), rows)) is not None]
        assert len({work.plan.kernels[0].wgsl for work in made}) == 1
        assert [work.amount / made[0].amount for work in made] == [1, 4, 16]
        assert all(int(size) <= Target.portable().workgroups for work in made for size in work.plan.kernels[0].workgroups)
    assert measure._copy(Target(binding_bytes=1 << 16), 1) is None
    assert measure._copy(Target.portable(), 1 << 12) is None


class Clock(ReferenceDevice):
    """A device of a certain speed, as far as its clock tells; it computes nothing."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = speed
        self.amounts: list[int] = []

    def profile(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        self.amounts.append(int(plan.kernels[0].bytes))
        return [self.amounts[-1] / self.speed]


@pytest.mark.parametrize("speed", [1e9, 1e11])
def test_work_grows_until_a_run_is_long_enough_and_the_rate_is_the_clock_s(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_check", lambda *_: None)
    device = Clock(speed)
    found = measure._peak(device, measure._copy)
    assert (found.least, found.median, found.most) == pytest.approx((speed,) * 3)
    assert sorted(device.amounts) == device.amounts
    largest = device.amounts[-1]
    assert largest / speed >= measure._ENOUGH or largest * measure._GROWTH > 2 * min(measure._LARGEST, device.target.binding_bytes)


def test_a_clock_that_stands_still_is_not_believed() -> None:
    class Still(ReferenceDevice):
        def profile(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
            super().profile(plan, storages, symbols)
            return [0.0 for _ in plan.kernels]

    work = measure._copy(Target.portable(), 1)
    assert work is not None
    found = measure._peak(Still(), lambda _, rows: work if rows == 1 else None)
    assert 0 < found.most < 1e12


def test_a_device_that_computes_something_else_has_no_peak() -> None:
    class Wrong(ReferenceDevice):
        def read(self, storage: Storage, nbytes: int) -> bytes:
            return bytes(nbytes)

    with pytest.raises(DeviceError, match="computes wrong numbers: kernel copy gives 0.0, which should be 0.5"):
        peaks(Wrong())


@pytest.mark.parametrize("name", NAMES)
def test_peaks_of_a_device(name: str) -> None:
    device: Device = get_device(name)
    found = peaks(device)
    for spread in (found.copy, found.multiply_add):
        assert 0 < spread.least <= spread.low <= spread.median <= spread.high <= spread.most < 1e15
        assert spread.count >= 1
    assert (found.copy_bytes_per_second, found.flops_per_second) == (found.copy.most, found.multiply_add.most)


def test_the_better_of_two_measurements_counts() -> None:
    slow, fast = Spread.of([1.0, 2.0]), Spread.of([0.5, 3.0])
    assert Peaks(slow, fast).or_better(Peaks(fast, slow)) == Peaks(fast, fast)
