"""Optimisers take the same steps as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import anneal
from anneal import StaleTensorError, Tensor, UsageError, dtypes, nn
from anneal.ir.graph import toposort
from anneal.tensor import realize

RNG = np.random.default_rng(3)
X = RNG.standard_normal((6, 4)).astype(np.float32)
W = RNG.standard_normal((3, 4)).astype(np.float32)
B = RNG.standard_normal(3).astype(np.float32)

CASES: dict[str, tuple[Callable[..., nn.optim.Optimizer], Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (nn.optim.SGD, torch.optim.SGD, {"lr": 0.1}),
    "sgd decay": (nn.optim.SGD, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    "momentum": (nn.optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "nesterov": (nn.optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (nn.optim.Adam, torch.optim.Adam, {"lr": 0.1}),
    "adam decay": (nn.optim.Adam, torch.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    "adamw": (nn.optim.AdamW, torch.optim.AdamW, {"lr": 0.1}),
    "adamw decay": (nn.optim.AdamW, torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.2}),
}


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


@pytest.mark.parametrize("name", CASES)
def test_steps(name: str) -> None:
    ours, theirs, options = CASES[name]
    w, b = Tensor(W, requires_grad=True), Tensor(B, requires_grad=True)
    t, c = torch.tensor(W, requires_grad=True), torch.tensor(B, requires_grad=True)
    mine, reference = ours([w, b], **options), theirs([t, c], **options)
    for _ in range(5):
        mine.zero_grad()
        reference.zero_grad()
        loss = (Tensor(X).linear(w, b) ** 2).mean()
        wanted = (torch.nn.functional.linear(torch.tensor(X), t, c) ** 2).mean()
        loss.backward()
        wanted.backward()
        mine.step()
        reference.step()
        assert loss.item() == pytest.approx(wanted.item(), rel=1e-4)
        np.testing.assert_allclose(w.numpy(), t.detach().numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(b.numpy(), c.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_descent_values() -> None:
    p = Tensor([3.0], requires_grad=True)
    sgd = nn.optim.SGD([p], lr=0.1)
    seen = [p.item()]
    for _ in range(3):
        sgd.zero_grad()
        ((p - 1) ** 2).sum().backward()
        sgd.step()
        seen.append(p.item())
    assert seen == pytest.approx([3, 2.6, 2.28, 2.024])


def test_the_loss_of_a_step_stays_readable_and_others_go_stale() -> None:
    p = Tensor([3.0], requires_grad=True)
    sgd = nn.optim.SGD([p], lr=0.1)
    other = p * 2
    loss = ((p - 1) ** 2).sum()
    loss.backward()
    sgd.step()
    assert loss.item() == 4
    with pytest.raises(StaleTensorError):
        other.tolist()


def test_scheduling_changes_nothing() -> None:
    p = Tensor([3.0], requires_grad=True)
    adam = nn.optim.Adam([p])
    ((p - 1) ** 2).sum().backward()
    first = realize.trace([t.uop for t in adam.schedule_step()])
    second = realize.trace([t.uop for t in adam.schedule_step()])
    assert first.sink is second.sink
    assert p.item() == 3
    assert {u.phase for u in toposort(*(s.src[1] for s in first.sink.src))} >= {"forward", "backward", "update"}


def test_the_learning_rate_is_data() -> None:
    p = Tensor([1.0], requires_grad=True)
    sgd = nn.optim.SGD([p], lr=0.5)

    def step() -> Any:
        sgd.zero_grad()
        p.sum().backward()
        sink = realize.trace([t.uop for t in sgd.schedule_step()]).sink
        sgd.step()
        return sink

    first = step()
    sgd.set_lr(0.125)
    assert step() is first, "the same program"
    assert p.item() == 0.375


def test_half_precision_parameters() -> None:
    p = Tensor([1.0, 2.0], dtype=dtypes.float16, requires_grad=True)
    adam = nn.optim.Adam([p], lr=0.25)
    (p * p).sum().backward()
    adam.step()
    assert p.dtype is dtypes.float16
    assert p.tolist() == [0.75, 1.75]


def test_parameters_without_gradient_are_left_alone() -> None:
    p, q = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    sgd = nn.optim.SGD([p, q], lr=1.0)
    p.sum().backward()
    sgd.step()
    assert (p.item(), q.item()) == (0, 1)


def test_a_small_network_learns_in_one_program() -> None:
    Tensor.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), Tensor.tanh, nn.Linear(16, 2))
    x, y = Tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), Tensor([0, 1, 1, 0])
    adam = nn.optim.Adam(nn.state.get_parameters(model), lr=0.05)
    loss = model(x).cross_entropy(y)
    loss.backward()
    outputs = [loss, *adam.schedule_step()]
    run = realize.Executable(realize.trace([t.uop for t in outputs]), realize.open_device("reference"))
    losses = []
    for _ in range(80):
        run.run()
        losses.append(float(np.frombuffer(run.read(0), np.float32)[0]))
    assert losses[0] > 0.5
    assert losses[-1] < 0.05
    assert model(x).argmax(1).tolist() == [0, 1, 1, 0]


def test_wrong_optimisers() -> None:
    p = Tensor([1.0], requires_grad=True)
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: nn.optim.SGD([]), "at least one parameter"),
        (lambda: nn.optim.SGD([Tensor([1.0])]), "requires_grad=True"),
        (lambda: nn.optim.SGD([p], lr=-1.0), "not negative"),
        (lambda: nn.optim.SGD([p], nesterov=True), "momentum"),
        (lambda: nn.optim.Adam([p], betas=(0.9, 1.0)), "betas"),
        (lambda: nn.optim.SGD([p]).step(), "call backward"),
    ]
    for act, words in refused:
        with pytest.raises(UsageError, match=words):
            act()
    assert issubclass(UsageError, anneal.AnnealError)
