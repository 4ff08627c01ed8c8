"""Cases of the surface: products of matrices and tensors, convolutions, attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from surface import Case, Given, given

from anneal import Tensor, dtypes

HALF: Final = (dtypes.float32, dtypes.float16)
WIDE: Final = (dtypes.float32, dtypes.float16, dtypes.int32)


def torch() -> Any:
    import torch

    return torch


def functional() -> Any:
    import torch.nn.functional

    return torch.nn.functional


def einsum(formula: str, *inputs: Given, kernels: int = 1, atol: float = 1e-5) -> Case:
    return Case(
        "einsum",
        lambda *x: Tensor.einsum(formula, *x),
        inputs,
        theirs=lambda *x: torch().einsum(formula, *x),
        label=formula,
        kernels=kernels,
        rtol=1e-4,
        atol=atol,
    )


def conv(method: str, x: Given, w: Given, label: str = "", bias: int = 0, halves: bool = False, **options: Any) -> Case:
    """A convolution of x with w, and with a bias of so many channels, forward in one kernel. PyTorch's gradients in halves are rounded on the way."""
    inputs = (x, w, given(bias)) if bias else (x, w)
    return Case(
        method,
        lambda x, w, b=None: getattr(x, method)(w, b, **options),
        inputs,
        theirs=lambda x, w, b=None: getattr(functional(), method)(x, w, b, **options),
        label=label,
        dtypes=(dtypes.float16,) if halves else (dtypes.float32,),
        gradient=not halves,
        kernels=None if halves else 1,
        rtol=1e-4,
        atol=1e-5,
    )


def attention(label: str, *inputs: Given, kernels: int = 4, halves: bool = False, **options: Any) -> Case:
    def call(scaled: Callable[..., Any], q: Any, k: Any, v: Any, *mask: Any) -> Any:
        return scaled(q, k, v, *mask, **options)

    return Case(
        "scaled_dot_product_attention",
        lambda *x: call(Tensor.scaled_dot_product_attention, *x),
        inputs,
        theirs=lambda *x: call(functional().scaled_dot_product_attention, *x),
        label=label,
        dtypes=(dtypes.float16,) if halves else (dtypes.float32,),
        gradient=not halves,
        kernels=None if halves else kernels,
        rtol=1e-4,
        atol=1e-5,
    )


Q, K, V = given(2, 2, 3, 4), given(2, 2, 5, 4), given(2, 2, 5, 6)

