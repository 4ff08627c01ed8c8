"""The dashboard as an app, with a monitor of the test's own: what it shows, what keys ask for, when it ends."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import io
import json
import os
import tempfile
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from textual.pilot import Pilot
from viz_site import build

from anneal.cli import dashboard, train, viz
from anneal.cli import dashboard_text as write
from anneal.cli.dashboard_app import Dashboard
from anneal.cli.dashboard_view import Viewer
from anneal.cli.main import parser_of
from anneal.cli.viz_program import Request
from anneal.errors import AnnealError
from anneal.examples import EXAMPLES
from anneal.examples.checkpoint import Progress
from anneal.examples.monitor import Facts, Monitor, Record
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer
from anneal.runtime.device import get_device


class Work:
    """A training that the test moves on, and a page that it sees asked for."""

    said = ""

    def __init__(self) -> None:
        self.started = self.ended = False
        self.asked = self.served = 0

    def start(self) -> None:
        self.started = True

    def over(self) -> bool:
        return self.ended

    def ask(self) -> None:
        self.asked += 1

    def serve(self) -> None:
        self.served += 1


PHASES = {"backward+update": 2, "forward": 3, "backward": 1, "forward+backward": 1}


def monitor_of(done: int = 0, steps: int = 300) -> Monitor:
    facts = Facts("mlp", "webgpu", "a GPU [of/ours]", batch=64, optimizer="sgd", seed=7, rows=1437, held=360, parameters=9610)
    monitor = Monitor(dataclasses.replace(facts, uops=179, kernels=7, phases=PHASES, bytes=3 * 1024 * 512, compile_seconds=0.25), steps)
    monitor.add([Record(n, 2.0 / n, 0.002, 0.001, 0.0005, 0.9 if n % 10 == 0 else None) for n in range(1, done + 1)])
    monitor.state = "training"
    return monitor


Body = Callable[[Dashboard, Pilot[None], Work], Awaitable[None]]


def drive(monitor: Monitor, body: Body, size: tuple[int, int] = (80, 24), shown: float = 0) -> Dashboard:
    """The app, with a screen but no terminal, while a test uses it."""

    async def use() -> Dashboard:
        work = Work()
        app = Dashboard(monitor, work, work, shown)
        async with app.run_test(size=size) as pilot:
            assert work.started
            await pilot.pause()
            await body(app, pilot, work)
        return app

    return asyncio.run(use())


async def screen_of(app: Dashboard, pilot: Pilot[None]) -> str:
    """The screen as text, drawn anew."""
    app.draw()
    await pilot.pause()
    return as_it_is(app)


def as_it_is(app: Dashboard) -> str:
    """The screen as text."""
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in app.screen._compositor.render_strips())


def ended(app: Dashboard) -> bool:
    return not app.is_running or app._exit


def test_what_it_says_is_what_the_monitor_holds() -> None:
    async def body(app: Dashboard, pilot: Pilot[None], work: Work) -> None:
        screen = await screen_of(app, pilot)
        assert screen.startswith(f"step 40/300  training  13%  0:01 left  mlp on webgpu\n{'━' * 11}{'─' * 69}\n")
        for text in (
            f"loss {2 / 40:.4f}",
            "held-out accuracy 0.9000",
            "2.00 ms (host 1.00, GPU 0.50), 32,000 samples/s",
            "179 UOps in 7 kernels, compiled in 250 ms",
            "3 — forward  1 ╌ backward",
            "1 ▪ forward+backward  2 ▪ backward+update",
            "1.5 MiB in buffers, 9,610 parameters",
            "1,437 rows to learn from, 360 held out; batch 64, sgd, seed 7",
            "webgpu: a GPU [of/ours]",
        ):
            assert text in screen, text

    drive(monitor_of(40), body)


SIZES = ((80, 24), (1, 1), (20, 5), (2, 3), (20, 40), (9, 4), (40, 12), (63, 19), (300, 9), (64, 20), (240, 70))


@pytest.mark.parametrize("done", [0, 1, 250])
def test_every_size_is_drawn_without_spilling(done: int) -> None:
    async def body(app: Dashboard, pilot: Pilot[None], work: Work) -> None:
        for width, height in SIZES:
            await pilot.resize_terminal(width, height)
            lines = (await screen_of(app, pilot)).split("\n")
            assert len(lines) == height
            assert all(len(line) <= width for line in lines)
            if width >= 20:
                assert lines[0].startswith(f"step {done}/300")
            if width >= 20 and height >= 5:
                assert any("loss" in line for line in lines)
                assert any("q stop" in line for line in lines)

    drive(monitor_of(done), body)


def test_a_new_size_is_filled_though_the_training_rests() -> None:
    async def body(app: Dashboard, pilot: Pilot[None], work: Work) -> None:
        await screen_of(app, pilot)
        for width, height in ((120, 40), (40, 12), (80, 24)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            resized = as_it_is(app)
            assert resized == await screen_of(app, pilot), (width, height)

    drive(monitor_of(40), body)


def test_keys_ask_and_the_training_answers() -> None:
    async def body(app: Dashboard, pilot: Pilot[None], work: Work) -> None:
        monitor = app.monitor
        await pilot.press("p")
        assert monitor.pausing
        assert "pausing" in await screen_of(app, pilot)
        served = work.served
        monitor.state = "paused"
        app.look()
        assert work.served > served, "a page is written while the training rests"
        work.said = "the page is there"
        assert "p goes on; the page is there" in await screen_of(app, pilot)
        await pilot.press("p")
        assert not monitor.pausing
        await pilot.press("v")
        assert work.asked == 1
        monitor.state = "training"
        assert "the page is there" in await screen_of(app, pilot)
        await pilot.press("q")
        assert monitor.stopping
        assert "stopping" in await screen_of(app, pilot)
        assert not ended(app), "the training has not ended yet"
        work.ended = True
        app.look()
        assert ended(app)

    drive(monitor_of(5), body, shown=1000)


def test_the_second_ctrl_c_does_not_wait_for_the_training() -> None:
    async def body(app: Dashboard, pilot: Pilot[None], work: Work) -> None:
        await pilot.press("ctrl+c")
        app.look()
        assert app.monitor.stopping
        assert not ended(app)
        await pilot.press("ctrl+c")
        app.look()
        assert ended(app)

    assert drive(monitor_of(5), body).pressed == 2


def test_it_stays_to_be_seen_and_as_long_as_it_is_held() -> None:
    async def body(app: Dashboard, pilot: Pilot[None], work: Work) -> None:
        work.ended, app.monitor.state = True, "done"
        app.look()
        assert not ended(app), "it has not been up for long"
        assert "closes by itself" in await screen_of(app, pilot)
        await pilot.press("p")
        app._began -= 2000
        app.look()
        assert not ended(app), "it is held"
        await pilot.press("p")
        app.look()
        assert ended(app)

    drive(monitor_of(300), body, shown=1000)


def test_a_training_that_fails_ends_it_at_once() -> None:
    async def body(app: Dashboard, pilot: Pilot[None], work: Work) -> None:
        work.ended = True
        app.monitor.end(ValueError("broken"))
        app.look()
        assert ended(app)

    drive(monitor_of(5), body, shown=1000)


def test_a_training_in_a_thread_hands_on_what_it_raises() -> None:
    def fail() -> None:
        raise KeyError("from the thread")

    training = dashboard.Training(fail)
    with pytest.raises(AnnealError, match="could not begin"):
        training.finish()
    training.start()
    with pytest.raises(KeyError, match="from the thread"):
        training.finish()
    assert training.over()


@pytest.fixture
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Viewer:
    """For a small training, in a place without a browser."""

    def nothing(*_: object) -> None:
        raise webbrowser.Error

    monkeypatch.setattr(webbrowser, "get", nothing)
    (tmp_path / "pages").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "pages"))
    monkeypatch.setattr(viz, "ROOT", tmp_path)
    trainer = Trainer(Program(EXAMPLES["mlp"], batch=8), get_device("reference"))
    return Viewer(trainer, lambda: Request.of("mlp", "step", batch=8))


def asked(viewer: Viewer) -> None:
    """Ask for it, and wait until what can be done at once is done."""
    viewer.ask()
    if viewer._opening is not None:
        viewer._opening.join()


def test_the_visualizer_opens_on_the_model_that_is_trained(viewer: Viewer, tmp_path: Path) -> None:
    build(tmp_path / "viz" / "dist", {"index.html": b"a page"})
    (tmp_path / "build_wasm.py").write_text("")
    asked(viewer)
    assert viewer.server is not None
    address = f"http://127.0.0.1:{viewer.server.port}/"
    assert viewer.said == f"no browser here: open {address}?launch=1"
    with urlopen(f"{address}launch.json") as answer:
        launch = json.load(answer)
    assert launch["part"] == "step"
    assert "batch=8" in launch["source"]
    server = viewer.server
    asked(viewer)
    assert viewer.server is server
    viewer.serve()
    assert not viewer.written
    server.stop()


def test_a_site_that_cannot_be_built_says_nothing_on_the_terminal(viewer: Viewer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "build_wasm.py").write_text("print('noise'); raise SystemExit('no network')")
    asked(viewer)
    viewer.serve()
    assert viewer.said.startswith("no browser here: open ")
    assert viewer.said.endswith(".html")
    assert capfd.readouterr() == ("", "")


def test_without_a_browser_the_file_is_named(viewer: Viewer, tmp_path: Path) -> None:
    viewer.serve()
    assert not list((tmp_path / "pages").iterdir()), "nobody asked"
    asked(viewer)
    viewer.serve()
    (path,) = (tmp_path / "pages").iterdir()
    assert viewer.said == f"no browser here: open {path}"
    assert viewer.written == [str(path)]
    viewer.serve()
    assert len(viewer.written) == 1, "asked for once, written once"


def test_a_full_disk_costs_no_training_and_leaves_no_half_page(viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full(handle: int, *_: object, **__: object) -> Full:
        os.close(handle)
        return Full()

    monkeypatch.setattr(os, "fdopen", full)
    asked(viewer)
    viewer.serve()
    assert "No space left on device" in viewer.said
    assert not viewer.written
    assert not list((tmp_path / "pages").iterdir())


def test_what_is_printed_meanwhile_is_kept() -> None:
    async def body(app: Dashboard, pilot: Pilot[None], work: Work) -> None:
        await asyncio.to_thread(print, "from another thread")
        await pilot.pause()
        assert "".join(event.text for event in app.printed) == "from another thread\n"
        assert "from another thread" not in await screen_of(app, pilot)

    drive(monitor_of(5), body)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00"), (90061, "25:01:01")])
def test_times_are_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert write.clock(seconds) == text


@pytest.mark.parametrize("fraction", [-1.0, 0.0, 0.004, 0.5, 0.996, 1.0, 7.0])
@pytest.mark.parametrize("width", [0, 1, 80])
def test_the_bar_is_as_wide_as_it_is_told(fraction: float, width: int) -> None:
    drawn = write.bar(fraction, width)
    assert len(drawn) == width
    assert drawn.count("━") == round(min(max(fraction, 0), 1) * width)


@pytest.mark.parametrize(
    ("words", "batch", "optimizer", "options"),
    [
        ([], 64, "sgd", {}),
        (["--lr", "0.5"], 64, "sgd", {"lr": 0.5}),
        (["--batch", "8"], 8, "sgd", {"batch": 8}),
        (["--optimizer", "adam"], 64, "adam", {"optimizer": "adam", "lr": 5e-3}),
        (["--optimizer", "adam", "--lr", "0.1"], 64, "adam", {"optimizer": "adam", "lr": 0.1}),
    ],
)
def test_the_visualizer_is_asked_for_what_is_trained(words: list[str], batch: int, optimizer: str, options: dict[str, Any]) -> None:
    arguments = parser_of("train").parse_args(["mlp", *words])
    request = train._request(arguments, EXAMPLES["mlp"], Progress("mlp", 0, 0, batch, optimizer))
    assert (request.name, request.part, request.options) == ("mlp", "step", options)
    given = Program(EXAMPLES["mlp"], batch=arguments.batch, optimizer=arguments.optimizer, lr=arguments.lr)
    shown = Program(dataclasses.replace(EXAMPLES["mlp"], **options))
    assert (shown.batch, type(shown.optimizer)) == (given.batch, type(given.optimizer))
    assert shown.optimizer.lr.item() == given.optimizer.lr.item()
