"""Compilations, graphs and rows as the page is told of them, against the compiler asked directly."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from asking import Asked
from counting import calls

import anneal
from anneal import Target, Tensor
from anneal.examples import EXAMPLES, program
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.rewrite import session
from anneal.tensor import realize
from anneal.viz import about, rows
from anneal.viz.state import STAGES

MLP = "from anneal.examples import EXAMPLES\nEXAMPLES['mlp']"
PARTS = ("forward", "backward", "step")


def natively(name: str, part: Any) -> realize.Program:
    """The program of an example, as `anneal kernels` has it."""
    return realize.trace([t.uop for t in program.Program(EXAMPLES[name]).outputs(part)])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_the_editors_networks_are_the_registered_ones(asked: Asked, name: str, part: str) -> None:
    asked.open(about.example(name)["source"], part=part)
    told = asked.ask("compile")
    plan = realize.compile_program(natively(name, part), Target.portable())
    assert told["fingerprint"] == plan.fingerprint
    assert [k["wgsl"] for k in told["kernels"]] == [k.wgsl for k in plan.kernels]
    assert [k["number"] for k in told["kernels"]] == list(range(len(plan.kernels)))


@pytest.mark.parametrize("name", about.EXAMPLES)
def test_every_program_of_the_editor_opens_and_compiles(asked: Asked, name: str) -> None:
    found = next(e for e in asked.ask("info")["examples"] if e["name"] == name)
    assert found["title"]
    assert found["doc"]
    assert found["source"].count('"""') >= 2
    opened = asked.open(found["source"], name=name)
    assert opened["note"] is None
    assert not [v["name"] for v in (*opened["outputs"], *opened["inputs"]) if re.fullmatch(r"input\d+", v["name"])]
    assert asked.ask("compile")["kernels"]
    nodes = asked.ask("graph", stage="tensor")
    assert {row[8] for row in nodes["rows"]} - {0}, "nodes know their lines"


def test_the_programs_of_the_editor_are_all_there() -> None:
    folder = Path(about.__file__).parent / "programs"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(about.EXAMPLES)


def test_a_compilation_is_watched_once(asked: Asked) -> None:
    asked.open(MLP)
    told = asked.ask("compile")
    first = asked.opened.compiled
    with session.watching() as trace:
        plan = realize.compile_program(natively("mlp", "step"), Target.portable())
    native = {s.stage: s for s in trace.snapshots}
    stages = {s["name"]: s for s in told["stages"]}
    assert list(stages) == [*STAGES, "wgsl"]
    for name in STAGES[2:]:
        nodes = [u for u in toposort(*itertools.chain(*native[name].graphs)) if u.op is not Ops.SINK]
        assert (stages[name]["nodes"], stages[name]["graphs"]) == (len(nodes), len(native[name].graphs))
        assert stages[name]["rewrites"] == native[name].rewrites == sum(stages[name]["fired"].values())
        assert stages[name]["fired"] == trace.fired(name)
        assert stages[name]["milliseconds"] > 0
    assert [s["name"] for s in told["stages"] if not s["changed"]] == ["tensor"]
    assert stages["backward"]["fired"]["grad_mul"] > 0
    assert stages["wgsl"]["graphs"] == len(plan.kernels)
    assert told["stats"]["uops"] == plan.stats["uops"]
    asked.ask("graph", stage="lowered")
    asked.ask("node", id=0, stage="kernels")
    assert asked.opened.compiled is first
    assert asked.ask("compile")["fingerprint"] == told["fingerprint"]
    assert asked.opened.compiled is first


def test_stages_that_change_nothing_say_so(asked: Asked) -> None:
    asked.open("from anneal import Tensor\nTensor([1.0, 2.0]).sqrt()")
    assert [s["name"] for s in asked.ask("compile")["stages"] if not s["changed"]] == ["tensor", "backward", "simplified"]


