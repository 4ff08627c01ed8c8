"""`anneal bench`: what is counted is what is done, and each number follows from what was measured."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import anneal as package
from anneal.cli import bench, bench_measure, bench_text, pictures
from anneal.cli.bench_cases import CASES, Case, names, select
from anneal.cli.bench_peer import Peer
from anneal.cli.main import main
from anneal.cli.output import Style
from anneal.errors import UsageError
from anneal.examples import EXAMPLES
from anneal.export.schema.bench import Bench
from anneal.export.schema.check import check
from anneal.runtime import measure, pipeline
from anneal.runtime.device import get_device
from anneal.runtime.measure import Peaks, Spread
from anneal.tensor.tensor import Tensor

Run = Callable[..., Any]
KERNELS = [case for case in CASES if case.kind == "kernel"]
SMALL = Case("small", "a small product", "kernel", shapes=((8, 16), (16, 4)), run=lambda a, b: a @ b, result=32, flops=1024)


@pytest.fixture(scope="module")
def measured() -> Bench:
    """A small run on the reference device, of everything that there is to say."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(bench, "_SECONDS", {True: 0.0, False: 0.0})
    cases = [*select(["compile-mlp", "step-mlp"]), SMALL]
    document = bench.measure_all(cases, get_device("reference"), quick=True)
    monkeypatch.undo()
    return document


def test_a_quick_run_as_a_user_makes_it(anneal: Run, tmp_path: Path) -> None:
    done = anneal("bench", "copy", "compile-mlp", "--quick", "--json", "--output", "picture.svg")
    assert done.code == 0
    document = done.json
    check(document, Bench)
    assert [c["name"] for c in document["compilations"]] == ["compile-mlp"]
    assert [t["name"] for t in document["timings"]] == ["copy"]
    assert document["output"] == "picture.svg"
    assert ET.parse(tmp_path / "picture.svg").getroot().tag.endswith("svg")
    assert "copy: 16 MiB" in done.err
    copied = document["timings"][0]
    assert copied["bytes"] == 2 << 24
    assert copied["bound"] == "memory"
    assert copied["peer"]["seconds"]["median"] > 0


def test_every_number_follows_from_what_was_measured(measured: Bench) -> None:
    check(measured, Bench)
    for timing in measured["timings"]:
        alone, moved, done = timing["device_seconds"], timing["bytes_per_second"], timing["flops_per_second"]
        assert moved["median"] == pytest.approx(timing["bytes"] / alone["median"])
        assert done["median"] == pytest.approx(timing["flops"] / alone["median"])
        assert moved["most"] == pytest.approx(timing["bytes"] / alone["least"])
        fractions = moved["median"] / measured["peaks"]["copy_bytes_per_second"], done["median"] / measured["peaks"]["flops_per_second"]
        assert timing["of_peak"] == pytest.approx(max(fractions))
        assert timing["bound"] == ("memory" if fractions[0] >= fractions[1] else "compute")
        peer = timing["peer"]
        assert peer is not None
        assert 1 <= peer["threads"] <= (measured["torch_threads"] or 0)
        if peer["ratio"]["count"] == 1:
            assert peer["ratio"]["median"] == pytest.approx(timing["seconds"]["median"] / peer["seconds"]["median"])


def test_compiling_is_split_into_the_stages_of_the_compiler(measured: Bench) -> None:
    (compilation,) = measured["compilations"]
    assert list(compilation["stages"]) == ["graph", *(stage.name for stage in pipeline.STAGES)]
    assert sum(s["least"] for s in compilation["stages"].values()) <= compilation["total"]["most"]
    plan = package.compile(*_step("mlp"), target=get_device("reference").target)
    assert (compilation["kernels"], compilation["uops"]) == (plan.stats["kernels"], plan.stats["uops"])


def _step(name: str) -> list[Tensor]:
    from anneal.examples.program import Program

    return Program(EXAMPLES[name]).outputs("step")


def test_every_compilation_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    inner = pipeline._run

    def counted(*arguments: Any) -> Any:
        runs.append("one")
        return inner(*arguments)

    monkeypatch.setattr(pipeline, "_run", counted)
    found = bench_measure.compilation(select(["compile-mlp"])[0], get_device("reference"), seconds=0.0)
    assert len(runs) == found["total"]["count"] + 1
    assert all(s["count"] == found["total"]["count"] for s in found["stages"].values())


@pytest.mark.parametrize("case", KERNELS, ids=lambda case: case.name)
def test_sizes_and_bytes_are_those_of_pytorch_s_tensors(case: Case) -> None:
    """Both packages' results have the size that is counted; PyTorch computes nothing here."""
    peers = [torch.empty(*shape, device="meta") for shape in case.shapes]
    assert case.run is not None
    theirs = case.peer(torch, *peers) if case.peer else case.run(*peers)
    ours = case.run(*(Tensor.zeros(*shape) for shape in case.shapes))
    assert ours.shape == tuple(theirs.shape)
    assert theirs.numel() == case.result
    assert case.bytes == sum(t.element_size() * t.numel() for t in (*peers, theirs))


def test_operations_are_those_of_the_formulas() -> None:
    counted = {case.name: case.flops for case in KERNELS}
    assert (counted["matmul-512"], counted["matmul-1024"]) == (268_435_456, 2_147_483_648)
    images, filters = next(case.shapes for case in KERNELS if case.name == "conv2d")
    outputs = images[0] * filters[0] * images[2] * images[3]
    assert counted["conv2d"] == 2 * outputs * prod(filters[1:])
    assert counted["copy"] == 0


