"""Histories: the chain of each node is what the trace says, link by link, back to the user's program."""

from __future__ import annotations

import pytest

import anneal
from anneal import Tensor
from anneal.examples import EXAMPLES
from anneal.examples.program import Program, graph_of
from anneal.ir.build import index, variable
from anneal.ir.graph import toposort
from anneal.ir.uop import UOp
from anneal.nn import modules
from anneal.rewrite.trace import Event, Move
from anneal.view.graph import Graph
from anneal.view.history import BACKWARD, LEAVES, History


def example(name: str, stage: str, part: str = "step") -> Graph:
    with anneal.trace(), modules.watching() as seen:
        program = Program(EXAMPLES[name])
        outputs = program.outputs(part)  # type: ignore[arg-type]
        return graph_of(outputs, program.names(), seen, stage=stage)


@pytest.mark.parametrize(("name", "stage"), [("mlp", "tensor"), ("mlp", "simplified"), ("conv", "simplified"), ("mlp", "kernels")])
def test_links_hold_and_chains_begin_in_the_users_program(name: str, stage: str) -> None:
    graph = example(name, stage)
    history, begun = graph.history, 0
    parts: dict[UOp, set[UOp]] = {}
    for node in {u: None for step in graph.order for u in (step, *(s.before for s in history.chain(step)))}:
        maker, chain = history.maker(node), history.chain(node)
        if maker is None:
            assert chain == []
            assert history.given(node) or node.op in LEAVES or stage == "kernels", node
        else:
            assert maker == chain[-1]
            assert node in parts.setdefault(maker.after, set(toposort(maker.after)))
            assert chain[:-1] == history.chain(maker.before)
            begun += history.given(chain[0].before)
            assert history.given(chain[0].before) or stage == "kernels"
    assert begun > 20


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_maker_is_the_first_rule_of_the_trace_that_gave_a_node(name: str) -> None:
    graph = example(name, "simplified")
    events = [s for s in graph.history.steps if s.stage == "simplified"]
    assert events
    checked = 0
    for node in graph.order:
        first = next((e for e in events if e.after is node), None)
        there = first is None or any(node in toposort(e.after, e.before) for e in events[: events.index(first)]) or node in toposort(first.before)
        if not there and not graph.history.given(node) and node.op not in LEAVES and node.rule is None:
            assert graph.history.maker(node) == first
            checked += 1
    assert checked


def test_every_gradient_node_has_the_rule_that_its_slot_names() -> None:
    graph = example("mlp", "tensor")
    made = [u for u in graph.order if (step := graph.history.maker(u)) is not None and step.stage == BACKWARD]
    assert len(made) > 30
    same = [u for u in made if (step := graph.history.maker(u)) is not None and step.by == u.rule]
    assert len(same) >= len(made) - 3  # a seed, and what rounding or broadcasting put around a rule's result
    forward = {step.before for u in made if (step := graph.history.maker(u)) is not None}
    assert {u.phase for u in forward} == {"forward"}


def test_nodes_inside_a_result_belong_to_the_rule_too() -> None:
    x, y = variable("x", 0, 9), variable("y", 0, 9)
    before, after = (x + y) * 2, x * 2 + y * 2
    past = History([Event("s", "distribute", before, after)], [], [before])
    assert [past.maker(u) and past.maker(u).by for u in (after, x * 2, x, before)] == ["distribute", "distribute", None, None]  # type: ignore[union-attr]


def test_moves_carry_nodes_over_and_cycles_end() -> None:
    x, y = variable("x", 0, 9), variable("y", 0, 9)
    a, b, c = x + y, y * 3, (x + y) * 7
    past = History([Event("s", "to_b", a, b), Event("s", "back", b, a)], [Move("s", "operands", a, c)], [a])
    assert [s.by for s in past.chain(c)] == ["operands"]
    assert [s.by for s in past.chain(b)] == ["to_b"]
    assert past.chain(a) == []
    assert [s.by for s in past.replaced(a)] == ["back"]
    assert past.became(a) == [a, b, c]
    assert past.became(index(3)) == [index(3)]


def test_gradients_that_nobody_asked_for_are_left_out() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with anneal.trace():
        y = x.exp()
        y.sum().backward()
        shown = (y + 1).graph()
        assert x.grad is not None
        graded = x.grad.graph()
    assert {n.uop.op.name for n in shown.find(phase="backward")} <= {"const"}
    assert all(shown.history.maker(u) is None for u in shown.order)
    assert {s.by for u in graded.order for s in graded.history.chain(u)} >= {"grad_exp2", "grad_mul"}
