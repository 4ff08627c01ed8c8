"""Kernel counts to be at or below, and the mistakes to make impossible, each as a test, on both devices."""

from __future__ import annotations

import math
import random as randomness
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from schedule_samples import MLP

import anneal
from anneal import DTypeError, GradientError, Plan, Target, Tensor, dtypes, nn
from anneal.autodiff.backward import gradients
from anneal.ir import build
from anneal.ir.ops import Ops
from anneal.ir.text import parse_program
from anneal.runtime.device import get_device
from anneal.runtime.plan import Kernel

Array = NDArray[Any]
DEVICES: Final = ("webgpu", "reference")
PORTABLE: Final = Target.portable()


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def random(*dims: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(dims).astype(np.float32)


def plan(*outputs: Tensor, target: Target = PORTABLE) -> Plan:
    return anneal.compile(*outputs, target=target)


def invocations(kernel: Kernel) -> int:
    return math.prod(int(n) for n in kernel.workgroups) * math.prod(kernel.workgroup_size)


def close(found: Any, wanted: Array, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found.numpy(), wanted, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(wanted).max())))


# Kernel counts.


def mlp_gradients() -> list[Tensor]:
    model, x, t = MLP(32, 64, 10), Tensor(random(16, 32)), Tensor(random(16, 10))
    loss = (model(x) - t).square().mean()
    loss.backward()
    found = [p.grad for p in nn.state.get_parameters(model)]
    return [loss, *(g for g in found if g is not None)]


def three_layer_step() -> list[Tensor]:
    model, x, t = MLP(32, 64, 64, 10), Tensor(random(16, 32)), Tensor(random(16, 10))
    optimiser = nn.optim.SGD(nn.state.get_parameters(model), lr=0.1)
    loss = (model(x) - t).square().mean()
    loss.backward()
    return [loss, *optimiser.schedule_step()]


def conv_step() -> list[Tensor]:
    layer, x = nn.Conv2d(3, 64, 3, padding=1), Tensor(random(16, 3, 8, 8))
    optimiser = nn.optim.SGD(nn.state.get_parameters(layer), lr=0.1)
    loss = layer(x).relu().mean()
    loss.backward()
    return [loss, *optimiser.schedule_step()]


COUNTS: Final[dict[str, tuple[Callable[[], list[Tensor]], int]]] = {
    "elementwise": (lambda: [(Tensor(random(4, 5)) + Tensor(random(4, 5, seed=1))) * Tensor(random(4, 5, seed=2)) - Tensor(random(4, 5, seed=3))], 1),
    "matmul": (lambda: [Tensor(random(16, 32)) @ Tensor(random(32, 8))], 1),
    "matmul, bias": (lambda: [Tensor(random(16, 32)) @ Tensor(random(32, 8)) + Tensor(random(8))], 1),
    "matmul, bias, relu": (lambda: [(Tensor(random(16, 32)) @ Tensor(random(32, 8)) + Tensor(random(8))).relu()], 1),
    "conv2d, bias": (lambda: [Tensor(random(2, 3, 8, 8)).conv2d(Tensor(random(16, 3, 3, 3)), Tensor(random(16)), padding=1)], 1),
    "softmax": (lambda: [Tensor(random(64, 100)).softmax(-1)], 2),
    "mlp forward": (lambda: [MLP(32, 64, 10)(Tensor(random(16, 32)))], 2),
    "mlp loss and gradients": (mlp_gradients, 8),
    "step of three layers": (three_layer_step, 34),
    "step of a convolution": (conv_step, 9),
}


@pytest.mark.parametrize("name", COUNTS)
def test_kernel_counts(name: str) -> None:
    make, most = COUNTS[name]
    assert 1 <= len(plan(*make()).kernels) <= most


