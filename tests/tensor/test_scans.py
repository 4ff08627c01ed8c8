"""Scans: long axes, axes of size 0, tensors without axes, few kernels, sums that stay exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import anneal
from anneal import DTypeError, ShapeError, Tensor, dtypes
from anneal.tensor import scans

RNG = np.random.default_rng(3)
SCANS = ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")


def values(result: Any) -> Any:
    return result.values if isinstance(result, scans.Found | torch.return_types.cummax | torch.return_types.cummin) else result


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


@pytest.mark.parametrize("name", SCANS)
def test_blocks_of_blocks(device: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(scans, "BLOCK", 3)
    data = (RNG.integers(-6, 7, (2, 14)) / 4).astype(np.float32)
    x, t = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    found, wanted = getattr(x, name)(1), getattr(t, name)(1)
    if name.startswith("cumm"):
        assert found.indices.tolist() == wanted.indices.tolist()
    np.testing.assert_allclose(values(found).numpy(), values(wanted).detach().numpy(), rtol=1e-5, atol=1e-6)
    weight = RNG.uniform(0.5, 1.5, data.shape).astype(np.float32)
    (values(found) * Tensor(weight)).sum().backward()
    (values(wanted) * torch.tensor(weight)).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-4, atol=1e-5)  # type: ignore[union-attr]


def test_long_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "webgpu")
    data = RNG.uniform(-1, 1, 100_000).astype(np.float32)
    x = Tensor(data, requires_grad=True)
    total = x.cumsum()
    np.testing.assert_allclose(total.numpy(), np.cumsum(data.astype(np.float64)), atol=1e-4)
    weight = RNG.uniform(0.5, 1.5, len(data)).astype(np.float32)
    (total * Tensor(weight)).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), np.cumsum(weight[::-1].astype(np.float64))[::-1], rtol=1e-5)
    most = Tensor(data).cummax()
    np.testing.assert_array_equal(most.values.numpy(), np.maximum.accumulate(data))
    np.testing.assert_array_equal(data[most.indices.numpy()], np.maximum.accumulate(data))


@pytest.mark.usefixtures("reference")
def test_sums_stay_exact() -> None:
    tenths = Tensor.full((70_000,), 0.1)
    assert tenths.cumsum()[-1].item() == pytest.approx(7000, rel=1e-6)  # one by one, 32-bit additions end at 6997.7
    halves = Tensor(np.full(3000, 0.1, np.float16)).cumsum()
    np.testing.assert_array_equal(halves.numpy(), np.cumsum(np.full(3000, np.float16(0.1), np.float64)).astype(np.float16))
    assert Tensor([2**31 - 1, 1, 1]).cumsum().tolist() == [2**31 - 1, -(2**31), 1 - 2**31]


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("name", SCANS)
def test_nothing_and_one(name: str) -> None:
    for shape, axis in (((0,), 0), ((3, 0), 0), ((3, 0), 1), ((0, 3), 1)):
        assert values(getattr(Tensor.zeros(*shape), name)(axis)).numpy().shape == shape
    single = getattr(Tensor(2.5), name)(-1)
    assert values(single).tolist() == 2.5
    if name.startswith("cumm"):
        assert single.indices.tolist() == 0
        assert getattr(Tensor.zeros(3, 0), name)(1).indices.dtype is dtypes.int32


def test_kernels() -> None:
    def count(x: Tensor) -> int:
        return len(anneal.compile(x, target=anneal.Target.portable()).kernels)

    assert count(Tensor(RNG.uniform(size=4096).astype(np.float32)).cumsum()) <= 3
    assert count(Tensor(RNG.uniform(size=100_000).astype(np.float32)).cumsum()) <= 5


def test_dtypes_of_results() -> None:
    flags, half = Tensor([True, False]), Tensor([1.0, 2.0], dtype=dtypes.float16)
    assert flags.cumsum().dtype is flags.cumprod().dtype is flags.cummax().indices.dtype is dtypes.int32
    assert flags.cummax().values.dtype is dtypes.bool
    assert half.cumsum().dtype is half.logcumsumexp().dtype is half.cummin().values.dtype is dtypes.float16
    assert half.cumsum(dtype=dtypes.float32).dtype is Tensor([1]).logcumsumexp().dtype is dtypes.float32
    assert not half.cummax().values.is_realized


def test_wrong_scans() -> None:
    for name in SCANS:
        with pytest.raises(ShapeError, match="axis 2 does not exist"):
            getattr(Tensor([[1.0]]), name)(2)
        with pytest.raises(ShapeError, match="axis 1 does not exist"):
            getattr(Tensor(1.0), name)(1)
    with pytest.raises(DTypeError):
        Tensor([1.0]).cumsum(dtype=dtypes.int64)
