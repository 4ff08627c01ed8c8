"""Training from Python: what it returns, the table that a notebook shows, the lines on a terminal. The notebook itself is run in `tests/test_notebook.py`."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from anneal.errors import AnnealError, UsageError
from anneal.examples import EXAMPLES, Example, Run, live, train, train_async
from anneal.examples.log import read
from anneal.examples.monitor import Facts, Monitor, Record
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer
from anneal.runtime.device import get_device
from anneal.tensor.tensor import Tensor


def test_a_run_holds_what_training_gave() -> None:
    run = train("mlp", steps=25, batch=8, seed=3, device="reference")
    alone = Trainer(Program(EXAMPLES["mlp"], batch=8, seed=3), get_device("reference"))
    assert run.losses == [loss for window in alone.train(25) for loss in window.losses]
    assert run.accuracy == alone.score()
    assert run.plan.fingerprint == alone.plan.fingerprint
    assert run.model(Tensor.zeros(2, 64)).shape == (2, 10)
    assert run.model.hidden.bias.tolist() == alone.program.model.hidden.bias.tolist()  # type: ignore[attr-defined]
    assert repr(run) == f"<Run of mlp on reference: step 25 of 25, loss {run.losses[-1]:.4f}, accuracy {run.accuracy:.4f}>"


def test_options_reach_the_training(tmp_path: Path) -> None:
    path = str(tmp_path / "run.jsonl")
    run = train(EXAMPLES["mlp"], 3, batch=16, lr=0.0, optimizer="adam", device="reference", log=path)
    assert (run.monitor.facts.batch, run.monitor.facts.optimizer) == (16, "adam")
    assert [r.loss for r in read(path).records] == run.losses
    assert [p.tolist() for p in run.trainer.program.parameters] == [p.to("reference").tolist() for p in Program(EXAMPLES["mlp"]).parameters]


def test_a_training_that_is_awaited_is_the_same() -> None:
    plain = train("mlp", 3, batch=8, seed=5, device="reference")
    awaited = asyncio.run(train_async("mlp", 3, batch=8, seed=5, device="reference"))
    assert awaited.losses == plain.losses
    assert len(awaited.losses) == 3
    assert awaited.accuracy == plain.accuracy
    with pytest.raises(UsageError, match="no model 'resnet'"):
        asyncio.run(train_async("resnet"))


def test_a_full_disk_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="the log /dev/full ends at step 0: No space left on device; the training goes on"):
        assert len(train("mlp", 2, batch=8, device="reference", log="/dev/full").losses) == 2


def _no_tensor(*_: Tensor) -> Any:
    return 1.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "mpl"}, "no model 'mpl': there are conv, mlp, or pass an Example of your own"),
        ({"steps": 0}, "cannot train for 0 steps"),
        ({"seed": -1}, "with seed -1"),
        ({"batch": 0}, "a batch of 0"),
        ({"optimizer": "sdg"}, "no optimiser 'sdg'"),
        ({"device": "cuda"}, "no device 'cuda'"),
        ({"model": None}, "not NoneType: None"),
        ({"model": Example}, "not type: <class"),
        ({"steps": 2.5}, "steps is a whole number, not 2.5"),
        ({"batch": "8"}, "batch is a whole number, not '8'"),
        ({"lr": "fast"}, "lr is a number, not 'fast'"),
        ({"model": replace(EXAMPLES["mlp"], loss=lambda outputs, _: outputs)}, "mlp: the loss has shape .*: reduce it to one element"),
        ({"model": replace(EXAMPLES["mlp"], loss=_no_tensor)}, "mlp: the loss is to be a tensor of one element, not float"),
        ({"model": replace(EXAMPLES["mlp"], score=lambda outputs, _: outputs)}, "mlp: the score has shape .*: reduce it to one element"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        train(**{"model": "mlp", "device": "reference", **options})


def test_a_first_interrupt_finishes_the_step_and_returns_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before, step = signal.getsignal(signal.SIGINT), Trainer._step

    def interrupted(trainer: Trainer, *args: Any, **more: Any) -> Any:
        if trainer.done == 14:
            signal.raise_signal(signal.SIGINT)
        return step(trainer, *args, **more)

    monkeypatch.setattr(Trainer, "_step", interrupted)
    run = train("mlp", 100, batch=8, device="reference")
    assert (len(run.losses), run.monitor.interrupted, run.monitor.state) == (15, True, "stopped")
    assert signal.getsignal(signal.SIGINT) == before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "lines"), [(Terminal(), 2), (io.StringIO(), 0)])
def test_a_terminal_gets_lines_and_a_script_nothing(
    stream: io.StringIO, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    train("mlp", 10, batch=8, device="reference")
    assert [line.split()[:2] for line in stream.getvalue().splitlines()] == [["step", "1/10"], ["step", "10/10"]][:lines]
    assert capsys.readouterr().out == ""


def test_outside_a_notebook_ipython_is_not_imported() -> None:
    script = "import sys; from anneal.examples import train; train('mlp', 1, device='reference'); sys.exit('IPython' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


# The table.

FACTS = Facts("mine", "webgpu", "GPU <b>", batch=4, optimizer="sgd", seed=0, rows=1600, held=360, parameters=9610, kernels=4, uops=99, bytes=55_000)


def monitored(**changes: Any) -> Monitor:
    facts = Facts(**{**{name: getattr(FACTS, name) for name in Facts.__slots__}, "phases": {"forward": 3, "backward+update": 1}, **changes})
    monitor = Monitor(facts, 100)
    monitor.add([Record(1, 2.0, 9.0, 1.0, None, None)])
    monitor.add([Record(step, 2.0 / step, 0.002, 0.001, 0.0005, 0.5 if step == 20 else None) for step in range(2, 21)])
    return monitor


def rows(monitor: Monitor) -> dict[str, str]:
    """The table's rows as text, through a parser that takes nothing unclosed or unescaped."""
    table = ET.fromstring(live.table(monitor))
    assert (table.tag, table.get("class")) == ("table", "anneal-train")
    return {row[0].text or "": " ".join("".join(row[1].itertext()).split()) for row in table.iter("tr")}


