"""Cases of the surface: arithmetic, functions of single elements, rounding, powers. Comparisons and bits have a file of their own."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from surface import Case, Given, given

from anneal import dtypes
from anneal.ir.dtype import DType

ONE: Final = (dtypes.float32,)
HALF: Final = (dtypes.float32, dtypes.float16)
WHOLE: Final = (dtypes.float32, dtypes.int32)
PAIR: Final = (given(4, 5), given(5))


def unary(method: str, low: float = -2.0, high: float = 2.0, *, kinds: tuple[DType, ...] = ONE, gradient: bool = True, edges: bool = True) -> Case:
    """A function of one tensor that PyTorch's tensors have as a method of the same name."""
    return Case(method, operator.methodcaller(method), (given(3, 7, low=low, high=high),), dtypes=kinds, gradient=gradient, edges=edges, kernels=1)


def binary(method: str, *inputs: Given, kinds: tuple[DType, ...] = ONE, gradient: bool = True, label: str = "", **options: Any) -> Case:
    """A function of two tensors, called as a method of the first."""
    return Case(method, lambda *x: getattr(x[0], method)(*x[1:], **options), inputs or PAIR, label=label, dtypes=kinds, gradient=gradient, kernels=1)


def operation(method: str, call: Callable[..., Any], *inputs: Given, kinds: tuple[DType, ...] = WHOLE, gradient: bool = True, edges: bool = False) -> Case:
    """An operator."""
    return Case(method, call, inputs or PAIR, label="operator", dtypes=kinds, gradient=gradient, edges=edges, kernels=1)