# 1. Reductions that keep their axes, and broadcasts over any axis, forward and backward.


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["softmax", "layernorm", "max", "logsumexp"])
def test_keepdim_reductions_broadcast_over_any_axis(axes: tuple[int, ...], name: str, device: str) -> None:
    data, weights = random(4, 5, 36), random(4, 5, 36, seed=1)
    t, x = Tensor(data, device=device, requires_grad=True), torch.tensor(data, requires_grad=True)
    if name == "softmax":
        ours, theirs = t.softmax(axes), (x - x.amax(axes, keepdim=True)).exp()
        theirs = theirs / theirs.sum(axes, keepdim=True)
    elif name == "layernorm":
        centred = x - x.mean(axes, keepdim=True)
        ours, theirs = t.layernorm(axes, eps=1e-3), centred / (centred.square().mean(axes, keepdim=True) + 1e-3).sqrt()
    elif name == "max":
        ours, theirs = t * t.max(axes, keepdim=True), x * x.amax(axes, keepdim=True)
    else:
        ours, theirs = t - t.logsumexp(axes, keepdim=True), x - x.logsumexp(axes, keepdim=True)
    (ours * Tensor(weights, device=device)).sum().backward()
    (theirs * torch.tensor(weights)).sum().backward()
    assert t.grad is not None
    assert x.grad is not None
    Tensor.realize(ours, t.grad)
    close(ours, theirs.detach().numpy(), 2e-5)
    close(t.grad, x.grad.numpy(), 1e-4)


# 2. Gradients pass through data movement, and are never cut in silence.

MOVES: Final[dict[str, Callable[[Any], Any]]] = {
    "contiguous": lambda t: t.contiguous(),
    "reshape": lambda t: t.reshape(6, 4),
    "permute": lambda t: t.permute(1, 0),
    "expand": lambda t: t.reshape(4, 1, 6).expand(4, 3, 6),
    "flip": lambda t: t.flip(0) if isinstance(t, Tensor) else t.flip([0]),
    "slice": lambda t: t[1:3, ::2],
    "unfold": lambda t: t.unfold(1, 3, 2),
}


@pytest.mark.parametrize("name", MOVES)
def test_gradients_pass_through_movement(name: str, device: str) -> None:
    data = random(4, 6)
    t, x = Tensor(data, device=device, requires_grad=True), torch.tensor(data, requires_grad=True)
    MOVES[name](t * 2).square().sum().backward()
    MOVES[name](x * 2).square().sum().backward()
    assert t.grad is not None
    assert x.grad is not None
    close(t.grad, x.grad.numpy())
    assert np.abs(x.grad.numpy()).max() > 0


def test_an_op_without_a_gradient_rule_raises() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    bits = build.bitcast(build.bitcast(x.uop, dtypes.int32), dtypes.float32)
    with pytest.raises(GradientError, match="bitcast"):
        gradients(build.reduce_axis(Ops.ADD, bits, (0,)), [x.uop])


# 3. Several results in their places, also when one is an input of another.


def test_results_come_in_their_places(device: str) -> None:
    x = Tensor(random(5, 7), device=device)
    a = x.sum(1, keepdim=True)
    b = x - a
    c = (b @ b.T).relu()
    for order in ([a, b, c], [c, b, a], [b, c, a]):
        again = [t + 0 for t in order]
        Tensor.realize(*order, *again)
        for t, u in zip(order, again, strict=True):
            assert np.array_equal(t.numpy(), u.numpy())
    data = random(5, 7)
    close(a, data.sum(1, keepdims=True))
    close(b, data - data.sum(1, keepdims=True))


# 4. A reduction is not computed again for each element that reads it.


@pytest.mark.parametrize("columns", [16, 64, 1000, 4096])
def test_dividing_by_a_row_sum_costs_linear_time(columns: int, device: str) -> None:
    rows = 8
    data = np.abs(random(rows, columns)) + 1
    x = Tensor(data, device=device)
    result = x / x.sum(1, keepdim=True)
    p = plan(result)
    assert sum(int(k.flops) for k in p.kernels) <= 4 * rows * columns
    for kernel in p.kernels:
        assert deepest_work(kernel) <= 8 * rows * columns + 64 * invocations(kernel)
    close(result, data / data.sum(1, keepdims=True))


