"""Every verb under what goes wrong around it: wrong names, a reader that leaves, a narrow terminal, a log cut short, a full disk.

Never a traceback, an exit code that tells, and nothing lost. What one verb alone can be given that is wrong, its own tests hold; two
dashboards at once are with the dashboard's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from anneal.cli.main import VERBS, main

ROOT: Final = Path(__file__).resolve().parents[2]
LOG: Final = "run.jsonl"
SAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "train": ("mlp", "--steps", "3", "--device", "reference"),
    "plot": (LOG,),
    "run": ("mlp", "--device", "reference"),
    "graph": ("mlp", "--step"),
    "kernels": ("mlp", "--step"),
    "explain": ("add",),
    "doctor": (),
    "bench": ("compile-mlp", "--quick", "--device", "reference"),
}
"""Each verb with something to do."""
QUICK: Final = """
import sys
from anneal.cli import bench
from anneal.cli.main import main
from anneal.runtime import measure
spread = measure.Spread.of([1e9, 2e9, 3e9])
measure.peaks = lambda device: measure.Peaks(spread, spread)
bench._SECONDS = {True: 0.0, False: 0.0}
sys.exit(main())
"""
"""The command, but for the time that measuring takes: other tests measure."""


def command(*arguments: str) -> list[str]:
    """The command as a user runs it, quick where it would measure."""
    program = ["-c", QUICK] if arguments[0] in ("doctor", "bench") else ["-m", "anneal"]
    return [sys.executable, *program, *arguments]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run, with a log of a training."""
    place = tmp_path_factory.mktemp("bad")
    arguments = ["train", "mlp", "--steps", "12", "--device", "reference", "--log", LOG]
    subprocess.run(command(*arguments), cwd=place, env=environment(), check=True, capture_output=True, timeout=120)
    return place


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("ANNEAL_CHECK", "ANNEAL_DEVICE", "NO_COLOR", "COLUMNS", "LINES", "TERM")}
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **more}


def test_there_is_a_sample_of_each_verb() -> None:
    assert {*SAMPLES, "viz"} == set(VERBS), "viz serves until it is ended: tests/cli/test_viz.py"


