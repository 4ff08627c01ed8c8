"""Optimisers: from gradients to new parameters, as part of the same graph. Names, arguments and formulas are PyTorch's where it has them.

Every optimiser takes tensors or groups of them (`Params`), `lr`, `weight_decay`, and `maximize` to climb instead of descend. Steps are counted
once for all parameters. `lr_scheduler` has schedules for the learning rate.

>>> from anneal import Tensor
>>> w = Tensor([3.0], requires_grad=True)
>>> sgd = SGD([w], lr=0.1)
>>> ((w - 1) ** 2).sum().backward()
>>> [t.shape for t in sgd.schedule_step()]
[(1,)]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anneal.errors import UsageError
from anneal.nn import schedulers as lr_scheduler
from anneal.nn.optimizer import Group, Optimizer, Params, Updates, zeros, zeros_like
from anneal.tensor.tensor import Tensor

__all__ = ["LAMB", "SGD", "Adam", "AdamW", "Lion", "Optimizer", "RMSprop", "lr_scheduler"]


def _check_betas(betas: Sequence[float]) -> None:
    if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
        raise UsageError(f"betas are two numbers from 0 to below 1, not {betas}")


def _listed(values: Sequence[float]) -> Tensor:
    """A tensor of a few numbers, as constants of the program."""
    at, made = Tensor.arange(len(values)), Tensor.full(len(values), values[-1])
    for i in reversed(range(len(values) - 1)):
        made = (at == i).where(values[i], made)
    return made


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and weight decay as PyTorch has them."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        """With `nesterov` the step looks ahead along the momentum; `dampening` lessens what a gradient adds to it, but for the first."""
        super().__init__(params, lr, weight_decay, momentum=momentum, dampening=dampening, nesterov=nesterov, maximize=maximize)
        moving = any(group["momentum"] for group in self.param_groups)
        self.velocity = [zeros_like(p) for p in self.params] if moving else []
        damped = moving and any(group["dampening"] for group in self.param_groups)
        self.started = [zeros((1,), p.device) for p in self.params] if damped else []
        """1 once a parameter has had a gradient."""

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        momentum = settings["momentum"]
        if momentum < 0 or (settings["nesterov"] and not momentum):
            raise UsageError(f"momentum is not negative, and Nesterov's needs it above 0: {momentum}")
        if settings["nesterov"] and settings["dampening"]:
            raise UsageError(f"Nesterov's momentum has no dampening, not {settings['dampening']}")

    def _update(self, group: Group, number: int, value: Tensor, grad: Tensor) -> Updates:
        momentum, updates = group["momentum"], Updates()
        if group["weight_decay"]:
            grad = grad + value * group["weight_decay"]
        if momentum:
            added = grad
            if group["dampening"]:
                started = self.started[number]
                added = grad * started.detach().ne(0).where(1 - group["dampening"], 1.0)
                updates.append((started, started.ones_like()))
            velocity = self.velocity[number].detach() * momentum + added
            updates.append((self.velocity[number], velocity))
            grad = grad + velocity * momentum if group["nesterov"] else velocity
        return [(self.params[number], value - grad * group.rate()), *updates]


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2014); weight decay is added to the gradient."""

    decoupled = False
    """True where weight decay shrinks the parameter itself."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None:
        """`betas` are the decays of the first and second moment; with `amsgrad` the second moment counts as the largest that it was."""
        super().__init__(params, lr, weight_decay, betas=tuple(map(float, betas)), eps=eps, amsgrad=amsgrad, maximize=maximize)
        self.first = [zeros_like(p) for p in self.params]
        self.second = [zeros_like(p) for p in self.params]
        self.largest = [zeros_like(p) for p in self.params] if any(group["amsgrad"] for group in self.param_groups) else []
        self.correction = zeros((2 * len(self.param_groups),), self.lr.device)
        """1 - beta**t for both betas of each group, kept by a recurrence that does not cancel for small t."""

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        _check_betas(settings["betas"])

    def _corrections(self) -> Tensor:
        betas: list[float] = [beta for group in self.param_groups for beta in group["betas"]]
        return self.correction.detach() * _listed(betas) + _listed([1 - beta for beta in betas])

    def _shared(self) -> Updates:
        return [(self.correction, self._corrections())]

    def _moments(self, group: Group, number: int, grad: Tensor) -> tuple[Tensor, Tensor, Updates]:
        """Both moments corrected for their start at 0, the second under its root, and the updates of the moments themselves."""
        (b1, b2), corrections = group["betas"], self._corrections()
        at = 2 * group.at
        first = self.first[number].detach() * b1 + grad * (1 - b1)
        second = self.second[number].detach() * b2 + grad * grad * (1 - b2)
        updates = [(self.first[number], first), (self.second[number], second)]
        if group["amsgrad"]:
            second = second.maximum(self.largest[number].detach())
            updates.append((self.largest[number], second))
        size = (second / corrections[at + 1 : at + 2]).sqrt() + group["eps"]
        return first / corrections[at : at + 1], size, updates

    def _update(self, group: Group, number: int, value: Tensor, grad: Tensor) -> Updates:
        lr, decay = group.rate(), group["weight_decay"]
        if decay and self.decoupled:
            value = value * (1 - lr * decay)
        elif decay:
            grad = grad + value * decay
        first, size, updates = self._moments(group, number, grad)
        return [(self.params[number], value - first * lr / size), *updates]


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2017)."""

    decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None:
        """As Adam, with weight decay by default."""
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize)


