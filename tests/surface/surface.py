"""The surface of `Tensor` as a list: one case a method, with what it takes, what PyTorch calls it, and how many kernels it may need.

A case is run on every device and compared with PyTorch, forward and backward (`test_surface.py`); the same list makes the table of the
documentation (`rows`), which needs neither PyTorch nor NumPy.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import anneal
from anneal import Tensor, dtypes
from anneal.ir.dtype import DType

MODULES: Final = ("elementwise", "logic", "activations", "reduce", "scan", "move", "index", "order", "product", "pool", "loss", "create")
"""`cases_<name>.py` of this folder, in the order of the table."""
EDGES: Final = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.3, -7.25, 88.0, -88.0, 1e-30, 3e38, math.inf, -math.inf, math.nan)
"""What a function of floats is tried on beside random numbers."""


@dataclass(frozen=True)
class Given:
    """A tensor that a case takes: random numbers, never 0, from a generator of its own."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: DType | None = None
    """None: the dtype that the case is run in; else always this one, and no gradient is asked for."""
    values: Sequence[Any] | None = None
    """These numbers, nested as they are, instead of random ones."""

    def made(self, dtype: DType, seed: int) -> Any:
        """Nested lists of numbers that `dtype` can hold."""
        if self.values is not None:
            return self.values
        kind = self.dtype or dtype
        generator = random.Random(f"{self.shape} {seed}")

        def number() -> Any:
            if kind is dtypes.bool:
                return generator.random() < 0.5
            value = generator.uniform(self.low, self.high)
            if kind.is_float:
                return value if abs(value) > 0.05 else 0.05 + abs(value)
            low, high = max(self.low, float(kind.min)), min(self.high, float(kind.max))
            return generator.choice([n for n in range(math.ceil(low), math.floor(high) + 1) if n] or [0])

        def nested(sizes: Sequence[int]) -> Any:
            return [nested(sizes[1:]) for _ in range(sizes[0])] if sizes else number()

        return nested(self.shape)


def given(*shape: int, low: float = -2.0, high: float = 2.0, dtype: DType | None = None, values: Sequence[Any] | None = None) -> Given:
    """A tensor of a shape, with numbers between two."""
    return Given(shape, low, high, dtype, values)


@dataclass(frozen=True)
class Case:
    """One way to call one method."""

    method: str
    """The method's name, as it stands in the table."""
    ours: Callable[..., Any]
    """Of our tensors; gives a tensor or several."""
    inputs: tuple[Given, ...]
    theirs: Callable[..., Any] | None = None
    """Of PyTorch's tensors; None: `ours` does for both."""
    label: str = ""
    """Tells cases of one method apart."""
    dtypes: tuple[DType, ...] = (dtypes.float32,)
    gradient: bool = True
    """False where it has none."""
    rtol: float = 1e-5
    atol: float = 1e-6
    kernels: int | None = None
    """The most kernels that it may need."""
    edges: bool = False
    """True: the first input is also tried on EDGES, without gradients."""

    @property
    def name(self) -> str:
        """Method and label."""
        return f"{self.method} {self.label}".strip()

    def tensors(self, dtype: DType, seed: int = 0, *, requires_grad: bool = False) -> list[Tensor]:
        """The inputs as our tensors."""
        found = []
        for i, one in enumerate(self.inputs):
            kind = one.dtype or dtype
            follows = requires_grad and one.dtype is None and kind.is_float
            found.append(Tensor(one.made(dtype, seed + i), dtype=kind, requires_grad=follows))
        return found

    def count(self) -> int:
        """How many kernels the forward pass takes."""
        plan = anneal.compile(*several(self.ours(*self.tensors(self.dtypes[0]))), target=anneal.Target.portable())
        return len(plan.kernels)


def several(result: Any) -> tuple[Any, ...]:
    """One result or several, as several."""
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def cases() -> Iterator[Case]:
    """All cases, in the order of the table."""
    for name in MODULES:
        yield from import_module(f"cases_{name}").CASES


def rows() -> list[tuple[str, str, str, int]]:
    """The table: method, dtypes that are tested, whether there is a gradient, kernels of the first case."""
    found: dict[str, list[Case]] = {}
    for case in cases():
        found.setdefault(case.method, []).append(case)
    return [
        (
            method,
            ", ".join(dict.fromkeys(dtype.name for case in group for dtype in case.dtypes)),
            "yes" if any(case.gradient for case in group) else "none",
            group[0].count(),
        )
        for method, group in found.items()
    ]
