"""Cases of the surface: comparisons, bits, truth, choice, conversion, changes in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from surface import Case, Given, given

from anneal import Tensor, dtypes
from anneal.ir.dtype import DType

BITS: Final = (dtypes.int32, dtypes.bool)
MANY: Final = (dtypes.float32, dtypes.int32)
PAIR: Final = (given(4, 5, low=-3, high=3), given(5, low=-3, high=3))
EQUALS: Final = (given(6, values=[1, 2, 3, 0, -1, 5]), given(6, values=[1, 3, 2, 0, 1, 5]))


def plain(method: str, ours: Callable[..., Any], *inputs: Given, label: str = "", kinds: tuple[DType, ...] = MANY, edges: bool = False, **options: Any) -> Case:
    """A case without a gradient, in one kernel."""
    return Case(method, ours, inputs or PAIR, label=label, dtypes=kinds, gradient=False, edges=edges, kernels=1, **options)


def torch() -> Any:
    import torch

    return torch


def cast(dtype: DType, x: Any) -> Any:
    """A tensor of ours or PyTorch's as a dtype."""
    return x.cast(dtype) if isinstance(x, Tensor) else x.to(getattr(torch(), dtype.name))


def changed(x: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a tensor, changed in place."""
    copy = x + 0
    change(copy)
    return copy


def augmented(x: Any, y: Any) -> Any:
    """All the operators that change their left side."""
    a = x + 0
    a += y
    a -= 1
    a *= y
    a /= 3
    a %= 5
    a **= 2
    a //= 0.5
    return a


def combined(x: Any, y: Any) -> Any:
    """All the operators on bits that change their left side."""
    a = x ^ 0
    a &= y
    a |= 1
    a ^= y
    a <<= 2
    a >>= 1
    return a


COMPARISONS: Final = (
    plain("eq", lambda x, y: x.eq(y), *EQUALS),
    plain("eq", lambda x: x == 0.5, given(5), label="operator", kinds=MANY[:1], edges=True),
    plain("ne", lambda x, y: x.ne(y), *EQUALS),
    plain("ne", lambda x: x != 0.5, given(5), label="operator", kinds=MANY[:1], edges=True),
    plain("lt", lambda x, y: x.lt(y), *EQUALS),
    plain("lt", lambda x: x < 0.5, given(5), label="operator", edges=True),
    plain("le", lambda x, y: x.le(y), *EQUALS),
    plain("le", lambda x: x <= 0.5, given(5), label="operator", edges=True),
    plain("gt", lambda x, y: x.gt(y), *EQUALS),
    plain("gt", lambda x: x > 0.5, given(5), label="operator", edges=True),
    plain("ge", lambda x, y: x.ge(y), *EQUALS),
    plain("ge", lambda x: x >= 0.5, given(5), label="operator", edges=True),
    plain("isnan", lambda x: x.isnan(), given(5), edges=True),
    plain("isinf", lambda x: x.isinf(), given(5), edges=True),
    plain("isfinite", lambda x: x.isfinite(), given(5), edges=True),
    plain("signbit", lambda x: x.signbit(), given(5)),
    plain("isclose", lambda x: x.isclose(x * (1 + 2e-5)), given(9), kinds=MANY[:1], edges=True),
    plain("isclose", lambda x: x.isclose(x * 1.0005, 1e-3, 0, True), given(9), label="arguments", kinds=MANY[:1], edges=True),
    plain("isclose", lambda x, y: x.isclose(y), *EQUALS, label="integers", kinds=(dtypes.int32,)),
)
LOGIC: Final = (
    plain("logical_and", lambda x, y: x.logical_and(y), *EQUALS, kinds=(*MANY, dtypes.bool)),
    plain("logical_or", lambda x, y: x.logical_or(y), *EQUALS, kinds=(*MANY, dtypes.bool)),
    plain("logical_xor", lambda x, y: x.logical_xor(y), *EQUALS, kinds=(*MANY, dtypes.bool)),
    plain("logical_not", lambda x: x.logical_not(), EQUALS[0], edges=True),
    plain("bitwise_and", lambda x, y: x.bitwise_and(y), kinds=BITS),
    plain("bitwise_and", lambda x: 6 & x & 5, EQUALS[0], label="operator", kinds=BITS[:1]),
    plain("bitwise_or", lambda x, y: x.bitwise_or(y), kinds=BITS),
    plain("bitwise_or", lambda x: 6 | x, EQUALS[0], label="operator", kinds=BITS[:1]),
    plain("bitwise_xor", lambda x, y: x.bitwise_xor(y), kinds=BITS),
    plain("bitwise_xor", lambda x: 6 ^ x ^ 5, EQUALS[0], label="operator", kinds=BITS[:1]),
    plain("bitwise_not", lambda x: x.bitwise_not(), given(9, low=-99, high=99), kinds=BITS),
    plain("bitwise_not", lambda x: ~x, given(9, low=-99, high=99), label="operator", kinds=BITS),
    plain("bitwise_left_shift", lambda x, y: x.bitwise_left_shift(y), given(9, low=-99, high=99), given(9, low=0, high=35), kinds=BITS[:1]),
    plain("bitwise_left_shift", lambda x: (x << 3) + (1 << x), given(9, low=0, high=30), label="operator", kinds=BITS[:1]),
    plain("bitwise_right_shift", lambda x, y: x.bitwise_right_shift(y), given(9, low=-9999, high=9999), given(9, low=0, high=35), kinds=BITS[:1]),
    plain("bitwise_right_shift", lambda x: (x >> 2) + (999 >> x), given(9, low=0, high=30), label="operator", kinds=BITS[:1]),
)
CHOICE: Final = (
    Case(
        "where",
        lambda m, x, y: m.where(x, y),
        (given(4, 1, dtype=dtypes.bool), given(4, 5), given(5)),
        lambda m, x, y: torch().where(m, x, y),
        dtypes=(dtypes.float32, dtypes.int32, dtypes.float16),
        kernels=1,
    ),
    Case("where", lambda x: (x > 0).where(x, -1), (given(9),), lambda x: torch().where(x > 0, x, -1), label="a number", dtypes=MANY, edges=True, kernels=1),
    Case("masked_fill", lambda x, m: x.masked_fill(m, -math.inf), (given(4, 5), given(5, dtype=dtypes.bool)), kernels=1),
    Case("masked_fill", lambda x, m: x.masked_fill(m, 7.0), (given(4, 5), given(4, 1, dtype=dtypes.bool)), label="integers", dtypes=(dtypes.int32,), kernels=1),
)
CONVERSION: Final = (
    plain("cast", lambda x: cast(dtypes.bfloat16, x), given(9)),
    plain("cast", lambda x: cast(dtypes.int32, x), given(9, low=-99, high=99), label="to integers", kinds=(dtypes.float32, dtypes.bool)),
    Case("float", lambda x: x.float(), (given(9),), dtypes=(dtypes.bfloat16, dtypes.int32, dtypes.bool), kernels=1),
    Case("half", lambda x: x.half(), (given(9),), dtypes=MANY, gradient=False),
    plain("bfloat16", lambda x: x.bfloat16(), given(9)),
    plain("int", lambda x: x.int(), given(9, low=-99, high=99), kinds=(dtypes.float32, dtypes.bool)),
    plain("bool", lambda x: x.bool(), EQUALS[0], edges=True),
)
IN_PLACE: Final = (
    Case("add_", lambda x, y: changed(x, lambda t: t.add_(y, alpha=2).sub_(1).mul_(y).div_(3)), PAIR, label="and sub_, mul_, div_", kernels=1),
    Case("clamp_", lambda x: changed(x, lambda t: t.clamp_(-1, 1).neg_().sin_()), PAIR[:1], label="and neg_, sin_", kernels=1),
    plain("exp_", lambda x: changed(x, lambda t: t.exp_().sqrt_().log_().abs_().floor_()), PAIR[0], label="and other functions", kinds=MANY[:1]),
    plain("zero_", lambda x: changed(x, lambda t: t.zero_()), PAIR[0]),
    plain("fill_", lambda x: changed(x, lambda t: t.fill_(3)), PAIR[0]),
    Case("copy_", lambda x, y: changed(x, lambda t: t.copy_(y)), (given(4, 5, dtype=dtypes.float32), PAIR[1]), dtypes=MANY, kernels=1),
    Case("masked_fill_", lambda x: changed(x, lambda t: t.masked_fill_(t > 1, 0)), PAIR[:1], kernels=1),
    plain("add_", augmented, given(4, 5, low=1, high=3), given(5, low=1, high=3), label="as operators", kinds=MANY[:1]),
    plain("bitwise_and_", combined, label="as operators", kinds=BITS[:1]),
)
CASES: Final[tuple[Case, ...]] = (*COMPARISONS, *LOGIC, *CHOICE, *CONVERSION, *IN_PLACE)