def test_the_peer_computes_the_same() -> None:
    peer = Peer.find()
    assert peer is not None
    generator = np.random.default_rng(0)
    images, filters = (generator.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 5, 5), (4, 3, 3, 3)))
    case = next(case for case in KERNELS if case.name == "conv2d")
    assert case.run is not None
    assert case.peer is not None
    ours = case.run(Tensor(images, device="reference"), Tensor(filters, device="reference")).numpy()
    np.testing.assert_allclose(ours, case.peer(torch, torch.tensor(images), torch.tensor(filters)).numpy(), rtol=1e-4, atol=1e-5)
    assert {name for name in EXAMPLES if peer.prepare(select([f"step-{name}"])[0])} == set(EXAMPLES)


def test_without_pytorch_nothing_is_compared(anneal: Run, tmp_path: Path) -> None:
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "torch.py").write_text("raise ImportError('hidden by a test')\n")
    hidden = {"PYTHONPATH": f"{tmp_path / 'shim'}:{Path(package.__file__).parents[1]}"}
    done = anneal("bench", "copy", "--quick", "--json", "--device", "reference", **hidden)
    assert done.code == 0
    check(done.json, Bench)
    assert (done.json["torch"], done.json["timings"][0]["peer"]) == (None, None)


def test_names_and_words_select() -> None:
    assert [case.name for case in select([])] == [case.name for case in CASES]
    assert [case.name for case in select(["sum"])] == ["sum", "sum-0", "sum-1"]
    assert [case.name for case in select(["sum-1"])] == ["sum-1"]
    assert {case.kind for case in select(["mlp"])} == {"compile", "step"}
    assert not any(word.isdigit() for word in names())
    with pytest.raises(UsageError, match="no benchmark 'sofmax': did you mean 'softmax'"):
        select(["sofmax"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["matmull"], "no benchmark 'matmull': did you mean 'matmul'?"),
        (["copy", "--output", "picture.pdf"], "cannot write picture.pdf: name a file that ends in .png or .svg"),
        (["copy", "--output", "nowhere/picture.png"], "there is no folder"),
        (["copy", "--device", "cuda"], "invalid choice"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "measure_all", lambda *_, **__: pytest.fail("it measures"))
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_without_a_device_it_is_exit_3(anneal: Run, tmp_path: Path) -> None:
    (tmp_path / "wgpu.py").write_text("raise ImportError('hidden by a test')\n")
    done = anneal("bench", "copy", "--device", "webgpu", PYTHONPATH=f"{tmp_path}:{Path(package.__file__).parents[1]}")
    assert (done.code, done.out) == (3, "")


def test_a_full_disk_is_told_and_costs_nobody_the_numbers(
    measured: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench, "measure_all", lambda *_, **__: measured)
    monkeypatch.setattr("anneal.formats.atomic.os.fsync", full)
    assert main(["bench", "copy", "--output", str(tmp_path / "picture.png")]) == 1
    out, err = capsys.readouterr()
    assert "step-mlp" in out
    assert "picture.png: No space left on device" in err
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_whole(measured: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "measure_all", lambda *_, **__: measured)
    for kind in pictures.KINDS:
        path = tmp_path / f"picture.{kind}"
        assert main(["bench", "--output", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["output"] == str(path)
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG") if kind == "png" else b"</svg>" in data


@pytest.mark.parametrize("columns", [1, 20, 40, 80, 200])
def test_the_report_fits_the_terminal(columns: int, measured: Bench) -> None:
    made = bench_text.lines(measured, Style(sys.stdout, plain=True), columns)
    assert max(map(len, made)) <= max(columns, 20)
    text = " ".join(" ".join(made).split())
    assert all(name in text for name in ("compile-mlp", "step-mlp", "small", "lowered", "of peak"))
    assert ("percent of the peak" in text) is (columns >= 40)


@given(st.dictionaries(st.sampled_from([case.name for case in CASES]), st.floats(0, 5000), min_size=1), st.integers(40, 200), st.booleans())
def test_bars_are_as_long_as_what_they_show(percents: dict[str, float], width: int, plain: bool) -> None:
    _, *made = bench_text.bars(percents, width, Style(sys.stdout, plain=plain))
    assert all(len(line) <= width for line in made)
    lengths = [line.count("#" if plain else "▇") for line in made]
    scale = max(100, *percents.values())
    room = width - max(map(len, percents)) - 7
    assert lengths == [round(p / scale * room) for p in percents.values()]


def test_a_machine_that_was_busy_at_first_is_held_against_its_better_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([Peaks(Spread.of([1e6]), Spread.of([9e15])), Peaks(Spread.of([4e6]), Spread.of([1e3]))])
    monkeypatch.setattr(measure, "peaks", lambda _: next(found))
    monkeypatch.setattr(bench, "_SECONDS", {True: 0.0})
    monkeypatch.setattr(Peer, "find", lambda: None)
    document = bench.measure_all([SMALL], get_device("reference"), quick=True)
    (timing,) = document["timings"]
    assert timing["bytes"] == 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert timing["of_peak"] == pytest.approx(timing["bytes"] / 4e6 / timing["device_seconds"]["median"])
