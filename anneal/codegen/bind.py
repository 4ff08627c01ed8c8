"""Kernel bodies with binding numbers instead of buffers.

Bindings are numbered in the order of the stores, then of first use, so that kernels which differ only in their buffers are the same object
and are generated once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anneal.ir.graph import substitute, toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import product, shape
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite import session
from anneal.schedule.kernels import MEMORY


@dataclass(frozen=True, slots=True)
class Bound:
    """A body that names memory by binding number."""

    sink: UOp
    """SINK of STOREs into PARAM nodes, whose arg is (binding, (elements,))."""
    memory: tuple[UOp, ...]
    """The buffer behind each binding."""
    written: int
    """Bindings below this number are written."""


def bind(sink: UOp, physical: Callable[[UOp], UOp]) -> Bound:
    """Number the memory of a body; BUFFERs that stand for the same memory share a binding."""
    stored = [s.src[0] for s in sink.src]
    found = [u for u in toposort(sink) if u.op in MEMORY]
    memory = list(dict.fromkeys(physical(u) for u in (*stored, *found)))
    number = {m: i for i, m in enumerate(memory)}
    table = {u: ARENA.intern(Ops.PARAM, u.dtype, (), (number[physical(u)], (product(shape(u)),))) for u in found}
    for memory_name, binding in table.items():
        session.tell("binding", memory_name, binding)
    return Bound(substitute(sink, table), tuple(memory), len({physical(u) for u in stored}))
