"""Plans in words: names, costs by hand formulas, phases of operations, who makes and who reads each value, and why it is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from schedule_samples import SAMPLES, given, plan_of

import anneal
from anneal import Plan, Target, Tensor, nn
from anneal.examples import EXAMPLES
from anneal.examples.program import Program
from anneal.runtime.explain import Explanation
from anneal.view.phases import Unpainted

PORTABLE = Target.portable()


def told(*outputs: Tensor, inputs: tuple[str, ...] = ()) -> Explanation:
    return anneal.compile(*outputs, target=PORTABLE).explain(inputs)


def step(model: str) -> Explanation:
    return told(*Program(EXAMPLES[model]).outputs("step"))


# Names.


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: [given(8, 4) + given(8, 4)], ["add_8x4"]),
        (lambda: [(given(8, 16) @ given(16, 4) + given(4)).relu()], ["matmul_add_relu_8x4"]),
        (lambda: [given(64, 100).softmax(-1)], ["max_sum_div_64x100"]),
        (lambda: [given(9).sum()], ["sum"]),
        (lambda: [given(9).prod()], ["prod"]),
        (lambda: [given(4, 9).max(1)], ["max_4"]),
        (lambda: [given(4, 9).square().sum(1)], ["sum_4"]),
        (lambda: [given(4, 9).flip(0).contiguous()], ["copy_4x9"]),
        (lambda: [(x := given(4)).assigned(x * 2)], ["update_4"]),
        (lambda: [given(5, 3)[Tensor([1, 2])]], ["gather_2x3"]),
        (lambda: [nn.Conv2d(3, 8, 3)(given(2, 3, 8, 8)).relu()], ["conv_add_relu_2x8x6x6"]),
        (lambda: [given(3, 3) @ given(3, 3), given(3, 3) @ given(3, 3).exp()], ["matmul_3x3", "matmul_3x3_v2"]),
    ],
)
def test_a_name_says_what_a_kernel_is(make: Callable[[], list[Tensor]], names: list[str]) -> None:
    found = [k.kernel.name for k in told(*make()).kernels]
    assert [n for n in found if not n.startswith("mul_exp2")] == names


@pytest.mark.parametrize("name", SAMPLES)
def test_names_are_identifiers_and_unique(name: str) -> None:
    names = [k.name for k in plan_of(name).kernels]
    assert len(set(names)) == len(names)
    assert all(n.isidentifier() and n.isascii() and n == n.lower() and len(n) < 64 for n in names)


# Costs.


@pytest.mark.parametrize(("m", "k", "n"), [(8, 16, 4), (64, 32, 128), (3, 5, 7)])
def test_a_product_of_matrices_costs_two_flops_a_pair_and_each_element_once(m: int, k: int, n: int) -> None:
    (kernel,) = told(given(m, k) @ given(k, n)).kernels
    assert kernel.kernel.flops == 2 * m * n * k
    assert kernel.kernel.bytes == 4 * (m * k + k * n + m * n)
    assert kernel.intensity == 2 * m * n * k / (4 * (m * k + k * n + m * n))


def test_elementwise_operations_cost_one_flop_an_element() -> None:
    (kernel,) = told((given(30, 40) + given(30, 40)) * given(40)).kernels
    assert (kernel.kernel.flops, kernel.kernel.bytes) == (2 * 1200, 4 * (2 * 1200 + 40 + 1200))


def test_a_sum_costs_one_flop_an_element() -> None:
    (kernel,) = told(given(30, 40).sum(1)).kernels
    assert (kernel.kernel.flops, kernel.kernel.bytes) == (1200, 4 * (1200 + 30))


def test_what_is_changed_in_place_is_read_and_written() -> None:
    x = given(100)
    (kernel,) = told(x.assigned(x * 2 + 1), inputs=("x",)).kernels
    assert kernel.kernel.bytes == 2 * 400
    assert [v.name for v in kernel.inputs] == [v.name for v in kernel.outputs] == ["x"]
    (kernel,) = told(given(100).assigned(given(100))).kernels
    assert (len(kernel.inputs), len(kernel.outputs), kernel.kernel.bytes) == (1, 1, 2 * 400)


def test_only_what_is_read_counts() -> None:
    (kernel,) = told(given(1000, 8)[3:5] * 2).kernels
    assert kernel.kernel.bytes == 2 * 4 * 16
    (kernel,) = told(given(1000, 8)[Tensor([5, 6, 7])] * 2).kernels
    assert kernel.kernel.bytes == 4 * (3 + 24 + 24)


# What is fused, made, read and stored.


@pytest.mark.parametrize("model", EXAMPLES)
def test_a_step_fuses_across_phases(model: str) -> None:
    kernels = step(model).kernels
    assert any({"backward", "update"} <= set(k.kernel.phases) for k in kernels)
    for kernel in kernels:
        assert kernel.kernel.phases
        assert kernel.fuses == (len(kernel.kernel.phases) > 1)
        assert [g.phase for g in kernel.groups] == [p for p in ("forward", "backward", "update") if p in kernel.kernel.op_phases]
        assert sorted(op for g in kernel.groups for op in g.ops) == sorted(kernel.kernel.ops)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stored_value_has_its_reason_and_its_readers(name: str) -> None:
    explained = plan_of(name).explain().kernels
    made = {v.name: v for k in explained for v in k.outputs}
    for kernel in explained:
        stored = [s.stored for s in kernel.stands if s.boundary.scope == "global"]
        assert sorted(map(id, stored)) == sorted(map(id, kernel.outputs))
        assert all(s.boundary.reason for s in kernel.stands)
        assert all((s.stored is None) == (s.boundary.scope != "global") for s in kernel.stands)
        for value in kernel.inputs:
            assert kernel.kernel.name in value.readers
            assert (value.maker is None) == (value.role == "input" and value.name not in made) or value.name in made
        for value in kernel.outputs:
            assert value.maker == kernel.kernel.name
            readers = [k.kernel.name for k in explained if value in k.inputs]
            assert list(value.readers) == readers


def test_a_buffer_that_holds_several_values_has_the_name_of_each() -> None:
    plan = plan_of("mlp_sgd")
    shared = [
        k.outputs[0].name for k in plan.explain().kernels if k.kernel.bindings[0].writes and plan.buffers[k.kernel.bindings[0].buffer].role == "temporary"
    ]
    assert len(set(shared)) == len(shared) > 1


def test_inputs_and_outputs_go_by_the_names_given() -> None:
    x, y = given(4, 4), given(4, 4)
    explained = anneal.compile(x @ y, x.sum(), target=PORTABLE).explain(["x", "y"], ["product", "total"])
    names = {v.name for k in explained.kernels for v in (*k.inputs, *k.outputs)}
    assert names == {"x", "y", "product", "total"}
    few = anneal.compile(x @ y, x.sum(), target=PORTABLE).explain(["x"])
    assert {v.name for k in few.kernels for v in (*k.inputs, *k.outputs)} == {"x", "input1", "output0", "output1"}


# Plans without what is known of newer ones.


def test_a_plan_of_before_is_read_and_explained() -> None:
    plan = plan_of("mlp_sgd")
    data = json.loads(plan.to_json())
    for kernel in data["kernels"]:
        del kernel["op_phases"]
        kernel["bindings"] = [{"buffer": b["buffer"], "writes": b["writes"]} for b in kernel["bindings"]]
        kernel["boundaries"] = [{k: v for k, v in b.items() if k != "binding"} for b in kernel["boundaries"]]
    old = Plan.from_json(json.dumps(data))
    assert [k.kernel.name for k in old.explain().kernels] == [k.name for k in plan.kernels]
    assert "materialised" in str(old.explain())


def test_phases_of_operations_are_not_part_of_the_fingerprint() -> None:
    plan = plan_of("mlp_sgd")
    assert Plan.from_json(plan.to_json()) == plan
    bare = replace(plan, kernels=tuple(replace(k, op_phases=(), phases=("forward",)) for k in plan.kernels))
    assert bare.fingerprint == plan.fingerprint


# Text.


@pytest.mark.parametrize("name", ["mlp_adam", "attention", "swap"])
@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_text_fits_the_width(name: str, width: int) -> None:
    explained = plan_of(name).explain()
    lines = explained.text(Unpainted(plain=True), width)
    assert all(line.isascii() for line in lines)
    titles = {f"{k.number}. {k.kernel.name}" for k in explained.kernels}
    wide = [line for line in lines if len(line) > width and line not in titles and not line.startswith("plan ")]
    assert all("forward" in line or "backward" in line or "update" in line for line in wide) if width == 20 else not wide
    assert lines[-1] == f"plan {plan_of(name).fingerprint}"


def test_text_says_all_of_it() -> None:
    text = "\n".join(plan_of("mlp_sgd").explain().text(width=10_000))
    for kernel in plan_of("mlp_sgd").kernels:
        assert kernel.name in text
        assert f"{kernel.flops:,} flops, {kernel.bytes:,} bytes" in text
        assert all(b.reason in text for b in kernel.boundaries)
    assert "▪ backward+update, fused" in text
    assert "↻ update" in text
    assert "input0 float32(" in text
    assert str(plan_of("swap").explain()) == repr(plan_of("swap").explain())


def test_a_plan_without_kernels_explains_itself() -> None:
    nothing = replace(plan_of("swap"), kernels=())
    assert str(nothing.explain()).startswith("0 kernels")


# HTML.


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_whole_escaped_and_says_the_same() -> None:
    plan = plan_of("mlp_sgd")
    page = Tags()
    page.feed(plan.explain(["<script>alert(1)</script>"])._repr_html_())
    assert not page.open
    assert "script" not in page.seen
    assert "<script>alert(1)</script> float32" in page.text
    for kernel in plan.kernels:
        assert kernel.wgsl in page.text
        assert kernel.name in page.text
    assert "▪ backward+update" in page.text
    assert "╌ backward" in page.text
    assert page.seen.count("tr") == 1 + len(plan.kernels)
    assert plan._repr_html_() == plan.explain()._repr_html_()