class LAMB(Adam):
    """Adam's direction, with a step in proportion to the size of each parameter (You and others, 2019: Large batch optimization, algorithm 2)."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        """As Adam; where a parameter or its direction is 0 the step is `lr` times the direction."""
        super().__init__(params, lr, betas, eps, weight_decay, maximize=maximize)

    def _update(self, group: Group, number: int, value: Tensor, grad: Tensor) -> Updates:
        first, size, updates = self._moments(group, number, grad)
        direction = first / size + value * group["weight_decay"] if group["weight_decay"] else first / size
        of_value, of_direction = value.square().sum().sqrt(), direction.square().sum().sqrt()
        trust = ((of_value > 0) & (of_direction > 0)).where(of_value / of_direction, 1.0)
        return [(self.params[number], value - direction * (trust * group.rate())), *updates]


class Lion(Optimizer):
    """Steps of one size in the direction of a momentum's sign (Chen and others, 2023: Symbolic discovery of optimization algorithms)."""

    def __init__(self, params: Params, lr: float = 1e-4, betas: Sequence[float] = (0.9, 0.99), weight_decay: float = 0.0, maximize: bool = False) -> None:
        """`betas` are the momentum's share in the direction, and its decay; weight decay shrinks the parameter itself."""
        super().__init__(params, lr, weight_decay, betas=tuple(map(float, betas)), maximize=maximize)
        self.momentum = [zeros_like(p) for p in self.params]

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        _check_betas(settings["betas"])

    def _update(self, group: Group, number: int, value: Tensor, grad: Tensor) -> Updates:
        (b1, b2), momentum = group["betas"], self.momentum[number].detach()
        direction = (momentum * b1 + grad * (1 - b1)).sign()
        if group["weight_decay"]:
            direction = direction + value * group["weight_decay"]
        return [(self.params[number], value - direction * group.rate()), (self.momentum[number], momentum * b2 + grad * (1 - b2))]


class RMSprop(Optimizer):
    """Gradients divided by the root of their mean square (Hinton's lecture 6e, 2012), as PyTorch has it."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        maximize: bool = False,
    ) -> None:
        """`alpha` is the mean's decay; when `centered` the gradients are divided by their deviation."""
        super().__init__(params, lr, weight_decay, alpha=alpha, eps=eps, momentum=momentum, centered=centered, maximize=maximize)
        self.square = [zeros_like(p) for p in self.params]
        self.mean = [zeros_like(p) for p in self.params] if any(group["centered"] for group in self.param_groups) else []
        self.velocity = [zeros_like(p) for p in self.params] if any(group["momentum"] for group in self.param_groups) else []

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if not (settings["alpha"] >= 0 and settings["momentum"] >= 0):
            raise UsageError(f"alpha and momentum are not negative: {settings['alpha']}, {settings['momentum']}")

    def _update(self, group: Group, number: int, value: Tensor, grad: Tensor) -> Updates:
        alpha = group["alpha"]
        if group["weight_decay"]:
            grad = grad + value * group["weight_decay"]
        square = self.square[number].detach() * alpha + grad * grad * (1 - alpha)
        updates, spread = [(self.square[number], square)], square
        if group["centered"]:
            mean = self.mean[number].detach() * alpha + grad * (1 - alpha)
            updates.append((self.mean[number], mean))
            spread = square - mean * mean
        step = grad / (spread.sqrt() + group["eps"])
        if group["momentum"]:
            step = self.velocity[number].detach() * group["momentum"] + step
            updates.append((self.velocity[number], step))
        return [(self.params[number], value - step * group.rate()), *updates]
