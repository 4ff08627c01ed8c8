"""Sorting: long axes, stability, every dtype, axes of size 0, and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from anneal import DTypeError, ShapeError, Tensor, dtypes
from anneal.tensor import sorting

RNG = np.random.default_rng(4)


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


@pytest.mark.parametrize("descending", [False, True])
def test_runs_are_merged(device: Any, monkeypatch: pytest.MonkeyPatch, descending: bool) -> None:
    monkeypatch.setattr(sorting, "RUN", 4)
    data = (RNG.integers(-3, 4, (2, 13)) / 2).astype(np.float32)
    data[0, [2, 7]], data[1, [0, 5]], data[1, 3] = np.nan, -0.0, -np.inf
    found = Tensor(data).sort(1, descending)
    wanted = torch.sort(torch.tensor(data), dim=1, descending=descending, stable=True)
    assert found.indices.tolist() == wanted.indices.tolist()
    np.testing.assert_array_equal(found.values.numpy(), wanted.values.numpy())


@pytest.mark.parametrize("count", [1, 3])
def test_few_of_many(device: Any, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(sorting, "RUN", 6)
    data = RNG.permutation(40).reshape(2, 20)
    for largest in (False, True):
        found = Tensor(data.astype(np.int32)).topk(count, largest=largest)
        wanted = torch.tensor(data).topk(count, largest=largest)
        assert found.indices.tolist() == wanted.indices.tolist()
        assert found.values.tolist() == wanted.values.tolist()


@pytest.mark.parametrize("name", ["reference", "webgpu"])
def test_ten_thousand(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", name)
    data = RNG.integers(0, 3000, 10_000).astype(np.float32)
    found = Tensor(data).sort()
    np.testing.assert_array_equal(found.indices.numpy(), np.argsort(data, kind="stable"))
    np.testing.assert_array_equal(found.values.numpy(), np.sort(data))


def test_every_dtype(device: Any) -> None:
    assert Tensor([2**31 + 5, 7, 2**32 - 1, 0], dtype=dtypes.uint32).sort().values.tolist() == [0, 7, 2**31 + 5, 2**32 - 1]
    assert Tensor([5, -(2**31), 2**31 - 1, -1]).sort(descending=True).values.tolist() == [2**31 - 1, 5, -1, -(2**31)]
    assert Tensor([True, False, True]).argsort().tolist() == [1, 0, 2]
    assert Tensor([1.5, -math.inf, 0.25], dtype=dtypes.bfloat16).topk(2).values.tolist() == [1.5, 0.25]


@pytest.mark.usefixtures("reference")
def test_nothing_and_one() -> None:
    assert Tensor(3.0).sort().values.item() == 3
    assert Tensor(3.0).argsort(0).item() == 0
    assert Tensor(3.0).topk(1).indices.item() == 0
    assert Tensor(3.0).median(0).values.item() == Tensor(3.0).median().item() == 3
    for shape, axis in (((0,), 0), ((2, 0), 1), ((2, 0), 0), ((0, 2), 1)):
        found = Tensor.zeros(*shape).sort(axis)
        assert found.values.numpy().shape == found.indices.numpy().shape == shape
        assert found.indices.dtype is dtypes.int32
    assert Tensor([[1.0, 2.0]]).topk(0).values.tolist() == [[]]
    assert Tensor.zeros(0, 3).topk(2).indices.shape == (0, 2)
    assert Tensor.zeros(0).nonzero().shape == (0, 1)
    assert Tensor(2.0).nonzero().shape == (1, 0)
    assert Tensor(0.0).nonzero().shape == (0, 0)
    assert Tensor(2.0).nonzero(as_tuple=True)[0].tolist() == [0]
    assert Tensor.zeros(0).unique().shape == (0,)
    assert [t.tolist() for t in Tensor.zeros(0).unique(return_inverse=True, return_counts=True)] == [[], [], []]
    assert Tensor([1.0]).masked_select(Tensor([False])).tolist() == []


@pytest.mark.usefixtures("reference")
def test_unique_counts_every_nan() -> None:
    found = Tensor([math.nan, 1.0, math.nan, 1.0]).unique(return_counts=True)
    np.testing.assert_array_equal(found[0].numpy(), [1.0, math.nan, math.nan])
    assert found[1].tolist() == [2, 1, 1]


def test_sorting_is_lazy() -> None:
    x = Tensor([3.0, 1.0, 2.0])
    assert not any(t.is_realized for t in (*x.sort(), *x.topk(2), x.argsort(), x.median()))
    assert x.sort().values.dtype is dtypes.float32


def test_wrong_orders() -> None:
    x = Tensor([[1.0, 2.0]])
    for wrong in (3, -1):
        with pytest.raises(ShapeError, match=f"cannot take {wrong} of axis 1"):
            x.topk(wrong)
    with pytest.raises(ShapeError, match="axis 2 does not exist"):
        x.sort(2)
    with pytest.raises(ShapeError, match="axis 1 does not exist"):
        Tensor(1.0).argsort(1)
    with pytest.raises(ShapeError, match="of nothing"):
        Tensor.zeros(0).median()
    with pytest.raises(ShapeError, match="not 0"):
        Tensor.zeros(2, 0).median(1)
    with pytest.raises(DTypeError, match="bool mask"):
        x.masked_select(x)
