"""A kernel's instructions as a list of steps over all invocations at once.

Each step reads and writes slots of a frame: a list of values whose axes are the workgroups' z, y, x and the invocations' z, y, x. What is the
same along an axis has size 1 there, what is the same for all is a scalar: a loop counter costs a Python integer. Control flow that differs
between invocations becomes a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.text import parse_program
from anneal.ir.uop import UOp
from anneal.runtime.reference.memory import Fault, Memory
from anneal.runtime.reference.numeric import constant, operation, where

Frame = list[Any]
Step = Callable[[Frame], None]

MASK: Final = 0
"""Slot of the condition under which invocations are active; None when all are."""
LANES: Final = 1
"""Slot of each invocation's number, for checks."""
_FIRST_FREE: Final = 2
AXES: Final = {"wid.z": 0, "wid.y": 1, "wid.x": 2, "lid.z": 3, "lid.y": 4, "lid.x": 5}


@dataclass(slots=True)
class Program:
    """A compiled kernel."""

    steps: list[Step] = field(default_factory=list)
    frame: Frame = field(default_factory=lambda: [None] * _FIRST_FREE)
    """The initial frame: constants in their slots."""
    leaves: list[tuple[UOp, int]] = field(default_factory=list)
    """PARAM, LOCAL, SPECIAL and VARIABLE nodes and their slots, for the runner to fill."""


def compile_program(text: str) -> Program:
    """Compile the text of a program; raises ParseError when it is none."""
    compiler = _Compiler(parse_program(text))
    return compiler.program


class _Compiler:
    """Turns instructions into steps, blocks into lists of steps."""

    def __init__(self, instructions: Sequence[UOp]) -> None:
        self.program = Program()
        self.slots: dict[UOp, int] = {}
        self.listed = set(instructions)
        self.blocks: list[tuple[UOp | None, list[Step]]] = [(None, self.program.steps)]
        for instruction in instructions:
            self.add(instruction)
        if len(self.blocks) > 1:
            raise Fault(f"{self.blocks[-1][0]!r} is never closed")

    def slot(self, node: UOp) -> int:
        """Where the value of a node lies; leaves are set up at their first use, and operands that are no instruction computed on the spot."""
        if node not in self.slots:
            self.slots[node] = len(self.program.frame)
            self.program.frame.append(constant(node.arg, node.dtype) if node.op is Ops.CONST else None)
            if node.op in _LEAVES:
                self.program.leaves.append((node, self.slots[node]))
        return self.slots[node]

    def add(self, node: UOp) -> None:
        """Append the steps of one instruction."""
        for operand in node.src:
            if operand.src and operand not in self.listed:
                for inner in toposort(operand, enter=lambda u: u not in self.listed):
                    if inner.src and inner not in self.listed:
                        self.blocks[-1][1].append(self.step(inner))
        if node.op in (Ops.LOOP, Ops.IF):
            self.blocks.append((node, []))
        elif node.op in (Ops.ENDLOOP, Ops.ENDIF):
            opening, body = self.blocks.pop()
            if opening is not node.src[0]:
                raise Fault(f"{node!r} closes {opening!r}")
            operands = [self.slot(s) for s in opening.src]
            self.blocks[-1][1].append(_BLOCKS[opening.op](self.slot(opening), operands, body))
        elif node.op not in _SILENT and node.src:
            self.blocks[-1][1].append(self.step(node))
        elif node.op is Ops.BARRIER:
            self.blocks[-1][1].append(_barrier)

    def step(self, node: UOp) -> Step:
        """The step of an instruction with operands."""
        operands = [self.slot(s) for s in node.src]
        out = self.slot(node)
        if node.op in _MEMORY:
            return _MEMORY[node.op](out, operands, node.arg)
        function = operation(node.op, node.dtype, node.src[-1].dtype)
        if len(operands) == 1:
            return _unary(function, out, *operands)
        return _binary(function, out, *operands) if len(operands) == 2 else _ternary(function, out, *operands)


_LEAVES: Final = frozenset({Ops.PARAM, Ops.LOCAL, Ops.SPECIAL, Ops.VARIABLE})
_SILENT: Final = frozenset({Ops.COMMENT, Ops.SINK})


def _unary(function: Callable[..., Any], out: int, a: int) -> Step:
    def step(v: Frame) -> None:
        v[out] = function(v[a])

    return step


def _binary(function: Callable[..., Any], out: int, a: int, b: int) -> Step:
    def step(v: Frame) -> None:
        v[out] = function(v[a], v[b])

    return step


