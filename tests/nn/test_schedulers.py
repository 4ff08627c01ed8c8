"""Schedules give PyTorch's rates, step by step, and compile nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from anneal import Tensor, UsageError, nn
from anneal.nn import schedulers as ours
from anneal.tensor import realize

theirs = torch.optim.lr_scheduler

CASES: dict[str, Callable[[Any, Any], Any]] = {
    "lambda": lambda lib, o: lib.LambdaLR(o, lambda step: 0.9**step),
    "step": lambda lib, o: lib.StepLR(o, 3, gamma=0.5),
    "milestones": lambda lib, o: lib.MultiStepLR(o, [2, 5, 5], gamma=0.5),
    "exponential": lambda lib, o: lib.ExponentialLR(o, 0.8),
    "constant": lambda lib, o: lib.ConstantLR(o, factor=0.25, total_iters=4),
    "linear": lambda lib, o: lib.LinearLR(o, start_factor=0.1, end_factor=0.9, total_iters=4),
    "polynomial": lambda lib, o: lib.PolynomialLR(o, total_iters=8, power=2.0),
    "cosine": lambda lib, o: lib.CosineAnnealingLR(o, T_max=5, eta_min=0.01),
    "restarts": lambda lib, o: lib.CosineAnnealingWarmRestarts(o, T_0=3, eta_min=0.01),
    "longer restarts": lambda lib, o: lib.CosineAnnealingWarmRestarts(o, T_0=2, T_mult=2),
    "one cycle": lambda lib, o: lib.OneCycleLR(o, max_lr=0.5, total_steps=14),
    "one cycle in lines": lambda lib, o: lib.OneCycleLR(o, max_lr=[0.5, 1.0], epochs=2, steps_per_epoch=7, anneal_strategy="linear", three_phase=True),
    "warm-up": lambda lib, o: lib.SequentialLR(o, [lib.LinearLR(o, 0.2, total_iters=3), lib.CosineAnnealingLR(o, 6), lib.ExponentialLR(o, 0.5)], [3, 9]),
}


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


def pair() -> tuple[nn.optim.SGD, torch.optim.SGD]:
    """Optimisers of two groups with rates 0.1 and 0.4."""
    p, q = (Tensor([1.0], requires_grad=True) for _ in range(2))
    t, u = (torch.ones(1, requires_grad=True) for _ in range(2))
    groups: list[dict[str, Any]] = [{"params": [p]}, {"params": [q], "lr": 0.4}]
    others: list[dict[str, Any]] = [{"params": [t]}, {"params": [u], "lr": 0.4}]
    return nn.optim.SGD(groups, lr=0.1, momentum=0.9), torch.optim.SGD(others, lr=0.1, momentum=0.9)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_rates(name: str) -> None:
    mine, reference = pair()
    a, b = CASES[name](ours, mine), CASES[name](theirs, reference)
    for _ in range(13):
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-6, abs=1e-9)
        assert mine.lr.tolist() == pytest.approx(b.get_last_lr(), rel=1e-6, abs=1e-9)
        a.step()
        b.step()


@pytest.mark.parametrize(
    "options",
    [{"patience": 1, "factor": 0.5}, {"mode": "max", "patience": 0, "cooldown": 2, "min_lr": 0.05}, {"threshold_mode": "abs", "threshold": 0.5, "patience": 2}],
    ids=str,
)
def test_plateaus(options: dict[str, Any]) -> None:
    mine, reference = pair()
    a, b = ours.ReduceLROnPlateau(mine, **options), theirs.ReduceLROnPlateau(reference, **options)
    for value in (3.0, 2.0, 2.0, 1.9, 1.9, 1.8, 1.8, 1.8, -1.0, -1.0, -1.00001, 5.0, 5.0, 6.0):
        a.step(value)
        b.step(value)
        assert a.get_last_lr() == pytest.approx([g["lr"] for g in reference.param_groups])


def test_a_schedule_is_saved_and_goes_on() -> None:
    mine, _ = pair()
    first = ours.StepLR(mine, 2, gamma=0.5)
    for _ in range(3):
        first.step()
    other, _ = pair()
    second = ours.StepLR(other, 1)
    second.load_state_dict(first.state_dict())
    for scheduler in (first, second):
        scheduler.step()
    assert second.get_last_lr() == first.get_last_lr() == [0.025, 0.1]
    with pytest.raises(UsageError, match="not the state of a StepLR"):
        second.load_state_dict({"gamma": 1.0})


def test_a_schedule_compiles_nothing() -> None:
    p = Tensor([1.0], requires_grad=True)
    sgd = nn.optim.SGD([p], lr=0.5)
    schedule = nn.optim.lr_scheduler.ExponentialLR(sgd, 0.5)
    sinks = set()
    for _ in range(3):
        sgd.zero_grad()
        p.sum().backward()
        sinks.add(realize.trace([t.uop for t in sgd.schedule_step()]).sink)
        sgd.step()
        schedule.step()
    assert len(sinks) == 1
    assert p.item() == 1 - 0.5 - 0.25 - 0.125


def test_wrong_schedules() -> None:
    mine, _ = pair()
    made = ours.OneCycleLR(mine, 1.0, total_steps=2)
    made.step()
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: ours.StepLR(None, 1), "takes an optimiser"),  # type: ignore[arg-type]
        (lambda: ours.StepLR(mine, 0), "step_size"),
        (lambda: ours.LambdaLR(mine, [abs]), "1 functions do not fit 2 groups"),
        (lambda: ours.LinearLR(mine, 0.0), "start_factor"),
        (lambda: ours.CosineAnnealingLR(mine, 0), "T_max"),
        (lambda: ours.OneCycleLR(mine, 1.0), "total_steps"),
        (lambda: ours.OneCycleLR(mine, 1.0, 5, anneal_strategy="sine"), "anneal_strategy"),
        (lambda: ours.OneCycleLR(mine, [1.0], 5), "1 largest rates"),
        (made.step, "made for 2 steps"),
        (lambda: ours.SequentialLR(mine, [made, made], []), "1 rising milestones"),
        (lambda: ours.SequentialLR(pair()[0], [made], []), "not all for this optimiser"),
        (lambda: ours.ReduceLROnPlateau(mine, factor=1.0), "below 1"),
    ]
    for act, words in refused:
        with pytest.raises(UsageError, match=words):
            act()
