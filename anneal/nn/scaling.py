"""Mixed precision: a forward pass in 16 bits over float32 parameters, and a loss scaled so that small gradients do not vanish.

`autocast` replaces a model's parameters by their values in 16 bits for the length of a block; gradients pass through the cast to the float32
ones, which the optimiser updates. Inputs are cast by the caller: a layer computes in the wider type of input and parameter. Sums are kept in
float32 whatever the type. bfloat16 has the range of float32 and needs no scaling; float16 does: gradients below 6e-8 would be 0.

>>> from anneal import Tensor, dtypes, nn
>>> net, x = nn.Linear(2, 1), Tensor([[1.0, 2.0]])
>>> sgd, scaler = nn.optim.SGD(nn.state.get_parameters(net), lr=0.1), GradScaler()
>>> with autocast(net, dtypes.float16):
...     loss = net(x.cast(dtypes.float16)).float().square().mean()
>>> scaler.scale(loss).backward()
>>> scaler.step(sgd)
>>> scaler.update()
>>> net.weight.dtype, scaler.get_scale()
(dtypes.float32, 65536.0)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from anneal.errors import DTypeError, UsageError
from anneal.ir.dtype import DType, dtypes
from anneal.nn import state
from anneal.nn.optimizer import Optimizer
from anneal.tensor.core import no_grad, phase
from anneal.tensor.tensor import Tensor


@contextmanager
def autocast(model: Any, dtype: DType = dtypes.float16) -> Iterator[None]:
    """Inside, the float32 parameters of a model are their values in `dtype`; gradients go to the float32 ones.

    Raises UsageError for a parameter in a tuple, which cannot be replaced.
    """
    if not dtype.is_float:
        raise DTypeError(f"a model computes in floats, not {dtype.name}")
    places = list(_places(model))
    cast: dict[int, Tensor] = {}
    try:
        for holder, key, tensor in places:
            holder[key] = cast.setdefault(id(tensor), tensor.cast(dtype))
        yield
    finally:
        for holder, key, tensor in places:
            holder[key] = tensor


def _places(model: Any) -> Iterator[tuple[Any, Any, Tensor]]:
    """Each dict or list of a model that has a float32 parameter, where in it, and the parameter."""
    for name, part in state.get_modules(model).items():
        items = list(enumerate(part)) if isinstance(part, list | tuple) else list((part if isinstance(part, dict) else getattr(part, "__dict__", {})).items())
        for key, tensor in items:
            if isinstance(tensor, Tensor) and tensor.requires_grad and tensor.dtype is dtypes.float32:
                if isinstance(part, tuple):
                    raise UsageError(f"a parameter in the tuple {name} cannot be replaced for a while: use a list")
                yield (part if isinstance(part, dict | list) else vars(part)), key, tensor


class GradScaler:
    """A factor for losses, as large as the gradients' range allows: lowered when one overflows, raised after a while without.

    A step whose gradients have overflowed leaves parameters and state as they are; the choice is made on the device, and nothing is read.
    """

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        """The factor is multiplied by `growth_factor` after `growth_interval` good steps, by `backoff_factor` after a bad one."""
        if not (init_scale > 0 and growth_factor > 1 and 0 < backoff_factor < 1 and growth_interval >= 1):
            raise UsageError(f"a scale above 0 grows by more than 1 and backs off by less: {init_scale}, {growth_factor}, {backoff_factor}, {growth_interval}")
        self.growth_factor, self.backoff_factor, self.growth_interval, self.enabled = growth_factor, backoff_factor, growth_interval, enabled
        self.factor = Tensor(float(init_scale))
        """What losses are multiplied by."""
        self.good_steps = Tensor(0)
        """How many steps there have been since the factor changed."""
        self._found: dict[Optimizer, Tensor] = {}
        """For each optimiser whose gradients have been divided: whether one of them is no finite number."""

    def scale(self, loss: Tensor) -> Tensor:
        """The loss, or any tensor of losses, times the factor: call `backward()` on it."""
        return loss * self.factor.detach() if self.enabled else loss

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide an optimiser's gradients by the factor: before they are clipped. `step` does it otherwise."""
        if not self.enabled:
            return
        if optimizer in self._found:
            raise UsageError("the gradients have been divided by the scale already: call unscale_() once a step, and update() after it")
        members = [p for p in optimizer.params if p.grad is not None]
        if not members:
            raise UsageError("no parameter has a gradient: call backward() on the scaled loss before unscale_() or step()")
        with no_grad(), phase("backward"):
            wrong, share = Tensor.zeros(dtype=dtypes.int32), self.factor.detach().reciprocal()
            for parameter in members:
                if parameter.grad is not None:
                    grad = parameter.grad.detach().float()
                    wrong = wrong + (grad.abs() < math.inf).logical_not().sum()
                    parameter.grad = (grad * share).cast(parameter.dtype)
            self._found[optimizer] = wrong > 0

    def step(self, optimizer: Optimizer) -> None:
        """The optimiser's step, or none where a gradient is no finite number."""
        if not self.enabled:
            optimizer.step()
            return
        updates = self._updates(optimizer)
        optimizer.apply(updates, self._found[optimizer])

    def update(self, new_scale: float | None = None) -> None:
        """Change the factor as the steps since the last update call for, or to `new_scale`."""
        if not self.enabled:
            return
        if new_scale is not None:
            self.factor.write(new_scale)
            self._found.clear()
            return
        Tensor.realize(*self._changed())
        self._found.clear()

    def schedule_step(self, *optimizers: Optimizer) -> list[Tensor]:
        """What `step` for each optimiser and then `update` do, unrealised: realise or compile them together."""
        if not self.enabled:
            return [update for optimizer in optimizers for update in optimizer.schedule_step()]
        updates = [update for optimizer in optimizers for update in self._updates(optimizer)]
        updates += self._changed()
        self._found.clear()
        return updates

    def _updates(self, optimizer: Optimizer) -> list[Tensor]:
        if optimizer not in self._found:
            self.unscale_(optimizer)
        return optimizer.schedule_step(unless=self._found[optimizer])

    def _changed(self) -> list[Tensor]:
        """The new factor and count."""
        if not self._found:
            raise UsageError("update() comes after a step: no optimiser has made one since the last")
        with no_grad(), phase("update"):
            bad, *others = self._found.values()
            for other in others:
                bad = bad | other
            count = self.good_steps.detach() + 1
            grown = count >= self.growth_interval
            factor = self.factor.detach()
            larger = factor * self.growth_factor
            larger = (larger < math.inf).where(larger, factor)
            new = bad.where(factor * self.backoff_factor, grown.where(larger, factor))
            return [self.factor.assigned(new), self.good_steps.assigned((bad | grown).where(0, count))]

    def get_scale(self) -> float:
        """The factor, read from the device."""
        return float(self.factor.item()) if self.enabled else 1.0

    def state_dict(self) -> dict[str, Tensor]:
        """The factor and the count, by name."""
        return {"factor": self.factor, "good_steps": self.good_steps}

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave. Raises CheckpointError for something else."""
        state.load_state_dict(self.state_dict(), saved)
