"""Products, convolutions, pools and losses agree with PyTorch, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from anneal import ShapeError, Tensor, UsageError, dtypes

RNG = np.random.default_rng(1)


def random(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def same(found: Tensor, wanted: torch.Tensor, inputs: list[tuple[Tensor, torch.Tensor]]) -> None:
    """Values agree, and so do the gradients of a weighted sum for each input."""
    assert found.shape == tuple(wanted.shape)
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=1e-4, atol=1e-5)
    weight = np.cos(np.arange(wanted.numel(), dtype=np.float32)).reshape(tuple(wanted.shape))
    (found * Tensor(weight)).sum().backward()
    (wanted * torch.tensor(weight)).sum().backward()
    for ours, theirs in inputs:
        assert ours.grad is not None
        assert theirs.grad is not None
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=1e-4)


def pair(array: np.ndarray) -> tuple[Tensor, torch.Tensor]:
    return Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)


@pytest.mark.parametrize(
    ("left", "right"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 1, 2, 3), (2, 3, 4)), ((1, 1), (1, 1))],
)
def test_matmul(device: Any, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    (x, t), (y, u) = pair(random(*left)), pair(random(*right))
    same(x @ y, t @ u, [(x, t), (y, u)])


def test_matmul_values(device: Any) -> None:
    assert (Tensor([[1, 2, 3], [4, 5, 6]]) @ Tensor([[7, 8], [9, 10], [11, 12]])).tolist() == [[58, 64], [139, 154]]
    assert (np.eye(2, dtype=np.float32) @ Tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[1, 2], [3, 4]]
    halves = Tensor(np.full((1, 4096), 0.1, np.float16))
    assert (halves @ halves.T).dtype is dtypes.float16
    assert (halves @ halves.T).item() == pytest.approx(4096 * float(np.float16(0.1)) ** 2, rel=1e-3)


def test_linear_loss_values(device: Any) -> None:
    x = Tensor([[1.0, 2, 3], [4, 5, 6]], requires_grad=True)
    w = Tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], requires_grad=True)
    loss = ((x @ w - Tensor([[1.0, 2], [3, 4]])) ** 2).mean()
    loss.backward()
    assert loss.item() == pytest.approx(2.8625)
    assert x.grad is not None
    assert w.grad is not None
    assert np.ravel(x.grad.numpy()) == pytest.approx([0.14, 0.34, 0.54, 0.335, 0.765, 1.195])
    assert np.ravel(w.grad.numpy()) == pytest.approx([4.4, 5.2, 5.95, 6.8, 7.5, 8.4])


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"padding": 1},
    {"stride": 2, "padding": 1},
    {"stride": (2, 1), "padding": (0, 2)},
    {"dilation": 2, "padding": 2},
    {"groups": 2, "padding": 1},
    {"groups": 4},
    {"stride": 2, "dilation": (1, 2), "padding": (1, 2), "groups": 2},
]


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_conv2d(device: Any, options: dict[str, Any]) -> None:
    groups = options.get("groups", 1)
    (x, t), (w, u), (b, c) = pair(random(2, 4, 6, 5)), pair(random(4, 4 // groups, 3, 3)), pair(random(4))
    same(x.conv2d(w, b, **options), F.conv2d(t, u, c, **options), [(x, t), (w, u), (b, c)])


def test_conv2d_kernel_shapes(device: Any) -> None:
    (x, t), (w, u) = pair(random(1, 2, 4, 5)), pair(random(3, 2, 1, 2))
    same(x.conv2d(w), F.conv2d(t, u), [(x, t), (w, u)])
    (x, t), (w, u) = pair(random(2, 4, 4)), pair(random(3, 2, 4, 4))
    same(x.conv2d(w), F.conv2d(t, u), [(x, t), (w, u)])


POOLS: list[tuple[int | tuple[int, int], dict[str, Any]]] = [
    (2, {}),
    (3, {"stride": 2, "padding": 1}),
    ((2, 3), {"stride": 1}),
    (3, {"stride": 1, "padding": 1}),
    (2, {"stride": 3}),
]


@pytest.mark.parametrize(("kernel", "options"), POOLS)
def test_pools(device: Any, kernel: Any, options: dict[str, Any]) -> None:
    array = random(2, 3, 6, 7) - 3
    x, t = pair(array)
    same(x.max_pool2d(kernel, **options), F.max_pool2d(t, kernel, **options), [(x, t)])
    x, t = pair(array)
    same(x.avg_pool2d(kernel, **options), F.avg_pool2d(t, kernel, **options), [(x, t)])
    x, t = pair(array)
    same(x.avg_pool2d(kernel, **options, count_include_pad=False), F.avg_pool2d(t, kernel, **options, count_include_pad=False), [(x, t)])


def test_max_pool_of_integers(device: Any) -> None:
    assert Tensor([[[-1, -2], [-3, -4]]]).max_pool2d(2, padding=1, stride=1).tolist() == [[[-1, -1, -2], [-1, -1, -2], [-3, -3, -4]]]


def test_normalisation(device: Any) -> None:
    x, t = pair(random(2, 3, 4))
    same(x.layernorm((-2, -1)), F.layer_norm(t, (3, 4)), [(x, t)])
    (x, t), (w, u), (b, c) = pair(random(2, 3, 4, 5)), pair(random(3)), pair(random(3))
    mean, var = random(3), np.abs(random(3))
    found = x.batchnorm(w, b, Tensor(mean), (Tensor(var) + 1e-5).rsqrt())
    same(found, F.batch_norm(t, torch.tensor(mean), torch.tensor(var), u, c), [(x, t), (w, u), (b, c)])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy(device: Any, reduction: str, smoothing: float) -> None:
    labels = np.array([1, 0, 4, 2])
    x, t = pair(random(4, 5) * 3)
    found = x.cross_entropy(Tensor(labels), reduction=reduction, label_smoothing=smoothing)
    same(found, F.cross_entropy(t, torch.tensor(labels), reduction=reduction, label_smoothing=smoothing), [(x, t)])
    chances = np.abs(random(4, 5))
    chances /= chances.sum(1, keepdims=True)
    x, t = pair(random(4, 5))
    found = x.cross_entropy(Tensor(chances), reduction=reduction, label_smoothing=smoothing)
    same(found, F.cross_entropy(t, torch.tensor(chances), reduction=reduction, label_smoothing=smoothing), [(x, t)])


def test_cross_entropy_of_other_ranks(device: Any) -> None:
    labels = np.array([[1, 0], [2, 1]])
    x, t = pair(random(2, 3, 2))
    same(x.cross_entropy(Tensor(labels)), F.cross_entropy(t, torch.tensor(labels)), [(x, t)])
    x, t = pair(random(3))
    same(x.cross_entropy(Tensor(2)), F.cross_entropy(t, torch.tensor(2)), [(x, t)])
    x, t = pair(random(4, 3))
    same(x.log_softmax().nll_loss(Tensor([0, 1, 2, 0])), F.nll_loss(t.log_softmax(1), torch.tensor([0, 1, 2, 0])), [(x, t)])


def test_a_label_that_is_no_class_shows(device: Any) -> None:
    losses = Tensor.zeros(3, 2).cross_entropy(Tensor([0, 2, -1]), reduction="none").tolist()
    assert losses[0] == pytest.approx(math.log(2))
    assert math.isnan(losses[1])
    assert math.isnan(losses[2])


def test_other_losses(device: Any) -> None:
    a, b = random(3, 4), random(3, 4)
    for ours, theirs in [("mse_loss", F.mse_loss), ("l1_loss", F.l1_loss)]:
        (x, t), (y, u) = pair(a), pair(b)
        same(getattr(x, ours)(y), theirs(t, u), [(x, t), (y, u)])
    chances, targets = 1 / (1 + np.exp(-a)), (b > 0).astype(np.float32)
    x, t = pair(chances)
    same(x.binary_cross_entropy(Tensor(targets)), F.binary_cross_entropy(t, torch.tensor(targets)), [(x, t)])
    x, t = pair(a)
    same(x.binary_cross_entropy_with_logits(Tensor(targets)), F.binary_cross_entropy_with_logits(t, torch.tensor(targets)), [(x, t)])
    assert Tensor([0.0, 1.0]).binary_cross_entropy(Tensor([1.0, 1.0])).item() == 50


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


def test_wrong_networks() -> None:
    x = Tensor.zeros(2, 3, 4, 4)
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: Tensor.zeros(2, 3) @ Tensor.zeros(4, 5), ShapeError, r"3 columns meet 4 rows"),
        (lambda: Tensor(1.0) @ Tensor.zeros(4, 5), ShapeError, "at least one axis"),
        (lambda: x.conv2d(Tensor.zeros(2, 2, 3, 3)), ShapeError, "does not fit input"),
        (lambda: x.conv2d(Tensor.zeros(2, 3, 5, 5)), ShapeError, "reaches over 5"),
        (lambda: x.flatten(1).conv2d(Tensor.zeros(2, 2, 3, 3)), ShapeError, "needs"),
        (lambda: x.max_pool2d(2, padding=2), ShapeError, "more than half"),
        (lambda: Tensor.zeros(2, 3).cross_entropy(Tensor([1, 2, 0])), ShapeError, "class numbers"),
        (lambda: Tensor.zeros(2, 3).cross_entropy(Tensor([1, 2]), reduction="most"), UsageError, "reduction is"),
        (lambda: Tensor.zeros(2).dropout(2), UsageError, "from 0 to 1"),
    ]
    for act, error, words in refused:
        with pytest.raises(error, match=words):
            act()