# Wrong names.


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("trian mlp", "did you mean 'train'?"),
        ("train mpl", "did you mean 'mlp'?"),
        ("run conw", "did you mean 'conv'?"),
        ("graph mpl", "did you mean 'mlp'?"),
        ("graph mlp --stage simplifed", "did you mean 'simplified'?"),
        ("graph mlp --find op=reduce_axs", "did you mean 'reduce_axis'?"),
        ("graph mlp --find rule=add_zer", "did you mean 'add_zero'?"),
        ("graph mlp --find opp=mul", "did you mean 'op'?"),
        ("graph mlp --node 99999", "there are 0 to"),
        ("graph mlp --bakward", "did you mean '--backward'?"),
        ("kernels mpl", "did you mean 'mlp'?"),
        ("kernels mlp --only matmul_ad", "did you mean 'matmul_add_"),
        ("explain reduce_axs", "did you mean 'reduce_axis'?"),
        ("explain rule:add_zer", "did you mean 'add_zero'?"),
        ("explain stage:lowerd", "did you mean 'lowered'?"),
        ("explain op:mull", "did you mean 'mul'?"),
        ("explain group:algebr", "did you mean 'algebra'?"),
        ("bench matmull", "did you mean 'matmul'?"),
        ("plot nothing.jsonl", "nothing.jsonl"),
        ("doctor mlp", "unrecognized arguments: mlp"),
        ("train mlp --device webgp", "choose from 'webgpu', 'reference'"),
        ("train mlp --steps x", "x is not a whole number from 1 on"),
        ("graph nothing.py:model", "no file 'nothing.py'"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_near(line: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err
    assert err.startswith("anneal: error: ")
    assert err.count("\n") == 1


# Readers that leave, disks that are full, terminals that are narrow.


@pytest.mark.parametrize(("verb", "lines"), [*((verb, 0) for verb in SAMPLES), ("graph", 1), ("explain", 1), ("train", 1)])
def test_a_reader_that_leaves_after_some_lines_ends_it_quietly(verb: str, lines: int, folder: Path) -> None:
    form = [] if lines else ["--json"]
    with subprocess.Popen(
        command(verb, *SAMPLES[verb], *form), cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout
        assert process.stderr
        for _ in range(lines):
            assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(120) == 0, err
    assert "Traceback" not in err
    assert "Broken" not in err


@pytest.mark.parametrize("verb", SAMPLES)
def test_a_full_disk_behind_stdout_is_told(verb: str, folder: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command(verb, *SAMPLES[verb]),
            cwd=folder,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "anneal: error: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in ("train", "graph"))], ids=" ".join)
def test_help_to_a_full_disk_fails_too(arguments: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run([sys.executable, "-m", "anneal", *arguments], env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "anneal: error: No space left on device\n")


OWN_TERMINAL: Final = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Runs a command with the terminal that it has open as the one whose keys it hears."""


def on_terminal(arguments: Sequence[str], folder: Path, columns: int, rows: int = 10) -> tuple[int, str]:
    """Run the command on a terminal of its own; returns its exit code and all that it wrote there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    started = [sys.executable, "-c", OWN_TERMINAL, *command(*arguments)]
    process = subprocess.Popen(started, cwd=folder, env=environment(), stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    written = b""
    with contextlib.suppress(OSError):  # the terminal is gone when nobody has it open any more
        while part := os.read(master, 1 << 16):
            written += part
    os.close(master)
    return process.wait(120), written.decode("utf-8", "replace")


@pytest.mark.parametrize("verb", SAMPLES)
def test_twenty_columns_are_enough(verb: str, folder: Path) -> None:
    code, written = on_terminal([verb, *SAMPLES[verb]], folder, 20)
    assert code == 0, written
    assert "Traceback" not in written
    assert len(written) > 100


@pytest.mark.parametrize("columns", ["1", "20", "0", "-3", "many"])
def test_no_number_of_columns_is_too_small_or_too_odd(columns: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", columns)
    for arguments in (["--help"], ["plot", LOG], ["graph", "mlp"], ["kernels", "mlp"], ["explain", "add"]):
        assert main(arguments) == 0, arguments
        assert capsys.readouterr().out


# Logs that end in the middle.


def test_a_log_cut_anywhere_is_drawn_or_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    whole = (folder / LOG).read_bytes()
    start = whole.index(b"\n") + 1
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in sorted({0, 1, start // 2, start - 1, *ends, *(end - 1 for end in ends[1:]), *range(start + 1, len(whole), 37)}):
        (folder / "cut.jsonl").write_bytes(whole[:cut])
        code = main(["plot", "cut.jsonl", "--json"])
        out, err = capsys.readouterr()
        if cut < start:
            assert (code, out) == (2, ""), cut
            assert "cut.jsonl" in err
            continue
        assert code == 0, (cut, err)
        [run] = json.loads(out)["runs"]
        assert len(run["series"]["steps"]) == whole.count(b"\n", 0, cut) - 1, cut
        assert run["cut"] == (cut not in ends), cut
        assert ("cut.jsonl" in err) == run["cut"], (cut, err)


# Files that do not fit the disk.


WRITTEN: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "checkpoint": ("old.safetensors", ("train", "mlp", "--steps", "2", "--device", "reference", "--save")),
    "drawing": ("old.svg", ("graph", "mlp", "--svg")),
    "curves svg": ("old.svg", ("plot", LOG, "--output")),
    "curves png": ("old.png", ("plot", LOG, "--output")),
    "bars": ("old.svg", ("bench", "compile-mlp", "--quick", "--device", "reference", "--output")),
}
"""Every file that a verb writes in one step, and how; a log is written on and on, and is with `train`'s tests."""


SMALL_FILES: Final = ("sh", "-c", 'ulimit -f 1; exec "$@"', "sh")
"""Runs a command that can write no file larger than a block."""


@pytest.mark.parametrize("what", WRITTEN)
def test_a_file_that_does_not_fit_leaves_the_old_one_whole(what: str, folder: Path, tmp_path: Path) -> None:
    name, arguments = WRITTEN[what]
    (tmp_path / LOG).write_bytes((folder / LOG).read_bytes())
    (tmp_path / name).write_text("old", encoding="utf-8")
    started = [*SMALL_FILES, *command(*arguments, name)]
    done = subprocess.run(started, cwd=tmp_path, env=environment(), capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert name in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].endswith("File too large")
    assert "Traceback" not in done.stderr
    assert (tmp_path / name).read_text(encoding="utf-8") == "old"
    assert sorted(os.listdir(tmp_path)) == sorted([LOG, name])


@pytest.mark.parametrize("what", ["checkpoint", "drawing", "curves svg"])
def test_a_device_in_a_file_s_place_stays_a_device(what: str, folder: Path, tmp_path: Path) -> None:
    name, arguments = WRITTEN[what]
    (tmp_path / LOG).write_bytes((folder / LOG).read_bytes())
    (tmp_path / name).symlink_to("/dev/full")
    done = subprocess.run(
        command(*arguments, name), cwd=tmp_path, env=environment(), capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("No space left on device")
    assert (tmp_path / name).is_char_device()
