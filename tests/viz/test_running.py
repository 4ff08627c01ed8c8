"""Runs of the open program: values against NumPy, checks that find what is wrong, and nothing that changes."""

from __future__ import annotations

import asyncio
import json
import math
import random
from typing import Any

import numpy as np
import pytest

from anneal.errors import DeviceError, NoDeviceError, UsageError
from anneal.ir.dtype import dtypes
from anneal.runtime.device import get_device
from anneal.tensor import host
from anneal.viz import checking
from anneal.viz.inputs import Values
from anneal.viz.running import MOST_VALUES, picture, run
from anneal.viz.state import State
from anneal.viz.tab import Tab

DEVICES = ("reference", "webgpu")
MATMUL = """
from anneal import Tensor

a = Tensor([[i * 0.5 - j for j in range(6)] for i in range(4)])
b = Tensor([[0.25 * i * j - 1 for j in range(3)] for i in range(6)])
a @ b
"""


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ANNEAL_DEVICE", request.param)
    return str(request.param)


def opened(source: str, part: str | None = None) -> State:
    tab = Tab()
    answer = asyncio.run(tab.handle("open", {"source": source, "part": part, "name": "test"}))
    assert answer["ok"], answer
    return tab.state


def example(name: str, part: str) -> State:
    return opened(f"from anneal.examples import EXAMPLES\nEXAMPLES[{name!r}]", part)


def ran(state: State, **params: Any) -> Any:
    answer = asyncio.run(run(state, params))
    json.dumps(answer, allow_nan=False)
    return answer


def array(told: Any) -> Any:
    return np.array(told["values"]).reshape(told["shape"])


def test_values_are_numpys(device: str) -> None:
    answer = ran(opened(MATMUL), check=True)
    a = np.array([[i * 0.5 - j for j in range(6)] for i in range(4)])
    b = np.array([[0.25 * i * j - 1 for j in range(3)] for i in range(6)])
    [out] = answer["outputs"]
    assert np.allclose(array(out), a @ b, rtol=1e-6)
    assert [np.allclose(array(told), want) for told, want in zip(answer["inputs"], (a, b), strict=True)] == [True, True]
    assert [told["name"] for told in answer["inputs"]] == ["a", "b"]
    assert (out["check"]["agrees"], out["check"]["count"], answer["checked"]["how"]) == (True, 12, "whole")
    assert answer["device"] == get_device(device).description
    assert answer["runs"] == len(answer["kernels"][0]["times"]) >= 1


def test_every_kernel_of_a_training_step_agrees_with_plain_python(device: str) -> None:
    state = example("mlp", "step")
    kernels = state.open.compiled.plan.kernels
    for number, kernel in enumerate(kernels):
        answer = ran(state, kernel=number, check=True)
        assert answer["checked"]["how"] == "sample", answer["checked"]
        assert answer["checked"]["agrees"], answer["checked"]
        assert all(told["check"]["agrees"] and told["check"]["count"] > 0 for told in answer["outputs"])
        assert len(answer["outputs"]) == sum(b.writes for b in kernel.bindings)
        assert [row["name"] for row in answer["kernels"]] == [k.name for k in kernels[: number + 1]]
    whole = ran(state, check=True)
    assert whole["checked"]["agrees"]
    assert "too much for plain Python" in whole["checked"]["message"]
    assert whole["outputs"][0]["name"] == "loss"
    assert math.isclose(whole["outputs"][0]["values"][0], math.log(10), rel_tol=0.1)


def test_a_run_changes_nothing(device: str) -> None:
    state = example("mlp", "step")
    first = ran(state)
    before = [(b.identity, b.pending, b.storage, b.device) for b in state.open.traced.buffers]
    second = ran(state)
    assert first["outputs"] == second["outputs"]
    assert first["inputs"] == second["inputs"]
    assert before == [(b.identity, b.pending, b.storage, b.device) for b in state.open.traced.buffers]
    updated = {told["name"]: told["values"] for told in first["outputs"]}
    assert any(told["values"] != updated[told["name"]][: len(told["values"])] for told in first["inputs"] if told["name"] in updated)


def test_a_failed_run_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    state = example("mlp", "step")
    good = ran(state)
    opened_device = get_device(device)

    def fails(*_: Any, **__: Any) -> None:
        raise DeviceError("the device is gone")

    with monkeypatch.context() as patch:
        for name in ("execute", "profile"):
            patch.setattr(opened_device, name, fails)
        with pytest.raises(DeviceError, match="the device is gone"):
            ran(state)
    assert ran(state)["outputs"] == good["outputs"]


