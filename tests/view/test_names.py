"""Names: what a statement computes last goes by the variable that it is assigned to, and nothing else does."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from pathlib import Path

import pytest

from anneal import Tensor
from anneal.nn import modules
from anneal.tensor import graph
from anneal.view.names import assigned, source_line

SOURCE = """\
import os
x = (1 +
     2)
a, b = 1, 2
c: int = 3
d += 4
self.e = 5
f[0] = 6
g = h = 7
def f():
    y = 8; z = 9
    if y:
        w = [
            10,
        ]
    return w
for i in range(3): v = i
"""
EXPECTED = {2: "x", 3: "x", 5: "c", 6: "d", 7: "e", 13: "w", 14: "w", 15: "w", 17: "v"}


def test_the_variable_of_each_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    found = assigned((str(path), line) for line in range(SOURCE.count("\n") + 3))
    assert {line: name for (_, line), name in found.items()} == EXPECTED
    assert source_line((str(path), 2)) == "x = (1 +"


@pytest.mark.parametrize("text", ["x = (", "\0", "", "x = 1\n" * 3 + "  y = 2", "(" * 500])
def test_a_file_that_is_no_program_gives_no_names(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert assigned([(str(path), 1), (str(tmp_path / "none.py"), 1), ("<string>", 1)]) == {}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[object]:
    """Run a program's text as a user's file; its variables."""

    def execute(text: str) -> dict[str, Tensor]:
        path = tmp_path / "mine.py"
        path.write_text(text)
        scope: dict[str, Tensor] = {"Tensor": Tensor}  # type: ignore[dict-item]
        exec(compile(text, str(path), "exec"), scope)
        return scope

    yield execute
    linecache.checkcache()


def names(out: Tensor) -> dict[str, list[str]]:
    shown = graph.describe([out.uop])
    found: dict[str, list[str]] = {}
    for node in shown.order:
        if (name := shown.name(node)) is not None:
            found.setdefault(name, []).append(node.op.name)
    return found


def test_only_the_last_node_of_a_statement_has_the_name(run: object) -> None:
    out = run("x = Tensor([1.0, 2.0])\ny = x.exp() * 2 + 1\nz = y.sum()\n")["z"]  # type: ignore[operator]
    assert names(out) == {"x": ["param"], "y": ["add"], "z": ["reshape"]}


def test_a_variable_that_is_assigned_again_names_each_value(run: object) -> None:
    out = run("x = Tensor([1.0, 2.0])\nx = x * 3\nx = x.exp()\nx += 1\n")["x"]  # type: ignore[operator]
    assert names(out)["x"] == ["param", "mul", "exp2", "add"]


def test_parts_of_what_a_line_computes_do_not_have_its_name(run: object) -> None:
    found = names(run("noise = Tensor.rand(3)\nout = noise + 1\n")["out"])  # type: ignore[operator]
    assert "param" not in found["noise"]
    assert found["input0"] == ["param"]


def test_names_stay_through_the_stages(run: object) -> None:
    out = run("x = Tensor([1.0, 2.0])\nhalf = (x + 0) / 2\nout = half.exp().sum()\n")["out"]  # type: ignore[operator]
    for stage, op in (("simplified", "mul"), ("kernels", "mul")):
        shown = graph.describe([out.uop], stage)
        assert [u.op.name for u in shown.order if shown.name(u) == "half"] == [op], stage


def test_two_inputs_of_one_name_are_told_apart(run: object) -> None:
    out = run("made = []\nfor i in range(2): x = Tensor([1.0 * i]); made.append(x)\nout = made[0] + made[1]\n")["out"]  # type: ignore[operator]
    assert {"x", "x.1"} <= names(out).keys()


def test_what_a_module_gives_is_not_what_the_statement_computes(run: object) -> None:
    text = """
from anneal import nn
class Block:
    def __init__(self): self.norm = nn.LayerNorm(4); self.out = nn.Linear(4, 4)
    def __call__(self, x):
        y = x + self.norm(x).exp()
        z = self.out(y)
        return z
first, second = Block(), Block()
def program():
    x = Tensor([[1.0, 2.0, 3.0, 4.0]])
    w = first(x)
    return second(w)
"""
    scope = run(text)  # type: ignore[operator]
    with modules.watching() as seen:
        out = scope["program"]()
    shown = graph.describe([out.uop], modules=seen.places, kinds=seen.kinds)
    found = {name: [(u.op.name, shown.module(u)) for u in shown.order if shown.name(u) == name] for name in "wyz"}
    assert found["y"] == [("add", "first"), ("add", "second")]
    assert found["z"] == [("add", "first.out"), ("add", "second.out")]
    assert found["w"] == []  # the innermost line that built it calls it z
