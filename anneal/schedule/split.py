"""Reductions of much into little, in two stages, so that the whole device takes part.

A sum of 16 million elements becomes 1,024 sums in parallel and a sum of those. The split is a rewrite of the tensor graph, before anything
is placed: the reduced axes are made one, padded with the identity to a multiple, and reduced twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from anneal.ir import build
from anneal.ir.graph import replace_sources, toposort
from anneal.ir.ops import Ops
from anneal.ir.scalars import neutral
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.rewrite import session

_STORED: Final = frozenset({Ops.REDUCE_AXIS, Ops.CONTIGUOUS, Ops.ASSIGN})
LONG: Final = 32768
"""Elements a result, from which a reduction along memory is split."""
FEW: Final = 64
"""Results, up to which a reduction along memory is split."""
PARTS: Final = 1024
"""Partial results at most, all together, of a reduction along memory."""
DEEP: Final = 1024
"""Elements a result, from which a reduction across memory is split."""
SHARE: Final = 256
"""Elements that a part of a reduction across memory has at least."""
THREADS: Final = 65536
"""Partial results at most, all together, of a reduction across memory."""


def split_reductions(sink: UOp) -> UOp:
    """`sink` with every huge reduction in two stages."""
    made: dict[UOp, UOp] = {}
    repeats: set[UOp] = set()
    for node in toposort(sink):
        kept = replace_sources(node, tuple(made[s] for s in node.src))
        made[node] = _split(kept, repeats=node.src[0] in repeats) if kept.op is Ops.REDUCE_AXIS else kept
        session.tell("split", kept, made[node])
        if node.op is Ops.EXPAND or (node.op not in _STORED and any(s in repeats for s in node.src)):
            repeats.add(node)
    return made[sink]


def _split(node: UOp, *, repeats: bool) -> UOp:
    """A reduction in two stages, where one would leave the device idle; products, whose operands repeat, are for the kernel to share."""
    axes = node.arg[1]
    dims = shape(node.src[0])
    sizes = [d for d in dims if isinstance(d, int)]
    if 0 in sizes:  # what would be reduced is not computed at all
        return build.broadcast_to(build.const(neutral(node.arg[0], node.dtype), node.dtype), shape(node))
    if len(sizes) < len(dims):
        return node
    kept = [a for a in range(len(sizes)) if a not in axes]
    length, results = math.prod(sizes[a] for a in axes), math.prod(sizes[a] for a in kept)
    wide = [a for a, n in enumerate(sizes) if n > 1]
    if length >= LONG and results <= FEW:
        parts = min(PARTS // results, -(-length // 4096))
        return _in_stages(node, [*kept, *axes], (results, length), parts, along=1)
    if length >= DEEP and not repeats and wide[-1] not in axes and (parts := min(length // SHARE, THREADS // results)) > 1:
        return _in_stages(node, [*axes, *kept], (length, results), parts, along=0)
    return node


def _in_stages(node: UOp, order: Sequence[int], dims: tuple[int, int], parts: int, *, along: int) -> UOp:
    """Partial results of `parts` runs of axis `along` of the operand as a matrix, then their combination.

    Neighbours in memory stay neighbours among threads.
    """
    op = node.arg[0]
    each = -(-dims[along] // parts)
    amounts = [(0, 0), (0, 0)]
    amounts[along] = (0, parts * each - dims[along])
    flat = build.pad(build.reshape(build.permute(node.src[0], order), dims), amounts, neutral(op, node.dtype))
    cut = build.reshape(flat, [*dims[:along], parts, each, *dims[along + 1 :]])
    partial = build.reduce_axis(op, cut, [along + 1])
    return build.reshape(build.reduce_axis(op, partial, [along]), shape(node))
