"""Cases of the surface: the same elements elsewhere, several times, side by side, in another grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from surface import Case, given

from anneal import Tensor, dtypes
from anneal.ir.dtype import DType

FLOAT: Final = (dtypes.float32,)
KINDS: Final = (dtypes.float32, dtypes.float16, dtypes.int32, dtypes.bool)
"""One dtype of each kind, where elements only move."""


def torch() -> Any:
    import torch

    return torch


def functional() -> Any:
    import torch.nn.functional

    return torch.nn.functional


def move(
    method: str,
    ours: Callable[..., Any],
    *shapes: tuple[int, ...],
    theirs: Callable[..., Any] | None = None,
    label: str = "",
    kinds: tuple[DType, ...] = FLOAT,
    kernels: int = 1,
) -> Case:
    """A case on tensors of some shapes, (2, 3, 4) unless said otherwise; one kernel."""
    inputs = tuple(given(*s) for s in shapes or ((2, 3, 4),))
    return Case(method, ours, inputs, theirs, label, kinds, kernels=kernels)


def pad(amounts: tuple[int, ...], mode: str = "constant", value: float | None = None, kinds: tuple[DType, ...] = FLOAT) -> Case:
    def theirs(x: Any) -> Any:
        return functional().pad(x[None], amounts, mode=mode, value=value)[0] if len(amounts) > 2 else functional().pad(x, amounts, mode=mode, value=value)

    return move("pad", lambda x: x.pad(amounts, mode, value), theirs=theirs, label=f"{mode} {amounts}", kinds=kinds)


def resized(mode: str, rank: int, label: str = "", kernels: int = 1, **how: Any) -> Case:
    return Case(
        "interpolate",
        lambda x: x.interpolate(mode=mode, **how),
        (given(*(2, 1, 4, 3, 2)[: rank + 2]),),
        lambda x: functional().interpolate(x, mode=mode, **how),
        f"{mode} {rank} {label}".strip(),
        kernels=kernels,
    )


SHAPES: Final = (
    move("reshape", lambda x: x.reshape(4, -1), kinds=KINDS),
    move("view", lambda x: x.view(6, 4)),
    move("view_as", lambda x, y: x.view_as(y), (2, 6), (3, 4)),
    move("reshape_as", lambda x, y: x.reshape_as(y), (2, 6), (3, 4)),
    move("flatten", lambda x: x.flatten(1)),
    move("flatten", lambda x: x.flatten(), (), label="rank 0"),
    move("unflatten", lambda x: x.unflatten(-1, (2, -1))),
    move("squeeze", lambda x: x.squeeze(), (1, 3, 1)),
    move("squeeze", lambda x: (x.squeeze(0), x.squeeze((0, -1))), (1, 3, 1), label="axes", kernels=2),
    move("unsqueeze", lambda x: x.unsqueeze(-2)),
    move("transpose", lambda x: x.transpose(0, -1), kinds=KINDS),
    move("permute", lambda x: x.permute(2, 0, -2)),
    move("swapaxes", lambda x: x.swapaxes(0, 2)),
    move("swapdims", lambda x: x.swapdims(0, 2)),
    move("moveaxis", lambda x: x.moveaxis((0, 1), (-1, 0))),
    move("movedim", lambda x: x.movedim(0, 2)),
    move("T", lambda x: x.T, (3, 4)),
    move("mT", lambda x: x.mT),
    move("flip", lambda x: x.flip(0, 2), kinds=KINDS),
    move("fliplr", lambda x: x.fliplr()),
    move("flipud", lambda x: x.flipud()),
    move("roll", lambda x: x.roll((1, -5), (0, 2)), kinds=KINDS),
    move("roll", lambda x: x.roll(5), label="flat"),
    move("rot90", lambda x: x.rot90(1, (0, 2))),
    move("rot90", lambda x: x.rot90(-3, (1, 0)), label="three times"),
    move("diagonal", lambda x: x.diagonal(1, 0, 2), kinds=KINDS),
    move("diagonal", lambda x: x.diagonal(-1, 1, 0), label="below"),
    move("diag", lambda x: x.diag(-2), (3,)),
    move("diag", lambda x: x.diag(1), (3, 4), label="matrix"),
)
SIZES: Final = (
    move("expand", lambda x: x.expand(5, 2, -1, 4), (2, 3, 1)),
    move("expand_as", lambda x, y: x.expand_as(y), (3, 1), (2, 3, 4)),
    move("broadcast_to", lambda x: x.broadcast_to((2, 3, 4)), (3, 1)),
    move("repeat", lambda x: x.repeat(2, 1, 2, 3), kinds=KINDS),
    move("tile", lambda x: x.tile((2, 3))),
    move("repeat_interleave", lambda x: x.repeat_interleave(2, 1), kinds=KINDS),
    move("repeat_interleave", lambda x: x.repeat_interleave(3), label="flat"),
    move(
        "repeat_interleave",
        lambda x: x.repeat_interleave(Tensor([2, 0, 1]), 1),
        theirs=lambda x: x.repeat_interleave(torch().tensor([2, 0, 1]), 1),
        label="counts",
    ),
    pad((1, 2, 0, 1), value=7.0, kinds=KINDS[:3]),
    pad((-1, 2, 3, -2)),
    pad((3, 2, 1, 2), "reflect", kinds=KINDS[:3]),
    pad((-1, 2), "reflect"),
    pad((5, 1, 0, 3), "replicate", kinds=KINDS[:3]),
    pad((2, -3), "replicate"),
    pad((4, 3, 2, 1), "circular", kinds=KINDS[:3]),
    pad((-2, 2), "circular"),
    move("shrink", lambda x: x.shrink([(0, 1), None, (1, 3)]), theirs=lambda x: x[0:1, :, 1:3]),
    move("narrow", lambda x: x.narrow(-1, -3, 2)),
    move("select", lambda x: x.select(1, -1)),
    move("unfold", lambda x: x.unfold(2, 3, 1)),
    move("unfold", lambda x: x.unfold(0, 4, 3), (13,), label="step"),
    move("tril", lambda x: x.tril(1), kinds=KINDS),
    move("triu", lambda x: x.triu(-1), kinds=KINDS),
)
SEVERAL: Final = (
    move("cat", lambda x, y: Tensor.cat([x, y, x], dim=1), (2, 3), (2, 1), theirs=lambda x, y: torch().cat([x, y, x], dim=1), kinds=KINDS),
    move("concat", lambda x, y: x.concat(y, dim=-1), (2, 3), (2, 0), theirs=lambda x, y: torch().concat([x, y], dim=-1), label="with nothing"),
    move("stack", lambda x, y: Tensor.stack(x, y, dim=-1), (2, 3), (2, 3), theirs=lambda x, y: torch().stack([x, y], dim=-1), kinds=KINDS),
    move("hstack", lambda x, y: x.hstack(y), (2, 3), (2, 2), theirs=lambda x, y: torch().hstack((x, y))),
    move("hstack", lambda x, y: x.hstack(y), (2,), (), theirs=lambda x, y: torch().hstack((x, y)), label="vectors"),
    move("vstack", lambda x, y: Tensor.vstack([x, y]), (3,), (2, 3), theirs=lambda x, y: torch().vstack((x, y))),
    move("dstack", lambda x, y: x.dstack(y), (2, 3), (2, 3), theirs=lambda x, y: torch().dstack((x, y))),
    move("split", lambda x: x.split(2, -1), (2, 5), kernels=3),
    move("split", lambda x: x.split([1, 0, 4], 1), (2, 5), label="sizes", kernels=3),
    move("chunk", lambda x: x.chunk(3, 1), (2, 5), kernels=3),
    move("tensor_split", lambda x: x.tensor_split(3, 1), (2, 5), kernels=3),
    move("tensor_split", lambda x: x.tensor_split([1, -1], 1), (2, 5), label="places", kernels=3),
    move("unbind", lambda x: x.unbind(1), (2, 3), kernels=3),
)
RESIZED: Final = (
    resized("nearest", 1, "whole", scale_factor=2),
    resized("nearest", 2, size=(6, 2)),
    resized("nearest-exact", 2, size=7),
    resized("linear", 1, size=9, align_corners=True),
    resized("bilinear", 2, scale_factor=1.7),
    resized("bilinear", 2, "recomputed", scale_factor=1.7, recompute_scale_factor=True),
    resized("bicubic", 2, size=(3, 5), kernels=2),
    resized("bicubic", 2, "corners", size=(3, 5), align_corners=True, kernels=2),
    resized("trilinear", 3, size=3, kernels=3),
)
CASES: Final[tuple[Case, ...]] = SHAPES + SIZES + SEVERAL + RESIZED
