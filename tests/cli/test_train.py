"""`anneal train`: it learns, it says what it did, it can be stopped and gone on with, and nothing is half-written."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anneal import nn
from anneal.export.schema.check import check
from anneal.export.schema.log import Header, Step
from anneal.export.schema.train import Training

Run = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize(("model", "least"), [("mlp", 0.95), ("conv", 0.97)])
def test_real_digits_are_learned_on_the_gpu(model: str, least: float, anneal: Run) -> None:
    done = anneal("train", model, "--json", "--device", "webgpu")
    assert done.code == 0, done.err
    result = done.json
    check(result, Training)
    assert result["accuracy"] >= least
    assert (result["model"], result["device"], result["steps"], result["batch"]) == (model, "webgpu", 300, 64)
    assert result["loss_last"] < 0.5
    assert 2 < result["loss_first"] < 2.6
    assert 0 < result["kernels_fused"] < result["kernels"] < 20
    assert len(result["fingerprint"]) == 64
    assert not result["interrupted"]
    assert result["step_ms_median"] > 0
    assert "step 300/300" in done.err


def test_both_devices_have_the_same_losses(anneal: Run) -> None:
    found = [anneal("train", "mlp", "--steps", "20", "--device", device, "--json") for device in ("webgpu", "reference")]
    for key in ("loss_first", "loss_last", "accuracy"):
        gpu, reference = (done.json[key] for done in found)
        assert gpu == pytest.approx(reference, rel=2e-4, abs=1e-2 if key == "accuracy" else 0)


def test_a_person_is_told_in_words(anneal: Run) -> None:
    done = anneal("train", "mlp", "--steps", "12", "--device", "reference", "--plain")
    assert done.code == 0
    assert [line.split()[:2] for line in done.err.splitlines()] == [["step", "1/12"], ["step", "10/12"], ["step", "12/12"]]
    assert "on 360 held-out rows" in done.out
    assert "mlp on reference: NumPy" in done.out


def test_a_large_model_says_what_the_first_step_waits_for(anneal: Run, tmp_path: Path) -> None:
    (tmp_path / "wide.py").write_text(
        "from anneal import nn, examples\n"
        "class Wide:\n"
        "    def __init__(self):\n"
        "        self.parts = [nn.Linear(64, 10) for _ in range(20)]\n"
        "    def __call__(self, x):\n"
        "        return sum(part(x).relu() for part in self.parts)\n"
        "def wide():\n"
        "    return examples.Example('wide', '', Wide, examples.EXAMPLES['mlp'].data)\n",
        encoding="utf-8",
    )
    done = anneal("train", f"{tmp_path}/wide.py:wide", "--steps", "1", "--device", "reference", "--plain")
    first, second = done.err.splitlines()
    assert re.fullmatch(r"\d+ UOps compiled into \d\d+ kernels in .* m?s; the first step takes longer, as the device gets them ready", first)
    assert second.startswith("step 1/1")


def test_the_same_command_gives_the_same_numbers_and_another_seed_others(anneal: Run) -> None:
    first, again, other = (anneal("train", "mlp", "--steps", "5", "--device", "reference", "--json", "--seed", seed).json for seed in (3, 3, 4))
    assert first["loss_last"] == again["loss_last"] != other["loss_last"]
    assert first["fingerprint"] == again["fingerprint"] == other["fingerprint"]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_resuming_gives_the_numbers_of_a_run_that_did_not_stop(optimizer: str, anneal: Run) -> None:
    common = ("--device", "reference", "--json")
    chosen = ("--optimizer", optimizer, "--lr", "0.01", "--seed", "7", "--batch", "32")
    whole = anneal("train", "mlp", "--steps", "25", *chosen, *common, "--save", "whole").json
    part = anneal("train", "mlp", "--steps", "13", *chosen, *common, "--save", "part")
    assert part.json["saved"] == "part"
    rest = anneal("train", "mlp", "--steps", "25", *common, "--resume", "part", "--save", "rest").json
    assert rest["resumed_from"] == 13
    for key in ("loss_last", "accuracy", "batch", "optimizer", "seed", "steps", "fingerprint"):
        assert rest[key] == whole[key], key


def test_a_resumed_run_leaves_the_same_checkpoint(anneal: Run, tmp_path: Path) -> None:
    common = ("--device", "webgpu", "--json")
    anneal("train", "mlp", "--steps", "12", *common, "--save", "whole")
    anneal("train", "mlp", "--steps", "5", *common, "--save", "part")
    assert anneal("train", "mlp", "--steps", "12", *common, "--resume", "part", "--save", "part").code == 0
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["part", "whole"]


def test_a_checkpoint_can_be_gone_on_with_at_another_rate(anneal: Run, tmp_path: Path) -> None:
    common = ("--device", "reference", "--json")
    anneal("train", "mlp", "--steps", "2", *common, "--save", "a")
    done = anneal("train", "mlp", "--steps", "3", *common, "--resume", "a", "--lr", "0", "--save", "b")
    assert done.code == 0
    before, after = nn.state.safe_load(tmp_path / "a"), nn.state.safe_load(tmp_path / "b")
    assert before["model.hidden.weight"].tolist() == after["model.hidden.weight"].tolist()
    assert after["optimizer.lr"].tolist() == [0.0]


def test_a_loss_that_is_no_number_stops_training_and_names_the_step(anneal: Run, tmp_path: Path) -> None:
    done = anneal("train", "mlp", "--lr", "1e30", "--json", "--save", "bad", "--device", "reference")
    assert (done.code, done.out) == (1, "")
    assert "the loss is nan at step 2: training has diverged" in done.err
    assert not list(tmp_path.iterdir())


def interrupt(process: subprocess.Popen[str], after: str) -> tuple[int, str, str]:
    """Press Ctrl-C when stderr has said something; returns exit code, stdout and stderr."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if after in line:
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    return process.returncode, out, said + err


