"""`anneal graph`: the tree, the drawing, the search and the document are of the real program, and bad input is answered."""

from __future__ import annotations

import graphlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from anneal.cli.graph import build
from anneal.cli.main import main, parser_of
from anneal.examples import EXAMPLES
from anneal.export.schema.check import check
from anneal.export.schema.graph import Graph
from anneal.tensor.graph import stages
from anneal.view import find

Run = Callable[..., Any]
PARTS = {"forward": [], "backward": ["--backward"], "step": ["--step"]}
PARAMETERS = {"mlp": ("hidden.weight", "hidden.bias", "output.weight", "output.bias"), "conv": ("first.weight", "second.bias", "output.weight")}


def text(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main(["graph", *argv]) == code
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    made = json.loads(text(capsys, *argv, "--json", code=code))
    check(made, Graph)
    return made


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["graph", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err


@pytest.mark.parametrize("model", EXAMPLES)
@pytest.mark.parametrize("part", PARTS)
def test_a_graph_is_whole_and_in_order(model: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = document(capsys, model, *PARTS[part])
    nodes = made["nodes"]
    assert (made["part"], made["stage"], made["past"], made["rewrites"]) == (part, "tensor", made["past"], [])
    assert [n["id"] for n in nodes] == list(range(len(nodes)))
    assert all(s < n["id"] for n in nodes for s in n["src"])
    used = {s for n in nodes for s in n["src"]} | set(made["outputs"])
    assert used == set(range(len(nodes)))
    assert {n["name"] for n in nodes if n["op"] == "param"} >= {"inputs", "batch", *PARAMETERS[model]}
    assert f"{model}.py" in {Path(n["origin"]["file"]).name for n in nodes if n["origin"]}
    rules = {n["rule"] for n in nodes if n["phase"] == "backward"}
    assert bool(rules - {None}) is (part != "forward")


def below(nodes: dict[int, Any], root: int) -> set[int]:
    found, stack = set(), [root]
    while stack:
        if (at := stack.pop()) not in found:
            found.add(at)
            stack += nodes[at]["src"]
    return found


@pytest.mark.parametrize(("model", "stage"), [("conv", "simplified"), ("mlp", "kernels"), ("mlp", "lowered")])
def test_every_node_leads_back_to_the_users_program(model: str, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    part = [] if stage == "lowered" else ["--step"]
    made = document(capsys, model, *part, "--stage", stage)
    nodes = {n["id"]: n for n in (*made["nodes"], *made["past"])}
    assert list(nodes) == list(range(len(nodes)))
    sources = {n["id"]: n["made"]["source"] for n in nodes.values() if n["made"]}
    order = list(graphlib.TopologicalSorter({i: [s] for i, s in sources.items()}).static_order())  # raises where a node leads back to itself
    assert set(sources) <= set(order)
    kept = {result: below(nodes, result) for result in {n["made"]["result"] for n in made["nodes"] if n["made"]}}
    assert all(n["id"] in kept[n["made"]["result"]] for n in made["nodes"] if n["made"])
    assert {n["made"]["stage"] for n in made["nodes"] if n["made"]} <= {"backward", *stages()[1 : stages().index(stage) + 1]}
    assert bool(made["kernels"]) is (stage != "simplified")
    assert made["rewrites"]


def test_the_tree_of_a_training_step_names_every_parameter_and_module_once(capsys: pytest.CaptureFixture[str]) -> None:
    shown = text(capsys, "mlp", "--step")
    for name in (*PARAMETERS["mlp"], "inputs", "labels", "optimizer.lr", "optimizer.velocity.0"):
        assert name in shown
    heads = [line for line in shown.splitlines() if line[:2].strip() and "%" not in line][1:-1]
    assert heads == [
        "— forward  before the model",
        "— forward  hidden: Linear",
        "— forward  MLP",
        "— forward  output: Linear",
        "— forward  after the model",
        "╌ backward  outside the model",
        "╌ backward  output: Linear",
        "╌ backward  MLP",
        "╌ backward  hidden: Linear",
        "↻ update  optimizer: SGD",
    ]
    made = document(capsys, "mlp", "--step")
    assert shown.splitlines()[-1].startswith(f"{len(made['nodes'])} nodes (— ")
    lines = [line.split("%", 1)[1].split(" ", 1)[0] for line in shown.splitlines() if "%" in line]
    assert len(lines) == len(set(lines)) < len(made["nodes"]) / 1.5
    assert any(line.endswith("hidden.weight.grad  program.py:68") or "hidden.weight.grad" in line for line in shown.splitlines())
    assert "loss  → output 0" in shown


def test_every_reference_in_the_tree_is_shown_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    import re

    for argv in (["conv", "--step"], ["conv", "--step", "--stage", "simplified"], ["conv", "--stage", "kernels"], ["mlp", "--stage", "lowered"]):
        shown = text(capsys, *argv, "--plain")
        assert shown.isascii()
        lines = [line for line in shown.splitlines() if "%" in line]
        defined = {match[1] for line in lines if (match := re.search(r"%(\d+)(?: =|:)", line))}
        assert {n for line in lines for n in re.findall(r"%(\d+)", line)} <= defined


def test_the_list_has_a_line_for_each_node(capsys: pytest.CaptureFixture[str]) -> None:
    made = document(capsys, "mlp", "--step")
    lines = text(capsys, "mlp", "--step", "--list").splitlines()
    assert [line.split()[1] for line in lines[1:-1]] == [f"%{n['id']}" for n in made["nodes"]]


def test_kernels_are_trees_of_their_own_with_the_phases_of_what_they_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", "mlp", "--step", "--json"]) == 0
    kernels = json.loads(capsys.readouterr().out)["kernels"]
    made = document(capsys, "mlp", "--step", "--stage", "kernels")
    assert [k["name"] for k in made["kernels"]] == [k["name"] for k in kernels]
    ops = {n["id"]: n["op"] for n in made["nodes"]}
    assert {ops[root] for k in made["kernels"] for root in k["roots"]} == {"store"}
    shown = text(capsys, "mlp", "--step", "--stage", "kernels")
    for number, kernel in enumerate(kernels):
        assert f"kernel {number}: {kernel['name']}  for " in shown
    assert "▪ forward+backward" in shown


def test_search_finds_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    made = document(capsys, "mlp", "--step", "--find", "op=reduce_axis")
    every = made["nodes"]
    assert [n["id"] for n in every if n["op"] == "reduce_axis"] == made["selected"]
    graph = build(parser_of("graph").parse_args(["mlp", "--step"]))[1]

    def found(criteria: str) -> list[Any]:
        return [every[n.number] for n in graph.find(**find.parse(criteria))]

    assert len(found("op=matmul")) == 5
    assert {tuple(n["shape"]) for n in found("op=matmul,phase=forward")} == {(64, 128, 1), (64, 10, 1)}
    assert found("shape=64x*,dtype=float32,phase=backward") == [
        n for n in every if len(n["shape"]) == 2 and n["shape"][0] == 64 and n["dtype"] == "float32" and n["phase"] == "backward"
    ]
    assert found("shape=()") == [n for n in every if n["shape"] == []]
    assert [n["name"] for n in found("op=param,name=hidden.*")] == ["hidden.weight", "hidden.bias"]
    assert {n["rule"] for n in found("rule=grad_e*")} == {"grad_exp2", "grad_expand"}
    assert {n["phase"] for n in found("module=output")} == {"forward", "backward"}
    assert found("op=sin") == []


TWO = """
from anneal import Tensor, nn
from anneal.examples import Data, Example

class Two:
    def __init__(self):
        self.tokens, self.places = nn.Embedding(9, 4), nn.Embedding(6, 4)
        self.convs = [nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)]
        self.norms = [nn.BatchNorm2d(4), nn.BatchNorm2d(4)]
        self.head = nn.Linear(4, 3)

    def __call__(self, x):
        x = (self.tokens(x) + self.places(Tensor.arange(6))).reshape(6, 2, 3, 4).permute(0, 3, 1, 2)
        for conv, norm in zip(self.convs, self.norms):
            x = norm(conv(x))
        return self.head(x.mean((2, 3)))

def data():
    return Data(Tensor.randint(12, 6, high=9), Tensor.randint(12, high=3), Tensor.randint(6, 6, high=9), Tensor.randint(6, high=3))

def two():
    return Example("two", "", Two, data, batch=6)
"""


def test_modules_stand_in_the_order_they_are_called_in(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Also where a module assigns statistics, which come last, and where one builds the same indices as the batch has."""
    (tmp_path / "mine.py").write_text(TWO, encoding="utf-8")
    shown = text(capsys, f"{tmp_path}/mine.py:two", "--step")
    heads = [line[2:].removeprefix("forward").strip() for line in shown.splitlines() if line.startswith("— forward")]
    chain = ["convs.0: Conv2d", "norms.0: BatchNorm2d", "convs.1: Conv2d", "norms.1: BatchNorm2d"]
    assert heads == ["before the model", "tokens: Embedding", "places: Embedding", *chain, "Two", "head: Linear", "after the model"]
    after = shown.split("after the model")[1].split("╌ backward")[0]
    assert "inputs[" not in after
    assert "=> output 0" in after or "→ output 0" in after


def test_nothing_found_is_said_with_exit_1(anneal: Run) -> None:
    done = anneal("graph", "mlp", "--find", "op=sin")
    assert (done.code, done.out) == (1, "")
    assert "no node of mlp" in done.err
    assert "op=sin" in done.err


def test_a_node_tells_its_history_back_to_the_users_line(capsys: pytest.CaptureFixture[str]) -> None:
    made = document(capsys, "mlp", "--step", "--stage", "simplified")
    node = next(n for n in made["nodes"] if n["made"] and n["made"]["rule"] and n["made"]["stage"] == "simplified")
    shown = text(capsys, "mlp", "--step", "--stage", "simplified", "--node", str(node["id"]))
    assert shown.startswith(f"%{node['id']} = ")
    assert f"simplified: {node['made']['by']}" in shown
    assert "self.example.loss(self.model(inputs), labels)" in shown or "hidden = self.hidden(x).relu()" in shown
    assert text(capsys, "mlp", "--step", "--stage", "simplified", "--node", f"%{node['id']}") == shown
    selected = document(capsys, "mlp", "--step", "--stage", "simplified", "--node", str(node["id"]))
    assert selected["selected"] == [node["id"]]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["mlp", "--stage", "kernel"], ["'kernels'", "lowered, simplified, tensor"]),
        (["mlp", "--stage", "wgsl"], ["anneal kernels --wgsl"]),
        (["mlp", "--find", "op=ad"], ["no op 'ad'", "did you mean 'add'?"]),
        (["mlp", "--find", "size=3"], ["no 'size'", "op, shape, dtype"]),
        (["mlp", "--find", "op"], ["no criterion", "op=reduce_axis"]),
        (["mlp", "--find", "op=add,op=mul"], ["two criteria for op"]),
        (["mlp", "--find", "dtype=float"], ["float64"]),
        (["mlp", "--find", "rule=grad_mull"], ["'grad_mul'"]),
        (["mlp", "--find", "phase=back"], ["'backward'"]),
        (["mlp", "--find", "module=outputs"], ["no module 'outputs'", "did you mean 'output'? There are MLP, hidden, output"]),
        (["mlp", "--find", "shape=3xq"], ["no shape '3xq'", "'q' is no size"]),
        (["mlp", "--find", "shape=64x"], ["'' is no size"]),
        (["mlp", "--node", "41"], ["no node 41", "0 to 40"]),
        (["mlp", "--node", "-1"], ["--node"]),
        (["mlp", "--node", "x"], ["--node 'x'", "--find"]),
        (["mlp", "--node", "1", "--find", "op=add"], ["not allowed with"]),
        (["mpl"], ["did you mean 'mlp'"]),
    ],
)
def test_wrong_usage_teaches(argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    error = said(capsys, *argv)
    assert all(word in error for word in words), error


@pytest.mark.parametrize("stage", ["tensor", "kernels"])
def test_graphviz_draws_it(stage: str, anneal: Run, tmp_path: Path) -> None:
    assert shutil.which("dot"), "the tests need Graphviz"
    done = anneal("graph", "mlp", "--step", "--stage", stage, "--dot")
    assert (done.code, done.err) == (0, "")
    drawn = subprocess.run(["dot", "-Tsvg"], input=done.out, capture_output=True, encoding="utf-8", check=True)
    assert drawn.stderr == ""
    assert anneal("graph", "mlp", "--step", "--stage", stage, "--svg", "drawn.svg").err == "anneal: wrote drawn.svg\n"
    root = ET.fromstring((tmp_path / "drawn.svg").read_text(encoding="utf-8"))
    texts = {str(element.text).replace("\xa0", " ") for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"hidden.weight", "optimizer.lr", "batch"} <= texts
    assert ("▪ forward+backward  kernel 2: " in str(texts)) is (stage == "kernels")
    assert os.listdir(tmp_path) == ["drawn.svg"]


def test_without_graphviz_it_says_how_to_get_it(anneal: Run, tmp_path: Path) -> None:
    done = anneal("graph", "mlp", "--svg", "drawn.svg", PATH=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert "apt install graphviz" in done.err
    assert not os.listdir(tmp_path)


def test_a_full_disk_loses_nothing(anneal: Run) -> None:
    done = anneal("graph", "mlp", "--svg", "/dev/full")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("anneal: error: ")


def test_a_users_file_goes_by_its_variables_and_modules(anneal: Run, file: Callable[[str], Path]) -> None:
    file(
        "from anneal import Tensor, nn\n"
        "class Block:\n"
        "    def __init__(self): self.fc = nn.Linear(4, 4)\n"
        "    def __call__(self, x):\n"
        "        gate = self.fc(x).sigmoid()\n"
        "        return gate * x\n"
        "def two():\n"
        "    net = nn.Sequential(Block(), Block())\n"
        "    scale = Tensor([0.5])\n"
        "    out = net(Tensor.ones(3, 4)) * scale\n"
        "    return out.sum()\n"
    )
    made = anneal("graph", "mine.py:two", "--backward", "--json").json
    names = {n["name"] for n in made["nodes"]}
    assert {"net.0.fc.weight", "net.1.fc.bias", "scale", "gate", "out", "net.1()"} <= names
    modules = {n["module"] for n in made["nodes"] if n["phase"] == "backward"}
    assert {"net.0.fc", "net.1"} <= modules
    assert made["modules"]["net.0"] == "Block"
    assert "— forward  net.1.fc: Linear" in anneal("graph", "mine.py:two").out


@pytest.mark.parametrize("argv", [["graph", "--stage", "kernels"], ["kernels"]])
def test_what_is_shown_does_not_depend_on_the_process(argv: list[str], anneal: Run) -> None:
    first, second = (anneal(*argv, "conv", "--step", "--json", PYTHONHASHSEED=seed).out for seed in ("1", "2"))
    assert first == second


def test_a_closed_pipe_is_no_error(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    process = spawn("graph", "conv", "--step", "--list")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
