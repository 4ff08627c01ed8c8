"""`anneal kernels`: what it prints is the real plan, names are the user's, times are real, comparisons are true, mistakes teach."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anneal as package
from anneal.cli.highlight import wgsl
from anneal.cli.main import main
from anneal.cli.output import Style
from anneal.examples import EXAMPLES
from anneal.examples.program import Program
from anneal.export.schema.check import check
from anneal.export.schema.kernels import Difference, Kernels

Run = Callable[..., Any]
ROOT = Path(package.__file__).parents[1]
PARTS = {"forward": [], "backward": ["--backward"], "step": ["--step"]}


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main([*argv, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def text(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["kernels", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["kernels", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize("model", EXAMPLES)
@pytest.mark.parametrize("part", PARTS)
def test_kernels_are_those_of_the_program_and_of_its_phases(model: str, part: Any, capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, "kernels", model, *PARTS[part])
    check(document, Kernels)
    plan = package.compile(*Program(EXAMPLES[model]).outputs(part), target=package.Target.portable())
    assert document["fingerprint"] == plan.fingerprint
    assert [k["wgsl"] for k in document["kernels"]] == [k.wgsl for k in plan.kernels]
    expected = {"forward": {"forward"}, "backward": {"forward", "backward"}, "step": {"forward", "backward", "update"}}[part]
    assert {p for k in document["kernels"] for p in k["phases"]} == expected
    for kernel in document["kernels"]:
        assert kernel["phases"]
        stored = sorted(b["name"] for b in kernel["boundaries"] if b["scope"] == "global")
        assert stored == sorted(v["name"] for v in kernel["outputs"]) != []
        assert all(b["reason"] for b in kernel["boundaries"])


@pytest.mark.parametrize("model", EXAMPLES)
def test_a_step_fuses_across_phases_and_marks_it(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, "kernels", model, "--step")
    fused = [k for k in document["kernels"] if len(k["phases"]) > 1]
    assert any({"forward", "backward"} <= set(k["phases"]) or {"backward", "update"} <= set(k["phases"]) for k in fused)
    lines = text(capsys, model, "--step").splitlines()
    for kernel in fused:
        assert any(line.endswith(f". {kernel['name']}  ▪ {'+'.join(kernel['phases'])}, fused") for line in lines)
    assert sum(line.endswith(", fused") for line in lines) == len(fused)
    plain = text(capsys, model, "--step", "--plain")
    assert plain.isascii()
    assert plain.count(", fused\n") == len(fused)
    assert "# backward+update, fused" in plain


def test_values_go_by_the_users_names(capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, "kernels", "mlp", "--step")
    read = {v["name"] for k in document["kernels"] for v in k["inputs"]}
    written = {v["name"] for k in document["kernels"] for v in k["outputs"]}
    assert {"inputs", "labels", "batch", "hidden.weight", "optimizer.lr"} <= read
    assert {"hidden.weight", "output.bias", "optimizer.velocity.0", "loss"} <= written
    gradients = {v["name"] for k in printed(capsys, "kernels", "mlp", "--backward")["kernels"] for v in k["outputs"]}
    assert {"loss", "hidden.weight.grad", "output.bias.grad"} <= gradients
    outputs = {v["name"] for k in printed(capsys, "kernels", "mlp")["kernels"] for v in k["outputs"]}
    assert "output" in outputs


def test_train_runs_the_very_plan_that_kernels_shows(anneal: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "kernels", "mlp", "--step", "--device", "reference", "--batch", "32")
    run = anneal("train", "mlp", "--steps", "1", "--batch", "32", "--device", "reference", "--json")
    assert run.json["fingerprint"] == shown["fingerprint"]


def test_python_prints_what_the_command_prints(capsys: pytest.CaptureFixture[str], file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = file("from anneal import Tensor\ndef f():\n    return Tensor([[1.0, 2.0], [3.0, 4.0]]).softmax()\n")
    monkeypatch.setenv("COLUMNS", "90")
    plan = package.compile(package.Tensor([[1.0, 2.0], [3.0, 4.0]]).softmax(), target=package.Target.portable())
    assert text(capsys, f"{path}:f") == f"{plan.explain()}\n"


# The source.


def test_wgsl_is_printed_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    short, long = text(capsys, "mlp"), text(capsys, "mlp", "--wgsl")
    assert "@compute" not in short
    assert long.count("@compute") == short.count("workgroups of")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_wgsl_in_colour_is_the_same_wgsl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for kernel in printed(capsys, "kernels", "conv", "--step")["kernels"]:
        source = kernel["wgsl"]
        coloured = wgsl(source, Style(Terminal(), plain=False))
        assert coloured.count("\x1b[") > 20
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == source
        assert wgsl(source, Style(Terminal(), plain=True)) == source
    monkeypatch.setitem(sys.modules, "pygments", None)
    assert wgsl("let x = 1;", Style(Terminal(), plain=False)) == "let x = 1;"


@pytest.mark.parametrize("columns", [20, 100])
def test_on_a_terminal_it_is_in_colour_and_fits(columns: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "anneal", "kernels", "mlp", "--step", "--only", "3", "--wgsl"]
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "ANNEAL_CHECK")}
    variables = {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": str(columns)}
    process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    out = seen.decode()
    assert "\x1b[38;2;242;197;124m▪ forward+backward\x1b[0m, fused" in out
    head = re.sub(r"\x1b\[[0-9;]*m", "", out).split("@group")[0]
    assert max(map(len, head.splitlines())) <= max(columns, 30)


# One kernel.


def test_one_kernel_by_name_or_number(capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, "kernels", "mlp", "--step")
    for number, kernel in enumerate(document["kernels"], 1):
        for asked in (str(number), kernel["name"]):
            found = printed(capsys, "kernels", "mlp", "--step", "--only", asked)
            check(found, Kernels)
            assert found["kernels"] == [kernel]
    shown = text(capsys, "mlp", "--step", "--only", "2")
    assert f"2. {document['kernels'][1]['name']}" in shown
    assert shown.count("   runs ") == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["mlp", "--only", "matmul_ad_64x10"], "did you mean 'matmul_add_64x10'?"),
        (["mlp", "--only", "9"], "there are 2, from 1 on"),
        (["mlp", "--only", "0"], "there are 2, from 1 on"),
        (["mlp", "--only=-1"], "there are 2, from 1 on"),
        (["mpl"], "did you mean 'mlp'?"),
        ([], "say which model"),
        (["--diff", "mlp"], "argument --diff: expected 2 arguments"),
        (["mlp", "--diff", "forward", "mpl"], "did you mean 'mlp'?"),
        (["--diff", "forward", "step"], "say which model"),
        (["mlp", "--diff", "forward", "mlp conv"], "a side is one model"),
        (["mlp", "--diff", "forward --step", "step"], "a side is one model"),
        (["mlp", "--diff", "forward", "--batch 0"], "0 is not a whole number"),
        (["mlp", "--diff", "forward", "--steps 3"], "unrecognized arguments: --steps"),
        (["mlp", "--diff", "forward", "'conv"], "No closing quotation"),
        (["mlp", "--run", "--diff", "forward", "step"], "leave --run out"),
        (["mlp", "--only", "1", "--diff", "forward", "step"], "leave --only out"),
    ],
)
def test_mistakes_teach(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in said(capsys, *argv)


# On the device.


def test_run_times_every_kernel_on_the_gpu(anneal: Run) -> None:
    done = anneal("kernels", "mlp", "--step", "--run", "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    check(document, Kernels)
    run = document["run"]
    assert run["device"] == "webgpu"
    assert "parameters and data" in run["inputs"]
    assert sum(k["run"]["share"] for k in document["kernels"]) == pytest.approx(1)
    for kernel in document["kernels"]:
        took = kernel["run"]["seconds"]
        assert 0 < took["least"] <= took["low"] <= took["median"] <= took["high"] <= took["most"]
        assert took["count"] >= 5
        assert kernel["run"]["flops_per_second"] == pytest.approx(kernel["flops"] / took["median"])
        assert kernel["run"]["bytes_per_second"] == pytest.approx(kernel["bytes"] / took["median"])
        assert kernel["run"]["of_copy_peak"] == pytest.approx(kernel["run"]["bytes_per_second"] / run["copy_bytes_per_second"])
        assert kernel["run"]["of_flops_peak"] == pytest.approx(kernel["run"]["flops_per_second"] / run["multiply_add_flops_per_second"])


def test_run_is_told_as_text_and_runs_the_users_tensors(anneal: Run, file: Callable[[str], Path]) -> None:
    path = file("from anneal import Tensor\ndef f():\n    x = Tensor([1.0, 2.0])\n    return x.assigned(x * 2)\n")
    done = anneal("kernels", f"{path}:f", "--run", "--device", "reference", "--only", "1", "--plain")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"measured +[\d.]+ [um]s \(.* of the run; .* GB/s, \d+% of a copy", done.out)
    assert "with the tensors' own values" in " ".join(done.out.split())
    assert done.out.isascii()


def test_run_without_a_gpu_is_exit_3(anneal: Run, tmp_path: Path) -> None:
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "wgpu.py").write_text("raise ImportError('hidden by a test')\n")
    done = anneal("kernels", "mlp", "--run", PYTHONPATH=f"{tmp_path / 'shim'}:{ROOT}")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("anneal: error: no GPU")


# Comparisons.


def test_a_part_against_another(capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, "kernels", "mlp", "--diff", "forward", "step")
    check(document, Difference)
    one, other = printed(capsys, "kernels", "mlp"), printed(capsys, "kernels", "mlp", "--step")
    assert (document["a"]["fingerprint"], document["b"]["fingerprint"]) == (one["fingerprint"], other["fingerprint"])
    assert document["b"]["flops"] == sum(k["flops"] for k in other["kernels"])
    assert [p["a"] for p in document["pairs"] if p["a"]] == [k["name"] for k in one["kernels"]]
    assert sorted(p["b"] for p in document["pairs"] if p["b"]) == sorted(k["name"] for k in other["kernels"])
    shown = text(capsys, "mlp", "--diff", "forward", "step")
    assert shown.startswith("a: mlp\nb: mlp --step\n")
    assert re.search(r"only in b +max_sum\w+  ▪ forward\+backward", shown)


def test_models_and_options_against_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    shown = text(capsys, "--diff", "mlp", "conv --batch 8", "--step")
    assert shown.startswith("a: mlp --step\nb: conv --step --batch 8\n")
    shown = text(capsys, "mlp", "--diff", "--batch 8", "--batch 16", "--wgsl")
    assert "+++ b" in shown
    assert "matmul_add_relu_8x128 -> matmul_add_relu_16x128" in shown
    assert text(capsys, "mlp", "--diff", "step", "--step --batch 64").splitlines()[-1] == "the same plan"


def test_a_device_against_another_and_ascii_with_plain(capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, "kernels", "mlp", "--diff", "", "--device reference")
    assert document["a"]["target"] != document["b"]["target"]
    assert text(capsys, "mlp", "--diff", "forward", "step", "--plain").isascii()
