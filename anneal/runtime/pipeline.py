"""The compiler, stage by stage: from a tensor graph to a plan.

`STAGES` can be read aloud; each stage says what holds after it. Plans are cached by the structural key of the graph and the target.

>>> [stage.name for stage in STAGES]
['simplified', 'kernels', 'lowered', 'wgsl']
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from anneal import rules
from anneal.codegen.bind import Bound, bind
from anneal.codegen.lower import lower
from anneal.codegen.opts import choose
from anneal.codegen.program import Program
from anneal.codegen.target import Target
from anneal.codegen.tiles import lower_tiled, tiling_for
from anneal.codegen.wgsl import joined, written
from anneal.errors import CompileError, UsageError
from anneal.ir import build
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape, show
from anneal.ir.text import print_program
from anneal.ir.uop import UOp, structural_key
from anneal.rewrite import session
from anneal.rewrite.session import Session
from anneal.rewrite.trace import Snapshot
from anneal.runtime.assemble import Given, assemble, notes
from anneal.runtime.plan import Plan
from anneal.schedule.assigns import single_assigns
from anneal.schedule.packing import pack
from anneal.schedule.schedule import Schedule, schedule


@dataclass(slots=True)
class Compilation:
    """A program on its way through the stages."""

    sink: UOp
    """The tensor graph: SINK of the outputs over PARAMs, then of assigns that are no outputs."""
    target: Target
    inputs: tuple[UOp, ...]
    """The PARAMs by slot; simplification may leave some unread."""
    uops: int
    """Nodes of the program as it was given."""
    words: dict[UOp, UOp] = field(default_factory=dict)
    """After `kernels`: the words of each input whose elements are packed."""
    scheduled: Schedule | None = None
    """After `kernels`."""
    bound: list[Bound] = field(default_factory=list)
    """After `lowered`: the bodies by binding number."""
    programs: list[Program] = field(default_factory=list)
    """After `lowered`: their instructions."""
    lines: tuple[tuple[tuple[UOp, ...], ...], ...] = ()
    """After `wgsl`: for each kernel, the instructions that each line of its text says."""
    plan: Plan | None = None
    """After `wgsl`."""
    milliseconds: dict[str, float] = field(default_factory=dict)

    def graphs(self) -> tuple[tuple[UOp, ...], ...]:
        """The roots of the graph that there is by now; where there is one a kernel, those of each."""
        if self.plan is not None:
            return ()
        if self.programs:
            return tuple(p.instructions for p in self.programs)
        return ((self.sink,),) if self.scheduled is None else tuple((b.sink,) for b in self.scheduled.bodies)


@dataclass(frozen=True, slots=True)
class Stage:
    """A named pass."""

    name: str
    ensures: str
    """What holds after it."""
    run: Callable[[Compilation], None]


def _same_shape(old: UOp, new: UOp) -> UOp:
    """What a rule gave, with the shape of what it replaces."""
    return new if shape(new) == shape(old) else build.broadcast_to(new, shape(old))


def _simplify(work: Compilation) -> None:
    table = rules.table("after_autodiff", *rules.TENSOR)
    work.sink = session.apply((work.sink,), table, fix=_same_shape)[0]


def _schedule(work: Compilation) -> None:
    packed = pack(work.sink, half=work.target.float16)
    work.words = packed.words
    work.scheduled = schedule(packed.sink, work.target.storage_buffers)


def _lower(work: Compilation) -> None:
    assert work.scheduled is not None
    done: dict[tuple[UOp, frozenset[UOp] | None, tuple[str, ...]], Program] = {}
    for body in work.scheduled.bodies:
        bound = bind(body.sink, work.scheduled.physical)
        work.bound.append(bound)
        key = bound.sink, body.outer, notes(body)
        if key not in done:
            done[key] = _instructions(bound.sink, body.outer, work.target, key[2])
        work.programs.append(done[key])


def _instructions(sink: UOp, outer: frozenset[UOp] | None, target: Target, lines: tuple[str, ...]) -> Program:
    tiling = tiling_for(sink, target) if outer is None else None
    return lower(sink, choose(sink, outer, target), target, lines) if tiling is None else lower_tiled(sink, tiling, lines, target)


def _write(work: Compilation) -> None:
    assert work.scheduled is not None
    lines = {p: written(p) for p in dict.fromkeys(work.programs)}
    texts = {p: (joined(of), print_program(p.instructions)) for p, of in lines.items()}
    work.lines = tuple(tuple(line.uops for line in lines[p]) for p in work.programs)
    given = Given(work.inputs, work.sink.src, work.words)
    work.plan = assemble(given, work.scheduled, work.bound, work.programs, [texts[p] for p in work.programs], work.target)


STAGES: Final[tuple[Stage, ...]] = (
    Stage("simplified", "no rule of the tensor groups matches; shapes are as before", _simplify),
    Stage("kernels", "every value is computed in place, shared by a workgroup or stored; movement ops are gone; each body binds few enough buffers", _schedule),
    Stage("lowered", "each body is a list of instructions whose loops, conditions and barriers nest", _lower),
    Stage("wgsl", "a plan: WGSL, bindings and dispatches as plain data", _write),
)

_plans: dict[tuple[bytes, Target], Plan] = {}
MOST: Final = 256
"""Plans kept; the oldest goes first."""


@contextmanager
def _collector_off() -> Iterator[None]:
    """No garbage collection of cycles: a compilation makes many nodes and none of them in a cycle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def compile_graph(sink: UOp, target: Target) -> Plan:
    """The plan for the outputs of `sink`, a SINK over PARAM nodes. Raises CompileError where the target cannot run it."""
    if not isinstance(target, Target):
        raise UsageError(f"a target is an anneal.Target, such as Target.portable() or the target of a device, not {target!r}")
    key = structural_key(sink), target
    with session.compiling(STAGES[0].name) as counted:
        if counted.trace is None and (found := _plans.get(key)) is not None:
            return found
        with _collector_off():
            plan = _plan(_run(sink, target, counted, STAGES), len(sink.src), counted)
    if len(_plans) >= MOST:
        del _plans[next(iter(_plans))]
    _plans[key] = plan
    return plan


