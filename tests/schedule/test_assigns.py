"""Assigns: values written in place without a temporary where that is safe, and through one where it is not."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from schedule_samples import PORTABLE, given

import anneal
from anneal import Plan, Tensor, nn

Array = NDArray[Any]
DEVICES: Final = ("webgpu", "reference")


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def numbers(*dims: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(-9, 10, dims).astype(np.float32)


def plan(*outputs: Tensor) -> Plan:
    return anneal.compile(*outputs, target=PORTABLE)


def temporaries(p: Plan) -> int:
    return sum(b.role == "temporary" for b in p.buffers)


def test_a_swap(device: str) -> None:
    a, b = numbers(1000), numbers(1000, seed=1)
    x, y = Tensor(a, device=device), Tensor(b, device=device)
    new_x, new_y = x.assigned(y), y.assigned(x)
    assert temporaries(plan(new_x, new_y)) == 1
    Tensor.realize(new_x, new_y)
    assert np.array_equal(x.numpy(), b)
    assert np.array_equal(y.numpy(), a)


def test_a_rotation_of_three(device: str) -> None:
    data = [numbers(65, seed=i) for i in range(3)]
    tensors = [Tensor(d, device=device) for d in data]
    Tensor.realize(*(t.assigned(tensors[i - 1] + 1) for i, t in enumerate(tensors)))
    for i, t in enumerate(tensors):
        assert np.array_equal(t.numpy(), data[i - 1] + 1)


@pytest.mark.parametrize(
    ("name", "count"),
    [("flip", 1), ("transpose", 1), ("row sums", 1), ("running sum", 1), ("neighbour", 1), ("own element", 0), ("own element of a wider use", 0)],
)
def test_in_place_only_where_each_element_is_read_where_it_is_written(name: str, count: int, device: str) -> None:
    data = numbers(40, 40)
    x = Tensor(data, device=device)
    makers: dict[str, tuple[Tensor, Array]] = {
        "flip": (x.flip(0), data[::-1]),
        "transpose": (x.T, data.T),
        "row sums": (x - x.sum(1, keepdim=True), data - data.sum(1, keepdims=True)),
        "running sum": (x.cumsum(1), data.cumsum(1)),
        "neighbour": (x + x.roll(1, 0), data + np.roll(data, 1, 0)),
        "own element": (x * 2 + 1, data * 2 + 1),
        "own element of a wider use": ((x + 1) * (x - 1), (data + 1) * (data - 1)),
    }
    value, wanted = makers[name]
    assigned = x.assigned(value)
    assert temporaries(plan(assigned)) == count
    assigned.realize()
    assert np.array_equal(x.numpy(), wanted)


def test_chains_of_assigns_are_one(device: str) -> None:
    data = numbers(300)
    x = Tensor(data, device=device)
    x.assign(x + 1)
    x.assign(x * 2)
    x.assign(x - 3)
    p = plan(x)
    assert len(p.kernels) == 1
    assert p.assigned == (0,)
    assert np.array_equal(x.numpy(), (data + 1) * 2 - 3)


def test_what_was_read_between_two_assigns(device: str) -> None:
    data = numbers(300)
    x = Tensor(data, device=device)
    first = x.sum()
    x.assign(x + 1)
    second = x.flip(0)
    x.assign(x * 2 + first)
    third = x.max()
    Tensor.realize(first, second, third, x)
    assert first.item() == data.sum()
    assert np.array_equal(second.numpy(), (data + 1)[::-1])
    assert np.array_equal(x.numpy(), (data + 1) * 2 + data.sum())
    assert third.item() == ((data + 1) * 2 + data.sum()).max()


def test_old_values_in_other_kernels_are_read_before(device: str) -> None:
    data, weights = numbers(64, 32), numbers(32, 16, seed=1)
    x, w = Tensor(data, device=device), Tensor(weights, device=device)
    outside = x @ w
    rows = w.sum(1)
    w.assign(w * 0.5)
    Tensor.realize(w, outside, rows)
    assert np.array_equal(outside.numpy(), data @ weights)
    assert np.array_equal(rows.numpy(), weights.sum(1))
    assert np.array_equal(w.numpy(), weights * np.float32(0.5))


def test_a_weight_that_forward_and_backward_read_is_updated_last(device: str) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(d).astype(np.float32) for d in ((8, 6), (6, 6), (6, 6)))
    x, w, v = Tensor(a, device=device), Tensor(b, device=device, requires_grad=True), Tensor(c, device=device, requires_grad=True)
    optimiser = nn.optim.SGD([w, v], lr=0.25)
    ((x @ w).relu() @ w @ v).square().mean().backward()
    optimiser.step()
    import torch

    tx, tw, tv = torch.tensor(a), torch.tensor(b, requires_grad=True), torch.tensor(c, requires_grad=True)
    ((tx @ tw).relu() @ tw @ tv).square().mean().backward()
    assert tw.grad is not None
    assert tv.grad is not None
    np.testing.assert_allclose(w.numpy(), b - 0.25 * tw.grad.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(v.numpy(), c - 0.25 * tv.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_a_store_by_few_invocations_does_not_overtake_readers(device: str) -> None:
    data = numbers(300)
    x, z = Tensor(data, device=device), Tensor(numbers(300, 40, seed=1), device=device)
    x.assign(x + 1)
    wide = x.reshape(300, 1) * z
    Tensor.realize(x, wide)
    assert np.array_equal(wide.numpy(), (data + 1)[:, None] * numbers(300, 40, seed=1))
    assert np.array_equal(x.numpy(), data + 1)


def test_two_buffers_that_read_each_other_over_and_over(device: str) -> None:
    a, b = numbers(64), numbers(64, seed=1)
    x, y = Tensor(a, device=device), Tensor(b, device=device)
    for _ in range(3):
        old = x.detach()
        x.assign(x + y.flip(0))
        y.assign(y - old.flip(0) * 2)
        a, b = a + b[::-1], b - a[::-1] * 2
    Tensor.realize(x, y)
    assert np.array_equal(x.numpy(), a)
    assert np.array_equal(y.numpy(), b)


def test_an_old_value_that_is_an_output_is_kept(device: str) -> None:
    data = numbers(100)
    x = Tensor(data, device=device)
    old = x.reshape(10, 10).reshape(100)
    x.assign(x + 1)
    middle = x.detach()
    x.assign(x * 3)
    Tensor.realize(old, middle, x)
    assert np.array_equal(old.numpy(), data)
    assert np.array_equal(middle.numpy(), data + 1)
    assert np.array_equal(x.numpy(), (data + 1) * 3)


def test_an_assign_happens_though_simplification_drops_its_reader(device: str) -> None:
    x = Tensor([1, 2, 3], device=device)
    x.assign(x + 1)
    nothing = x * 0
    assert nothing.tolist() == [0, 0, 0]
    assert x.tolist() == [2, 3, 4]


def test_many_assigns_that_read_each_other_have_an_order(device: str) -> None:
    count = 12
    data = [numbers(20, seed=i) for i in range(count)]
    tensors = [Tensor(d, device=device) for d in data]
    Tensor.realize(*(t.assigned(tensors[(i + 5) % count].flip(0) + tensors[(i + 7) % count]) for i, t in enumerate(tensors)))
    for i, t in enumerate(tensors):
        assert np.array_equal(t.numpy(), data[(i + 5) % count][::-1] + data[(i + 7) % count])


def test_an_update_of_a_parameter_is_one_kernel_without_temporaries() -> None:
    p, g = given(128), given(128)
    m, v = given(128), given(128)
    new_m = m.assigned(m * 0.9 + g * 0.1)
    new_v = v.assigned(v * 0.99 + g.square() * 0.01)
    new_p = p.assigned(p - new_m / (new_v.sqrt() + 1e-8))
    made = plan(new_p, new_m, new_v)
    assert len(made.kernels) == 1
    assert temporaries(made) == 0
    assert len(made.kernels[0].bindings) == 4


def test_results_that_share_a_buffer_are_separate_once_one_is_assigned(device: str) -> None:
    data = numbers(50)
    x = Tensor(data, device=device)
    same = x * 1
    first, second = x + 1, 1 + x
    Tensor.realize(same, first, second)
    x.assign(x * 5).realize()
    first.assign(first - 7).realize()
    assert np.array_equal(same.numpy(), data)
    assert np.array_equal(second.numpy(), data + 1)
    assert np.array_equal(first.numpy(), data - 6)
    assert np.array_equal(x.numpy(), data * 5)


def test_only_assigns_on_a_cycle_are_copied(device: str) -> None:
    a, b = numbers(64), numbers(64, seed=1)
    x, y = Tensor(a, device=device), Tensor(b, device=device)
    others = [Tensor(numbers(64, seed=i), device=device) for i in range(2, 7)]
    old = x.detach()
    x.assign(x + y.flip(0))
    y.assign(y - old.flip(0))
    for other in others:
        other.assign(other + x * y)
    made = plan(x, y, *others)
    assert temporaries(made) == 2
    Tensor.realize(x, y, *others)
    new_a, new_b = a + b[::-1], b - a[::-1]
    assert np.array_equal(x.numpy(), new_a)
    assert np.array_equal(y.numpy(), new_b)
    for i, other in enumerate(others, 2):
        assert np.array_equal(other.numpy(), numbers(64, seed=i) + new_a * new_b)
