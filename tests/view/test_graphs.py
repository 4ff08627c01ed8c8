"""Graphs to look at: trees without recursion, each node once; drawings and pages in which text stays text; search; what Python users meet."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import anneal
from anneal import Target, Tensor, nn
from anneal.errors import AnnealError, UsageError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.tensor.graph import stages
from anneal.view import dot, find, html, tree
from anneal.view.fold import Folded
from anneal.view.graph import Graph
from anneal.view.phases import Unpainted

HOSTILE = '</pre><script>alert("x")</script>\\" ]; } // \n\t%&'


def hostile() -> Graph:
    x = build.param(0, (2, 3), dtypes.float32)
    return Graph("tensor", ((build.sink(build.alu(Ops.EXP2, x)),),), title=HOSTILE, names={x: HOSTILE})


@pytest.fixture
def softmax() -> Tensor:
    x = Tensor([[1.0, 2.0, 3.0]] * 4)
    return x.softmax(-1)


def shown(graph: Graph) -> list[int]:
    """The numbers of the nodes that have a line, in order."""
    return [int(match[1]) for line in str(graph).splitlines() if (match := re.match(r"\S [│├└ ]*%(\d+)[ :]", line))]


def test_a_deep_graph_is_shown_without_recursion_and_within_bounds() -> None:
    x = Tensor([1.0])
    for _ in range(20_000):
        x = x.sin()
    graph = x.graph()
    numbers = shown(graph)
    assert sorted(numbers) == sorted(set(numbers))
    assert len(numbers) == len(graph.order) - 1 == 20_000
    assert max(line.index("%") for line in str(graph).splitlines() if "%" in line) <= 2 + 2 * tree.DEPTH
    assert len(graph.dot().splitlines()) > 40_000
    assert len(graph._repr_html_()) < 200_000
    assert graph._repr_svg_() is None


def test_each_line_stands_once_and_shared_nodes_are_referred_to() -> None:
    x = Tensor([1.0, 2.0])
    y = x.exp()
    for _ in range(60):  # a tree that was written out would have 2**60 lines
        y = y * y
    graph = y.graph()
    assert len(shown(graph)) == len(set(shown(graph))) == 62


@pytest.mark.parametrize("stage", stages())
def test_every_node_is_on_a_line_or_folded_into_one(stage: str, softmax: Tensor) -> None:
    graph = softmax.graph(stage)
    folded = Folded(graph)
    assert set(shown(graph)) == {graph.numbers[u] for u in folded.own}
    reached = {u for own in folded.own for u in own_line(folded, own)}
    assert reached == set(graph.order)


def own_line(folded: Folded, node: object) -> list[object]:
    from anneal.ir.graph import toposort

    return [u for u in toposort(node, enter=lambda u: u is node or u not in folded.own) if u is node or u not in folded.own]  # type: ignore[arg-type]


def test_the_tree_of_a_softmax(softmax: Tensor) -> None:
    trees = [line[: line.index("  ", line.index("%"))] for line in str(softmax.graph("simplified")).splitlines() if "%" in line]
    assert trees == [
        "— %11 = %8/expand(%9)",
        "— ├ %8 = exp2(%7)",
        "— │ └ %7 = %5*LOG2E",
        "— │   └ %5 = x + %4",
        "— │     └ %4 = -expand(%1)",
        "— │       └ %1 = max(x, axis=1)",
        "— └ %9 = sum(%8, axis=1)",
    ]
    kernel = str(softmax.graph("kernels")).splitlines()
    assert kernel[2].endswith("  for r0 < 4, r1 < 3, k0 < 3")
    assert kernel[3].startswith("— %24: buffer0[r0*3 + r1] = %23 ")
    assert any("= max(%10 for k0 in range(3))" in line for line in kernel)


def test_plain_text_is_ascii_and_width_is_kept(softmax: Tensor) -> None:
    graph = softmax.graph("kernels")
    for width in (20, 40, 80):
        lines = tree.lines(graph, Unpainted(plain=True), width)
        assert all(line.isascii() for line in lines)
        assert all(len(line) <= width for line in lines if "%" in line and line[0] in "-~^")


def test_what_is_in_a_graph_stays_text() -> None:
    graph = hostile()
    page = html.page_part(graph)
    assert "<script>" not in page
    assert page.count("<pre") == page.count("</pre>") == 1
    drawn = subprocess.run(["dot", "-Tsvg"], input=graph.dot(), capture_output=True, encoding="utf-8", check=False)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert "<script" not in drawn.stdout
    svg = graph._repr_svg_()
    assert svg is not None
    assert svg.count("<ellipse") == 1


def test_a_drawing_has_a_node_for_each_line_and_an_edge_for_each_reference(softmax: Tensor) -> None:
    graph = softmax.graph()
    folded = Folded(graph)
    text = graph.dot()
    assert len(re.findall(r"^ +n\d+ \[label=.*rounded", text, re.MULTILINE)) == len(folded.own)
    assert len(re.findall(" -> ", text)) == sum(len(folded.parts(u)) + len({i for i in folded.leaves(u) if i.op in tree.INPUTS}) for u in folded.own)
    assert 'style="rounded,filled,solid"' in text


def test_phases_differ_by_line_style_and_symbol() -> None:
    w = Tensor([[1.0, 2.0]], requires_grad=True)
    w.exp().sum().backward()
    assert w.grad is not None
    text = (w.grad + w).graph().dot()
    assert "style=dashed" in text
    assert "╌ mul" in text or "╌ exp2" in text
    assert "— " in text


def test_failing_graphviz_is_reported() -> None:
    with pytest.raises(anneal.AnnealError, match="Graphviz failed"):
        dot.svg("digraph {")


def test_search_by_symbol_and_scalar() -> None:
    n = build.variable("n", 1, 8)
    x = build.param(0, (n, 3), dtypes.float32)
    graph = Graph("tensor", ((build.sink(build.alu(Ops.MUL, x, build.const(2.0, dtypes.float32))),),), names={x: "x"})
    assert [u.op.name for u in find.matching(graph, {"shape": "nx3"})] == ["param", "mul"]
    assert [u.op.name for u in find.matching(graph, {"shape": "*x3"})] == ["param", "mul"]
    assert [u.op.name for u in find.matching(graph, {"shape": "()"})] == ["const"]
    assert find.matching(graph, {"shape": "3"}) == []
    assert [n.number for n in graph.find(name="x", op="par*")] == [0]


def test_search_for_products_of_matrices() -> None:
    a, b = Tensor.ones(4, 8), Tensor.ones(8, 3)
    out = (a @ b).sum() + (a * 2).sum() + a.max()
    assert [n.uop.src[0].op for n in out.graph().find(op="matmul")] == [Ops.MUL]
    assert len(out.graph().find(op="reduce_axis")) == 4


@pytest.mark.parametrize("stage", stages())
def test_tensors_show_their_graphs(stage: str) -> None:
    net = nn.Linear(3, 2)
    out = net(Tensor([[1.0, 2.0, 3.0]])).relu()
    before = anneal.compile(out, target=Target.portable()).fingerprint
    graph = out.graph(stage)
    assert graph.stage == stage
    assert f"stage {stage}" in str(graph)
    assert repr(graph) == f"<graph after {stage}: {len(graph.order)} nodes>"
    for number in range(len(graph.order)):
        assert str(graph.node(number)).startswith(f"%{number} = ")
    assert "<details" in graph._repr_html_()
    assert anneal.compile(out, target=Target.portable()).fingerprint == before


def test_wrong_stages_and_numbers_teach() -> None:
    x = Tensor([1.0]) + 1
    with pytest.raises(UsageError, match=r"plan.kernels\[i\].wgsl"):
        x.graph("wgsl")
    with pytest.raises(UsageError, match="there are tensor, simplified"):
        x.graph("nothing")
    with pytest.raises(UsageError, match="there are 0 to 2"):
        x.graph().node(3)
    with pytest.raises(UsageError, match="there is none, for nothing is left to compute"):
        Tensor([1.0]).graph("kernels").node(0)
    with pytest.raises(UsageError, match="did you mean 'shape'"):
        x.graph().find(shap="3")


def test_looking_at_a_graph_computes_nothing_and_is_no_part_of_the_users_trace() -> None:
    x = Tensor([1.0, 2.0]) * 3
    with anneal.trace() as trace:
        x.graph("kernels")
    assert (trace.events, trace.snapshots) == ([], [])
    assert x.tolist() == [3.0, 6.0]
    assert "realised" not in str(x.graph())


@pytest.mark.parametrize("stage", stages())
def test_programs_without_kernels_and_without_elements_have_graphs_too(stage: str) -> None:
    x = Tensor([1.0, 2.0])
    for graph in (x.graph(stage), Tensor.zeros(0, 3).graph(stage)):
        assert graph.stage == stage
        assert f"stage {stage}" in str(graph)
        assert "digraph" in graph.dot()
    if stage == "tensor":
        assert "%0 = x  " in str(x.graph())


def test_a_graphviz_that_fails_leaves_a_notebook_without_a_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "dot"
    broken.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    graph = Tensor([1.0]).graph()
    assert graph._repr_svg_() is None
    with pytest.raises(AnnealError, match="Graphviz failed"):
        graph.svg()
