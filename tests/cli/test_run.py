"""`anneal run`: what it prints is the real thing, and is as its schema says; a device that fails."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import small_minilm

from anneal.cli.main import main
from anneal.cli.run_texts import line
from anneal.export.schema.check import check
from anneal.export.schema.run import Embedded
from anneal.export.schema.run import Judged as RunDocument
from anneal.runtime.plan import Plan

Run = Callable[..., Any]


@pytest.mark.parametrize("device", ["webgpu", "reference"])
def test_run_shows_predictions(device: str, anneal: Run) -> None:
    assert anneal("train", "mlp", "--steps", "60", "--device", "reference", "--save", "file").code == 0
    done = anneal("run", "mlp", "--load", "file", "--batch", "50", "--device", device, "--json")
    assert done.code == 0
    result = done.json
    check(result, RunDocument)
    best = [row.index(max(row)) for row in result["outputs"][0]["values"]]
    assert result["predictions"] == best
    right = sum(a == b for a, b in zip(best, result["labels"], strict=True)) / 50
    assert result["accuracy"] == pytest.approx(right)
    assert right > 0.7


def test_run_without_a_checkpoint_says_that_nothing_is_trained(anneal: Run) -> None:
    done = anneal("run", "conv", "--device", "reference", "--batch", "3")
    assert done.code == 0
    assert "with parameters that are not trained" in done.out
    assert done.out.splitlines()[-1] == "anneal train conv --save FILE trains them; --load FILE takes them"
    assert len(done.out.splitlines()) == 6


def test_a_device_that_runs_out_of_memory_or_is_lost_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from anneal.errors import DeviceError
    from anneal.runtime.reference import ReferenceDevice

    def lost(self: object, plan: Plan, storages: object, symbols: object = None) -> None:
        raise DeviceError("the device was lost")

    monkeypatch.setattr(ReferenceDevice, "execute", lost)
    assert main(["train", "mlp", "--device", "reference", "--json"]) == 1
    assert capsys.readouterr() == ("", "anneal: error: the device was lost\n")


# Texts.

CAT, DOG = "The cat sits on the mat.", "a dog runs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_minilm.write(tmp_path_factory.mktemp("minilm"))


@pytest.fixture
def minilm(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Run the verb on a small model; returns what it says on stdout and on stderr."""

    def run(*arguments: str, code: int = 0) -> tuple[str, str]:
        assert main(["run", "minilm", "--model", str(folder), "--device", "reference", *arguments]) == code
        return capsys.readouterr()

    return run


def test_texts_are_compared_and_the_document_has_it_all(minilm: Run) -> None:
    out, err = minilm("--text", CAT, "--text", DOG, "--text", "", "--json")
    document = json.loads(out)
    check(document, Embedded)
    assert err == ""
    assert document["texts"] == [{"text": CAT, "tokens": 9, "cut": False}, {"text": DOG, "tokens": 5, "cut": False}, {"text": "", "tokens": 2, "cut": False}]
    rows = document["outputs"][0]["values"]
    assert document["outputs"][0]["shape"] == [3, 8]
    for row, scores in zip(rows, document["similarity"], strict=True):
        assert scores == pytest.approx([math.fsum(a * b for a, b in zip(row, other, strict=True)) for other in rows], abs=1e-6)
    assert (document["weights"], document["precision"]) == ("float32", None)
    assert all(taken > 0 for taken in document["seconds"].values())


def test_a_table_of_similarity_or_one_embedding(minilm: Run) -> None:
    shown = minilm("--text", CAT, "--text", DOG)[0].splitlines()
    assert shown[0].startswith("model       minilm, 2 layers, 8 wide, float32 weights, on reference: ")
    assert shown[1:4] == [f"1             9 tokens  {CAT}", f"2             5 tokens  {DOG}", "similarity        1       2"]
    first, second = (line.split() for line in shown[4:6])
    assert (first[:2], second[0], second[2], first[2]) == (["1", "1.0000"], "2", "1.0000", second[1])
    assert [line.split()[0] for line in shown[6:]] == ["time", "kernels"]
    (one,) = [line for line in minilm("--text", CAT)[0].splitlines() if line.startswith("embedding")]
    assert one.endswith("], norm 1.0000")


