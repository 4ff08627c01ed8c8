"""What a forward walk knows of each node before anything is placed.

`Facts` are estimates an element: loads and arithmetic if everything below is computed where it is read, and whether a reduction as large
as the value lies just below it. One walk, each node once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from anneal.analysis.bounds import hi
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import Shape, shape
from anneal.ir.uop import UOp

CAP: Final = 1 << 20
_SLOW: Final[dict[Op, int]] = {Ops.EXP2: 4, Ops.LOG2: 4, Ops.SIN: 8, Ops.SQRT: 2, Ops.DIV: 2, Ops.IDIV: 2, Ops.MOD: 2}
_STORED: Final = frozenset({Ops.PARAM, Ops.BUFFER, Ops.ASSIGN, Ops.CONTIGUOUS})


class Facts(NamedTuple):
    """Estimates for one element of a value."""

    loads: int
    """Loads from memory, if all below is computed in place; a reduction counts as stored."""
    flops: int
    """Arithmetic operations, slow functions counted several times."""
    heavy: bool
    """True when a reduction with at least as many elements lies below, with nothing stored between."""


_LOADED: Final = Facts(1, 0, heavy=False)


def elements(dims: Shape) -> int:
    """Number of elements; a symbolic size counts at its largest."""
    total = 1
    for d in dims:
        total *= d if isinstance(d, int) else max(1, int(hi(d) or 1))
    return total


def gather_facts(order: Sequence[UOp], stored: Collection[UOp] = ()) -> dict[UOp, Facts]:
    """The facts of each node of a graph in topological order; readers of a node in `stored` load it."""
    table: dict[UOp, Facts] = {}
    for node in order:
        table[node] = _facts(node, table, stored)
    return table


def _facts(node: UOp, table: dict[UOp, Facts], stored: Collection[UOp]) -> Facts:
    if node.op in _STORED:
        return _LOADED
    if node.op is Ops.REDUCE_AXIS:
        return Facts(1, 0, heavy=True)
    if not node.src:
        return Facts(0, 0, heavy=False)
    below = [_LOADED if s in stored else table[s] for s in dict.fromkeys(node.src)]
    count = elements(shape(node))
    heavy = node.op is not Ops.GATHER and any(f.heavy and elements(shape(s)) >= count for s, f in zip(dict.fromkeys(node.src), below, strict=True))
    if _decodes(node) and below[0] == _LOADED and all(f.loads == 0 and f.flops <= 1 for f in below[1:]):
        return _LOADED
    own = _SLOW.get(node.op, 1) if node.op.elementwise else 0
    loads = sum(f.loads for f in below) + (node.op is Ops.GATHER)
    return Facts(min(CAP, loads), min(CAP, own + sum(f.flops for f in below)), heavy)


def _decodes(node: UOp) -> bool:
    """True for a float as a wider one, and for what takes an element out of a word (`packing`).

    Of what is only loaded that is a part of the load, which moves fewer bytes than one of what it makes would.
    """
    source, goal = node.src[0].dtype, node.dtype
    if node.op is Ops.CAST and source.is_float:
        return goal.is_float and goal.holds(source)
    if node.op is Ops.CAST:
        return (source is dtypes.uint32 and goal.kind == "uint") or (source.bits in (8, 16) and goal.is_int)
    return (node.op is Ops.SHR and source is dtypes.uint32) or (node.op is Ops.BITCAST and source.bits in (8, 16))
