"""Documents of kernels: what they say is what the plan holds, they agree with the schema, and two of them are compared truly."""

from __future__ import annotations

import json
import struct
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

import anneal
from anneal import Plan, Target, Tensor
from anneal.export import difference, kernels, timing
from anneal.export.schema.check import check
from anneal.export.schema.kernels import Difference, Kernel, Kernels
from anneal.runtime.device import get_device
from anneal.runtime.measure import Peaks, Spread
from anneal.tensor.realize import compile_program, trace

PORTABLE = Target.portable()


def given(*dims: int) -> Tensor:
    return Tensor.zeros(*dims).own()


def document(*outputs: Tensor, part: Any = "forward") -> Kernels:
    return kernels.describe(anneal.compile(*outputs, target=PORTABLE).explain(), "demo", part)


def test_kernels_add_up() -> None:
    plan = anneal.compile((given(8, 16) @ given(16, 4)).softmax(), target=PORTABLE)
    made = kernels.describe(plan.explain(), "demo", "forward")
    check(made, Kernels)
    json.dumps(made, allow_nan=False)
    assert [k["name"] for k in made["kernels"]] == [k.name for k in plan.kernels]
    for kernel, real in zip(made["kernels"], plan.kernels, strict=True):
        assert len(kernel["inputs"]) + len(kernel["outputs"]) == len(real.bindings)
        assert len(kernel["ops"]) == len(kernel["op_phases"])
        stored = {b["name"] for b in kernel["boundaries"] if b["scope"] == "global"}
        assert stored == {v["name"] for v in kernel["outputs"]}
    assert made["target"] == PORTABLE.to_dict()


@pytest.mark.parametrize("change", [{"kernels": [{"name": "x"}]}, {"version": "1"}, {"part": "sideways"}, {"run": {"device": "webgpu"}}])
def test_the_schema_rejects_what_is_something_else(change: dict[str, object]) -> None:
    with pytest.raises(anneal.errors.ParseError):
        check({**document(given(3) + 1), **change}, Kernels)


# Comparisons.


def states(a: Kernels, b: Kernels) -> list[tuple[str | None, str | None, list[str]]]:
    made = difference.compare(a, b)
    check(made, Difference)
    return [(p["a"], p["b"], [c["what"] for c in p["changes"]]) for p in made["pairs"]]


def test_a_program_is_the_same_as_itself() -> None:
    a = document((given(8, 16) @ given(16, 4)).softmax())
    assert states(a, deepcopy(a)) == [("matmul_8x4", "matmul_8x4", []), ("max_sum_div_8x4", "max_sum_div_8x4", [])]


def test_kernels_of_other_sizes_are_paired() -> None:
    a, b = (document((given(n, 16) @ given(16, 4)).relu(), given(n).sum()) for n in (8, 64))
    made = states(a, b)
    assert [(x, y) for x, y, _ in made] == [("sum", "sum"), ("matmul_relu_8x4", "matmul_relu_64x4")]
    changes = {c["what"]: (c["a"], c["b"]) for c in difference.compare(a, b)["pairs"][1]["changes"]}
    assert changes["flops"][1] == 8 * changes["flops"][0]
    assert "ops" not in changes
    assert "inputs" not in changes


def test_what_only_one_has() -> None:
    a, b = document(given(8).sum()), document(given(8).sum(), given(5, 5).exp())
    assert [(x, y) for x, y, _ in states(a, b)] == [("sum", "sum"), (None, "mul_exp2_5x5")]
    assert [(x, y) for x, y, _ in states(b, a)] == [("mul_exp2_5x5", None), ("sum", "sum")]
    totals = difference.compare(a, b)
    assert (totals["a"]["kernels"], totals["b"]["kernels"]) == (1, 2)
    assert totals["b"]["flops"] - totals["a"]["flops"] == 2 * 25


def test_changes_are_told_and_costs_in_a_reason_are_no_change() -> None:
    a, b, c = (document(given(64, 64).exp()) for _ in range(3))
    b["kernels"][0]["boundaries"][0]["reason"] = "read 1,024 times"
    c["kernels"][0]["boundaries"][0]["reason"] = "read 2,048 times"
    c["kernels"][0]["ops"].append("sin float32(64, 64)")
    c["kernels"][0]["workgroups"] = [7, 1, 1]
    told = {p["what"]: (p["a"], p["b"]) for p in difference.compare(a, b)["pairs"][0]["changes"]}
    assert told == {"materialised": (["exp2: an output of the program"], ["exp2: read 1,024 times"])}
    told = {p["what"]: (p["a"], p["b"]) for p in difference.compare(b, c)["pairs"][0]["changes"]}
    assert told == {"ops": ([], ["sin"]), "workgroups": (a["kernels"][0]["workgroups"], [7, 1, 1])}


def kernel(name: str, *phases: Any) -> Kernel:
    return {**document(given(2) + 1)["kernels"][0], "name": name, "phases": list(phases)}


def test_pairs_agree_in_phase_first() -> None:
    a = [kernel("matmul_8x8", "backward"), kernel("matmul_8x8_v2", "forward")]
    b = [kernel("matmul_16x16", "forward"), kernel("matmul_16x16_v2", "backward"), kernel("matmul_8x8_v2", "update")]
    made = [(x and x["name"], y and y["name"]) for x, y in difference.paired(a, b)]
    assert made == [("matmul_8x8", "matmul_16x16_v2"), ("matmul_8x8_v2", "matmul_8x8_v2"), (None, "matmul_16x16")]


# Times.


def test_timing_changes_nothing_that_the_caller_holds() -> None:
    device = get_device("reference")
    weights = Tensor([1.0, 2.0, 3.0]).to("reference").realize()
    program = trace([weights.assigned(weights + Tensor([10.0, 20.0, 30.0])).uop])
    plan = compile_program(program, device.target)
    assert plan.assigned
    made = timing.timed(program, plan, device)
    assert made.whole.count >= 5
    kept = program.buffers[plan.assigned[0]]
    assert device.read(kept.storage, 12) == struct.pack("<3f", 1.0, 2.0, 3.0)
    assert weights.tolist() == [1.0, 2.0, 3.0]


def test_rates_are_work_by_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    made = document(given(1024) + 1)
    took = Spread.of([1e-6, 2e-6, 3e-6])
    found = timing.Timing((took,), took, Peaks(Spread.of([8.192e9]), Spread.of([1e9])))
    timing.add_times(made, found, get_device("reference"), "zeros")
    check(made, Kernels)
    run = made["kernels"][0]["run"]
    assert run["bytes_per_second"] == pytest.approx(8192 / 2e-6)
    assert run["of_copy_peak"] == pytest.approx(0.5)
    assert run["of_flops_peak"] == pytest.approx(1024 / 2e-6 / 1e9)
    assert run["share"] == 1.0


def test_a_program_without_kernels_cannot_be_timed() -> None:
    plan = replace(anneal.compile(given(2) + 1, target=PORTABLE), kernels=())
    assert isinstance(plan, Plan)
    nothing = timing.Timing((), Spread.of([0.0]), Peaks(Spread.of([1.0]), Spread.of([1.0])))
    with pytest.raises(anneal.errors.DeviceError, match="no kernels"):
        timing.add_times(kernels.describe(plan.explain(), "demo", "forward"), nothing, get_device("reference"), "nothing")
