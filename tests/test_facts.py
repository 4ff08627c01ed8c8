"""The facts that this compiler is held to: known values, kernel counts, and mistakes that must not happen, on both devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

import anneal
from anneal import Plan, Target, Tensor, dtypes, nn
from anneal.ir import build
from anneal.ir.dtype import DType
from anneal.ir.ops import Ops

Array = NDArray[Any]
DEVICES: Final = ("webgpu", "reference")
PORTABLE: Final = Target.portable()
NAN, INF = math.nan, math.inf

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # NumPy, where the values are the point


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def random(*dims: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(dims).astype(np.float32)


def plan(*outputs: Tensor, target: Target = PORTABLE) -> Plan:
    return anneal.compile(*outputs, target=target)


def invocations(p: Plan) -> list[int]:
    """Invocations of each kernel."""
    return [math.prod(int(n) for n in k.workgroups) * math.prod(k.workgroup_size) for k in p.kernels]


# Values.


def test_known_values(device: str) -> None:
    matrix = Tensor(np.arange(1, 17, dtype=np.float32).reshape(4, 4), device=device)
    assert Tensor([0.0, 1.0, 2.0, 3.0], device=device).exp2().tolist() == [1, 2, 4, 8]
    assert Tensor([1.0, 2, 3, 4, 5, 6, 7, 8], device=device).sum().item() == 36
    assert matrix.sum(0).tolist() == [28, 32, 36, 40]
    assert Tensor([-5.0, -3, -1, -4], device=device).max().item() == -1
    product = Tensor([[1.0, 2, 3], [4, 5, 6]], device=device) @ Tensor([[7.0, 8], [9, 10], [11, 12]], device=device)
    assert product.tolist() == [[58, 64], [139, 154]]


def test_mean_squared_error_and_its_gradients(device: str) -> None:
    x = Tensor([[1.0, 2, 3], [4, 5, 6]], device=device, requires_grad=True)
    w = Tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], device=device, requires_grad=True)
    loss = (x @ w - Tensor([[1.0, 2], [3, 4]], device=device)).square().mean()
    loss.backward()
    assert x.grad is not None
    assert w.grad is not None
    Tensor.realize(loss, x.grad, w.grad)
    assert loss.item() == pytest.approx(2.8625)
    assert x.grad.flatten().tolist() == pytest.approx([0.14, 0.34, 0.54, 0.335, 0.765, 1.195], rel=1e-5)
    assert w.grad.flatten().tolist() == pytest.approx([4.4, 5.2, 5.95, 6.8, 7.5, 8.4], rel=1e-5)


def test_gradient_of_exp2(device: str) -> None:
    x = Tensor([0.0, 1, 2, 3], device=device, requires_grad=True)
    x.exp2().sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([math.log(2) * n for n in (1, 2, 4, 8)])


def test_padding_inside_reductions(device: str) -> None:
    x = Tensor([-3.0, -1, -4, -2], device=device)
    assert x.pad([(2, 2)]).max().item() == 0
    assert x.pad([(2, 2)], -INF).max().item() == -1
    assert x.reshape(1, 1, 2, 2).max_pool2d(2, padding=1, stride=1).max().item() == -1
    assert Tensor([1.0, 2, 3, 4], device=device).pad([(1, 1)]).sum().item() == 10
    assert Tensor([[1.0, 2, 3], [4, 5, 6]], device=device).pad([(1, 1), (0, 0)]).sum(0).tolist() == [5, 7, 9]


def test_ties_share_the_gradient_of_a_maximum(device: str) -> None:
    x = Tensor([3.0, 3, 1, 2], device=device, requires_grad=True)
    x.max().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.5, 0.5, 0, 0]
    y = Tensor([3.0, 3, 1, 2], device=device, requires_grad=True)
    y.unfold(0, 2, 2).max(1).sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [0.5, 0.5, 0, 1]


def test_gradient_descent_on_a_parabola(device: str) -> None:
    p = Tensor([3.0], device=device, requires_grad=True)
    optimiser = nn.optim.SGD([p], lr=0.1)
    for n in range(4):
        assert p.item() == pytest.approx(1 + 2 * 0.8**n)
        optimiser.zero_grad()
        (p - 1).square().sum().backward()
        optimiser.step()


def test_cast_adjoint_keeps_precision(device: str) -> None:
    x = Tensor([1.0, 3.0], dtype=dtypes.bfloat16, device=device, requires_grad=True)
    (x.cast(dtypes.float32) * (1 + 1 / 256)).sum().backward()
    assert x.grad is not None
    weights = Tensor([1 + 1 / 256], device=device, requires_grad=True)
    (x.detach().cast(dtypes.float32).sum() * weights).sum().backward()
    assert weights.grad is not None
    assert weights.grad.tolist() == [4.0]
    graph = x.cast(dtypes.float32) * (1 + 1 / 256)
    (gradient,) = graph.sum().gradient(graph)
    assert (gradient * (1 + 1 / 256)).flatten().tolist() == [1.00390625] * 2


# The same folded as computed.


def folded(op: Any, dtype: DType, *values: Any) -> Tensor:
    """An op on constants, which simplification computes."""
    return Tensor(build.alu(op, *(build.const(v, dtype) for v in values)))


@pytest.mark.parametrize(
    ("op", "pairs"),
    [
        (Ops.IDIV, {(-7, 3): -3, (7, -3): -3, (-7, -3): 2, (7, 3): 2, (5, 0): 0, (-(2**31), -1): -(2**31), (0, -5): 0, (-6, 3): -2}),
        (Ops.MOD, {(-7, 3): 2, (7, -3): -2, (-7, -3): -1, (7, 3): 1, (5, 0): 0, (-(2**31), -1): 0, (0, -5): 0, (-6, 3): 0}),
        (Ops.ADD, {(2_000_000_000, 2_000_000_000): -294_967_296, (-(2**31), -1): 2**31 - 1}),
        (Ops.MUL, {(65536, 65536): 0, (-(2**31), -1): -(2**31), (123456789, 1000): (123456789000 + 2**31) % 2**32 - 2**31}),
        (Ops.XOR, {(5, 3): 6, (-1, 1): -2}),
        (Ops.SHL, {(1, 4): 16, (1, 31): -(2**31), (3, 33): 6}),
        (Ops.SHR, {(-16, 2): -4, (16, 36): 1}),
    ],
)
def test_integer_arithmetic_at_run_time_and_folded(op: Any, pairs: dict[tuple[int, int], int], device: str) -> None:
    a, b = (Tensor(list(side), device=device) for side in zip(*pairs, strict=True))
    computed = Tensor(build.alu(op, a.uop, b.uop), device=device)
    assert computed.tolist() == list(pairs.values())
    for operands, wanted in pairs.items():
        constant = folded(op, dtypes.int32, *operands).reshape(1)
        assert Tensor(constant.uop, device=device).tolist() == [wanted]


def test_division_by_a_constant_floors(device: str) -> None:
    values = np.array([-9, -8, -7, -1, 0, 1, 7, 8, 9, 2**31 - 1, -(2**31)], np.int32)
    x = Tensor(values, device=device)
    for d in (1, 2, 3, 4, -3, -4, 7, 1000, 2**31 - 1):
        assert (x // d).tolist() == [int(v) // d for v in values], d
        assert (x % d).tolist() == [int(v) % d for v in values], d
    unsigned = np.array([0, 1, 7, 2**31, 2**32 - 1], np.uint32)
    for d in (1, 3, 8, 2**31 + 1):
        assert (Tensor(unsigned, device=device) // d).tolist() == (unsigned // np.uint32(d)).tolist()
        assert (Tensor(unsigned, device=device) % d).tolist() == (unsigned % np.uint32(d)).tolist()


@pytest.mark.parametrize(
    ("op", "operands", "wanted"), [(Ops.LOG2, (0.0,), -INF), (Ops.SQRT, (-1.0,), NAN), (Ops.DIV, (1.0, 0.0), INF), (Ops.DIV, (0.0, 0.0), NAN)]
)
def test_infinities_and_nan_at_run_time_and_folded(op: Any, operands: Sequence[float], wanted: float, device: str) -> None:
    computed = Tensor(build.alu(op, *(Tensor([v], device=device).uop for v in operands)), device=device).tolist()
    constant = Tensor(folded(op, dtypes.float32, *operands).reshape(1).uop, device=device).tolist()
    assert np.array_equal(computed, [wanted], equal_nan=True)
    assert np.array_equal(constant, [wanted], equal_nan=True)


# NaN, infinities and zeros through every operation.

SPECIAL: Final = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e38, -1e38, 2e-38, 123456.7], np.float32)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param(lambda t: t.exp2(), np.exp2, id="exp2"),
        pytest.param(lambda t: t.exp(), np.exp, id="exp"),
        pytest.param(lambda t: t.log2(), np.log2, id="log2"),
        pytest.param(lambda t: t.sqrt(), np.sqrt, id="sqrt"),
        pytest.param(lambda t: t.floor(), np.floor, id="floor"),
        pytest.param(lambda t: t.abs(), np.abs, id="abs"),
        pytest.param(lambda t: -t, np.negative, id="neg"),
        pytest.param(lambda t: t.relu(), lambda x: np.where(x <= 0, 0, x), id="relu"),
        pytest.param(lambda t: t.sign(), lambda x: np.nan_to_num(np.sign(x)), id="sign"),  # 0 for NaN, as in PyTorch
        pytest.param(lambda t: t.isnan(), np.isnan, id="isnan"),
        pytest.param(lambda t: t.isinf(), np.isinf, id="isinf"),
        pytest.param(lambda t: t.cast(dtypes.bool), lambda x: x.astype(bool), id="bool"),
        pytest.param(lambda t: t.tanh(), np.tanh, id="tanh"),
        pytest.param(lambda t: 1 / t, lambda x: 1 / x, id="reciprocal"),
    ],
)
def test_special_values_through_one_operand(mine: Callable[[Tensor], Tensor], theirs: Callable[[Array], Array], device: str) -> None:
    found, wanted = mine(Tensor(SPECIAL, device=device)).numpy(), np.asarray(theirs(SPECIAL))
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=2e-5, atol=1e-37)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param(lambda a, b: a + b, np.add, id="add"),
        pytest.param(lambda a, b: a - b, np.subtract, id="sub"),
        pytest.param(lambda a, b: a * b, np.multiply, id="mul"),
        pytest.param(lambda a, b: a / b, np.divide, id="div"),
        pytest.param(lambda a, b: a.maximum(b), np.maximum, id="maximum"),
        pytest.param(lambda a, b: a.minimum(b), np.minimum, id="minimum"),
        pytest.param(lambda a, b: a < b, np.less, id="lt"),
        pytest.param(lambda a, b: a <= b, np.less_equal, id="le"),
        pytest.param(lambda a, b: a > b, np.greater, id="gt"),
        pytest.param(lambda a, b: a >= b, np.greater_equal, id="ge"),
        pytest.param(lambda a, b: a == b, np.equal, id="eq"),
        pytest.param(lambda a, b: a != b, np.not_equal, id="ne"),
        pytest.param(lambda a, b: (a < b).where(a, b), lambda a, b: np.where(a < b, a, b), id="where"),
    ],
)
def test_special_values_through_two_operands(mine: Callable[[Tensor, Tensor], Tensor], theirs: Callable[[Array, Array], Array], device: str) -> None:
    a, b = np.repeat(SPECIAL, len(SPECIAL)), np.tile(SPECIAL, len(SPECIAL))
    found = mine(Tensor(a, device=device), Tensor(b, device=device)).numpy()
    np.testing.assert_allclose(found.astype(np.float64), theirs(a, b).astype(np.float64), rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("name", ["max", "min", "sum", "prod"])
@pytest.mark.parametrize("length", [13, 400])
def test_special_values_through_reductions(name: str, length: int, device: str) -> None:
    for value in (NAN, INF, -INF):
        x = np.ones((3, length), np.float32)
        x[1, length // 2] = value
        found = getattr(Tensor(x, device=device), name)(1).numpy()
        np.testing.assert_allclose(found, getattr(x, name)(1), rtol=1e-6)
    low = np.full((2, length), -INF, np.float32)
    assert Tensor(low, device=device).max(1).tolist() == [-INF, -INF]
    assert Tensor(-low, device=device).min(1).tolist() == [INF, INF]


def test_casts_of_special_values(device: str) -> None:
    x = Tensor([NAN, INF, -INF, 3e9, -3e9, 5e9, 2.9, -2.9, 0.5, -0.5], device=device)
    assert x.cast(dtypes.int32).tolist() == [0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 2**31 - 1, 2, -2, 0, 0]
    assert x.cast(dtypes.uint32).tolist() == [0, 2**32 - 1, 0, 3_000_000_000, 0, 2**32 - 1, 2, 0, 0, 0]
    assert Tensor([-1, 2**31 - 1], device=device).cast(dtypes.uint32).tolist() == [2**32 - 1, 2**31 - 1]
    assert Tensor([True, False], device=device).cast(dtypes.float32).tolist() == [1.0, 0.0]


# How float32 becomes half.

HALVES: Final = {
    0x3F801000: 0x3C00,
    0x3F802000: 0x3C01,
    0x3F803000: 0x3C02,
    0x3F805000: 0x3C02,
    0x33800000: 0x0001,
    0x33000000: 0x0000,
    0x387FE000: 0x0400,
    0x477FE000: 0x7BFF,
    0x477FF000: 0x7C00,
    0x3F808000: 0x3C04,
}


def test_rounding_to_float16(device: str) -> None:
    singles = np.array(list(HALVES), np.uint32).view(np.float32)
    found = Tensor(singles, device=device).cast(dtypes.float16).numpy()
    assert found.dtype == np.float16
    assert found.view(np.uint16).tolist() == list(HALVES.values())
    assert np.isnan(Tensor(np.array([0x7F800001], np.uint32).view(np.float32), device=device).cast(dtypes.float16).numpy()[0])


def test_rounding_to_bfloat16(device: str) -> None:
    bits = {0x3F808000: 0x3F80, 0x3F818000: 0x3F82, 0x3F80FFFF: 0x3F81, 0x7F7FFFFF: 0x7F80, 0xBF808001: 0xBF81, 0x00000001: 0x0000}
    found = Tensor(np.array(list(bits), np.uint32).view(np.float32), device=device).cast(dtypes.bfloat16).numpy()
    assert (found.view(np.uint32) >> 16).tolist() == list(bits.values())


def test_float16_arithmetic_is_native_where_offered_and_packed_elsewhere(device: str) -> None:
    x = random(40)
    half = Tensor(x, device=device).half()
    wanted = x.astype(np.float16).astype(np.float32) * 2 + 1
    np.testing.assert_allclose((half * 2 + 1).numpy().astype(np.float32), wanted, rtol=2e-3, atol=1e-3)
    assert half.sum().dtype is dtypes.float16
    assert "f16;" not in plan(half * 2).kernels[0].wgsl
    assert "f16;" in plan(half * 2, target=Target(float16=True)).kernels[0].wgsl
