"""Movement agrees with NumPy, forward and, through the sum of squares, backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes

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


def test_other_errors() -> None:
    x = Tensor(A)
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: x.flip(3), IndexError, "axis 3 does not exist"),
        (lambda: x.narrow(0, 1, 2), IndexError, "no 2 elements from 1 on"),
        (lambda: x.select(1, 3), IndexError, "index 3 is outside axis 1 of size 3"),
        (lambda: x.unbind(-4), IndexError, "axis -4"),
        (lambda: x.moveaxis((0, 1), 2), ShapeError, "as many places as axes"),
        (lambda: x.moveaxis((0, 0), (1, 2)), ShapeError, "named once"),
        (lambda: x.expand(-1, 2, 3, 4), ShapeError, "a new axis has none"),
        (lambda: x.tile(2.5), ShapeError, "must be an integer"),
        (lambda: x.repeat(-1, 1, 1), ShapeError, "sizes start at 0"),
        (lambda: x.repeat_interleave([1, 2], 1), ShapeError, "one for each of the 3 elements, not 2"),
        (lambda: x.repeat_interleave([1, -2, 0], 1), ShapeError, "not negative"),
        (lambda: x.repeat_interleave(Tensor([1.0]), 1), DTypeError, "counts are integers"),
        (lambda: x.roll((1, 2)), ShapeError, "need an axis each"),
        (lambda: x.roll((1, 2), 0), ShapeError, "a shift for each axis"),
        (lambda: x.rot90(1, (0, 0)), ShapeError, "two different axes"),
        (x[0, 0].rot90, ShapeError, "turns two axes"),
        (lambda: x.diagonal(0, 1, -2), ShapeError, "two different axes"),
        (x.diag, ShapeError, "use diagonal"),
        (lambda: x[0, 0].mT, ShapeError, "for matrices"),
        (lambda: x.tensor_split(0), UsageError, "at least 1 piece"),
        (lambda: x.chunk(0), ShapeError, "at least 1 piece"),
        (lambda: x.split(0), ShapeError, "at least 1 element"),
        (lambda: Tensor.cat([]), UsageError, "no tensors"),
        (lambda: Tensor.cat(x, 1), UsageError, "the axis by name"),  # type: ignore[type-var]
        (lambda: x.hstack(x[:, :, :1]), ShapeError, "cannot join"),
        (lambda: x.vstack(x[0]), ShapeError, "cannot join"),
        (lambda: x.pad((4, 0), "reflect"), ShapeError, "continued by 3 elements with reflect, not 4"),
        (lambda: x.pad((5, 0), "circular"), ShapeError, "continued by 4 elements with circular, not 5"),
        (lambda: Tensor.zeros(2, 0).pad((1, 0), "replicate"), ShapeError, "continued by 0 elements with replicate"),
        (lambda: x.pad((-3, -2), "replicate"), ShapeError, "cannot cut 3 and 2"),
        (lambda: x.pad((-3, -2)), ShapeError, "cannot shrink"),
        (lambda: x.pad((1, 1), "mirror"), UsageError, "one of constant, reflect, replicate, circular"),
        (lambda: x.pad((1, 1), "reflect", 3), UsageError, "for the mode constant"),
        (lambda: x.pad((1, 1, 1, 1, 1, 1, 1, 1)), ShapeError, "flat padding"),
        (lambda: x.pad(((1, 1),)), ShapeError, "each of 3 axes"),
    ]
    for act, error, words in refused:
        with pytest.raises(error, match=words):
            act()


def test_forms_of_padding() -> None:
    x = Tensor([[1, 2, 3]])
    assert x.pad((1, 0)).tolist() == x.pad((None, (1, 0))).tolist() == x.pad(((0, 0), (1, 0)), value=0).tolist() == [[0, 1, 2, 3]]
    assert x.pad((0, 1), 7).tolist() == x.pad((None, (0, 1)), 7).tolist() == x.pad((0, 1), "constant", 7).tolist() == [[1, 2, 3, 7]]
    assert x.pad((None, (2, 1)), "reflect").tolist() == [[3, 2, 1, 2, 3, 2]]
    assert x.pad(()).tolist() == x.pad((), "circular").tolist() == [[1, 2, 3]]
    assert str(Tensor([1.0]).pad((1, 0), value=-0.0).tolist()) == "[-0.0, 1.0]"
    every = np.pad(A, ((1, 1), (2, 2), (3, 3)), mode="reflect")
    np.testing.assert_array_equal(Tensor(A).pad(((1, 1), (2, 2), (3, 3)), "reflect").numpy(), every)


def test_nothing_and_single_elements_move() -> None:
    empty, single = np.zeros((0, 3), np.float32), np.float32(5)
    cases: list[tuple[Callable[[Tensor], Any], Callable[[torch.Tensor], Any], Any]] = [
        (lambda x: x.flip(0, 1), lambda t: t.flip(0, 1), empty),
        (lambda x: x.roll(2, 0), lambda t: t.roll(2, 0), empty),
        (lambda x: x.roll(2), lambda t: t.roll(2), empty),
        (lambda x: x.rot90(), lambda t: t.rot90(), empty),
        (lambda x: x.diagonal(), lambda t: t.diagonal(), empty),
        (lambda x: x.diagonal(7), lambda t: torch.zeros(3, 3).diagonal(7)[:0], empty),
        (lambda x: x.T.diag(), lambda t: t.T.diag(), empty),
        (lambda x: x[:, 0].diag(2), lambda t: t[:, 0].diag(2), empty),
        (lambda x: x.repeat(2, 2), lambda t: t.repeat(2, 2), empty),
        (lambda x: x.repeat(0, 2), lambda t: t.repeat(0, 2), empty),
        (lambda x: x.repeat_interleave(2, 1), lambda t: t.repeat_interleave(2, 1), empty),
        (lambda x: x.repeat_interleave([1, 0, 0], 1), lambda t: t.repeat_interleave(torch.tensor([1, 0, 0]), 1), empty),
        (lambda x: x.expand(2, 0, 3), lambda t: t.expand(2, 0, 3), empty),
        (lambda x: x.pad((1, 1), "reflect"), lambda t: torch.zeros(0, 5), empty),
        (lambda x: x.pad((1, 1, 1, 0)), lambda t: torch.nn.functional.pad(t, (1, 1, 1, 0)), empty),
        (lambda x: x.reshape(-1, 3), lambda t: t.reshape(-1, 3), empty),
        (lambda x: x.flatten(), lambda t: t.flatten(), empty),
        (lambda x: x.split(2), lambda t: t.split(2), empty),
        (lambda x: x.split(0), lambda t: t.split(0), empty),
        (lambda x: x.chunk(3), lambda t: t.chunk(3), empty),
        (lambda x: x.tensor_split(2), lambda t: t.tensor_split(2), empty),
        (lambda x: x.unbind(0), lambda t: t.unbind(0), empty),
        (lambda x: x.stack(x), lambda t: torch.stack((t, t)), empty),
        (lambda x: x.squeeze(), lambda t: t.squeeze(), single),
        (lambda x: x.unsqueeze(-1), lambda t: t.unsqueeze(-1), single),
        (lambda x: x.flip(()), lambda t: t.flip(()), single),
        (lambda x: x.roll(3), lambda t: t.roll(3), single),
        (lambda x: x.repeat(2, 1), lambda t: t.repeat(2, 1), single),
        (lambda x: x.tile(()), lambda t: t.tile(()), single),
        (lambda x: x.tile(3), lambda t: t.tile(3), single),
        (lambda x: x.repeat_interleave(3), lambda t: t.repeat_interleave(3), single),
        (lambda x: x.expand(2, 3), lambda t: t.expand(2, 3), single),
        (lambda x: x.permute(()), lambda t: t.permute(()), single),
        (lambda x: x.hstack(x), lambda t: torch.hstack((t, t)), single),
        (lambda x: x.vstack(x), lambda t: torch.vstack((t, t)), single),
        (lambda x: x.dstack(x), lambda t: torch.dstack((t, t)), single),
        (lambda x: x.stack(x), lambda t: torch.stack((t, t)), single),
        (lambda x: x.moveaxis((), ()), lambda t: t.moveaxis((), ()), single),
    ]
    for ours, theirs, data in cases:
        found, wanted = ours(Tensor(data)), theirs(torch.tensor(data))
        pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
        for a, b in pairs:
            assert a.shape == tuple(b.shape)
            assert a.tolist() == b.tolist()


def test_joining_keeps_every_number(device: Any) -> None:
    assert str(Tensor.cat([Tensor([-0.0, 1.0]), Tensor([-0.0])]).tolist()) == "[-0.0, 1.0, -0.0]"
    assert str(Tensor([-0.0, 1.0]).roll(1).tolist()) == "[1.0, -0.0]"


def test_a_wrong_interpolation() -> None:
    x = Tensor.ones(1, 2, 4, 4)
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (x.interpolate, UsageError, "either size or scale_factor"),
        (lambda: x.interpolate(2, 2.0), UsageError, "either size or scale_factor"),
        (lambda: x.interpolate(2, mode="area"), UsageError, "the mode is one of"),
        (lambda: x.interpolate(2, mode="linear"), ShapeError, r"not for shape \(1, 2, 4, 4\)"),
        (lambda: x[0, 0].interpolate(2), ShapeError, "batch, channels"),
        (lambda: x.interpolate(2, align_corners=True), UsageError, "not for nearest"),
        (lambda: x.int().interpolate(2, mode="bilinear"), DTypeError, "needs floats, not int32"),
        (lambda: x.interpolate((2, 3, 4)), ShapeError, "one number or 2"),
        (lambda: x.interpolate(0), ShapeError, "at least 1"),
        (lambda: x.interpolate(scale_factor=0.1), ShapeError, "at least 1"),
        (lambda: x.interpolate(scale_factor=-1.0), ShapeError, "positive"),
        (lambda: x[:, :, :0].interpolate(2), ShapeError, "nothing to read"),
    ]
    for act, error, words in refused:
        with pytest.raises(error, match=words):
            act()
    assert x.int().interpolate(2).dtype is dtypes.int32
    assert x.half().interpolate(3, mode="bilinear").dtype is dtypes.float16
    assert x[:0].interpolate(3).shape == (0, 2, 3, 3)
