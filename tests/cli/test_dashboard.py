"""The dashboard: in a real terminal (tmux) with real trainings, and as an app with a monitor of the test's own."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from textual.pilot import Pilot

from anneal import nn
from anneal.cli import dashboard
from anneal.cli import dashboard_text as write
from anneal.cli.dashboard_app import Dashboard
from anneal.cli.dashboard_view import Viewer
from anneal.errors import AnnealError
from anneal.examples import EXAMPLES
from anneal.examples.monitor import Facts, Monitor, Record
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer
from anneal.runtime.device import get_device

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
"""Seconds after which a test gives up: far more than anything takes."""
UNWANTED = ("ANNEAL_CHECK", "ANNEAL_DEVICE", "NO_COLOR", "COLUMNS", "LINES", "TMUX", "TMUX_PANE")


class Terminal:
    """A shell in a terminal, with keys to press and a screen to read."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self.folder, self._home, self._runs = folder, tempfile.mkdtemp(prefix="tmux"), 0
        kept = {k: v for k, v in os.environ.items() if k not in UNWANTED}
        self._environment = {**kept, "PYTHONPATH": str(ROOT), "TMUX_TMPDIR": self._home, "LC_ALL": "C.UTF-8"}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "sh")
        self.until(r"[$#]\s")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", "test", *words]
        return subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, text=True, encoding="utf-8", check=True).stdout

    def anneal(self, *words: str, before: str = "", after: str = "") -> None:
        """Run the command in the shell."""
        self.run(f"{before} {shlex.quote(sys.executable)} -m anneal {shlex.join(words)} {after}")

    def run(self, line: str) -> None:
        """Type a line, and what has its exit code printed in the end."""
        self._runs += 1
        self.type(f"clear; {line}; echo run{self._runs}=$?")

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, *options: str) -> str:
        return self._tmux("capture-pane", "-p", *options)

    def full_screen(self) -> bool:
        """True while a program has the whole screen, and the shell's is kept for later."""
        return self._tmux("display-message", "-p", "#{alternate_on}").strip() == "1"

    def until(self, pattern: str) -> str:
        """The screen, as soon as the pattern is on it."""
        return self.until_true(lambda screen: re.search(pattern, screen) is not None, pattern)

    def until_true(self, wanted: Callable[[str], bool], what: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while not wanted(screen := self.screen()):
            assert time.monotonic() < deadline, f"waited for {what!r}, and there is:\n{screen}"
            time.sleep(0.05)
        return screen

    def ended(self, code: int) -> str:
        """The screen after the command: the shell's own, with the exit code."""
        screen = self.until(rf"run{self._runs}=\d+\s")
        assert f"run{self._runs}={code}\n" in screen, screen
        assert not self.full_screen()
        return screen

    def close(self) -> None:
        self._tmux("kill-server")
        shutil.rmtree(self._home)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[int, int], Terminal]]:
    """Open a terminal of a width and height."""
    opened: list[Terminal] = []

    def start(width: int, height: int) -> Terminal:
        opened.append(Terminal(tmp_path, width, height))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


Open = Callable[[int, int], Terminal]


def step(screen: str) -> int:
    """The step that the dashboard says it is at."""
    found = re.match(r"step (\d+)/", screen)
    assert found, screen
    return int(found[1])


WORDS = ("left", "mlp on webgpu", "loss", "held-out accuracy", "host", "UOps", "kernels", "— forward", "╌ backward", "KiB", "samples/s", "q stop", "v view")


def whole(words: set[str]) -> Callable[[str], bool]:
    """Whether a screen has the dashboard's first line, its last, and some words."""

    def is_whole(screen: str) -> bool:
        lines = screen.splitlines()
        return lines[0].startswith("step ") and "q stop" in lines[-1] and words <= set(re.findall(r"\w+", screen))

    return is_whole


