"""From groups to kernel bodies: one expression graph of loads, arithmetic, reductions over ranges, and stores.

A body names real inputs by PARAM and stored values by BUFFER, numbered in topological order; `bind` renames both to binding numbers in
order of first use, so equal kernels are the same object and are generated once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from anneal.ir import build
from anneal.ir.graph import substitute_all, toposort
from anneal.ir.ops import Ops
from anneal.ir.scalars import neutral
from anneal.ir.shape import product, shape
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite import session
from anneal.schedule.boundaries import Group, Placement
from anneal.schedule.contexts import gather_context, operands, own_context, reduced_context
from anneal.schedule.indexing import Context, flat_index, is_never, scalars, source

Values = dict[tuple[UOp, Context], UOp]


@dataclass(frozen=True, slots=True)
class Body:
    """One kernel, before lowering."""

    sink: UOp
    """SINK of STOREs into BUFFER or PARAM nodes."""
    outer: frozenset[UOp] | None
    """Ranges at which a workgroup shares reductions; None when nothing is shared."""
    roots: tuple[UOp, ...]
    """The tensor-level values stored, in the order of the stores."""
    nodes: tuple[UOp, ...]
    """The tensor-level values computed, operands first."""
    level: int
    """Length of the longest chain of kernels that must run after it."""


class Bodies:
    """Builds the body of every group, each value once a context."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.values: Values = {}
        stored = [u for u in placement.order if u in placement.group_of]
        self.buffers: dict[UOp, UOp] = {u: ARENA.intern(Ops.BUFFER, u.dtype, (), (i, (product(shape(u)),))) for i, u in enumerate(stored)}
        """The BUFFER that stands for each stored value."""

    def build(self) -> list[Body]:
        """The bodies, in no particular order of execution."""
        with ARENA.crediting():
            for node in self.placement.order:
                ARENA.credit(node)
                for context in self.placement.contexts.get(node, ()):
                    self.values[node, context] = value = self._value(node, context)
                    session.tell("element", node, value)
            position = {u: i for i, u in enumerate(self.placement.order)}
            return [self._body(group, position) for group in self.placement.groups]

    def _body(self, group: Group, position: dict[UOp, int]) -> Body:
        roots = sorted(group.roots, key=position.__getitem__)
        known: dict[UOp, UOp] = {}
        stores = []
        for root in roots:
            ARENA.credit(root)
            own = own_context(root)
            target, place = self.buffers[root], flat_index(own.indices, shape(root))
            value = self._resolve(self.values[root, own])
            if known:
                value = substitute_all((value,), known)[0]
            known[ARENA.intern(Ops.LOAD, root.dtype, (target, place))] = value
            stores.append(ARENA.intern(Ops.STORE, root.dtype, (target, place, value)))
            session.tell("store", root, stores[-1])
        sink = build.sink(*scalars(stores))
        nodes = sorted(dict.fromkeys(group.nodes), key=position.__getitem__)
        return Body(sink, group.outer, tuple(roots), tuple(nodes), group.level)

    def _resolve(self, value: UOp) -> UOp:
        """`value` with every AT, a loaded index, replaced by what it loads."""
        while waiting := [u for u in toposort(value) if u.op is Ops.AT]:
            table = {}
            for at in waiting:
                node, rank = at.arg
                table[at] = self._read(node, Context(at.src[:rank], at.src[rank] if len(at.src) > rank else None))
            value = substitute_all((value,), table)[0]
        return value

    def _read(self, node: UOp, context: Context) -> UOp:
        """The value of an operand: a load where it is stored, else computed."""
        stored = self.buffers.get(node)
        if stored is None:
            return self.values[node, context]
        return self._load(stored, node, context)

    def _load(self, memory: UOp, node: UOp, context: Context) -> UOp:
        gate = () if context.gate is None else (context.gate,)
        load = ARENA.intern(Ops.LOAD, node.dtype, (memory, flat_index(context.indices, shape(node)), *gate))
        session.tell("load", node, load)
        return load

    def _value(self, node: UOp, context: Context) -> UOp:
        """The expression for one element of a computed value."""
        match node.op:
            case Ops.CONST:
                return node
            case Ops.PARAM:
                return self._load(node, node, context)
            case Ops.IOTA:
                return ARENA.intern(Ops.CAST, node.dtype, (context.indices[0],))
            case Ops.REDUCE_AXIS:
                return self._reduced(node, context)
            case Ops.GATHER:
                inner, _ = gather_context(node, context)
                return self._filled(node, inner, context, build.const(0, node.dtype))
            case Ops.PAD:
                return self._filled(node, source(node, context), context, node.src[1])
            case Ops.SHEAR | Ops.UNSHEAR:
                return self._filled(node, source(node, context), context, build.const(0, node.dtype))
        places = {s: c for s, c, _ in operands(node, context)}
        if node.op.elementwise:
            return ARENA.intern(node.op, node.dtype, tuple(self._read(s, places[s]) for s in node.src), node.arg)
        operand = node.src[1] if node.op is Ops.ASSIGN else node.src[0]
        return self._read(operand, places[operand])

    def _filled(self, node: UOp, inner: Context, context: Context, fill: UOp) -> UOp:
        if is_never(inner.gate):
            return fill
        value = self._read(node.src[0], inner)
        return value if inner.gate is context.gate or inner.gate is None else ARENA.intern(Ops.WHERE, node.dtype, (inner.gate, value, fill))

    def _reduced(self, node: UOp, context: Context) -> UOp:
        op, axes = node.arg
        if any(shape(node.src[0])[a] == 0 for a in axes):
            return build.const(neutral(op, node.dtype), node.dtype)
        inner, bound = reduced_context(node, context)
        value = self._read(node.src[0], inner)
        return ARENA.intern(Ops.REDUCE, node.dtype, (value, *bound), op) if bound else value


MEMORY: Final = frozenset({Ops.PARAM, Ops.BUFFER})


def memory_of(sink: UOp) -> tuple[list[UOp], list[UOp]]:
    """The buffers that a body writes, in store order, and those that it only loads, in order of first use."""
    written = list(dict.fromkeys(s.src[0] for s in sink.src))
    loaded = [u for u in toposort(sink) if u.op in MEMORY and u not in written]
    return written, loaded
