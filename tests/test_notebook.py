"""A real notebook, run once by a real kernel: what tensors, graphs, plans, traces and trainings show of themselves there.

The notebook is written and run by a program of its own, so that the kernel's sockets and loops stay out of the tests' process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest

from anneal.runtime.pipeline import STAGES

ROOT: Final = Path(__file__).parent.parent

CELLS: Final = {
    "lazy": "from anneal import Tensor, Target, compile, trace\nx = Tensor([[1.0, -2.5], [3.0, float('nan')]], requires_grad=True)\ny = (x * 2).relu()\ny",
    "values": "y.realize()",
    "long": "Tensor.arange(10_000).reshape(2, 50, 100).realize()",
    "graph": "(x * 3).relu().sum().graph()",
    "plan": "compile((x @ x).relu().sum(), target=Target.portable())",
    "trace": "with trace() as watched:\n    loss = (x * x).sum()\n    loss.backward()\n    loss.realize(x.grad)\nwatched",
    "train": "from anneal.examples import train\nrun = train('mlp', steps=40)",
    "run": "run",
    "few": "train('mlp', steps=3)",
}


PROGRAM: Final = """
import json, sys
import nbformat
from nbclient import NotebookClient
cells = [nbformat.v4.new_code_cell(text) for text in json.loads(sys.stdin.read())]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
json.dump(notebook.cells, sys.stdout)
"""
"""Runs the cells given on stdin in a kernel, that of this interpreter, and prints them with their outputs."""


class Balanced(HTMLParser):
    """Checks that tags are closed in order, and collects text and tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("br", "hr", "img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The cells after a run, by name."""
    folder = tmp_path_factory.mktemp("notebook")
    places = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = {**os.environ, **places, "PYTHONPATH": str(ROOT), "JUPYTER_PLATFORM_DIRS": "1"}
    given = json.dumps(list(CELLS.values()))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=given, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False
    )
    assert not done.returncode, done.stderr
    return dict(zip(CELLS, json.loads(done.stdout), strict=True))


def shown(cell: Any, kind: str = "execute_result") -> Mapping[str, str]:
    """What a cell displays, by media type; nothing else may come of it."""
    assert not [o for o in cell["outputs"] if o["output_type"] in ("stream", "error")], cell["outputs"]
    [output] = [o for o in cell["outputs"] if o["output_type"] == kind]
    data: Mapping[str, str] = output["data"]
    return data


def page(data: Mapping[str, str]) -> Balanced:
    """The HTML of an output: well formed, and with nothing that is run or fetched."""
    found = Balanced(data["text/html"])
    assert not found.tags & {"script", "link", "iframe", "img", "object"}
    return found


def test_a_lazy_tensor_says_what_is_to_be_done(cells: Mapping[str, Any]) -> None:
    data = shown(cells["lazy"])
    words = page(data).words
    assert "Tensor (2, 2) float32, lazy, requires_grad=True" in words
    assert "not computed yet" in words
    assert ".realize()" in words
    assert data["text/plain"] == "<Tensor (2, 2) float32, lazy, requires_grad=True>"


def test_a_tensor_shows_its_values(cells: Mapping[str, Any]) -> None:
    data = shown(cells["values"])
    found = page(data)
    assert "table" in found.tags
    assert "realised" in found.words
    assert data["text/html"].endswith("<table><tr><td>2</td><td>0</td></tr><tr><td>6</td><td>nan</td></tr></table></div>")


def test_long_axes_are_cut(cells: Mapping[str, Any]) -> None:
    text = shown(cells["long"])["text/html"]
    assert "[0, :, :] of 2×50×100" in text
    assert text.count("<tr>") == 11
    assert "⋮" in text
    assert "<td>0</td><td>1</td>" in text
    assert "<td>4999</td>" in text
    assert "<td>5000</td>" not in text


def test_a_graph_draws_itself(cells: Mapping[str, Any]) -> None:
    data = shown(cells["graph"])
    words = page(data).words
    assert {"text/html", "text/plain"} <= set(data)
    assert all(name in words for name in ("reduce_axis", "mul", "cell:1"))
    assert ("image/svg+xml" in data) == (shutil.which("dot") is not None)
    assert "<svg" in data.get("image/svg+xml", "<svg")


def test_a_plan_lists_its_kernels(cells: Mapping[str, Any]) -> None:
    found = page(shown(cells["plan"]))
    assert "table" in found.tags
    assert "details" in found.tags
    assert "@compute" in found.words
    assert "— forward" in found.words


def test_a_trace_lists_the_rules_that_fired(cells: Mapping[str, Any]) -> None:
    found = page(shown(cells["trace"]))
    assert "grad_mul" in found.words
    assert f"{len(STAGES) + 1} stages" in found.words


def test_training_is_one_table_renewed_in_place(cells: Mapping[str, Any]) -> None:
    [output] = cells["train"]["outputs"]
    assert output["output_type"] == "display_data"
    found = page(output["data"])
    assert '<table class="anneal-train">' in output["data"]["text/html"]
    assert "svg" in found.tags
    assert all(words in found.words for words in ("40 of 40", "forward+backward", "▪", "held-out rows"))


def test_a_run_shows_its_table_once(cells: Mapping[str, Any]) -> None:
    assert "table" in page(shown(cells["run"])).tags
    assert shown(cells["run"])["text/plain"].startswith("<Run of mlp on ")
    assert "table" in page(shown(cells["few"], "display_data")).tags
    assert set(shown(cells["few"])) == {"text/plain"}
