"""Creation: what data becomes, and constants of the graph."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes
from anneal.ir.dtype import DType
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.tensor import host

DATA: list[tuple[Any, tuple[int, ...], DType, Any]] = [
    (3, (), dtypes.int32, 3),
    (2.5, (), dtypes.float32, 2.5),
    (True, (), dtypes.bool, True),
    ([1, 2.5], (2,), dtypes.float32, [1, 2.5]),
    ([True, 2], (2,), dtypes.int32, [1, 2]),
    ([[True], [False]], (2, 1), dtypes.bool, [[True], [False]]),
    ([], (0,), dtypes.float32, []),
    ([[], []], (2, 0), dtypes.float32, [[], []]),
    (((1, 2), [3, 4]), (2, 2), dtypes.int32, [[1, 2], [3, 4]]),
    (range(3), (3,), dtypes.int32, [0, 1, 2]),
    ([math.inf, -math.inf], (2,), dtypes.float32, [math.inf, -math.inf]),
    ([1e300], (1,), dtypes.float32, [math.inf]),
    (np.arange(3), (3,), dtypes.int32, [0, 1, 2]),
    (np.array([0.5, 1e-3]), (2,), dtypes.float32, [0.5, float(np.float32(1e-3))]),
    (np.array([0.1], np.float16), (1,), dtypes.float16, [0.0999755859375]),
    (np.array([200], np.uint8), (1,), dtypes.uint8, [200]),
    (np.array([-5], np.int8), (1,), dtypes.int8, [-5]),
    (np.array([2**32 - 1], np.uint64), (1,), dtypes.uint32, [2**32 - 1]),
    (np.array([True, False]), (2,), dtypes.bool, [True, False]),
    (np.array([1, 2, 3, 4], ">f4"), (4,), dtypes.float32, [1, 2, 3, 4]),
    (np.asfortranarray(np.arange(6).reshape(2, 3)), (2, 3), dtypes.int32, [[0, 1, 2], [3, 4, 5]]),
    (np.arange(10)[::3], (4,), dtypes.int32, [0, 3, 6, 9]),
    (np.float64(1.5), (), dtypes.float32, 1.5),
    ([np.float32(1.5), np.int64(2)], (2,), dtypes.float32, [1.5, 2]),
]


@pytest.mark.parametrize(("data", "shape", "dtype", "wanted"), DATA)
def test_data(data: Any, shape: tuple[int, ...], dtype: DType, wanted: Any) -> None:
    x = Tensor(data)
    assert (x.shape, x.dtype, x.tolist()) == (shape, dtype, wanted)
    assert x.numpy().shape == shape
    assert x.numpy().tolist() == wanted


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float16, dtypes.bfloat16, dtypes.int32, dtypes.uint32, dtypes.bool])
@pytest.mark.parametrize("as_array", [False, True])
def test_explicit_dtypes(dtype: DType, as_array: bool) -> None:
    values = [0, 1, 3]
    x = Tensor(np.array(values) if as_array else values, dtype=dtype)
    assert x.dtype is dtype
    assert x.tolist() == [dtype.round(v) for v in values]
    assert len(x.data()) == 3 * dtype.storage


def test_rounding_into_narrow_floats() -> None:
    third = [1 / 3, 65519.0, 65520.0]
    assert Tensor(third, dtype=dtypes.float16).tolist() == Tensor(np.array(third), dtype=dtypes.float16).tolist() == [0.333251953125, 65504.0, math.inf]
    assert Tensor(np.array([1.00390625, 1.01171875]), dtype=dtypes.bfloat16).tolist() == [1.0, 1.015625]
    assert Tensor([1.7, -1.7, math.nan], dtype=dtypes.int32).tolist() == Tensor(np.array([1.7, -1.7, math.nan]), dtype=dtypes.int32).tolist() == [1, -1, 0]


def test_data_that_cannot_be() -> None:
    for data, dtype, error, words in [
        ([[1, 2], [3]], None, ShapeError, r"ragged data: at \[1\] there should be 2 elements"),
        ([[1, 2], 3], None, ShapeError, r"ragged data: at \[1\]"),
        ([1, [2]], None, ShapeError, r"ragged data: at \[1\] there is a sequence"),
        ([[1], ["a"]], None, DTypeError, r"numbers, not str \(at \[1, 0\]\)"),
        ("text", None, DTypeError, "numbers, not str"),
        ([[1, 2], [3, 2**31]], None, DTypeError, r"2147483648 at \[1, 1\] does not fit int32"),
        (np.array([[1, 2], [-(2**40), 3]]), None, DTypeError, r"-1099511627776 at \[1, 0\] does not fit int32"),
        ([-1], dtypes.uint32, DTypeError, r"-1 at \[0\] does not fit uint32"),
        ([1.0], dtypes.float64, DTypeError, "float64 cannot be stored"),
        (np.array([1]), dtypes.int64, DTypeError, "int64 cannot be stored"),
        (np.array([1j]), None, DTypeError, "cannot hold NumPy's complex128"),
        (np.array(["a"]), None, DTypeError, "cannot hold NumPy's <U1"),
    ]:
        with pytest.raises(error, match=words):
            Tensor(data, dtype=dtype)


def test_buffers_are_little_endian() -> None:
    assert host.encode([1.0]).data == bytes.fromhex("0000803f")
    assert host.encode([True, False]).data == bytes.fromhex("0100000000000000")
    assert host.encode([1.0], dtypes.float16).data == bytes.fromhex("003c0000"), "filled up to 4 bytes"
    assert host.encode([1.0], dtypes.bfloat16).data == bytes.fromhex("803f0000")
    assert host.encode([1.0, -2.0, 448.0], dtypes.float8_e4m3).data == bytes.fromhex("38c07e00")
    assert host.encode([1.0, -2.0], dtypes.float8_e5m2).data == bytes.fromhex("3cc00000")
    assert host.encode([1, -2, 127], dtypes.int8).data == bytes.fromhex("01fe7f00")
    assert host.encode([1, 65535], dtypes.uint16).data == bytes.fromhex("0100ffff")
    assert bytes(Tensor([258]).data()) == array("i", [258]).tobytes()


def test_constants(device: Any) -> None:
    for found, wanted in [
        (Tensor.zeros(2, 3), np.zeros((2, 3))),
        (Tensor.ones((2,)), np.ones(2)),
        (Tensor.full((1, 2), 7), np.full((1, 2), 7)),
        (Tensor.arange(5) + 0, np.arange(5)),
        (Tensor.arange(2, 11, 3) + 0, np.arange(2, 11, 3)),
        (Tensor.arange(5, 0, -2), np.arange(5, 0, -2)),
        (Tensor.arange(0, 1, 0.25), np.arange(0, 1, 0.25)),
        (Tensor.linspace(-1, 1, 5), np.linspace(-1, 1, 5)),
        (Tensor.linspace(3, 4, 1), np.linspace(3, 4, 1)),
        (Tensor.eye(2, 3), np.eye(2, 3)),
        (Tensor([[1, 2]]).full_like(4), np.full((1, 2), 4)),
        (Tensor([1.5]).ones_like(), np.ones(1)),
        (Tensor([1.5]).zeros_like(dtypes.int32), np.zeros(1)),
        (Tensor([2, 0, 5]).one_hot(3), np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0]])),
    ]:
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)


def test_constants_alone(device: Any) -> None:
    assert Tensor.arange(4).tolist() == [0, 1, 2, 3]
    assert Tensor.arange(0).tolist() == []
    assert Tensor.full((), 2.5).item() == 2.5
    assert Tensor.zeros(2, 0).tolist() == [[], []]


def test_constants_have_no_buffers() -> None:
    for x in (Tensor.zeros(3), Tensor.arange(3), Tensor.eye(3), Tensor.full((2, 2), 1.5), Tensor.linspace(0, 1, 3)):
        assert all(u.op is not Ops.BUFFER for u in toposort(x.uop))


def test_dtypes_of_constants() -> None:
    assert Tensor.arange(3).dtype is dtypes.int32
    assert Tensor.arange(3.0).dtype is dtypes.float32
    assert Tensor.full((1,), True).dtype is dtypes.bool
    assert Tensor.full((1,), 1).dtype is dtypes.int32
    assert Tensor.eye(2, dtype=dtypes.bool).dtype is dtypes.bool


def test_constants_that_cannot_be() -> None:
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: Tensor.zeros(2, -1), ShapeError, "sizes start at 0"),
        (lambda: Tensor.arange(0, 5, 0), ShapeError, "in steps of 0"),
        (lambda: Tensor.arange(5, 0), ShapeError, "lead away from 0"),
        (lambda: Tensor.linspace(0, 1, -1), ShapeError, "sizes start at 0"),
        (lambda: Tensor.linspace(0, 1, 3, dtype=dtypes.int32), DTypeError, "makes floats"),
        (lambda: Tensor.eye(-1), ShapeError, "sizes start at 0"),
        (lambda: Tensor.meshgrid(Tensor.zeros(2, 2)), ShapeError, "takes vectors"),
        (lambda: Tensor.meshgrid(Tensor.zeros(2), indexing="yx"), UsageError, "indexing"),
        (lambda: Tensor.arange(3_000_000_000, 3_000_000_002), DTypeError, "does not fit int32"),
        (lambda: Tensor.full((2,), 2**31), DTypeError, "does not fit int32"),
        (lambda: Tensor.zeros(2, dtype=dtypes.float64), DTypeError, "float64 cannot be stored"),
        (lambda: Tensor([1.0]).one_hot(2), DTypeError, "needs integers"),
        (lambda: Tensor([1.0]).tril(), ShapeError, "needs a matrix"),
    ]
    for act, error, words in refused:
        with pytest.raises(error, match=words):
            act()


def test_alike_and_alone() -> None:
    x = Tensor.zeros(2, 3, dtype=dtypes.int32)
    for made in (x.zeros_like(requires_grad=False), x.ones_like(), x.full_like(2), x.empty_like(), Tensor.empty(2, 3, dtype=dtypes.int32)):
        assert (made.shape, made.dtype) == ((2, 3), dtypes.int32)
    assert x.ones_like(dtypes.float32, requires_grad=True).requires_grad
    assert Tensor.empty(2, requires_grad=True).requires_grad
    assert [g.shape for g in Tensor.meshgrid(Tensor(1.0), Tensor.zeros(0))] == [(1, 0), (1, 0)]
    assert Tensor.tri(0, 3).shape == (0, 3)
    assert Tensor.linspace(0.1, 0.7, 4).tolist()[-1] == Tensor(0.7).item(), "the end is the end"
