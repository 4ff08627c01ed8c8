"""What holds for the compiler as a whole: counts of kernels, plans that depend on structure alone, flat memory, no recursion."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from counting import calls

import anneal
from anneal import Plan, Target, Tensor, nn
from anneal.ir.uop import ARENA

PORTABLE = Target.portable()
HERE = Path(__file__).parent


def data(*sizes: int) -> Tensor:
    """A tensor that has a buffer: values from the host."""
    return Tensor([0.5] * math.prod(sizes)).reshape(*sizes)


def plan_of(*tensors: Tensor) -> Plan:
    return anneal.compile(*tensors, target=PORTABLE)


def mlp_step(optimizer: Callable[[list[Tensor]], nn.optim.Optimizer] | None) -> Plan:
    """Forward 16: 32→64→10, mean squared error, backward, and the update or else the four gradients."""
    first, second = nn.Linear(32, 64), nn.Linear(64, 10)
    parameters = nn.state.get_parameters([first, second])
    loss = ((second(first(data(16, 32)).relu()) - data(16, 10)) ** 2).mean()
    loss.backward()
    if optimizer is not None:
        return plan_of(loss, *optimizer(parameters).schedule_step())
    gradients = [p.grad for p in parameters if p.grad is not None]
    assert len(gradients) == 4
    return plan_of(loss, *gradients)


def digits_step(optimizer: Callable[[list[Tensor]], nn.optim.Optimizer]) -> Plan:
    """The digits classifier 64→128→10 with cross-entropy."""
    first, second = nn.Linear(64, 128), nn.Linear(128, 10)
    loss = second(first(data(64, 64)).relu()).cross_entropy(Tensor([1] * 64))
    loss.backward()
    return plan_of(loss, *optimizer(nn.state.get_parameters([first, second])).schedule_step())


def sgd(parameters: list[Tensor]) -> nn.optim.Optimizer:
    return nn.optim.SGD(parameters, lr=0.1)


def adam(parameters: list[Tensor]) -> nn.optim.Optimizer:
    return nn.optim.Adam(parameters)


ONE_EACH = {
    "(x + y)*z - w": lambda: (data(8, 8) + data(8, 8)) * data(8, 8) - data(8, 8),
    "matmul": lambda: data(16, 32) @ data(32, 64),
    "matmul + bias": lambda: data(16, 32) @ data(32, 64) + data(64),
    "matmul + bias, relu": lambda: Tensor.relu(data(16, 32) @ data(32, 64) + data(64)),
    "conv + bias, relu": lambda: nn.Conv2d(3, 16, 3, padding=1)(data(2, 3, 8, 8)).relu(),
}


@pytest.mark.parametrize("program", ONE_EACH.values(), ids=ONE_EACH.keys())
def test_one_kernel(program: Callable[[], Tensor]) -> None:
    assert len(plan_of(program()).kernels) == 1


def test_mlp_forward_is_two_kernels() -> None:
    first, second = nn.Linear(32, 64), nn.Linear(64, 10)
    assert len(plan_of(second(first(data(16, 32)).relu())).kernels) == 2


@pytest.mark.parametrize("width", [10, 1000, 5000])
def test_softmax_is_at_most_two_kernels(width: int) -> None:
    assert 1 <= len(plan_of(data(64, width).softmax(-1)).kernels) <= 2


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: mlp_step(None), 8),
        (lambda: mlp_step(sgd), 8),
        (lambda: mlp_step(adam), 12),
        (lambda: digits_step(sgd), 8),
        (lambda: digits_step(adam), 12),
    ],
    ids=["mlp gradients", "mlp sgd", "mlp adam", "digits sgd", "digits adam"],
)
def test_a_training_step_is_few_kernels(make: Callable[[], Plan], most: int) -> None:
    plan = make()
    assert 3 <= len(plan.kernels) <= most
    assert all(len(k.bindings) <= PORTABLE.storage_buffers for k in plan.kernels)


def fingerprints(seed: int, order: str) -> list[str]:
    env = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run([sys.executable, str(HERE / "fingerprints.py"), order], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_ten_hash_seeds_and_two_orders_give_one_plan() -> None:
    first, *others = [fingerprints(seed, "backwards" if seed % 2 else "forwards") for seed in range(10)]
    mlp, conv, *kernels = first
    assert len(mlp) == len(conv) == 64
    assert mlp != conv
    assert all(int(count) > 3 for count in kernels)
    assert all(other == first for other in others)


def test_plans_go_to_json_and_back() -> None:
    plan = digits_step(adam)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.fingerprint == plan.fingerprint
    assert again.to_json() == plan.to_json()
    assert plan.with_stats(kernels=-1).fingerprint == plan.fingerprint


def resident_kilobytes() -> int:
    """Memory of this process that is in RAM."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)


def test_ten_thousand_steps_hold_memory_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    monkeypatch.setenv("ANNEAL_CHECK", "0")
    weight = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = nn.optim.SGD([weight], lr=0.01)

    def turn(number: int) -> float:
        optimizer.zero_grad()
        loss = ((Tensor([float(number % 7), 2.0, 3.0]) - weight) ** 2).sum()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    losses = [turn(number) for number in range(10)]
    gc.collect()
    nodes, memory = len(ARENA), resident_kilobytes()
    losses += [turn(number) for number in range(10, 10_000)]
    gc.collect()
    assert len(ARENA) <= nodes
    assert resident_kilobytes() - memory < 8192
    assert losses[7:10] != losses[0:3], "the steps did train"


def chain(length: int) -> Tensor:
    """`length` elementwise operations one after another."""
    x = data(4)
    y = x
    for number in range(length // 2):
        y = (y + x) * (0.5 if number % 3 else 0.25)
    return y


def test_a_chain_of_fifty_thousand_nodes_compiles() -> None:
    assert int(plan_of(chain(50_000)).stats["uops"]) > 50_000


def test_the_work_of_compiling_grows_with_the_chain() -> None:
    short, long = (chain(length) for length in (2_500, 10_000))
    assert calls(lambda: plan_of(long)) < 5 * calls(lambda: plan_of(short))


def test_a_chain_of_fifty_thousand_nodes_has_a_gradient() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x
    for _ in range(25_000):
        y = (y + 1.0) * 0.5
    y.sum().backward()
    assert x.grad is not None
    assert int(plan_of(x.grad).stats["uops"]) > 0