def _ternary(function: Callable[..., Any], out: int, a: int, b: int, c: int) -> Step:
    def step(v: Frame) -> None:
        v[out] = function(v[a], v[b], v[c])

    return step


def _load(out: int, operands: list[int], _: Any) -> Step:
    memory, index, *gates = operands
    gate = gates[0] if gates else None

    def step(v: Frame) -> None:
        v[out] = v[memory].load(v[index], None if gate is None else v[gate], v[MASK], v[LANES])

    return step


def _store(_out: int, operands: list[int], _: Any) -> Step:
    memory, index, value, *gates = operands
    gate = gates[0] if gates else None

    def step(v: Frame) -> None:
        v[memory].store(v[index], v[value], None if gate is None else v[gate], v[MASK], v[LANES])

    return step


def _vector_load(out: int, operands: list[int], count: int) -> Step:
    memory, index = operands

    def step(v: Frame) -> None:
        first, data = v[index], v[memory]
        _check_vector(first, count, v[MASK], data)
        v[out] = [data.load(first + lane, None, v[MASK], v[LANES]) for lane in range(count)]

    return step


def _lane(out: int, operands: list[int], lane: int) -> Step:
    (source,) = operands

    def step(v: Frame) -> None:
        v[out] = v[source][lane]

    return step


def _vector_store(_out: int, operands: list[int], _: Any) -> Step:
    memory, index, *values = operands

    def step(v: Frame) -> None:
        first, data = v[index], v[memory]
        _check_vector(first, len(values), v[MASK], data)
        for lane, value in enumerate(values):
            data.store(first + lane, v[value], None, v[MASK], v[LANES])

    return step


def _check_vector(index: Any, count: int, mask: Any, memory: Memory) -> None:
    uneven = index % count != 0
    if np.any(uneven if mask is None else uneven & mask):
        raise Fault(f"an invocation touches {count} elements of {memory.name} at once from an index that {count} does not divide")


def _register(out: int, operands: list[int], _: Any) -> Step:
    (start,) = operands

    def step(v: Frame) -> None:
        v[out] = v[start]

    return step


def _set(_out: int, operands: list[int], _: Any) -> Step:
    register, value = operands

    def step(v: Frame) -> None:
        mask = v[MASK]
        v[register] = v[value] if mask is None else where(mask, v[value], v[register])

    return step


def _barrier(v: Frame) -> None:
    if v[LANES] is not None:
        for value in v:
            if isinstance(value, Memory) and value.watch is not None and value.local:
                value.watch.barrier()


_MEMORY: Final[dict[Op, Callable[[int, list[int], Any], Step]]] = {
    Ops.LOAD: _load,
    Ops.STORE: _store,
    Ops.VLOAD: _vector_load,
    Ops.LANE: _lane,
    Ops.VSTORE: _vector_store,
    Ops.REGISTER: _register,
    Ops.SET: _set,
}


def _if(_out: int, operands: list[int], body: list[Step]) -> Step:
    (condition,) = operands

    def step(v: Frame) -> None:
        outer = v[MASK]
        active = v[condition] if outer is None else v[condition] & outer
        if not np.any(active):
            return
        v[MASK] = None if np.all(active) else active
        for inner in body:
            inner(v)
        v[MASK] = outer

    return step


def _loop(out: int, operands: list[int], body: list[Step]) -> Step:
    start, limit, stride = operands

    def step(v: Frame) -> None:
        if np.any(v[stride] <= 0):
            raise Fault("a loop has a step that is not positive, and would not end")
        (_run_varying if any(isinstance(v[i], np.ndarray) for i in operands) else _run_uniform)(v, out, v[start], v[limit], v[stride], body)

    return step


def _run_uniform(v: Frame, out: int, start: Any, limit: Any, stride: Any, body: list[Step]) -> None:
    """All invocations count alike."""
    make = type(start)
    for index in range(int(start), int(limit), int(stride)):
        v[out] = make(index)
        for inner in body:
            inner(v)


def _run_varying(v: Frame, out: int, index: Any, limit: Any, stride: Any, body: list[Step]) -> None:
    """Invocations that are through wait for the others."""
    outer = v[MASK]
    while True:
        active = index < limit if outer is None else (index < limit) & outer
        if not np.any(active):
            break
        v[MASK] = None if np.all(active) else active
        v[out] = index
        for inner in body:
            inner(v)
        index = index + stride
    v[MASK] = outer


_BLOCKS: Final = {Ops.IF: _if, Ops.LOOP: _loop}
