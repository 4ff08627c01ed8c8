"""Optimisers take the same steps as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anneal
from anneal import CheckpointError, StaleTensorError, Tensor, UsageError, dtypes, nn
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
    "dampening": (nn.optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}),
    "nesterov": (nn.optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (nn.optim.Adam, torch.optim.Adam, {"lr": 0.1}),
    "adam decay": (nn.optim.Adam, torch.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    "adam amsgrad": (nn.optim.Adam, torch.optim.Adam, {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.6), "maximize": True}),
    "rmsprop": (nn.optim.RMSprop, torch.optim.RMSprop, {"lr": 0.05}),
    "rmsprop centered": (
        nn.optim.RMSprop,
        torch.optim.RMSprop,
        {"lr": 0.05, "alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "eps": 1e-3},
    ),
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


def paper(name: str, w: Any, m: Any, v: Any, grad: Any, t: int) -> Any:
    """One step at lr 0.1 and weight decay 0.1 in float64, as the papers write it; m and v are changed in place."""
    if name == "lion":  # Chen and others, 2023, program 1
        direction = np.sign(0.9 * m + 0.1 * grad)
        m[:] = 0.99 * m + 0.01 * grad
        return w - 0.1 * (direction + 0.1 * w)
    m[:] = 0.9 * m + 0.1 * grad  # You and others, 2019, algorithm 2
    v[:] = 0.999 * v + 0.001 * grad**2
    direction = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6) + 0.1 * w
    sizes = np.linalg.norm(w), np.linalg.norm(direction)
    return w - 0.1 * (sizes[0] / sizes[1] if min(sizes) > 0 else 1.0) * direction


@pytest.mark.parametrize("name", ["lion", "lamb"])
def test_steps_of_papers(name: str) -> None:
    given = [W.astype(np.float64), np.zeros(3)]
    params = [Tensor(w, requires_grad=True) for w in given]
    make = nn.optim.Lion if name == "lion" else nn.optim.LAMB
    mine = make(params, lr=0.1, weight_decay=0.1)
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in given]
    for t in range(1, 5):
        mine.zero_grad()
        (Tensor(X).linear(*params) ** 2).mean().backward()
        grads = [np.asarray(p.grad.numpy(), np.float64) for p in params if p.grad is not None]
        mine.step()
        given = [paper(name, w, *mv, g, t) for w, mv, g in zip(given, moments, grads, strict=True)]
        for p, w in zip(params, given, strict=True):
            np.testing.assert_allclose(p.numpy(), w, rtol=1e-4, atol=1e-5)


def test_groups_have_settings_of_their_own() -> None:
    w, b = Tensor(W, requires_grad=True), Tensor(B, requires_grad=True)
    t, c = torch.tensor(W, requires_grad=True), torch.tensor(B, requires_grad=True)
    mine = nn.optim.AdamW([{"params": [w], "weight_decay": 0.2}, {"params": b, "lr": 0.02, "betas": (0.5, 0.9)}], lr=0.1)
    reference = torch.optim.AdamW([{"params": [t], "weight_decay": 0.2}, {"params": c, "lr": 0.02, "betas": (0.5, 0.9)}], lr=0.1)
    for step in range(4):
        mine.zero_grad()
        reference.zero_grad()
        (Tensor(X).linear(w, b) ** 2).mean().backward()
        (torch.nn.functional.linear(torch.tensor(X), t, c) ** 2).mean().backward()
        mine.step()
        reference.step()
        for one in (mine, reference):
            one.param_groups[1]["lr"] = 0.1 / (step + 1)
        np.testing.assert_allclose(w.numpy(), t.detach().numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(b.numpy(), c.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert [group["lr"] for group in mine.param_groups] == [0.1, 0.025]
    assert mine.param_groups[0]["params"] == [w]
    assert dict(mine.param_groups[1])["betas"] == (0.5, 0.9)
    mine.set_lr(0.5)
    assert mine.rates() == [0.5, 0.5]
    mine.lr.write([0.25, 0.75])
    assert mine.rates() == [0.25, 0.75], "what somebody else wrote is read"


def test_gradients_accumulate() -> None:
    w, t = Tensor(W, requires_grad=True), torch.tensor(W, requires_grad=True)
    mine, reference = nn.optim.SGD([w], lr=0.5), torch.optim.SGD([t], lr=0.5)
    for part in (X[:2], X[2:4], X[4:]):
        ((Tensor(part).linear(w) ** 2).mean() / 3).backward()
    (torch.nn.functional.linear(torch.tensor(X), t) ** 2).mean().backward()
    mine.step()
    reference.step()
    np.testing.assert_allclose(w.numpy(), t.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", ["momentum", "adam amsgrad", "rmsprop centered"])
def test_an_optimiser_is_saved_and_goes_on(name: str, tmp_path: Path) -> None:
    make, _, options = CASES[name]

    def steps(optimizer: nn.optim.Optimizer, w: Tensor, count: int) -> list[float]:
        for _ in range(count):
            optimizer.zero_grad()
            (Tensor(X).linear(w) ** 2).mean().backward()
            optimizer.step()
        found: list[float] = w.flatten().tolist()
        return found

    first = Tensor(W, requires_grad=True)
    whole = make([first], **options)
    steps(whole, first, 2)
    saved = whole.state_dict()
    assert not any(name.startswith("params") for name in saved)
    nn.state.safe_save({**saved, "w": first}, tmp_path / "state")
    wanted = steps(whole, first, 2)
    loaded = nn.state.safe_load(tmp_path / "state")
    second = loaded.pop("w").requires_grad_()
    rest = make([second], **{**options, "lr": 0.7})
    rest.load_state_dict(loaded)
    assert rest.rates() == pytest.approx(whole.rates())
    assert steps(rest, second, 2) == wanted
    with pytest.raises(CheckpointError, match="lacks"):
        rest.load_state_dict({"lr": Tensor([0.1])})


def test_what_is_unless_changes_nothing() -> None:
    p = Tensor([1.0, 2.0], requires_grad=True)
    adam = nn.optim.Adam([p], lr=0.5)
    for unless, wanted in ((True, [1.0, 2.0]), (False, [0.5, 1.5])):
        adam.zero_grad()
        (p * p).sum().backward()
        Tensor.realize(*adam.schedule_step(unless=Tensor(unless)))
        assert p.tolist() == pytest.approx(wanted)
        assert (adam.correction.tolist()[0] == 0) is unless


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
        (lambda: nn.optim.SGD([p], momentum=0.9, dampening=0.1, nesterov=True), "no dampening"),
        (lambda: nn.optim.Adam([p], betas=(0.9, 1.0)), "betas"),
        (lambda: nn.optim.Lion([p], betas=(0.9,)), "betas"),
        (lambda: nn.optim.RMSprop([p], alpha=-1.0), "alpha"),
        (lambda: nn.optim.SGD(p), "a list of parameters"),
        (lambda: nn.optim.SGD([{"params": [p], "wieght_decay": 0.1}]), "did you mean 'weight_decay'"),
        (lambda: nn.optim.SGD([{"params": [p]}, {"params": [p]}]), "two groups"),
        (lambda: nn.optim.SGD([p]).param_groups[0].update(momentums=1.0), "no setting 'momentums'"),
        (lambda: nn.optim.SGD([p]).param_groups[0].pop("lr"), "cannot be taken away"),
        (lambda: nn.optim.SGD([p]).step(), "call backward"),
    ]
    for act, words in refused:
        with pytest.raises(UsageError, match=words):
            act()
    assert issubclass(UsageError, anneal.AnnealError)
