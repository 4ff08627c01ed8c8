"""Movement agrees with NumPy, forward and, through the sum of squares, backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from anneal import ShapeError, Tensor

A = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

MOVES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[torch.Tensor], torch.Tensor]]] = {
    "reshape": (lambda x: x.reshape(4, -1), lambda t: t.reshape(4, -1)),
    "view": (lambda x: x.view((6, 4)), lambda t: t.view(6, 4)),
    "permute": (lambda x: x.permute(2, 0, -2), lambda t: t.permute(2, 0, 1)),
    "transpose": (lambda x: x.transpose(0, -1), lambda t: t.transpose(0, -1)),
    "expand": (lambda x: x.reshape(2, 1, 3, 4).expand(5, 2, 2, -1, 4), lambda t: t.reshape(2, 1, 3, 4).expand(5, 2, 2, -1, 4)),
    "pad": (lambda x: x.pad(((1, 0), None, (2, 3)), 7), lambda t: torch.nn.functional.pad(t, (2, 3, 0, 0, 1, 0), value=7)),
    "pad flat": (lambda x: x.pad((1, 2, 0, 1)), lambda t: torch.nn.functional.pad(t, (1, 2, 0, 1))),
    "pad negative": (lambda x: x.pad((-1, 2, 3, -2)), lambda t: torch.nn.functional.pad(t, (-1, 2, 3, -2))),
    "shrink": (lambda x: x.shrink([(0, 1), None, (1, 3)]), lambda t: t[0:1, :, 1:3]),
    "narrow": (lambda x: x.narrow(-1, 1, 2), lambda t: t.narrow(-1, 1, 2)),
    "flip": (lambda x: x.flip(0, 2), lambda t: t.flip(0, 2)),
    "squeeze": (lambda x: x[:1].squeeze(), lambda t: t[:1].squeeze()),
    "squeeze axis": (lambda x: x[:1].squeeze(1), lambda t: t[:1].squeeze(1)),
    "unsqueeze": (lambda x: x.unsqueeze(-2), lambda t: t.unsqueeze(-2)),
    "flatten": (lambda x: x.flatten(1), lambda t: t.flatten(1)),
    "unflatten": (lambda x: x.unflatten(-1, (2, -1)), lambda t: t.unflatten(-1, (2, -1))),
    "repeat": (lambda x: x.repeat(2, 1, 2, 3), lambda t: t.repeat(2, 1, 2, 3)),
    "unfold": (lambda x: x.unfold(2, 3, 1), lambda t: t.unfold(2, 3, 1)),
    "unfold step": (lambda x: x.flatten().unfold(0, 4, 3), lambda t: t.flatten().unfold(0, 4, 3)),
    "cat": (lambda x: x.cat(x * 2, x[:, :1], dim=1), lambda t: torch.cat((t, t * 2, t[:, :1]), 1)),
    "stack": (lambda x: Tensor.stack(x, x + 1, dim=-1), lambda t: torch.stack((t, t + 1), -1)),
    "split": (lambda x: x.split(3, -1)[1], lambda t: t.split(3, -1)[1]),
    "split sizes": (lambda x: x.split([1, 2], 1)[1], lambda t: t.split([1, 2], 1)[1]),
    "chunk": (lambda x: x.chunk(3, 2)[1], lambda t: t.chunk(3, 2)[1]),
    "roll": (lambda x: x.roll(-5, 2), lambda t: t.roll(-5, 2)),
    "gather": (lambda x: x.gather(2, Tensor([[[0, 3], [1, 1]]])), lambda t: t.gather(2, torch.tensor([[[0, 3], [1, 1]]]))),
    "triangles": (lambda x: x.tril(1) + x.triu(), lambda t: t.tril(1) + t.triu()),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves(device: Any, name: str) -> None:
    ours, theirs = MOVES[name]
    x, t = Tensor(A, requires_grad=True), torch.tensor(A, requires_grad=True)
    found, wanted = ours(x), theirs(t)
    assert found.shape == tuple(wanted.shape)
    np.testing.assert_array_equal(found.numpy(), wanted.detach().numpy())
    (found * found).sum().backward()
    (wanted * wanted).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-6)  # type: ignore[union-attr]


def test_dilated_windows(device: Any) -> None:
    assert Tensor.arange(8).unfold(0, 3, step=2, dilation=2).tolist() == [[0, 2, 4], [2, 4, 6]]


def test_joining_keeps_kinds(device: Any) -> None:
    assert Tensor([True]).cat(Tensor([False, True])).tolist() == [True, False, True]
    assert Tensor([1]).cat(Tensor([2.5])).tolist() == [1.0, 2.5]
    assert Tensor([float("inf")]).cat(Tensor([float("nan")])).isnan().tolist() == [False, True]


def test_wrong_moves() -> None:
    x = Tensor(A)
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: x.reshape(5, -1), "24 is not a multiple of 5"),
        (lambda: x.reshape(-1, -1), "only one size may be -1"),
        (lambda: x.reshape(4, 5), r"did you mean \(6, 4\)|did you mean"),
        (lambda: x.reshape(2.0, 12), "must be an integer"),
        (lambda: x.permute(0, 0, 1), "once"),
        (lambda: x.expand(2, 3, 5), "cannot broadcast"),
        (lambda: x.squeeze(3), "axis 3 does not exist"),
        (lambda: x.pad((1, 2, 3)), "flat padding"),
        (lambda: x.unfold(2, 5, 1), "reaches over 5"),
        (lambda: x.cat(Tensor.zeros(2, 2, 2), dim=0), "cannot join"),
        (lambda: x.stack(Tensor.zeros(2)), "must be equal"),
        (lambda: x.split([1, 2], 0), "add up to 3"),
        (lambda: x.T, "for matrices"),
        (lambda: x.sum((0, 0)), "twice"),
    ]
    for act, words in refused:
        with pytest.raises(ShapeError, match=words):
            act()
