"""Cases of the surface: sums, extremes, statistics, norms, and what is made of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

from surface import Case, Given, given

from anneal import dtypes

FLOATS: Final = (dtypes.float32, dtypes.float16, dtypes.bfloat16)
NUMBERS: Final = (dtypes.float32, dtypes.float16, dtypes.int32)
SMALL: Final = (dtypes.int8, dtypes.uint8, dtypes.int16)
BLOCK: Final = given(2, 3, 4)
TIES: Final = given(values=[[3.0, 1.0, 3.0, -2.0], [0.5, 0.5, 0.5, 0.5]])
ZEROS: Final = given(values=[[0.0, 2.0, -3.0], [0.0, 0.0, 4.0], [1.5, -2.0, 0.5]])
BROKEN: Final = given(values=[[1.0, math.nan, 3.0], [math.inf, -math.inf, 0.0], [math.inf, 2.0, 1.0], [-math.inf, -math.inf, -math.inf]])


def torch() -> Any:
    """PyTorch, which the table of the documentation does without."""
    import torch

    return torch


def _named(method: str, **arguments: Any) -> Case:
    """A method over axes, which PyTorch calls dim."""
    names = {"axis": "dim"}
    label = " ".join(f"{k}={v}" for k, v in arguments.items()).replace("(", "").replace(")", "").replace(", ", ",")

    def ours(x: Any) -> Any:
        return getattr(x, method)(**arguments)

    def theirs(t: Any) -> Any:
        given_ = {names.get(k, k): v for k, v in arguments.items()}
        if method in ("max", "min") and "dim" in given_:
            return getattr(t, f"a{method}")(**given_)
        source: Any = (
            torch() if method.endswith("_mean") or method in ("logsumexp", "count_nonzero") else torch().nn.functional if method == "normalize" else None
        )
        return getattr(source, method)(t, **given_) if source else getattr(t, method)(**given_)

    return Case(method, ours, (BLOCK,), theirs, label=label, kernels=1)


def _as(case: Case, *inputs: Given, **changes: Any) -> Case:
    return replace(case, inputs=inputs or case.inputs, **changes)


SUMS: Final = (
    _as(_named("sum"), dtypes=(*NUMBERS, dtypes.bool, *SMALL), edges=True),
    _as(_named("sum", axis=(0, 2), keepdim=True), dtypes=(*NUMBERS, dtypes.bool)),
    _as(_named("sum", axis=-2), dtypes=FLOATS),
    _as(_named("sum", axis=1), BROKEN, label="of inf and nan", gradient=False),
    _named("sum", axis=0, dtype=None),
    Case("sum", lambda x: x.sum(1, dtype=dtypes.float32), (BLOCK,), lambda t: t.sum(1, dtype=torch().float32), "dtype", NUMBERS),
    _as(_named("sum"), given(300, 300, low=0), label="of a large tensor", kernels=2, dtypes=(dtypes.int32,)),
    Case("prod", lambda x: x.prod(), (BLOCK,), label="of all", dtypes=(dtypes.float32, dtypes.int32, *SMALL), kernels=1, edges=True),
    _as(_named("prod", axis=1), ZEROS, label="of zeros"),
    Case("prod", lambda x: x.prod(2, keepdim=True), (BLOCK,), lambda t: t.prod(2, keepdim=True), "keepdim", (*NUMBERS, dtypes.bool)),
    Case("prod", lambda x: x.prod(0, dtype=dtypes.float32), (BLOCK,), lambda t: t.prod(0, dtype=torch().float32), "dtype", NUMBERS),
    _as(_named("mean"), dtypes=FLOATS, edges=True),
    _as(_named("mean", axis=(0, 1), keepdim=True), dtypes=FLOATS),
    Case("mean", lambda x: x.mean(1, dtype=dtypes.float32), (BLOCK,), lambda t: t.mean(1, dtype=torch().float32), "dtype", NUMBERS, kernels=1),
    _as(_named("count_nonzero"), ZEROS, gradient=False, dtypes=NUMBERS),
    _as(_named("count_nonzero", axis=1), BROKEN, gradient=False),
    _as(_named("count_nonzero", axis=(0, 2)), gradient=False, dtypes=(*NUMBERS, dtypes.bool)),
)
EXTREMES: Final = (
    _as(_named("max"), dtypes=(*NUMBERS, dtypes.bool, *SMALL), edges=True),
    _as(_named("max"), TIES, label="of equals"),
    _as(_named("max", axis=1, keepdim=True), dtypes=FLOATS),
    _as(_named("min"), dtypes=(*NUMBERS, dtypes.bool), edges=True),
    _as(_named("min", axis=(0, 2)), dtypes=FLOATS),
    _as(_named("amax", axis=(0, 1)), dtypes=NUMBERS),
    _as(_named("amax", axis=1), TIES, label="of equals"),
    _as(_named("amax", axis=1), BROKEN, label="of inf and nan", gradient=False),
    _as(_named("amin", axis=-1, keepdim=True), dtypes=NUMBERS),
    _as(_named("amin", axis=0), BROKEN, label="of inf and nan", gradient=False),
    *(
        _as(one, gradient=False)
        for name in ("argmax", "argmin")
        for one in (
            _as(_named(name), dtypes=NUMBERS),
            _as(_named(name, axis=1), TIES, label="of equals"),
            _as(_named(name, axis=1, keepdim=True), dtypes=NUMBERS),
            _as(_named(name, axis=1), BROKEN, label="of inf and nan"),
            _as(_named(name), edges=True, label="edges"),
        )
    ),
)
LOGIC: Final = tuple(
    _as(one, gradient=False)
    for name in ("any", "all")
    for one in (
        _as(_named(name), dtypes=(dtypes.float32, dtypes.int32, dtypes.bool)),
        _as(_named(name, axis=1), ZEROS),
        _as(_named(name, axis=(0, 1), keepdim=True), dtypes=(dtypes.bool,)),
        _as(_named(name, axis=1), given(values=[[0.0, math.nan], [0.0, -0.0]]), label="of nan"),
    )
)
STATISTICS: Final = (
    _as(_named("var"), dtypes=FLOATS, rtol=2e-5),
    _as(_named("var", axis=(0, 2), keepdim=True), rtol=2e-5),
    _as(_named("var", axis=1, correction=0), dtypes=FLOATS, rtol=2e-5),
    _named("var", axis=2, correction=2),
    _as(_named("var", axis=1), BROKEN, label="of inf and nan", gradient=False),
    _as(_named("var", axis=1), given(64, 200), label="of long rows", kernels=2, rtol=2e-5),
    _as(_named("std"), dtypes=FLOATS, rtol=2e-5),
    _as(_named("std", axis=(0, 2), keepdim=True, correction=0), rtol=2e-5),
    Case("std", lambda x: x.std(1), (given(values=[[2.0, 2.0], [1.0, 3.0]]),), label="of equals", kernels=1),
    _as(_named("var_mean"), rtol=2e-5),
    _as(_named("var_mean", axis=1, keepdim=True, correction=0), dtypes=FLOATS, gradient=False, rtol=2e-5),
    _as(_named("std_mean"), dtypes=FLOATS, gradient=False, rtol=2e-5),
    _as(_named("std_mean", axis=(0, 2), correction=0), rtol=2e-5),
)
EXPONENTIALS: Final = (
    *(
        one
        for name in ("softmax", "log_softmax")
        for one in (
            _as(_named(name, axis=-1), dtypes=FLOATS),
            _as(_named(name, axis=0), rtol=2e-5),
            _as(_named(name, axis=1), BROKEN, label="of inf and nan", gradient=False),
            _as(_named(name, axis=1), given(values=[[1000.0, 0.0, -1000.0], [88.0, 89.0, -500.0]]), label="of extremes"),
            _as(_named(name, axis=1), given(40, 700), label="of long rows", kernels=3, atol=2e-6),
        )
    ),
    Case("softmax", lambda x: x.softmax(1, dtype=dtypes.float32), (BLOCK,), lambda t: t.softmax(1, dtype=torch().float32), "dtype", NUMBERS),
    Case("log_softmax", lambda x: x.log_softmax(1, dtype=dtypes.float32), (BLOCK,), lambda t: t.log_softmax(1, dtype=torch().float32), "dtype", NUMBERS),
    _as(_named("logsumexp", axis=1), dtypes=FLOATS),
    _as(_named("logsumexp", axis=(0, 2), keepdim=True)),
    _as(_named("logsumexp", axis=1), BROKEN, label="of inf and nan", gradient=False),
    _as(_named("logsumexp", axis=0), given(values=[[1000.0, -1000.0], [999.0, -1001.0]]), label="of extremes", gradient=False),
)
NORMS: Final = (
    _as(_named("norm"), dtypes=FLOATS),
    *(_as(_named("norm", p=p, axis=1), rtol=3e-5) for p in ("fro", 1, 3, 0.5, -1, math.inf, -math.inf)),
    _as(_named("norm", p=0, axis=1), ZEROS, gradient=False),
    *(_as(_named("norm", p=p, axis=1), ZEROS, label=f"p={p} of zeros", rtol=3e-5) for p in (1, 1.5, 0.5, math.inf)),
    _as(_named("norm", p=2, axis=1), given(values=[[0.0, 0.0], [3.0, -4.0]]), label="of nothing but zeros"),
    _as(_named("norm", p=3, axis=(0, 2), keepdim=True), rtol=3e-5),
    _as(_named("norm", p=2, axis=1), BROKEN, label="of inf and nan", gradient=False),
    _as(_named("normalize"), rtol=2e-5),
    _as(_named("normalize"), label="narrow", dtypes=(dtypes.float16, dtypes.bfloat16), gradient=False, kernels=None),
    _as(_named("normalize", p=1, axis=2), rtol=2e-5),
    _as(_named("normalize", p=math.inf, axis=0), rtol=2e-5),
    _as(_named("normalize", axis=1, eps=0.5), given(values=[[0.1, 0.2], [3.0, -4.0]])),
)
CASES: Final[tuple[Case, ...]] = (*SUMS, *EXTREMES, *LOGIC, *STATISTICS, *EXPONENTIALS, *NORMS)
