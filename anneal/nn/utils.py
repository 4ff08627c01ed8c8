"""What is done to gradients between `backward()` and the step, lazily and as part of the step's program; PyTorch's names.

>>> from anneal import Tensor
>>> w = Tensor([3.0, 4.0], requires_grad=True)
>>> (w * w / 2).sum().backward()
>>> clip_grad_norm_([w], max_norm=1.0).item()
5.0
>>> [round(v, 4) for v in w.grad.tolist()]
[0.6, 0.8]
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from anneal.errors import UsageError
from anneal.nn import pending
from anneal.tensor.core import no_grad, phase
from anneal.tensor.tensor import Tensor

_SMALL = 1e-6
"""Added to a norm that is divided by, as in PyTorch."""


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in dict.fromkeys(given) if p.grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all elements of some tensors together, in float32; `math.inf` for the largest absolute value. 0 for no tensors."""
    given = [t.float() for t in tensors]
    if norm_type <= 0:
        raise UsageError(f"norm_type is above 0, not {norm_type}")
    if not given:
        return Tensor(0.0)
    if norm_type == math.inf:
        largest = [t.abs().max() for t in given]
        found = largest[0]
        for one in largest[1:]:
            found = found.maximum(one)
        return found
    parts = [(t.square() if norm_type == 2 else t.abs() ** norm_type).sum() for t in given]
    total = parts[0]
    for one in parts[1:]:
        total = total + one
    return total.sqrt() if norm_type == 2 else total ** (1 / norm_type)


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """Scale all gradients down together, so that their norm is at most `max_norm`; returns the norm that they had.

    The norm is realised with the step; to raise UsageError for one that is no finite number, which `error_if_nonfinite` asks for, it is read at once.
    """
    members = _with_gradients(parameters)
    with no_grad(), phase("backward"):
        total = get_total_norm([p.grad.detach() for p in members if p.grad is not None], norm_type)
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise UsageError(f"the norm of the gradients is {total.item()}: the training has diverged, or the loss is scaled too much")
        share = (max_norm / (total + _SMALL)).minimum(1.0)
        for parameter in members:
            if parameter.grad is not None:
                parameter.grad = (parameter.grad.detach().float() * share).cast(parameter.dtype)
    pending.note(total, share)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Move every element of the gradients into [-clip_value, clip_value]; NaN stays."""
    with no_grad(), phase("backward"):
        for parameter in _with_gradients(parameters):
            if parameter.grad is not None:
                parameter.grad = parameter.grad.detach().clamp(-clip_value, clip_value)
