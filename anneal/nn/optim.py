"""Optimisers: from gradients to new parameters, as part of the same graph.

`schedule_step()` gives the updates unrealised, so that they can be compiled together with forward and backward; `step()` realises them.
The learning rate is a tensor of one element, so changing it compiles nothing. State is float32.

>>> from anneal import Tensor
>>> w = Tensor([3.0], requires_grad=True)
>>> sgd = SGD([w], lr=0.1)
>>> ((w - 1) ** 2).sum().backward()
>>> [t.shape for t in sgd.schedule_step()]
[(1,)]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anneal.errors import UsageError
from anneal.ir.dtype import dtypes
from anneal.tensor import host, realize
from anneal.tensor.core import no_grad, phase
from anneal.tensor.storage import Buffer
from anneal.tensor.tensor import Tensor


def _zeros(shape: tuple[int, ...], device: str | None) -> Tensor:
    """A float32 state tensor, uploaded with the first step."""
    return Tensor(Buffer(shape, dtypes.float32, pending=bytes(host.nbytes(shape, dtypes.float32)), device=device).uop, device=device)


def _zeros_like(parameter: Tensor) -> Tensor:
    return _zeros(realize.sizes(parameter.uop), parameter.device)


class Optimizer:
    """What all optimisers share: parameters, the learning rate, and how updates are made and realised."""

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        """`params` are tensors that require gradients, each once."""
        self.params = list(dict.fromkeys(params))
        if not self.params:
            raise UsageError("an optimiser needs at least one parameter")
        for parameter in self.params:
            if not parameter.requires_grad:
                raise UsageError(f"an optimiser's parameters require gradients, and {parameter!r} does not: create it with requires_grad=True")
        if not (lr >= 0 and weight_decay >= 0):
            raise UsageError(f"lr and weight_decay are not negative: {lr}, {weight_decay}")
        self.lr = Tensor([lr], dtype=dtypes.float32, device=self.params[0].device)
        """The learning rate; `set_lr` changes it."""
        self.weight_decay = weight_decay

    def set_lr(self, lr: float) -> None:
        """Change the learning rate from the next step on."""
        self.lr.write([lr])

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.params:
            parameter.zero_grad()

    def schedule_step(self) -> list[Tensor]:
        """The new parameters and state, unrealised: realise or compile them together. Nothing changes until then."""
        if all(p.grad is None for p in self.params):
            raise UsageError("no parameter has a gradient: call backward() on the loss before the step")
        with no_grad(), phase("update"):
            updates = self._shared()
            for number, parameter in enumerate(self.params):
                if parameter.grad is not None:
                    value = parameter.detach().float()
                    updates += self._update(number, parameter, value, parameter.grad.detach().float())
            return updates

    def step(self) -> None:
        """Update the parameters and state in place, and with them realise the losses that the gradients came from."""
        updates = self.schedule_step()
        roots = dict.fromkeys(root for p in self.params if p.grad is not None for root in p.gradient_roots())
        Tensor.realize(*roots, *updates)

    def _shared(self) -> list[Tensor]:
        """Updates of state that all parameters share."""
        return []

    def _update(self, number: int, parameter: Tensor, value: Tensor, grad: Tensor) -> list[Tensor]:
        """The updates of one parameter, from its value and gradient in float32."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and weight decay as PyTorch has them."""

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> None:
        """With `nesterov` the step looks ahead along the momentum."""
        super().__init__(params, lr, weight_decay)
        if momentum < 0 or (nesterov and not momentum):
            raise UsageError(f"momentum is not negative, and Nesterov's needs it above 0: {momentum}")
        self.momentum, self.nesterov = momentum, nesterov
        self.velocity = [_zeros_like(p) for p in self.params] if momentum else []

    def _update(self, number: int, parameter: Tensor, value: Tensor, grad: Tensor) -> list[Tensor]:
        if self.weight_decay:
            grad = grad + value * self.weight_decay
        updates = []
        if self.momentum:
            velocity = self.velocity[number].detach() * self.momentum + grad
            updates.append(self.velocity[number].assigned(velocity))
            grad = grad + velocity * self.momentum if self.nesterov else velocity
        return [parameter.assigned((value - grad * self.lr.detach()).cast(parameter.dtype)), *updates]


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2014); weight decay is added to the gradient."""

    decoupled = False
    """True where weight decay shrinks the parameter itself."""

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-3, betas: Sequence[float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0) -> None:
        """`betas` are the decays of the first and second moment."""
        super().__init__(params, lr, weight_decay)
        if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
            raise UsageError(f"betas are two numbers from 0 to below 1, not {betas}")
        self.betas, self.eps = (float(betas[0]), float(betas[1])), eps
        self.first = [_zeros_like(p) for p in self.params]
        self.second = [_zeros_like(p) for p in self.params]
        self.correction = _zeros((2,), self.lr.device)
        """1 - beta**t for both betas, kept by a recurrence that does not cancel for small t."""

    def _corrections(self) -> Tensor:
        first, second = self.betas
        decay = (Tensor.arange(2) == 0).where(first, second)
        return self.correction.detach() * decay + (1 - decay)

    def _shared(self) -> list[Tensor]:
        return [self.correction.assigned(self._corrections())]

    def _update(self, number: int, parameter: Tensor, value: Tensor, grad: Tensor) -> list[Tensor]:
        (b1, b2), lr, corrections = self.betas, self.lr.detach(), self._corrections()
        if self.weight_decay and self.decoupled:
            value = value * (1 - lr * self.weight_decay)
        elif self.weight_decay:
            grad = grad + value * self.weight_decay
        first = self.first[number].detach() * b1 + grad * (1 - b1)
        second = self.second[number].detach() * b2 + grad * grad * (1 - b2)
        size = (second / corrections[1:2]).sqrt() + self.eps
        new = value - first / corrections[0:1] * lr / size
        return [parameter.assigned(new.cast(parameter.dtype)), self.first[number].assigned(first), self.second[number].assigned(second)]


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2017)."""

    decoupled = True

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, betas: Sequence[float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.01
    ) -> None:
        """As Adam, with weight decay by default."""
        super().__init__(params, lr, betas, eps, weight_decay)
