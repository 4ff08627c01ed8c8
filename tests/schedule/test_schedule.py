"""The scheduler as a whole: every stage verified, buffer limits, shared memory, order, and cost linear in the graph."""

from __future__ import annotations

import random
from typing import Any

import pytest
from counting import calls
from hypothesis import given as for_all
from hypothesis import strategies as st
from schedule_samples import PORTABLE, SAMPLES, Staged, given, mlp_gradients, mlp_loss, plan_of

import anneal
from anneal import CompileError, Plan, Target, Tensor, dtypes, nn
from anneal.ir.dtype import DType
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.verify import verify
from anneal.rewrite import session
from anneal.runtime import pipeline
from anneal.schedule.kernels import MEMORY, memory_of
from anneal.schedule.memory import Life, share
from anneal.tensor.realize import trace


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stage_gives_what_it_ensures(name: str) -> None:
    staged = Staged(SAMPLES[name]())
    verify(staged.graph, "tensor")
    assert staged.scheduled.bodies
    for body in staged.scheduled.bodies:
        verify(body.sink, "kernel")
        assert len(body.sink.src) == len(body.roots) > 0
        assert all(u.op in (Ops.PARAM, Ops.BUFFER) for u in toposort(body.sink) if u.op in MEMORY)
        assert not any(u.op.category == "movement" or u.op is Ops.AT for u in toposort(body.sink))
    for bound, program in zip(staged.bound, staged.programs, strict=True):
        verify(bound.sink, "kernel")
        verify(program.instructions, "program")
    assert Plan.from_json(staged.plan.to_json()) == staged.plan


@pytest.mark.parametrize("name", SAMPLES)
def test_values_are_stored_before_they_are_loaded(name: str) -> None:
    staged = Staged(SAMPLES[name]())
    ready = {u for body in staged.scheduled.bodies for u in toposort(body.sink) if u.op is Ops.PARAM}
    for body in staged.scheduled.bodies:
        written, loaded = memory_of(body.sink)
        assert set(loaded) <= ready
        ready.update(written)
    assert {staged.scheduled.buffers.get(u, u) for u in staged.scheduled.outputs} <= ready


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("limit", [4, 8, 10])
def test_kernels_bind_what_the_target_allows(name: str, limit: int) -> None:
    plan = plan_of(name, Target(storage_buffers=limit))
    assert 1 <= max(len(k.bindings) for k in plan.kernels) <= limit


def test_a_kernel_that_cannot_be_split_is_an_error() -> None:
    places = [Tensor([1, 2]) for _ in range(4)]
    with pytest.raises(CompileError, match="storage buffers"):
        anneal.compile(given(3, 3, 3, 3)[places[0], places[1], places[2], places[3]], target=Target(storage_buffers=3))


# Memory.


@pytest.mark.parametrize("name", [*SAMPLES, "deep"])
def test_no_two_living_values_share_memory(name: str) -> None:
    staged = Staged(mlp_gradients(8) if name == "deep" else SAMPLES[name]())
    lives: dict[Any, list[int]] = {}
    place: dict[Any, int] = {}
    for i, (bound, kernel) in enumerate(zip(staged.bound, staged.plan.kernels, strict=True)):
        for memory, binding in zip(bound.memory, kernel.bindings, strict=True):
            lives.setdefault(memory, []).append(i)
            assert place.setdefault(memory, binding.buffer) == binding.buffer
    roles = [b.role for b in staged.plan.buffers]
    for memory, at in place.items():
        for other, elsewhere in place.items():
            if memory is not other and at == elsewhere:
                assert roles[at] == "temporary"
                assert lives[memory][-1] < lives[other][0] or lives[other][-1] < lives[memory][0]


def test_temporaries_of_a_deep_network_share_buffers() -> None:
    staged = Staged(mlp_gradients(8))
    values = {m for b in staged.bound for m in b.memory if m.op is Ops.BUFFER}
    temporaries = [b for b in staged.plan.buffers if b.role == "temporary"]
    stored = sum(4 * m.arg[1][0] for m in values)
    assert staged.plan.stats["temporary_bytes"] == sum(int(b.bytes) for b in temporaries)
    assert len(temporaries) < len(values)
    assert staged.plan.stats["temporary_bytes"] < 0.8 * stored
    assert staged.plan.stats["peak_bytes"] == sum(int(b.bytes) for b in staged.plan.buffers)


@for_all(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8), st.integers(1, 64)), max_size=30))
def test_shared_buffers_hold_one_value_at_a_time(spans: list[tuple[int, int, int]]) -> None:
    lives = {n: Life(first, first + length, size) for n, (first, length, size) in enumerate(spans)}
    place, sizes = share(lives)
    assert place.keys() == lives.keys()
    assert set(place.values()) == set(range(len(sizes)))
    assert sum(sizes) <= sum(life.bytes for life in lives.values())
    for n, life in lives.items():
        assert sizes[place[n]] >= life.bytes
        for m, other in lives.items():
            if n < m and place[n] == place[m]:
                assert life.last < other.first or other.last < life.first


# Fusion.


def outputs_of(plan: Plan, number: int) -> list[int]:
    return [b.buffer for b in plan.kernels[number].bindings if b.writes]


