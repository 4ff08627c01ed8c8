"""A graph after a stage as a document: its nodes, what they were made from, and what rules did.

Nodes are numbered in the order of a walk from the outputs, operands first, so the same program gives the same document.

>>> from anneal.ir import build
>>> from anneal.ir.dtype import dtypes
>>> x = build.param(0, (2, 3), dtypes.float32)
>>> document = describe(shown.Graph("tensor", ((build.sink(build.reduce_axis(Ops.ADD, x, (1,))),),), names={x: "x"}), "demo", "forward")
>>> [(n["op"], n["name"], n["src"]) for n in document["nodes"]]
[('param', 'x', []), ('reduce_axis', None, [0])]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from anneal.analysis.bounds import bounds
from anneal.export.plain import plain
from anneal.export.schema.graph import VERSION, Graph, Made, Node, Number, Part, Rewrite, Size
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import Dim, shape, show
from anneal.ir.uop import UOp
from anneal.view import graph as shown
from anneal.view.history import Step


def describe(graph: shown.Graph, model: str, part: Part, selected: Sequence[int] | None = None) -> Graph:
    """The document of a graph."""
    rewrites = [s for s in graph.history.steps if s.stage == graph.stage]
    past = _past(graph, rewrites)
    ids = {**graph.numbers, **past}
    return {
        "schema": "anneal.graph",
        "version": VERSION,
        "model": model,
        "part": part,
        "stage": graph.stage,
        "ensures": graph.ensures,
        "nodes": [_node(graph, u, ids) for u in graph.order],
        "past": [_node(graph, u, ids) for u in past],
        "outputs": [ids[u] for u in graph.results],
        "kernels": [{"name": k.name, "phases": list(k.phases), "roots": [ids[u] for u in graph.roots(i)]} for i, k in enumerate(graph.kernels)],
        "modules": graph.kinds,
        "rewrites": [_rewrite(s, ids) for s in rewrites],
        "selected": None if selected is None else list(selected),
    }


def _past(graph: shown.Graph, rewrites: Iterable[Step]) -> dict[UOp, int]:
    """The nodes that are gone by the stage but are told of, with numbers that go on from those of the stage."""
    told: dict[UOp, None] = {}
    waiting = [*graph.order, *(u for s in rewrites for u in (s.before, s.after))]
    while waiting:
        found = [u for u in toposort(*waiting, enter=lambda u: u not in told) if u not in told and u.op is not Ops.SINK]
        told.update(dict.fromkeys(found))
        waiting = [u for node in found if (step := graph.history.maker(node)) is not None for u in (step.before, step.after) if u not in told]
    first = len(graph.order)
    return {u: first + i for i, u in enumerate(u for u in toposort(*told) if u not in graph.numbers and u.op is not Ops.SINK)}


def _node(graph: shown.Graph, node: UOp, ids: dict[UOp, int]) -> Node:
    step = graph.history.maker(node)
    return {
        "id": ids[node],
        "op": node.op.name,
        "dtype": node.dtype.name,
        "shape": [_dim(d) for d in shape(node)],
        "src": [ids[s] for s in node.src],
        "arg": _arg(node.arg),
        "phase": node.phase,
        "rule": node.rule,
        "origin": {"file": node.origin[0], "line": node.origin[1]} if node.origin else None,
        "name": graph.name(node),
        "module": graph.module(node),
        "bounds": _bounds(node),
        "made": None if step is None else _made(step, ids),
    }


def _made(step: Step, ids: dict[UOp, int]) -> Made:
    return {"stage": step.stage, "by": step.by, "rule": step.ruled, "source": ids[step.before], "result": ids[step.after]}


def _rewrite(step: Step, ids: dict[UOp, int]) -> Rewrite:
    return {"rule": step.by, "before": ids[step.before], "after": ids[step.after]}


def _bounds(node: UOp) -> list[Number] | None:
    if node.dtype.is_float:
        return None
    low, high = bounds(node)
    return None if low is None or high is None else [low, high]


def _dim(dim: Dim) -> Size:
    return dim if isinstance(dim, int) else show((dim,)).strip("(,)")


def _arg(arg: Any) -> Any:
    """A node's arg in JSON types."""
    if isinstance(arg, tuple):
        return [_arg(a) for a in arg]
    if isinstance(arg, Op):
        return arg.name
    if isinstance(arg, UOp):
        return _dim(arg)
    return plain(arg)