def test_a_seed_draws_inputs_and_the_same_seed_the_same(device: str) -> None:
    del device
    state = opened(MATMUL)
    own, one, again, other = (ran(state, seed=seed) for seed in (None, 1, 1, 2))
    assert one["outputs"] == again["outputs"]
    assert one["inputs"] == again["inputs"]
    assert len({json.dumps(answer["outputs"]) for answer in (own, one, other)}) == 3
    a, b = map(array, one["inputs"])
    assert np.allclose(array(one["outputs"][0]), a @ b, rtol=1e-4, atol=1e-4)


def test_random_whole_numbers_stay_among_their_own_and_signs_are_kept() -> None:
    source = random.Random(5)
    rows = Values("rows", (100,), dtypes.int32, host.pack(range(0, 200, 2), dtypes.int32)).drawn(source).numbers()
    assert set(rows) <= set(range(0, 200, 2))
    assert len(set(rows)) > 20
    squares = Values("v", (50,), dtypes.float32, host.pack([0.0] * 50, dtypes.float32)).drawn(source).numbers()
    assert min(squares) >= 0 < max(squares)
    free = Values("w", (70_000,), dtypes.float32, host.pack([-1.0, 1.0] * 35_000, dtypes.float32)).drawn(source).numbers()
    assert len(free) == 70_000
    assert abs(np.mean(free)) < 0.02
    assert abs(np.std(free) - 1) < 0.02
    assert Values("none", (0, 3), dtypes.float32, b"").drawn(source).numbers() == []


def test_a_device_that_computes_wrong_numbers_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    device = get_device()
    honest = device.read_many

    def wrong(requests: Any) -> list[bytes]:
        return [
            host.pack([v + 0.5 for v in host.decode(data, dtypes.float32, len(data) // 4)], dtypes.float32) if len(data) == 48 else data
            for data in honest(requests)
        ]

    state = opened(MATMUL)
    monkeypatch.setattr(device, "read_many", wrong)
    whole, alone = ran(state, check=True), ran(state, check=True, kernel=0)
    for answer in (whole, alone):
        assert not answer["checked"]["agrees"]
        assert "differ" in answer["checked"]["message"]
        assert math.isclose(answer["outputs"][0]["check"]["max_error"], 0.5, rel_tol=1e-3)
        assert not answer["outputs"][0]["check"]["agrees"]


def test_what_is_too_much_for_plain_python_is_said() -> None:
    state = opened("from anneal import Tensor\nTensor([1.5]).expand(300, 4000).own().sum(1)\n")
    sink = state.open.traced.sink
    assert checking.work_of([sink]) == 300 * 4000 + 300
    with pytest.raises(UsageError, match=r"plain Python would compute 4,001,000 elements, and 2,000,000 are the most"):
        checking.whole(opened("from anneal import Tensor\nTensor([1.5]).expand(1000, 4000).own().sum(1)\n").open.traced.sink, [])


def test_a_check_that_is_too_much_even_for_a_sample_is_refused_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "MOST", 10)
    monkeypatch.setattr(checking, "MOST_OF_ONE", 10)
    state = opened(MATMUL)
    for params in ({}, {"kernel": 0}):
        answer = ran(state, check=True, **params)
        assert (answer["checked"]["how"], answer["checked"]["agrees"]) == ("refused", False)
        assert "one element takes plain Python more than 10 operations" in answer["checked"]["message"]
        assert answer["outputs"][0]["check"] is None
        assert answer["outputs"][0]["count"] == 12


def test_what_is_left_out_of_a_sample_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    monkeypatch.setattr(checking, "MOST", 10)
    monkeypatch.setattr(checking, "MOST_OF_ONE", 200)
    answer = ran(example("mlp", "step"), check=True)
    assert answer["checked"]["agrees"]
    assert "Not checked: 12 values, where one element takes plain Python more than 200 operations." in answer["checked"]["message"]


def test_values_of_every_dtype_are_told(device: str) -> None:
    del device
    source = "from anneal import Tensor, dtypes\nx = Tensor([-1.0, 0.0, 3.0])\n[x < 1, x.cast(dtypes.int32), 1 / x, x.cast(dtypes.bfloat16) * 2, x.sum()]\n"
    answer = ran(opened(source), check=True)
    assert [told["dtype"] for told in answer["outputs"]] == ["bool", "int32", "float32", "bfloat16", "float32"]
    assert [told["values"] for told in answer["outputs"]] == [[True, True, False], [-1, 0, 3], [-1, "Infinity", 0.33333334], [-2, 0, 6], [2]]
    assert answer["checked"]["agrees"], answer["checked"]
    assert answer["outputs"][2]["check"]["max_error"] < 1e-6


def test_the_numbers_that_are_told_are_bounded() -> None:
    answer = ran(opened("from anneal import Tensor\nTensor.arange(10000) + 1\n"))
    [out] = answer["outputs"]
    assert (out["count"], len(out["values"]), out["values"][:3]) == (10_000, MOST_VALUES, [1, 2, 3])


@pytest.mark.parametrize("source", ["Tensor([1.0, 2.0])", "Tensor.zeros(0, 3) + 1"])
def test_programs_without_kernels_run_too(source: str, device: str) -> None:
    del device
    answer = ran(opened(f"from anneal import Tensor\n{source}\n"), check=True)
    assert answer["kernels"] == [] or all(k["seconds"] >= 0 for k in answer["kernels"])
    assert answer["outputs"][0]["values"] == ([1.0, 2.0] if "2.0" in source else [])


def test_tensors_that_were_realised_or_are_still_graphs_are_inputs(device: str) -> None:
    del device
    source = "from anneal import Tensor\nTensor.manual_seed(3)\nw = Tensor.rand(3, 4).own()\ny = (Tensor([1.0, 2.0]) * 3).realize()\n[w * 2, y + 1]\n"
    answer = ran(opened(source), check=True)
    assert answer["outputs"][1]["values"] == [4.0, 7.0]
    w = next(told for told in answer["inputs"] if told["shape"] == [3, 4])
    assert 0 <= min(w["values"]) < max(w["values"]) < 1
    assert np.allclose(array(answer["outputs"][0]), 2 * array(w))


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((16, 3, 32, 32), (32, 32, 3, True)),
        ((1, 8, 8), (8, 8, 1, True)),
        ((64, 64), (8, 8, 1, False)),
        ((10, 784), (28, 28, 1, False)),
        ((5, 4, 100), None),
        ((64,), None),
        ((10, 10), None),
        ((), None),
    ],
)
def test_what_may_be_a_picture(shape: tuple[int, ...], image: tuple[Any, ...] | None) -> None:
    found = picture(shape, [-0.5, 1.0])
    assert (None if found is None else tuple(found.values())) == image


