"""A tensor graph as a document and as text.

Nodes are numbered in the order of a walk from the outputs, operands first, so the same program gives the same document.

>>> from anneal.ir import build
>>> from anneal.ir.dtype import dtypes
>>> x = build.param(0, (2, 3), dtypes.float32)
>>> document = describe(build.sink(build.reduce_axis(Ops.ADD, x, (1,))), "demo", "forward", ["x"])
>>> [(n["op"], n["name"], n["src"]) for n in document["nodes"]]
[('param', 'x', []), ('reduce_axis', None, [0])]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, Literal

from anneal.export.schema.graph import VERSION, Graph, Node, Size
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import Dim, shape, show
from anneal.ir.uop import UOp

Part = Literal["forward", "backward", "step"]


def describe(sink: UOp, model: str, part: Part, names: Sequence[str] = ()) -> Graph:
    """The document of the graph whose outputs `sink` holds, with names for its parameters by slot."""
    nodes = [u for u in toposort(sink) if u is not sink]
    ids = {u: i for i, u in enumerate(nodes)}
    return {
        "schema": "anneal.graph",
        "version": VERSION,
        "model": model,
        "part": part,
        "nodes": [_node(u, ids, names) for u in nodes],
        "outputs": [ids[u] for u in sink.src],
    }


def _node(node: UOp, ids: dict[UOp, int], names: Sequence[str]) -> Node:
    named = node.op is Ops.PARAM and node.arg[0] < len(names)
    return {
        "id": ids[node],
        "op": node.op.name,
        "dtype": node.dtype.name,
        "shape": [_dim(d) for d in shape(node)],
        "src": [ids[s] for s in node.src],
        "arg": _plain(node.arg),
        "phase": node.phase,
        "rule": node.rule,
        "origin": {"file": node.origin[0], "line": node.origin[1]} if node.origin else None,
        "name": names[node.arg[0]] if named else None,
    }


def _dim(dim: Dim) -> Size:
    return dim if isinstance(dim, int) else show((dim,)).strip("(,)")


def _plain(arg: Any) -> Any:
    """A node's arg in JSON types; a number that JSON does not have as text."""
    if isinstance(arg, tuple):
        return [_plain(a) for a in arg]
    if isinstance(arg, Op):
        return arg.name
    if isinstance(arg, UOp):
        return _dim(arg)
    return str(arg) if isinstance(arg, float) and not math.isfinite(arg) else arg


def lines(document: Graph, paint: Callable[[Sequence[str]], str], dim: Callable[[str], str]) -> list[str]:
    """The document as lines of text: node, op and operands, type, phase, the user's line."""
    nodes = document["nodes"]
    calls = [_call(n) for n in nodes]
    types = [f"{n['dtype']}({', '.join(map(str, n['shape']))})" for n in nodes]
    number, wide, typed = (max(map(len, column), default=0) for column in ([str(n["id"]) for n in nodes], calls, types))
    made = []
    for node, call, kind in zip(nodes, calls, types, strict=True):
        name = f"%{node['id']}"
        text = f"{name:>{number + 1}} = {call:<{min(wide, 60)}}  {kind:<{typed}}  {paint([node['phase']])}"
        made.append(f"{text}  {dim(_place(node))}".rstrip())
    made.append("return " + ", ".join(f"%{i}" for i in document["outputs"]))
    return made


def _call(node: Node) -> str:
    """An op with its operands, and what else tells it from others."""
    operands = [f"%{i}" for i in node["src"]]
    if node["name"] is not None:
        operands.append(node["name"])
    elif node["op"] not in ("reshape", "expand", "param", "buffer") and node["arg"] is not None:
        operands.append(_argument(node["arg"]))
    return f"{node['op']}({', '.join(operands)})"


def _argument(arg: Any) -> str:
    return "(" + ", ".join(map(_argument, arg)) + ")" if isinstance(arg, list) else str(arg)


def _place(node: Node) -> str:
    """Where a node comes from: the user's line, the gradient rule."""
    origin, rule = node["origin"], node["rule"]
    place = f"{PurePath(origin['file']).name}:{origin['line']}" if origin else ""
    return f"{place} by {rule}".strip() if rule else place
