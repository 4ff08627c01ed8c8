"""Cases of the surface: sorting, the largest few, medians, and what depends on the values."""

from __future__ import annotations

import math
from typing import Any, Final

from surface import Case, given

from anneal import dtypes

WIDTHS: Final = (dtypes.float32, dtypes.float16, dtypes.int32)
BLOCK: Final = given(2, 5, 3)
BROKEN: Final = given(values=[[2.0, math.nan, -math.inf, 0.0, math.inf, -0.0, 2.0], [math.nan, 1.0, math.nan, -1.0, 1.0, 0.5, -3.5]])
TIES: Final = given(2, 40, low=-3, high=3)


def torch() -> Any:
    """PyTorch, which the table of the documentation does without."""
    import torch

    return torch


def _sorted(t: Any, axis: int = -1, *, descending: bool = False) -> Any:
    return torch().sort(t, dim=axis, descending=descending, stable=True)


SORTS: Final = (
    Case("sort", lambda x: x.sort(), (BLOCK,), _sorted, "", WIDTHS, kernels=3),
    Case("sort", lambda x: x.sort(0), (given(7, 2),), lambda t: _sorted(t, 0), "axis=0"),
    Case("sort", lambda x: x.sort(1, descending=True), (BLOCK,), lambda t: _sorted(t, 1, descending=True), "descending", WIDTHS),
    Case("sort", lambda x: x.sort(stable=True), (TIES,), _sorted, "of equals", (dtypes.int32, dtypes.bool, dtypes.int8, dtypes.uint8)),
    Case("sort", lambda x: x.sort(-1, True), (TIES,), lambda t: _sorted(t, descending=True), "of equals, descending", (dtypes.int32, dtypes.bool)),
    Case("sort", lambda x: x.sort(), (BROKEN,), _sorted, "of inf and nan", gradient=False),
    Case("sort", lambda x: x.sort(descending=True), (BROKEN,), lambda t: _sorted(t, descending=True), "of inf and nan, descending", gradient=False),
    Case("argsort", lambda x: x.argsort(1), (BLOCK,), lambda t: t.argsort(dim=1, stable=True), "", WIDTHS, gradient=False, kernels=2),
    Case("argsort", lambda x: x.argsort(0, True), (BLOCK,), lambda t: t.argsort(dim=0, descending=True, stable=True), "descending", WIDTHS, gradient=False),
)
FEW: Final = (
    Case("topk", lambda x: x.topk(2), (given(3, 8),), dtypes=(dtypes.float32, dtypes.float16), kernels=3),
    Case("topk", lambda x: x.topk(2, 1), (BLOCK,), label="axis=1"),
    Case("topk", lambda x: x.topk(3, largest=False), (given(3, 8),), label="smallest"),
    Case("topk", lambda x: x.topk(8, -1, True, sorted=True), (given(2, 8),), label="of all"),
    Case("topk", lambda x: x.topk(3).values, (TIES,), label="of equals", dtypes=(dtypes.int32,)),
    Case("topk", lambda x: x.topk(4).values, (BROKEN,), label="of inf and nan", gradient=False),
    Case("median", lambda x: x.median(), (given(3, 5),), dtypes=WIDTHS),
    Case("median", lambda x: x.median(1), (given(3, 8),), label="axis=1"),
    Case("median", lambda x: x.median(0, keepdim=True), (given(5, 3),), lambda t: t.median(0, keepdim=True), "keepdim"),
    Case("median", lambda x: x.median(1)[0], (BROKEN,), label="of inf and nan", gradient=False),
)
CHOSEN: Final = (
    Case("masked_select", lambda x, m: x.masked_select(m), (given(3, 4), given(3, 4, dtype=dtypes.bool)), dtypes=WIDTHS),
    Case("masked_select", lambda x, m: x.masked_select(m), (given(2, 1, 3), given(4, 1, dtype=dtypes.bool)), label="broadcast"),
    Case("nonzero", lambda x: x.nonzero(), (given(2, 3, 4, low=-1, high=1),), gradient=False, dtypes=(dtypes.float32, dtypes.bool)),
    Case("nonzero", lambda x: x.nonzero(), (given(values=[[0, 3], [-1, 0]], dtype=dtypes.int32),), label="of integers", gradient=False),
    Case("nonzero", lambda x: x.nonzero(as_tuple=True), (given(values=[[0.0, math.nan], [-0.0, 1.0]]),), label="as_tuple", gradient=False),
    Case("unique", lambda x: x.unique(), (given(values=[3, 1, 3, 2, 1], dtype=dtypes.int32),), gradient=False),
    Case(
        "unique",
        lambda x: x.unique(return_inverse=True, return_counts=True),
        (given(3, 5, low=-2, high=2),),
        label="with places and counts",
        gradient=False,
        dtypes=(dtypes.int32, dtypes.float32),
    ),
)
CASES: Final[tuple[Case, ...]] = (*SORTS, *FEW, *CHOSEN)
