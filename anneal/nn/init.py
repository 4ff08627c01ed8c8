"""Initialisation of parameters that are there, under PyTorch's names: each replaces a tensor's values, without a gradient, and returns it.

Values are computed when they are first needed. `Tensor.manual_seed` makes them repeatable.

>>> from anneal import Tensor, nn
>>> layer = nn.Linear(3, 2)
>>> zeros_(layer.bias).tolist(), constant_(layer.weight, 0.5).shape
([0.0, 0.0], (2, 3))
"""

from __future__ import annotations

import math
from typing import Final

from anneal.errors import ShapeError, UsageError
from anneal.tensor import realize
from anneal.tensor.tensor import Tensor

_GAINS: Final = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


_WINITZKI: Final = 0.147
"""The constant of his approximation of erf."""


def _replaced(tensor: Tensor, value: Tensor) -> Tensor:
    """The tensor, with the values of another in a buffer of its own."""
    if tensor.requires_grad and value.requires_grad:
        raise UsageError("a tensor is initialised with values that have no gradient")
    tensor.follow(value.cast(tensor.dtype).own().uop)
    return tensor


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    return realize.sizes(tensor.uop)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps variances through a nonlinearity; `param` is the slope of "leaky_relu"."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise UsageError(f"no gain is known for {nonlinearity!r}: there are {', '.join((*_GAINS, 'leaky_relu'))}")
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output has, and outputs an input, of a weight (out, in, ...)."""
    sizes = _sizes(tensor)
    if len(sizes) < 2:
        raise ShapeError(f"an initialisation by fan needs a weight of at least 2 axes, not shape {sizes}")
    field = math.prod(sizes[2:])
    return sizes[1] * field, sizes[0] * field


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b)."""
    return _replaced(tensor, Tensor.uniform(*_sizes(tensor), low=a, high=b, device=tensor.device))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal."""
    return _replaced(tensor, Tensor.normal(*_sizes(tensor), mean=mean, std=std, device=tensor.device))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Normal, drawn again outside of [a, b]: the inverse distribution function of uniform numbers, by Winitzki's approximation of erfinv (2008)."""
    low, high = (math.erf((end - mean) / std / math.sqrt(2)) for end in (a, b))
    u = Tensor.uniform(*_sizes(tensor), low=low, high=high, device=tensor.device)
    logs = (1 - u * u).maximum(1e-30).log()
    half = logs / 2 + 2 / (math.pi * _WINITZKI)
    size = ((half * half - logs / _WINITZKI).sqrt() - half).maximum(0).sqrt()
    return _replaced(tensor, ((u < 0).where(-size, size) * (std * math.sqrt(2)) + mean).clamp(a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element the same."""
    return _replaced(tensor, Tensor.full(_sizes(tensor), val, tensor.dtype, tensor.device))


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix."""
    rows, columns = _sizes(tensor)
    return _replaced(tensor, Tensor.eye(rows, columns, device=tensor.device))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform, for equal variances forward and backward (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6 / max(1, sum(_fans(tensor))))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal, for equal variances forward and backward (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(1, sum(_fans(tensor)))))


def _deviation(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise UsageError(f'mode is "fan_in" or "fan_out", not {mode!r}')
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, _fans(tensor)[mode == "fan_out"]))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform, before rectifiers (He and others, 2015); `a` is the slope of a leaky one."""
    bound = math.sqrt(3) * _deviation(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal, before rectifiers (He and others, 2015); `a` is the slope of a leaky one."""
    return normal_(tensor, 0.0, _deviation(tensor, a, mode, nonlinearity))