def test_a_device_of_its_own_target_is_compiled_for(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    asked.open(MLP)
    portable = asked.ask("compile")
    assert portable["target"] == Target.portable().to_dict()
    own = asked.ask("compile", target="device")
    from anneal.runtime.device import get_device

    target = get_device("reference").target
    assert own["target"] == target.to_dict()
    assert own["fingerprint"] == realize.compile_program(natively("mlp", "step"), target).fingerprint
    assert asked.ask("graph", stage="kernels")["graphs"]
    assert asked.ask("compile")["fingerprint"] == portable["fingerprint"]


@pytest.mark.parametrize("name", ["mlp", "attention", "gradient"])
def test_graphs_are_those_of_the_compiler(asked: Asked, name: str) -> None:
    asked.open(about.example(name)["source"])
    known: dict[int, Any] = {}
    for stage in STAGES:
        told = asked.ask("graph", stage=stage)
        assert told["stage"] == stage
        fresh = {row[0]: row for row in told["rows"]}
        assert not fresh.keys() & known.keys(), "a row is told once"
        known |= fresh
        graph = asked.opened.graph(stage)
        assert len(told["graphs"]) == len(graph.graphs)
        for part, roots in zip(told["graphs"], graph.graphs, strict=True):
            nodes = [u for u in toposort(*roots) if u.op is not Ops.SINK]
            assert [asked.opened.ids.uop(i) for i in part["nodes"]] == nodes
            seen: set[int] = set()
            for number, node in zip(part["nodes"], nodes, strict=True):
                row = known[number]
                assert row[1:3] == [node.op.name, node.dtype.name]
                assert [asked.opened.ids.uop(i) for i in row[4]] == list(node.src)
                assert seen >= set(row[4]), "operands come first"
                seen.add(number)
            read = {i for n in part["nodes"] for i in known[n][4]}
            assert set(part["roots"]) >= seen - read
            assert set(part["roots"]) <= seen
        assert not asked.ask("graph", stage=stage)["rows"]
    kernels = asked.ask("compile")["kernels"]
    told = asked.ask("graph", stage="kernels")
    assert [(g["kernel"], g["name"], g["phases"]) for g in told["graphs"]] == [(k["number"], k["name"], k["phases"]) for k in kernels]


def test_the_forward_pass_comes_before_what_differentiation_adds(asked: Asked) -> None:
    asked.open(MLP)
    tensor = asked.ask("graph", stage="tensor")
    rows_of = {row[0]: row for row in tensor["rows"]}
    assert {rows_of[i][6] for i in tensor["graphs"][0]["nodes"] if rows_of[i][4]} == {0}
    backward = asked.ask("graph", stage="backward")
    assert set(backward["graphs"][0]["nodes"]) > set(tensor["graphs"][0]["nodes"])
    assert {row[6] for row in backward["rows"]} >= {1, 2}
    assert backward["modules"] == {"MLP": "MLP", "hidden": "Linear", "output": "Linear", "optimizer": "SGD"}


def test_rows_say_what_a_reader_wants_to_know(asked: Asked) -> None:
    text = (
        "from anneal import Tensor\n"
        "x = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])\n"
        "rows = Tensor.arange(4).reshape(2, 2)\n"
        "y = x.sum(1) * 2\n"
        "[y, rows.permute(1, 0), x.cast(__import__('anneal').dtypes.int32)]\n"
    )
    asked.open(text)
    told = asked.ask("graph", stage="backward")["rows"]
    labels = {row[5]: row for row in told}
    assert labels["param x"][7:] == [0, 2, None, "x"]
    assert labels["const 2.0"][7] == rows.LEAF
    assert labels["sum axis 1"][3] == [2, 1]
    assert labels["mul"][7:] == [rows.RESULT, 4, None, "y"]
    assert labels["cast int32"][7] == rows.RESULT
    assert labels["permute (1, 0)"][7] == rows.RESULT
    assert labels["reshape (2, 2)"][7:] == [rows.PASSED, 3, None, "rows"]
    kernels = {row[1]: row for row in asked.ask("graph", stage="kernels")["rows"]}
    assert kernels["range"][7] == rows.LEAF
    assert kernels["store"][7] == rows.RESULT
    assert kernels["load"][7] == 0


def test_index_arithmetic_may_be_folded_and_arithmetic_on_values_may_not() -> None:
    i = anneal.Variable("i", 0, 9)
    data = Tensor([1, 2, 3]).uop
    folds = rows.Folds()
    assert folds.flag(i * 4 + 3) == rows.PASSED
    assert folds.flag((Tensor([1, 2, 3]) * 4).uop) == 0
    assert [folds.flag(u) for u in (i, data)] == [rows.LEAF, 0]


def test_hostile_names_are_text(asked: Asked) -> None:
    evil = "<img src=x onerror=alert(1)>\u2028\"'`</script>\ud800"
    text = (
        "from anneal import Tensor, nn\n"
        "from anneal.examples import Example, digits\n"
        f"evil = {evil!r}\n"
        "class Net:\n"
        "    def __init__(self):\n"
        "        setattr(self, evil, nn.Linear(64, 10))\n"
        "    def __call__(self, x):\n"
        "        return getattr(self, evil)(x)\n"
        "Net.__name__ = evil[:-1]\n"
        "print(evil)\n"
        "Example(evil, evil, Net, digits.load)\n"
    )
    opened = asked.open(text, name=evil)
    assert opened["name"] == evil
    assert evil in opened["printed"]
    assert f"{evil}.weight" in [i["name"] for i in opened["inputs"]]
    compiled = asked.ask("compile")
    assert f"{evil}.weight" in [v["name"] for k in compiled["kernels"] for v in k["inputs"]]
    graph = asked.ask("graph", stage="backward")
    assert graph["modules"][evil] == "Linear"
    assert f"param {evil}.weight"[:40] in {row[5][:40] for row in graph["rows"]}
    weight = next(row[0] for row in graph["rows"] if row[10] == f"{evil}.weight")
    assert asked.ask("node", id=weight, stage="backward")["text"]
    for what in ("graph", "plan", "wgsl"):
        saved = asked.ask("export", what=what, stage="backward")
        assert saved["text"]
        assert set(saved["name"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")


def test_twenty_thousand_nodes(asked: Asked) -> None:
    def source(turns: int) -> str:
        return f"from anneal import Tensor\nx = y = Tensor([1.0, 2.0, 3.0])\nfor i in range({turns}):\n    y = (y * 1.5 + x).sin()\ny"

    asked.open(source(7000))
    told = asked.ask("graph", stage="tensor")
    assert len(told["graphs"][0]["nodes"]) > 20_000
    assert len(told["rows"]) == len(told["graphs"][0]["nodes"])
    work = []
    for turns in (500, 2000):
        asked.open(source(turns))
        work.append(calls(lambda: asked.ask("graph", stage="tensor")))
    assert work[1] < 4.4 * work[0]
