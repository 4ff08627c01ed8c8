"""Puts a plan together: buffers with their roles and sizes, kernels with names, statistics and the reasons for their boundaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from anneal.codegen.bind import Bound
from anneal.codegen.program import Program
from anneal.codegen.target import UNIT, Target
from anneal.codegen.types import width
from anneal.errors import CompileError
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import Shape, shape, show
from anneal.ir.uop import UOp
from anneal.runtime.costs import flops, moved
from anneal.runtime.naming import ints, kernel_name
from anneal.runtime.plan import Binding, Boundary, Kernel, Plan, PlanBuffer
from anneal.schedule.boundaries import Decision
from anneal.schedule.contexts import describe, label
from anneal.schedule.facts import elements
from anneal.schedule.kernels import MEMORY, Body
from anneal.schedule.memory import Life, share
from anneal.schedule.schedule import Schedule
from anneal.view.phases import ORDER

MOST: Final = 24
"""Runs of operations that a comment lists."""
_COMPUTES: Final = frozenset({Ops.REDUCE_AXIS, Ops.GATHER})


class Given(NamedTuple):
    """The program as it was before elements were packed into words."""

    inputs: Sequence[UOp]
    """The PARAMs by slot."""
    outputs: Sequence[UOp]
    words: Mapping[UOp, UOp]
    """The words of each input whose elements are packed."""


def buffer_bytes(dims: Shape, width: int) -> int:
    """Bytes of a buffer of elements of some bytes: at least one element, a multiple of 4."""
    return -(-max(1, elements(dims)) * width // UNIT) * UNIT


def assemble(given: Given, scheduled: Schedule, bound: Sequence[Bound], programs: Sequence[Program], texts: Sequence[tuple[str, str]], target: Target) -> Plan:
    """The plan of a scheduled program. `texts` are WGSL and instructions of each kernel."""
    inputs = given.inputs
    buffers = [PlanBuffer("input", p.dtype.name, ints(shape(p)), buffer_bytes(shape(p), p.dtype.storage)) for p in inputs]
    place: dict[UOp, int] = {given.words.get(p, p): i for i, p in enumerate(inputs)}
    known = {words: value for value, words in given.words.items() if value.op is Ops.PARAM}
    outputs = []
    for value, stored in zip(given.outputs, scheduled.outputs, strict=True):
        memory = scheduled.physical(scheduled.buffers.get(stored, stored))
        if memory not in place:
            place[memory] = len(buffers)
            buffers.append(PlanBuffer("output", value.dtype.name, ints(shape(value)), buffer_bytes(shape(value), value.dtype.storage)))
        if stored.dtype is not value.dtype:
            known.setdefault(memory, value)
        outputs.append(place[memory])
    temporaries = _temporaries(bound, place, target)
    buffers += temporaries
    for b in buffers:
        if isinstance(b.bytes, int) and b.bytes > target.binding_bytes:
            what = f"the {b.role} of {b.dtype}{show(b.shape)}"  # type: ignore[arg-type]
            raise CompileError(f"{what} needs {b.bytes} bytes; a binding of this target holds {target.binding_bytes}: split it")
    names: dict[str, int] = {}
    shared = _Shared(scheduled, place, known, {m: u for u, m in scheduled.buffers.items()}, {d.node: (i, d) for i, d in enumerate(scheduled.decisions)})
    kernels = tuple(
        _kernel(body, b, program, text, _unique(kernel_name(body), names), shared)
        for body, b, program, text in zip(scheduled.bodies, bound, programs, texts, strict=True)
    )
    written = sorted({binding.buffer for k in kernels for binding in k.bindings if binding.writes and binding.buffer < len(inputs)})
    stats = {
        "kernels": len(kernels),
        "kernels_fused": sum(len(k.phases) > 1 for k in kernels),
        "peak_bytes": sum(b.bytes for b in buffers if isinstance(b.bytes, int)),
        "temporary_bytes": sum(b.bytes for b in temporaries if isinstance(b.bytes, int)),
    }
    return Plan(target, tuple(buffers), kernels, tuple(outputs), tuple(written), {}, stats)


def _temporaries(bound: Sequence[Bound], place: dict[UOp, int], target: Target) -> list[PlanBuffer]:
    """Temporaries in shared buffers; adds where each lies to `place`."""
    first: dict[UOp, int] = {}
    last: dict[UOp, int] = {}
    for i, b in enumerate(bound):
        for memory in b.memory:
            if memory not in place:
                first.setdefault(memory, i)
                last[memory] = i
    values = list(first)
    lives = {n: Life(first[m], last[m], buffer_bytes(shape(m), width(m.dtype, half=target.float16))) for n, m in enumerate(values)}
    chosen, sizes = share(lives)
    made: dict[int, PlanBuffer] = {}
    start = 1 + max(place.values(), default=-1)
    for n, memory in enumerate(values):
        place[memory] = start + chosen[n]
        each, size = width(memory.dtype, half=target.float16), sizes[chosen[n]]
        dtype = memory.dtype if memory.dtype.storage == each else dtypes.uint32
        made.setdefault(chosen[n], PlanBuffer("temporary", dtype.name, (size // each,), size))
    return [made[i] for i in range(len(sizes))]


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all kernels of a plan are put together from."""

    scheduled: Schedule
    place: dict[UOp, int]
    """Which of the plan's buffers each memory is."""
    known: dict[UOp, UOp]
    """What memory of packed elements holds."""
    values: dict[UOp, UOp]
    """The value that each BUFFER stands for."""
    decisions: dict[UOp, tuple[int, Decision]]
    """What was decided of a value, and as which decision of all."""

    def memory(self, root: UOp) -> UOp:
        """Where a stored value is."""
        return self.scheduled.physical(self.scheduled.buffers[root])


