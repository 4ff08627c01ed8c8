"""Attention with several heads agrees with PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layer_cases import agree, random

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes, nn

PADDING = np.array([[False, False, True], [False, True, False]])
MASK = np.array([[False, True, False], [False, False, True]])
CASES: dict[str, tuple[dict[str, Any], list[tuple[int, ...]], dict[str, Any]]] = {
    "plain": ({}, [(2, 2, 4), (3, 2, 4), (3, 2, 4)], {}),
    "masked": ({"batch_first": True}, [(2, 2, 4), (2, 3, 4), (2, 3, 4)], {"key_padding_mask": PADDING, "attn_mask": MASK, "average_attn_weights": False}),
    "floats added": ({"bias": False}, [(2, 4), (3, 4), (3, 4)], {"attn_mask": random(2, 3)}),
    "a mask a head": ({}, [(2, 1, 4), (3, 1, 4), (3, 1, 4)], {"attn_mask": random(2, 2, 3), "key_padding_mask": random(1, 3)}),
    "of other widths": ({"kdim": 3, "vdim": 5}, [(2, 2, 4), (3, 2, 3), (3, 2, 5)], {"need_weights": False}),
    "keys added": ({"add_bias_kv": True, "add_zero_attn": True}, [(2, 2, 4), (3, 2, 4), (3, 2, 4)], {"attn_mask": MASK}),
}


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


@pytest.mark.parametrize("name", CASES)
def test_it_agrees(name: str) -> None:
    options, shapes, call = CASES[name]
    ours, theirs = nn.MultiheadAttention(4, 2, **options), torch.nn.MultiheadAttention(4, 2, **options)
    assert list(nn.state.get_state_dict(ours)) == list(theirs.state_dict())
    agree(ours, theirs, *(random(*shape, seed=i) for i, shape in enumerate(shapes)), **call)


class Selfish:
    """Looks at itself, as a causal model does."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, x: Any) -> Any:
        return self.layer(x, x, x, is_causal=True)


class Other(torch.nn.Module):
    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(x, x, x, is_causal=True, attn_mask=torch.ones(3, 3, dtype=torch.bool).triu(1))


@pytest.mark.parametrize("device", ["reference", "webgpu"])
def test_attention_to_itself(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    agree(Selfish(nn.MultiheadAttention(4, 2)), Other(torch.nn.MultiheadAttention(4, 2)), random(3, 2, 4))


def test_a_query_that_may_look_nowhere_gives_the_bias() -> None:
    layer, x = nn.MultiheadAttention(4, 2), Tensor(random(2, 4))
    out, weights = layer(x, x, x, attn_mask=Tensor([[True, True], [False, True]]))
    assert weights is not None
    assert weights.tolist() == [[0, 0], [1, 0]]
    assert out.tolist()[0] == [0, 0, 0, 0]


def test_dropout_is_in_training_only() -> None:
    layer, x = nn.MultiheadAttention(4, 2, dropout=1.0), Tensor(random(2, 4))
    assert layer(x, x, x)[0].abs().sum().item() > 0
    with Tensor.train():
        assert layer(x, x, x)[0].abs().sum().item() == 0


def test_initialisation() -> None:
    Tensor.manual_seed(0)
    layer = nn.MultiheadAttention(32, 4, add_bias_kv=True)
    bound = (6 / (4 * 32)) ** 0.5
    assert layer.in_proj_weight is not None
    assert layer.bias_k is not None
    assert 0.95 * bound < np.abs(layer.in_proj_weight.numpy()).max() <= bound
    assert layer.in_proj_bias is not None
    assert not layer.in_proj_bias.numpy().any()


def test_wrong_use() -> None:
    layer, x = nn.MultiheadAttention(4, 2), Tensor.zeros(3, 2, 4)
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: nn.MultiheadAttention(5, 2), UsageError, "does not divide into 2 heads"),
        (lambda: layer(x, x, Tensor.zeros(3, 2, 5)), ShapeError, r"\(length, batch, width\), of widths \(4, 4, 4\)"),
        (lambda: layer(x, x, x, attn_mask=Tensor.zeros(2, 3)), ShapeError, r"\(3, 3\) or \(4, 3, 3\)"),
        (lambda: layer(x, x, x, key_padding_mask=Tensor.zeros(3, 2)), ShapeError, "a row of 3 for each of 2"),
        (lambda: layer(x, x, x, attn_mask=Tensor.zeros(3, 3, dtype=dtypes.int32)), DTypeError, "bool or floats"),
    ]
    for act, kind, words in refused:
        with pytest.raises(kind, match=words):
            act()
