"""Programs in the tab's worker, asked directly: what it answers is what a tab on this machine answers, byte for byte but for times."""

from __future__ import annotations

import json
import re
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page
from site_browser import READY, Host

from anneal.viz import about
from anneal.viz.state import STAGES
from anneal.viz.tab import Tab
from e2e.conftest import ROOT, STARTED, Watched

ASK: Final = """async ([kind, params]) => {
  window.asked ??= (await import("./page/compiler.js")).makeCompiler();
  try {
    return JSON.stringify({ ok: true, value: await window.asked.request(kind, params) });
  } catch ({ kind, message, line, column, end_column, printed, hint, frames }) {
    return JSON.stringify({ ok: false, error: { kind, message, line, column, end_column, printed, hint, frames } });
  }
}"""
"""Asks a worker of the test's own, through the page's own module."""


class Worker:
    """A worker on a page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def answer(self, kind: str, **params: Any) -> Any:
        """An answer as the page has it."""
        return json.loads(self.page.evaluate(ASK, [kind, params]))

    def ask(self, kind: str, **params: Any) -> Any:
        """The value of an answer that is no failure."""
        answer = self.answer(kind, **params)
        assert answer["ok"], answer["error"]
        return answer["value"]

    def refused(self, kind: str, **params: Any) -> Any:
        """The failure of an answer that is one."""
        answer = self.answer(kind, **params)
        assert not answer["ok"], answer["value"]
        return answer["error"]


@pytest.fixture(scope="module")
def worker(browser: Browser, host: Host) -> Iterator[Worker]:
    context = browser.new_context()
    told = Watched()
    page = told.watch(context.new_page())
    page.set_default_timeout(STARTED)
    page.goto(host.url)
    page.wait_for_selector(READY, timeout=STARTED)
    yield Worker(page)
    context.close()
    told.check()


@pytest.fixture
def here() -> Iterator[Any]:
    """The same requests, answered on this machine."""
    tab = Tab()

    def ask(kind: str, **params: Any) -> Any:
        answer = json.loads(finished(tab.handle_json(json.dumps({"kind": kind, "params": params}))))
        assert answer["ok"], answer
        return answer["value"]

    yield ask
    ask("open", source="from anneal import Tensor\nTensor([1.0])")


def finished(work: Coroutine[Any, Any, str]) -> str:
    """What work comes to that waits for nothing: a browser that is driven from here has the event loop already."""
    try:
        work.send(None)
    except StopIteration as done:
        return str(done.value)
    raise AssertionError("it waits for something")


def untimed(told: Any) -> Any:
    """An answer without how long anything took, and without the folder that the package is in here."""
    if isinstance(told, dict):
        return {key: untimed(value) for key, value in told.items() if key not in ("seconds", "milliseconds", "ms")}
    if isinstance(told, list):
        return [untimed(value) for value in told]
    return told.replace(f"{ROOT}/", "") if isinstance(told, str) else told


def differences(told: Any, known: Any, where: str = "") -> Iterator[str]:
    """Where two answers differ."""
    if isinstance(told, dict) and isinstance(known, dict) and told.keys() == known.keys():
        for key in told:
            yield from differences(told[key], known[key], f"{where}.{key}")
    elif isinstance(told, list) and isinstance(known, list) and len(told) == len(known):
        for i, pair in enumerate(zip(told, known, strict=True)):
            yield from differences(*pair, f"{where}[{i}]")
    elif isinstance(told, str) and isinstance(known, str) and told.startswith("{") and known.startswith("{"):
        yield from differences(json.loads(told), json.loads(known), where)
    elif told != known:
        yield f"{where}: {told!r} in the tab, {known!r} here"


@pytest.mark.parametrize("name", about.EXAMPLES)
def test_every_answer_is_the_one_given_here(worker: Worker, here: Any, name: str) -> None:
    source = about.example(name)["source"]
    examples = {e["name"]: e for e in worker.ask("info")["examples"]}
    assert examples[name]["source"] == source
    requests: list[tuple[str, dict[str, Any]]] = [("open", {"source": source, "name": name}), ("graph", {"stage": "tensor"}), ("compile", {})]
    requests += [("graph", {"stage": stage}) for stage in STAGES]
    requests += [("find", {"stage": stage, "query": "op:mul"}) for stage in STAGES[1:4]]
    requests += [("node", {"id": number, "stage": stage}) for stage in ("backward", "kernels") for number in (0, 5, 9)]
    requests += [("follow", {"id": 9, "stage": stage}) for stage in STAGES]
    requests += [("locate", {"stage": "lowered", "path": "7"}), ("lines", {"kernel": 0})]
    requests += [("export", {"what": "graph", "stage": "simplified"}), ("export", {"what": "wgsl"})]
    for kind, params in requests:
        told, known = untimed(worker.ask(kind, **params)), untimed(here(kind, **params))
        found = [d for d in differences(told, known) if not re.match(r"\.rows\[\d+\]\[8\]: ", d)]  # whoever built a constant first, anywhere, has its line
        assert found == [], (kind, params)


@pytest.mark.parametrize("part", ["forward", "backward", "step"])
def test_the_parts_of_the_networks_compile_to_the_same_plan(worker: Worker, here: Any, part: str) -> None:
    for name in ("mlp", "conv"):
        source = f"from anneal.examples import EXAMPLES\nEXAMPLES[{name!r}]"
        for ask in (worker.ask, here):
            ask("open", source=source, part=part)
        told, known = worker.ask("compile"), here("compile")
        assert told["fingerprint"] == known["fingerprint"]


@pytest.mark.parametrize(
    ("text", "kind", "line", "hint"),
    [
        ("x = 1\ny = (", "SyntaxError", 2, None),
        ("x = 1\n\n1 / 0", "ZeroDivisionError", 3, None),
        ("def f():\n    return f()\nf()", "RecursionError", None, "calls itself without an end"),
        ("import numpy as np", "ModuleNotFoundError", 1, "Tensor has most of what arrays have"),
        ("import torch", "ModuleNotFoundError", 1, "from anneal import Tensor, nn"),
        ("open('data.csv')", "FileNotFoundError", 1, "A tab has no files of yours"),
        ("input('name? ')", "EOFError", 1, "Nobody can type here"),
        ("raise SystemExit", "SystemExit", 1, "Leave the call of exit out"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", 1, None),
        ("x = 1", "NoValue", 1, "Let its last line be an expression"),
        ("x = '\0'", "SyntaxError", None, None),
        ("from anneal import Tensor\nTensor([1.0, 2.0]).reshape(3)", "ShapeError", 2, None),
    ],
)
def test_mistakes_are_told_and_the_tab_goes_on(worker: Worker, text: str, kind: str, line: int | None, hint: str | None) -> None:
    failure = worker.refused("open", source=text)
    assert failure["kind"] == kind
    assert line is None or failure["line"] == line
    assert hint is None or hint in failure["hint"]
    assert all(frame["file"] == "program.py" for frame in failure["frames"])
    assert worker.ask("open", source="from anneal import Tensor\nTensor([1.0, 2.0])")["value"] == "a tensor float32(2)"


def test_columns_count_characters(worker: Worker) -> None:
    failure = worker.refused("open", source="if True:\n    é = 'ü'; é + nowhere")
    assert (failure["line"], failure["column"], failure["end_column"]) == (2, 18, 25)
    assert failure["frames"][0]["text"] == "é = 'ü'; é + nowhere"


def test_a_failed_program_leaves_the_one_before(worker: Worker) -> None:
    worker.ask("open", source="from anneal import Tensor\nx = Tensor([1.0, 2.0])\ny = x * 5\ny")
    worker.refused("open", source="1 / 0")
    [mul] = worker.ask("find", stage="tensor", query="op:mul")["ids"]
    assert worker.ask("node", id=mul, stage="tensor")["source"] == "program.py:3: y = x * 5"


def test_a_program_may_compute_while_it_runs(worker: Worker) -> None:
    text = "import asyncio\nfrom anneal import Tensor\nx = Tensor([1.0, 2.0]).own()\nawait asyncio.sleep(0)\ny = x * 21\ny.realize()\nprint(y.tolist())\n"
    opened = worker.ask("open", source=text)
    assert opened["printed"] == "[21.0, 42.0]\n"
    assert opened["note"] is not None
    assert [i["name"] for i in opened["inputs"]] == ["x"]
    assert worker.ask("graph", stage="backward")["graphs"][0]["nodes"]
    ran = worker.ask("run")
    assert ran["outputs"][0]["values"] == [21.0, 42.0]


def test_modules_beside_the_program_are_imported(worker: Worker) -> None:
    files = {"helper.py": "from anneal import Tensor\nx = Tensor([1.0, 2.0])\n", "nets/small.py": "def net(x):\n    return x * 3\n"}
    opened = worker.ask("open", source="import helper\nfrom nets.small import net\nnet(helper.x)", files=files)
    assert opened["outputs"][0]["shape"] == [2]
    assert worker.refused("open", source="import helper")["kind"] == "ModuleNotFoundError"


def test_requests_that_nobody_knows_are_refused(worker: Worker) -> None:
    assert "did you mean 'graph'?" in worker.refused("grahp")["message"]
    assert worker.refused("graph", stage=[1])["kind"] == "UsageError"
    assert worker.refused("node", id="<b>")["kind"] == "UsageError"
