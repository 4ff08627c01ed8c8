"""Documents: what they say is what the graph and the plan hold, and the schema rejects what is something else."""

from __future__ import annotations

import json

import pytest

from anneal import Tensor
from anneal.errors import ParseError
from anneal.export import graph
from anneal.export.schema.check import check
from anneal.export.schema.graph import Graph
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.view import graph as shown


def document() -> Graph:
    x = build.param(0, (2, 3), dtypes.float32)
    filled = build.pad(x, ((0, 0), (1, 1)), float("-inf"))
    sink = build.sink(build.reduce_axis(Ops.MAX, filled, (1,)), x)
    return graph.describe(shown.Graph("tensor", ((sink,),), names={x: "x"}), "demo", "forward")


def test_a_graph_says_what_its_nodes_are() -> None:
    made = document()
    check(made, Graph)
    ops = {n["op"]: n for n in made["nodes"]}
    assert ops["param"]["name"] == "x"
    assert ops["const"]["arg"] == "-Infinity"
    assert ops["reduce_axis"]["arg"] == ["max", [1]]
    assert ops["pad"]["shape"] == [2, 5]
    assert made["outputs"] == [ops["reduce_axis"]["id"], ops["param"]["id"]]
    json.dumps(made, allow_nan=False)


def test_symbols_are_shown_by_name() -> None:
    n = build.variable("n", 1, 8)
    made = graph.describe(shown.Graph("tensor", ((build.sink(build.param(0, (n, 3), dtypes.float32)),),)), "demo", "forward")
    assert made["nodes"][0]["shape"] == ["n", 3]
    check(made, Graph)


def test_a_deep_graph_is_described_without_recursion() -> None:
    x = Tensor([1.0])
    for _ in range(20_000):
        x = x + 1.5
    made = graph.describe(x.graph(), "deep", "forward")
    assert len(made["nodes"]) == 20_002
    check(made, Graph)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "1"}, "version: expected int, found '1'"),
        ({"version": True}, "version: expected int, found True"),
        ({"schema": "anneal.kernels"}, "schema: expected"),
        ({"outputs": [0, "1"]}, r"outputs\[1\]: expected int"),
        ({"nodes": [3]}, r"nodes\[0\] is 3: expected Node"),
        ({"nodes": [{"id": 0}]}, r"nodes\[0\] lacks arg, bounds"),
        ({"nodes": None}, "nodes: expected"),
    ],
)
def test_the_schema_rejects_what_is_something_else(change: dict[str, object], said: str) -> None:
    with pytest.raises(ParseError, match=said):
        check({**document(), **change}, Graph)
    with pytest.raises(ParseError, match="the document is 3"):
        check(3, Graph)
