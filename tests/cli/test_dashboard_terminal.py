"""The dashboard in a real terminal, tmux, with real trainings: keys, sizes, signals, pictures."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen
from xml.etree import ElementTree as ET

import pytest

from anneal import nn

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


def test_v_opens_the_visualizer_on_what_is_trained(terminal: Open, tmp_path: Path) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    shell = terminal(80, 24)
    shell.anneal("train", "mlp", "--steps", "1000000", before=f"TMPDIR={tmp_path} BROWSER={browser}")
    shell.until("samples/s")
    shell.press("v")
    shell.until_true(lambda _: opened.exists(), "the browser")
    address = opened.read_text(encoding="utf-8").strip()
    with urlopen(address.replace("?launch=1", "launch.json")) as answer:
        launched = json.load(answer)
    assert (launched["part"], "mlp" in launched["name"]) == ("step", True)
    shell.press("q")
    shell.until("until Ctrl-C")
    shell.press("C-c")
    shell.ended(0)


def test_the_screenshot_is_of_a_training(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dashboard.svg"
    subprocess.run([sys.executable, ROOT / "tools" / "screenshot.py", path], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=PATIENCE)
    words = " ".join(ET.parse(path).getroot().itertext()).replace("\xa0", " ")
    for text in ("step 200/300", "training", "67%", "held-out accuracy", "UOps in", "▪ forward+backward", "samples/s", "stop"):
        assert text in words, text
    kept = (ROOT / "docs" / "images" / "dashboard.svg").read_text(encoding="utf-8")
    assert "step&#160;200/300" in kept
    assert "docs/images/dashboard.svg" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_terminal_of_another_session_has_lines() -> None:
    ours, theirs = os.openpty()
    try:
        asked = [sys.executable, "-c", "import sys; from anneal.cli import dashboard; sys.exit(dashboard.fits() + 10)"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        done = subprocess.run(asked, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environment, check=False, timeout=PATIENCE)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 10
