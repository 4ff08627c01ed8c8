"""Which nodes each line of a kernel's WGSL says: its instructions, and the nodes of earlier stages that these came from.

The instructions are told by the writer of WGSL itself; the rest is read from the history of the compilation, so nothing is guessed. A line that
no instruction asks for alone, such as a helper function's, has no nodes.

>>> import anneal
>>> from anneal.tensor import graph, realize
>>> with anneal.trace() as trace:
...     program = realize.trace([(anneal.Tensor([1.0, 2.0]) + 1).uop])
...     plan = realize.compile_program(program, anneal.Target.portable())
>>> known = graph.graphs(graph.know(program), [], trace, [])
>>> [said] = nodes_of_lines(trace.snapshots, known["lowered"].history)
>>> text = plan.kernels[0].wgsl.splitlines()
>>> text[-2], [u.op.name for u in said[len(text) - 1][:6]]
('  data0[r0] = data1[r0] + 1.0;', ['store', 'param', 'add', 'load', 'param', 'add'])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict

from anneal.errors import UsageError, number_of
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.rewrite.trace import Snapshot
from anneal.view.history import LEAVES, History
from anneal.viz.messages import is_whole
from anneal.viz.state import STAGES, Opened, State

EARLIER: Final = ("tensor", "simplified", "kernels")
"""The stages whose nodes are told besides instructions."""


class Lines(TypedDict):
    """The lines of one kernel."""

    lines: list[tuple[int, list[int]]]
    """Line number, from 1, and the ids of its nodes: instructions first, in the order of writing, then nodes of earlier stages."""
    stages: dict[str, list[int]]
    """Which of those nodes the graph after each stage has."""


def nodes_of_lines(snapshots: Sequence[Snapshot], history: History) -> list[dict[int, list[UOp]]]:
    """For each kernel of a compilation that came to its end, the nodes that each line says, by line number from 1; lines without nodes are left out."""
    last = {s.stage: s for s in snapshots}
    found = [{at: dict.fromkeys(uops) for at, uops in enumerate(lines, 1) if uops} for lines in last["wgsl"].lines]
    places: list[dict[UOp, list[int]]] = []
    for said in found:
        places.append({})
        for at, uops in said.items():
            for u in uops:
                places[-1].setdefault(u, []).append(at)
    bodies = [_nodes(roots) for roots in last[EARLIER[2]].graphs]
    homes: dict[UOp, list[int]] = {}
    for number, body in enumerate(bodies):
        for u in body:
            if u.dtype is not dtypes.index:  # which element is read looks the same in many kernels
                homes.setdefault(u, []).append(number)
    whole = _nodes(root for stage in EARLIER[:2] for roots in last[stage].graphs for root in roots)
    for node in whole:
        targets = _targets(node, history)
        _place(node, targets, {number for u in targets for number in homes.get(u, ())}, places, found)
    for number, body in enumerate(bodies):
        for node in body:
            _place(node, _targets(node, history), {number}, places, found)
    return [{at: list(uops) for at, uops in said.items()} for said in found]


def _place(
    node: UOp, targets: Iterable[UOp], kernels: Iterable[int], places: Sequence[Mapping[UOp, list[int]]], found: Sequence[dict[int, dict[UOp, None]]]
) -> None:
    """Put a node on the lines of some kernels that say what it became."""
    for number in kernels:
        for at in {at for u in targets for at in places[number].get(u, ())}:
            found[number][at][node] = None


def _nodes(roots: Iterable[UOp]) -> list[UOp]:
    return [u for u in toposort(*roots) if u.op is not Ops.SINK]


def _targets(node: UOp, history: History) -> list[UOp]:
    """What a node became, apart from leaves, which are written wherever they are read."""
    return [] if node.op in LEAVES else [u for u in history.became(node) if u.op not in LEAVES]


def of_program(opened: Opened) -> list[dict[int, list[UOp]]]:
    """The nodes of each line, for every kernel of a program."""
    return opened.once("lines", lambda: nodes_of_lines(opened.compiled.trace.snapshots, opened.graph("lowered").history))


def kernel_number(opened: Opened, value: object) -> int:
    """A kernel's place in the plan, as a request has it; raises UsageError where there is no such kernel."""
    count = len(opened.compiled.plan.kernels)
    if not is_whole(value, 0, count - 1):
        raise UsageError(f"no kernel {value!r}: the program has {number_of(count, 'kernel')}, numbered from 0")
    return value


def lines(state: State, params: Mapping[str, Any]) -> Lines:
    """Answer `lines {kernel}`."""
    opened = state.open
    said = of_program(opened)[kernel_number(opened, params.get("kernel"))]
    nodes = list(dict.fromkeys(u for uops in said.values() for u in uops))
    there = {stage: [u for u in nodes if u in opened.graph(stage).numbers] for stage in STAGES}
    return {"lines": [(at, opened.numbers(uops)) for at, uops in said.items()], "stages": {stage: opened.numbers(uops) for stage, uops in there.items()}}
