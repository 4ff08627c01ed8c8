"""Indexing agrees with NumPy and PyTorch: what is read, what is written, what is refused."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anneal
from anneal import DTypeError, OutOfRangeError, ShapeError, Tensor, UsageError, dtypes
from anneal.ir import build
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.tensor import storage

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
    "range": (slice(None), range(2, -1, -2)),
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


def any_key(rng: random.Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An index of any kind for each of some axes."""
    numbers = np.random.default_rng(rng.randrange(1000))
    together, keys, axis = rng.choice([(2,), (3,), (2, 2), (1,), (0,), ()]), list[Any](), 0
    while axis < len(shape) and rng.random() < 0.85:
        size, width = shape[axis], 1
        match rng.randrange(8):
            case 0 | 1:
                bounds = [None, *range(-size - 1, size + 2)]
                keys.append(slice(rng.choice(bounds), rng.choice(bounds), rng.choice([None, 1, 2, -1, -2, 3, -3])))
            case 2:
                keys.append(rng.randrange(-size, size))
            case 3:
                keys.append(rng.choice([None, True, False]))
                width = 0
            case 4 if not any(k is ... for k in keys):
                keys.append(...)
                width = 0
            case 5:
                width = min(rng.choice([1, 2]), len(shape) - axis)
                keys.append(numbers.random(shape[axis : axis + width]) < 0.5)
            case _:
                keys.append(numbers.integers(-size, size, together if rng.random() < 0.7 else (1,)))
        axis += width
    return tuple(keys)


def as_ours(key: Any, rng: random.Random) -> Any:
    """An array as it is, as a tensor or as a list."""
    if not isinstance(key, np.ndarray):
        return key
    return rng.choice([lambda: key, lambda: Tensor(key if key.dtype == bool else key.astype(np.int32)), key.tolist])()


@pytest.mark.parametrize("seed", range(60))
def test_any_index_reads_and_writes_as_numpy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    rng = random.Random(seed)
    a = np.arange(60, dtype=np.float32).reshape(4, 3, 5)
    key = any_key(rng, a.shape)
    ours = tuple(as_ours(k, rng) for k in key)
    try:
        wanted = a[key]
    except IndexError:
        with pytest.raises((ShapeError, IndexError)):
            Tensor(a)[ours]
        return
    found = Tensor(a)[ours]
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found.numpy(), wanted)
    dims = list(wanted.shape)
    for axis in range(len(dims)):
        if rng.random() < 0.3:
            dims[axis] = 1
    value = -np.arange(1, math.prod(dims) + 1, dtype=np.float32).reshape(dims[1:] if dims[:1] == [1] and rng.random() < 0.5 else dims)
    x = Tensor(a)
    x[ours] = value
    a[key] = value
    np.testing.assert_array_equal(x.numpy(), a)


def test_writing_keeps_the_buffer(device: Any) -> None:
    x, a = Tensor(A.copy()).realize(), A.copy()
    memory = storage.buffer_of(x.uop).storage
    x[:, [2, 0, 2]] = Tensor(np.arange(3, dtype=np.float32).reshape(3, 1))
    x[Tensor(A > 20)] = -1
    x[1, ::-2, 1:3] = x[0, :2, :2]
    a[:, [2, 0, 2]] = np.arange(3, dtype=np.float32).reshape(3, 1)
    a[A > 20] = -1
    a[1, ::-2, 1:3] = a[0, :2, :2]
    np.testing.assert_array_equal(x.realize().numpy(), a)
    assert storage.buffer_of(x.uop).storage is memory


def test_what_is_written_where() -> None:
    x = Tensor([1, 2, 3, 4])
    x[[1, 1, 0]] = [5, 6, 7]
    assert x.tolist() == [7, 6, 3, 4], "of equal places the last is written"
    x[Tensor([4, -5, 2])] = [8, 8, 9]
    assert x.tolist() == [7, 6, 9, 4], "nothing is written outside"
    x[1:] = x[:-1]
    assert x.tolist() == [7, 7, 6, 9], "what is read is read before"
    x[...] = 2.9
    assert x.tolist() == [2, 2, 2, 2], "values are cast"
    x[()] = Tensor([[[3]]])
    assert x.tolist() == [3, 3, 3, 3]
    y = Tensor(1.0)
    y[None] = [4.0]
    y[()] = y[()] + 1
    assert y.item() == 5
    empty = Tensor.zeros(0, 3)
    empty[:, 1] = 1.0
    empty[Tensor(np.zeros(0, np.int32))] = 2.0
    assert empty.tolist() == []
    large = Tensor.zeros(3, 4)
    large[:, Tensor([], dtype=dtypes.int32)] = 1.0
    assert large.sum().item() == 0


def test_which_masks_are_realised() -> None:
    x, mask = Tensor(A), Tensor(A) > 10
    x[mask] = 0
    x[mask, ...] = Tensor(1.0)
    assert not mask.is_realized
    np.testing.assert_array_equal(x.numpy(), np.where(A > 10, 1, A))
    mask = Tensor(A) > 10
    assert x[mask].shape == (13,)
    assert mask.is_realized
    x[mask] = Tensor.arange(13).float()
    np.testing.assert_array_equal(x.numpy()[A > 10], np.arange(13))
    with pytest.raises(ShapeError, match=r"value of shape \(12,\) to elements of shape \(13,\)"):
        x[mask] = Tensor.zeros(12)


