"""Ways to compare our layers with PyTorch's: the same parameters, the same input, the same gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from anneal import Tensor, nn

RTOL, ATOL = 1e-4, 1e-5
"""Of float32, over a few sums."""


def copy(ours: Any, theirs: torch.nn.Module) -> None:
    """PyTorch's tensors in our layer: names, shapes and dtypes are the same, or loading fails."""
    nn.state.load_state_dict(ours, {name: Tensor(value.detach().numpy()) for name, value in theirs.state_dict().items()})


def random(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Normal numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def close(found: Tensor | None, wanted: Any, what: str = "") -> None:
    """The same shape and numbers."""
    assert found is not None, what
    assert found.shape == tuple(wanted.shape), what
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=RTOL, atol=ATOL, err_msg=what)


def flat(results: Any) -> list[Any]:
    """The tensors of nested results."""
    return [x for r in results for x in flat(r)] if isinstance(results, tuple | list) else [] if results is None else [results]


def agree(ours: Any, theirs: torch.nn.Module, *inputs: Any, training: bool = False, gradients: bool = True, **options: Any) -> None:
    """Both layers, given the same parameters and inputs, have the same results and gradients, and the same statistics afterwards.

    Arrays of floats are differentiated; options that are arrays become tensors.
    """
    copy(ours, theirs)
    theirs.train(training)
    theirs.zero_grad()
    for tensor in nn.state.get_state_dict(ours).values():
        tensor.zero_grad()
    mine = [Tensor(x, requires_grad=gradients and x.dtype == np.float32) for x in inputs]
    others = [torch.tensor(x, requires_grad=gradients and x.dtype == np.float32) for x in inputs]
    own = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    with Tensor.train(training):
        found = flat(ours(*mine, **own))
    wanted = flat(theirs(*others, **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}))
    assert len(found) == len(wanted)
    tensors = nn.state.get_state_dict(ours)
    if gradients:
        weights = [random(*a.shape, seed=9) for a in found]
        total = sum(((a * Tensor(w)).sum() for a, w in zip(found, weights, strict=True)), start=Tensor(0.0))
        total.backward()
        sum((b * torch.tensor(w)).sum() for b, w in zip(wanted, weights, strict=True)).backward()
    grads = [(f"input {i}", a.grad, b.grad) for i, (a, b) in enumerate(zip(mine, others, strict=True)) if gradients and b.grad is not None]
    grads += [(name, tensors[name].grad, p.grad) for name, p in theirs.named_parameters() if p.grad is not None]
    Tensor.realize(*found, *(a for _, a, _ in grads if a is not None), *tensors.values())
    for number, (a, b) in enumerate(zip(found, wanted, strict=True)):
        close(a, b, f"result {number}")
    for name, a, b in grads:
        close(a, b, f"the gradient of {name}")
    for name, value in theirs.state_dict().items():
        close(tensors[name], value, name)