ARITHMETIC: Final = (
    binary("add", kinds=(*WHOLE, dtypes.float16, dtypes.bool)),
    binary("add", label="alpha", kinds=WHOLE, alpha=3),
    operation("add", lambda x, y: x + y + 2),
    binary("sub", kinds=WHOLE),
    binary("sub", label="alpha", alpha=2),
    operation("sub", lambda x, y: (1 - x) - y),
    binary("mul", kinds=(*WHOLE, dtypes.float16)),
    operation("mul", lambda x, y: 3 * x * y),
    binary("div", kinds=(*WHOLE, dtypes.float16)),
    operation("div", lambda x, y: 2 / x + y / 3),
    binary("div", label="floor", kinds=WHOLE, gradient=False, rounding_mode="floor"),
    binary("div", label="trunc", kinds=WHOLE, gradient=False, rounding_mode="trunc"),
    Case(
        "div",
        lambda x, y: x.div(y, rounding_mode="trunc"),
        (given(40, low=-9, high=9), given(40, low=-4, high=4)),
        label="trunc of integers",
        dtypes=(dtypes.int32,),
        kernels=1,
    ),
    binary("floor_divide", given(40, low=-50, high=50), given(40, low=-4, high=4), kinds=WHOLE, gradient=False),
    Case("floor_divide", lambda x: x // 2, (given(9),), label="by a number", gradient=False, edges=True, kernels=1),
    binary("remainder", given(40, low=-50, high=50), given(40, low=-4, high=4), kinds=(*WHOLE, dtypes.float16)),
    Case("remainder", lambda x: x % 3, (given(9),), label="by a number", edges=False, kernels=1),
    Case("remainder", lambda x: 7 % x, (given(9),), label="of a number", dtypes=WHOLE, gradient=False, kernels=1),
    Case("remainder", lambda x: x % 4, (given(9),), label="by a power of two", edges=True, kernels=1),
    binary("fmod", given(40, low=-50, high=50), given(40, low=-4, high=4), kinds=WHOLE),
    operation("neg", lambda x: -x, given(7), kinds=(*WHOLE, dtypes.float16), edges=True),
    unary("abs", kinds=WHOLE),
    unary("sign", gradient=False, kinds=WHOLE),
    unary("square", kinds=WHOLE),
    unary("reciprocal", kinds=HALF),
    binary("copysign", given(4, 5), given(5, dtype=dtypes.float32)),
    Case("copysign", lambda x: x.copysign(-0.0), (given(7),), label="a number", edges=True, kernels=1),
    binary("maximum", kinds=WHOLE),
    binary("minimum", kinds=WHOLE),
    binary("lerp", given(4, 5), given(5), given(4, 1, low=0, high=1)),
    Case("lerp", lambda x, y: x.lerp(y, 0.75), PAIR, label="by a number", kernels=1),
    Case("clamp", lambda x: x.clamp(-1, 1.5), (given(9),), dtypes=(dtypes.float32, dtypes.int32), edges=True, kernels=1),
    Case("clamp", lambda x: x.clamp(max=0.5), (given(5, values=[0.5, 0.25, 1.0, -3.0, 0.5]),), label="at the end", edges=True, kernels=1),
    Case("clamp", lambda x, y, z: x.clamp(y, z), (given(4, 5), given(5), given(4, 1)), label="between tensors", kernels=1),
    Case("clip", lambda x: x.clip(min=0), (given(9),), dtypes=WHOLE, kernels=1),
)
FUNCTIONS: Final = (
    unary("exp", kinds=(*HALF, dtypes.int32)),
    unary("exp2"),
    unary("expm1", kinds=HALF),
    unary("log", 0.1, 9, kinds=HALF),
    unary("log2", 0.1, 9),
    unary("log10", 0.1, 9),
    unary("log1p", -0.9, 4, kinds=HALF),
    unary("sqrt", 0.1, 9, kinds=HALF),
    unary("rsqrt", 0.1, 9, kinds=HALF),
    unary("sin", -30, 30, edges=False),
    unary("cos", -30, 30, edges=False),
    unary("tan", -1.4, 1.4, kinds=HALF, edges=False),
    unary("asin", -0.99, 0.99),
    unary("acos", -0.99, 0.99),
    unary("atan", -5, 5),
    binary("atan2", given(4, 5), given(4, 5)),
    binary("atan2", given(6, values=[1.0, -1.0, 1.0, 2.0, 0.0, -3.0]), given(6, values=[1.0, 1.0, 0.0, -2.0, 2.0, -0.5]), label="on the diagonals"),
    unary("sinh", kinds=HALF),
    unary("cosh"),
    unary("tanh", kinds=WHOLE),
    Case("tanh", lambda x: x.tanh(), (given(9),), label="half", dtypes=HALF[1:], gradient=False),
    unary("asinh", -9, 9),
    unary("acosh", 1.1, 9),
    unary("atanh", -0.95, 0.95),
    unary("erf", -3, 3, kinds=HALF),
    unary("erfc", -3, 3),
    binary("logaddexp", given(4, 5, low=-9, high=9), given(5)),
    unary("floor", gradient=False, kinds=WHOLE),
    unary("ceil", gradient=False, kinds=WHOLE),
    unary("trunc", gradient=False, kinds=WHOLE),
    unary("frac"),
    unary("round", -4, 4, gradient=False, kinds=WHOLE),
    Case("round", lambda x: x.round(decimals=2), (given(20),), label="decimals", gradient=False, kernels=1),
    Case("round", lambda x: x.round(decimals=-1), (given(20, low=-99, high=99),), label="tens", gradient=False, kernels=1),
)
POWERS: Final = (
    binary("pow", given(4, 5, low=0.1, high=3), given(5), label="of tensors"),
    binary("pow", given(20, low=-5, high=5), given(20, low=-3, high=9), label="of integers", kinds=(dtypes.int32,), gradient=False),
    Case("pow", lambda x: x**3, (given(9),), label="whole", dtypes=(*WHOLE, dtypes.float16), edges=True, kernels=1),
    Case("pow", lambda x: x**-1.5, (given(9, low=0.1),), label="fraction", edges=True, kernels=1),
    Case("pow", lambda x: 2**x, (given(9, low=1, high=5),), label="of a number", dtypes=WHOLE, kernels=1),
)
CASES: Final[tuple[Case, ...]] = (*ARITHMETIC, *FUNCTIONS, *POWERS)
