"""A program as its user knows it: names for inputs and nodes, and the graph after each stage.

>>> from anneal import Tensor
>>> x = Tensor([1.0, 2.0])
>>> y = x * 1 + 2
>>> shown = describe([y.uop], "simplified")
>>> [(u.op.name, shown.name(u)) for u in shown.order]
[('param', 'x'), ('const', None), ('add', 'y')]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from anneal.errors import UsageError
from anneal.ir.graph import toposort, users
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, Origin, UOp
from anneal.rewrite import session
from anneal.rewrite.trace import Event, Trace
from anneal.tensor import realize
from anneal.tensor.storage import Buffer
from anneal.view.graph import Graph
from anneal.view.history import BACKWARD, History
from anneal.view.names import assigned, variables
from anneal.view.nodes import Kernel

if TYPE_CHECKING:
    from anneal.codegen.target import Target


def stages() -> tuple[str, ...]:
    """The stages whose graphs can be shown: `tensor`, and all of the compiler's but the last, which gives text."""
    from anneal.runtime import pipeline

    return ("tensor", *(stage.name for stage in pipeline.STAGES[:-1]))


def describe(
    outputs: Sequence[UOp],
    stage: str = "tensor",
    target: Target | None = None,
    *,
    title: str = "",
    buffers: Mapping[Buffer, str] | None = None,
    names: Mapping[UOp, str] | None = None,
    modules: Mapping[UOp, str] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Graph:
    """The program that computes `outputs`, after a stage, compiled for `target` or any WebGPU device.

    What the caller knows: names of buffers and of nodes, and the modules that built nodes. Which gradient rules fired is known inside
    `anneal.trace()`. Raises UsageError for a stage that has no graph, CompileError where the target cannot run the program.
    """
    if stage not in (there := stages()):
        hint = "its result is text: plan.kernels[i].wgsl, or anneal kernels --wgsl; " if stage == "wgsl" else ""
        raise UsageError(f"no graph after the stage {stage!r}: {hint}there are {', '.join(there)}")
    with ARENA.crediting():
        ARENA.origin = None  # nothing that is made here is the user's
        program = realize.trace(outputs)
        trace, kernels = _compiled(program, stage, target)
    known = know(program, buffers=buffers, names=names, modules=modules, kinds=kinds)
    return graphs(known, _gradient_steps(), trace, kernels, title=title)[stage]


class Known(NamedTuple):
    """What a reader knows of a program, whatever becomes of it."""

    program: realize.Program
    inputs: list[str]
    """A name for each input, by slot."""
    names: dict[UOp, str]
    """What nodes of the program are called, inputs too."""
    modules: dict[UOp, str]
    """The module that built each node."""
    kinds: Mapping[str, str]
    """The class of each module, by path."""
    same: dict[UOp, UOp]
    """For each node of the graphs as they were built, the node of the program that stands for it."""


def know(
    program: realize.Program,
    *,
    buffers: Mapping[Buffer, str] | None = None,
    names: Mapping[UOp, str] | None = None,
    modules: Mapping[UOp, str] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Known:
    """What is known of a program; the caller knows names of buffers and of nodes, and the modules that built nodes."""
    same = _counterparts(program.outputs, program.sink.src)
    placed = {same[u]: path for u, path in (modules or {}).items() if u in same}
    named = {same[u]: name for u, name in (names or {}).items() if u in same}
    nodes = [u for u in toposort(program.sink) if u is not program.sink]
    named |= variables(nodes, lambda u: _path(placed.get(u), kinds or {}))
    called = input_names(program, buffers or {})
    named |= {u: called[u.arg[0]] for u in nodes if u.op is Ops.PARAM}
    return Known(program, called, named, placed, kinds or {}, same)


def graphs(known: Known, gradients: Sequence[Event], trace: Trace, kernels: Sequence[Kernel] = (), *, title: str = "") -> dict[str, Graph]:
    """The graph before all stages, as `tensor`, and that after each stage that a trace has seen, with the history of the whole compilation.

    `gradients` are the events of the gradient rules that built the program; `kernels` are what the plan says, where there is one.
    """
    program = known.program
    names = stages()[1:] if trace.snapshots else ()
    compiled = [s for s in trace.snapshots if s.stage in names]
    shared: dict[str, Any] = {"title": title, "modules": known.modules, "kinds": known.kinds}
    # What gradient rules worked on reads buffers, not parameters; in kernels such nodes are the memory that the scheduler plans.
    whole: dict[str, Any] = {"names": {**known.names, **{b.uop: name for b, name in zip(program.buffers, known.inputs, strict=True)}}}
    parts: dict[str, Any] = {"names": known.names, "kernels": kernels}
    before = History(gradients, [], [program.sink], known.same)
    first = Graph("tensor", ((program.sink,),), ensures="the program as it is written; shapes and dtypes fit", history=before, **whole, **shared)
    after = History([*gradients, *trace.events], trace.moves, [program.sink], known.same) if compiled else before
    later = {s.stage: Graph.after(s, history=after, **(whole if s.stage == names[0] else parts), **shared) for s in compiled}
    return {first.stage: first, **later}


def _path(module: str | None, kinds: Mapping[str, str]) -> tuple[str, ...]:
    """The steps from outside all modules into one. The outermost may go by its class, which is then no part of the others' names."""
    roots = tuple(path for path, kind in kinds.items() if path == kind)
    return () if module is None else roots if module in roots else (*roots, *module.split("."))


def input_names(program: realize.Program, known: Mapping[Buffer, str]) -> list[str]:
    """A name for each input of a program: one that is known, else the variable that the line which made it assigns it to."""
    nodes = toposort(program.sink)
    lines: dict[int, set[Origin | None]] = {}
    for node, readers in users(nodes).items():
        if node.op is Ops.PARAM:
            lines.setdefault(node.arg[0], set()).update(r.origin for r in readers)
    # A line that makes a buffer and computes with it names what it computes, not the buffer.
    origins = [b.uop.origin if b.uop.origin not in lines.get(slot, ()) else None for slot, b in enumerate(program.buffers)]
    own = assigned(o for o in origins if o is not None)
    made: dict[str, None] = {}  # in order
    for slot, (buffer, origin) in enumerate(zip(program.buffers, origins, strict=True)):
        name = known.get(buffer) or (origin and own.get(origin)) or f"input{slot}"
        while name in made:
            name = f"{name}.{slot}"
        made[name] = None
    return list(made)


def _compiled(program: realize.Program, stage: str, target: Target | None) -> tuple[Trace, list[Kernel]]:
    """What the compiler does, and the kernels where there are any by that stage."""
    if stage == "tensor":
        return Trace(), []
    from anneal.codegen.target import Target
    from anneal.runtime import pipeline

    target = target or Target.portable()
    with session.watching() as trace:
        if stage not in ("kernels", "lowered"):
            pipeline.compile_until(program.sink, target, stage)
            return trace, []
        plan = realize.compile_program(program, target)
    return trace, [Kernel(k.name, k.phases) for k in plan.kernels]


def _counterparts(outputs: Sequence[UOp], traced: Sequence[UOp]) -> dict[UOp, UOp]:
    """For each node of the graphs as they were built, the node of the program that stands for it."""
    found: dict[UOp, UOp] = {}
    stack = list(zip(outputs, traced, strict=True))
    while stack:
        old, new = stack.pop()
        if old not in found:
            found[old] = new
            if old.op is new.op:  # else it is in a buffer, and a parameter stands for it
                stack.extend(zip(old.src, new.src, strict=True))
    return found


def _gradient_steps() -> list[Event]:
    """The gradient rules that whoever watches has seen fire so far."""
    trace = session.watcher()
    return [] if trace is None else [e for e in trace.events if e.stage == BACKWARD]
