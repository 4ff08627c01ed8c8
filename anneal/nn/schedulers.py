"""Schedules of the learning rate, under PyTorch's names. A change of the rate is a write to a tensor, so it compiles nothing.

A scheduler sets the rates of its optimiser's groups when it is made and at every `step()`. Rates follow from the number of steps so far and
the rates that the groups had before the first scheduler: PyTorch's closed forms. Several schedules take turns in a `SequentialLR`.

>>> from anneal import Tensor, nn
>>> sgd = nn.optim.SGD([Tensor([1.0], requires_grad=True)], lr=1.0)
>>> half = StepLR(sgd, step_size=2, gamma=0.5)
>>> for _ in range(4):
...     half.step()
>>> half.get_last_lr()
[0.25]
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from anneal.errors import UsageError
from anneal.nn.optimizer import Optimizer

_PLAIN: Final = (int, float, bool, str, list)


class _Scheduler:
    """What all schedulers share: the optimiser and the number of steps so far."""

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise UsageError(f"a scheduler takes an optimiser, not {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.last_epoch = 0
        """How many steps there have been."""

    def get_last_lr(self) -> list[float]:
        """The rate of each group now."""
        return self.optimizer.rates()

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is, as plain numbers; functions are not in it."""
        return {name: value for name, value in vars(self).items() if isinstance(value, _PLAIN)}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave. The rates are the optimiser's own state."""
        own = self.state_dict()
        if own.keys() != saved.keys():
            raise UsageError(f"this is not the state of a {type(self).__name__}: it has {', '.join(saved)}, not {', '.join(own)}")
        vars(self).update(saved)


class LRScheduler(_Scheduler):
    """A schedule by the number of steps: the groups' rates at first, and what becomes of them."""

    def __init__(self, optimizer: Optimizer) -> None:
        """Sets the rates of step 0."""
        super().__init__(optimizer)
        if optimizer.initial_rates is None:
            optimizer.initial_rates = optimizer.rates()
        self.base_lrs = list(optimizer.initial_rates)
        self._set()

    def factor(self, step: int) -> float:
        """The rate at a step, as a multiple of the group's first."""
        raise NotImplementedError

    def rates(self, step: int) -> list[float]:
        """The rate of each group at a step."""
        factor = self.factor(step)
        return [base * factor for base in self.base_lrs]

    def step(self) -> None:
        """Go on by one and set the rates: after the optimiser's step, once a step or once an epoch as the schedule is meant."""
        self.last_epoch += 1
        self._set()

    def _set(self) -> None:
        self.optimizer.write_rates(self.rates(self.last_epoch))


def _positive(name: str, value: int) -> int:
    if value <= 0 or value != int(value):
        raise UsageError(f"{name} is a whole number above 0, not {value}")
    return value


