"""Lines of WGSL and nodes of every stage point at each other."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import pytest

from anneal.ir.ops import Ops
from anneal.viz import lines
from anneal.viz.state import STAGES, State
from anneal.viz.tab import Tab

CASES = [("mlp", "forward"), ("mlp", "step"), ("conv", "step")]


@cache
def opened(name: str, part: str) -> State:
    tab = Tab()
    answer = asyncio.run(tab.handle("open", {"source": f"from anneal.examples import EXAMPLES\nEXAMPLES['{name}']", "part": part, "name": name}))
    assert answer["ok"], answer
    return tab.state


def asked(state: State, kernel: Any) -> dict[int, list[int]]:
    return dict(lines.lines(state, {"kernel": kernel})["lines"])


@pytest.mark.parametrize(("name", "part"), CASES)
def test_every_line_that_computes_has_nodes_and_every_id_exists(name: str, part: str) -> None:
    state = opened(name, part)
    for number, kernel in enumerate(state.open.compiled.plan.kernels):
        found = asked(state, number)
        text = kernel.wgsl.split("\n")
        body = next(i for i, line in enumerate(text, 1) if line.startswith("fn main"))
        assert [line for i, line in enumerate(text, 1) if body < i < len(text) - 1 and not found.get(i)] == []
        assert all(1 <= at <= len(text) for at in found)
        assert all(state.open.ids.uop(i) is not None for ids in found.values() for i in ids)


@pytest.mark.parametrize(("name", "part"), CASES)
def test_the_stages_know_their_own_nodes_of_the_lines(name: str, part: str) -> None:
    state = opened(name, part)
    for number in range(len(state.open.compiled.plan.kernels)):
        answer = lines.lines(state, {"kernel": number})
        told = {i for _, ids in answer["lines"] for i in ids}
        assert list(answer["stages"]) == list(STAGES)
        for stage, ids in answer["stages"].items():
            assert set(ids) <= told
            assert {state.open.ids.uop(i) for i in ids} <= set(state.open.graph(stage).order)
        lowered = {state.open.ids.uop(i) for i in answer["stages"]["lowered"]}
        assert {u for u in state.open.graph("lowered").roots(number) if u.op in (Ops.STORE, Ops.VSTORE, Ops.LOOP)} <= lowered


def test_what_the_program_computes_is_found_in_the_text() -> None:
    """Every elementwise operation and reduction of the forward pass points at a line of some kernel that computes something like it."""
    state = opened("mlp", "forward")
    opened_ = state.open
    said = lines.of_program(opened_)
    places: dict[Any, list[str]] = {}
    for kernel, by_line in zip(opened_.compiled.plan.kernels, said, strict=True):
        text = kernel.wgsl.split("\n")
        for at, uops in by_line.items():
            for u in uops:
                places.setdefault(u, []).append(text[at - 1])
    products = [u for u in opened_.graph("simplified").order if u.op is Ops.MUL and u.dtype.is_float]
    sums = [u for u in opened_.graph("simplified").order if u.op is Ops.REDUCE_AXIS]
    assert len(products) == len(sums) == 2
    assert all(any("*" in line for line in places[u]) for u in products)
    assert all(any("acc" in line for line in places[u]) for u in sums)


def test_a_kernel_that_is_not_there_is_refused() -> None:
    state = opened("mlp", "forward")
    for wrong in (2, -1, None, True, "0"):
        with pytest.raises(Exception, match=r"no kernel .*: the program has 2 kernels, numbered from 0"):
            asked(state, wrong)


def test_equal_kernels_say_each_its_own_nodes() -> None:
    """Kernels that are written alike share their instructions; what these came from is told apart."""
    source = "from anneal import Tensor\nx = Tensor.rand(8, 16).own()\nfor _ in range(3):\n    x = (x @ Tensor.rand(16, 16).own()).relu()\nx\n"
    tab = Tab()
    assert asyncio.run(tab.handle("open", {"source": source, "part": None, "name": "layers"}))["ok"]
    opened_ = tab.state.open
    kernels = opened_.compiled.plan.kernels
    assert len({kernel.wgsl for kernel in kernels}) < len(kernels) == 3
    sums = [u for u in opened_.graph("tensor").order if u.op is Ops.REDUCE_AXIS]
    said = lines.of_program(opened_)
    where = [[number for number, by_line in enumerate(said) if any(u in uops for uops in by_line.values())] for u in sums]
    assert where == [[0], [1], [2]]
