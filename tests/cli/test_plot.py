"""`anneal plot`: curves are where the numbers are, at any width; pictures are the same bytes each time; damaged logs are told."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from anneal.cli import charts
from anneal.cli.charts import Chart
from anneal.cli.main import main
from anneal.examples import log
from anneal.examples.monitor import Facts, Record
from anneal.export.schema.check import check
from anneal.export.schema.plot import Plot

Run = Callable[..., Any]
FACTS = Facts("mlp", "webgpu", "a GPU", batch=8, optimizer="sgd", seed=3, rows=64, held=16, parameters=10)
STEPS = 60


def losses(seed: int) -> list[float]:
    """A curve that turns at each step, so that no point of it can be left out."""
    return [2.0 / (1 + step / 10) + (0.2 + seed / 10) * (step % 2) for step in range(STEPS)]


def make(path: Path, seed: int = 0, steps: int = STEPS) -> str:
    """Write the log of a training that never was."""
    records = [Record(i + 1, loss, 0.002, 0.001, None, 0.5 + i / 200 if i % 10 == 9 else None) for i, loss in enumerate(losses(seed)[:steps])]
    path.write_bytes(log.text([log.header(FACTS, 100), *map(asdict, records)]))
    return str(path)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The log of a training, in the folder where the test is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    make(tmp_path / "run.jsonl")
    return "run.jsonl"


def test_what_train_wrote_is_drawn(anneal: Run, tmp_path: Path) -> None:
    assert anneal("train", "mlp", "--steps", "21", "--device", "reference", "--log", "run.jsonl").code == 0
    done = anneal("plot", "run.jsonl")
    assert (done.code, done.err) == (0, "")
    for word in ("loss", "accuracy on held-out rows", "ms a step", "mlp on reference, sgd", "step 21 of 21"):
        assert word in done.out
    assert "\x1b" not in done.out
    document = anneal("plot", "run.jsonl", "--json").json
    check(document, Plot)
    series = document["runs"][0]["series"]
    assert series["steps"] == list(range(1, 22))
    assert series["losses"] == [json.loads(line)["loss"] for line in (tmp_path / "run.jsonl").read_text().splitlines()[1:]]


def test_the_document_has_the_logs_numbers(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", run, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    check(document, Plot)
    (found,) = document["runs"]
    assert found["series"] == {
        "steps": list(range(1, STEPS + 1)),
        "losses": losses(0),
        "seconds": [0.002] * STEPS,
        "accuracies": [[i + 1, 0.5 + i / 200] for i in range(9, STEPS, 10)],
    }
    assert found["summary"] == {
        "steps": STEPS,
        "loss_first": 2.0,
        "loss_last": losses(0)[-1],
        "loss_least": min(losses(0)),
        "accuracy": 0.5 + 59 / 200,
        "step_ms_median": 2.0,
        "host_ms_median": 1.0,
        "device_ms_median": None,
    }
    assert (found["file"], found["model"], found["cut"], document["output"]) == ("run.jsonl", "mlp", False, None)


def drawn(points: list[tuple[float, float]], width: int = 60, height: int = 16) -> list[tuple[int, int]]:
    """Columns and rows of a curve's marks in plain text, counted from the lower left corner of its frame."""
    rows = charts.block(Chart("t", [points]), width, height, plain=True, colour=False)
    assert {len(row) for row in rows} == {width}
    inside = [re.split(r"[+|]", row, maxsplit=1)[1][:-1] for row in rows[2:-2]]
    return [(x, len(inside) - 1 - y) for y, row in enumerate(inside) for x, mark in enumerate(row) if mark == "*"]


def test_marks_are_where_the_numbers_are() -> None:
    up = drawn([(step, step) for step in range(1, 101)])
    down = drawn([(step, -step) for step in range(1, 101)])
    wide, tall = max(x for x, _ in up), max(y for _, y in up)
    assert wide > 40
    assert tall > 8
    for marks, start, slope in ((up, 0, 1), (down, 1, -1)):
        assert len({x for x, _ in marks}) >= wide
        for x, y in marks:
            assert y / tall == pytest.approx(start + slope * x / wide, abs=0.1)


def test_numbers_that_are_none_leave_no_mark() -> None:
    assert drawn([(1, math.nan), (2, math.inf)]) == []
    assert drawn([(1, math.nan), (5, 1.0)]) != []


@pytest.mark.parametrize(("low", "high", "most"), [(1, 300, 4), (1, 1, 3), (7, 8, 1), (1, 1_000_000, 6), (990, 1010, 2), (3, 9, 100)])
def test_ticks_are_few_and_within(low: int, high: int, most: int) -> None:
    found = charts.ticks(low, high, most)
    assert 1 <= len(found) <= max(most, 1)
    assert all(low <= tick <= high for tick in found)
    assert len({b - a for a, b in pairwise(found)}) <= 1


