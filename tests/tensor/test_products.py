"""Products beyond what the cases of the surface say: known values, empty tensors, order of contraction, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import anneal
from anneal import ShapeError, Tensor, UsageError, dtypes
from anneal.tensor import einsum


def zeros(*shape: int) -> Tensor:
    return Tensor.zeros(*shape)


def fingerprint(result: Tensor) -> str:
    return anneal.compile(result, target=anneal.Target.portable()).fingerprint


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


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


def test_products_of_nothing() -> None:
    assert (zeros(2, 0) @ zeros(0, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert (zeros(0, 3) @ zeros(3, 4)).shape == (0, 4)
    assert zeros(0).dot(zeros(0)).item() == 0
    assert zeros(0).outer(zeros(3)).shape == (0, 3)
    assert zeros(0, 3).linear(zeros(4, 3)).tolist() == []
    assert Tensor.einsum("ij,jk->ik", zeros(2, 0), zeros(0, 1)).tolist() == [[0], [0]]
    assert Tensor.einsum("ii->i", zeros(0, 0)).tolist() == []
    assert Tensor.einsum("", Tensor(3.0)).item() == 3
    assert Tensor.einsum(",", Tensor(3.0), Tensor(2)).item() == 6


def test_the_dtypes_of_products() -> None:
    half, whole, truth = zeros(2, 2).half(), zeros(2, 2).int(), zeros(2, 2).bool()
    assert (half @ zeros(2, 2)).dtype is dtypes.float32
    assert (whole @ whole).dtype is (truth @ truth).dtype is dtypes.int32
    assert Tensor.einsum("ij,jk", half, half).dtype is dtypes.float16
    assert Tensor.einsum("ij,jk", half, whole).dtype is dtypes.float16


def test_einsum_is_matmul() -> None:
    """The same graph, so the same kernels."""
    a, b = Tensor(data(4, 5)), Tensor(data(5, 6))
    assert fingerprint(Tensor.einsum("ij,jk->ik", a, b)) == fingerprint(a @ b)
    x, y = Tensor(data(3, 4, 5)), Tensor(data(3, 5, 6))
    assert fingerprint(Tensor.einsum("bij,bjk->bik", x, y)) == fingerprint(x @ y)


def test_einsum_multiplies_what_is_small_first() -> None:
    sizes = {0: 2, 1: 100, 2: 100, 3: 1}
    assert einsum.cheapest([[0, 1], [1, 2], [2, 3]], [0, 3], sizes) == (1, 2)
    assert einsum.cheapest([[0, 1], [1, 2], [2, 3]], [0, 3], sizes | {0: 1, 3: 100}) == (0, 1)
    terms, wanted = einsum.parse("...ij,jk", [(7, 2, 3), (3, 4)])
    assert terms == [[-1, ord("i"), ord("j")], [ord("j"), ord("k")]]
    assert wanted == [-1, ord("i"), ord("k")]


def test_einsum_takes_a_list() -> None:
    assert Tensor.einsum("i,i", [Tensor([1, 2]), Tensor([3, 4])]).item() == 11  # type: ignore[arg-type]


REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: zeros(2, 3) @ zeros(4, 5), ShapeError, r"3 columns meet 4 rows"),
    (lambda: Tensor(1.0) @ zeros(4, 5), ShapeError, "at least one axis"),
    (lambda: zeros(2, 3).mm(zeros(3)), ShapeError, "mm needs tensors of 2 and 2 axes"),
    (lambda: zeros(2, 3, 4).bmm(zeros(1, 4, 2)), ShapeError, "matmul broadcasts"),
    (lambda: zeros(2).mv(zeros(2)), ShapeError, "mv needs"),
    (lambda: zeros(2, 2).outer(zeros(2)), ShapeError, "outer needs"),
    (lambda: zeros(2, 3).linear(zeros(4, 2)), ShapeError, "3 columns meet 2 rows"),
    (lambda: zeros(2, 3).bilinear(zeros(2, 3), zeros(4, 3, 2)), ShapeError, "bilinear: weight"),
    (lambda: zeros(2, 3).tensordot(zeros(2, 3), 3), ShapeError, "do not both have 3 axes"),
    (lambda: zeros(2, 3).tensordot(zeros(2, 3), 1), ShapeError, "the sizes differ"),
    (lambda: zeros(2, 3).tensordot(zeros(2, 3), ([0, 0], [0, 0])), ShapeError, "named twice"),
    (lambda: zeros(2, 3).tensordot(zeros(2, 3), ([0], [5])), IndexError, "axis 5 does not exist"),
    (lambda: Tensor.einsum("ij,jk->ik", zeros(2, 3)), UsageError, "2 operands between commas, but 1 tensors"),
    (lambda: Tensor.einsum("ij->ik", zeros(2, 3)), UsageError, "'k' in the result, but in no operand"),
    (lambda: Tensor.einsum("ij->ii", zeros(2, 3)), UsageError, "'i' twice in the result"),
    (lambda: Tensor.einsum("i1", zeros(2, 3)), UsageError, "'1' in .* is not understood"),
    (lambda: Tensor.einsum("ij->ik->il", zeros(2, 3)), UsageError, "is not understood"),
    (lambda: Tensor.einsum("...i...", zeros(2, 3)), UsageError, "is not understood"),
    (lambda: Tensor.einsum("ij"), UsageError, "at least one tensor"),
    (lambda: Tensor.einsum("ij", [[1, 2]]), UsageError, "nothing but tensors"),  # type: ignore[arg-type]
    (lambda: Tensor.einsum("ij,jk", zeros(2, 3), zeros(4, 5)), ShapeError, "'j' has size 3 in one operand and 4 in another"),
    (lambda: Tensor.einsum("...i,...i", zeros(2, 3), zeros(4, 3)), ShapeError, "axis -1 has size 2"),
    (lambda: Tensor.einsum("ii", zeros(2, 3)), ShapeError, "'i' is repeated"),
    (lambda: Tensor.einsum("ijk", zeros(2, 3)), ShapeError, "names more axes"),
    (lambda: Tensor.einsum("i", zeros(2, 3)), ShapeError, "names fewer axes"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSED)
def test_refused(act: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()
