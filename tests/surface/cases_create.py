"""Cases of the surface: creation. Random numbers are proved by statistics, in `tests/tensor/test_random.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from surface import Case, given

from anneal import Tensor, dtypes
from anneal.ir.dtype import DType


def torch() -> Any:
    import torch

    return torch


def kind(name: str, *, ours: bool) -> Any:
    """A dtype of ours or PyTorch's."""
    return getattr(dtypes if ours else torch(), name)


def made(method: str, call: Callable[[Any, Callable[[str], Any]], Any], label: str = "", theirs: Callable[[], Any] | None = None, kernels: int = 1) -> Case:
    """What a library makes, given its functions and its dtypes by name."""
    return Case(
        method,
        lambda: call(Tensor, lambda name: kind(name, ours=True)),
        (),
        theirs or (lambda: call(torch(), lambda name: kind(name, ours=False))),
        label=label,
        gradient=False,
        kernels=kernels,
    )


def like(method: str, dtype: DType, *arguments: Any) -> Case:
    """What has the shape of a tensor."""
    return Case(
        method,
        lambda x: getattr(x, method)(*arguments),
        (given(2, 3),),
        lambda x: getattr(torch(), method)(x, *arguments),
        dtypes=(dtype,),
        gradient=False,
        kernels=1,
    )


CASES: Final[tuple[Case, ...]] = (
    made("zeros", lambda t, _: t.zeros(2, 3)),
    made("zeros", lambda t, d: t.zeros((2, 0), dtype=d("int32")), "dtype"),
    made("ones", lambda t, _: t.ones(2, 3)),
    made("ones", lambda t, d: t.ones((2,), dtype=d("bool")), "dtype"),
    made("full", lambda t, _: t.full((2, 3), 1.5)),
    made("full", lambda t, d: (t.full((), 7), t.full((2,), True), t.full((1, 2), 3, dtype=d("bfloat16"))), "dtypes", kernels=3),
    made("empty", lambda t, d: t.empty(3, 2, dtype=d("int32")).shape[0] * t.ones(1)),
    Case(
        "zeros_like", lambda x: x.zeros_like(), (given(2, 3),), lambda x: torch().zeros_like(x), dtypes=(dtypes.float32, dtypes.bool), gradient=False, kernels=1
    ),
    like("ones_like", dtypes.int32),
    like("full_like", dtypes.bfloat16, 7),
    Case("empty_like", lambda x: x.empty_like().ones_like(), (given(2, 3),), lambda x: torch().ones_like(x), gradient=False, kernels=1),
    made("arange", lambda t, _: t.arange(5)),
    made("arange", lambda t, _: (t.arange(2, 11, 3), t.arange(5, 0, -2), t.arange(3, 3)), "steps", kernels=2),
    made("arange", lambda t, d: (t.arange(0, 1, 0.1), t.arange(2.5), t.arange(4, dtype=d("float32")), t.arange(1, -1, -0.25)), "floats", kernels=4),
    made("linspace", lambda t, _: t.linspace(0, 0.7, 8)),
    made("linspace", lambda t, _: (t.linspace(3, 4, 1), t.linspace(1, 2, 0), t.linspace(5, -5, 5)), "ends", kernels=2),
    made("eye", lambda t, _: t.eye(3)),
    made("eye", lambda t, d: (t.eye(2, 4), t.eye(3, 2, dtype=d("int32")), t.eye(0)), "sizes", kernels=2),
    made("tri", lambda t, _: t.tri(3, 4, 1), theirs=lambda: torch().ones(3, 4).tril(1)),
    Case("meshgrid", Tensor.meshgrid, (given(3), given(4)), lambda x, y: torch().meshgrid(x, y, indexing="ij")),
    Case(
        "meshgrid", lambda x, y, z: x.meshgrid(y, z, indexing="xy"), (given(3), given(4), given(2)), lambda *x: torch().meshgrid(*x, indexing="xy"), label="xy"
    ),
)
