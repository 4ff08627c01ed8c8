"""Models of the user's own: what may be given, and how mistakes in them are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anneal.cli.main import main

Run = Callable[..., Any]
Write = Callable[[str], Path]

OWN = """
from anneal import Tensor, nn
from anneal.examples import Data, Example

class Line:
    def __init__(self):
        self.layer = nn.Linear(1, 1)
        self.drop = nn.Dropout(0.1)

    def __call__(self, x):
        return self.layer(self.drop(x))

def data():
    x = Tensor.arange(40).reshape(40, 1).float() / 40
    y = x * 2 - 1
    return x[:30], y[:30], x[30:], y[30:]

def distance(outputs, labels):
    return (outputs - labels).abs().mean()

def line():
    return Example("line", "a line", Line, data, lambda params, lr: nn.optim.SGD(params, lr), lr=0.3, loss=Tensor.mse_loss, score=distance, steps=200, batch=10)
"""


def said(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """What a command that is used wrongly says."""
    assert main([str(a) for a in argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err.removeprefix("anneal: error: ")


def test_an_example_of_ones_own_is_trained_saved_gone_on_with_and_run(anneal: Run, file: Write) -> None:
    model = f"{file(OWN)}:line"
    first = anneal("train", model, "--device", "reference", "--json", "--steps", "100", "--save", "line")
    assert first.code == 0, first.err
    whole = anneal("train", model, "--device", "reference", "--json").json
    rest = anneal("train", model, "--device", "reference", "--json", "--resume", "line", "--save", "line").json
    assert whole["model"] == "line"
    assert whole["accuracy"] == rest["accuracy"] < 0.6
    assert whole["loss_last"] == rest["loss_last"]
    done = anneal("run", model, "--load", "line", "--batch", "2", "--device", "reference", "--json")
    assert done.json["outputs"][0]["shape"] == [2, 1]
    assert done.json["labels"] == [[0.5], [pytest.approx(0.55)]]
    assert "predictions" not in done.json


@pytest.mark.parametrize("verb", ["graph", "kernels"])
def test_an_example_of_ones_own_is_shown(verb: str, anneal: Run, file: Write) -> None:
    done = anneal(verb, f"{file(OWN)}:line", "--step")
    assert done.code == 0
    assert "layer.weight" in done.out


def test_tensors_are_run_and_shown(file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(
        "from anneal import Tensor\n"
        "def two():\n    x = Tensor([1.0, 2.0, 4.0])\n    return x / 0, [x + 1][0]\n"
        "def one():\n    w = Tensor([3.0], requires_grad=True)\n    return ((w - 1) ** 2).sum()\n"
        "def both():\n    v = Tensor([3.0])\n    w = Tensor([2.0])\n    return [(v * w * w).sum(), w]\n"
        "ready = Tensor([[1, 2], [3, 4]])\n"
    )
    assert main(["run", f"{path}:two", "--device", "reference", "--json"]) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert [o["values"] for o in outputs] == [["Infinity"] * 3, [2.0, 3.0, 5.0]]
    assert main(["run", f"{path}:ready", "--device", "reference"]) == 0
    assert capsys.readouterr().out == "int32(2, 2) [[1, 2], [3, 4]]\n"
    assert main(["graph", f"{path}:one", "--backward", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["outputs"]) == 2
    lines = {n["origin"]["line"] for n in document["nodes"] if n["origin"] and n["phase"] == "forward"}
    assert 7 in lines  # and others where a test that ran before holds an equal node
    assert main(["kernels", f"{path}:one", "--backward"]) == 0
    capsys.readouterr()
    assert main(["graph", f"{path}:both", "--backward", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["outputs"]) == 2


def test_a_file_next_to_the_users_can_be_imported(file: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beside_it.py").write_text("from anneal import Tensor\nvalue = Tensor([7])\n")
    path = file("import beside_it\ndef f():\n    return beside_it.value\n")
    assert main(["run", f"{path}:f", "--device", "reference"]) == 0
    assert "[7]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "function", "message"),
    [
        ("def alpha(): ...\ndef beta(): ...\n", "alpa", "no function 'alpa' in {path}: did you mean 'alpha'? There are alpha, beta"),
        ("import os\n", "f", "no function 'f' in {path}: there is none"),
        ("def f():\n    return 3\n", "f", "{path}:f returned int: return an anneal.examples.Example, a Tensor or a list of tensors"),
        ("def f():\n    return []\n", "f", "{path}:f returned list"),
        ("from anneal import nn\ndef f():\n    return nn.Linear(2, 3)\n", "f", "a list of tensors; Example('name', 'what it is', model=..., data=...) makes"),
        ("class Net: ...\ndef net(): ...\n", "", "say which function of {path}, as {path}:net: there is only net"),
        ("x = 1\nraise RuntimeError('no luck')\n", "f", "mine.py:2: in <module>: raise RuntimeError('no luck'): RuntimeError: no luck"),
        ("def f():\n    y = 0\n    return 1 / y\n", "f", "mine.py:3: in f: return 1 / y: ZeroDivisionError: division by zero"),
        ("def f(:\n", "f", "mine.py:1: SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(5)\n", "f", "mine.py:2: in <module>: sys.exit(5): SystemExit: 5"),
        ("import nowhere_to_be_found\n", "f", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("def f(x):\n    return x\n", "f", "TypeError: f() missing 1 required positional argument: 'x'"),
        ("from anneal import Tensor as T\ndef f():\n    return T([1.0]) @ T([1, 2])\n", "f", "mine.py:3: in f: return T([1.0]) @ T([1, 2]): ShapeError"),
        ("\0", "f", "mine.py"),
    ],
)
def test_mistakes_in_a_file_are_told_with_its_line(text: str, function: str, message: str, file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(text)
    assert message.format(path=path) in said(capsys, "run", f"{path}:{function}")


def test_a_file_without_a_function_names_what_is_there(file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = file("def alpha(): ...\n")
    assert said(capsys, "run", path) == f"say which function of {path}, as {path}:alpha: there is only alpha\n"
    assert "no file 'absent.py'" in said(capsys, "run", "absent.py:f")
    assert "no file 'some/where'" in said(capsys, "run", "some/where:f")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("self.layer(self.drop(x))", "self.layer(x).nothing()"), "mine.py:11: in __call__: return self.layer(x).nothing(): AttributeError"),
        (("y[:30]", "y[:20]"), "the data: inputs (30, 1) and labels (20, 1) must have as many rows as each other"),
        (("self.layer = nn.Linear(1, 1)", "self.layer = lambda x: x"), "line: the Line has no tensor that requires a gradient"),
        (("batch=10", "batch=31"), "a batch of 31: line has 30 rows to learn from"),
        (("lambda params, lr: nn.optim.SGD(params, lr)", "'sdg'"), "no optimiser 'sdg': there are sgd, adam, adamw"),
        (("nn.Linear(1, 1)", "nn.Linear(2, 1)"), "mine.py:11: in __call__: return self.layer(self.drop(x)): ShapeError"),
    ],
)
def test_mistakes_in_an_example_are_told(change: tuple[str, str], message: str, file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(OWN.replace(*change))
    assert message in said(capsys, "train", f"{path}:line", "--device", "reference")


def test_what_needs_an_example_says_so(file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = file("from anneal import Tensor\ndef f():\n    return [Tensor([1.0, 2.0]), Tensor([2.0])]\n")
    assert "returned tensors, and anneal train needs a model to train" in said(capsys, "train", f"{path}:f")
    assert "returned tensors, and anneal with --step needs a model to train" in said(capsys, "graph", f"{path}:f", "--step")
    assert "mine.py:f: --backward needs a loss of one element" in said(capsys, "graph", f"{path}:f", "--backward")
    assert "which are run as they are: leave --load out" in said(capsys, "run", f"{path}:f", "--load", "x")
    assert "leave --batch out" in said(capsys, "kernels", f"{path}:f", "--batch", "3")
