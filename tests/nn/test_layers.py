"""Layers agree with PyTorch's, given the same parameters: forward and gradients, in training and out of it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layer_cases import agree, copy, random

from anneal import ShapeError, Tensor, UsageError, nn

TH = torch.nn
Case = tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]
"""A layer's name, what it is made with, and the shape of an input."""
CASES: dict[str, Case] = {
    "linear": ("Linear", (5, 3), {}, (2, 4, 5)),
    "linear without bias": ("Linear", (5, 3), {"bias": False}, (4, 5)),
    "conv1d": ("Conv1d", (2, 3, 3), {"padding": "same", "dilation": 2}, (2, 2, 6)),
    "conv1d circular": ("Conv1d", (2, 3, 4, 2, 2), {"padding_mode": "circular"}, (2, 2, 6)),
    "conv2d": ("Conv2d", (4, 6, 3, 2, 1), {"groups": 2}, (2, 4, 5, 5)),
    "conv2d without bias": ("Conv2d", (1, 2, (1, 3)), {"bias": False}, (1, 5, 5)),
    "conv2d reflect": ("Conv2d", (1, 2, (2, 3)), {"padding": "same", "padding_mode": "reflect"}, (2, 1, 4, 3)),
    "conv3d": ("Conv3d", (1, 2, 2), {"padding": (0, 1, 0)}, (2, 1, 3, 2, 3)),
    "transposed 1d": ("ConvTranspose1d", (2, 4, 3, 2, 1, 1), {"groups": 2}, (2, 2, 4)),
    "transposed 2d": ("ConvTranspose2d", (2, 3, 2, 2), {}, (2, 2, 3, 2)),
    "transposed 3d": ("ConvTranspose3d", (1, 2, 2), {"bias": False}, (1, 1, 2, 2, 2)),
    "layer norm": ("LayerNorm", ((3, 4),), {}, (2, 3, 4)),
    "layer norm without bias": ("LayerNorm", (4,), {"eps": 0.1, "bias": False}, (2, 3, 4)),
    "rms norm": ("RMSNorm", (4,), {}, (2, 4)),
    "group norm": ("GroupNorm", (2, 4), {}, (2, 4, 3)),
    "flatten": ("Flatten", (1, 2), {}, (2, 3, 2, 1)),
    "identity": ("Identity", (3,), {"a": 1}, (2,)),
}
RUNNING: dict[str, Case] = {
    "batch norm 1d": ("BatchNorm1d", (3,), {}, (4, 3)),
    "batch norm 1d of lengths": ("BatchNorm1d", (3,), {"affine": False}, (2, 3, 4)),
    "batch norm 2d": ("BatchNorm2d", (2,), {"momentum": 0.3, "eps": 0.01}, (3, 2, 2, 2)),
    "batch norm 2d of all": ("BatchNorm2d", (2,), {"momentum": None}, (3, 2, 2, 2)),
    "batch norm 3d": ("BatchNorm3d", (2,), {"track_running_stats": False}, (2, 2, 1, 2, 2)),
    "instance norm 1d": ("InstanceNorm1d", (3,), {}, (3, 4)),
    "instance norm 2d": ("InstanceNorm2d", (2,), {"affine": True, "track_running_stats": True}, (2, 2, 2, 3)),
    "instance norm 3d": ("InstanceNorm3d", (2,), {"affine": True}, (2, 2, 1, 2, 2)),
}


def pair(case: Case) -> tuple[Any, TH.Module]:
    """Our layer and PyTorch's."""
    name, args, options, _ = case
    return getattr(nn, name)(*args, **options), getattr(TH, name)(*args, **options)


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


@pytest.mark.parametrize("name", CASES)
def test_layers(name: str) -> None:
    agree(*pair(CASES[name]), random(*CASES[name][-1]))


