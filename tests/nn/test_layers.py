"""Layers agree with PyTorch's, given the same parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from anneal import ShapeError, Tensor, UsageError, nn

RNG = np.random.default_rng(2)


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


def load(ours: Any, theirs: torch.nn.Module) -> None:
    """PyTorch's parameters in our layer: the names are the same."""
    state = {k: Tensor(v.numpy()) for k, v in theirs.state_dict().items() if k != "num_batches_tracked"}
    nn.state.load_state_dict(ours, state)


PAIRS: dict[str, tuple[Any, torch.nn.Module, tuple[int, ...]]] = {
    "linear": (nn.Linear(5, 3), torch.nn.Linear(5, 3), (2, 4, 5)),
    "linear without bias": (nn.Linear(5, 3, bias=False), torch.nn.Linear(5, 3, bias=False), (4, 5)),
    "conv": (nn.Conv2d(4, 6, 3, 2, 1, groups=2), torch.nn.Conv2d(4, 6, 3, 2, 1, groups=2), (2, 4, 5, 5)),
    "conv without bias": (nn.Conv2d(1, 2, (1, 3), bias=False), torch.nn.Conv2d(1, 2, (1, 3), bias=False), (2, 1, 5, 5)),
    "layer norm": (nn.LayerNorm((3, 4)), torch.nn.LayerNorm((3, 4)), (2, 3, 4)),
    "batch norm": (nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3).eval(), (2, 3, 4, 4)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_layers(name: str) -> None:
    ours, theirs, shape = PAIRS[name]
    load(ours, theirs)
    x = RNG.standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(ours(Tensor(x)).numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_embedding() -> None:
    ours, theirs = nn.Embedding(7, 3), torch.nn.Embedding(7, 3)
    load(ours, theirs)
    index = np.array([[1, 6], [0, 1]])
    found = ours(Tensor(index))
    np.testing.assert_array_equal(found.numpy(), theirs(torch.tensor(index)).detach().numpy())
    found.sum().backward()
    theirs(torch.tensor(index)).sum().backward()
    assert ours.weight.grad is not None
    assert theirs.weight.grad is not None
    np.testing.assert_array_equal(ours.weight.grad.numpy(), theirs.weight.grad.numpy())


def test_batch_norm_in_training() -> None:
    ours, theirs = nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    x = RNG.standard_normal((4, 3, 2, 2)).astype(np.float32) * 2 + 1
    with Tensor.train():
        found = ours(Tensor(x))
    Tensor.realize(found, ours.running_mean, ours.running_var)
    np.testing.assert_allclose(found.numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.running_mean.numpy(), theirs.running_mean.numpy(), rtol=1e-4)  # type: ignore[union-attr]
    np.testing.assert_allclose(ours.running_var.numpy(), theirs.running_var.numpy(), rtol=1e-4)  # type: ignore[union-attr]


def test_initialisation() -> None:
    Tensor.manual_seed(0)
    layer = nn.Linear(100, 50)
    weight, bias = layer.weight.numpy(), layer.bias.numpy()  # type: ignore[union-attr]
    assert weight.shape == (50, 100)
    assert np.abs(weight).max() <= 0.1
    assert weight.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.05)
    assert np.abs(bias).max() <= 0.1
    conv = nn.Conv2d(8, 16, 5)
    assert conv.weight.shape == (16, 8, 5, 5)
    assert np.abs(conv.weight.numpy()).max() <= 1 / math.sqrt(200)


def test_sequences_and_dropout() -> None:
    model = nn.Sequential(nn.Linear(3, 4), Tensor.relu, nn.Dropout(0.5), nn.Linear(4, 2))
    x = Tensor.ones(2, 3)
    assert model(x).tolist() == model(x).tolist()
    assert nn.functional.dropout(Tensor.ones(50), 1.0).sum().item() == 0
    assert nn.functional.dropout(Tensor.ones(50), 1.0, training=False).sum().item() == 50


def test_wrong_layers() -> None:
    with pytest.raises(UsageError, match="do not divide into 2 groups"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(UsageError, match="does not fit an input"):
        nn.LayerNorm(3)(Tensor.zeros(2, 4))
    with pytest.raises(ShapeError, match="4 columns meet 3 rows"):
        nn.Linear(3, 2)(Tensor.zeros(2, 4))
