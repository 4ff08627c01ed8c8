"""What was computed beside a step and that nobody has realised yet: running statistics of a forward pass, the norm of gradients.

Such tensors depend on parameters as they were, so they have to be realised with the step that overwrites those: `Optimizer.step` asks here. Nothing
is kept alive by being noted.

>>> mean, x = Tensor([0.0]).own(), Tensor([4.0])
>>> note(mean.assign(x * 2), x)
>>> [t is mean for t in of([x + 1])]
[True]
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Final

from anneal.ir.graph import toposort
from anneal.ir.uop import UOp
from anneal.tensor import storage
from anneal.tensor.tensor import Tensor

_NOTED: Final[dict[int, tuple[weakref.ref[Tensor], weakref.ref[UOp]]]] = {}
"""By identity: the tensors, and which part of a step says that they belong to it."""


def note(tensor: Tensor, source: Tensor) -> None:
    """Note a tensor that a step shall realise of which `source` is a part: statistics and what they come from, a norm and what is made of it."""
    key = id(tensor)
    _NOTED[key] = (weakref.ref(tensor, lambda _: _NOTED.pop(key, None)), weakref.ref(source.uop))


def of(results: Sequence[Tensor]) -> list[Tensor]:
    """The noted tensors, still unrealised, whose source is part of how these results are computed."""
    waiting = []
    for key, (tensor, source) in list(_NOTED.items()):
        held, node = tensor(), source()
        if held is None or storage.realised(held.uop) is not None:
            del _NOTED[key]
        elif node is not None:
            waiting.append((held, node))
    nodes = set(toposort(*(t.uop for t in results))) if waiting else set()
    return [held for held, node in waiting if node in nodes]