def test_wrong_writes() -> None:
    x = Tensor([1, 2, 3], dtype=dtypes.int32)
    refused: list[tuple[Any, Any, type[Exception], str]] = [
        (3, 1, IndexError, "index 3 is outside axis 0 of size 3"),
        ((0, 0), 1, IndexError, "too many"),
        ([0, -4], 1, IndexError, "index -4 is outside"),
        (slice(0, 2), [1, 2, 3], ShapeError, r"value of shape \(3,\) to elements of shape \(2,\)"),
        (0, 2**40, DTypeError, "does not fit int32"),
        (1.5, 1, DTypeError, "cannot index"),
        ([True, False], 1, IndexError, "mask of shape"),
    ]
    for key, value, error, words in refused:
        with pytest.raises(error, match=words):
            x[key] = value
    assert x.tolist() == [1, 2, 3]


def test_wrong_gathers_and_scatters() -> None:
    x, i = Tensor.zeros(2, 3), Tensor([[0, 1]])
    s = Tensor.ones(1, 2)
    refused: list[tuple[Any, type[Exception], str]] = [
        (lambda: x.gather(2, i), IndexError, "axis 2 does not exist"),
        (lambda: x.gather(0, i[0]), ShapeError, "does not fit"),
        (lambda: x.gather(1, Tensor.zeros(3, 1).int()), ShapeError, "does not fit"),
        (lambda: x.gather(1, i.float()), DTypeError, "holds integers, not float32"),
        (lambda: x.take_along_dim(i[0], 1), ShapeError, "numbers of axes"),
        (lambda: x.index_select(0, i), ShapeError, "a vector of places"),
        (lambda: x.scatter(1, i, Tensor.ones(1, 1)), ShapeError, "within the source"),
        (lambda: x.scatter(1, i, s.int()), DTypeError, "the source is int32 and the tensor float32"),
        (lambda: x.scatter(1, i, s, reduce="mean"), UsageError, '"add" or "multiply"'),
        (lambda: x.scatter_add(0, Tensor.zeros(1, 4).int(), Tensor.ones(1, 4)), ShapeError, "does not fit"),
        (lambda: x.scatter_reduce(1, i, s, "max"), UsageError, "one of sum, prod, mean, amax, amin"),
        (lambda: x.index_add(0, Tensor([0]), Tensor.ones(2, 3)), ShapeError, "a vector of places along axis 0"),
        (lambda: x.masked_scatter(i, s), DTypeError, "a bool mask"),
    ]
    for act, error, words in refused:
        with pytest.raises(error, match=words):
            act()


def test_single_elements_and_nothing_are_gathered_and_scattered() -> None:
    one, zero, none = Tensor(3.0), Tensor(0), Tensor(np.zeros((0, 3), np.int32))
    assert one.gather(0, zero).item() == 3
    assert one.scatter(0, zero, 4.0).item() == 4
    assert one.scatter_add(0, zero, Tensor(4.0)).item() == 7
    assert one.index_add(0, zero, Tensor(4.0)).item() == 7
    assert one.take(Tensor([[0, -1]])).tolist() == [[3, 3]]
    x = Tensor([[1.0, 2.0, 3.0]])
    assert x.gather(0, none).shape == (0, 3)
    assert x.scatter(0, none, x).tolist() == x.scatter_reduce(0, none, x, "mean", include_self=False).tolist() == x.tolist()
    assert Tensor.zeros(0, 3).gather(0, none).shape == (0, 3)
    assert Tensor.zeros(0, 3).scatter_add(0, none, Tensor.zeros(0, 3)).shape == (0, 3)


def test_places_outside(device: Any) -> None:
    x, i = Tensor([1.0, float("nan"), float("inf")]), Tensor([3, 1, -1, 2])
    assert str(x.gather(0, i).tolist()) == "[0.0, nan, 0.0, inf]", "gather takes no negative places, as PyTorch"
    assert str(x[i].tolist()) == "[0.0, nan, inf, inf]"
    assert Tensor.zeros(3).scatter_add(0, i, Tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [0, 2, 4]
    assert Tensor.zeros(3).scatter(0, i, 5.0).tolist() == [0, 5, 5]
    assert Tensor.zeros(3).index_add(0, Tensor([-1]), Tensor([1.0])).tolist() == [0, 0, 1]


def test_the_gradient_of_gather_compares_one_axis_only() -> None:
    x = Tensor(np.ones((3, 4, 5), np.float32), requires_grad=True)
    x.gather(1, Tensor(np.zeros((3, 2, 5), np.int32))).sum().backward()
    assert x.grad is not None
    compared = [u for u in toposort(x.grad.uop) if u.op is Ops.EQ]
    assert [shape(u) for u in compared] == [(3, 2, 5, 1, 4, 1)]
    assert len(anneal.compile(x.grad, target=anneal.Target.portable()).kernels) == 1


def test_a_diagonal_by_indices_has_its_gradient(device: Any) -> None:
    x = Tensor(A[0, :, :3], requires_grad=True)
    both = Tensor.arange(3)
    (x[both, both] * Tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]


def test_sizes_known_at_run_time() -> None:
    n = build.variable("n", 1, 8)
    table, at = build.param(0, (n, 3), dtypes.float32), build.param(1, (n, 2), dtypes.int32)
    x = Tensor(table)
    read, row = x.gather(1, Tensor(at)).uop, x[:, ::-2].uop
    [found, every] = evaluate([read, row], {table: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], at: [2, 0, 1, 1], n: [2]})
    assert found == [3, 1, 5, 5]
    assert every == [3, 1, 6, 4]
