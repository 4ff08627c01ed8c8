"""Handlers for loads under conditions.

>>> from anneal.ir.build import alu, const, index, param
>>> from anneal.ir.dtype import dtypes
>>> gate = ARENA.intern(Ops.LT, dtypes.bool, (index(1), index(2)))
>>> x = ARENA.intern(Ops.LOAD, dtypes.float32, (param(0, (4,), dtypes.float32), index(1), gate))
>>> zero_already(alu(Ops.WHERE, gate, alu(Ops.MUL, x, x), const(0, dtypes.float32))) is alu(Ops.MUL, x, x)
True
"""

from __future__ import annotations

import math
from typing import Final

from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp

_DEEP: Final = 16
"""Nodes looked at, at most, to see that a value is 0."""


def zero_already(root: UOp) -> UOp | None:
    """The value of a choice between it and 0, when it is 0 anyway where the condition fails."""
    gate, value, fill = root.src
    if math.copysign(1, fill.arg) < 0:
        return None  # -0.0 equals 0, and is another number
    waiting, seen = [value], 0
    while waiting:
        u, seen = waiting.pop(), seen + 1
        if seen > _DEEP:
            return None
        if u.op in (Ops.MUL, Ops.ADD):
            waiting.extend(u.src)
        elif u.op is Ops.CAST:
            waiting.append(u.src[0])
        elif not (u.op is Ops.LOAD and len(u.src) > 2 and _implies(u.src[2], gate)):
            return None
    return value


def _implies(gate: UOp, wanted: UOp) -> bool:
    """True when a gate is a conjunction that holds all the terms of another."""
    return frozenset(_terms(wanted)) <= frozenset(_terms(gate))


def _terms(gate: UOp) -> list[UOp]:
    waiting, found = [gate], []
    while waiting:
        u = waiting.pop()
        if u.op is Ops.AND:
            waiting.extend(u.src)
        else:
            found.append(u)
    return found


def gate_decided(root: UOp) -> UOp | None:
    """A load without its gate when that always holds; 0 when it never does."""
    if len(root.src) < 3 or root.src[2].op is not Ops.CONST:
        return None
    if root.src[2].arg:
        return ARENA.intern(Ops.LOAD, root.dtype, root.src[:2])
    return ARENA.intern(Ops.CONST, root.dtype, (), root.dtype.round(0))
