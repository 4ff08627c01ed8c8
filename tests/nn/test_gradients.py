"""Clipping, scaling and 16 bits: what is done to gradients before a step, against PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layer_cases import copy, random

import anneal
from anneal import CheckpointError, DTypeError, Tensor, UsageError, dtypes, nn
from anneal.tensor import realize


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


def pair() -> tuple[list[Tensor], list[torch.Tensor]]:
    """Parameters with gradients, and one without."""
    values = [random(2, 3), random(3), random(1)]
    mine, others = [Tensor(v, requires_grad=True) for v in values], [torch.tensor(v, requires_grad=True) for v in values]
    for w, b in ((mine[0], mine[1]), (others[0], others[1])):
        ((w * w * 3).sum() + (b * 2).sum()).backward()
    return mine, others


@pytest.mark.parametrize("norm", [2.0, 1.0, math.inf, 3.0])
@pytest.mark.parametrize("most", [0.5, 100.0])
def test_clipping_by_norm(norm: float, most: float) -> None:
    mine, others = pair()
    found, wanted = nn.utils.clip_grad_norm_(mine, most, norm), torch.nn.utils.clip_grad_norm_(others, most, norm)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    for a, b in zip(mine[:2], others, strict=False):
        assert a.grad is not None
        assert b.grad is not None
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5)
    assert mine[2].grad is None


def test_clipping_by_value() -> None:
    mine, others = pair()
    nn.utils.clip_grad_value_(mine, 1.5)
    torch.nn.utils.clip_grad_value_(others, 1.5)
    assert mine[0].grad is not None
    assert others[0].grad is not None
    np.testing.assert_allclose(mine[0].grad.numpy(), others[0].grad.numpy(), rtol=1e-6)


def test_the_norm_can_be_read_after_the_step() -> None:
    mine, others = pair()
    sgd, reference = nn.optim.SGD(mine, lr=0.1), torch.optim.SGD(others, lr=0.1)
    norm, wanted = nn.utils.clip_grad_norm_(mine, 1.0), torch.nn.utils.clip_grad_norm_(others, 1.0)
    assert not norm.is_realized
    sgd.step()
    reference.step()
    assert norm.is_realized
    assert norm.item() == pytest.approx(wanted.item())
    np.testing.assert_allclose(mine[0].numpy(), others[0].detach().numpy(), rtol=1e-5)


def test_clipping_wrongly() -> None:
    p = Tensor([1.0], requires_grad=True)
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 0
    (p * math.inf).sum().backward()
    with pytest.raises(UsageError, match="the norm of the gradients is inf"):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    with pytest.raises(UsageError, match="above 0"):
        nn.utils.get_total_norm([], -1.0)


def train_scaled(device: str, bad: float) -> tuple[list[list[float]], list[float], list[list[float]]]:
    """Six steps, of which the third has a bad gradient: parameters, factors, and Adam's first moments after each."""
    p, q = Tensor([1.0, 2.0], requires_grad=True, device=device), Tensor([0.5], requires_grad=True, device=device)
    adam, scaler = nn.optim.Adam([p, q], lr=0.1), nn.GradScaler(16.0, growth_interval=2)
    data = Tensor([1.0], device=device)
    values, factors, moments = [], [], []
    for step in range(6):
        data.write([bad if step == 2 else 1.0])
        adam.zero_grad()
        scaler.scale((p * p).sum() + (q * data * 3).sum()).backward()
        scaler.step(adam)
        scaler.update()
        values.append([*p.tolist(), *q.tolist()])
        factors.append(scaler.get_scale())
        moments.append([*adam.first[0].tolist(), *adam.correction.tolist()])
    return values, factors, moments