class LambdaLR(LRScheduler):
    """The first rate times a function of the step."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]) -> None:
        """One function for all groups, or one for each."""
        count = len(optimizer.param_groups)
        self.lambdas = (lr_lambda,) * count if callable(lr_lambda) else tuple(lr_lambda)
        if len(self.lambdas) != count:
            raise UsageError(f"{len(self.lambdas)} functions do not fit {count} groups of parameters")
        super().__init__(optimizer)

    def rates(self, step: int) -> list[float]:
        """The first rates, each times its function."""
        return [base * function(step) for base, function in zip(self.base_lrs, self.lambdas, strict=True)]


class StepLR(LRScheduler):
    """Multiplied by `gamma` every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        """`step_size` is above 0."""
        self.step_size, self.gamma = _positive("step_size", step_size), gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """`gamma` to the number of stairs so far."""
        return float(self.gamma ** (step // self.step_size))


class MultiStepLR(LRScheduler):
    """Multiplied by `gamma` at each milestone."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        """A milestone that comes twice counts twice."""
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """`gamma` to the number of milestones passed."""
        return float(self.gamma ** bisect_right(self.milestones, step))


class ExponentialLR(LRScheduler):
    """Multiplied by `gamma` every step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        """`gamma` is the decay of one step."""
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """`gamma` to the number of steps."""
        return float(self.gamma**step)


class ConstantLR(LRScheduler):
    """A fraction of the rate for the first `total_iters` steps."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5) -> None:
        """`factor` is from 0 to 1."""
        self.fraction, self.total_iters = factor, total_iters
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """The fraction, then 1."""
        return self.fraction if step < self.total_iters else 1.0


class LinearLR(LRScheduler):
    """From one fraction of the rate to another in even steps: a warm-up."""

    def __init__(self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5) -> None:
        """`total_iters` steps lead from `start_factor` to `end_factor`."""
        if not (0 < start_factor <= 1 and 0 <= end_factor <= 1):
            raise UsageError(f"start_factor is from above 0 to 1 and end_factor from 0 to 1: {start_factor}, {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, _positive("total_iters", total_iters)
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """Between the two, and then the second."""
        return self.start_factor + (self.end_factor - self.start_factor) * min(step, self.total_iters) / self.total_iters


class PolynomialLR(LRScheduler):
    """To 0 in `total_iters` steps, as a power of what is left."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        """`power` 1 is a straight line."""
        self.total_iters, self.power = _positive("total_iters", total_iters), power
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """What is left of the steps, to the power."""
        return float((1 - min(step, self.total_iters) / self.total_iters) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """Along half a cosine to `eta_min` in `T_max` steps, and back in as many (Loshchilov and Hutter, 2016, without restarts)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:  # noqa: N803 - PyTorch's name
        """`T_max` is above 0."""
        self.T_max, self.eta_min = _positive("T_max", T_max), eta_min
        super().__init__(optimizer)

    def rates(self, step: int) -> list[float]:
        """Between `eta_min` and the first rates."""
        share = (1 + math.cos(math.pi * step / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Along half a cosine to `eta_min`, and at once back to the first rate; each turn `T_mult` times as long (Loshchilov and Hutter, 2016)."""

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> None:  # noqa: N803 - PyTorch's names
        """`T_0` is the length of the first turn."""
        self.T_0, self.T_mult, self.eta_min = _positive("T_0", T_0), _positive("T_mult", T_mult), eta_min
        super().__init__(optimizer)

    def rates(self, step: int) -> list[float]:
        """Between `eta_min` and the first rates."""
        length = self.T_0
        while step >= length:
            step -= length
            length *= self.T_mult
            if self.T_mult == 1:
                step %= length
        share = (1 + math.cos(math.pi * step / length)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down again over one training (Smith and Topin, 2017). Momentum is a constant of the program and does not cycle."""

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        """The length is `total_steps`, or `epochs` of `steps_per_epoch`; from max_lr / div_factor up, and down to that / final_div_factor."""
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise UsageError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear") or not 0 <= pct_start <= 1:
            raise UsageError(f'anneal_strategy is "cos" or "linear" and pct_start from 0 to 1: {anneal_strategy!r}, {pct_start}')
        self.total_steps, self.anneal_strategy = _positive("total_steps", total_steps), anneal_strategy
        count = len(optimizer.param_groups)
        self.max_lrs = [max_lr] * count if isinstance(max_lr, int | float) else list(max_lr)
        if len(self.max_lrs) != count:
            raise UsageError(f"{len(self.max_lrs)} largest rates do not fit {count} groups of parameters")
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        rise = pct_start * total_steps - 1
        self.ends = [rise, 2 * rise, total_steps - 1] if three_phase else [rise, total_steps - 1]
        """The step at which each phase ends."""
        super().__init__(optimizer)

    def rates(self, step: int) -> list[float]:
        """The rate of each group; raises UsageError after the last step."""
        if step >= self.total_steps:
            raise UsageError(f"OneCycleLR was made for {self.total_steps} steps, and this is step {step + 1}")
        return [self._rate(step, largest) for largest in self.max_lrs]

    def _rate(self, step: int, largest: float) -> float:
        first = largest / self.div_factor
        last = first / self.final_div_factor
        values = [first, largest, first, last] if len(self.ends) > 2 else [first, largest, last]
        start: float = 0
        for at, end in enumerate(self.ends):
            if step <= end or at == len(self.ends) - 1:
                share = (step - start) / (end - start) if end != start else 1.0
                if self.anneal_strategy == "linear":
                    return values[at] + (values[at + 1] - values[at]) * share
                return values[at + 1] + (values[at] - values[at + 1]) / 2 * (1 + math.cos(math.pi * share))
            start = end
        return last


class SequentialLR(LRScheduler):
    """One schedule until a milestone, then the next, which counts from there: a warm-up and what follows it."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        """One milestone fewer than schedules, rising; the schedules were made for this optimiser."""
        if len(milestones) != len(schedulers) - 1 or sorted(milestones) != list(milestones):
            raise UsageError(f"{len(schedulers)} schedules need {len(schedulers) - 1} rising milestones, not {list(milestones)}")
        if any(s.optimizer is not optimizer for s in schedulers):
            raise UsageError("the schedules are not all for this optimiser")
        self.schedulers, self.milestones = tuple(schedulers), list(milestones)
        super().__init__(optimizer)

    def rates(self, step: int) -> list[float]:
        """Those of the schedule whose turn it is."""
        at = bisect_right(self.milestones, step)
        return self.schedulers[at].rates(step - (self.milestones[at - 1] if at else 0))


class ReduceLROnPlateau(_Scheduler):
    """Multiplied by `factor` when a number, such as a loss, has not got better for `patience` calls."""

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        """Better is smaller or, in mode "max", larger, by `threshold` relative or "abs"; a change of the rate below `eps` is not made."""
        if factor >= 1 or mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise UsageError(f'factor is below 1, mode "min" or "max", threshold_mode "rel" or "abs": {factor}, {mode!r}, {threshold_mode!r}')
        super().__init__(optimizer)
        self.mode, self.factor, self.patience, self.threshold, self.threshold_mode = mode, factor, patience, threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        count = len(optimizer.param_groups)
        self.min_lrs = [float(min_lr)] * count if isinstance(min_lr, int | float) else list(min_lr)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0

    def step(self, metrics: float) -> None:
        """Take note of the number; a tensor of one element is read."""
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            old = self.optimizer.rates()
            new = [max(rate * self.factor, least) for rate, least in zip(old, self.min_lrs, strict=True)]
            self.optimizer.write_rates([b if a - b > self.eps else a for a, b in zip(old, new, strict=True)])
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _better(self, value: float) -> bool:
        margin = self.threshold * (self.best if self.threshold_mode == "rel" and math.isfinite(self.best) else 1.0)
        return value < self.best - margin if self.mode == "min" else value > self.best + margin