def test_the_table_says_what_the_monitor_knows() -> None:
    monitor = monitored()
    monitor.state = "training"
    assert rows(monitor) == {
        "step": "20 of 100 20% training, 0 s left",
        "loss": "0.1000 from 2.0000 to 0.1000",
        "accuracy": "0.5000 on 360 held-out rows",
        "time": "2.00 ms a step (host 1.00 ms, kernels 0.50 ms), 2,000 rows a second",
        "kernels": "4 for 99 UOps: — 3 forward, ▪ 1 backward+update",
        "memory": "55,000 bytes of buffers, 9,610 parameters",
        "device": "webgpu: GPU <b>",
    }


def test_the_curve_is_the_losses() -> None:
    svg = ET.fromstring(live.table(monitored())).findall(".//svg")[0]
    points = [tuple(map(float, pair.split(","))) for pair in (svg[1].get("points") or "").split()]
    losses = [2.0 / step for step in range(1, 21)]
    assert len(points) == 21
    for (x, y), step, loss in zip(points, range(1, 21), losses, strict=False):
        assert x == pytest.approx(1 + (step - 1) / 19 * 238, abs=0.06)
        assert y == pytest.approx(35 - (loss - 0.1) / 1.9 * 34, abs=0.06)


def test_a_long_curve_is_thinned() -> None:
    text = live._sparkline([(step, 1 / step) for step in range(1, 100_001)])
    assert text.count(",") < 1000
    assert text.count("-1.5") == 0


def test_names_are_escaped_and_failures_told() -> None:
    monitor = monitored(model="<script>", optimizer="a&b")
    monitor.end(AnnealError("the loss is <nan>"))
    assert rows(monitor)["step"] == "20 of 100 20% failed: the loss is <nan>"
    caption = ET.fromstring(live.table(monitor)).find("caption")
    assert caption is not None
    assert caption.text == "<script>, a&b"


def test_before_the_first_step_there_is_a_table_too() -> None:
    found = rows(Monitor(FACTS, 100))
    assert (found["step"], found["loss"], found["accuracy"], found["time"]) == ("0 of 100 0% waiting", "not yet", "not yet", "not yet")
    assert rows(monitored(phases={})).keys() == found.keys()


class Handle:
    """Stands in for a display of a notebook."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(bundle)


def test_in_a_notebook_the_table_is_renewed_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for IPython; the real one runs in `tests/test_notebook.py`."""
    handle, cell = Handle(), SimpleNamespace(kernel=object(), execution_count=7)

    def display(bundle: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert display_id
        handle.update(bundle, raw=raw)
        return handle

    module = SimpleNamespace(get_ipython=lambda: cell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(live, "_EVERY", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run: Run = train("mlp", 20, batch=8, device="reference")
    steps = [bundle["text/plain"].split()[1] for bundle in handle.shown]
    assert steps == ["0/20", "1/20", "10/20", "20/20", "20/20"]
    assert "20 of 20" in handle.shown[-1]["text/html"]
    assert run._repr_html_() is None
    cell.execution_count = 8
    assert run._repr_html_() == live.table(run.monitor)
    monkeypatch.setattr(cell, "kernel", None)
    assert live._cell() is None
