"""Normalisation beyond what the cases of the surface say: running statistics, halves, empty batches, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from anneal import ShapeError, Tensor, UsageError, dtypes


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def zeros(*shape: int) -> Tensor:
    return Tensor.zeros(*shape)


@pytest.mark.parametrize("kind", ["batch_norm", "instance_norm"])
def test_running_statistics(device: Any, kind: str) -> None:
    """Assigned in training, by the variance without bias; the result needs them not."""
    x, mean, var = data(4, 3, 5) + 2, data(3), np.abs(data(3, seed=1)) + 0.5
    ours, theirs = (Tensor(mean), Tensor(var)), (torch.tensor(mean), torch.tensor(var))
    training: dict[str, Any] = {"training": True} if kind == "batch_norm" else {"use_input_stats": True}
    found = getattr(Tensor(x), kind)(*ours, **training, momentum=0.3)
    wanted = getattr(F, kind)(torch.tensor(x), *theirs, **training, momentum=0.3)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)
    training = {"training": False} if kind == "batch_norm" else {"use_input_stats": False}
    found = getattr(Tensor(x), kind)(*ours, **training)
    wanted = getattr(F, kind)(torch.tensor(x), *theirs, **training)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_batchnorm_along_another_axis(device: Any) -> None:
    x, mean, spread = data(2, 3, 4), data(4), np.abs(data(4, seed=1))
    found = Tensor(x).batchnorm(None, None, Tensor(mean), Tensor(spread), axis=-1)
    np.testing.assert_allclose(found.numpy(), (x - mean) * spread, rtol=1e-5, atol=1e-6)


def test_halves_are_normalised_in_float32() -> None:
    x = (data(2, 4, 50) * 0.01 + 100).astype(np.float16)
    for found, wanted in [
        (Tensor(x).layer_norm(50), F.layer_norm(torch.tensor(x).float(), (50,))),
        (Tensor(x).group_norm(2), F.group_norm(torch.tensor(x).float(), 2)),
        (Tensor(x).instance_norm(), F.instance_norm(torch.tensor(x).float())),
        (Tensor(x).batch_norm(None, None, training=True), F.batch_norm(torch.tensor(x).float(), None, None, training=True)),
    ]:
        assert found.dtype is dtypes.float16
        np.testing.assert_allclose(found.numpy().astype(np.float32), wanted.numpy(), rtol=3e-3, atol=3e-3)


def test_empty_batches() -> None:
    assert zeros(0, 3).layer_norm(3).tolist() == []
    assert zeros(0, 4, 3).group_norm(2).shape == (0, 4, 3)
    assert zeros(0, 4, 3).batch_norm(zeros(4), Tensor.ones(4)).tolist() == []
    assert zeros(0, 3).rms_norm(3).tolist() == []


def test_integers_become_float32() -> None:
    assert Tensor([[1, 3]]).layer_norm(2).tolist() == [[pytest.approx(-1, abs=1e-4), pytest.approx(1, abs=1e-4)]]


REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: zeros(2, 3).layer_norm(4), ShapeError, "must be the last sizes"),
    (lambda: zeros(2, 3).layer_norm(()), ShapeError, "must be the last sizes"),
    (lambda: zeros(2, 3).layer_norm(3, zeros(2)), ShapeError, r"weight must have shape \(3,\)"),
    (lambda: zeros(3).rms_norm(4), ShapeError, "must be the last sizes"),
    (lambda: zeros(2, 3).group_norm(2), ShapeError, "do not divide into 2 groups"),
    (lambda: zeros(3).group_norm(1), ShapeError, "group_norm needs"),
    (lambda: zeros(2, 3).instance_norm(), ShapeError, "instance_norm needs"),
    (lambda: zeros(1, 3, 1).instance_norm(), ShapeError, "more than one"),
    (lambda: zeros(2, 3).batch_norm(None, None), UsageError, "unless training=True"),
    (lambda: zeros(2, 3).batch_norm(zeros(2), zeros(3)), ShapeError, r"running_mean must have shape \(3,\)"),
    (lambda: zeros(3).batch_norm(zeros(3), zeros(3)), ShapeError, "batch_norm needs"),
    (lambda: zeros(1, 3).batch_norm(None, None, training=True), ShapeError, "more than one"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSED)
def test_refused(act: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()
