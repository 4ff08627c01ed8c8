"""`anneal run`: what it prints is the real thing, and is as its schema says; a device that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from anneal.cli.main import main
from anneal.export.schema.check import check
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
