"""Plans that are at hand run on what they are given: values against NumPy, wrong inputs refused before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import anneal
from anneal import AnnealError, DTypeError, Plan, ShapeError, Target, Tensor, UsageError

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("device", ["webgpu", "reference"])
def test_a_plan_from_json_runs_on_new_inputs(device: str) -> None:
    a, b = Tensor(RNG.normal(size=(5, 3)).astype("f")), Tensor(RNG.normal(size=(3, 4)).astype("f"))
    plan = Plan.from_json(anneal.compile((a @ b).relu(), a.sum(0), target=Target.portable()).to_json())
    x, y = RNG.normal(size=(5, 3)).astype("f"), RNG.normal(size=(3, 4)).astype("f")
    product, total = anneal.execute(plan, x, Tensor(y), device=device)
    assert product.device == device
    np.testing.assert_allclose(product.numpy(), np.maximum(x @ y, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(total.numpy(), x.sum(0), rtol=1e-5, atol=1e-6)


def test_a_tensor_that_the_plan_assigns_has_the_new_values() -> None:
    counter, step = Tensor([1.0, 2.0], device="reference").realize(), Tensor([0.5, 0.25], device="reference")
    plan = anneal.compile(counter.assign(counter + step), target=Target.portable())
    mine = Tensor([10.0, 20.0], device="reference")
    for _ in range(3):
        [result] = anneal.execute(plan, mine, [0.5, 0.25], device="reference")
    assert mine.tolist() == result.tolist() == [11.5, 20.75]
    assert (mine * 2).tolist() == [23.0, 41.5]


@pytest.mark.parametrize("device", ["webgpu", "reference"])
def test_assigned_tensors_may_be_computed_first(device: str) -> None:
    counter = Tensor([1.0, 2.0])
    plan = anneal.compile(counter.assign(counter * 3 + 1), target=Target.portable())
    whole = Tensor([1.0, 2.0, 3.0, 4.0], device=device).realize()
    for mine, before in ((whole * 2)[:2], [2.0, 4.0]), (whole[1:3], [2.0, 3.0]), (Tensor.zeros(2), [0.0, 0.0]):
        once = [v * 3 + 1 for v in before]
        [result] = anneal.execute(plan, mine, device=device)
        assert mine.tolist() == result.tolist() == once
        anneal.execute(plan, mine, device=device)
        assert (mine + 1).tolist() == [v * 3 + 2 for v in once]
    assert whole.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert Tensor.zeros(2).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        (([1.0, 2.0],), UsageError, r"has 2 inputs \(float32\(2,\), int32\(2,\)\), and 1 were given"),
        (([1.0, 2.0], [1, 2], [3]), UsageError, "and 3 were given"),
        (([1.0, 2.0, 3.0], [1, 2]), ShapeError, "input 0 of this plan has shape"),
        (([1.0, 2.0], Tensor([1.0, 2.0])), DTypeError, "input 1 of this plan is int32, not float32"),
    ],
)
def test_wrong_inputs_are_refused(inputs: tuple[object, ...], error: type[AnnealError], said: str) -> None:
    plan = anneal.compile(Tensor([1.0, 2.0]) * Tensor([3, 4]), target=Target.portable())
    with pytest.raises(error, match=said):
        anneal.execute(plan, *inputs, device="reference")


def test_what_is_no_plan_is_refused() -> None:
    with pytest.raises(UsageError, match="execute runs a plan, not str: anneal.compile makes one"):
        anneal.execute("plan", [1.0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensors", "target", "said"),
    [
        ([Tensor([1.0])], "webgpu", "a target is an anneal.Target, such as Target.portable.* not 'webgpu'"),
        ([[Tensor([1.0])]], Target.portable(), "compile takes tensors one after the other, not list"),
    ],
)
def test_compile_says_what_it_takes(tensors: list[Any], target: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        anneal.compile(*tensors, target=target)
