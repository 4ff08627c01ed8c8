"""What all optimisers share: parameters and their settings, the learning rate, and how updates are made, left out, realised and saved.

`schedule_step()` gives the updates unrealised, so that they can be compiled together with forward and backward; `step()` realises them.
Learning rates are a tensor, so changing one compiles nothing; any other setting that is changed is another program. State is float32.

Gradients add up over `backward()` calls until `zero_grad()`: to accumulate, divide each loss by the number of parts and step after the last.

>>> from anneal import Tensor, nn
>>> w = Tensor([3.0], requires_grad=True)
>>> sgd = nn.optim.SGD([w], lr=0.1)
>>> for part in (1.0, 2.0):
...     (((w - part) ** 2).sum() / 2).backward()
>>> sgd.step()
>>> round(w.item(), 4)
2.7
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from anneal.errors import UsageError, meant
from anneal.ir.dtype import dtypes
from anneal.nn import pending, state
from anneal.tensor import host, realize
from anneal.tensor.core import no_grad, phase
from anneal.tensor.storage import Buffer
from anneal.tensor.tensor import Tensor

Params = Iterable[Tensor] | Iterable[Mapping[str, Any]]
"""Parameters, or groups of them: dicts with `params` and the settings in which a group differs."""
Updates = list[tuple[Tensor, Tensor]]
"""Tensors, each with its new value."""


def zeros(shape: tuple[int, ...], device: str | None) -> Tensor:
    """A float32 state tensor, uploaded with the first step."""
    return Tensor(Buffer(shape, dtypes.float32, pending=bytes(host.nbytes(shape, dtypes.float32)), device=device).uop, device=device)


def zeros_like(parameter: Tensor) -> Tensor:
    """A float32 state tensor for a parameter."""
    return zeros(realize.sizes(parameter.uop), parameter.device)


class Group(MutableMapping[str, Any]):
    """Parameters that share their settings, as a dict; what is written to `lr` is on the device at once.

    >>> from anneal import nn
    >>> [group] = nn.optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.5).param_groups
    >>> group["lr"] = 0.25
    >>> group["lr"], group["momentum"]
    (0.25, 0.0)
    """

    __slots__ = ("_optimizer", "_settings", "numbers")

    def __init__(self, optimizer: Optimizer, settings: dict[str, Any], numbers: range) -> None:
        self._optimizer, self._settings = optimizer, settings
        self.numbers = numbers
        """Which of the optimiser's parameters they are."""

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            return self._optimizer.params[self.numbers.start : self.numbers.stop]
        return self._optimizer.rates()[self.at] if name == "lr" else self._settings[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self._settings:
            raise UsageError(f"{type(self._optimizer).__name__} has no setting {name!r}: it has lr, {', '.join(self._settings)}")
        if name != "lr":
            self._settings[name] = value
            return
        rates = self._optimizer.rates()
        rates[self.at] = value
        self._optimizer.write_rates(rates)

    def __delitem__(self, name: str) -> None:
        raise UsageError(f"the setting {name!r} of an optimiser cannot be taken away")

    def __iter__(self) -> Iterator[str]:
        return iter(("params", *self._settings))

    def __len__(self) -> int:
        return 1 + len(self._settings)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def at(self) -> int:
        """Which of the optimiser's groups it is."""
        return next(i for i, group in enumerate(self._optimizer.param_groups) if group is self)

    def rate(self) -> Tensor:
        """The learning rate, of shape (1,)."""
        lr = self._optimizer.lr.detach()
        return lr if len(self._optimizer.param_groups) == 1 else lr[self.at : self.at + 1]


class Optimizer:
    """What all optimisers share: parameters, settings, the learning rate, and how updates are made and realised."""

    def __init__(self, params: Params, lr: float, weight_decay: float = 0.0, **settings: Any) -> None:
        """`params` are tensors that require gradients, each once, or dicts of such with settings of their own (see `Params`)."""
        defaults = {"lr": lr, "weight_decay": weight_decay, "maximize": False, **settings}
        self.params: list[Tensor] = []
        self._groups = tuple(self._group(given, defaults) for given in _groups(params))
        if not self.params:
            raise UsageError("an optimiser needs at least one parameter")
        rates = [group._settings["lr"] for group in self._groups]
        self.lr = Tensor(rates, dtype=dtypes.float32, device=self.params[0].device)
        """The learning rate of each group; `set_lr` changes it."""
        self._rates = (self.lr.uop, rates)
        self.initial_rates: list[float] | None = None
        """The learning rates before the first scheduler; None without any."""

    def _group(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Group:
        for name in given:
            if name not in (*defaults, "params"):
                hint = meant(name, [*defaults, "params"])
                raise UsageError(f"{type(self).__name__} has no setting {name!r}{': ' + hint if hint else ''}")
        known, start = set(map(id, self.params)), len(self.params)
        members = given.get("params", ())
        for parameter in dict.fromkeys([members] if isinstance(members, Tensor) else members):
            if not isinstance(parameter, Tensor) or not parameter.requires_grad:
                raise UsageError(f"an optimiser's parameters require gradients, and {parameter!r} does not: create it with requires_grad=True")
            if id(parameter) in known:
                raise UsageError(f"{parameter!r} is in two groups of an optimiser: a parameter belongs to one")
            self.params.append(parameter)
        settings = {**defaults, **{k: v for k, v in given.items() if k != "params"}}
        self._check(settings)
        return Group(self, settings, range(start, len(self.params)))

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Raise UsageError for settings that cannot be."""
        lr, weight_decay = settings["lr"], settings["weight_decay"]
        if not (lr >= 0 and weight_decay >= 0):
            raise UsageError(f"lr and weight_decay are not negative: {lr}, {weight_decay}")

    @property
    def param_groups(self) -> tuple[Group, ...]:
        """The groups, in order."""
        return self._groups

    # Learning rates.

    def rates(self) -> list[float]:
        """The learning rate of each group, as it was set; read from the device only where something else has written it."""
        node, rates = self._rates
        if self.lr.uop is not node:
            rates = self.lr.tolist()
            self._rates = (self.lr.uop, rates)
        return list(rates)

    def write_rates(self, rates: Sequence[float]) -> None:
        """Change the learning rate of each group from the next step on."""
        self.lr.write(list(rates))
        self._rates = (self.lr.uop, list(rates))

    def set_lr(self, lr: float) -> None:
        """Change the learning rate, of all groups, from the next step on."""
        self.write_rates([lr] * len(self._groups))

    # Steps.

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.params:
            parameter.zero_grad()

    def schedule_step(self, unless: Tensor | None = None) -> list[Tensor]:
        """The new parameters and state, unrealised: realise or compile them together. Nothing changes until then.

        Where `unless`, one bool, turns out True, they are the old ones.
        """
        if all(p.grad is None for p in self.params):
            raise UsageError("no parameter has a gradient: call backward() on the loss before the step")
        with no_grad(), phase("update"):
            updates = self._shared()
            for group in self._groups:
                sign = -1 if group["maximize"] else 1
                for number in group.numbers:
                    parameter = self.params[number]
                    if parameter.grad is not None:
                        grad = parameter.grad.detach().float()
                        updates += self._update(group, number, parameter.detach().float(), grad if sign > 0 else -grad)
            return [_assigned(target, value, unless) for target, value in updates]

    def step(self) -> None:
        """Update the parameters and state in place; the losses that the gradients came from, and statistics of normalisation, are realised with them."""
        self.apply(self.schedule_step())

    def apply(self, updates: Sequence[Tensor], *others: Tensor) -> None:
        """Realise updates from `schedule_step`, with other tensors and with what belongs to the step: losses, statistics of normalisation."""
        roots = dict.fromkeys(root for p in self.params if p.grad is not None for root in p.gradient_roots())
        Tensor.realize(*roots, *updates, *others, *pending.of(updates))

    def _shared(self) -> Updates:
        """Updates of state that all parameters share."""
        return []

    def _update(self, group: Group, number: int, value: Tensor, grad: Tensor) -> Updates:
        """The updates of one parameter, from its value and gradient in float32."""
        raise NotImplementedError

    # State.

    def state_dict(self) -> dict[str, Tensor]:
        """Everything but the parameters that steps change, by name: save it with the model to go on later."""
        return {name: tensor for name, tensor in state.get_state_dict(self).items() if not name.startswith("params.")}

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` gave of an optimiser of this kind over parameters of these shapes. Raises CheckpointError for another."""
        state.load_state_dict(self.state_dict(), saved)


def _groups(params: Params) -> list[Mapping[str, Any]]:
    if isinstance(params, Tensor):
        raise UsageError("an optimiser takes a list of parameters, not one tensor: [tensor]")
    given: list[Any] = list(params)
    if given and all(isinstance(one, Mapping) for one in given):
        return given
    return [{"params": given}]


def _assigned(target: Tensor, value: Tensor, unless: Tensor | None) -> Tensor:
    value = value.cast(target.dtype)
    return target.assigned(value if unless is None else unless.where(target.detach(), value))
