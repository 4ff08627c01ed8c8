"""Attention beyond what the cases of the surface say: halves, nothing to look at, large scores, dropout, errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes


def zeros(*shape: int) -> Tensor:
    return Tensor.zeros(*shape)


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_attention_in_halves() -> None:
    q, k, v = (data(2, 4, 8, seed=i).astype(np.float16) for i in range(3))
    found = Tensor(q).scaled_dot_product_attention(Tensor(k), Tensor(v))
    assert found.dtype is dtypes.float16
    wanted = F.scaled_dot_product_attention(torch.tensor(q), torch.tensor(k), torch.tensor(v))
    np.testing.assert_allclose(found.numpy().astype(np.float32), wanted.float().numpy(), rtol=2e-3, atol=1e-3)


def test_attention_to_nothing() -> None:
    assert zeros(2, 3, 4).scaled_dot_product_attention(zeros(2, 0, 4), zeros(2, 0, 2)).tolist() == zeros(2, 3, 2).tolist()
    assert zeros(2, 0, 4).scaled_dot_product_attention(zeros(2, 3, 4), zeros(2, 3, 5)).shape == (2, 0, 5)
    assert zeros(1, 2, 0).scaled_dot_product_attention(zeros(1, 3, 0), Tensor.ones(1, 3, 1)).tolist() == [[[1], [1]]]


def test_attention_with_large_scores() -> None:
    x = Tensor([[[300.0, 0.0], [0.0, 300.0]]])
    assert x.scaled_dot_product_attention(x, x).tolist() == x.tolist()
    mask = Tensor([[-math.inf, 0.0], [0.0, -math.inf]])
    assert x.scaled_dot_product_attention(x, x, mask).tolist() == [[[0, 300], [300, 0]]]


def test_attention_drops_in_training_only() -> None:
    Tensor.manual_seed(5)
    q, v = zeros(1, 4, 2), Tensor.ones(1, 4, 100)
    assert q.scaled_dot_product_attention(q, v, dropout_p=0.5).tolist() == v.tolist()
    with Tensor.train():
        values = q.scaled_dot_product_attention(q, v, dropout_p=0.5).numpy()
        assert q.scaled_dot_product_attention(q, v, dropout_p=1.0).sum().item() == 0
    assert set(np.unique(values)) <= {0.0, 0.5, 1.0, 1.5, 2.0}
    assert values.std() > 0


REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: zeros(2, 3).scaled_dot_product_attention(zeros(2, 4), zeros(2, 3)), ShapeError, r"keys \(..., S, E\)"),
    (lambda: zeros(3).scaled_dot_product_attention(zeros(3), zeros(3)), ShapeError, "attention needs"),
    (lambda: zeros(2, 3).int().scaled_dot_product_attention(zeros(2, 3), zeros(2, 3)), DTypeError, "one float dtype"),
    (lambda: zeros(2, 3).scaled_dot_product_attention(zeros(2, 3), zeros(2, 3), zeros(2, 2), is_causal=True), UsageError, "not both"),
    (lambda: zeros(2, 3).scaled_dot_product_attention(zeros(2, 3), zeros(2, 3), zeros(2, 2).int()), DTypeError, "bool or floats"),
    (lambda: zeros(2, 3).scaled_dot_product_attention(zeros(2, 3), zeros(2, 3), zeros(3, 2, 2)), ShapeError, "does not broadcast"),
    (lambda: zeros(2, 3).scaled_dot_product_attention(zeros(2, 3), zeros(2, 3), dropout_p=2.0), UsageError, "from 0 to 1"),
    (lambda: zeros(3, 2, 3).scaled_dot_product_attention(zeros(2, 2, 3), zeros(2, 2, 3), enable_gqa=True), ShapeError, "no multiple"),
    (lambda: zeros(2, 3).scaled_dot_product_attention(zeros(2, 3), zeros(2, 3), enable_gqa=True), ShapeError, "heads, length, width"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSED)
def test_refused(act: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()