def test_rows_of_pixels_are_pictures_and_rows_of_weights_are_not() -> None:
    told = {told["name"]: told["image"] for told in ran(example("mlp", "step"))["inputs"]}
    assert told["inputs"] == {"width": 8, "height": 8, "channels": 1, "sure": True}
    assert told["hidden.weight"] == {"width": 8, "height": 8, "channels": 1, "sure": False}
    assert told["optimizer.velocity.0"] == {"width": 8, "height": 8, "channels": 1, "sure": False}
    assert told["labels"] is told["hidden.bias"] is None


def test_without_a_device_nothing_runs_and_the_reason_is_said() -> None:
    state = opened(MATMUL)
    state.no_device = "no WebGPU here: try another browser"
    with pytest.raises(NoDeviceError, match="no WebGPU here"):
        ran(state)


@pytest.mark.parametrize("seed", [-1, 1 << 32, 1.5, True, "7"])
def test_odd_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(UsageError, match="a seed is a whole number from 0"):
        ran(opened(MATMUL), seed=seed)


def test_kernels_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match="no kernel 7: the program has 1 kernel"):
        ran(opened(MATMUL), kernel=7)


def test_comparisons_count_what_is_not_finite() -> None:
    inf, nan = math.inf, math.nan
    assert checking.compare([nan, inf, 1.0], [nan, inf, 1.0], dtypes.float32).agrees
    for got, want in ((nan, 1.0), (1.0, nan), (inf, -inf), (inf, 1e30)):
        verdict = checking.compare([got], [want], dtypes.float32)
        assert (verdict.agrees, verdict.max_error) == (False, inf)
    assert not checking.compare([1.0], [1.01], dtypes.float32).agrees
    assert checking.compare([1.0], [1.001], dtypes.float16).agrees
