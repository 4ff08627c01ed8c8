"""Convolutions beyond what the cases of the surface say: adjoints, odd amounts of padding, empty batches, halves, errors."""

from __future__ import annotations

import warnings
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


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}, {"groups": 2, "stride": (2, 3)}])
def test_a_transposed_convolution_is_the_adjoint(options: dict[str, Any]) -> None:
    """<conv(x), y> = <x, transposed(y)>, for shapes that nothing is cut from."""
    x, w = data(2, 4, 7, 9), data(6, 4 // options.get("groups", 1), 3, 3, seed=1)
    forward = Tensor(x).conv2d(Tensor(w), **options)
    y = data(*forward.shape, seed=2)  # type: ignore[arg-type]
    back = Tensor(y).conv_transpose2d(Tensor(w), **options)
    left = float((forward.numpy() * y).sum())
    height, width = back.shape[2:]
    assert float((x[:, :, :height, :width] * back.numpy()).sum()) == pytest.approx(left, rel=1e-3)


def test_an_odd_amount_of_same_padding_is_one_more_at_the_end() -> None:
    x, w = data(1, 2, 4, 5), data(3, 2, 2, 4, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that it copies
        wanted = F.conv2d(torch.tensor(x), torch.tensor(w), padding="same")
    np.testing.assert_allclose(Tensor(x).conv2d(Tensor(w), padding="same").numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_halves_are_added_in_float32() -> None:
    x, w = data(1, 8, 6, 6).astype(np.float16), data(2, 8, 3, 3, seed=1).astype(np.float16)
    for found, wanted in [
        (Tensor(x).conv2d(Tensor(w)), F.conv2d(torch.tensor(x).float(), torch.tensor(w).float())),
        (Tensor(x).conv_transpose2d(Tensor(w.swapaxes(0, 1))), F.conv_transpose2d(torch.tensor(x).float(), torch.tensor(w.swapaxes(0, 1).copy()).float())),
    ]:
        assert found.dtype is dtypes.float16
        np.testing.assert_allclose(found.numpy().astype(np.float32), wanted.numpy(), rtol=1e-3, atol=1e-3)


def test_integers_stay_integers() -> None:
    assert Tensor([[1, 2, 3]]).conv1d(Tensor([[[1, 1]]])).tolist() == [[3, 5]]
    assert Tensor([[1, 2]]).conv_transpose1d(Tensor([[[1, 1]]])).tolist() == [[1, 3, 2]]


def test_an_empty_batch() -> None:
    assert zeros(0, 3, 5, 5).conv2d(zeros(4, 3, 3, 3), zeros(4)).shape == (0, 4, 3, 3)
    assert zeros(0, 3, 5, 5).conv_transpose2d(zeros(3, 4, 3, 3)).tolist() == []


X = zeros(2, 3, 4, 4)
REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: X.conv2d(zeros(2, 2, 3, 3)), ShapeError, "does not fit input"),
    (lambda: X.conv2d(zeros(2, 3, 3, 3), groups=0), ShapeError, "does not fit input"),
    (lambda: X.conv2d(zeros(2, 3, 5, 5)), ShapeError, "reaches over 5"),
    (lambda: X.conv2d(zeros(2, 3, 0, 3)), ShapeError, "at least 1"),
    (lambda: X.flatten(1).conv2d(zeros(2, 2, 3, 3)), ShapeError, r"\(batch, channels, height, width\) or \(channels, height, width\)"),
    (lambda: X.conv1d(zeros(2, 3, 3)), ShapeError, r"\(channels, length\)"),
    (lambda: X.conv2d(zeros(2, 3, 3, 3), zeros(3)), ShapeError, r"bias must have shape \(2,\)"),
    (lambda: X.conv2d(zeros(2, 3, 3, 3), padding="most"), UsageError, '"same" or "valid"'),
    (lambda: X.conv2d(zeros(2, 3, 3, 3), padding="same", stride=2), UsageError, "needs stride 1"),
    (lambda: X.conv2d(zeros(2, 3, 3, 3), padding=(1, 1, 1)), ShapeError, "one number or 2 of them"),
    (lambda: X.conv2d(zeros(2, 3, 3, 3), stride=0), ShapeError, "at least 1"),
    (lambda: X.conv_transpose2d(zeros(2, 3, 3, 3)), ShapeError, "does not fit input"),
    (lambda: X.conv_transpose2d(zeros(3, 3, 3, 3), groups=2), ShapeError, "with 2 groups"),
    (lambda: X.conv_transpose2d(zeros(3, 3, 3, 3), output_padding=1), UsageError, "must be smaller than stride"),
    (lambda: X.conv_transpose2d(zeros(3, 3, 3, 3), padding=4), ShapeError, "leaves nothing"),
    (lambda: X.conv_transpose2d(zeros(3, 3, 3, 3), stride=0), ShapeError, "at least 1"),
    (lambda: X.conv_transpose2d(zeros(3, 3, 0, 3)), ShapeError, "at least 1"),
    (lambda: X.conv_transpose2d(zeros(3, 2, 3, 3), zeros(3)), ShapeError, r"bias must have shape \(2,\)"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSED)
def test_refused(act: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()
