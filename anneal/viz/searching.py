r"""Search in the graph of a stage: words, and criteria such as `op:mul dtype:float32 shape:64,10 name:w rule:add_zero module:net phase:backward line:12`.

Criteria are those of `anneal graph --find`; where a value is none that there is, it is taken as a part of one. Each word is looked for in what is
known of a node, and where no node has them all, in the user's lines that built them.

>>> import asyncio
>>> from anneal.viz.opening import open_program
>>> state = State()
>>> _ = asyncio.run(open_program(state, {"source": "from anneal import Tensor\nx = Tensor([1.0, 2.0])\ny = x.relu() * 3\ny"}))
>>> [[state.open.ids.uop(i).op.name for i in find(state, {"stage": "tensor", "query": q})["ids"]] for q in ("op:mu", "line:2 x", "relu where")]
[['mul'], ['param'], ['where']]
"""

from __future__ import annotations

import re
from typing import Final

from anneal.errors import UsageError
from anneal.ir.uop import Origin, UOp
from anneal.view import find as search
from anneal.view.graph import Graph
from anneal.view.names import source_line
from anneal.viz import messages, rows
from anneal.viz.messages import Params
from anneal.viz.state import State

LINE: Final = "line"
MOST: Final = 1000
"""Letters of a query."""
_CRITERION: Final = re.compile(r"(?<!\S)(\w+)[:=](\((?:[^()]*)\)|\S+)")


def find(state: State, params: Params) -> messages.Ids:
    """The nodes that meet all of a query; raises UsageError for criteria that no node could meet."""
    opened = state.open
    graph = opened.graph(messages.text(params, "stage"))
    query = messages.text(params, "query")
    if len(query) > MOST:
        raise UsageError(f"a query of {len(query):,} letters: {MOST:,} are the most")
    criteria, words = parse(query)
    found = graph.order if criteria or words else []
    for key, value in criteria:
        found = [u for u in found if str(rows.line(opened.origin(u))) == value] if key == LINE else _meeting(graph, found, key, value)
    if words:
        texts = {u: known(graph, u) for u in found}
        named = [u for u in found if _has(texts[u], words)]
        found = named or [u for u in found if _has(f"{texts[u]} {_said(opened.origin(u))}", words)]
    return {"ids": opened.numbers(found), "rows": opened.rows(found, graph.stage)}


def parse(query: str) -> tuple[list[tuple[str, str]], list[str]]:
    """The criteria and the words of a query.

    >>> parse("op:mul shape=(64, 10) loss")
    ([('op', 'mul'), ('shape', '64x10')], ['loss'])
    """
    criteria = [(key, _shape(value) if key == "shape" else value) for key, value in _CRITERION.findall(query)]
    return criteria, _CRITERION.sub(" ", query).casefold().split()


def _shape(value: str) -> str:
    """A shape as `anneal graph --find` has it."""
    sizes = [size.strip() for size in re.split(r"[,x×]", value.strip("()[]")) if size.strip()]
    return "x".join(sizes) or "()"


def _meeting(graph: Graph, nodes: list[UOp], key: str, value: str) -> list[UOp]:
    """Those of some nodes that meet a criterion."""
    try:
        found = search.matching(graph, {key: value})
    except UsageError:
        if (partly := _partly(graph, key, value)) is None:
            raise
        found = partly
    meeting = set(found or _partly(graph, key, value) or ())
    return [u for u in nodes if u in meeting]


def _partly(graph: Graph, key: str, value: str) -> list[UOp] | None:
    """The nodes that meet a criterion by a part of the value; None where none could."""
    if key not in search.KEYS or key == "shape" or "*" in value:
        return None
    try:
        return search.matching(graph, {key: f"*{value}*"})
    except UsageError:
        return None


def known(graph: Graph, node: UOp) -> str:
    """What words are looked for in."""
    name = graph.name(node)
    maker = graph.history.maker(node)
    sizes = rows.dims(node)
    facts = (rows.label(node, name), node.op.name, node.dtype.name, f"({', '.join(map(str, sizes))}) {'x'.join(map(str, sizes))}")
    return " ".join(filter(None, (*facts, name, graph.module(node), node.rule, maker and maker.by, node.phase))).casefold()


def _said(origin: Origin | None) -> str:
    """A line of the user's program."""
    return source_line(origin).casefold() if origin is not None and rows.line(origin) else ""


def _has(text: str, words: list[str]) -> bool:
    return all(word in text for word in words)
