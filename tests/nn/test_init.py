"""Initialisations have PyTorch's bounds and deviations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from anneal import ShapeError, Tensor, UsageError, dtypes, nn

SHAPE = (40, 10, 3)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "uniform": ("uniform_", {"a": -2.0, "b": 3.0}),
    "normal": ("normal_", {"mean": 1.0, "std": 2.0}),
    "trunc normal": ("trunc_normal_", {"mean": 0.5, "std": 2.0, "a": -1.0, "b": 3.0}),
    "constant": ("constant_", {"val": 3.0}),
    "xavier uniform": ("xavier_uniform_", {"gain": 2.0}),
    "xavier normal": ("xavier_normal_", {}),
    "kaiming uniform": ("kaiming_uniform_", {"a": math.sqrt(5)}),
    "kaiming normal": ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
}


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    function, options = CASES[name]
    Tensor.manual_seed(1)
    torch.manual_seed(1)
    weight, other = Tensor.zeros(*SHAPE, requires_grad=True), torch.empty(*SHAPE)
    assert getattr(nn.init, function)(weight, **options) is weight
    getattr(torch.nn.init, function)(other, **options)
    found, wanted = weight.numpy(), other.numpy()
    assert weight.requires_grad
    assert float(found.mean()) == pytest.approx(float(wanted.mean()), abs=float(0.1 * wanted.std()) + 1e-6)
    assert found.std() == pytest.approx(wanted.std(), rel=0.06, abs=1e-6)
    if "normal" not in name or "trunc" in name:
        assert np.abs(found).max() == pytest.approx(np.abs(wanted).max(), rel=0.03)


def test_the_layer_has_the_new_values() -> None:
    layer = nn.Linear(2, 2)
    old = layer(Tensor.ones(1, 2))
    nn.init.eye_(layer.weight)
    nn.init.ones_(layer.bias)  # type: ignore[arg-type]
    assert layer(Tensor([[3.0, 4.0]])).tolist() == [[4, 5]]
    assert old.shape == (1, 2)
    assert old.tolist() != [[2, 2]], "what was built before has the old values"
    half = Tensor([1.0, 2.0], dtype=dtypes.float16)
    assert nn.init.zeros_(half).tolist() == [0, 0]
    assert half.dtype is dtypes.float16


def test_gains() -> None:
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert nn.init.calculate_gain("leaky_relu", 0.5) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.5))


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="no gain is known for 'sine'"):
        nn.init.calculate_gain("sine")
    with pytest.raises(UsageError, match="fan_in"):
        nn.init.kaiming_normal_(Tensor.zeros(2, 2), mode="fan")
    with pytest.raises(ShapeError, match="2 axes"):
        nn.init.xavier_uniform_(Tensor.zeros(2))
