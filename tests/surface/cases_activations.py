"""Cases of the surface: activations, and what normalises over an axis."""

from __future__ import annotations

from typing import Any, Final

from surface import Case, given

from anneal import dtypes
from anneal.ir.dtype import DType

ONE: Final = (dtypes.float32,)
HALF: Final = (dtypes.float32, dtypes.float16)


def activation(method: str, *arguments: Any, theirs: str = "", label: str = "", kinds: tuple[DType, ...] = ONE, edges: bool = True, **options: Any) -> Case:
    """A function that PyTorch has among its functions of networks."""

    def other(x: Any) -> Any:
        import torch.nn.functional

        return getattr(torch.nn.functional, theirs or method)(x, *arguments, **options)

    def ours(x: Any) -> Any:
        return getattr(x, method)(*arguments, **options)

    return Case(method, ours, (given(4, 9, low=-5, high=5),), other, label=label, dtypes=kinds, edges=edges, kernels=1)


CASES: Final[tuple[Case, ...]] = (
    activation("relu", kinds=(*HALF, dtypes.int32)),
    activation("relu6"),
    activation("leaky_relu"),
    activation("leaky_relu", 0.2, label="slope"),
    activation("elu", kinds=HALF),
    activation("elu", 0.5, label="alpha"),
    activation("celu", 2.0),
    activation("selu"),
    activation("gelu", kinds=HALF, edges=False),
    activation("gelu", approximate="tanh", label="tanh"),
    Case("quick_gelu", lambda x: x.quick_gelu(), (given(4, 9),), lambda x: x * (1.702 * x).sigmoid(), kernels=1),
    activation("silu", kinds=HALF),
    activation("swish", theirs="silu"),
    activation("mish", kinds=HALF),
    activation("softplus", kinds=HALF),
    activation("softplus", 2.0, 1.5, label="beta and threshold"),
    activation("softsign"),
    activation("sigmoid", kinds=(dtypes.float32, dtypes.int32)),
    Case("sigmoid", lambda x: x.sigmoid(), (given(9),), label="half", dtypes=HALF[1:], gradient=False),
    activation("hardsigmoid"),
    activation("hardswish"),
    activation("hardtanh"),
    activation("hardtanh", -0.5, 2, label="ends"),
    activation("logsigmoid", kinds=HALF),
    Case("softmax", lambda x: x.softmax(-1), (given(4, 33),), kernels=3),
)