def test_the_gradient_of_a_bias_rides_with_that_of_its_weight() -> None:
    layer, x, seed = nn.Linear(32, 8), given(16, 32), given(16, 8)
    (layer(x) * seed).sum().backward()
    grads = [p.grad for p in nn.state.get_parameters(layer) if p.grad is not None]
    assert len(grads) == 2
    plan = anneal.compile(*grads, target=PORTABLE)
    assert len(plan.kernels) == 1
    assert sorted(outputs_of(plan, 0)) == sorted(plan.outputs)


def test_forward_and_backward_share_a_kernel() -> None:
    x, w = given(64, 100), Tensor.zeros(64, 100).requires_grad_()
    y = (w * x).tanh()
    y.sum().backward()
    assert w.grad is not None
    plan = anneal.compile(y, w.grad, target=PORTABLE)
    assert len(plan.kernels) == 1
    assert plan.kernels[0].phases == ("forward", "backward")
    assert plan.stats["kernels_fused"] == 1


def test_several_statistics_of_a_row_are_one_kernel() -> None:
    x = given(64, 256)
    plan = anneal.compile(x.sum(1), x.max(1), x.min(1), x.square().sum(1), target=PORTABLE)
    assert len(plan.kernels) == 1
    assert len(outputs_of(plan, 0)) == 4


def test_a_dear_value_that_two_loops_read_is_stored_once() -> None:
    x = given(128, 128)
    y = x.exp().sin().exp().sin()
    plan = anneal.compile(y @ given(128, 128), target=PORTABLE)
    assert len(plan.kernels) == 2
    assert any("storing it once is cheaper" in b.reason for k in plan.kernels for b in k.boundaries if b.scope == "global")


def test_contiguous_gives_a_buffer_and_the_reason() -> None:
    plan = anneal.compile((given(8) + 1).contiguous() * 2, target=PORTABLE)
    assert len(plan.kernels) == 1
    assert [plan.buffers[at].role for at in outputs_of(plan, 0)] == ["temporary", "output"]
    assert "contiguous() asked for a buffer" in [b.reason for b in plan.kernels[0].boundaries]


def test_decisions_say_why() -> None:
    for name in SAMPLES:
        for kernel in plan_of(name).kernels:
            assert kernel.boundaries
            assert all(b.reason and b.value and b.scope in ("inline", "group", "global") for b in kernel.boundaries)
            assert any(b.scope == "global" for b in kernel.boundaries)


# Structure, not construction.


def test_the_order_of_construction_does_not_matter() -> None:
    def program(order: list[int]) -> Plan:
        x = given(16, 16)
        parts: dict[int, Tensor] = {}
        for i in order:
            parts[i] = (x * (i + 1)).exp().sum(1, keepdim=True) if i % 2 else x.flip(0) * (i + 2)
        total = x
        for i in sorted(parts):
            total = total * 0.5 + parts[i]
        return anneal.compile(total, total.sum(0), target=PORTABLE)

    orders = [list(range(6)), list(range(5, -1, -1)), [3, 1, 4, 0, 5, 2]]
    junk = [given(3, 3) * k for k in range(7)]
    plans = [program(order) for order in orders]
    assert len({p.fingerprint for p in plans}) == 1
    assert len(junk) == 7


@pytest.mark.parametrize("name", ["mlp_adam", "classification", "many_inputs", "swap"])
def test_compiling_again_gives_the_same_plan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plan_of(name)
    monkeypatch.setattr(pipeline, "_plans", {})
    fillers = [given(5, 7) + n for n in range(random.Random(name).randint(3, 30))]
    second = plan_of(name)
    assert fillers
    assert first is not second
    assert first.fingerprint == second.fingerprint
    assert first.to_dict(stats=False) == second.to_dict(stats=False)


# Cost.


def work_of(depth: int, stage: int) -> int:
    model, loss = mlp_loss(depth, 16)
    updates = nn.optim.Adam(nn.state.get_parameters(model), lr=0.1).schedule_step()
    work = pipeline.begin(trace([t.uop for t in (loss, *updates)]).sink, PORTABLE)
    with session.compiling():
        for earlier in pipeline.STAGES[:stage]:
            earlier.run(work)
        return calls(lambda: pipeline.STAGES[stage].run(work))


@pytest.mark.parametrize("stage", [0, 1])
def test_time_is_linear_in_the_graph(stage: int) -> None:
    small, middle, large = (work_of(depth, stage) for depth in (6, 12, 24))
    assert small > 1000
    assert large - middle < 2.3 * (middle - small)


def test_what_only_its_own_kernel_reads_is_not_stored() -> None:
    table, rows = given(200, 64), Tensor(list(range(-32, 32)), dtype=dtypes.int32)
    plan = anneal.compile(table[rows].matmul(given(64, 128)), target=PORTABLE)
    assert len(plan.kernels) == 1
    loaded = {b.buffer for k in plan.kernels for b in k.bindings if not b.writes}
    assert {b.buffer for k in plan.kernels for b in k.bindings if b.writes} - loaded == set(plan.outputs)
    assert not any(b.scope == "global" and "where int32" in b.value for b in plan.kernels[0].boundaries)


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16])
def test_narrow_weights_are_widened_as_they_are_loaded(dtype: DType) -> None:
    weight = given(384, 1536).cast(dtype).realize()
    for target in (PORTABLE, Target(float16=True)):
        plan = anneal.compile(given(32, 384).matmul(weight), target=target)
        assert [k.name for k in plan.kernels] == ["matmul_32x1536"]
