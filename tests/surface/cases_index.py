"""Cases of the surface: elements read and written by position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from surface import Case, Given, given

from anneal import Tensor, dtypes
from anneal.ir.dtype import DType

FLOAT: Final = (dtypes.float32,)
KINDS: Final = (dtypes.float32, dtypes.float16, dtypes.int32, dtypes.bool)
NUMBERS: Final = (dtypes.float32, dtypes.int32)
X: Final = given(3, 4, 5)
PLACES: Final = given(values=[[[0, 3], [2, 1]], [[1, 1], [3, 0]]], dtype=dtypes.int32)
"""Along an axis of size 4, none twice in a column."""
TWICE: Final = given(values=[[0, 2, 0, 1], [2, 2, 0, 2]], dtype=dtypes.int32)
"""Along an axis of size 4, the last of which nothing is put at, some twice."""


def torch() -> Any:
    import torch

    return torch


def as_theirs(key: Any) -> Any:
    """An index with PyTorch's tensors in place of ours."""
    return tuple(torch().tensor(k.tolist()) if isinstance(k, Tensor) else k for k in key)


def read(label: str, *key: Any, kinds: tuple[DType, ...] = FLOAT, theirs: Callable[..., Any] | None = None) -> Case:
    """x[key]; one kernel."""
    return Case("getitem", lambda x: x[key], (X,), theirs or (lambda x: x[as_theirs(key)]), label, kinds, kernels=1)


def written(label: str, *key: Any, value: Given | None = None, kinds: tuple[DType, ...] = FLOAT, kernels: int = 1) -> Case:
    """x[key] = value, or a number; of a tensor that is computed, so that gradients pass."""

    def ours(x: Any, v: Any = 1.5) -> Any:
        y = x.reshape(x.shape) if x.dtype is dtypes.bool else x * 1
        y[key] = v
        return y

    def theirs(x: Any, v: Any = 1.5) -> Any:
        y = x.clone()
        y[as_theirs(key)] = v
        return y

    return Case("setitem", ours, (X,) if value is None else (X, value), theirs, label, kinds, kernels=kernels)


def scatter(
    method: str,
    ours: Callable[..., Any],
    *inputs: Given,
    theirs: Callable[..., Any] | None = None,
    label: str = "",
    kinds: tuple[DType, ...] = NUMBERS,
    kernels: int = 1,
    gradient: bool = True,
) -> Case:
    """Of a tensor, an index and perhaps a source."""
    call = theirs or ours
    return Case(method, ours, inputs, lambda x, i, *rest: call(x, i.long(), *rest), label, kinds, gradient=gradient, kernels=kernels)


def reduced(reduce: str, *, include_self: bool = True) -> Case:
    def call(x: Any, i: Any, s: Any) -> Any:
        return x.scatter_reduce(1, i, s, reduce, include_self=include_self)

    return scatter("scatter_reduce", call, given(2, 4), TWICE, given(2, 4), label=reduce if include_self else f"{reduce} of src")