@pytest.mark.parametrize(("device", "bad"), [("reference", math.inf), ("webgpu", math.inf), ("webgpu", math.nan)])
def test_a_step_that_overflows_is_left_out(device: str, bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    values, factors, moments = train_scaled(device, bad)
    assert values[2] == values[1]
    assert moments[2] == moments[1]
    assert factors == [16, 32, 16, 16, 32, 32], "raised after two good steps, lowered by the bad one"
    t, u = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([0.5], requires_grad=True)
    reference = torch.optim.Adam([t, u], lr=0.1)
    wanted = []
    for _ in range(5):
        reference.zero_grad()
        ((t * t).sum() + (u * 3).sum()).backward()
        reference.step()
        wanted.append([*t.tolist(), *u.tolist()])
    np.testing.assert_allclose([values[i] for i in (0, 1, 3, 4, 5)], wanted, rtol=1e-5, atol=1e-6)


def test_gradients_are_divided_before_they_are_clipped() -> None:
    mine, others = pair()
    for p in mine:
        p.zero_grad()
    sgd, reference, scaler = nn.optim.SGD(mine, lr=0.1), torch.optim.SGD(others, lr=0.1), nn.GradScaler()
    scaler.scale((mine[0] * mine[0] * 3).sum() + (mine[1] * 2).sum()).backward()
    scaler.unscale_(sgd)
    with pytest.raises(UsageError, match="once a step"):
        scaler.unscale_(sgd)
    norm, wanted = nn.utils.clip_grad_norm_(mine, 1.0), torch.nn.utils.clip_grad_norm_(others, 1.0)
    scaler.step(sgd)
    reference.step()
    scaler.update()
    assert norm.item() == pytest.approx(wanted.item(), rel=1e-5)
    np.testing.assert_allclose(mine[0].numpy(), others[0].detach().numpy(), rtol=1e-5)


def test_a_scaled_step_is_one_program() -> None:
    p = Tensor([1.0, 2.0], requires_grad=True)
    sgd, scaler = nn.optim.SGD([p], lr=0.5), nn.GradScaler(4.0, growth_interval=1)
    loss = (p * p).sum() / 2
    scaler.scale(loss).backward()
    outputs = [loss, *scaler.schedule_step(sgd)]
    run = realize.Executable(realize.trace([t.uop for t in outputs]), realize.open_device("reference"))
    for _ in range(2):
        run.run()
    assert p.tolist() == [0.25, 0.5]
    assert scaler.get_scale() == 16


def test_a_scaler_is_saved_and_goes_on() -> None:
    first, second = nn.GradScaler(8.0), nn.GradScaler()
    second.load_state_dict(first.state_dict())
    assert second.get_scale() == 8
    with pytest.raises(CheckpointError, match="lacks factor"):
        second.load_state_dict({})
    second.update(32.0)
    assert second.get_scale() == 32
    off, p = nn.GradScaler(enabled=False), Tensor([1.0], requires_grad=True)
    sgd = nn.optim.SGD([p], lr=0.25)
    off.scale(p.sum()).backward()
    off.unscale_(sgd)
    assert len(off.schedule_step(sgd)) == 1
    off.step(sgd)
    off.update()
    assert (p.item(), off.get_scale()) == (0.75, 1)


def test_scaling_wrongly() -> None:
    p = Tensor([1.0], requires_grad=True)
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: nn.GradScaler(backoff_factor=1.0), "backs off"),
        (nn.GradScaler().update, "comes after a step"),
        (lambda: nn.GradScaler().step(nn.optim.SGD([p])), "call backward"),
    ]
    for act, words in refused:
        with pytest.raises(UsageError, match=words):
            act()


class Net:
    def __init__(self) -> None:
        self.first = nn.Linear(3, 4)
        self.rest = [nn.Linear(4, 1)]
        self.named = {"scale": Tensor([2.0], requires_grad=True)}

    def __call__(self, x: Tensor) -> Tensor:
        return self.rest[0](self.first(x).relu()) * self.named["scale"]


@pytest.mark.parametrize(("dtype", "bits"), [(dtypes.float16, torch.float16), (dtypes.bfloat16, torch.bfloat16)])
def test_16_bits_over_32(dtype: Any, bits: torch.dtype) -> None:
    net, first, last = Net(), torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    copy(net.first, first)
    copy(net.rest[0], last)
    x, before = random(5, 3), net.first.weight
    with nn.autocast(net, dtype):
        assert net.first.weight.dtype is net.named["scale"].dtype is dtype
        out = net(Tensor(x).cast(dtype))
    assert net.first.weight is before
    assert out.dtype is dtype
    assert out.shape == (5, 1)
    nn.GradScaler(4.0).scale(out.float().square().mean()).backward()
    wide = (
        torch.nn.functional.linear(
            torch.nn.functional.linear(torch.tensor(x).to(bits), first.weight.to(bits), first.bias.to(bits)).relu(), last.weight.to(bits), last.bias.to(bits)
        )
        * 2
    ).float().square().mean() * 4
    wide.backward()
    for mine, other in ((before, first.weight), (net.rest[0].bias, last.bias)):
        assert mine is not None
        assert mine.grad is not None
        assert other.grad is not None
        assert mine.grad.dtype is dtypes.float32
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=0.05, atol=0.02)


def test_models_that_cannot_be_cast() -> None:
    class Fixed:
        def __init__(self) -> None:
            self.layers = (Tensor([1.0], requires_grad=True),)

    with pytest.raises(UsageError, match="the tuple layers"), nn.autocast(Fixed()):
        pass
    with pytest.raises(DTypeError, match="not int32"), nn.autocast(Fixed(), dtypes.int32):
        pass
    net = Net()
    weight = net.first.weight
    with pytest.raises(ZeroDivisionError), nn.autocast(net):
        1 / 0  # noqa: B018
    assert net.first.weight is weight


def test_kernels_of_a_clipped_and_scaled_step() -> None:
    net = nn.Sequential(nn.Linear(4, 8), Tensor.relu, nn.Linear(8, 2))
    sgd, scaler = nn.optim.SGD(nn.state.get_parameters(net), lr=0.1), nn.GradScaler()
    x = Tensor(random(4, 4))

    def kernels(make: Callable[[], list[Tensor]]) -> int:
        sgd.zero_grad()
        return len(anneal.compile(*make(), target=anneal.Target.portable()).kernels)

    def plain() -> list[Tensor]:
        net(x).square().mean().backward()
        return sgd.schedule_step()

    def scaled() -> list[Tensor]:
        scaler.scale(net(x).square().mean()).backward()
        return scaler.schedule_step(sgd)

    def clipped() -> list[Tensor]:
        net(x).square().mean().backward()
        nn.utils.clip_grad_norm_(sgd.params, 1.0)
        return sgd.schedule_step()

    counts = kernels(plain), kernels(clipped), kernels(scaled)
    assert counts[1] <= counts[0] + 9, counts
    assert counts[2] <= counts[0] + 12, counts
