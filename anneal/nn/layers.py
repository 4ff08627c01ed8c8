"""Layers: objects that hold parameters and are called with tensors. Names, shapes and initialisation are PyTorch's.

Any callable object that holds tensors, or such objects, as attributes is a layer, and so is any function of a tensor: nothing is derived from
a base class, and nothing is registered.

>>> from anneal import Tensor
>>> net = Sequential(Flatten(), Linear(6, 2), Tensor.relu)
>>> net(Tensor.ones(4, 2, 3)).shape
(4, 2)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from anneal.errors import ShapeError, UsageError
from anneal.tensor import shapes
from anneal.tensor.tensor import Tensor


def fan_uniform(shape: Sequence[int], fan_in: int) -> Tensor:
    """A parameter, uniform within 1/sqrt(fan_in) of 0: PyTorch's default for linear and convolution layers."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return Tensor.uniform(*shape, low=-bound, high=bound, requires_grad=True)


class Linear:
    """x @ weight.T + bias."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        """Parameters `weight` (out, in) and `bias` (out,), or None."""
        self.weight = fan_uniform((out_features, in_features), in_features)
        self.bias = fan_uniform((out_features,), in_features) if bias else None

    def __call__(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return x.linear(self.weight, self.bias)


class Embedding:
    """Rows of a learned table."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        """Parameter `weight` (num_embeddings, embedding_dim), normal as in PyTorch; row `padding_idx` is 0 and gets no gradient."""
        self.padding_idx = None if padding_idx is None else shapes.axis(padding_idx, num_embeddings)
        weight = Tensor.randn(num_embeddings, embedding_dim)
        if self.padding_idx is not None:
            weight = Tensor.arange(num_embeddings).unsqueeze(1).eq(self.padding_idx).where(0, weight)
        self.weight = weight.requires_grad_()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A layer with this table, which is not trained unless `freeze` is False."""
        if embeddings.ndim != 2:
            raise ShapeError(f"a table of embeddings has two axes, not shape {embeddings.shape}")
        made = object.__new__(cls)
        made.padding_idx = None if padding_idx is None else shapes.axis(padding_idx, len(embeddings))
        made.weight = embeddings.detach().requires_grad_(not freeze)
        return made

    def __call__(self, index: Tensor) -> Tensor:
        """(...) of integers to (..., embedding_dim)."""
        return index.embedding(self.weight, self.padding_idx)


class Dropout:
    """In training, elements set to 0 with probability p and the others divided by 1 - p."""

    def __init__(self, p: float = 0.5) -> None:
        """No parameters."""
        if not 0 <= p <= 1:
            raise UsageError(f"dropout: a probability is from 0 to 1, not {p}")
        self.p = p

    def __call__(self, x: Tensor) -> Tensor:
        """Of the input's shape."""
        return x.dropout(self.p)


class Identity:
    """The input itself, whatever the layer is made with."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """No parameters."""

    def __call__(self, x: Tensor) -> Tensor:
        """The same tensor."""
        return x


class Flatten:
    """Several axes as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        """No parameters."""
        self.start_dim, self.end_dim = start_dim, end_dim

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, ...) to (batch, everything else), unless other axes were asked for."""
        return x.flatten(self.start_dim, self.end_dim)


class Sequential:
    """Layers and functions called one after another; its tensors go by the number of their layer, or by the name that it was given."""

    def __init__(self, *layers: Callable[[Tensor], Tensor] | Mapping[str, Callable[[Tensor], Tensor]]) -> None:
        """The layers, in order, or a dict of them."""
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            vars(self).update(layers[0])
        else:
            vars(self).update({str(i): layer for i, layer in enumerate(layers)})

    def __call__(self, x: Tensor) -> Tensor:
        """The last layer's result."""
        for layer in self:
            x = layer(x)
        return x

    def __iter__(self) -> Iterator[Any]:
        return iter(list(vars(self).values()))

    def __len__(self) -> int:
        return len(vars(self))

    def __getitem__(self, at: int | slice) -> Any:
        layers = list(self)
        return Sequential(*layers[at]) if isinstance(at, slice) else layers[at]

    def append(self, layer: Callable[[Tensor], Tensor]) -> Sequential:
        """Add a layer at the end; returns the sequence."""
        vars(self)[str(len(self))] = layer
        return self