def test_keys_and_sizes_in_a_terminal(terminal: Open, tmp_path: Path) -> None:
    shell = terminal(80, 24)
    shell.anneal("train", "mlp", "--steps", "1000000", "--save", "kept")
    drawn = r"[⠁-⣿]{4}[\s\S]*GPU \d[\s\S]*1 ▪ \w+\+\w+"
    shell.until_true(lambda now: re.search(drawn, now) is not None and all(word in now for word in WORDS), "the whole dashboard")
    assert shell.full_screen()

    shell.press("p")
    paused = shell.until("paused")
    assert step(shell.screen()) == step(paused)
    shell.press("p")
    shell.until_true(lambda now: step(now) > step(paused), "the training goes on")

    for width, height, words in ((40, 12, {"loss"}), (20, 5, {"loss", "accuracy"})):
        shell.resize(width, height)
        screen = shell.until_true(whole(words), f"the dashboard at {width}×{height}")
        assert screen.count("\n") == height
        assert all(len(line) <= width for line in screen.splitlines())
    shell.resize(100, 30)
    shell.until("held-out accuracy[\\s\\S]*UOps")

    shell.press("q")
    screen = shell.ended(0)
    said = re.search(r"in (\d+) steps of 64, sgd, interrupted", screen)
    assert said, screen
    assert nn.state.safe_load_metadata(tmp_path / "kept")["step"] == said[1]
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_two_dashboards_at_once_end_as_asked(terminal: Open, tmp_path: Path) -> None:
    """One by Ctrl-C, one by itself; neither disturbs the other."""
    left, right = terminal(80, 24), terminal(80, 24)
    left.anneal("train", "mlp", "--steps", "1000000", "--save", "left")
    right.anneal("train", "mlp", "--save", "right")
    left.until("samples/s")
    assert "in 300 steps of 64, sgd\n" in right.ended(0)
    left.press("C-c")
    said = re.search(r"in (\d+) steps of 64, sgd, interrupted", left.ended(0))
    assert said
    steps = {name: nn.state.safe_load_metadata(tmp_path / name)["step"] for name in ("left", "right")}
    assert steps == {"left": said[1], "right": "300"}


def test_what_ends_a_training_leaves_a_sane_terminal(terminal: Open, tmp_path: Path) -> None:
    shell = terminal(80, 24)
    settings = "stty -a | tr ' ' '\\n' | grep -x -e -echo -e -icanon -e -isig; "
    shell.anneal("train", "mlp", "--lr", "1e30", "--save", "never", after=f"; code=$?; {settings} (exit $code)")
    assert "the loss is nan at step 2" in shell.ended(1)

    slow = ("train", "conv", "--device", "reference", "--batch", "1437", "--save", "never")
    shell.anneal(*slow, after=f"; code=$?; {settings} (exit $code)")
    shell.until("waiting for the first one")
    shell.press("C-c")
    shell.until("stopping")
    shell.press("C-c")
    assert "anneal: interrupted" in shell.ended(1)

    shell.anneal(
        "train", "mlp", "--steps", "1000000", "--save", "never", before='sh -c \'echo $$ > id; exec "$0" "$@"\'', after=f"; code=$?; {settings} (exit $code)"
    )
    shell.until("samples/s")
    os.kill(int((tmp_path / "id").read_text()), signal.SIGTERM)
    screen = shell.ended(128 + signal.SIGTERM)
    for mode in ("-echo", "-icanon", "-isig"):
        assert f"\n{mode}" not in screen
    assert [p.name for p in tmp_path.iterdir()] == ["id"]


def test_ctrl_z_gives_the_shell_and_fg_the_dashboard(terminal: Open) -> None:
    shell = terminal(80, 24)
    shell.anneal("train", "mlp", "--steps", "1000000")
    shell.until("samples/s")
    shell.press("C-z")
    shell.until(r"[Ss]topped|Suspended")
    assert not shell.full_screen()
    shell.type("clear; fg")
    shell.until("training[\\s\\S]*samples/s")
    shell.press("q")
    shell.until("interrupted")


def test_without_colour_there_is_none_and_without_a_screen_there_are_lines(terminal: Open) -> None:
    shell = terminal(80, 24)
    shell.anneal("train", "mlp", "--steps", "1000000", before="NO_COLOR=1")
    assert "▪ " in shell.until("samples/s[\\s\\S]*v view")
    codes = {code for codes in re.findall(r"\x1b\[([\d;]*)m", shell.screen("-e")) for code in codes.split(";")}
    assert not codes & {str(code) for code in (*range(30, 39), *range(40, 49), *range(90, 98), *range(100, 108))}
    shell.press("q")
    shell.ended(0)
    for before, option in (("TERM=dumb", "--seed=1"), ("", "--plain")):
        shell.anneal("train", "mlp", "--steps", "3", "--device", "reference", option, before=before)
        assert re.search(r"^step 3/3  loss", shell.ended(0), re.MULTILINE), (before, option)


