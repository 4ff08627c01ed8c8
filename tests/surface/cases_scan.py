"""Cases of the surface: scans."""

from __future__ import annotations

import math
from typing import Any, Final

from surface import Case, given

from anneal import dtypes

WIDTHS: Final = (dtypes.float32, dtypes.float16, dtypes.int32)
BLOCK: Final = given(2, 5, 3)
LONG: Final = given(2, 150)
STEPS: Final = given(values=[1.0, 3.0, 3.0, -1.0, 3.0, 4.0, 4.0, 0.0])
BROKEN: Final = given(values=[1.0, math.inf, -math.inf, 2.0, math.nan, 3.0])
NOTHING: Final = given(values=[-math.inf, -math.inf, 1.0, math.inf, 2.0])


def torch() -> Any:
    """PyTorch, which the table of the documentation does without."""
    import torch

    return torch


def _sums(name: str, **changes: Any) -> list[Case]:
    def case(label: str, *inputs: Any, axis: int = 0, **more: Any) -> Case:
        return Case(name, lambda x: getattr(x, name)(axis), inputs, label=label, **{"rtol": 2e-5, "atol": 1e-5, **changes, **more})

    return [
        case("", BLOCK, dtypes=(dtypes.float32, dtypes.int32), kernels=1),
        case("axis=1", BLOCK, axis=1, dtypes=(dtypes.float16, dtypes.int32, dtypes.bool, dtypes.int8), gradient=False),
        case("axis=-1", BLOCK, axis=-1),
        case("of blocks", given(2, 150, low=-1.0, high=1.0), axis=1, kernels=3),
        case("of inf and nan", BROKEN, gradient=False),
    ]


def _extremes(name: str) -> list[Case]:
    def case(label: str, *inputs: Any, axis: int = 0, **more: Any) -> Case:
        return Case(name, lambda x: getattr(x, name)(axis), inputs, label=label, **more)

    return [
        case("", BLOCK, dtypes=WIDTHS, kernels=2),
        case("axis=1", BLOCK, axis=1, dtypes=(*WIDTHS, dtypes.bool, dtypes.uint8)),
        case("of equals", STEPS),
        case("of blocks", given(2, 150, low=-6, high=6), axis=1, dtypes=(dtypes.float32, dtypes.int32)),
        case("of inf and nan", BROKEN, gradient=False),
    ]


CASES: Final[tuple[Case, ...]] = (
    *_sums("cumsum"),
    Case("cumsum", lambda x: x.cumsum(1, dtype=dtypes.float32), (BLOCK,), lambda t: t.cumsum(1, dtype=torch().float32), "dtype", WIDTHS),
    Case("cumsum", lambda x: x.cumsum(0), (given(4096, dtype=dtypes.int32),), label="of 4,096", kernels=3, gradient=False),
    *_sums("cumprod"),
    Case("cumprod", lambda x: x.cumprod(1, dtype=dtypes.float32), (BLOCK,), lambda t: t.cumprod(1, dtype=torch().float32), "dtype", WIDTHS, gradient=False),
    Case("cumprod", lambda x: x.cumprod(0), (given(values=[2.0, 3.0, 0.0, 4.0, -1.0]),), label="of a zero"),
    Case("cumprod", lambda x: x.cumprod(0), (given(values=[2.0, 0.0, 3.0, 0.0, -1.0]),), label="of zeros"),
    Case("cumprod", lambda x: x.cumprod(0), (given(values=[*[1.5, 0.5] * 20, 0.0, *[0.5, 2.0] * 40, 0.0, 3.0]),), label="of zeros in blocks", rtol=3e-5),
    Case("logcumsumexp", lambda x: x.logcumsumexp(0), (BLOCK,), dtypes=(dtypes.float32, dtypes.float16), kernels=1),
    Case("logcumsumexp", lambda x: x.logcumsumexp(1), (BLOCK,), label="axis=1"),
    Case("logcumsumexp", lambda x: x.logcumsumexp(1), (LONG,), label="of blocks", rtol=2e-5, kernels=4),
    Case("logcumsumexp", lambda x: x.logcumsumexp(0), (given(values=[-1000.0, 0.0, 1000.0, 999.0]),), label="of extremes", gradient=False),
    Case("logcumsumexp", lambda x: x.logcumsumexp(0), (NOTHING,), label="of inf", gradient=False),
    *_extremes("cummax"),
    *_extremes("cummin"),
)
