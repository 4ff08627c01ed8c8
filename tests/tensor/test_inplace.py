"""Changes in place: what they change, what they keep, what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import anneal
from anneal import DTypeError, GradientError, ShapeError, Tensor, dtypes, no_grad
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops


def test_a_buffer_is_written(device: Any) -> None:
    x = Tensor([1.0, 2.0, 3.0]).realize()
    same = x
    x += 1
    x *= Tensor([1.0, 2.0, 3.0])
    assert x is same
    assert x.uop.op is Ops.ASSIGN
    assert x.tolist() == [2, 6, 12]
    x -= 2
    assert x.sub_(4).tolist() == [-4, 0, 6]
    assert x.relu_().tolist() == [0, 0, 6]


def test_what_is_not_computed_yet_becomes_the_expression() -> None:
    x = Tensor([1.0, 2.0]) * 2
    x += 1
    assert x.uop.op is Ops.ADD
    assert len(anneal.compile(x, target=anneal.Target.portable()).kernels) == 1
    assert x.tolist() == [3, 5]


def test_another_tensor_of_the_buffer_keeps_its_values(device: Any) -> None:
    x = Tensor([1.0, 2.0])
    y = Tensor(x)
    x += 1
    assert y.tolist() == [1, 2]
    assert x.tolist() == [2, 3]


def test_all_names_change_the_tensor(interp: Any) -> None:
    alone = (
        "neg abs sign sqrt rsqrt reciprocal square exp exp2 expm1 log log2 log10 log1p sin cos tan asinh sinh cosh tanh atan erf erfc floor ceil round "
        "trunc frac sigmoid logical_not"
    )
    with_one = "add sub mul div floor_divide remainder fmod pow"
    numbers: list[tuple[str, tuple[Any, ...]]] = [
        *((name, ()) for name in alone.split(" ")),
        *((name, (0.75,)) for name in with_one.split(" ")),
        ("clamp", (0.8, 1.0)),
        ("clip", (0.8, 1.0)),
    ]
    values = [0.7, 1.3, 2.9]
    for name, arguments in numbers:
        x, t = Tensor(values), torch.tensor(values)
        assert getattr(x, name + "_")(*arguments) is x, name
        wanted = getattr(t, name + "_")(*arguments)
        np.testing.assert_allclose(x.numpy(), wanted.numpy(), rtol=1e-5, err_msg=name)
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"):
        assert getattr(Tensor([5, 6, -7]), name + "_")(3).tolist() == getattr(torch.tensor([5, 6, -7], dtype=torch.int32), name + "_")(3).tolist(), name
    for name in ("logical_and", "logical_or", "logical_xor", "atan2"):
        x, t = Tensor([0.0, 2.0]), torch.tensor([0.0, 2.0])
        assert getattr(x, name + "_")(Tensor([1.0, 1.0])).tolist() == pytest.approx(getattr(t, name + "_")(torch.ones(2)).tolist()), name
    for name in ("asin", "acos", "atanh"):
        assert getattr(Tensor([0.5]), name + "_")().item() == pytest.approx(getattr(math, name)(0.5)), name
    assert Tensor([2.0]).acosh_().item() == pytest.approx(math.acosh(2))
    assert Tensor([5, -7]).bitwise_not_().tolist() == [-6, 6]
    assert Tensor([1.0, 2.0]).copysign_(Tensor([-1.0, 1.0])).tolist() == [-1, 2]
    assert Tensor([1.0, 2.0]).lerp_(Tensor([3.0, 3.0]), 0.5).tolist() == [2, 2.5]
    for name in ("leaky_relu_", "relu6_", "hardtanh_", "silu_", "elu_"):
        x = Tensor([-1.0, 0.5])
        assert getattr(x, name)() is x
        np.testing.assert_allclose(x.numpy(), getattr(Tensor([-1.0, 0.5]), name[:-1])().numpy())


def test_filling_and_copying(device: Any) -> None:
    x = Tensor([[1, 2], [3, 4]])
    assert x.fill_(2.9).tolist() == [[2, 2], [2, 2]], "in the tensor's dtype, as PyTorch does"
    assert x.copy_(Tensor([5.5, -1.5])).tolist() == [[5, -1], [5, -1]]
    assert x.copy_([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert x.fill_(Tensor(7)).tolist() == [[7, 7], [7, 7]]
    assert x.zero_().tolist() == [[0, 0], [0, 0]]
    assert x.dtype is dtypes.int32
    assert Tensor.zeros(0, 2).fill_(1).add_(1).shape == (0, 2)
    assert Tensor(2.0).mul_(3).item() == 6


def test_elements_change_in_place(device: Any) -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    x[0] += 10
    assert x.tolist() == [[11, 12], [3, 4]]


def test_gradients_follow(device: Any) -> None:
    x, t = Tensor([0.5, 2.0], requires_grad=True), torch.tensor([0.5, 2.0], requires_grad=True)
    y, u = x * 3, t * 3
    y += x
    u += t
    y *= y
    u = u * u
    y.sum().backward()
    u.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy())  # type: ignore[union-attr]


def test_a_leaf_with_a_gradient_is_left_alone() -> None:
    x = Tensor([1.0], requires_grad=True)
    acts: list[Callable[[], object]] = [lambda: x.add_(1), x.zero_, lambda: x.__iadd__(1), lambda: x.copy_(Tensor([2.0])), lambda: x.uniform_(0, 1)]
    for act in acts:
        with pytest.raises(GradientError, match="a leaf tensor that requires a gradient"):
            act()
        with pytest.raises(RuntimeError):
            act()
    with no_grad():
        x -= 0.25
    assert x.requires_grad
    assert x.tolist() == [0.75]


def test_results_that_do_not_fit() -> None:
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: Tensor([1]).add_(1.5), DTypeError, "int32 tensor cannot take a float32 result"),
        (lambda: Tensor([True]).add_(1), DTypeError, "bool tensor cannot take a int32"),
        (lambda: Tensor([1.0]).add_(Tensor([1.0, 2.0])), ShapeError, r"shape \(1,\) cannot take a result of shape \(2,\)"),
        (lambda: Tensor([1.0, 2.0]).copy_(Tensor([1.0, 2.0, 3.0])), ShapeError, "cannot broadcast"),
    ]
    for act, error, words in refused:
        with pytest.raises(error, match=words):
            act()


def test_narrow_floats_stay_narrow(device: Any) -> None:
    x = Tensor([1.0, 2.0], dtype=dtypes.bfloat16)
    x += Tensor([0.5, 0.001])
    assert x.dtype is dtypes.bfloat16
    assert x.tolist() == [1.5, 2.0]


def test_constants_change_too(device: Any) -> None:
    x = Tensor.zeros(2)
    for _ in range(3):
        x += 1
    assert x.tolist() == [3, 3]
    assert all(u.op is not Ops.BUFFER for u in toposort((Tensor.ones(2).add_(1)).uop))