def test_a_file_of_texts_shows_the_most_alike(minilm: Run, tmp_path: Path) -> None:
    lines = [" ".join(words) for words in (("the", "a")[i % 2 :] + ("cat", "dog", "mat")[i % 3 :] + ("on",) * i for i in range(13))]
    (tmp_path / "lines.txt").write_text("\ufeff" + "\n\n".join(lines) + "\n", encoding="utf-8")
    out, _ = minilm("--text", lines[0], "--file", str(tmp_path / "lines.txt"))
    nearest = out.partition("most alike\n")[2].splitlines()
    assert nearest[:2] == ["         1       2  1.0000", "         2       1  1.0000"]
    assert [row.split()[0] for row in nearest[:-2]] == [str(number) for number in range(1, 15)]


def test_what_is_cut_is_told_on_stderr(minilm: Run) -> None:
    out, err = minilm("--text", "cat " * 50, "--json")
    assert err == "anneal: text 1, 'cat cat cat cat cat cat ...', has 52 tokens, and the model takes 40: the rest is not read\n"
    assert (json.loads(out)["texts"][0]["tokens"], json.loads(out)["texts"][0]["cut"]) == (40, True)


@pytest.mark.parametrize(("dtype", "most"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_narrow_weights_say_what_they_cost(dtype: str, most: float, minilm: Run) -> None:
    document = json.loads(minilm("--text", CAT, "--text", DOG, "--dtype", dtype, "--json")[0])
    check(document, Embedded)
    assert document["weights"] == dtype
    assert 0 < document["precision"]["difference"] < most
    assert 1 - most < document["precision"]["cosine"] < 1 + 1e-6
    assert "from float32 weights at most, cosine" in minilm("--text", CAT, "--dtype", dtype)[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what to embed: anneal run minilm --text TEXT, or --file FILE"),
        (("--text", "a", "--load", "x"), "minilm comes with its weights and takes texts: leave --load out"),
        (("--text", "a", "--seed", "0"), "leave --seed out"),
        (("--text", "a", "--dtype", "int8"), "argument --dtype: invalid choice: 'int8'"),
        (("--text", "\udcff"), "text 1 is no Unicode text"),
        (("--file", "nowhere.txt"), "cannot read nowhere.txt: No such file or directory"),
        (("--file", "bytes.txt"), "bytes.txt is no text in UTF-8: byte 1 is 0xff"),
        (("--file", "blank.txt"), "say what to embed"),
        (("--text", "a", "--model", "nowhere"), "no folder 'nowhere'"),
    ],
)
def test_wrong_texts_are_usage(arguments: Sequence[str], said: str, minilm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bytes.txt").write_bytes(b"a\xff")
    (tmp_path / "blank.txt").write_text("\n \n")
    out, err = minilm(*arguments, code=2)
    assert out == ""
    assert err.startswith("anneal: error: ")
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "mlp", "--text", "a"), "--text is for minilm: anneal run minilm --text TEXT"),
        (("run", "mlp", "--dtype", "float16"), "--dtype is for minilm"),
        (("train", "minilm"), "minilm comes with its weights and is only run: anneal run minilm --text TEXT"),
        (("run", "minilmm"), "did you mean 'minilm'? There are conv, minilm, mlp"),
    ],
)
def test_other_models_take_no_texts_and_other_verbs_no_minilm(arguments: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments]) == 2
    assert said in capsys.readouterr().err


def test_missing_packages_say_what_to_install(minilm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert "a package that is not installed: pip install tokenizers==" in minilm("--text", "a", code=2)[1]


def test_a_text_takes_one_line() -> None:
    assert line("a\x1b[31m\n  b", 60) == "a [31m b"
    assert line("b" * 61, 60) == "b" * 57 + "..."
