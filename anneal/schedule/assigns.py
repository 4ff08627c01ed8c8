"""Assigns before anything is scheduled: each buffer is overwritten once, by its last value, and old values that are outputs are kept.

>>> from anneal.ir.dtype import dtypes
>>> x = build.param(0, (4,), dtypes.float32)
>>> first = build.assign(x, build.alu(Ops.ADD, x, x))
>>> last = build.assign(first, build.alu(Ops.MUL, first, x))
>>> [u.op.name for u in toposort(single_assigns(build.sink(last)))]
['param', 'add', 'mul', 'assign', 'sink']
"""

from __future__ import annotations

from anneal.ir import build
from anneal.ir.graph import replace_sources, toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp


def single_assigns(sink: UOp) -> UOp:
    """`sink` with the last assign of each buffer only, as an output if it was none; earlier ones are the values that they wrote."""
    graph = toposort(sink)
    assigns = [u for u in graph if u.op is Ops.ASSIGN]
    if not assigns:
        return sink
    earlier = {u.src[0] for u in assigns}
    last = [u for u in assigns if u not in earlier]
    made: dict[UOp, UOp] = {}
    target: dict[UOp, UOp] = {}
    for node in graph:
        src = tuple(made[s] for s in node.src)
        if node.op is Ops.ASSIGN:
            target[node] = target.get(node.src[0], src[0])
            made[node] = src[1] if node in earlier else replace_sources(node, (target[node], src[1]))
        else:
            made[node] = replace_sources(node, src)
    return build.sink(*made[sink].src, *(made[u] for u in last if u not in sink.src))


def settle(sink: UOp) -> UOp:
    """`sink` where what an assign writes is read from its buffer, with a copy of every output that is an input which the program overwrites."""
    assigns = [u for u in sink.src if u.op is Ops.ASSIGN]
    if not assigns:
        return sink
    written = {u.src[1]: u for u in reversed(assigns) if u.src[1].op.elementwise or u.src[1].op is Ops.REDUCE_AXIS}
    made: dict[UOp, UOp] = {}
    read: dict[UOp, UOp] = {}
    for node in toposort(sink):
        same = node.op in (Ops.ASSIGN, Ops.SINK)
        made[node] = replace_sources(node, tuple(made[s] if same else read.get(s, made[s]) for s in node.src))
        if node in written:
            read[node] = replace_sources(written[node], (written[node].src[0], made[node]))
    overwritten = {u.src[0] for u in assigns}
    return build.sink(*(build.contiguous(u) if u in overwritten else u for u in made[sink].src))
