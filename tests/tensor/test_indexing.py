"""Indexing agrees with NumPy and PyTorch: what is read, what is written, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anneal import DTypeError, OutOfRangeError, ShapeError, Tensor, UsageError, dtypes

A = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

INDICES: dict[str, Any] = {
    "int": 1,
    "negative": (-1, -2),
    "slice": (slice(None), slice(1, None), slice(0, 4, 2)),
    "backwards": (slice(None, None, -1), slice(None), slice(3, None, -2)),
    "empty": (slice(1, 1),),
    "beyond": (slice(-10, 10), slice(2, 99)),
    "none": (None, 1, None, slice(None), None),
    "dots": (..., 0),
    "dots middle": (0, ..., slice(1, 3)),
    "list": ([1, 0, 1],),
    "negative list": (slice(None), [-1, 0]),
    "matrix": (slice(None), np.array([[0, 1], [2, 0]])),
    "two adjacent": (slice(None), [0, 2], [1, 3]),
    "two apart": ([0, 1], slice(None), [1, 3]),
    "two broadcast": (np.array([[0], [1]]), [0, 2, 1]),
    "int and list": (0, slice(None), [1, 2]),
    "int beside list": (slice(None), 0, [1, 2]),
    "list and slice": ([1, 0], slice(0, 3, 2), slice(None, None, -1)),
    "none and list": (slice(None), None, [0, 1]),
    "none between": ([0, 1], None, [0, 1]),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices(device: Any, name: str) -> None:
    found, wanted = Tensor(A)[INDICES[name]], A[INDICES[name]]
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("name", ["negative list", "two adjacent", "int and list", "two apart", "backwards"])
def test_gradients_of_indices(interp: Any, name: str) -> None:
    x, t = Tensor(A, requires_grad=True), torch.tensor(A, requires_grad=True)
    key = tuple(slice(None, None, -1) if isinstance(k, slice) and k.step else k for k in INDICES[name])
    flipped = tuple(slice(None) if isinstance(k, slice) else k for k in key)
    axes = [i for i, k in enumerate(key) if isinstance(k, slice) and k.step]
    (x[key] ** 2).sum().backward()
    (t.flip(axes)[flipped] ** 2).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy())  # type: ignore[union-attr]


def test_index_tensors(device: Any) -> None:
    x = Tensor(A)
    np.testing.assert_array_equal(x[Tensor([1, -1])].numpy(), A[[1, -1]])
    np.testing.assert_array_equal(x[:, Tensor([[2, 0]]), 1].numpy(), A[:, [[2, 0]], 1])
    np.testing.assert_array_equal(x[Tensor([1, 0], dtype=dtypes.uint32)].numpy(), A[[1, 0]])
    assert x[Tensor([2, -3])].sum().item() == 0, "an index outside the axis gives 0"
    np.testing.assert_array_equal(x.take(Tensor([5, 0])).numpy(), A.reshape(-1)[[5, 0]])


def test_repeated_indices_add_their_gradients(device: Any) -> None:
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[Tensor([2, 0, 2])].sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 0, 2]


slices = st.slices(5) | st.integers(-5, 4) | st.none()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.lists(slices, max_size=3).filter(lambda k: sum(x is not None for x in k) <= 2))
def test_any_basic_index(interp: Any, key: list[Any]) -> None:
    a = np.arange(25, dtype=np.int32).reshape(5, 5)
    found, wanted = Tensor(a)[tuple(key)], a[tuple(key)]
    assert found.shape == wanted.shape
    assert found.tolist() == wanted.tolist()


def test_wrong_indices() -> None:
    x = Tensor(A)
    for key, error, words in [
        (2, OutOfRangeError, "index 2 is outside axis 0 of size 2"),
        (([0, 5],), IndexError, "index 5 is outside axis 0"),
        ((0, 0, 0, 0), IndexError, "4 indices are too many"),
        ((..., ...), ShapeError, "one ... only"),
        (Tensor([True, False, True]), IndexError, r"mask of shape \(3,\) does not fit the axes of size \(2,\)"),
        (np.ones((2, 2), bool), IndexError, r"does not fit the axes of size \(2, 3\)"),
        (Tensor(True).reshape(1, 1, 1, 1), IndexError, "too many"),
        (1.5, DTypeError, "cannot index with 1.5"),
        (Tensor([1.0]), DTypeError, "holds integers, not float32"),
        (slice(None, None, 0), ShapeError, "step is not 0"),
    ]:
        with pytest.raises(error, match=words):
            x[key]


def test_setting_elements(device: Any) -> None:
    x, a = Tensor(A.copy()), A.copy()
    changes: list[tuple[Any, Any]] = [((0, 1), 5.0), ((slice(None), slice(1, 3), -1), [1.0, 2.0]), ((1, ..., slice(0, 2)), 7), (slice(0, 0), 1.0)]
    for key, value in changes:
        x[key] = value
        a[key] = value
    np.testing.assert_array_equal(x.numpy(), a)
    y = Tensor.zeros(3)
    y[1] = 2.5
    assert y.tolist() == [0, 2.5, 0]
    with pytest.raises(ShapeError, match="cannot write a value of shape"):
        x[[0]] = [1.0, 2.0]


def test_iteration() -> None:
    assert [row.shape for row in Tensor(A)] == [(3, 4), (3, 4)]
    assert len(Tensor(A)) == 2
    with pytest.raises(TypeError, match="without axes"):
        iter(Tensor(1.0))