READ: Final = (
    read("int", 1, kinds=KINDS),
    read("ints", -1, 2, -5),
    read("slices", slice(1, None), slice(None, None, 2), slice(-4, 9, 3), kinds=KINDS),
    read("backwards", slice(None), slice(None, None, -1), slice(4, 0, -2), theirs=lambda x: x.flip(1, 2)[:, :, 0:4:2], kinds=KINDS),
    read("none and dots", None, ..., 1, None),
    read("nothing", slice(2, 1), kinds=KINDS),
    read("list", slice(None), [2, 0, -1], kinds=KINDS),
    read("tensor", Tensor([[2, -3], [0, 0]])),
    read("small tensor", Tensor([2, 0, 0], dtype=dtypes.int32), slice(1, 3)),
    read("neighbours", slice(None), [1, 3], [[0], [4]]),
    read("apart", [0, 2], slice(None), Tensor([1, 4])),
    read("int apart", 0, slice(None), Tensor([1, 4]), theirs=lambda x: x[0, :, [1, 4]].T),  # NumPy's order of axes: an int is an index like others
    read("mask", Tensor([True, False, True]), kinds=KINDS),
    read("mask of axes", slice(None), Tensor([[True, False, False, True, False]] * 4)),
    read("mask and tensor", Tensor([True, False, True]), slice(1, 3), Tensor([1, -1])),
    read("bool", True, 1),
)
WRITTEN: Final = (
    written("int", 1, kinds=NUMBERS),
    written("slices", slice(1, None), ..., slice(None, None, 2), value=given(2, 1, 3), kinds=KINDS),
    written("value of fewer axes", slice(1, None), slice(0, 2), value=given(5)),
    written("list", slice(None), [2, 0], value=given(3, 2, 5), kinds=KINDS),
    written("number at places", slice(None), Tensor([2, -4, 2])),
    written("neighbours", 1, [3, 0], Tensor([1, 4]), value=given(2), kernels=2),
    written("apart", [0, 2], slice(1, 3), Tensor([[1], [4]]), value=given(2, 2, 2), kernels=2),
    written("mask", Tensor([[True, False, True, False]] * 3), value=given(5), kinds=KINDS),
    written("mask and number", Tensor([True, False, True]), kinds=NUMBERS),
    written("mask and values", slice(None), Tensor([True, False, True, True]), value=given(3, 3, 5)),
)
NAMED: Final = (
    scatter("gather", lambda x, i: x.gather(1, i), X, PLACES, kinds=KINDS),
    scatter("gather", lambda x, i: x.gather(-1, i), X, PLACES, label="last axis"),
    scatter("take", lambda x, i: x.take(i), X, PLACES),
    scatter("take_along_dim", lambda x, i: x.take_along_dim(i, 1), given(2, 4, 1), PLACES, theirs=lambda x, i: torch().take_along_dim(x, i, 1)),
    scatter("index_select", lambda x, i: x.index_select(1, i), X, given(values=[3, 0, 3], dtype=dtypes.int32)),
    scatter("scatter", lambda x, i, s: x.scatter(1, i, s), given(2, 4, 2), PLACES, given(2, 2, 2), kinds=KINDS),
    scatter("scatter", lambda x, i, s: x.scatter(1, i, s), X, PLACES, given(2, 2, 2), label="smaller index", kernels=2),
    scatter("scatter", lambda x, i: x.scatter(1, i, 2), given(2, 4), TWICE, label="number"),
    scatter("scatter", lambda x, i: x.scatter(1, i, 2, reduce="add"), given(2, 4), TWICE, label="add", gradient=False),
    scatter(
        "scatter",
        lambda x, i, s: x.scatter(1, i, s, reduce="multiply"),
        given(2, 4),
        TWICE,
        given(2, 4),
        theirs=lambda x, i, s: x.scatter_reduce(1, i, s, "prod"),
        label="multiply",
    ),
    scatter("scatter_add", lambda x, i, s: x.scatter_add(1, i, s), given(2, 4), TWICE, given(2, 4), kinds=KINDS[:3]),
    scatter("scatter_add", lambda x, i, s: x.scatter_add(0, i, s), given(3, 5), TWICE, given(2, 4), label="smaller index", kernels=2),
    *(reduced(name) for name in ("sum", "prod", "mean", "amax", "amin")),
    *(reduced(name, include_self=False) for name in ("sum", "prod", "mean", "amax", "amin")),
    scatter("index_add", lambda x, i, s: x.index_add(1, i, s, alpha=3), X, given(values=[2, 0, 2], dtype=dtypes.int32), given(3, 3, 5)),
    scatter("index_copy", lambda x, i, s: x.index_copy(1, i, s), X, given(values=[2, 0], dtype=dtypes.int32), given(3, 2, 5)),
    scatter("index_fill", lambda x, i: x.index_fill(1, i, 7), X, given(values=[2, 0], dtype=dtypes.int32)),
    Case(
        "masked_scatter",
        lambda x, m, s: x.masked_scatter(m, s),
        (given(2, 4), given(values=[[True, False, True, True], [False, True, False, True]], dtype=dtypes.bool), given(6)),
        dtypes=NUMBERS,
    ),
)
CASES: Final[tuple[Case, ...]] = READ + WRITTEN + NAMED
