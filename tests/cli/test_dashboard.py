"""The dashboard: in a real terminal (tmux) with real trainings, and as an app with a monitor of the test's own."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from anneal import nn
from anneal.cli import dashboard
from anneal.cli import dashboard_text as write
from anneal.cli.dashboard_app import Dashboard
from anneal.examples.monitor import Facts, Monitor, Record

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30
"""Seconds after which a test gives up: far more than anything takes."""
UNWANTED = ("ANNEAL_CHECK", "ANNEAL_DEVICE", "NO_COLOR", "COLUMNS", "LINES", "TMUX", "TMUX_PANE")


class Terminal:
    """A shell in a terminal, with keys to press and a screen to read."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self.folder, self._home = folder, tempfile.mkdtemp(prefix="tmux")
        kept = {k: v for k, v in os.environ.items() if k not in UNWANTED}
        self._environment = {**kept, "PYTHONPATH": str(ROOT), "TMUX_TMPDIR": self._home, "LC_ALL": "C.UTF-8"}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "sh")
        self.until(r"[$#]\s")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", "test", *words]
        return subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, text=True, encoding="utf-8", check=True).stdout

    def anneal(self, *words: str, before: str = "", after: str = "") -> None:
        """Type a command, and to have its exit code printed."""
        self.type(f"clear; {before} {shlex.quote(sys.executable)} -m anneal {shlex.join(words)} {after}; echo exit=$?")

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
        screen = self.until(r"exit=\d+\s")
        assert f"exit={code}" in screen, screen
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


def test_keys_and_sizes_in_a_terminal(terminal: Open, tmp_path: Path) -> None:
    shell = terminal(80, 24)
    shell.anneal("train", "mlp", "--steps", "1000000", "--save", "kept")
    screen = shell.until(r"samples/s[\s\S]*v view")
    assert shell.full_screen()
    for word in (
        "training",
        "left",
        "mlp on webgpu",
        "loss",
        "held-out accuracy",
        "host",
        "GPU",
        "UOps",
        "kernels",
        "— forward",
        "╌ backward",
        "KiB",
        "q stop",
    ):
        assert word in screen, word
    assert "▪ forward+backward" in screen or "▪ backward+update" in screen
    assert "⣀" in screen or "⠤" in screen, "no curve"

    shell.press("p")
    paused = shell.until("paused")
    assert step(shell.screen()) == step(paused)
    shell.press("p")
    shell.until_true(lambda now: step(now) > step(paused), "the training goes on")

    shell.resize(40, 12)
    screen = shell.until_true(lambda now: now.count("\n") == 12 and "q stop" in now, "40×12")
    assert all(len(line) <= 40 for line in screen.splitlines())
    assert {"step", "loss"} <= set(re.findall(r"\w+", screen))
    shell.resize(20, 5)
    screen = shell.until_true(lambda now: now.count("\n") == 5 and "q stop" in now, "20×5")
    assert all(len(line) <= 20 for line in screen.splitlines())
    assert {"step", "loss", "accuracy"} <= set(re.findall(r"\w+", screen))
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

    shell.anneal("train", "mlp", "--steps", "1000000", "--save", "never", before="sh -c 'echo $$ > id; exec \"$0\" \"$@\"'", after=f"; code=$?; {settings} (exit $code)")
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
    for before, after in (("TERM=dumb", ""), ("", "2>&1 | cat"), ("", "--plain"), ("", "< /dev/null")):
        shell.anneal("train", "mlp", "--steps", "3", "--device", "reference", before=before, after=after)
        screen = shell.ended(0)
        assert re.search(r"^step 3/3  loss", screen, re.MULTILINE), (before, after)


def test_in_the_background_there_are_lines(terminal: Open) -> None:
    shell = terminal(80, 24)
    shell.anneal("train", "mlp", "--steps", "3", "--device", "reference", after="& wait $!")
    assert re.search(r"^step 3/3  loss", shell.ended(0), re.MULTILINE)


class Work:
    """A training that the test moves on."""

    def __init__(self) -> None:
        self.started = self.ended = False

    def start(self) -> None:
        self.started = True

    def over(self) -> bool:
        return self.ended


PHASES = {"backward+update": 2, "forward": 3, "backward": 1, "forward+backward": 1}


def monitor_of(steps: int = 300, done: int = 0) -> Monitor:
    facts = Facts(
        "mlp", "webgpu", "a GPU", batch=64, optimizer="sgd", seed=7, rows=1437, held=360, parameters=9610, uops=179, kernels=7, phases=PHASES, bytes=555_000
    )
    monitor = Monitor(facts, steps)
    monitor.add([Record(n, 2.0 / n, 0.002, 0.001, 0.0005, 0.9 if n % 10 == 0 else None) for n in range(1, done + 1)])
    monitor.state = "training"
    return monitor


def run_app(monitor: Monitor, body: Callable[[Dashboard, Pilot[None], Work], Awaitable[None]], size: tuple[int, int] = (80, 24), shown: float = 0) -> Dashboard:
    """The app, under a driver without a terminal, while a test uses it."""

    async def use() -> Dashboard:
        work = Work()
        app = Dashboard(monitor, work, shown)
        async with app.run_test(size=size) as pilot:
            await body(app, pilot, work)
        return app

    return asyncio.run(use())


def seen(app: Dashboard) -> str:
    """The app's screen as text."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)
