r"""One node of the open program: what it is, what made it, what it became; and nodes across stages.

A node has a path: its number in the walk over the stage, operands first, and its op. The same program gives the same paths in every run, so a
link can name a node by it.

>>> import asyncio
>>> from anneal.viz.opening import open_program
>>> state = State()
>>> _ = asyncio.run(open_program(state, {"source": "from anneal import Tensor\nx = Tensor([1.0, 2.0])\ny = x * 1 + 2\ny"}))
>>> [out] = state.open.numbers(state.open.graph("backward").results)
>>> told = node(state, {"id": out, "stage": "backward"})
>>> told["path"], told["name"], told["line"], locate(state, {"stage": "backward", "path": told["path"]}) == {"id": out}
('4.add', 'y', 3, True)
>>> [state.open.ids.uop(i).op.name for i in follow(state, {"id": out, "stage": "kernels"})["ids"]]
['add', 'store']
"""

from __future__ import annotations

from typing import Any, Final

from anneal.analysis.bounds import bounds
from anneal.errors import RuleError, UsageError
from anneal.export.plain import plain
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.rules import rule
from anneal.view.detail import Node, place
from anneal.view.expression import Writer
from anneal.view.graph import Graph
from anneal.view.history import LEAVES, WORDS, Step
from anneal.viz import lines, messages, rows
from anneal.viz.messages import MadeBy, NodeDoc, Params
from anneal.viz.state import Opened, State

_PARTS: Final = 16
"""Operations and leaves of an expression."""
_MOST: Final = 200
"""Readers, steps and places that are told of one node."""
_MEMORY: Final = frozenset({Ops.PARAM, Ops.BUFFER})


def node(state: State, params: Params) -> NodeDoc:
    """Everything that is known of a node, in the light of a stage."""
    opened = state.open
    graph = opened.graph(messages.text(params, "stage", "backward"))
    found = opened.ids.uop(params.get("id"))
    number = graph.numbers.get(found)
    name, writer = graph.name(found), _writer(graph)
    text = [] if number is None else Node.of(graph, number).lines()
    readers = [] if number is None else graph.readers[found][:_MOST]
    kernels, places = _ended(opened, found)
    origin = opened.origin(found)
    answer: NodeDoc = {
        "id": opened.ids.number(found),
        "title": rows.label(found, name),
        "op": found.op.name,
        "doc": found.op.doc,
        "dtype": found.dtype.name,
        "shape": rows.dims(found),
        "arg": None if found.arg is None else rows.plain(found.arg),
        "bounds": _bounds(found),
        "phase": found.phase,
        "line": rows.line(origin),
        "source": place(origin) if origin is not None else "",
        "module": graph.module(found),
        "name": name,
        "path": None if number is None else f"{number}.{found.op.name}",
        "reads": opened.numbers(found.src),
        "readers": opened.numbers(readers),
        "made": [_made(step, opened, writer) for step in graph.history.chain(found)[-_MOST:]],
        "kernels": kernels,
        "lines": places,
        "became": opened.numbers(_followed(graph, found)),
        "text": text,
        "rows": [],
    }
    told = [opened.ids.uop(i) for i in (*answer["reads"], *answer["readers"], *answer["became"], *(i for m in answer["made"] for i in m["ids"]))]
    answer["rows"] = opened.rows([found, *told], graph.stage)
    return answer


def _writer(graph: Graph) -> Writer:
    """Writes nodes of a stage by number, inputs by name."""
    return Writer({**{u: f"%{n}" for u, n in graph.numbers.items() if u.op not in LEAVES}, **graph.leaf_names}, _PARTS)


def _bounds(node: UOp) -> list[Any] | None:
    """The least and the largest value of an integer, where both are known."""
    if node.dtype.is_float:
        return None
    low, high = bounds(node)
    return None if low is None or high is None else [plain(low), plain(high)]


def _made(step: Step, opened: Opened, writer: Writer) -> MadeBy:
    """A step in words."""
    doc = WORDS.get(step.by, "")
    if step.ruled:
        try:
            doc = rule(step.by).text
        except RuleError:
            doc = ""
    texts = [writer.spelled(u) for u in (step.before, step.after)]
    return {
        "stage": step.stage, "by": step.by, "ruled": step.ruled, "doc": doc,
        "before": texts[0], "after": texts[1], "ids": opened.numbers((step.before, step.after)),
    }  # fmt: skip


def _ended(opened: Opened, node: UOp) -> tuple[list[int], list[list[int]]]:
    """The kernels that a node ended in, and the lines of their WGSL that say something of it; nothing while nothing is compiled."""
    if not opened.is_compiled or (node.op in LEAVES and node.op not in _MEMORY):
        return [], []
    inside, said = opened.once("places", lambda: _places(opened))
    if node.op in _MEMORY:
        return inside.get(node, []), []
    reached = [b for b in opened.graph("lowered").history.became(node) if b.op not in LEAVES]
    kernels = sorted({k for b in reached for k in inside.get(b, ())})
    return kernels, said.get(node, [])[:_MOST]


def _places(opened: Opened) -> tuple[dict[UOp, list[int]], dict[UOp, list[list[int]]]]:
    """For each node the kernels that it is in, and the lines that say something of it."""
    inside: dict[UOp, list[int]] = {}
    for number, graph in enumerate(opened.graph("kernels").graphs):
        for u in toposort(*graph):
            inside.setdefault(u, []).append(number)
    for number, graph in enumerate(opened.graph("lowered").graphs):
        for u in graph:
            if u.op not in LEAVES and number not in inside.setdefault(u, []):
                inside[u].append(number)
    said: dict[UOp, list[list[int]]] = {}
    for number, found in enumerate(lines.of_program(opened)):
        for at, uops in found.items():
            for u in uops:
                said.setdefault(u, []).append([number, at])
    return inside, said


def locate(state: State, params: Params) -> messages.Id:
    """The node of a path. Raises UsageError where the stage has no such node."""
    opened = state.open
    graph = opened.graph(messages.text(params, "stage"))
    path = messages.text(params, "path")
    number, _, op = path.partition(".")
    place = int(number) if number.isdecimal() and len(number) < 10 else -1
    if not 0 <= place < len(graph.order) or (op and graph.order[place].op.name != op):
        raise UsageError(f"no node {path[:40]!r} after the stage {graph.stage}: the program is another than the one that the link was made for")
    return {"id": opened.ids.number(graph.order[place])}


def follow(state: State, params: Params) -> messages.Ids:
    """What a node of any stage became in another, or came from there."""
    opened = state.open
    graph = opened.graph(messages.text(params, "stage"))
    found = _followed(graph, opened.ids.uop(params.get("id")))
    return {"ids": opened.numbers(found), "rows": opened.rows(found, graph.stage)}


def _followed(graph: Graph, node: UOp) -> list[UOp]:
    """The nodes of a stage that stand for a node: itself, what it became, or the nearest that it came from."""
    if node in graph.numbers:
        return [node]
    found = _reached(graph, node)
    for step in reversed(graph.history.chain(node) if not found else []):
        if found := [step.before] if step.before in graph.numbers else _reached(graph, step.before):
            break
    return found


def _reached(graph: Graph, node: UOp) -> list[UOp]:
    """What a node became, as far as it is in a stage; not what stands for others as well."""
    return [u for u in graph.history.became(node)[1:] if u in graph.numbers and u.op not in LEAVES][:_MOST]