@pytest.mark.parametrize("name", RUNNING)
def test_normalisation_in_training_and_after_it(name: str) -> None:
    ours, theirs = pair(RUNNING[name])
    shape = RUNNING[name][-1]
    for step in range(2):
        agree(ours, theirs, random(*shape, seed=step) * 2 + 1, training=True)
    agree(ours, theirs, random(*shape, seed=5))


@pytest.mark.parametrize("name", ["conv2d", "transposed 2d", "layer norm"])
def test_layers_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "webgpu")
    agree(*pair(CASES[name]), random(*CASES[name][-1]))


def test_batch_norm_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "webgpu")
    agree(nn.BatchNorm2d(2), TH.BatchNorm2d(2), random(3, 2, 2, 2), training=True)


def test_a_step_realises_the_statistics_that_go_with_it() -> None:
    first, norm, last = nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)
    theirs = TH.Sequential(TH.Linear(2, 3), TH.BatchNorm1d(3), TH.Linear(3, 1))
    for mine, other in zip((first, norm, last), theirs, strict=True):
        copy(mine, other)
    model = [first, norm, last]
    sgd = nn.optim.SGD(nn.state.get_parameters(model), lr=0.1)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1)
    aside = nn.BatchNorm1d(2)
    with Tensor.train():
        aside(Tensor(random(5, 2)))
        for step in range(3):
            x = random(5, 2, seed=step)
            sgd.zero_grad()
            reference.zero_grad()
            (last(norm(first(Tensor(x)))) ** 2).mean().backward()
            (theirs(torch.tensor(x)) ** 2).mean().backward()
            sgd.step()
            reference.step()
    assert not aside.running_mean.is_realized, "what has no part in the step is left alone"  # type: ignore[union-attr]
    for name, value in theirs[1].state_dict().items():
        np.testing.assert_allclose(getattr(norm, name).numpy(), value.numpy(), rtol=1e-4, atol=1e-6)


