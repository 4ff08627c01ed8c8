"""Functions are good to a few units in the last place near 0, right at the edges, and differentiable more than once; remainders are exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes, no_grad

NEAR = np.random.default_rng(0).uniform(-1, 1, 300) * 10.0 ** np.random.default_rng(1).uniform(-9, 0, 300)
UNITS = {
    "log1p": (NEAR * 0.999, 4),
    "expm1": (NEAR, 4),
    "sinh": (NEAR, 4),
    "tanh": (NEAR * 4, 5),
    "asinh": (NEAR * 9, 5),
    "acosh": (1 + np.abs(NEAR) * 9, 5),
    "atanh": (NEAR * 0.999, 5),
    "atan": (NEAR * 9, 5),
    "asin": (NEAR, 5),
    "erf": (NEAR * 3, 5),
    "erfc": (NEAR, 5),
    "tan": (NEAR, 5),
}
"""Where each function is tried, and how many units in the last place it may be off."""


@pytest.mark.parametrize("device", ["reference", "webgpu"])
def test_units_in_the_last_place(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    found = {name: getattr(Tensor(values.astype(np.float32)), name)() for name, (values, _) in UNITS.items()}
    Tensor.realize(*found.values())
    for name, (values, units) in UNITS.items():
        wanted = getattr(torch, name)(torch.tensor(values.astype(np.float32), dtype=torch.float64)).numpy()
        off = np.abs(found[name].numpy().astype(np.float64) - wanted) / np.spacing(np.abs(wanted).astype(np.float32))
        assert off.max() <= units, (name, off.max(), values[off.argmax()])


@pytest.mark.parametrize("device", ["reference", "webgpu"])
def test_signs_of_zeros(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    names = ("log1p", "expm1", "sinh", "tanh", "asinh", "atanh", "atan", "asin", "erf", "sin", "tan")
    zero = Tensor([0.0, -0.0])
    found = [getattr(zero, name)() for name in names]
    Tensor.realize(*found)
    for name, one in zip(names, found, strict=True):
        assert [math.copysign(1, v) for v in one.tolist()] == [1, -1], name
    assert zero.signbit().tolist() == [False, True]


@pytest.mark.parametrize("device", ["reference", "webgpu"])
def test_waves_far_out(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    values = np.concatenate([np.linspace(-40, 40, 99), [88.0, 1000.5, -9999.0]]).astype(np.float32)
    np.testing.assert_allclose(Tensor(values).cos().numpy(), np.cos(values.astype(np.float64)), atol=5e-7)
    np.testing.assert_allclose(Tensor(values).sin().numpy(), np.sin(values.astype(np.float64)), atol=5e-7)
    assert all(math.isnan(v) for v in Tensor([math.inf, -math.inf, math.nan]).cos().tolist())


def test_angles_of_all_quarters(device: Any) -> None:
    ends = [0.0, -0.0, 1.0, -1.0, 3.0, -0.25, 1e-30, 3e38, math.inf, -math.inf, math.nan]
    y, x = [a for a in ends for _ in ends], ends * len(ends)
    np.testing.assert_allclose(Tensor(y).atan2(Tensor(x)).numpy(), torch.atan2(torch.tensor(y), torch.tensor(x)).numpy(), rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("name", ["log1p", "expm1", "sinh", "cosh", "tanh", "asinh", "atanh", "atan", "asin", "erf", "softplus", "mish"])
def test_second_derivatives(interp: Any, name: str) -> None:
    values = [-0.8, -0.3, 0.1, 0.45, 0.7]
    x, t = Tensor(values, requires_grad=True), torch.tensor(values, dtype=torch.float64, requires_grad=True)
    theirs: Callable[[torch.Tensor], torch.Tensor] = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    (first,) = getattr(x, name)().sum().gradient(x)
    (wanted,) = torch.autograd.grad(theirs(t).sum(), t, create_graph=True)
    np.testing.assert_allclose(first.numpy(), wanted.detach().numpy(), rtol=2e-5)
    (second,) = first.sum().gradient(x)
    (wanted,) = torch.autograd.grad(wanted.sum(), t)
    np.testing.assert_allclose(second.numpy(), wanted.numpy(), rtol=2e-4, atol=2e-5)


def test_gradients_at_ends_and_far_out(interp: Any) -> None:
    """No branch that is not taken spoils the gradient of one that is."""
    far = [0.0, 1.0, -1.0, 80.0, -80.0, 1e20, -1e20]
    for name in ("tanh", "asinh", "atan", "erf", "sigmoid", "softplus", "logsigmoid", "mish", "silu", "gelu", "elu", "hardswish", "clamp", "relu6"):
        arguments = (-1, 1) if name == "clamp" else ()
        x, t = Tensor(far, requires_grad=True), torch.tensor(far, dtype=torch.float64, requires_grad=True)
        theirs = getattr(torch, name, None) or getattr(torch.nn.functional, name)
        getattr(x, name)(*arguments).sum().backward()
        theirs(t, *arguments).sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)  # type: ignore[union-attr]


@pytest.mark.parametrize("device", ["reference", "webgpu"])
def test_remainders_are_exact(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    generator = np.random.default_rng(3)
    b = (generator.uniform(0.1, 3, 400) * generator.choice([-1, 1], 400)).astype(np.float32)
    a = (b * generator.uniform(-1, 1, 400) * 2.0 ** generator.uniform(0, 23, 400)).astype(np.float32)
    with no_grad():
        rest, modulo, whole = Tensor(a).fmod(Tensor(b)), Tensor(a) % Tensor(b), Tensor(a) // Tensor(b)
        Tensor.realize(rest, modulo, whole)
    np.testing.assert_array_equal(rest.numpy(), np.fmod(a, b))
    np.testing.assert_array_equal(modulo.numpy(), np.remainder(a, b))
    np.testing.assert_array_equal(whole.numpy(), np.floor_divide(a, b))
    far = Tensor([1e30, -3e38]) % Tensor([3.0, -0.1])
    assert far.tolist() == [0, 0], "too large to tell, but in range"


def test_remainders_at_the_edges(device: Any) -> None:
    a = [5.0, -5.0, math.inf, 5.0, -5.0, math.nan, 0.0]
    b = [math.inf, math.inf, 2.0, 0.0, -math.inf, 1.0, 3.0]
    x, y = torch.tensor(a), torch.tensor(b)
    np.testing.assert_array_equal((Tensor(a) % Tensor(b)).numpy(), (x % y).numpy())
    np.testing.assert_array_equal(Tensor(a).fmod(Tensor(b)).numpy(), torch.fmod(x, y).numpy())
    np.testing.assert_array_equal((Tensor(a) // Tensor(b)).numpy(), (x // y).numpy())
    assert np.isnan((Tensor([math.inf, -math.inf]) // 2).numpy()).all()


def test_division_of_integers(device: Any) -> None:
    a, b = Tensor([-7, 7, -7, 7, 9]), Tensor([2, -2, -2, 2, 0])
    assert a.fmod(b).tolist() == [-1, 1, -1, 1, 0]
    assert a.div(b, rounding_mode="trunc").tolist() == [-3, -3, 3, 3, 0]
    assert a.div(b, rounding_mode="floor").tolist() == [-4, -4, 3, 3, 0]
    assert a.div(2).tolist() == [-3.5, 3.5, -3.5, 3.5, 4.5]
    assert (Tensor([2**32 - 1], dtype=dtypes.uint32) // 10).tolist() == [429496729]
    assert Tensor([2**32 - 1], dtype=dtypes.uint32).fmod(10).tolist() == [5]
    assert (Tensor([True, False]) // 1).tolist() == [1, 0]


def test_powers_of_integers(device: Any) -> None:
    assert (Tensor([2, 3, -2, 7]) ** Tensor([10, 0, 31, 1])).tolist() == [1024, 1, -(2**31), 7]
    assert (Tensor([2, 1, -1, -1, 0]) ** Tensor([-1, -5, -3, -4, -1])).tolist() == [0, 1, -1, 1, 0]
    assert (3 ** Tensor([0, 1, 4])).tolist() == [1, 3, 81]
    assert (Tensor([3]) ** 100).tolist() == [pow(3, 100, 2**32) - 2**32 if pow(3, 100, 2**32) >= 2**31 else pow(3, 100, 2**32)]


def test_shifts_beyond_the_bits(device: Any) -> None:
    x = Tensor([5, -5])
    assert (x << Tensor([32, 40])).tolist() == [0, 0]
    assert (x >> Tensor([32, 31])).tolist() == [0, -1]
    assert (x << 32).tolist() == [0, 0]
    assert (x >> 99).tolist() == [0, -1]
    assert (Tensor([2**31], dtype=dtypes.uint32) >> 32).tolist() == [0]


def test_nothing_and_one_number(interp: Any) -> None:
    """Each function takes tensors without elements and without axes."""
    names = "exp log1p expm1 tanh sinh asinh acosh atanh atan asin acos erf erfc round gelu mish selu softplus isfinite logical_not signbit relu hardtanh abs"
    for name in names.split(" "):
        assert getattr(Tensor.zeros(0, 3), name)().shape == (0, 3)
        assert getattr(Tensor.zeros(0, 3), name)().tolist() == []
        assert getattr(Tensor(0.5), name)().shape == ()
        assert isinstance(getattr(Tensor(0.5), name)().item(), float | bool)
    for name in ("fmod", "atan2", "logaddexp", "copysign", "pow", "isclose", "logical_xor", "maximum", "floor_divide"):
        assert getattr(Tensor.zeros(0, 3), name)(Tensor.ones(3)).tolist() == []
        assert getattr(Tensor(2.0), name)(Tensor([1.0, 2.0])).shape == (2,)


def test_wrong_calls() -> None:
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: Tensor([1.0]).clamp(), UsageError, "clamp needs min, max or both"),
        (lambda: Tensor([1.0]).celu(0), UsageError, "alpha cannot be 0"),
        (lambda: Tensor([1.0]).gelu("fast"), UsageError, "approximate"),
        (lambda: Tensor([1.0]).div(2, rounding_mode="up"), UsageError, "rounding_mode"),
        (lambda: Tensor([1.0]).isclose(1, rtol=-1), UsageError, "rtol"),
        (lambda: Tensor([1.0]).masked_fill(Tensor([1]), 0), DTypeError, "mask of bool, not int32"),
        (lambda: Tensor([1]).masked_fill(Tensor([True]), 1.5), DTypeError, "1.5 is no int32"),
        (lambda: Tensor([1]).masked_fill(Tensor([True]), Tensor([1, 2])), ShapeError, "one number"),
        (lambda: Tensor([True]).neg(), DTypeError, "not defined for bool"),
        (lambda: Tensor([1.0]).bitwise_left_shift(1), DTypeError, "needs integers"),
        (lambda: Tensor([1.0]).bitwise_not(), DTypeError, "needs integers or bool"),
        (lambda: Tensor.zeros(2, 3).fmod(Tensor.zeros(4)), ShapeError, "cannot broadcast"),
    ]
    for act, error, words in refused:
        with pytest.raises(error, match=words):
            act()


def test_functions_of_narrow_floats_round_once(device: Any) -> None:
    values = [7.5, -3.25, 0.1, 2.0]
    for name in ("exp", "sigmoid", "tanh", "gelu", "softplus", "erf"):
        x = Tensor(values, dtype=dtypes.bfloat16)
        found = getattr(x, name)()
        assert found.dtype is dtypes.bfloat16
        assert found.tolist() == getattr(x.float(), name)().cast(dtypes.bfloat16).tolist(), name
