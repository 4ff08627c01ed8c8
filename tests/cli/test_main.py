"""The frame around the verbs: where options may stand, what help costs, how mistakes are told."""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from anneal.cli import main as command
from anneal.cli.options import VALUED
from anneal.errors import AnnealError, CheckpointError, DeviceError, NoDeviceError, ShapeError, UsageError

Run = Callable[..., Any]


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from anneal.cli.main import main; code = main(['--help'])\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'wgpu', 'torch', 'cffi'}), code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in command.VERBS)
    assert done.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize("verb", command.VERBS)
def test_each_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["--help", verb])
    text = capsys.readouterr().out
    assert stopped.value.code == 0
    assert f"usage: anneal {verb}" in text
    assert f"anneal {verb}" in text.split("example:")[1]
    assert len(text.splitlines()) <= 48


def test_options_that_take_values_are_known_before_the_verb_is() -> None:
    actions = [a for verb in command.VERBS for a in command.parser_of(verb)._actions]
    assert {s for a in actions if a.option_strings and a.nargs != 0 and not isinstance(a, argparse._HelpAction) for s in a.option_strings} == VALUED


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["train", "mlp", "--json"], ("train", ["mlp", "--json"])),
        (["--json", "train", "mlp"], ("train", ["--json", "mlp"])),
        (["mlp", "--steps", "3", "train"], ("train", ["mlp", "--steps", "3"])),
        (["--save", "train", "train", "mlp"], ("train", ["--save", "train", "mlp"])),
        (["--save=run", "train", "mlp"], ("train", ["--save=run", "mlp"])),
        (["mlp"], (None, ["mlp"])),
        (["--", "train"], (None, ["--", "train"])),
    ],
)
def test_the_verb_is_found_wherever_it_stands(argv: list[str], expected: tuple[str | None, list[str]]) -> None:
    assert command.split(argv) == expected


def test_a_terminal_without_the_symbols_gets_ascii(anneal: Run) -> None:
    for words in (("explain", "x + 0 + 1"), ("graph", "mlp")):
        assert anneal(*words, PYTHONIOENCODING="ascii") == anneal(*words, "--plain")


def test_version(anneal: Run) -> None:
    done = anneal("--version")
    assert (done.code, done.out.split()[0], done.err) == (0, "anneal", "")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "say what to do: anneal train|"),
        (["trian", "mlp"], "no command 'trian': did you mean 'train'?"),
        (["--steps", "3", "zzz"], "no command 'zzz': there are "),
        (["train"], "the following arguments are required: MODEL; see anneal train --help"),
        (["train", "mlp", "--stps", "3"], "unrecognized arguments: --stps 3"),
        (["train", "mlp", "--steps", "0"], "argument --steps: 0 is not a whole number from 1 on"),
        (["train", "mlp", "--steps", "x"], "argument --steps: x is not a whole number from 1 on"),
        (["train", "mlp", "--lr", "nan"], "argument --lr: nan is not a finite number from 0 on"),
        (["train", "mlp", "--lr", "-1"], "argument --lr: -1 is not a finite number from 0 on"),
        (["train", "mlp", "--seed", "-1"], "argument --seed: -1 is not a whole number from 0 to 2**63 - 1"),
        (["train", "mlp", "--device", "tpu"], "argument --device: invalid choice: 'tpu' (choose from"),
        (["train", "mlp", "--optimizer", "sg"], "argument --optimizer: invalid choice: 'sg'"),
        (["graph", "mlp", "--step", "--backward"], "not allowed with argument --step"),
        (["train", "mlp", "--batch", "9999"], "a batch of 9999: mlp has 1437 rows to learn from, so it may be 1 to 1437"),
        (["run", "mlp", "--batch", "361"], "mlp has 360 held-out rows, so --batch may be 1 to 360"),
        (["train", "mpl"], "no model 'mpl': did you mean 'mlp'? There are conv, mlp"),
        (["graph", "qqq", "--json"], "no model 'qqq': there are conv, mlp; a model of your own is path/to/file.py:function"),
    ],
)
def test_wrong_usage_is_one_line_on_stderr_and_exit_2(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anneal: error: ")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError, 2), (CheckpointError, 2), (NoDeviceError, 3), (DeviceError, 1), (ShapeError, 1), (AnnealError, 1), (OSError, 1), (KeyboardInterrupt, 1)],
)
def test_each_error_has_its_exit_code(error: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> int:
        raise error("first\n  second")

    monkeypatch.setattr(command, "_command", fail)
    assert command.main(["train", "mlp"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("anneal: ")


def test_a_reader_that_has_had_enough_is_no_failure(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    process = spawn("kernels", "mlp", "--step", "--wgsl")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_progress_that_nobody_reads_stops_nothing(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    process = spawn("train", "mlp", "--steps", "20", "--device", "reference", "--json")
    assert process.stderr is not None
    process.stderr.close()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert '"steps": 20' in out


def test_text_that_a_terminal_cannot_show_is_replaced(anneal: Run) -> None:
    done = anneal("kernels", "mlp", PYTHONIOENCODING="ascii")
    assert (done.code, done.err) == (0, "")


def test_no_colour_without_a_terminal_and_ascii_with_plain(anneal: Run) -> None:
    text, plain = anneal("graph", "mlp").out, anneal("graph", "mlp", "--plain").out
    assert "\x1b" not in text + plain
    assert "— forward" in text
    assert plain.isascii()
    assert "- forward" in plain


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal_that_wants_it(more: dict[str, str], coloured: bool) -> None:
    from anneal.cli.output import Style

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_COLOR", "TERM"):
            patch.delenv(name, raising=False)
        for name, value in more.items():
            patch.setenv(name, value)
        assert Style(Terminal(), plain=False).colour is coloured
        assert ("\x1b[" in Style(Terminal(), plain=False).phases(["forward"])) is coloured
        assert Style(Terminal(), plain=True).phases(["forward"]) == "- forward"