CASES: Final[tuple[Case, ...]] = (
    Case("matmul", lambda a, b: a @ b, (given(3, 5), given(5, 4)), dtypes=WIDE, kernels=1, atol=1e-5),
    Case("matmul", lambda a, b: a.matmul(b), (given(5, 1, 2, 3), given(2, 3, 4)), label="of batches", kernels=1, atol=1e-5),
    Case("matmul", lambda a, b: a @ b, (given(3), given(2, 3, 4)), label="of a vector", kernels=1, atol=1e-5),
    Case("matmul", lambda a, b: a @ b, (given(2, 3, 4), given(4)), label="by a vector", kernels=1, atol=1e-5),
    Case("dot", lambda a, b: a.dot(b), (given(7), given(7)), dtypes=WIDE, kernels=1, atol=1e-5),
    Case("mm", lambda a, b: a.mm(b), (given(2, 3), given(3, 4)), kernels=1, atol=1e-5),
    Case("bmm", lambda a, b: a.bmm(b), (given(3, 2, 3), given(3, 3, 4)), dtypes=HALF, kernels=1, atol=1e-5),
    Case("mv", lambda a, b: a.mv(b), (given(2, 3), given(3)), kernels=1, atol=1e-5),
    Case("outer", lambda a, b: a.outer(b), (given(3), given(4)), dtypes=WIDE, kernels=1),
    Case("linear", lambda x, w, b: x.linear(w, b), (given(2, 3, 4), given(5, 4), given(5)), lambda *x: functional().linear(*x), kernels=1, atol=1e-5),
    Case("linear", lambda x, w: x.linear(w), (given(3, 4), given(4)), lambda *x: functional().linear(*x), label="of a vector", kernels=1, atol=1e-5),
    Case(
        "bilinear",
        lambda x, y, w, b: x.bilinear(y, w, b),
        (given(2, 3, 4), given(2, 3, 2), given(5, 4, 2), given(5)),
        lambda *x: functional().bilinear(*x),
        kernels=2,
        rtol=1e-4,
        atol=1e-5,
    ),
    Case("tensordot", lambda a, b: a.tensordot(b), (given(2, 3, 4), given(3, 4, 2)), lambda a, b: torch().tensordot(a, b), kernels=1, rtol=1e-4, atol=1e-5),
    Case(
        "tensordot",
        lambda a, b: a.tensordot(b, ([2, 0], [0, -1])),
        (given(2, 3, 4), given(4, 5, 2)),
        lambda a, b: torch().tensordot(a, b, ([2, 0], [0, -1])),
        label="over lists",
        kernels=1,
        rtol=1e-4,
        atol=1e-5,
    ),
    einsum("ij,jk->ik", given(2, 3), given(3, 4)),
    einsum("ij,jk", given(2, 3), given(3, 4)),
    einsum(" b i j , b k j -> b k i ", given(2, 3, 4), given(2, 5, 4)),
    einsum("i->", given(7)),
    einsum("ij->ji", given(2, 3)),
    einsum("ba", given(2, 3)),
    einsum("ii", given(4, 4)),
    einsum("ii->i", given(4, 4)),
    einsum("iijj->ij", given(2, 2, 3, 3)),
    einsum("iii->i", given(3, 3, 3)),
    einsum("jii,ik->kj", given(2, 3, 3), given(3, 2)),
    einsum("...ij->...ji", given(2, 1, 2, 3)),
    einsum("...ij,...jk", given(2, 1, 2, 3), given(4, 3, 2)),
    einsum("i...,i...->...", given(3, 2, 4), given(3, 4)),
    einsum("a...a->...", given(3, 2, 3)),
    einsum("...i->i", given(2, 2, 3)),
    einsum("i,j->ij", given(3), given(4)),
    einsum("ij,ij->", given(3, 4), given(1, 4)),
    einsum("Ab,bC", given(2, 3), given(3, 2)),
    einsum("ij,jk,kl->il", given(2, 5), given(5, 4), given(4, 3), kernels=2),
    einsum("ab,cd,bc,e->ad", given(2, 3), given(4, 2), given(3, 4), given(3), kernels=3, atol=1e-4),
    einsum(",i->i", given(), given(3)),
    conv("conv1d", given(2, 4, 9), given(6, 2, 3), "stride, padding, groups", bias=6, stride=2, padding=1, groups=2),
    conv("conv1d", given(4, 9), given(3, 4, 4), "same", padding="same", dilation=2),
    conv("conv2d", given(2, 3, 5, 4), given(4, 3, 3, 3), bias=4, padding=1),
    conv("conv2d", given(2, 3, 5, 4), given(4, 3, 3, 3), "in halves", bias=4, halves=True, padding=1),
    conv("conv2d", given(1, 4, 6, 5), given(2, 2, 3, 2), "all options", bias=2, stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=2),
    conv("conv2d", given(2, 2, 5, 6), given(3, 2, 3, 2), "same", padding="same", dilation=(1, 2)),
    conv("conv2d", given(2, 5, 6), given(3, 2, 2, 4), "valid", padding="valid", stride=2),
    conv("conv3d", given(1, 2, 3, 4, 3), given(2, 1, 2, 2, 2), bias=2, padding=(1, 0, 1), stride=(1, 2, 1), groups=2),
    conv("conv_transpose1d", given(2, 4, 5), given(4, 2, 3), "all options", bias=4, stride=3, padding=2, output_padding=1, groups=2, dilation=2),
    conv("conv_transpose2d", given(2, 3, 3, 4), given(3, 2, 2, 2), bias=2, stride=2),
    conv("conv_transpose2d", given(2, 3, 3, 4), given(3, 2, 2, 2), "in halves", bias=2, halves=True, stride=2),
    conv("conv_transpose2d", given(2, 3, 4), given(2, 2, 3, 2), "all options", stride=(2, 1), padding=(1, 0), output_padding=(1, 0), groups=2, dilation=(1, 2)),
    conv("conv_transpose3d", given(1, 2, 2, 3, 2), given(2, 2, 2, 2, 1), bias=2, stride=(1, 2, 1), padding=(0, 1, 0)),
    attention("", Q, K, V),
    attention("in halves", Q, K, V, halves=True),
    attention("causal", given(2, 4, 3), given(2, 4, 3), given(2, 4, 2), is_causal=True),
    attention("causal, more queries", given(2, 5, 3), given(2, 3, 3), given(2, 3, 2), is_causal=True),
    attention("scale", Q, K, V, scale=0.3),
    attention("bool mask", Q, K, V, given(3, 5, dtype=dtypes.bool)),
    attention("a query that looks nowhere", Q, K, V, given(0, values=[[[True] * 5], [[False] * 5]], dtype=dtypes.bool)),
    attention("float mask", Q, K, V, given(2, 1, 3, 5)),
    attention("grouped", given(2, 4, 3, 4), given(2, 2, 5, 4), given(2, 2, 5, 4), enable_gqa=True),
)
