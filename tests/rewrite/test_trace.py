"""What a trace tells is what happened: each step of each stage, with a way back from every node to the program as it was written."""

from __future__ import annotations

import pytest

import anneal
from anneal import Target, Tensor, Trace, nn
from anneal.autodiff.backward import PASS_RULES
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.rules import GRADIENT_NAMES, NAMES
from anneal.runtime.pipeline import STAGES
from anneal.tensor import realize


@pytest.fixture(scope="module")
def step() -> Trace:
    """The trace of a training step of two layers, from the gradients on."""
    Tensor.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), Tensor.relu, nn.Linear(5, 3))
    optimizer = nn.optim.Adam(nn.state.get_parameters(model), lr=0.1)
    x = Tensor.rand(4, 6)
    with anneal.trace() as trace:
        loss = model(x).softmax(-1).sum()
        loss.backward()
        anneal.compile(loss, *optimizer.schedule_step(), target=Target.portable())
    return trace


def ways_back(trace: Trace) -> dict[UOp, UOp]:
    """For each node one that it took the place of."""
    back: dict[UOp, UOp] = {}
    for event in trace.events:
        if event.stage != "backward":
            back.setdefault(event.after, event.before)
    for move in trace.moves:
        back.setdefault(move.after, move.before)
    return back


def test_the_snapshots_are_the_stages(step: Trace) -> None:
    assert [s.stage for s in step.snapshots] == ["tensor", *(s.name for s in STAGES)]
    assert [s.ensures for s in step.snapshots[1:]] == [s.ensures for s in STAGES]
    assert all(s.milliseconds > 0 for s in step.snapshots[1:])
    graphs = {s.stage: len(s.graphs) for s in step.snapshots}
    assert graphs["tensor"] == graphs["simplified"] == 1
    assert graphs["kernels"] == graphs["lowered"] > 1
    assert graphs["wgsl"] == 0


def test_rewrites_add_up(step: Trace) -> None:
    for snapshot in step.snapshots:
        assert snapshot.rewrites == sum(e.stage == snapshot.stage and e.rule in NAMES for e in step.events)
    assert sum(s.rewrites for s in step.snapshots) > 100
    assert sum(step.fired().values()) == len(step.events)


def test_gradients_are_events_of_the_rules_that_gave_them(step: Trace) -> None:
    given = [e for e in step.events if e.stage == "backward"]
    rules = {e.rule for e in given}
    assert rules <= {*GRADIENT_NAMES.values(), *PASS_RULES}
    assert {GRADIENT_NAMES[Ops.MUL], GRADIENT_NAMES[Ops.REDUCE_AXIS], "accumulate"} <= rules
    assert all(GRADIENT_NAMES[e.before.op] == e.rule for e in given if e.rule not in PASS_RULES)


def test_every_instruction_that_computes_leads_back_to_the_program(step: Trace) -> None:
    written = set(toposort(*step.snapshots[0].graphs[0]))
    back = ways_back(step)
    for stage, ops in ((2, {Ops.MUL, Ops.EXP2, Ops.DIV, Ops.MAX, Ops.REDUCE}), (3, {Ops.EXP2, Ops.DIV, Ops.MAX})):
        found = [u for graph in step.snapshots[stage].graphs for u in toposort(*graph) if u.op in ops and u.dtype.is_float]
        assert found
        for node in found:
            seen, now = {node}, node
            while now not in written and back.get(now, now) not in seen:
                now = back[now]
                seen.add(now)
            assert now in written, f"{node} of {step.snapshots[stage].stage} comes from nowhere: it ends at {now}"


def test_kernels_carry_phase_and_line_of_the_program(step: Trace) -> None:
    stores = [s for graph in step.snapshots[2].graphs for s in graph[0].src]
    assert {s.phase for s in stores} >= {"forward", "update"}
    assert any(s.origin is not None and s.origin[0] == __file__ for s in stores)


def test_watching_ends_and_changes_no_plan(step: Trace) -> None:
    x = Tensor([[1.0, 2.0], [3.0, 5.0]])
    program = realize.trace([x.softmax(0).uop])
    with anneal.trace() as trace:
        watched = realize.compile_program(program, Target.portable())
    seen = len(trace.events)
    assert seen
    again = realize.compile_program(program, Target.portable())
    assert again.fingerprint == watched.fingerprint
    assert len(trace.events) == seen


def test_text_says_which_rule_fired_how_often(step: Trace) -> None:
    rule, times = next(iter(step.fired().items()))
    assert any(line.split()[1:] == [rule, str(times)] for line in str(step).splitlines()) or sum(rule in line.split() for line in str(step).splitlines()) > 1
    assert str(step).splitlines()[-1] == repr(step)
    assert f"<td>{rule}</td>" in step._repr_html_()
    assert str(Trace()) == "<trace: 0 rewrites by 0 rules, 0 stages>"
