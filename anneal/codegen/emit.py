"""Emits values, loops and conditions as instructions, each value in the outermost scope where all it depends on is known.

Reductions become loops with accumulators in registers of their own; equal loops that do not wait for each other are one. With several
lanes, a workgroup shares a loop: its threads take every lanes-th turn and combine in workgroup memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anneal.errors import CompileError, number_of
from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.scalars import neutral
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite import session
from anneal.schedule.indexing import ZERO, free_ranges, replace_ranges, scalars, span


class Emitter:
    """Emits instructions into nested scopes."""

    def __init__(self, lanes: int, lane: UOp) -> None:
        self.out: list[UOp] = []
        self.scopes: list[dict[UOp, UOp]] = [{}]
        self.lanes = lanes
        self.lane = lane
        self.registers = 0
        self.conditions: list[UOp] = []
        self.bound: set[str] = set()

    def emit(self, instruction: UOp) -> UOp:
        """Append an instruction."""
        self.out.append(instruction)
        return instruction

    def op(self, op: Op, dtype: DType, src: tuple[UOp, ...] = (), arg: object = None) -> UOp:
        """Append an instruction made of these parts."""
        return self.emit(ARENA.intern(op, dtype, src, arg))

    def known(self, u: UOp) -> UOp | None:
        """The emitted value of a node, if a scope that is open has it."""
        if u.op in (Ops.CONST, Ops.PARAM, Ops.LOCAL):
            return u
        for scope in reversed(self.scopes):
            if u in scope:
                return scope[u]
        return None

    def open_loop(self, r: UOp, *, shared: bool) -> UOp:
        """Begin a loop over a range; shared loops run every lanes-th turn from the lane's own."""
        name = f"{r.arg[0]}{r.arg[1]}"
        while name in self.bound:
            name += "_"
        self.bound.add(name)
        limit = self.values((r.src[0],))[0]
        start, step = (self.lane, build.index(self.lanes)) if shared else (ZERO, build.index(1))
        loop = self.op(Ops.LOOP, dtypes.index, (start, limit, step), name)
        self.scopes.append({r: loop})
        return loop

    def open_loops(self, ranges: Sequence[UOp], values: Sequence[UOp], *, shared: bool) -> list[UOp]:
        """Begin a nest of loops, before each of them the parts of some values that depend on none of those still to open."""
        loops = []
        for i, r in enumerate(ranges):
            self.values([u for value in values for u in invariants(value, ranges[i:])])
            loops.append(self.open_loop(r, shared=shared))
        return loops

    def close_loop(self, loop: UOp) -> None:
        """End a loop and its scope."""
        self.scopes.pop()
        self.bound.discard(loop.arg)
        self.op(Ops.ENDLOOP, dtypes.bool, (loop,))

    def open_if(self, gate: UOp, *, scope: bool = True) -> None:
        """Begin a part that runs where the gate holds; without a scope of its own where all that follows is inside."""
        self.conditions.append(self.op(Ops.IF, dtypes.bool, (self.values((gate,))[0],)))
        if scope:
            self.scopes.append({})

    def close_if(self, *, scope: bool = True) -> None:
        """End the last conditional part."""
        if scope:
            self.scopes.pop()
        self.op(Ops.ENDIF, dtypes.bool, (self.conditions.pop(),))

    def store(self, stores: Sequence[UOp]) -> None:
        """Emit stores, the values of all before the first; gates are the caller's."""
        values = [self.values(s.src[1 : 3 if s.op is Ops.STORE else None]) for s in stores]
        for store, value in zip(stores, values, strict=True):
            ARENA.credit(store)
            session.tell("instruction", store, self.op(store.op, store.dtype, (store.src[0], *value)))

    # Values.

    def values(self, targets: Sequence[UOp]) -> list[UOp]:
        """Emit what is needed for some values, reductions first, and return them as emitted."""
        self.reductions(targets)
        for node in toposort(*targets, enter=lambda u: self.known(u) is None):
            if self.known(node) is None:
                self.scopes[-1][node] = self._compute(node)
        return [v for t in targets if (v := self.known(t)) is not None]

    def _compute(self, node: UOp) -> UOp:
        if node.op is Ops.RANGE:
            raise CompileError(f"range {node.arg} is used outside of its loop")
        src = tuple(v for s in node.src if (v := self.known(s)) is not None)
        ARENA.credit(node)
        instruction = self.op(node.op, node.dtype, src, node.arg)
        session.tell("instruction", node, instruction)
        return instruction

    # Reductions.

    @staticmethod
    def flatten(ranges: tuple[UOp, ...], values: list[UOp]) -> tuple[tuple[UOp, ...], list[UOp]]:
        """Several ranges as one, and the values in terms of it."""
        if len(ranges) == 1:
            return ranges, values
        flat = ARENA.intern(Ops.RANGE, dtypes.index, (build.index(span(ranges)),), ranges[0].arg)
        return (flat,), in_terms_of(flat, ranges, values)

    def reductions(self, targets: Sequence[UOp]) -> None:
        """Emit the loops of every reduction that the targets need in this scope; equal loops that do not wait for each other are one."""
        stages = self._stages(targets)
        waves: dict[tuple[int, tuple[UOp, ...]], list[UOp]] = {}
        for node, stage in stages.items():
            waves.setdefault((stage, node.src[1:]), []).append(node)
        for (_, bound), group in sorted(waves.items(), key=lambda w: w[0][0]):
            self._loop(bound, group)

    def _stages(self, targets: Sequence[UOp]) -> dict[UOp, int]:
        """The reductions below the targets, each with the length of the longest chain of reductions up to it."""
        depth: dict[UOp, int] = {}
        stages: dict[UOp, int] = {}
        stack: list[tuple[UOp, bool]] = [(t, False) for t in reversed(targets)]
        while stack:
            node, ready = stack.pop()
            if node in depth:
                continue
            below = () if self.known(node) is not None else invariants(node.src[0], node.src[1:]) if node.op is Ops.REDUCE else node.src
            if not ready and below:
                stack.append((node, True))
                stack.extend((s, False) for s in reversed(below) if s not in depth)
                continue
            depth[node] = max((depth[s] for s in below), default=0)
            if node.op is Ops.REDUCE and self.known(node) is None:
                depth[node] += 1
                stages[node] = depth[node]
        return stages

    def _loop(self, bound: tuple[UOp, ...], group: Sequence[UOp]) -> None:
        """One loop nest with an accumulator for each reduction of a group."""
        shared = self.lanes > 1 and len(self.scopes) == 1
        kinds, sizes = ", ".join(dict.fromkeys(node.arg.name for node in group)), " x ".join(str(span((r,))) for r in bound)
        many = f"{number_of(len(group), 'result')}{' shared by the workgroup' * shared}"
        self.op(Ops.COMMENT, dtypes.bool, (), f"{kinds} over {sizes}: {many}")
        registers = []
        for node in group:
            ARENA.credit(node)
            start = build.const(neutral(node.arg, node.dtype), node.dtype)
            registers.append(self.op(Ops.REGISTER, node.dtype, (start,), f"acc{self.registers}"))
            self.registers += 1
        inner = [node.src[0] for node in group]
        if shared:
            bound, inner = self.flatten(bound, inner)
        elif any(self.known(r) is not None for r in bound):
            bound, inner = self._renamed(bound, inner)
        loops = self.open_loops(bound, inner, shared=shared)
        for register, node, value in zip(registers, group, self.values(inner), strict=True):
            total = self.op(node.arg, node.dtype, (register, value))
            session.tell("loop", node, total)
            self.op(Ops.SET, node.dtype, (register, total))
        for loop in reversed(loops):
            self.close_loop(loop)
        results = self._combined(registers, group) if shared else registers
        for node, result in zip(group, results, strict=True):
            self.scopes[-1][node] = result
            session.tell("loop", node, result)

    def _renamed(self, bound: tuple[UOp, ...], values: list[UOp]) -> tuple[tuple[UOp, ...], list[UOp]]:
        """Ranges that no open loop has, and the values in terms of them."""
        first = 1 + max(r.arg[1] for scope in self.scopes for r in (*scope, *bound) if r.op is Ops.RANGE)
        fresh = {r: ARENA.intern(Ops.RANGE, r.dtype, r.src, (r.arg[0], first + i)) for i, r in enumerate(bound)}
        return tuple(fresh.values()), replace_ranges(values, fresh)

    def _combined(self, registers: Sequence[UOp], group: Sequence[UOp]) -> list[UOp]:
        """The combinations of registers over the lanes, by halving in workgroup memory, all at each step."""
        memories = [ARENA.intern(Ops.LOCAL, r.dtype, (), (f"shared_{r.arg}", self.lanes)) for r in registers]
        for memory, register in zip(memories, registers, strict=True):
            self.emit(memory)
            self.op(Ops.STORE, memory.dtype, (memory, self.lane, register))
        self.op(Ops.BARRIER, dtypes.bool)
        half = self.lanes // 2
        while half:
            begin = self.op(Ops.IF, dtypes.bool, (self.op(Ops.LT, dtypes.bool, (self.lane, build.index(half))),))
            beside = self.op(Ops.ADD, dtypes.index, (self.lane, build.index(half)))
            for memory, node in zip(memories, group, strict=True):
                pair = self.op(Ops.LOAD, node.dtype, (memory, self.lane)), self.op(Ops.LOAD, node.dtype, (memory, beside))
                self.op(Ops.STORE, node.dtype, (memory, self.lane, self.op(node.arg, node.dtype, pair)))
            self.op(Ops.ENDIF, dtypes.bool, (begin,))
            self.op(Ops.BARRIER, dtypes.bool)
            half //= 2
        return [self.op(Ops.LOAD, memory.dtype, (memory, ZERO)) for memory in memories]


def invariants(value: UOp, bound: Iterable[UOp]) -> list[UOp]:
    """The largest parts of a value that do not depend on some ranges, nor on those that reductions inside it bind."""
    moving = set(bound)
    inside = toposort(value, enter=lambda u: not moving.isdisjoint(free_ranges(u)))
    moving |= {r for u in inside if u.op is Ops.REDUCE and not moving.isdisjoint(free_ranges(u)) for r in u.src[1:]}
    found = toposort(value, enter=lambda u: not moving.isdisjoint(free_ranges(u)))
    return [u for u in found if u.op not in (Ops.CONST, Ops.PARAM, Ops.RANGE) and moving.isdisjoint(free_ranges(u))]


def in_terms_of(flat: UOp, ranges: Sequence[UOp], values: Sequence[UOp]) -> list[UOp]:
    """Values with each range replaced by its share of a flat one."""
    table: dict[UOp, UOp] = {}
    below: int = 1
    for place, r in reversed(list(enumerate(ranges))):
        n = r.src[0].arg
        part = flat if below == 1 else flat // below
        table[r] = part if place == 0 else part % n
        below *= n
    if not table or not values:
        return list(values)
    return list(scalars(replace_ranges(values, table)))
