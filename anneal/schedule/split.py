"""Reductions of much into little, in two stages, so that the whole device takes part.

A sum of 16 million elements becomes 1,024 sums in parallel and a sum of those. The split is a rewrite of the tensor graph, before anything
is placed: the reduced axes are made one, padded with the identity to a multiple, and reduced twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anneal.ir import build
from anneal.ir.graph import replace_sources, toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.schedule.kernels import identity

LONG: Final = 32768
"""Elements a result, from which a reduction is split."""
FEW: Final = 64
"""Results, up to which a reduction is split."""
PARTS: Final = 1024
"""Partial results at most, all together."""


def split_reductions(sink: UOp) -> UOp:
    """`sink` with every huge reduction in two stages."""
    made: dict[UOp, UOp] = {}
    for node in toposort(sink):
        kept = replace_sources(node, tuple(made[s] for s in node.src))
        made[node] = _split(kept) if kept.op is Ops.REDUCE_AXIS else kept
    return made[sink]


def _split(node: UOp) -> UOp:
    op, axes = node.arg
    dims = shape(node.src[0])
    if not all(isinstance(d, int) for d in dims):
        return node
    sizes: list[int] = [d for d in dims if isinstance(d, int)]
    length = _count([sizes[a] for a in axes])
    kept = [a for a in range(len(sizes)) if a not in axes]
    results = _count([sizes[a] for a in kept])
    if length < LONG or not 0 < results <= FEW:
        return node
    parts = min(PARTS // results, -(-length // 4096))
    each = -(-length // parts)
    flat = build.reshape(build.permute(node.src[0], [*kept, *axes]), [results, length])
    flat = build.pad(flat, [(0, 0), (0, parts * each - length)], identity(op, node))
    first = build.reduce_axis(op, build.reshape(flat, [results, parts, each]), [2])
    return build.reshape(build.reduce_axis(op, first, [1]), shape(node))


def _count(sizes: Sequence[int]) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total