def test_ctrl_c_finishes_the_step_saves_and_reports(spawn: Spawn, anneal: Run, tmp_path: Path) -> None:
    import json

    code, out, err = interrupt(spawn("train", "mlp", "--steps", "1000000", "--save", "stopped", "--json", "--device", "reference"), "step      10/")
    result = json.loads(out)
    assert code == 0
    assert result["interrupted"]
    assert result["saved"] == "stopped"
    assert "Traceback" not in err
    assert nn.state.safe_load_metadata(tmp_path / "stopped")["step"] == str(result["steps"])
    whole = anneal("train", "mlp", "--steps", result["steps"], "--json", "--device", "reference").json
    assert whole["loss_last"] == result["loss_last"]
    assert whole["accuracy"] == result["accuracy"]
    assert anneal("train", "mlp", "--steps", result["steps"] + 1, "--resume", "stopped", "--json", "--device", "reference").code == 0


def test_kill_in_the_middle_of_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    import random
    import sys

    script = (
        "import sys\n"
        "from anneal.examples import EXAMPLES, checkpoint\n"
        "from anneal.examples.program import Program\n"
        "program = Program(EXAMPLES['mlp'])\n"
        "for step in range(10**9):\n"
        "    checkpoint.save(sys.argv[1], program, checkpoint.Progress('mlp', step, 0, 64, 'sgd'))\n"
        "    print(step, flush=True)\n"
    )
    chance, path = random.Random(0), tmp_path / "file"
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, env={**os.environ, "ANNEAL_DEVICE": "reference"})
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(chance.random() * 0.1)
        process.kill()
        process.communicate()
        assert len(nn.state.safe_load(path)) == 9
        assert nn.state.safe_load_metadata(path)["model"] == "mlp"


@pytest.mark.parametrize(
    ("place", "said"),
    [("missing/file", "No such file or directory"), (".", "it is a folder"), ("/dev/null/file", "Not a directory"), ("locked", "it is read-only")],
)
def test_a_path_that_cannot_be_written_is_told_before_training(place: str, said: str, anneal: Run, tmp_path: Path) -> None:
    (tmp_path / "locked").touch(0o444)
    if place == "locked" and os.access(tmp_path / "locked", os.W_OK):
        place, said = "missing/locked", "No such file"  # the superuser may write anything that is there
    done = anneal("train", "mlp", "--steps", "3", "--save", place)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "step" not in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["locked"]


