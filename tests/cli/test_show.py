"""`anneal run` and `doctor`: what they print is the real thing, and is as their schemas say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anneal as package
from anneal.cli.main import main
from anneal.export.schema.check import check
from anneal.export.schema.run import Run as RunDocument
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
    assert len(done.out.splitlines()) == 5


def test_doctor_finds_devices_that_work(anneal: Run) -> None:
    done = anneal("doctor", "--json")
    assert done.code == 0
    devices = {d["name"]: d for d in done.json["devices"]}
    for device in devices.values():
        assert device["works"]
        assert device["check"]["kernels"] >= 2
        assert device["check"]["error"] < 1e-4
        assert device["target"]["storage_buffers"] >= package.Target.portable().storage_buffers
    assert set(devices) == {"webgpu", "reference"}
    assert anneal("doctor").code == 0


def test_without_a_gpu_doctor_says_what_to_install_and_train_goes_on_without(anneal: Run, tmp_path: Path) -> None:
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "wgpu.py").write_text("raise ImportError('hidden by a test')\n")
    hidden = {"PYTHONPATH": f"{tmp_path / 'shim'}:{Path(package.__file__).parents[1]}"}
    done = anneal("doctor", "--json", **hidden)
    assert done.code == 3
    assert {d["name"]: d["works"] for d in done.json["devices"]} == {"webgpu": False, "reference": True}
    assert [p["remedy"] for p in done.json["problems"]]
    assert anneal("doctor", **hidden).code == 3
    for verb in ("train", "run"):
        asked = anneal(verb, "mlp", "--device", "webgpu", **hidden)
        assert (asked.code, asked.out) == (3, "")
        assert asked.err.startswith("anneal: error: no GPU")
    default = anneal("train", "mlp", "--steps", "2", "--json", **hidden)
    assert default.code == 0
    assert default.json["device"] == "reference"
    assert "running on the reference device instead" in default.err


def test_doctor_names_a_device_that_computes_wrong_numbers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from anneal.runtime.reference import ReferenceDevice

    read = ReferenceDevice.read
    monkeypatch.setattr(ReferenceDevice, "read", lambda *a: bytes(len(read(*a))))
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "reference: it computes wrong numbers" in found["problems"][-1]["problem"]


def test_a_device_that_runs_out_of_memory_or_is_lost_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from anneal.errors import DeviceError
    from anneal.runtime.reference import ReferenceDevice

    def lost(self: object, plan: Plan, storages: object, symbols: object = None) -> None:
        raise DeviceError("the device was lost")

    monkeypatch.setattr(ReferenceDevice, "execute", lost)
    assert main(["train", "mlp", "--device", "reference", "--json"]) == 1
    assert capsys.readouterr() == ("", "anneal: error: the device was lost\n")
