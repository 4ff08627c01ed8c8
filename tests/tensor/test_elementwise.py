"""Elementwise functions agree with PyTorch in values, dtypes and gradients, special values included."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 0.3, -7.25, 100.0, -100.0, math.inf, -math.inf, math.nan]
SMOOTH = [0.7, -0.4, 1.3, 2.2, -1.9, 0.2]
POSITIVE = [0.7, 0.1, 1.3, 2.2, 5.0]
TORCH = {dtypes.float32: torch.float32, dtypes.int32: torch.int32, dtypes.bool: torch.bool, dtypes.float16: torch.float16}


def agree(found: Tensor, wanted: torch.Tensor, *, rtol: float = 2e-6, atol: float = 1e-6) -> None:
    """Shapes, kinds and values are the same; NaN equals NaN."""
    assert found.shape == tuple(wanted.shape)
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=rtol, atol=atol)


UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": operator.neg,
    "abs": abs,
    "exp": lambda x: x.exp(),
    "exp2": lambda x: x.exp2(),
    "log": lambda x: x.log(),
    "log2": lambda x: x.log2(),
    "sqrt": lambda x: x.sqrt(),
    "rsqrt": lambda x: x.rsqrt(),
    "reciprocal": lambda x: x.reciprocal(),
    "sigmoid": lambda x: x.sigmoid(),
    "tanh": lambda x: x.tanh(),
    "relu": lambda x: x.relu(),
    "sign": lambda x: x.sign(),
    "floor": lambda x: x.floor(),
    "ceil": lambda x: x.ceil(),
    "trunc": lambda x: x.trunc(),
    "round": lambda x: x.round(),
    "square": lambda x: x.square(),
    "isnan": lambda x: x.isnan(),
    "isinf": lambda x: x.isinf(),
    "logical_not": lambda x: x.logical_not(),
    "erf": lambda x: x.erf(),
    "pow2": lambda x: x**2,
    "pow3": lambda x: x**3,
    "pow0": lambda x: x**0,
    "pow-1": lambda x: x**-1,
    "pow-2": lambda x: x**-2,
    "pow2.0": lambda x: x**2.0,
    "pow1.7": lambda x: x**1.7,
    "pow-1.5": lambda x: x**-1.5,
    "pow0.25": lambda x: x**0.25,
    "2pow": lambda x: 2**x,
    "radd": lambda x: 1 + x,
    "rsub": lambda x: 1 - x,
    "rmul": lambda x: 3 * x,
    "rdiv": lambda x: 1 / x,
    "div": lambda x: x / 3,
    "floordiv": lambda x: x // 2,
    "mod": lambda x: x % 3,
    "mod-": lambda x: x % -2.5,
    "lt": lambda x: x < 0.5,
    "le": lambda x: x <= 0.5,
    "gt": lambda x: x > 0.5,
    "ge": lambda x: x >= 0.5,
    "eq": lambda x: x == 0.5,
    "ne": lambda x: x != 0.5,
}
FLAT = {"floor", "ceil", "trunc", "round", "sign", "isnan", "isinf", "logical_not", "lt", "le", "gt", "ge", "eq", "ne", "floordiv", "pow0"}


@pytest.mark.parametrize("name", UNARY)
def test_special_values(device: Any, name: str) -> None:
    values = [v for v in SPECIAL if not (name.startswith(("mod", "floordiv")) and math.isinf(v))]
    wanted = UNARY[name](torch.tensor(values))
    agree(UNARY[name](Tensor(values)), wanted, rtol=5e-5 if name in ("exp", "2pow", "pow1.7") else 1e-5)


@pytest.mark.parametrize("name", [n for n in UNARY if n not in FLAT])
def test_gradients(interp: Any, name: str) -> None:
    values = POSITIVE if any(s in name for s in ("log", "sqrt", "pow1.7", "pow-1.5", "pow0.25")) else SMOOTH
    x, t = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    UNARY[name](x).sum().backward()
    UNARY[name](t).sum().backward()
    assert x.grad is not None
    agree(x.grad, t.grad, rtol=1e-4)  # type: ignore[arg-type]


def test_gradients_at_corners(interp: Any) -> None:
    corners = {
        "relu": (0.0, 0.0),
        "abs": (0.0, 0.0),
        "sigmoid": (-200.0, 0.0),
        "tanh": (0.0, 1.0),
        "softplus": (0.0, 0.5),
        "erf": (0.0, 2 / math.sqrt(math.pi)),
    }
    for name, (at, wanted) in corners.items():
        x = Tensor([at], requires_grad=True)
        getattr(x, name)().sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == pytest.approx([wanted], abs=2e-5), name


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
    "pow": operator.pow,
}


@pytest.mark.parametrize("name", BINARY)
def test_pairs_of_special_values(device: Any, name: str) -> None:
    left = [a for a in SPECIAL for _ in SPECIAL]
    right = SPECIAL * len(SPECIAL)
    agree(BINARY[name](Tensor(left), Tensor(right)), BINARY[name](torch.tensor(left), torch.tensor(right)), rtol=3e-5)


def test_larger_and_smaller(device: Any) -> None:
    left, right = [1.0, math.nan, -2.0, 3.0], [2.0, 1.0, math.nan, 3.0]
    agree(Tensor(left).maximum(Tensor(right)), torch.tensor(left).maximum(torch.tensor(right)))
    agree(Tensor(left).minimum(Tensor(right)), torch.tensor(left).minimum(torch.tensor(right)))


def test_integer_division_floors(device: Any) -> None:
    a, b = Tensor([-7, -7, 7, 7, 5]), Tensor([3, -3, -3, 3, 0])
    assert (a // b).tolist() == [-3, 2, -3, 2, 0]
    assert (a % b).tolist() == [2, -1, -2, 1, 0]
    assert (-7 // Tensor([3])).tolist() == [-3]
    assert (-7 % Tensor([3])).tolist() == [2]
    assert (Tensor([7]) / 2).tolist() == [3.5]
    assert (Tensor([2_000_000_000]) + 2_000_000_000).tolist() == [-294967296]


def test_bits(device: Any) -> None:
    assert (Tensor([5]) ^ 3).tolist() == [6]
    assert (Tensor([1]) << 4).tolist() == [16]
    assert (1 << Tensor([4])).tolist() == [16]
    assert (Tensor([-16]) >> 2).tolist() == [-4]
    assert (Tensor([2**32 - 16], dtype=dtypes.uint32) >> 4).tolist() == [2**28 - 1]
    assert (~Tensor([0, 5])).tolist() == [-1, -6]
    assert (~Tensor([True, False])).tolist() == [False, True]
    assert (Tensor([12]) & 10 | 1).tolist() == [9]
    assert Tensor([1.0]).bitcast(dtypes.int32).tolist() == [0x3F800000]


def test_logic_of_bool(device: Any) -> None:
    p, q = Tensor([True, True, False, False]), Tensor([True, False, True, False])
    assert (p & q).tolist() == [True, False, False, False]
    assert (p | q).tolist() == [True, True, True, False]
    assert (p ^ q).tolist() == [False, True, True, False]
    assert (p + q).tolist() == [True, True, True, False]
    assert (p * q).tolist() == [True, False, False, False]
    assert (p + 1).tolist() == [2, 2, 1, 1]
    with pytest.raises(DTypeError, match="not defined for bool"):
        p.__sub__(q)
    with pytest.raises(DTypeError, match="not defined for bool"):
        p.__neg__()


def test_numbers_take_the_tensors_dtype() -> None:
    cases: list[tuple[Any, Any]] = [
        (Tensor([1]) * 2.5, dtypes.float32),
        (Tensor([1.0]).half() * 2.5, dtypes.float16),
        (Tensor([1.0]).half() * 2, dtypes.float16),
        (Tensor([1]) * 2, dtypes.int32),
        (Tensor([True]) * 2, dtypes.int32),
        (Tensor([True]) * 2.0, dtypes.float32),
        (Tensor([1]) & True, dtypes.int32),
        (Tensor([1], dtype=dtypes.uint32) + 1, dtypes.uint32),
        (Tensor([1]) + Tensor([1.0]).half(), dtypes.float16),
        (Tensor([1.0], dtype=dtypes.bfloat16) + Tensor([1.0]).half(), dtypes.float32),
        (Tensor([1]) / Tensor([2]), dtypes.float32),
        (Tensor([True]).where(1, 2), dtypes.int32),
        (Tensor([True]).where(1, 2.0), dtypes.float32),
        (Tensor([True]).where(Tensor([1]), 2.0), dtypes.float32),
    ]
    for found, wanted in cases:
        assert found.dtype is wanted


def test_dtypes_that_cannot_meet() -> None:
    with pytest.raises(DTypeError, match="int64 cannot be stored"):
        Tensor([1], dtype=dtypes.uint32) + Tensor([1])
    with pytest.raises(DTypeError, match="3000000000 does not fit int32"):
        Tensor([1]) + 3_000_000_000
    with pytest.raises(DTypeError, match="float64 cannot be stored"):
        Tensor([1.0]).cast(dtypes.float64)
    with pytest.raises(DTypeError, match="and needs integers or bool, not float32"):
        Tensor([1.0]) & 1
    with pytest.raises(DTypeError, match="not whole"):
        Tensor([2]) ** -1


def test_casts(device: Any) -> None:
    x = Tensor([2.7, -2.7, math.nan, 1e20, 0.0])
    assert x.int().tolist() == [2, -2, 0, 2**31 - 1, 0]
    assert x.bool().tolist() == [True, True, True, True, False]
    assert Tensor([300, 0]).bool().int().tolist() == [1, 0]
    assert Tensor([0.1]).half().float().tolist() == [0.0999755859375]
    assert Tensor([1 + 1 / 256]).cast(dtypes.bfloat16).tolist() == [1.0]


def test_shapes_broadcast(device: Any) -> None:
    a, b = np.arange(6.0, dtype=np.float32).reshape(2, 1, 3), np.arange(4.0, dtype=np.float32).reshape(4, 1)
    np.testing.assert_array_equal((Tensor(a) + Tensor(b)).numpy(), a + b)
    np.testing.assert_array_equal((Tensor(a) * Tensor(2.0)).numpy(), a * 2)
    with pytest.raises(ShapeError, match=r"cannot broadcast shapes \(2, 3\) and \(4,\): axis -1 has sizes 3 and 4"):
        Tensor.zeros(2, 3) + Tensor.zeros(4)


def test_choice(device: Any) -> None:
    mask = Tensor([[True], [False]])
    assert mask.where(Tensor([1, 2]), 0).tolist() == [[1, 2], [0, 0]]
    assert mask.where(0, Tensor([1.5, 2])).tolist() == [[0, 0], [1.5, 2]]
    assert mask.where(1, 2).tolist() == [[1], [2]]
    assert Tensor([1.0, 2.0]).masked_fill(Tensor([True, False]), -math.inf).tolist() == [-math.inf, 2.0]
    with pytest.raises(DTypeError, match="bool condition"):
        Tensor([1]).where(1, 2)


def test_other_operands(device: Any) -> None:
    assert (np.array([1.0, 2.0]) + Tensor([1.0, 1.0])).tolist() == [2, 3]
    assert (Tensor([1, 2]) * [3, 4]).tolist() == [3, 8]
    assert (Tensor([1.0]) * np.float64(2)).dtype is dtypes.float32
    assert (Tensor([1.0]).half() * np.float32(2)).dtype is dtypes.float16, "a number of NumPy's is a number"
    with pytest.raises(UsageError, match="approximate"):
        Tensor([2.0]).gelu("fast")