def forget() -> None:
    """Drop the plans that are kept: the next compilation of each program is one."""
    _plans.clear()


def _known_sizes(graph: Sequence[UOp]) -> None:
    """Raise for a size or a value that is known at run time only: kernels for those come later."""
    for u in graph:
        if u.op is Ops.VARIABLE or not all(isinstance(d, int) for d in shape(u)):
            what = u.arg[0] if u.op is Ops.VARIABLE else f"a {u.op.name} of shape {show(shape(u))}"
            raise CompileError(f"{what} is known at run time only, which kernels cannot take yet: give it a number")


def begin(sink: UOp, target: Target) -> Compilation:
    """A program before the first stage. Raises CompileError where kernels cannot take it."""
    graph = toposort(sink)
    _known_sizes(graph)
    inputs = sorted((u for u in graph if u.op is Ops.PARAM), key=lambda u: u.arg[0])
    return Compilation(single_assigns(sink), target, tuple(inputs), len(graph))


def compile_until(sink: UOp, target: Target, last: str) -> Compilation:
    """A program after the stage named `last`, without the stages that follow. Raises CompileError as far as it gets."""
    with session.compiling(STAGES[0].name) as counted, _collector_off():
        names = [stage.name for stage in STAGES]
        return _run(sink, target, counted, STAGES[: names.index(last) + 1])


def _run(sink: UOp, target: Target, counted: Session, stages: Sequence[Stage]) -> Compilation:
    if counted.trace is not None:
        counted.trace.snapshots.append(Snapshot("tensor", "the program as it is written; shapes and dtypes fit", ((sink,),), 0.0, 0))
    work = begin(sink, target)
    for stage in stages:
        counted.stage, before = stage.name, counted.rewrites
        start = time.perf_counter()
        stage.run(work)
        work.milliseconds[stage.name] = took = (time.perf_counter() - start) * 1e3
        if counted.trace is not None:
            counted.trace.snapshots.append(Snapshot(stage.name, stage.ensures, work.graphs(), took, counted.rewrites - before, work.lines))
    return work


def _plan(work: Compilation, outputs: int, counted: Session) -> Plan:
    """The plan that all stages together have made, with statistics; assigns beyond `outputs` were not asked for."""
    if work.plan is None:
        raise CompileError("the pipeline ended without a plan")
    plan = replace(work.plan, outputs=work.plan.outputs[:outputs])
    return plan.with_stats(uops=work.uops, rewrites=counted.rewrites, ms=work.milliseconds)
