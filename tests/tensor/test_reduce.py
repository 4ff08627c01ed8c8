"""Reductions agree with PyTorch over every axis, with and without keepdim, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes

RNG = np.random.default_rng(0)
A = RNG.standard_normal((2, 3, 4)).astype(np.float32)

REDUCTIONS: dict[str, tuple[Callable[..., Tensor], Callable[..., torch.Tensor]]] = {
    "sum": (lambda x, a, k: x.sum(a, k), lambda t, a, k: t.sum(a, k)),
    "mean": (lambda x, a, k: x.mean(a, k), lambda t, a, k: t.mean(a, k)),
    "amax": (lambda x, a, k: x.max(a, k), lambda t, a, k: t.amax(a, k)),
    "amin": (lambda x, a, k: x.min(a, k), lambda t, a, k: t.amin(a, k)),
    "var": (lambda x, a, k: x.var(a, k), lambda t, a, k: t.var(a, keepdim=k)),
    "std": (lambda x, a, k: x.std(a, k), lambda t, a, k: t.std(a, keepdim=k)),
    "var0": (lambda x, a, k: x.var(a, k, correction=0), lambda t, a, k: t.var(a, correction=0, keepdim=k)),
    "logsumexp": (lambda x, a, k: x.logsumexp(a, k), lambda t, a, k: t.logsumexp(a, k)),
}
AXES: list[Any] = [1, (0, 2)]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(device: Any, name: str, axis: Any, keepdim: bool) -> None:
    ours, theirs = REDUCTIONS[name]
    x, t = Tensor(A, requires_grad=True), torch.tensor(A, requires_grad=True)
    found, wanted = ours(x, axis, keepdim), theirs(t, axis, keepdim)
    assert found.shape == tuple(wanted.shape)
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=2e-6, atol=1e-6)
    if keepdim:  # the result meets the input again, over axes that need not be the last
        ((x * found).sum()).backward()
        ((t * wanted).sum()).backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-4, atol=1e-5)  # type: ignore[union-attr]


def test_without_axis() -> None:
    x = Tensor(A)
    assert x.sum().shape == x.max().shape == ()
    assert x.mean(keepdim=True).shape == (1, 1, 1)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_along_each_axis(device: Any, name: str, axis: int) -> None:
    x, t = Tensor(A, requires_grad=True), torch.tensor(A, requires_grad=True)
    found, wanted = getattr(x, name)(axis), getattr(t, name)(axis)
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=2e-5, atol=1e-6)
    weight = np.cos(np.arange(24, dtype=np.float32)).reshape(2, 3, 4)
    (found * Tensor(weight)).sum().backward()
    (wanted * torch.tensor(weight)).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-4, atol=1e-5)  # type: ignore[union-attr]


def test_softmax_over_several_axes(device: Any) -> None:
    wanted = np.exp(A) / np.exp(A).sum((0, 2), keepdims=True)
    np.testing.assert_allclose(Tensor(A).softmax((0, 2)).numpy(), wanted, rtol=1e-5)


def test_values(device: Any) -> None:
    assert Tensor.arange(1, 9).sum().item() == 36
    assert Tensor.arange(1, 17).reshape(4, 4).sum(0).tolist() == [28, 32, 36, 40]
    assert Tensor([-5, -3, -1, -4]).max().item() == -1
    assert Tensor([[1, 2, 3], [4, 5, 6]]).prod(1).tolist() == [6, 120]
    assert Tensor([1, 2, 3, 4]).pad((1, 1)).sum().item() == 10
    assert Tensor([True, True, False]).sum().tolist() == 2
    assert Tensor([True, True, False]).mean().item() == pytest.approx(2 / 3)
    assert Tensor([3, 4]).mean().dtype is dtypes.float32
    assert Tensor([2**31, 5], dtype=dtypes.uint32).sum().item() == 2**31 + 5


def test_padding_in_a_maximum(device: Any) -> None:
    x = Tensor([-3.0, -1.0, -4.0, -2.0])
    assert x.pad((2, 2), -math.inf).max().item() == -1
    assert x.pad((2, 2)).max().item() == 0


def test_sums_of_halves_are_wide(device: Any) -> None:
    x = Tensor(np.full(4096, 0.1, np.float16))
    assert x.sum().dtype is dtypes.float16
    assert x.sum().item() == np.float16(4096 * float(np.float16(0.1)))
    assert Tensor(np.full(4096, 100.0, np.float16)).mean().item() == 100


def test_extremes_and_nan(device: Any) -> None:
    x = Tensor([[1.0, math.nan, 3.0], [1.0, 2.0, 2.0]])
    assert x.max(1).isnan().tolist() == [True, False]
    assert x.argmax(1).tolist() == [1, 1]
    assert x.argmin(1).tolist() == [1, 0]
    assert x.argmax(1, keepdim=True).shape == (2, 1)
    assert Tensor(A).argmax().item() == A.argmax()
    assert Tensor(A).argmin(0).tolist() == A.argmin(0).tolist()
    assert Tensor([5, 7, 7]).argmax().item() == 1
    assert Tensor([True, False]).max().item() is True


def test_equal_largest_share_the_gradient(device: Any) -> None:
    x = Tensor([3.0, 3.0, 1.0, 2.0], requires_grad=True)
    x.max().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.5, 0.5, 0, 0]


def test_logic(device: Any) -> None:
    x = Tensor([[0.0, 2.0], [1.0, 3.0]])
    assert x.any(1).tolist() == [True, True]
    assert x.all(1).tolist() == [False, True]
    assert x.all().item() is False
    assert Tensor([0, 0]).any().item() is False


def test_extreme_logits(device: Any) -> None:
    x = Tensor([1000.0, 0.0, -1000.0])
    assert x.softmax().tolist() == [1, 0, 0]
    assert x.log_softmax().tolist() == [0, -1000, -2000]
    assert x.logsumexp().item() == 1000
    assert Tensor([-math.inf, -math.inf]).logsumexp().item() == -math.inf
    assert Tensor([math.inf, 0.0]).logsumexp().item() == math.inf


def test_a_row_divided_by_its_sum(device: Any) -> None:
    x, t = Tensor(A[0] ** 2, requires_grad=True), torch.tensor(A[0] ** 2, requires_grad=True)
    ((x / x.sum(1, keepdim=True)) ** 2).sum().backward()
    ((t / t.sum(1, keepdim=True)) ** 2).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-4, atol=1e-6)  # type: ignore[union-attr]


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "logsumexp", "norm", "any", "all", "count_nonzero"])
def test_over_nothing(name: str) -> None:
    wanted = {"sum": 0.0, "prod": 1.0, "logsumexp": -math.inf, "norm": 0.0, "any": False, "all": True, "count_nonzero": 0}.get(name, math.nan)
    for shape, axis, left in (((0,), None, ()), ((2, 0, 3), 1, (2, 3)), ((2, 0, 3), 2, (2, 0)), ((0, 0), (0, 1), ())):
        found = getattr(Tensor.zeros(*shape), name)(axis=axis)
        assert found.shape == left
        np.testing.assert_array_equal(found.numpy(), np.full(left, wanted))


@pytest.mark.usefixtures("reference")
def test_softmax_of_nothing() -> None:
    assert Tensor.zeros(2, 0).softmax(1).tolist() == [[], []]
    assert Tensor.zeros(0, 3).log_softmax(1).shape == (0, 3)
    assert Tensor.zeros(2, 0).normalize().shape == (2, 0)


@pytest.mark.usefixtures("reference")
def test_the_spread_of_too_few_is_not_a_number() -> None:
    one = Tensor([[1.0], [2.0]])
    for name in ("var", "std", "var_mean", "std_mean"):
        found = getattr(one, name)(1)
        assert (found[0] if isinstance(found, tuple) else found).isnan().tolist() == [True, True]
    assert one.var_mean(1)[1].tolist() == [1.0, 2.0]
    assert one.var(1, correction=0).tolist() == [0, 0]
    assert Tensor([1.0, 3.0]).var(correction=3).item() == math.inf


@pytest.mark.usefixtures("reference")
def test_a_tensor_without_axes() -> None:
    x = Tensor(-3.0)
    for name in ("sum", "prod", "mean", "max", "min", "logsumexp"):
        assert getattr(x, name)(0).item() == getattr(x, name)(-1, keepdim=True).item() == pytest.approx(-3)
    assert x.softmax(0).item() == 1
    assert x.norm(axis=0).item() == 3
    assert x.argmax(0).item() == 0
    assert x.argmin().shape == x.argmin(-1, keepdim=True).shape == ()
    with pytest.raises(ShapeError, match="axis 1 does not exist"):
        x.sum(1)
    with pytest.raises(ShapeError, match="axis 1 does not exist"):
        x.argmax(1)


def test_dtypes_of_results() -> None:
    flags, whole, half = Tensor([True, False]), Tensor([1, 2]), Tensor([1.0, 2.0], dtype=dtypes.float16)
    assert flags.sum().dtype is flags.prod().dtype is flags.count_nonzero().dtype is flags.argmax().dtype is dtypes.int32
    assert flags.any().dtype is whole.all().dtype is flags.max().dtype is dtypes.bool
    assert whole.mean().dtype is whole.var().dtype is whole.logsumexp().dtype is whole.sum(dtype=dtypes.float32).dtype is dtypes.float32
    assert half.sum().dtype is half.std().dtype is half.softmax().dtype is half.norm().dtype is half.normalize(axis=0).dtype is dtypes.float16
    assert half.mean(dtype=dtypes.float32).dtype is dtypes.float32


def test_reductions_are_lazy() -> None:
    x = Tensor([[1.0, 2.0]])
    assert not any(t.is_realized for t in (x.sum(), x.argmax(), x.norm(3), *x.std_mean(), x.softmax()))


def test_wrong_reductions() -> None:
    with pytest.raises(ShapeError, match="axis 3 does not exist"):
        Tensor(A).sum(3)
    with pytest.raises(ShapeError, match="named twice"):
        Tensor(A).mean((0, -3))
    for name in ("max", "min", "argmax", "argmin", "amax", "amin"):
        with pytest.raises(ShapeError, match="empty axis"):
            getattr(Tensor.zeros(0, 2), name)(0)
    with pytest.raises(ShapeError, match="empty axis"):
        Tensor.zeros(0, 2).norm(math.inf)
    for name in ("softmax", "log_softmax", "norm", "normalize"):
        with pytest.raises(DTypeError, match=f"{name} needs floats"):
            getattr(Tensor([[1]]), name)()
    with pytest.raises(UsageError, match='"fro"'):
        Tensor(A).norm("nuc")
