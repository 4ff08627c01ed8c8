"""Plans go to JSON and back, keep one fingerprint, and their sizes are numbers or small expressions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import CASES, Case, copy

from anneal.errors import AnnealError, ParseError
from anneal.runtime.plan import Boundary, Plan, size


@pytest.mark.parametrize("make", CASES, ids=lambda f: f.__name__)
def test_round_trip(make: Callable[[], Case]) -> None:
    plan = replace(make().plan, symbols={"n": (1, 9)}, assigned=(0,), stats={"uops": 3, "ms": {"codegen": 0.5}})
    kernel = replace(plan.kernels[0], boundaries=(Boundary("add:float32 (3,)", "global", "read 9 times"),), workgroups=("n*4 + 3", 1, 1))
    plan = replace(plan, kernels=(kernel, *plan.kernels[1:]))
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.fingerprint == plan.fingerprint
    assert again.to_json() == plan.to_json()


def test_fingerprint_is_of_the_program_not_of_its_statistics() -> None:
    plan = copy().plan
    assert replace(plan, stats={"ms": 1}).fingerprint == plan.fingerprint
    assert len(plan.fingerprint) == 64
    others = [
        replace(plan, outputs=(0,)),
        replace(plan, symbols={"n": (1, 2)}),
        replace(plan, target=replace(plan.target, float16=True)),
        replace(plan, kernels=(replace(plan.kernels[0], name="other"),)),
        replace(plan, buffers=(replace(plan.buffers[0], bytes=1028), plan.buffers[1])),
    ]
    assert len({p.fingerprint for p in [plan, *others]}) == 1 + len(others)


def test_a_plan_is_short_in_an_interpreter() -> None:
    plan = copy().plan
    assert repr(plan) == f"<plan {plan.fingerprint[:8]}: 1 kernel, 2 buffers>"
    assert repr(plan.kernels[0]) == f"<kernel {plan.kernels[0].name}: forward, 0 operations>"


def test_roles() -> None:
    plan = copy().plan
    assert [b.role for b in plan.inputs] == ["input"]
    assert plan.inputs[0].element.name == "float32"


def _without(*path: str | int) -> str:
    data = json.loads(copy().plan.to_json())
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return json.dumps(data)


def _with(value: object, *path: str | int) -> str:
    data = json.loads(copy().plan.to_json())
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"version":1}',
        "[" * 100_000,
        _without("kernels"),
        _without("target"),
        _without("target", "invocations"),
        _without("kernels", 0, "wgsl"),
        _without("buffers", 0, "bytes"),
        _with(2, "version"),
        _with("float99", "buffers", 0, "dtype"),
        _with(None, "outputs"),
        _with([[]], "kernels", 0, "bindings"),
        _with({"n": [1]}, "symbols"),
        _with(5, "kernels"),
        _with("x", "outputs", 0),
        _with(99, "outputs", 0),
        _with([-1], "assigned"),
        _with("inputt", "buffers", 0, "role"),
        _with(99, "kernels", 0, "bindings", 0, "buffer"),
        _with(["sideways"], "kernels", 0, "phases"),
        _with([], "kernels", 0, "phases"),
        _with(["forward"] * 99, "kernels", 0, "op_phases"),
        _with([{"value": "v", "scope": "moon", "reason": "r"}], "kernels", 0, "boundaries"),
        _with([{"value": "v", "scope": "global", "reason": "r", "binding": 99}], "kernels", 0, "boundaries"),
        _with([1], "kernels", 0, "workgroups"),
        _with(None, "stats"),
        b"\xff\xfe\xfa",
    ],
)
def test_what_is_no_plan_is_an_error(text: str | bytes) -> None:
    with pytest.raises(AnnealError):
        Plan.from_json(text)  # type: ignore[arg-type]


def test_a_plan_of_another_version_says_what_to_do() -> None:
    with pytest.raises(ParseError, match="this plan has version 2, this compiler reads 1: compile it again"):
        Plan.from_json(_with(2, "version"))


@given(st.integers(1, 100), st.integers(1, 100))
def test_sizes_are_expressions_in_symbols(n: int, m: int) -> None:
    values = {"n": n, "m": m}
    assert size(7, values) == 7
    assert size("(n*4 + m)//3 % 5", values) == (n * 4 + m) // 3 % 5
    assert size("n + -1*m", values) == n - m


@pytest.mark.parametrize("text", ["q", "n//0", "n**2", "f(n)", "n +", "n.real", "__import__('os')", "1.5", "", "(" * 500 + "1" + ")" * 500])
def test_a_size_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ParseError):
        size(text, {"n": 3})