def _kernel(body: Body, bound: Bound, program: Program, text: tuple[str, str], name: str, shared: _Shared) -> Kernel:
    computed = {u.phase for u in body.nodes if u.op.elementwise or u.op in _COMPUTES}
    stored = {root: bound.memory.index(shared.memory(root)) for root in body.roots}
    decided = [d for _, d in sorted(shared.decisions[u] for u in body.nodes if u in shared.decisions) if d.scope != "inline" or d.reason]
    fused = [u for u in body.nodes if u.op.category != "leaf"]
    return Kernel(
        name=name,
        wgsl=text[0],
        program=text[1],
        bindings=_bindings(body, bound, shared),
        workgroups=program.workgroups,
        workgroup_size=program.workgroup_size,
        phases=tuple(p for p in ORDER if p in computed) or ("forward",),
        ops=tuple(describe(u) for u in fused),
        op_phases=tuple(u.phase for u in fused),
        flops=flops(body),
        bytes=moved(bound, half=program.half),
        boundaries=tuple(Boundary(describe(d.node), d.scope, d.reason, stored.get(d.node)) for d in decided),
    )


def _bindings(body: Body, bound: Bound, shared: _Shared) -> tuple[Binding, ...]:
    """What a kernel binds, with the value that each buffer holds by then: a stored one, or an input as it is handed in."""
    physical = shared.scheduled.physical
    graph = toposort(body.sink)
    held = {physical(u): shared.values.get(u, u) for u in graph if u.op in MEMORY}
    held |= {shared.memory(root): root for root in body.roots}
    held |= {m: shared.known[m] for m in held if m in shared.known}
    loaded = {physical(u.src[0]) for u in graph if u.op is Ops.LOAD}
    return tuple(
        Binding(shared.place[m], i < bound.written, i < bound.written and m in loaded, label(held[m]), held[m].dtype.name, ints(shape(held[m])))
        for i, m in enumerate(bound.memory)
    )


def notes(body: Body) -> tuple[str, str]:
    """Lines for the reader of a kernel: what is fused in it, in order, equal neighbours counted, and what it stores."""
    runs: list[tuple[str, int]] = []
    for u in body.nodes:
        if u.op.elementwise or u.op in _COMPUTES:
            what = f"{u.arg[0].name} over {_reduced_shape(u)}" if u.op is Ops.REDUCE_AXIS else u.op.name
            runs[-1:] = [(what, runs[-1][1] + 1)] if runs and runs[-1][0] == what else [*runs[-1:], (what, 1)]
    listed = ", ".join(what if n == 1 else f"{n} {what}" for what, n in runs[:MOST])
    return f"fused: {listed or 'a copy'}{', ...' * (len(runs) > MOST)}", "stores " + ", ".join(describe(u) for u in body.roots)


def _reduced_shape(node: UOp) -> str:
    return show(tuple(shape(node.src[0])[axis] for axis in node.arg[1]))


def _unique(name: str, names: dict[str, int]) -> str:
    names[name] = names.get(name, 0) + 1
    return name if names[name] == 1 else f"{name}_v{names[name]}"
