"""Losses beyond what the cases of the surface say: labels that are no class, nothing at all, large numbers, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import anneal
from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes


def zeros(*shape: int) -> Tensor:
    return Tensor.zeros(*shape)


def test_a_label_that_is_no_class_shows(device: Any) -> None:
    losses = zeros(4, 2).cross_entropy(Tensor([0, 2, -1, -100]), reduction="none").tolist()
    assert losses[0] == pytest.approx(math.log(2))
    assert math.isnan(losses[1])
    assert math.isnan(losses[2])
    assert losses[3] == 0
    assert math.isnan(zeros(1, 2).cross_entropy(Tensor([-100]), ignore_index=None).item())


def test_none_ignored_is_the_plain_mean() -> None:
    logits, labels = Tensor([[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]]), Tensor([0, 1, 1])
    assert logits.cross_entropy(labels).item() == pytest.approx(logits.cross_entropy(labels, ignore_index=None).item())
    assert logits.cross_entropy(labels.cast(dtypes.uint32)).item() == pytest.approx(logits.cross_entropy(labels).item())


def test_a_training_step_counts_its_labels_once() -> None:
    logits = Tensor([[0.5] * 10] * 64, requires_grad=True)
    loss = logits.cross_entropy(Tensor([1] * 64))
    loss.backward()
    assert logits.grad is not None
    assert len(anneal.compile(loss, logits.grad, target=anneal.Target.portable()).kernels) <= 3


def test_all_are_ignored() -> None:
    assert math.isnan(zeros(2, 3).cross_entropy(Tensor([-100, -100])).item())
    assert zeros(2, 3).cross_entropy(Tensor([-100, -100]), reduction="sum").item() == 0


def test_losses_of_nothing() -> None:
    none, labels = zeros(0, 3), zeros(0).int()
    assert none.cross_entropy(labels, reduction="sum").item() == 0
    assert none.cross_entropy(labels, reduction="none").tolist() == []
    assert math.isnan(none.cross_entropy(labels).item())
    assert math.isnan(none.mse_loss(none).item())
    assert none.mse_loss(none, reduction="sum").item() == 0
    assert labels.embedding(zeros(3, 2)).shape == (0, 2)
    assert zeros(2, 0).cosine_similarity(zeros(2, 0)).tolist() == [0, 0]


def test_large_numbers(device: Any) -> None:
    assert Tensor([[1000.0, 0.0]]).cross_entropy(Tensor([1])).item() == 1000
    assert Tensor([200.0, -200.0]).binary_cross_entropy_with_logits(Tensor([0.0, 1.0])).item() == 200
    assert Tensor([0.0, 1.0]).binary_cross_entropy(Tensor([1.0, 1.0])).item() == 50


def test_vectors_without_length_have_gradients() -> None:
    x, y = Tensor([[0.0, 0.0]], requires_grad=True), Tensor([[1.0, 0.0]])
    cosine = x.cosine_similarity(y)
    cosine.sum().backward()
    assert x.grad is not None
    assert cosine.tolist() == [0]
    assert np.isfinite(x.grad.numpy()).all()


def test_a_row_of_padding_learns_nothing() -> None:
    table = Tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    Tensor([0, 1, 1]).embedding(table, padding_idx=0).sum().backward()
    assert table.grad is not None
    assert table.grad.tolist() == [[0], [2], [0]]


def test_dropout(device: Any) -> None:
    Tensor.manual_seed(3)
    x = Tensor.ones(2000)
    assert x.dropout(0.5) is x
    with Tensor.train():
        values = x.dropout(0.25).numpy()
        assert x.dropout(1).sum().item() == 0
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.70 < (values > 0).mean() < 0.80
    assert not Tensor.training


ROW, CLASSES = zeros(2, 3), Tensor([1, 2])
REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: ROW.cross_entropy(Tensor([1, 2, 0])), ShapeError, "class numbers"),
    (lambda: ROW.cross_entropy(CLASSES, reduction="most"), UsageError, "reduction is"),
    (lambda: ROW.cross_entropy(CLASSES, zeros(2)), ShapeError, r"weight of classes is a tensor of shape \(3,\)"),
    (lambda: ROW.cross_entropy(CLASSES, "sum"), ShapeError, "weight of classes"),  # type: ignore[arg-type]
    (lambda: ROW.cross_entropy(zeros(2, 2)), ShapeError, "do not fit logits"),
    (lambda: ROW.cross_entropy(CLASSES, label_smoothing=2), UsageError, "from 0 to 1"),
    (lambda: ROW.int().cross_entropy(CLASSES), DTypeError, "needs floats"),
    (lambda: Tensor(1.0).cross_entropy(Tensor(0)), ShapeError, "needs an axis of classes"),
    (lambda: ROW.nll_loss(zeros(2)), ShapeError, "class numbers"),
    (lambda: ROW.mse_loss(zeros(2, 2)), ShapeError, "mse_loss: a target"),
    (lambda: ROW.kl_div(ROW, reduction="all"), UsageError, "batchmean"),
    (lambda: Tensor(1.0).kl_div(Tensor(1.0), reduction="batchmean"), ShapeError, "needs a batch"),
    (lambda: ROW.huber_loss(ROW, delta=0), UsageError, "delta must be positive"),
    (lambda: ROW.smooth_l1_loss(ROW, beta=-1), UsageError, "beta must not be negative"),
    (lambda: ROW.cosine_similarity(ROW, axis=2), IndexError, "axis 2 does not exist"),
    (lambda: ROW.int().cosine_similarity(ROW), DTypeError, "needs floats"),
    (lambda: ROW.binary_cross_entropy(zeros(3)), ShapeError, "they must be equal"),
    (lambda: ROW.binary_cross_entropy_with_logits(ROW, reduction="x"), UsageError, "reduction is"),
    (lambda: ROW.embedding(ROW), DTypeError, "needs integers"),
    (lambda: CLASSES.embedding(zeros(2)), ShapeError, r"\(rows, width\)"),
    (lambda: CLASSES.embedding(ROW, padding_idx=2), UsageError, "is no row"),
    (lambda: zeros(2).dropout(2), UsageError, "from 0 to 1"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSED)
def test_refused(act: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()