def test_a_full_disk_costs_neither_the_result_nor_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from anneal.cli.main import main

    target = tmp_path / "file"
    target.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("anneal.formats.atomic.os.fsync", full)
    assert main(["train", "mlp", "--steps", "2", "--device", "reference", "--json", "--save", str(target)]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["saved"] is None
    assert "the training is done but not saved" in err
    assert "No space left on device" in err
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


class TestCheckpointsThatDoNotFit:
    """Each is told before any work, with exit code 2."""

    @pytest.fixture
    def made(self, anneal: Run, tmp_path: Path) -> Path:
        assert anneal("train", "mlp", "--steps", "2", "--device", "reference", "--save", "made").code == 0
        return tmp_path / "made"

    def refused(self, anneal: Run, path: object, *more: object) -> str:
        done = anneal("train", *(more or ("mlp",)), "--resume", path, "--device", "reference")
        assert (done.code, done.out) == (2, "")
        assert "ms/step" not in done.err
        assert len(done.err.splitlines()) == 1
        return str(done.err)

    def test_missing(self, anneal: Run) -> None:
        assert "cannot read nothing: No such file" in self.refused(anneal, "nothing")

    def test_no_such_file(self, anneal: Run, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("hello, world: no tensors here")
        assert "text is not a safetensors file" in self.refused(anneal, "text")

    def test_weights_without_a_training(self, anneal: Run, tmp_path: Path) -> None:
        nn.state.safe_save(nn.state.get_state_dict(nn.Linear(2, 2)), tmp_path / "weights")
        assert "weights is no checkpoint of a training" in self.refused(anneal, "weights")

    def test_of_another_model(self, anneal: Run, made: Path) -> None:
        assert "is a checkpoint of 'mlp' and does not fit 'conv'" in self.refused(anneal, made, "conv")

    def test_of_another_optimiser(self, anneal: Run, made: Path) -> None:
        assert "was trained with sgd and has no state for adam" in self.refused(anneal, made, "mlp", "--optimizer", "adam")

    def test_of_the_same_name_and_other_shape(self, anneal: Run, made: Path) -> None:
        state, metadata = nn.state.safe_load(made), nn.state.safe_load_metadata(made)
        state["model.hidden.weight"] = state["model.hidden.weight"].transpose(0, 1)
        nn.state.safe_save(state, made, metadata)
        assert "model.hidden.weight is float32 (128, 64) in the model and float32 (64, 128) in the state" in self.refused(anneal, made)

    def test_cut_off(self, anneal: Run, made: Path) -> None:
        made.write_bytes(made.read_bytes()[:-100])
        assert "it is cut off or damaged" in self.refused(anneal, made)

    def test_with_damaged_metadata(self, anneal: Run, made: Path) -> None:
        metadata = {**nn.state.safe_load_metadata(made), "step": "many"}
        nn.state.safe_save(nn.state.safe_load(made), made, metadata)
        assert "its metadata are damaged" in self.refused(anneal, made)

    def test_that_is_further_already(self, anneal: Run, made: Path) -> None:
        assert "is at step 2 already: --steps counts from the start" in self.refused(anneal, made, "mlp", "--steps", "2")


# The log.


def lines(path: Path) -> list[Any]:
    import json

    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_step_is_in_the_log(anneal: Run, tmp_path: Path) -> None:
    done = anneal("train", "mlp", "--steps", "35", "--json", "--device", "webgpu", "--log", "run.jsonl")
    assert done.code == 0, done.err
    head, *steps = lines(tmp_path / "run.jsonl")
    check(head, Header)
    for step in steps:
        check(step, Step)
    assert [s["step"] for s in steps] == list(range(1, 36))
    assert (steps[0]["loss"], steps[-1]["loss"]) == (done.json["loss_first"], done.json["loss_last"])
    assert [[s["step"], s["accuracy"]] for s in steps if s["accuracy"] is not None] == done.json["accuracies"]
    assert steps[-1]["accuracy"] == done.json["accuracy"]
    assert done.json["log"] == "run.jsonl"
    for key in ("model", "device", "backend", "batch", "optimizer", "seed", "uops", "kernels", "phases", "bytes", "parameters", "fingerprint"):
        assert head[key] == done.json[key], key
    assert sum(n for phases, n in head["phases"].items() if "+" in phases) == done.json["kernels_fused"]


def test_a_killed_training_leaves_all_but_its_last_window(spawn: Spawn, tmp_path: Path) -> None:
    from anneal.examples.log import read

    process = spawn("train", "mlp", "--steps", "1000000", "--json", "--device", "reference", "--log", "run.jsonl")
    assert process.stderr is not None
    for line in process.stderr:
        if "step      20/" in line:
            process.kill()
            break
    process.communicate(timeout=60)
    records = read(str(tmp_path / "run.jsonl")).records
    assert len(records) >= 20
    assert [r.step for r in records] == list(range(1, len(records) + 1))


def test_a_resumed_training_goes_on_in_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anneal.cli.main import main
    from anneal.examples.log import read

    monkeypatch.chdir(tmp_path)
    common = ("train", "mlp", "--device", "reference", "--batch", "8", "--json")
    assert main([*common, "--steps", "22", "--log", "whole"]) == 0
    assert main([*common, "--steps", "13", "--log", "parts", "--save", "saved"]) == 0
    with Path("parts").open("a") as file:
        file.write('{"step":14,"lo')
    assert main([*common, "--steps", "22", "--log", "parts", "--resume", "saved"]) == 0
    whole, parts = read("whole"), read("parts")
    assert [(r.step, r.loss) for r in parts.records] == [(r.step, r.loss) for r in whole.records]
    assert (parts.header["start"], parts.header["steps"]) == (13, 22)


def test_a_log_of_another_training_or_no_log_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from anneal.cli.main import main

    monkeypatch.chdir(tmp_path)
    common = ("train", "mlp", "--device", "reference", "--batch", "8", "--steps", "2")
    assert main([*common, "--log", "log", "--save", "saved"]) == 0
    assert main([*common, "--log", "other", "--seed", "1"]) == 0
    (tmp_path / "text").write_text("my thesis")
    capsys.readouterr()
    for options, said in (
        (("--log", "text"), "text is there and is no log of a training"),
        (("--log", "saved"), "saved is there and is no log of a training"),
        (("--log", "."), "it is a folder"),
        (("--log", "missing/log"), "No such file or directory"),
        (("--steps", "4", "--resume", "saved", "--log", "other"), "the log other is of another training, with seed 1 and not 0"),
        (("--save", "new", "--log", "./new"), "--save and --log name the same file"),
    ):
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        assert main([*common, *options]) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1), err
        assert said in err
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_disk_that_is_full_ends_the_log_and_not_the_training(anneal: Run) -> None:
    done = anneal("train", "mlp", "--steps", "12", "--batch", "8", "--json", "--device", "reference", "--log", "/dev/full")
    assert done.code == 0
    assert done.json["steps"] == 12
    assert "the log /dev/full ends at step 0: No space left on device; the training goes on" in done.err
    assert done.err.count("No space left") == 1
    assert "Traceback" not in done.err


def test_ctrl_c_leaves_a_whole_log(spawn: Spawn, tmp_path: Path) -> None:
    import json

    from anneal.examples.log import read

    code, out, _ = interrupt(spawn("train", "mlp", "--steps", "1000000", "--log", "run.jsonl", "--json", "--device", "reference"), "step      10/")
    assert code == 0
    curve = read(str(tmp_path / "run.jsonl"))
    assert (curve.cut, curve.records[-1].step) == (False, json.loads(out)["steps"])
    assert curve.records[-1].accuracy == json.loads(out)["accuracy"]
