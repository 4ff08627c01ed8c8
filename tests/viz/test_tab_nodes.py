"""What the page is told of a node, where it goes, how it is found, and what is saved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from asking import Asked

from anneal import Plan, Target, rules
from anneal.examples import EXAMPLES, program
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.nn import modules
from anneal.rewrite import session
from anneal.viz import about
from anneal.viz.state import STAGES

MLP = "from anneal.examples import EXAMPLES\nEXAMPLES['mlp']"
ATTENTION = about.example("attention")["source"]
SMALL = "from anneal import Tensor\n\nx = Tensor([[1.0, 2.0], [3.0, 4.0]])\ny = x.exp() * 1\ntotal = y.sum() + 0\ntotal\n"


@pytest.fixture(scope="module")
def mlp() -> Iterator[Asked]:
    """A tab in which the training step of the mlp is compiled."""
    with asyncio.Runner() as runner:
        tab = Asked(runner)
        tab.open(MLP)
        tab.ask("compile")
        yield tab
        tab.open("from anneal import Tensor\nTensor([1.0])")


def ids(asked: Asked, stage: str, query: str) -> list[int]:
    found: list[int] = asked.ask("find", stage=stage, query=query)["ids"]
    return found


def test_a_node_is_explained(asked: Asked) -> None:
    asked.open(SMALL)
    asked.ask("compile")
    [exp] = ids(asked, "simplified", "op:exp2")
    told = asked.ask("node", id=exp, stage="simplified")
    assert (told["op"], told["dtype"], told["shape"], told["phase"], told["line"]) == ("exp2", "float32", [2, 2], "forward", 4)
    assert told["doc"] == "2 to the power x"
    assert told["source"] == "program.py:4: y = x.exp() * 1"
    assert told["name"] == "y"
    assert told["bounds"] is None
    [mul] = told["reads"]
    assert asked.opened.ids.uop(mul).op is Ops.MUL
    [reduced] = told["readers"]
    assert asked.opened.ids.uop(reduced).op is Ops.REDUCE_AXIS
    assert told["kernels"] == [0]
    lines = asked.ask("compile")["kernels"][0]["wgsl"].splitlines()
    assert told["lines"]
    assert all("exp2" in lines[at - 1] for _, at in told["lines"])
    assert told["text"][0].endswith("exp2(%2)")
    assert told["became"] == [exp]


def test_what_rules_made_says_which(asked: Asked) -> None:
    asked.open(MLP)
    asked.ask("compile")
    graph = asked.ask("graph", stage="lowered")
    row = next(r for r in graph["rows"] if r[1] == "add" and r[2] == "float32")
    told = asked.ask("node", id=row[0], stage="lowered")
    assert {step["stage"] for step in told["made"]} >= {"lowered"}
    assert all(len(step["ids"]) == 2 and step["before"] and step["after"] for step in told["made"])
    ruled = [(s, m) for i in ids(asked, "simplified", "rule:mul_one") for m in asked.ask("node", id=i, stage="simplified")["made"] for s in [m["by"]]]
    assert ("mul_one" in [s for s, _ in ruled]) == bool(ruled)
    gradient = ids(asked, "backward", "rule:grad_mul")
    assert gradient
    made = asked.ask("node", id=gradient[0], stage="backward")["made"]
    assert (made[-1]["by"], made[-1]["ruled"], made[-1]["stage"]) == ("grad_mul", True, "backward")
    assert made[-1]["doc"] == asked.ask("info")["rules"]["grad_mul"]["text"]


def test_history_and_names_are_those_of_anneal_graph(asked: Asked) -> None:
    asked.open(MLP)
    asked.ask("compile")
    with session.watching(), modules.watching() as seen:
        made = program.Program(EXAMPLES["mlp"])
        outputs, names = made.outputs("step"), made.names()
        for stage in ("tensor", "simplified"):
            native = program.graph_of(outputs, names, seen, stage=stage, target=Target.portable())
            shown = asked.opened.graph("backward" if stage == "tensor" else stage)
            assert [(u.op, shown.name(u), shown.module(u)) for u in shown.order] == [(u.op, native.name(u), native.module(u)) for u in native.order]
            assert [[s.by for s in shown.history.chain(u)] for u in shown.order] == [[s.by for s in native.history.chain(u)] for u in native.order]


@pytest.mark.parametrize("stage", STAGES)
def test_paths_name_nodes_in_every_run(asked: Asked, stage: str) -> None:
    asked.open(ATTENTION)
    nodes = [i for part in asked.ask("graph", stage=stage)["graphs"] for i in part["nodes"]]
    paths = {}
    for i in nodes[:: max(1, len(nodes) // 25)]:
        told = asked.ask("node", id=i, stage=stage)
        assert asked.ask("locate", stage=stage, path=told["path"]) == {"id": i}
        paths[told["path"]] = told["title"]
    assert len(paths) > 20
    asked.open("from anneal import Tensor\nTensor([1.0])")
    assert "the program is another" in asked.refused("locate", stage=stage, path=list(paths)[-1])["message"]
    asked.open(ATTENTION)
    for path, title in paths.items():
        found = asked.ask("locate", stage=stage, path=path)["id"]
        assert asked.ask("node", id=found, stage=stage)["title"] == title
    number = next(iter(paths)).split(".")[0]
    assert asked.refused("locate", stage=stage, path=f"{number}.nothing")["kind"] == "UsageError"


def test_nodes_are_followed_through_the_stages(asked: Asked) -> None:
    asked.open(SMALL)
    asked.ask("compile")
    [y] = ids(asked, "tensor", "name:y")
    [one] = asked.ask("follow", id=y, stage="simplified")["ids"]
    assert asked.opened.ids.uop(one).op is Ops.EXP2
    inside = asked.ask("follow", id=y, stage="kernels")
    assert "exp2" in {asked.opened.ids.uop(i).op.name for i in inside["ids"]}
    last = [i for i in asked.ask("follow", id=y, stage="lowered")["ids"] if asked.opened.ids.uop(i).op is Ops.EXP2]
    assert last
    back = asked.ask("follow", id=last[0], stage="simplified")["ids"]
    assert back == [one]
    assert asked.ask("follow", id=one, stage="simplified")["ids"] == [one]


def test_every_kernel_node_comes_from_the_program(asked: Asked) -> None:
    asked.open(MLP)
    asked.ask("compile")
    rows = {r[0]: r for s in STAGES for r in asked.ask("graph", stage=s)["rows"]}
    stores = [i for part in asked.ask("graph", stage="kernels")["graphs"] for i in part["roots"]]
    for i in stores:
        assert rows[i][1] == "store"
        assert asked.ask("follow", id=i, stage="simplified")["ids"], "a store comes from a value"
    loss = ids(asked, "backward", "name:loss")[-1]
    assert asked.ask("node", id=loss, stage="backward")["kernels"]


def test_a_node_knows_its_kernels(asked: Asked) -> None:
    asked.open(MLP)
    asked.ask("compile")
    for name, kernel in (("hidden.weight", "inputs"), ("labels", "inputs")):
        [param] = ids(asked, "backward", f"op:param name:{name}")
        told = asked.ask("node", id=param, stage="backward")["kernels"]
        kernels = asked.ask("compile")["kernels"]
        assert told == [k["number"] for k in kernels if name in [v["name"] for v in k[kernel]]]
    asked.open(MLP)
    [param] = ids(asked, "backward", "op:param name:labels")
    assert asked.ask("node", id=param, stage="backward")["kernels"] == [], "nothing is compiled yet"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("op:mul", lambda u, g: u.op is Ops.MUL),
        ("op=mul dtype=float32", lambda u, g: u.op is Ops.MUL and u.dtype.name == "float32"),
        ("shape:64,10", lambda u, g: _dims(u) == (64, 10)),
        ("shape:(64, 10) op:add", lambda u, g: _dims(u) == (64, 10) and u.op is Ops.ADD),
        ("shape:64x*", lambda u, g: len(_dims(u)) == 2 and _dims(u)[0] == 64),
        ("phase:update", lambda u, g: u.phase == "update"),
        ("phase:upd", lambda u, g: u.phase == "update"),
        ("op:reduce", lambda u, g: u.op is Ops.REDUCE_AXIS),
        ("module:hidden", lambda u, g: g.module(u) == "hidden"),
        ("name:velocity", lambda u, g: "velocity" in (g.name(u) or "")),
        ("name:hidden.weight", lambda u, g: g.name(u) == "hidden.weight"),
        ("rule:grad_mul", lambda u, g: u.rule == "grad_mul" or ((m := g.history.maker(u)) is not None and m.by == "grad_mul")),
        ("VELOCITY param", lambda u, g: u.op is Ops.PARAM and "velocity" in (g.name(u) or "")),
        ("hidden.weight phase:forward", lambda u, g: u.phase == "forward" and "hidden.weight" in (g.name(u) or "")),
    ],
)
def test_queries_find_what_they_say(mlp: Asked, query: str, expected: Any) -> None:
    graph = mlp.opened.graph("backward")
    wanted = [mlp.opened.ids.number(u) for u in graph.order if expected(u, graph)]
    assert wanted
    assert ids(mlp, "backward", query) == wanted


def _dims(node: Any) -> tuple[Any, ...]:
    from anneal.ir.shape import shape

    return tuple(shape(node))


def test_queries_know_the_users_lines(asked: Asked) -> None:
    asked.open(SMALL)
    assert {asked.opened.origin(asked.opened.ids.uop(i)) for i in ids(asked, "tensor", "line:4")} == {("program.py", 4)}
    assert [asked.opened.ids.uop(i).op.name for i in ids(asked, "tensor", "line:3")] == ["param"]
    assert ids(asked, "tensor", "total reduce_axis")
    assert ids(asked, "tensor", "exp2 y"), "a word of the line, where no node has it of itself"
    assert ids(asked, "tensor", "") == ids(asked, "tensor", "zebra") == ids(asked, "tensor", "line:99") == []
    assert "did you mean 'op'?" in asked.refused("find", stage="tensor", query="opp:mul")["message"]


def test_saved_files_can_be_read_again(asked: Asked) -> None:
    asked.open(SMALL, name="my net.py:f")
    fingerprint = asked.ask("compile")["fingerprint"]
    plan = asked.ask("export", what="plan")
    assert plan["name"] == "my-net.py-f-plan.json"
    assert Plan.from_json(plan["text"]).fingerprint == fingerprint
    wgsl = asked.ask("export", what="wgsl")
    assert all(k["wgsl"] in wgsl["text"] for k in asked.ask("compile")["kernels"])
    for stage in STAGES:
        saved = asked.ask("export", what="graph", stage=stage)
        document = json.loads(saved["text"])
        assert (document["schema"], document["stage"], saved["name"]) == ("anneal.graph", stage, f"my-net.py-f-{stage}.json")
        nodes = [u for u in toposort(*(r for g in asked.opened.graph(stage).graphs for r in g)) if u.op is not Ops.SINK]
        assert [n["op"] for n in document["nodes"]] == [u.op.name for u in nodes]


def test_a_tab_without_a_device_says_what_to_do(asked: Asked) -> None:
    tab = Asked(asked.runner, no_device="this browser has no WebGPU: take another one")
    told = tab.ask("info")["device"]
    assert told == {"available": False, "description": "", "message": "This browser has no WebGPU.", "remedy": "Take another one.", "features": []}
    tab.open(SMALL)
    assert tab.ask("compile")["kernels"]
    failure = tab.refused("run")
    assert failure["kind"] == "NoDeviceError"
    assert "Everything but running still works" in failure["hint"]


def test_what_is_told_of_the_package(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    told = Asked(asked.runner, source_hash="abc").ask("info")
    assert told["source_hash"] == "abc"
    assert told["rules"].keys() >= set(rules.NAMES) | set(rules.GRADIENT_NAMES.values()) | {"accumulate", "unbroadcast"}
    assert told["ops"]["mul"] == Ops.MUL.doc
    assert told["device"]["available"] is True
    assert [e["name"] for e in told["examples"]][:2] == ["mlp", "conv"]