@pytest.mark.parametrize("columns", [5, 20, 40, 71, 72, 80, 200])
def test_charts_keep_within_the_terminal(columns: int, run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["plot", run]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert all(len(line) <= columns for line in shown[:-1])
    assert "step 60 of 100" in shown[-1]


def test_at_80_by_24_all_is_on_one_screen(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", run]) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 23


def test_plain_is_ascii(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", run, "--plain"]) == 0
    assert capsys.readouterr().out.isascii()


def test_several_are_told_apart_without_colour(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = make(tmp_path / "other.jsonl", seed=9, steps=30)
    assert main(["plot", run, other]) == 0
    shown = capsys.readouterr().out
    frame = "\n".join(line for line in shown.splitlines() if "│" in line)
    assert {"a", "b"} <= set(frame)
    assert [line[:2] for line in shown.splitlines()[-2:]] == ["a ", "b "]


@pytest.mark.parametrize(("options", "colour"), [((), True), (("--plain",), False), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_only_where_a_terminal_wants_it(options: Any, colour: bool, run: str) -> None:
    """In a pseudo-terminal."""
    import pty

    more, environment = ((), options) if isinstance(options, dict) else (options, {})
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "anneal", "plot", run, *more]
    root = str(Path(__file__).resolve().parents[2])
    kept = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    process = subprocess.Popen(command, stdout=follower, env={**kept, "PYTHONPATH": root, "TERM": "xterm", **environment})
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 1 << 16)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait(60) == 0
    assert (b"\x1b[38;2;0;173;216m" in shown) == colour
    assert (b"\x1b" in shown) == colour


# Pictures.


def test_a_picture_has_a_line_for_each_curve(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each point of the loss is where its numbers put it."""
    other = make(tmp_path / "other.jsonl", seed=9)
    assert main(["plot", run, other, "--output", "curves.svg"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "picture curves.svg"
    tree = ET.parse(tmp_path / "curves.svg")
    paths = [path.get("d") or "" for path in tree.iter("{http://www.w3.org/2000/svg}path")]
    lines = [[(float(x), float(y)) for x, y in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", d)] for d in paths]
    found = [line for line in lines if len(line) == STEPS]
    assert len(found) == 2
    low, high = (f(f(losses(0)), f(losses(9))) for f in (min, max))
    tops = [min(y for line in found for _, y in line), max(y for line in found for _, y in line)]
    for line, expected in zip(found, (losses(0), losses(9)), strict=True):
        for (x, y), step, loss in zip(line, range(STEPS), expected, strict=True):
            assert (x - line[0][0]) / (line[-1][0] - line[0][0]) == pytest.approx(step / (STEPS - 1), abs=1e-4)
            assert (tops[1] - y) / (tops[1] - tops[0]) == pytest.approx((loss - low) / (high - low), abs=1e-4)


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("a.png", b"\x89PNG")])
def test_pictures_are_the_same_bytes_in_each_process(name: str, start: bytes, run: str, tmp_path: Path, anneal: Run) -> None:
    assert main(["plot", run, "--output", name]) == 0
    first = (tmp_path / name).read_bytes()
    assert first.startswith(start)
    assert anneal("plot", run, "--output", name, PYTHONHASHSEED="7").code == 0
    assert (tmp_path / name).read_bytes() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "run.jsonl"])


def test_without_matplotlib_it_says_what_to_install(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["plot", run, "--output", "a.svg"]) == 1
    assert "pip install 'anneal-compiler[plot]'" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["run.jsonl"]
    assert main(["plot", run]) == 0


def test_without_plotext_it_says_what_to_install(run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    assert main(["plot", run]) == 1
    assert "pip install plotext" in capsys.readouterr().err
    assert main(["plot", run, "--json"]) == 0


def test_a_full_disk_is_told(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full.png").symlink_to("/dev/full")
    assert main(["plot", run, "--output", "full.png"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "anneal: error: cannot write full.png: No space left on device\n")


@pytest.mark.parametrize("name", ["a.pdf", "a", "run.jsonl", ".png/"])
def test_other_kinds_of_pictures_are_refused(name: str, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tmp_path / run).read_bytes()
    assert main(["plot", run, "--output", name]) == 2
    assert "name a file that ends in .png or .svg" in capsys.readouterr().err
    assert (tmp_path / run).read_bytes() == before


# Logs that are not whole.


def test_half_a_line_at_the_end_is_left_out_and_told(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / run
    path.write_bytes(path.read_bytes()[:-9])
    assert main(["plot", run]) == 0
    out, err = capsys.readouterr()
    assert err == "anneal: run.jsonl: the last line is cut off and left out; the log ends at step 59\n"
    assert "step 59 of 100" in out
    assert main(["plot", run, "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["runs"][0]["cut"]
    assert document["runs"][0]["summary"]["steps"] == 59
    assert "cut off" in err


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("options", [(), ("--json",), ("--plain",), ("--output", "a.svg")])
def test_a_training_that_has_just_begun(steps: int, options: tuple[str, ...], tmp_path: Path, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / run, steps=steps)
    assert main(["plot", run, *options]) == 0
    assert capsys.readouterr().err == ""


def test_what_cannot_be_read_is_told(run: str, tmp_path: Path, anneal: Run) -> None:
    lines = (tmp_path / run).read_bytes().splitlines(keepends=True)
    for name, data in {"middle": b"".join([*lines[:5], b"{oops\n", *lines[6:]]), "empty": b"", "half": lines[0][:30], "text": b"hello\nworld\n"}.items():
        (tmp_path / name).write_bytes(data)
    for name, said in {
        "middle": "middle is damaged: line 6 is '{oops'",
        "empty": "empty is no log of a training: it is empty",
        "half": "half is no log of a training: its first line is cut off",
        "text": "text is no log of a training: line 1 is 'hello'",
        "missing": "cannot read the log missing: No such file or directory",
        ".": "cannot read the log .: Is a directory",
    }.items():
        done = anneal("plot", run, name)
        assert (done.code, done.out) == (2, ""), name
        assert said in done.err
        assert len(done.err.splitlines()) == 1
    assert anneal("plot").code == 2


def test_a_long_log_is_drawn(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [{"step": i, "loss": 1 / i, "seconds": 1e-3, "host_seconds": 1e-4} for i in range(1, 20_001)]
    (tmp_path / run).write_bytes(log.text([log.header(FACTS, 20_000), *steps]))
    assert main(["plot", run]) == 0
    out = capsys.readouterr().out
    assert "20,000" in out
    assert "accuracy" not in out