def deepest_work(kernel: Kernel) -> float:
    """Loop turns of all invocations together."""
    turns, total = [1.0], 0.0
    for u in parse_program(kernel.program):
        if u.op is Ops.LOOP:
            start, limit, step = u.src
            first = start.arg if start.op is Ops.CONST else 0
            turns.append(turns[-1] * math.ceil((limit.arg - first) / step.arg))
        elif u.op is Ops.ENDLOOP:
            total += turns.pop() if len(turns) > 1 else 0
    return total * invocations(kernel)


# 5. Reductions use the whole GPU.


@pytest.mark.parametrize("name", ["sum", "max", "min"])
def test_a_full_reduction_of_16_million_elements_uses_the_whole_gpu(name: str) -> None:
    x = Tensor.ones(16, 1024, 1024)
    data = Tensor(np.zeros(4, np.float32))
    p = plan(getattr((x + data[0]).contiguous(), name)())
    first = max(p.kernels[1:], key=invocations)
    assert invocations(first) >= 4096
    for kernel in p.kernels:
        assert deepest_work(kernel) / invocations(kernel) <= 16384


def test_a_large_sum_is_right() -> None:
    data = np.random.default_rng(0).integers(-8, 9, 16 << 20).astype(np.float32)
    x = Tensor(data, device="webgpu")
    total, low = x.sum(), x.min()
    Tensor.realize(total, low)
    assert total.item() == data.sum(dtype=np.float64)
    assert low.item() == -8


def test_a_long_sum_is_accurate(device: str) -> None:
    data = random(5_000_011)
    assert Tensor(data, device=device).sum().item() == pytest.approx(data.sum(dtype=np.float64), abs=0.05)


# 6. More inputs than a kernel may bind.


@pytest.mark.parametrize("limit", [4, 5, 8, 10])
@pytest.mark.parametrize("count", [7, 8, 9, 50])
def test_sums_of_many_inputs_are_split(count: int, limit: int) -> None:
    arrays = [random(6, seed=i) for i in range(count)]
    total = Tensor(arrays[0])
    for array in arrays[1:]:
        total = total + Tensor(array)
    p = plan(total, target=Target(storage_buffers=limit))
    assert max(len(k.bindings) for k in p.kernels) <= limit
    assert len(p.kernels) >= math.ceil((count - 1) / (limit - 2)) or count + 1 <= limit
    assert len(p.kernels) <= math.ceil(count / (limit - 2)) + 1


def test_sums_of_many_inputs_are_right(device: str) -> None:
    arrays = [random(300, seed=i) for i in range(50)]
    tensors = [Tensor(a, device=device) for a in arrays]
    order = list(range(50))
    randomness.Random(0).shuffle(order)
    total = tensors[order[0]]
    for i in order[1:]:
        total = total * 0.5 + tensors[i]
    wanted = arrays[order[0]].astype(np.float64)
    for i in order[1:]:
        wanted = wanted * 0.5 + arrays[i]
    close(total, wanted.astype(np.float32))


# 7. Sizes that do not fit.


@pytest.mark.parametrize("size", [1, 2, 3, 63, 64, 65, 1021, 65_537])
def test_prime_sizes(size: int, device: str) -> None:
    data = random(size)
    x = Tensor(data, device=device)
    twice, total = x * 2, x.sum()
    Tensor.realize(twice, total)
    assert np.array_equal(twice.numpy(), data * 2)
    assert total.item() == pytest.approx(data.sum(dtype=np.float64), abs=1e-2)
    matrix = x.reshape(size, 1) * Tensor([[1.0, -1.0, 0.5]], device=device)
    close(matrix.sum(0), (data[:, None] * np.array([[1, -1, 0.5]], np.float32)).sum(0, dtype=np.float64).astype(np.float32), 1e-3)


def test_five_million_elements_of_a_prime_size(device: str) -> None:
    data = random(5_000_011)
    found = (Tensor(data, device=device) + 1).numpy()
    assert np.array_equal(found, data + np.float32(1))


