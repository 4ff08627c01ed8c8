"""Cases of the surface: pools, and back."""

from __future__ import annotations

from typing import Any, Final

from surface import Case, Given, given

from anneal import dtypes
from anneal.ir.dtype import DType


def functional() -> Any:
    import torch.nn.functional

    return torch.nn.functional


def pool(method: str, x: Given, label: str, *arguments: Any, kernels: int = 1, kinds: tuple[DType, ...] = (dtypes.float32,), **options: Any) -> Case:
    """A pool, forward in one kernel unless it says otherwise."""
    return Case(
        method,
        lambda x: getattr(x, method)(*arguments, **options),
        (x,),
        theirs=lambda x: getattr(functional(), method)(x, *arguments, **options),
        label=label,
        dtypes=kinds,
        kernels=kernels,
    )


PLANE, LINE, SPACE = given(2, 2, 6, 7), given(2, 2, 9), given(1, 2, 4, 5, 3)
HALF: Final = (dtypes.float32, dtypes.float16)
INDICES: Final = [[[[0, 3], [8, 11]], [[5, 2], [9, 10]]]]

CASES: Final[tuple[Case, ...]] = (
    pool("max_pool1d", LINE, "", 3, stride=2, padding=1),
    pool("max_pool1d", LINE, "ceil, dilation", 2, stride=3, dilation=2, ceil_mode=True),
    pool("max_pool2d", PLANE, "", 2, kinds=HALF),
    pool("max_pool2d", PLANE, "all options", (2, 3), stride=(3, 2), padding=(1, 1), dilation=(2, 1), ceil_mode=True),
    pool("max_pool2d", given(2, 6, 7), "ceil", 3, stride=2, ceil_mode=True),
    pool("max_pool2d", PLANE, "indices", 2, return_indices=True, kernels=2),
    pool("max_pool2d", PLANE, "indices, all options", 3, stride=2, padding=1, dilation=2, ceil_mode=True, return_indices=True, kernels=2),
    pool("max_pool1d", LINE, "indices", 3, return_indices=True, kernels=2),
    pool("max_pool3d", SPACE, "", 2, stride=1, padding=1),
    pool("max_pool3d", SPACE, "indices", (2, 3, 1), return_indices=True, kernels=2),
    pool("avg_pool1d", LINE, "", 3, stride=2, padding=1),
    pool("avg_pool1d", LINE, "ceil", 2, stride=2, ceil_mode=True),
    pool("avg_pool2d", PLANE, "", 2, kinds=HALF),
    pool("avg_pool2d", PLANE, "padding", (2, 3), stride=(1, 2), padding=(1, 1)),
    pool("avg_pool2d", PLANE, "padding that does not count", 3, stride=2, padding=1, count_include_pad=False),
    pool("avg_pool2d", PLANE, "ceil, padding", 3, stride=3, padding=1, ceil_mode=True),
    pool("avg_pool2d", PLANE, "ceil, padding that does not count", 3, stride=3, padding=1, ceil_mode=True, count_include_pad=False),
    pool("avg_pool2d", PLANE, "divisor", 2, divisor_override=3),
    pool("avg_pool3d", SPACE, "", 2, padding=1, ceil_mode=True),
    pool("adaptive_avg_pool1d", LINE, "", 3),
    pool("adaptive_avg_pool1d", LINE, "uneven", 4),
    pool("adaptive_avg_pool2d", PLANE, "", (3, 7)),
    pool("adaptive_avg_pool2d", PLANE, "uneven", (4, 5), kinds=HALF),
    pool("adaptive_avg_pool2d", PLANE, "larger", (None, 8)),
    pool("adaptive_avg_pool3d", SPACE, "uneven", (3, 2, 1)),
    pool("adaptive_max_pool1d", LINE, "uneven", 4),
    pool("adaptive_max_pool2d", PLANE, "", 1),
    pool("adaptive_max_pool2d", PLANE, "uneven", (4, 5)),
    pool("adaptive_max_pool2d", PLANE, "indices", (3, 1), return_indices=True, kernels=2),
    pool("adaptive_max_pool2d", PLANE, "indices, uneven", (4, 5), return_indices=True, kernels=2),
    pool("adaptive_max_pool3d", SPACE, "", (2, 1, 3)),
    Case(
        "max_unpool1d",
        lambda x, i: x.max_unpool1d(i, 2),
        (given(1, 2, 3), given(0, values=[[[1, 3, 4], [0, 2, 5]]], dtype=dtypes.int32)),
        lambda x, i: functional().max_unpool1d(x, i.long(), 2),
        kernels=2,
    ),
    Case(
        "max_unpool2d",
        lambda x, i: x.max_unpool2d(i, 2),
        (given(1, 2, 2, 2), given(0, values=INDICES, dtype=dtypes.int32)),
        lambda x, i: functional().max_unpool2d(x, i.long(), 2),
        kernels=2,
    ),
    Case(
        "max_unpool2d",
        lambda x, i: x.max_unpool2d(i, 2, stride=2, padding=0, output_size=(5, 4)),
        (given(1, 2, 2, 2), given(0, values=INDICES, dtype=dtypes.int32)),
        lambda x, i: functional().max_unpool2d(x, i.long(), 2, stride=2, padding=0, output_size=(5, 4)),
        label="output_size",
        kernels=2,
    ),
    Case(
        "max_unpool3d",
        lambda x, i: x.max_unpool3d(i, 2),
        (given(1, 2, 1, 2), given(0, values=[[[[6, 1]], [[15, 0]]]], dtype=dtypes.int32)),
        lambda x, i: functional().max_unpool3d(x, i.long(), 2),
        kernels=2,
    ),
)