def test_embedding() -> None:
    ours, theirs = nn.Embedding(7, 3, padding_idx=-2), TH.Embedding(7, 3, padding_idx=-2)
    assert ours.weight.tolist()[5] == [0, 0, 0]
    index = np.array([[1, 6, 5], [0, 1, 5]], np.int32)
    agree(ours, theirs, index)
    frozen = nn.Embedding.from_pretrained(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert frozen(Tensor([1, 0])).tolist() == [[3, 4], [1, 2]]
    assert not frozen.weight.requires_grad
    assert nn.Embedding.from_pretrained(Tensor([[1.0]]), freeze=False).weight.requires_grad


INITIAL: dict[str, tuple[Callable[[], Any], Callable[[], TH.Module]]] = {
    "linear": (lambda: nn.Linear(100, 50), lambda: TH.Linear(100, 50)),
    "conv": (lambda: nn.Conv2d(8, 16, 5, groups=2), lambda: TH.Conv2d(8, 16, 5, groups=2)),
    "transposed": (lambda: nn.ConvTranspose1d(24, 16, 5), lambda: TH.ConvTranspose1d(24, 16, 5)),
    "embedding": (lambda: nn.Embedding(50, 30), lambda: TH.Embedding(50, 30)),
    "batch norm": (lambda: nn.BatchNorm3d(30), lambda: TH.BatchNorm3d(30)),
}


@pytest.mark.parametrize("name", INITIAL)
def test_initialisation(name: str) -> None:
    Tensor.manual_seed(0)
    torch.manual_seed(0)
    make, other = INITIAL[name]
    ours, theirs = nn.state.get_state_dict(make()), other().state_dict()
    assert list(ours) == list(theirs), "names and order"
    for key, wanted in theirs.items():
        found = ours[key].numpy()
        assert found.shape == tuple(wanted.shape)
        assert np.abs(found).max() == pytest.approx(wanted.abs().max().item(), rel=0.2 if found.size < 100 or name == "embedding" else 0.05), key
        if found.size > 200:
            assert found.std() == pytest.approx(wanted.std().item(), rel=0.1), key


def test_sequences_have_pytorchs_names() -> None:
    agree(nn.Sequential(nn.Linear(3, 2), Tensor.relu), TH.Sequential(TH.Linear(3, 2), TH.ReLU()), random(2, 3))
    agree(nn.Sequential({"a": nn.Linear(3, 2)}), TH.Sequential(OrderedDict(a=TH.Linear(3, 2))), random(2, 3))


def test_sequences_and_dropout() -> None:
    model = nn.Sequential(nn.Linear(3, 4), Tensor.relu, nn.Dropout(0.5), nn.Linear(4, 2))
    x = Tensor.ones(2, 3)
    assert model(x).tolist() == model(x).tolist()
    assert len(model) == 4
    assert [type(layer).__name__ for layer in model[2:]] == ["Dropout", "Linear"]
    assert model[-1] is list(model)[3]
    assert list(nn.state.get_state_dict(model.append(nn.Linear(2, 1)))) == [f"{i}.{n}" for i in (0, 3, 4) for n in ("weight", "bias")]
    assert nn.functional.dropout(Tensor.ones(50), 1.0).sum().item() == 0
    assert nn.functional.dropout(Tensor.ones(50), 1.0, training=False).sum().item() == 50


def test_transposed_convolutions_to_a_size() -> None:
    ours, theirs = nn.ConvTranspose2d(1, 2, 3, stride=2, padding=1), TH.ConvTranspose2d(1, 2, 3, stride=2, padding=1)
    agree(ours, theirs, random(1, 1, 3, 3), output_size=(6, 5))
    with pytest.raises(ShapeError, match=r"from \(5, 5\) to \(6, 6\)"):
        ours(Tensor.zeros(1, 1, 3, 3), output_size=7)


def test_wrong_layers() -> None:
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), UsageError, "do not divide into 2 groups"),
        (lambda: nn.ConvTranspose1d(4, 3, 3, groups=2), UsageError, "do not divide into 2 groups"),
        (lambda: nn.Conv1d(1, 1, 3, padding_mode="mirror"), UsageError, "padding_mode is one of zeros"),
        (lambda: nn.Conv1d(1, 1, 3, 2, "same", padding_mode="reflect")(Tensor.zeros(1, 4)), UsageError, "stride 1"),
        (lambda: nn.Conv3d(1, 1, (2, 2)), ShapeError, "kernel_size"),
        (lambda: nn.LayerNorm(3)(Tensor.zeros(2, 4)), ShapeError, "does not fit"),
        (lambda: nn.GroupNorm(2, 3), UsageError, "do not divide"),
        (lambda: nn.GroupNorm(1, 3)(Tensor.zeros(2, 4)), ShapeError, "3 channels"),
        (lambda: nn.BatchNorm2d(3)(Tensor.zeros(2, 3)), ShapeError, "BatchNorm2d needs 4 axes with 3 channels"),
        (lambda: nn.InstanceNorm1d(3)(Tensor.zeros(2, 4)), ShapeError, "InstanceNorm1d needs 2 or 3 axes with 3 channels"),
        (lambda: nn.Dropout(1.5), UsageError, "from 0 to 1"),
        (lambda: nn.Embedding.from_pretrained(Tensor([1.0])), ShapeError, "two axes"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ShapeError, "axis"),
        (lambda: nn.Linear(3, 2)(Tensor.zeros(2, 4)), ShapeError, "4 columns meet 3 rows"),
    ]
    for act, kind, words in refused:
        with pytest.raises(kind, match=words):
            act()
    assert math.isclose(nn.Linear(4, 1).weight.abs().max().item(), 0.25, abs_tol=0.25)


def test_layers_without_elements() -> None:
    assert nn.Linear(3, 2)(Tensor.zeros(0, 3)).tolist() == []
    assert nn.Conv2d(1, 2, 1)(Tensor.zeros(0, 1, 2, 2)).shape == (0, 2, 2, 2)
    assert nn.LayerNorm(2)(Tensor.zeros(0, 2)).numpy().shape == (0, 2)
