r"""The compilation of the open program, and its graph after each stage.

>>> import asyncio
>>> from anneal.viz.opening import open_program
>>> state = State()
>>> _ = asyncio.run(open_program(state, {"source": "from anneal import Tensor\nx = Tensor([1.0, 2.0])\nx * 1 + 2"}))
>>> [(stage["name"], stage["nodes"], stage["changed"]) for stage in compile_program(state, {})["stages"]][:3]
[('tensor', 5, False), ('backward', 5, False), ('simplified', 3, True)]
>>> [row[5] for row in graph(state, {"stage": "simplified"})["rows"]]
['param x', 'const 2.0', 'add']
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from anneal.codegen.target import Target
from anneal.errors import UsageError
from anneal.export.schema.kernels import Kernel
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.rewrite.trace import Snapshot
from anneal.runtime.device import get_device
from anneal.view import graph as shown
from anneal.view.history import BACKWARD
from anneal.viz import messages
from anneal.viz.messages import GraphPart, KernelDoc, Params, StageDoc
from anneal.viz.state import STAGES, Compiled, Opened, State

TARGETS: Final = ("portable", "device")
WGSL: Final = "wgsl"


def compile_program(state: State, params: Params) -> messages.Compiled:
    """Compile for any WebGPU device, or for the one that is there."""
    from anneal.export import kernels

    opened = state.open
    target = messages.text(params, "target", TARGETS[0])
    if target not in TARGETS:
        raise UsageError(f"no target {target!r}: there are {', '.join(TARGETS)}")
    done = opened.compile_for(get_device().target if target == "device" else Target.portable())
    document = kernels.describe(done.plan.explain(opened.known.inputs, opened.output_names), opened.name, opened.part)
    return {
        "fingerprint": done.plan.fingerprint,
        "stages": stages(opened, done),
        "kernels": [_kernel(number, kernel) for number, kernel in enumerate(document["kernels"])],
        "stats": dict(done.plan.stats),
        "target": done.plan.target.to_dict(),
    }


def _kernel(number: int, kernel: Kernel) -> KernelDoc:
    return {**kernel, "number": number}


def stages(opened: Opened, done: Compiled) -> list[StageDoc]:
    """Each stage of a compilation, in order; the forward pass and what differentiation added come first."""
    snapshots = {s.stage: s for s in done.trace.snapshots}
    fired = Counter(e.rule for e in opened.built.events if e.stage == BACKWARD)
    forward, whole = (opened.graph(stage) for stage in STAGES[:2])
    added = len(whole.order) != len(forward.order)
    found = [_stage("tensor", forward.ensures, forward, 0.0, {}), _stage("backward", "the whole program, as the compiler is given it", whole, 0.0, dict(fired))]
    found[1]["changed"] = added
    previous = whole.graphs
    for name in (*STAGES[2:], WGSL):
        snapshot = snapshots[name]
        found.append(_compiled_stage(opened, done, snapshot))
        found[-1]["changed"] = name == WGSL or snapshot.graphs != previous
        previous = snapshot.graphs
    return found


def _stage(name: str, ensures: str, graph: shown.Graph, milliseconds: float, fired: dict[str, int]) -> StageDoc:
    return {
        "name": name,
        "ensures": ensures,
        "nodes": len(graph.order),
        "graphs": len(graph.graphs),
        "milliseconds": milliseconds,
        "rewrites": sum(fired.values()),
        "changed": False,
        "fired": dict(sorted(fired.items(), key=lambda row: (-row[1], row[0]))),
    }


def _compiled_stage(opened: Opened, done: Compiled, snapshot: Snapshot) -> StageDoc:
    """What a stage of the compiler did."""
    fired = done.trace.fired(snapshot.stage)
    if snapshot.stage in STAGES:
        return _stage(snapshot.stage, snapshot.ensures, opened.graph(snapshot.stage), snapshot.milliseconds, fired)
    empty = shown.Graph(snapshot.stage, ())
    return {**_stage(snapshot.stage, snapshot.ensures, empty, snapshot.milliseconds, fired), "graphs": len(done.plan.kernels)}


def graph(state: State, params: Params) -> messages.Graph:
    """The graph of a stage; rows of nodes that were told of before are left out."""
    opened = state.open
    found = opened.graph(messages.text(params, "stage"))
    parts = [_part(opened, found, number) for number in range(len(found.graphs))]
    nodes = [opened.ids.uop(i) for part in parts for i in part["nodes"]]
    return {"stage": found.stage, "ensures": found.ensures, "graphs": parts, "rows": opened.rows(nodes, found.stage), "modules": dict(found.kinds)}


def _part(opened: Opened, found: shown.Graph, number: int) -> GraphPart:
    """One graph of a stage."""
    nodes = [u for u in toposort(*found.graphs[number]) if u.op is not Ops.SINK]
    roots = found.roots(number)
    if found.stage == "lowered":
        read = {s for u in nodes for s in u.src}
        roots = tuple(u for u in roots if u not in read)
    kernel = found.kernels[number] if found.kernels else None
    return {
        "kernel": number if kernel is not None else None,
        "name": kernel.name if kernel is not None else opened.name,
        "phases": list(kernel.phases) if kernel is not None else [],
        "roots": list(dict.fromkeys(opened.numbers(roots))),
        "nodes": opened.numbers(nodes),
    }
