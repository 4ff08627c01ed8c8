"""The pipeline: stages that ensure what they say, plans kept by structure, traces that change nothing, and errors before any GPU work."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from schedule_samples import PORTABLE, SAMPLES, Staged, given, plan_of

import anneal
from anneal import CompileError, Plan, Target, Tensor, Variable, dtypes
from anneal.ir import build
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.rewrite import session
from anneal.runtime import pipeline
from anneal.runtime.pipeline import STAGES, begin, compile_graph
from anneal.tensor.realize import trace

X: Final = build.param(0, (4, 6), dtypes.float32)


def test_stages_have_names_and_promises() -> None:
    assert [s.name for s in STAGES] == ["simplified", "kernels", "lowered", "wgsl"]
    assert all(s.ensures for s in STAGES)


@pytest.mark.parametrize("name", SAMPLES)
def test_simplification_keeps_shapes_and_dtypes(name: str) -> None:
    outputs = SAMPLES[name]()
    staged = Staged(outputs)
    before = [(shape(t.uop), t.dtype) for t in outputs]
    assert [(shape(u), u.dtype) for u in staged.graph.src][: len(before)] == before
    assert Ops.DETACH not in {u.op for u in toposort(staged.graph)}


def test_equal_graphs_share_a_plan() -> None:
    first = compile_graph(build.sink(build.alu(Ops.ADD, X, X)), PORTABLE)
    again = compile_graph(build.sink(build.alu(Ops.ADD, X, X)), PORTABLE)
    other = compile_graph(build.sink(build.alu(Ops.ADD, X, X)), replace(PORTABLE, storage_buffers=10))
    assert again is first
    assert other is not first
    assert anneal.compile(given(3) + 1, target=PORTABLE) is anneal.compile(given(3) + 1, target=PORTABLE)


def test_plans_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MOST", 3)
    monkeypatch.setattr(pipeline, "_plans", {})
    graphs = [build.sink(build.alu(Ops.ADD, X, build.const(n, dtypes.float32))) for n in range(5)]
    plans = [compile_graph(g, PORTABLE) for g in graphs]
    assert len(pipeline._plans) == 3
    assert compile_graph(graphs[4], PORTABLE) is plans[4]
    assert compile_graph(graphs[0], PORTABLE) is not plans[0]
    assert compile_graph(graphs[0], PORTABLE) == plans[0] or compile_graph(graphs[0], PORTABLE).fingerprint == plans[0].fingerprint


@pytest.mark.parametrize("name", ["softmax", "mlp_sgd", "convolution"])
def test_a_trace_changes_nothing_and_tells_everything(name: str) -> None:
    sink = trace([t.uop for t in SAMPLES[name]()]).sink
    with session.watching() as seen:
        traced = compile_graph(sink, PORTABLE)
    plain = plan_of(name)
    assert traced.fingerprint == plain.fingerprint
    assert len(seen.events) == traced.stats["rewrites"] > 0
    assert {e.stage for e in seen.events} <= {s.name for s in STAGES}
    assert all(e.before is not e.after for e in seen.events)


def test_statistics() -> None:
    plan = plan_of("mlp_sgd")
    stats = plan.stats
    assert stats["kernels"] == len(plan.kernels)
    assert stats["kernels_fused"] == sum(len(k.phases) > 1 for k in plan.kernels) > 0
    assert set(stats["ms"]) == {s.name for s in STAGES}
    assert stats["uops"] > 50
    assert stats["temporary_bytes"] <= stats["peak_bytes"]


def test_inputs_keep_their_places_though_they_are_not_read() -> None:
    y = build.param(1, (4, 6), dtypes.float32)
    unread = build.cast(build.alu(Ops.MUL, build.cast(X, dtypes.int32), build.const(0, dtypes.int32)), dtypes.float32)
    plan = compile_graph(build.sink(build.alu(Ops.ADD, unread, build.alu(Ops.MUL, y, y))), PORTABLE)
    assert [b.role for b in plan.buffers] == ["input", "input", "output"]
    assert {b.buffer for k in plan.kernels for b in k.bindings} == {1, 2}


def test_an_output_that_is_an_input_needs_no_kernel() -> None:
    plan = compile_graph(build.sink(X, build.alu(Ops.ADD, X, X)), PORTABLE)
    assert plan.outputs == (0, 1)
    assert len(plan.kernels) == 1


def test_an_output_asked_for_twice_is_stored_once() -> None:
    total = build.alu(Ops.ADD, X, X)
    plan = compile_graph(build.sink(total, total), PORTABLE)
    assert plan.outputs == (1, 1)
    assert len(plan.kernels) == 1


@pytest.mark.parametrize("device", ["webgpu", "reference"])
def test_results_of_constants_alone(device: str) -> None:
    for made, wanted in [
        (Tensor.arange(5), [0, 1, 2, 3, 4]),
        (Tensor.full((2, 2), 3), [[3, 3], [3, 3]]),
        (Tensor.full((), 2.5), 2.5),
        (Tensor.zeros(2000).sum(), 0.0),
        (Tensor.ones(3, 4).sum(1), [4.0, 4.0, 4.0]),
        (Tensor.eye(2), [[1.0, 0.0], [0.0, 1.0]]),
        (Tensor([[7.0]]).argmax(0), [0]),
    ]:
        assert Tensor(made.uop, device=device).tolist() == wanted


@pytest.mark.parametrize("device", ["webgpu", "reference"])
def test_empty_tensors(device: str) -> None:
    empty = Tensor(np.zeros((0, 3), np.float32), device=device)
    assert (empty + 1).numpy().shape == (0, 3)
    assert empty.sum(0).tolist() == [0.0, 0.0, 0.0]
    assert empty.sum().item() == 0.0
    assert empty.prod(0).tolist() == [1.0, 1.0, 1.0]
    other = Tensor(np.ones((2, 3), np.float32), device=device)
    assert empty.cat(other).tolist() == [[1.0] * 3] * 2
    assert (Tensor(np.zeros((2, 0), np.float32), device=device) @ Tensor(np.zeros((0, 4), np.float32), device=device)).tolist() == [[0.0] * 4] * 2


# Errors.


def test_a_buffer_larger_than_a_binding_is_an_error() -> None:
    with pytest.raises(CompileError, match="a binding of this target holds 1024"):
        anneal.compile(given(1000) + 1, target=Target(binding_bytes=1024))


def test_float16_is_computed_in_float32_where_the_device_has_none() -> None:
    packed, native = (anneal.compile(given(10).half() * 2, target=target) for target in (PORTABLE, Target(float16=True)))
    assert len(packed.kernels) == len(native.kernels) == 1
    assert "enable f16" not in packed.kernels[0].wgsl
    assert "enable f16" in native.kernels[0].wgsl
    assert packed.buffers[-1] == native.buffers[-1], "a buffer is the same on every device"
    assert (packed.buffers[-1].dtype, packed.buffers[-1].shape, packed.buffers[-1].bytes) == ("float16", (10,), 20)


def test_sizes_known_at_run_time_are_an_error_yet() -> None:
    n = Variable("n", 1, 10)
    with pytest.raises(CompileError, match="run time"):
        begin(build.sink(build.expand(build.reshape(build.param(0, (1,), dtypes.float32), (1,)), (n,))), PORTABLE)


def test_a_failed_compilation_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_plans", {})
    x = given(1000)
    with pytest.raises(CompileError):
        anneal.compile(x + 1, target=Target(binding_bytes=1024))
    assert not pipeline._plans
    assert (x + 1).tolist() == [1.0] * 1000


# Plans as data.


@pytest.mark.parametrize("name", SAMPLES)
def test_plans_go_to_json_and_back(name: str) -> None:
    plan = plan_of(name)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.fingerprint == plan.fingerprint


def nodes(*roots: UOp) -> int:
    return len(toposort(*roots))


def test_a_long_chain_goes_through_every_stage() -> None:
    x = X
    for n in range(3000):
        x = build.alu(Ops.ADD if n % 2 else Ops.MUL, x, build.const(1.5 + n % 3, dtypes.float32))
    assert nodes(x) > 3000
    plan = compile_graph(build.sink(x), PORTABLE)
    assert 1 <= len(plan.kernels) <= 10


def test_a_program_after_a_stage_costs_no_later_stage() -> None:
    sink = trace([t.uop for t in SAMPLES["softmax"]()]).sink
    with session.watching() as whole:
        compile_graph(sink, PORTABLE)
    with session.watching() as part:
        work = pipeline.compile_until(sink, PORTABLE, "simplified")
    assert work.scheduled is None
    assert [s.stage for s in part.snapshots] == ["tensor", "simplified"]
    assert [s.graphs for s in part.snapshots] == [s.graphs for s in whole.snapshots[:2]]