def test_it_fits_a_terminal_that_is_its_own_and_nothing_else(terminal: Open) -> None:
    shell = terminal(80, 24)
    asked = shlex.join([sys.executable, "-c", "import sys; from anneal.cli import dashboard; sys.exit(dashboard.fits() + 10)"])
    for line, fits in ((asked, True), (f"{asked} < /dev/null", False), (f"{asked} > out", False), (f"{asked} 2> err", False), (f"{asked} & wait $!", False)):
        shell.run(line)
        shell.ended(10 + fits)


def test_v_opens_a_page_of_the_graph_and_the_kernels(terminal: Open, tmp_path: Path) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    shell = terminal(80, 24)
    shell.anneal("train", "mlp", "--steps", "1000000", before=f"TMPDIR={tmp_path} BROWSER={browser}")
    shell.until("samples/s")
    shell.press("v")
    shell.until_true(lambda _: opened.exists(), "the browser")
    shell.press("q")
    screen = shell.ended(0).replace("\n", "")
    path = opened.read_text(encoding="utf-8").strip().removeprefix("file://")
    assert f"anneal: graph and kernels are in {path}" in screen
    page = Path(path).read_text(encoding="utf-8")
    assert Path(path).parent == tmp_path
    for text in ("<h2>Kernels</h2>", "<h2>Graph</h2>", "@compute", "hidden.weight", "forward+backward", "╌"):
        assert text in page, text
    assert not re.search(r"<script|(src|href)=", page), "the page needs nothing from elsewhere"


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
    facts = Facts("mlp", "webgpu", "a GPU", batch=64, optimizer="sgd", seed=7, rows=1437, held=360, parameters=9610)
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
            "webgpu: a GPU",
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
        assert "paused" in await screen_of(app, pilot)
        await pilot.press("p")
        assert not monitor.pausing
        await pilot.press("v")
        assert work.asked == 1
        work.said = "the page is there"
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
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Viewer(Trainer(Program(EXAMPLES["mlp"], batch=8), get_device("reference")))


def test_without_a_browser_the_file_is_named(viewer: Viewer, tmp_path: Path) -> None:
    viewer.serve()
    assert not list(tmp_path.iterdir()), "nobody asked"
    viewer.ask()
    viewer.serve()
    (path,) = tmp_path.iterdir()
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
    viewer.ask()
    viewer.serve()
    assert "No space left on device" in viewer.said
    assert not viewer.written
    assert not list(tmp_path.iterdir())


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


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB"), (1 << 44, "16384.0 GiB")]
)
def test_sizes_are_read_in_their_unit(count: int, text: str) -> None:
    assert write.size(count) == text


@pytest.mark.parametrize("fraction", [-1.0, 0.0, 0.004, 0.5, 0.996, 1.0, 7.0])
@pytest.mark.parametrize("width", [0, 1, 80])
def test_the_bar_is_as_wide_as_it_is_told(fraction: float, width: int) -> None:
    drawn = write.bar(fraction, width)
    assert len(drawn) == width
    assert drawn.count("━") == round(min(max(fraction, 0), 1) * width)


def test_the_screenshot_is_of_a_training(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dashboard.svg"
    subprocess.run([sys.executable, ROOT / "tools" / "screenshot.py", path], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=PATIENCE)
    words = " ".join(ET.parse(path).getroot().itertext()).replace("\xa0", " ")
    for text in ("step 200/300", "training", "67%", "held-out accuracy", "UOps in", "▪ forward+backward", "samples/s", "stop"):
        assert text in words, text
    kept = (ROOT / "docs" / "images" / "dashboard.svg").read_text(encoding="utf-8")
    assert "step&#160;200/300" in kept
    assert "docs/images/dashboard.svg" in (ROOT / "README.md").read_text(encoding="utf-8")