def test_more_workgroups_than_a_dimension_has() -> None:
    size = 65_536 * 64 * 4 + 64 * 5
    p = plan(Tensor.arange(size + 3) * 2)
    assert max(int(n) for k in p.kernels for n in k.workgroups) <= 65_535
    assert int(p.kernels[0].workgroups[1]) > 1
    found = Tensor((Tensor.arange(size + 3) * 2).uop, device="webgpu").numpy()
    assert np.array_equal(found, np.arange(size + 3, dtype=np.int32) * 2)


@pytest.mark.parametrize("dims", [(1,), (1, 1), (1, 5), (5, 1), (1, 3, 1), (3, 1, 1, 4), (1, 1, 1)])
def test_axes_of_one_element_keep_their_rank(dims: tuple[int, ...], device: str) -> None:
    data = random(*dims)
    x = Tensor(data, device=device)
    for axis in range(len(dims)):
        for keep in (False, True):
            found = x.sum(axis, keepdim=keep).numpy()
            assert found.shape == data.sum(axis, keepdims=keep).shape
            assert np.allclose(found, data.sum(axis, keepdims=keep), atol=1e-6)
    shifted = (x + x.max(0, keepdim=True)).numpy()
    assert shifted.shape == dims
    assert np.allclose(shifted, data + data.max(0, keepdims=True))


# 8. Buffers hold what their dtype says.


@pytest.mark.parametrize(
    ("values", "kind"),
    [([0, -1, 2**31 - 1, -(2**31), 16_777_217], np.int32), ([0, 1, 2**32 - 1, 2**31, 16_777_217], np.uint32), ([True, False, True], np.bool_)],
)
def test_integers_and_bools_are_stored_as_such(values: list[int], kind: type, device: str) -> None:
    x = Tensor(np.array(values, kind), device=device)
    copied = x.reshape(len(values), 1).flip(0).contiguous().flip(0).reshape(len(values)).contiguous()
    assert copied.tolist() == values
    raw = np.frombuffer(copied.data(), np.uint32)
    assert raw.tolist() == [int(v) % 2**32 for v in values]


def test_sums_of_integers_are_exact_and_wrap(device: str) -> None:
    x = np.array([16_777_217, 1, 2**31 - 1, 5] * 100, np.int32)
    assert Tensor(x, device=device).sum().item() == int(np.sum(x, dtype=np.int32))
    u = np.array([2**32 - 1, 7] * 200, np.uint32)
    assert Tensor(u, device=device).sum().item() == int(u.sum(dtype=np.uint32))
    assert Tensor(x, device=device).max().item() == 2**31 - 1
    assert Tensor(u, device=device).max().item() == 2**32 - 1
    assert Tensor(u, device=device).min().item() == 7


def test_a_dtype_that_is_lacking_is_an_error() -> None:
    for name in ("float64", "int64", "uint64"):
        with pytest.raises(DTypeError, match=name):
            Tensor([1, 2], dtype=getattr(dtypes, name))


# 10. Every default kernel shape agrees with an oracle, and is timed as itself.


@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (4, 4, 4), (8, 256, 8), (64, 64, 64), (65, 63, 67), (1, 1000, 1), (128, 512, 128), (256, 256, 256), (3, 2048, 5)]
)
def test_products_of_every_shape(m: int, k: int, n: int, device: str) -> None:
    a, b = random(m, k), random(k, n, seed=1)
    found = (Tensor(a, device=device) @ Tensor(b, device=device)).numpy()
    wanted = a.astype(np.float64) @ b
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=3e-7 * k**0.5 * 16)


def test_a_profile_times_each_kernel_of_the_plan() -> None:
    device = get_device("webgpu")
    p = plan(Tensor(random(64, 64)).softmax(0) @ Tensor(random(64, 64)))
    storages = [device.allocate(int(b.bytes)) for b in p.buffers if b.role != "temporary"]
    seconds = device.profile(p, storages)
    assert len(seconds) == len(p.kernels) > 0
    assert all(s > 0 for s in seconds)
