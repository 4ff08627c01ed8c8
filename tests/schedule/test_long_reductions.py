"""Reductions of much into little: two stages, any axes, any size, every way to combine, and what is computed before and after."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from schedule_samples import PORTABLE

import anneal
from anneal import Tensor

Array = NDArray[Any]
CASES: Final[tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]] = (
    ((50_021,), (0,)),
    ((3, 50_021), (1,)),
    ((50_021, 3), (0,)),
    ((2, 300, 3, 211), (1, 3)),
    ((257, 2, 300), (0, 2)),
    ((64, 40_000), (1,)),
    ((1, 131_072, 1), (1,)),
)


@pytest.fixture(params=["webgpu", "reference"])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def whole(dims: tuple[int, ...], kind: type) -> Array:
    return np.random.default_rng(len(dims)).integers(-6, 7, dims).astype(kind)


@pytest.mark.parametrize(("dims", "axes"), CASES)
@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_long_reductions(dims: tuple[int, ...], axes: tuple[int, ...], kind: type, device: str) -> None:
    data = whole(dims, kind)
    x = Tensor(data, device=device)
    results = [getattr(x, name)(axes) for name in ("sum", "max", "min")]
    Tensor.realize(*results)
    for t, name in zip(results, ("sum", "max", "min"), strict=True):
        assert np.array_equal(t.numpy(), getattr(data, name)(axes))


def test_a_long_product(device: str) -> None:
    data = np.ones(50_021, np.float32)
    data[::5000] = 2
    data[123] = -1
    assert Tensor(data, device=device).prod().item() == -(2.0**11)


@pytest.mark.parametrize("place", [0, 25_000, 50_020])
def test_one_nan_among_many(place: int, device: str) -> None:
    data = np.zeros(50_021, np.float32)
    data[place] = np.nan
    x = Tensor(data, device=device)
    assert np.isnan(x.max().item())
    assert np.isnan(x.min().item())
    assert np.isnan(x.sum().item())
    assert x.isnan().any().item() is True


def test_what_is_fused_with_a_long_reduction(device: str) -> None:
    data, other = whole((3, 50_021), np.float32), whole((3, 50_021), np.float32)[::-1].copy()
    x, y = Tensor(data, device=device), Tensor(other, device=device)
    total = ((x - y).square() * 2).sum(1) / 4 + 1
    spread = x - x.max(1, keepdim=True)
    padded = x.pad([(0, 0), (7, 3)], 9.0).flip(1)[:, ::2].max(1)
    found = ((x > 5) & (y > 5)).int().sum()
    Tensor.realize(total, spread, padded, found)
    assert np.array_equal(total.numpy(), (2 * (data - other) ** 2).sum(1) / 4 + 1)
    assert np.array_equal(spread.numpy(), data - data.max(1, keepdims=True))
    assert np.array_equal(padded.numpy(), np.pad(data, [(0, 0), (7, 3)], constant_values=9)[:, ::-1][:, ::2].max(1))
    assert found.item() == ((data > 5) & (other > 5)).sum()


@pytest.mark.parametrize("dims", [(1 << 22,), (4, 1 << 20), (1 << 20, 4)])
def test_every_stage_of_a_long_reduction_is_shared(dims: tuple[int, ...]) -> None:
    plan = anneal.compile(Tensor.zeros(*dims).own().sum(dims.index(max(dims))), target=PORTABLE)
    assert len(plan.kernels) == 2
    first = plan.kernels[0]
    assert int(np.prod([int(n) for n in first.workgroups])) * int(np.prod(first.workgroup_size)) >= 4096
    assert plan.stats["temporary_bytes"] <= 4 * 1024 * 4
