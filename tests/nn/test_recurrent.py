"""Recurrent layers and their cells agree with PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layer_cases import agree, copy, random

import anneal
from anneal import ShapeError, Tensor, UsageError, nn

CASES: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "rnn": ("RNN", {"nonlinearity": "relu", "num_layers": 2}, (2, 2, 3)),
    "lstm": ("LSTM", {"num_layers": 2, "bidirectional": True}, (2, 1, 3)),
    "lstm batch first": ("LSTM", {"batch_first": True, "bias": False}, (3, 2, 3)),
    "lstm unbatched": ("LSTM", {}, (2, 3)),
    "gru": ("GRU", {"bidirectional": True}, (2, 2, 3)),
    "gru unbatched": ("GRU", {"batch_first": True}, (2, 3)),
    "rnn of one step": ("RNN", {}, (1, 2, 3)),
}


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


class Called:
    """A layer whose state comes as separate arguments, so that it is differentiated, too."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, x: Any, *state: Any) -> Any:
        return self.layer(x, state[0] if len(state) == 1 else state)


class Other(torch.nn.Module):
    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any, *state: Any) -> Any:
        return self.layer(x, state[0] if len(state) == 1 else state)


@pytest.mark.parametrize("name", CASES)
def test_layers(name: str) -> None:
    kind, options, shape = CASES[name]
    ours, theirs = getattr(nn, kind)(3, 2, **options), getattr(torch.nn, kind)(3, 2, **options)
    assert list(nn.state.get_state_dict(ours)) == list(theirs.state_dict())
    x = random(*shape)
    if name in ("lstm unbatched", "rnn of one step"):
        agree(ours, theirs, x)
        return
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    batch = () if len(shape) == 2 else (shape[0 if options.get("batch_first") else 1],)
    state = [random(count, *batch, 2, seed=i) for i in range(2 if kind == "LSTM" else 1)]
    agree(Called(ours), Other(theirs), x, *state)


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells(kind: str) -> None:
    ours, theirs = getattr(nn, kind)(3, 2), getattr(torch.nn, kind)(3, 2)
    assert list(nn.state.get_state_dict(ours)) == list(theirs.state_dict())
    agree(ours, theirs, random(4, 3))
    state = [random(2, seed=i) for i in range(2 if kind == "LSTMCell" else 1)]
    agree(Called(ours), Other(theirs), random(3), *state)


def test_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "webgpu")
    agree(nn.LSTM(3, 2), torch.nn.LSTM(3, 2), random(2, 2, 3))


@pytest.mark.parametrize(("kind", "forward", "both"), [("RNN", 1, 3), ("LSTM", 2, 6), ("GRU", 2, 10)])
def test_a_step_of_time_is_a_few_kernels_and_no_step_does_the_work_of_others(kind: str, forward: int, both: int) -> None:
    layer = getattr(nn, kind)(8, 8)

    def plans(length: int) -> list[anneal.Plan]:
        out, _ = layer(Tensor(random(length, 4, 8)))
        found = [anneal.compile(out, target=anneal.Target.portable())]
        if length < 6:
            parameters = nn.state.get_parameters(layer)
            gradients = out.square().sum().gradient(*parameters)
            found.append(anneal.compile(*gradients, target=anneal.Target.portable()))
        return found

    short, long = plans(2), plans(4)
    assert len(long[0].kernels) - len(short[0].kernels) <= 2 * forward + 1, "one more where the steps are put together"
    assert len(long[1].kernels) - len(short[1].kernels) <= 2 * both + 1
    work = [sum(int(k.flops) for k in plan.kernels) for plan in (short[0], long[0], plans(6)[0])]
    assert work[2] - work[1] <= 1.2 * (work[1] - work[0]), "work grows with the length, not with its square"


def test_dropout_is_between_layers_and_in_training_only() -> None:
    ours, theirs = nn.GRU(3, 2, 2, dropout=1.0), torch.nn.GRU(3, 2, 2, dropout=1.0)
    copy(ours, theirs)
    x = random(2, 1, 3)
    np.testing.assert_allclose(ours(Tensor(x))[0].numpy(), theirs.eval()(torch.tensor(x))[0].detach().numpy(), rtol=1e-4, atol=1e-6)
    with Tensor.train():
        found = ours(Tensor(x))[0]
    np.testing.assert_allclose(found.numpy(), theirs.train()(torch.tensor(x))[0].detach().numpy(), rtol=1e-4, atol=1e-6)


def test_initialisation() -> None:
    Tensor.manual_seed(0)
    for tensor in nn.state.get_state_dict(nn.LSTM(9, 16)).values():
        assert 0.2 < np.abs(tensor.numpy()).max() <= 0.25


def test_wrong_use() -> None:
    x = Tensor.zeros(2, 3, 4)
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: nn.RNN(1, 1, nonlinearity="sine"), UsageError, "tanh"),
        (lambda: nn.GRU(1, 1, 0), UsageError, "num_layers"),
        (lambda: nn.LSTM(3, 2)(x), ShapeError, r"\(length, batch, 3\)"),
        (lambda: nn.LSTM(4, 2)(x, x), UsageError, r"\(h, c\)"),
        (lambda: nn.GRU(4, 2)(x, (x, x)), UsageError, "one tensor"),
        (lambda: nn.GRU(4, 2)(x, x), ShapeError, r"shape \(1, 3, 2\), not \(2, 3, 4\)"),
        (lambda: nn.GRU(4, 2)(Tensor.zeros(0, 3, 4)), ShapeError, "at least one step"),
        (lambda: nn.GRUCell(4, 2)(x), ShapeError, r"\(batch, 4\)"),
    ]
    for act, kind, words in refused:
        with pytest.raises(kind, match=words):
            act()
