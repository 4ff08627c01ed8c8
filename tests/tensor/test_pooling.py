"""Pools beyond what the cases of the surface say: equal elements, infinities, NaN, integers, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes
from anneal.ir import build
from anneal.ir.interp import evaluate


def zeros(*shape: int) -> Tensor:
    return Tensor.zeros(*shape)


def test_integers(device: Any) -> None:
    assert Tensor([[[-1, -2], [-3, -4]]]).max_pool2d(2, padding=1, stride=1).tolist() == [[[-1, -1, -2], [-1, -1, -2], [-3, -3, -4]]]
    assert Tensor([[1, 2, 4, 8]]).avg_pool1d(2).tolist() == [[1.5, 6.0]]
    assert Tensor([[1, 2, 4, 8]]).half().avg_pool1d(3, padding=1, count_include_pad=False).dtype is dtypes.float16


def test_equal_elements_share_the_gradient_and_the_first_has_the_index() -> None:
    x = Tensor([[3.0, 3.0, 1.0, 2.0]], requires_grad=True)
    best, where = x.max_pool1d(2, return_indices=True)
    best.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.5, 0.5, 0, 1]]
    assert where.tolist() == [[0, 3]]
    assert where.dtype is dtypes.int32


def test_infinities_and_nan() -> None:
    low = -math.inf
    best, where = Tensor([[low, low, 1.0, math.nan, low, low]]).max_pool1d(2, padding=1, return_indices=True)
    assert best.tolist()[0][:2] == [low, 1]
    assert math.isnan(best.tolist()[0][2])
    assert best.tolist()[0][3] == low
    assert where.tolist() == [[0, 2, 3, 5]]
    best, where = Tensor([[low, low, low, math.nan, 0.0]]).adaptive_max_pool1d(2, return_indices=True)
    assert best.tolist()[0][0] == low
    assert math.isnan(best.tolist()[0][1])
    assert where.tolist() == [[0, 3]]


def test_there_and_back() -> None:
    plane = np.random.default_rng(0).permutation(48).reshape(1, 2, 4, 6).astype(np.float32) + 1
    best, where = Tensor(plane).max_pool2d(2, return_indices=True)
    back = best.max_unpool2d(where, 2).numpy()
    assert back.shape == plane.shape
    assert set(np.unique(back[back > 0])) == set(best.numpy().ravel())
    assert (back[back > 0] == plane[back > 0]).all()


def test_two_for_one_place_are_one() -> None:
    """Windows that overlap find one element twice; indices outside of the plane are dropped."""
    assert Tensor([[5.0, 7.0]]).max_unpool1d(Tensor([[1, 1]]), 2).tolist() == [[0, 7, 0, 0]]
    assert Tensor([[5.0, 7.0]]).max_unpool1d(Tensor([[-1, 9]]), 2).tolist() == [[0, 0, 0, 0]]


def test_a_batch_of_a_size_known_at_run_time() -> None:
    n = build.variable("n", 1, 8)
    planes = build.param(0, (n, 2, 4), dtypes.float32)
    values = [1.0, 3.0, 2.0, 0.0, 5.0, 4.0, 6.0, 7.0]
    x = Tensor(planes)
    [best, mean, grouped] = evaluate([x.max_pool1d(2).uop, x.adaptive_avg_pool1d(1).uop, x.group_norm(1).uop], {planes: values, n: [1]})
    assert best == [3, 2, 5, 7]
    assert mean == [1.5, 5.5]
    assert sum(grouped) == pytest.approx(0, abs=1e-5)


def test_planes_of_nothing() -> None:
    assert zeros(0, 3, 5, 5).max_pool2d(2).shape == (0, 3, 2, 2)
    assert zeros(0, 3, 5, 5).avg_pool2d(2).tolist() == []
    assert zeros(0, 3, 5, 5).adaptive_avg_pool2d(3).tolist() == []
    assert zeros(0, 1, 2, 2).max_unpool2d(zeros(0, 1, 2, 2).int(), 2).shape == (0, 1, 4, 4)


X = zeros(2, 3, 4, 4)
REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: X.max_pool2d(2, padding=2), ShapeError, "more than half"),
    (lambda: X.max_pool2d(5), ShapeError, "reaches over 5"),
    (lambda: X.max_pool2d(0), ShapeError, "at least 1"),
    (lambda: X.avg_pool2d(2, stride=0), ShapeError, "at least 1"),
    (lambda: X.max_pool2d((2, 2, 2)), ShapeError, "one number or 2 of them"),
    (lambda: X.max_pool1d(2), ShapeError, r"\(channels, length\)"),
    (lambda: X.avg_pool2d(2, divisor_override=0), UsageError, "must not be 0"),
    (lambda: X.adaptive_avg_pool2d(0), ShapeError, "each needs an element"),
    (lambda: X.adaptive_avg_pool2d((1, 2, 3)), ShapeError, "one number or 2 of them"),
    (lambda: zeros(2, 3, 0, 4).adaptive_max_pool2d(1), ShapeError, "each needs an element"),
    (lambda: zeros(2, 3, 0, 4).max_pool2d(2), ShapeError, "reaches over 2"),
    (lambda: X.max_unpool2d(zeros(2, 3, 4, 4), 2), DTypeError, "indices are integers"),
    (lambda: X.max_unpool2d(zeros(2, 3, 4).int(), 2), ShapeError, "must be equal"),
    (lambda: X.max_unpool2d(X.int(), 2, output_size=(11, 8)), ShapeError, "within one stride"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSED)
def test_refused(act: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()
