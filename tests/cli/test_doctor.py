"""`anneal doctor`: devices that work are checked and measured, what does not work comes with its remedy on this system."""

from __future__ import annotations

import json
import os
import platform
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import anneal as package
from anneal.cli import doctor, doctor_system
from anneal.cli.doctor_devices import PURPOSES
from anneal.cli.doctor_text import lines
from anneal.cli.main import main
from anneal.cli.output import Style
from anneal.codegen.target import Target
from anneal.errors import DeviceError
from anneal.export.schema.check import check
from anneal.export.schema.doctor import Doctor
from anneal.runtime import measure
from anneal.runtime.adapters import Adapter, adapters
from anneal.runtime.base import Device
from anneal.runtime.device import get_device
from anneal.runtime.reference import ReferenceDevice
from anneal.runtime.webgpu import WebGPUDevice

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
NO_DRIVER = dict.fromkeys(("VK_DRIVER_FILES", "VK_ICD_FILENAMES", "LIBGL_DRIVERS_PATH", "__EGL_VENDOR_LIBRARY_FILENAMES"), "/nonexistent")
CARD = Adapter("Some Card", "Vulkan", "1.0", "DiscreteGPU")
SOFTWARE = Adapter("llvmpipe", "Vulkan", "Mesa", "CPU")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peaks that are not measured: other tests do."""
    spread = measure.Spread.of([1e9, 2e9, 3e9])
    monkeypatch.setattr(measure, "peaks", lambda _: measure.Peaks(spread, spread))


def examined(capsys: pytest.CaptureFixture[str], code: int) -> Any:
    assert main(["doctor", "--json"]) == code
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    check(document, Doctor)
    return document


def test_devices_that_work_are_checked_and_measured(anneal: Run) -> None:
    done = anneal("doctor", "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    check(document, Doctor)
    devices = {d["name"]: d for d in document["devices"]}
    assert set(devices) == {"webgpu", "reference"}
    for name, device in devices.items():
        assert (device["works"], device["problem"]) == (True, None)
        assert device["check"]["kernels"] >= 2
        assert device["check"]["error"] < 1e-4
        assert device["peaks"]["copy_bytes_per_second"] == device["peaks"]["copy"]["most"] > 0
        assert device["peaks"]["flops_per_second"] == device["peaks"]["multiply_add"]["most"] > 0
        target = get_device(name).target.to_dict()
        assert {limit["name"]: limit["have"] for limit in device["limits"]} == {k: v for k, v in target.items() if not isinstance(v, bool)}
        assert {f["name"]: f["have"] for f in device["features"] if f["name"] in target} == {k: v for k, v in target.items() if isinstance(v, bool)}
    assert [a["chosen"] for a in document["adapters"]].count(True) == 1


def test_every_limit_and_feature_says_what_it_is_for() -> None:
    assert set(PURPOSES) == {*Target.portable().to_dict(), "timestamps"}


def test_packages_are_those_that_are_installed_with_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {need.split(">")[0] for need in project["dependencies"]}
    assert {name for name, (needed, _) in doctor_system.PACKAGES.items() if needed} == named


def test_the_adapter_of_the_device_is_among_those_listed() -> None:
    device = get_device("webgpu")
    assert isinstance(device, WebGPUDevice)
    assert device.adapter in adapters()
    assert device.description == device.adapter.words


def test_without_a_driver_doctor_says_what_to_install(anneal: Run) -> None:
    done = anneal("doctor", "--json", **NO_DRIVER)
    assert done.code == 3
    document = done.json
    check(document, Doctor)
    assert document["adapters"] == []
    assert {d["name"]: d["works"] for d in document["devices"]} == {"webgpu": False, "reference": True}
    problem = next(p for p in document["problems"] if p["problem"].startswith("webgpu: no GPU adapter"))
    assert problem["severe"]
    assert doctor_system.command(document["system"], "vulkan") in problem["remedy"]


def test_without_the_library_doctor_says_what_to_install_and_train_goes_on_without(anneal: Run, tmp_path: Path) -> None:
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "wgpu.py").write_text("raise ImportError('hidden by a test')\n")
    hidden = {"PYTHONPATH": f"{tmp_path / 'shim'}:{Path(package.__file__).parents[1]}"}
    done = anneal("doctor", **hidden)
    assert done.code == 3
    assert "device webgpu: does not work" in done.out
    assert "problem: webgpu: no GPU: the package wgpu cannot be imported (hidden by a test)" in done.out
    assert "device reference: works" in done.out
    for verb in ("train", "run"):
        asked = anneal(verb, "mlp", "--device", "webgpu", **hidden)
        assert (asked.code, asked.out) == (3, "")
        assert asked.err.startswith("anneal: error: no GPU")
    default = anneal("train", "mlp", "--steps", "2", "--json", **hidden)
    assert default.code == 0
    assert default.json["device"] == "reference"
    assert "running on the reference device instead" in default.err


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("kind", "code"), [(ReferenceDevice, 0), (WebGPUDevice, 3)])
def test_a_device_that_computes_wrong_numbers_is_named(
    kind: type[Device], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = kind.read
    monkeypatch.setattr(kind, "read", lambda *a: bytes(len(read(*a))))
    document = examined(capsys, code)
    problem = next(p for p in document["problems"] if f"{kind.name}: it computes wrong numbers: off by" in p["problem"])
    assert problem["severe"]
    assert problem["remedy"]
    assert [d["peaks"] for d in document["devices"] if not d["works"]] == [None]


@pytest.mark.usefixtures("quick")
def test_a_device_that_rejects_a_shader_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    joined = "anneal.runtime.pipeline.joined"
    monkeypatch.setattr(joined, lambda lines: "@compute @workgroup_size(1)\nfn main() {\n  let x: i32 = 1.5;\n}\n")
    monkeypatch.setattr("anneal.runtime.pipeline._plans", {})
    document = examined(capsys, 3)
    problem = next(p for p in document["problems"] if p["problem"].startswith("webgpu: kernel"))
    assert "the device rejects line 3 of its WGSL, `let x: i32 = 1.5;`" in problem["problem"]
    assert "--device reference" in problem["remedy"]


def test_a_device_that_fails_while_it_is_measured_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lost(device: Device) -> None:
        raise DeviceError(f"{device.name} was lost")

    monkeypatch.setattr(measure, "peaks", lost)
    document = examined(capsys, 3)
    assert {d["name"]: d["problem"] for d in document["devices"]} == {"webgpu": "webgpu was lost", "reference": "reference was lost"}


@pytest.mark.usefixtures("quick")
def test_a_driver_that_fails_in_any_way_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def crash() -> None:
        raise RuntimeError("the driver\n fell over")

    monkeypatch.setattr("anneal.runtime.adapters.adapters", crash)
    document = examined(capsys, 0)
    assert any(p["problem"] == "the adapters cannot be listed: the driver fell over" for p in document["problems"])


@pytest.mark.parametrize(
    ("release", "expected", "tool"),
    [
        ({"ID": "debian"}, "debian", "apt-get install mesa-vulkan-drivers libvulkan1"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "debian", "apt-get install"),
        ({"ID": "pop", "ID_LIKE": "ubuntu"}, "debian", "apt-get install"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "fedora", "dnf install"),
        ({"ID": "manjaro", "ID_LIKE": "arch"}, "arch", "pacman -S vulkan-swrast"),
        ({"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse"}, "suse", "zypper install"),
        ({"ID": "alpine"}, "alpine", "apk add"),
        ({"ID": "plan9"}, "other", "install a software Vulkan driver"),
    ],
)
def test_remedies_are_those_of_the_system(release: Mapping[str, str], expected: str, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    assert doctor_system.system() == expected
    assert doctor_system.command(expected, "vulkan").startswith(tool)


@pytest.mark.parametrize(("name", "expected"), [("Darwin", "macos"), ("Windows", "windows"), ("Haiku", "other")])
def test_systems_that_are_not_linux(name: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: name)
    assert doctor_system.system() == expected
    assert doctor_system.command(expected, "graphviz")


def test_browsers_are_found_on_the_path_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, said in (("chromium", "Chromium 150.0.1 built on Debian"), ("firefox", "no number")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{said}'\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "chrome").symlink_to(tmp_path / "chromium")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor_system, "_USUAL", ())
    assert [(b["name"], b["version"]) for b in doctor_system.browsers()] == [("chromium", "150.0.1"), ("firefox", "unknown")]


def test_a_program_that_does_not_run_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chromium").write_bytes(b"\0not a program")
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor_system, "_USUAL", ())
    assert [b["version"] for b in doctor_system.browsers()] == [None]


def test_caches_are_counted_where_the_system_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"XDG_CACHE_HOME": "mesa_shader_cache", "__GL_SHADER_DISK_CACHE_PATH": "GLCache", "LOCALAPPDATA": "D3DSCache"}
    for number, (variable, folder) in enumerate(places.items(), 1):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        for name in range(number):
            file = tmp_path / variable / folder / str(name) / "shader"
            file.parent.mkdir(parents=True)
            file.write_bytes(bytes(100 * number))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MESA_SHADER_CACHE_DIR", raising=False)
    assert [(c["name"], c["files"], c["bytes"]) for c in doctor_system.caches()] == [("Mesa", 1, 100), ("NVIDIA", 2, 400), ("Direct3D", 3, 900)]


@pytest.mark.usefixtures("quick")
def test_a_better_adapter_that_is_not_chosen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    document = doctor.examine(colour=False)
    (found,) = doctor._of_adapters(document, [SOFTWARE, CARD], SOFTWARE)
    assert found["remedy"] == "set WGPUPY_WGPU_ADAPTER_NAME='Some Card'"
    assert not found["severe"]
    assert doctor._of_adapters(document, [SOFTWARE, CARD], CARD) == []
    assert doctor._of_adapters(document, [], None) == []
    monkeypatch.setattr(doctor, "_NVIDIA", Path(__file__))
    (found,) = doctor._of_adapters(document, [SOFTWARE], SOFTWARE)
    assert "there is an NVIDIA card" in found["remedy"]


@pytest.mark.usefixtures("quick")
def test_what_is_missing_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_system, "installed", lambda name: None if name in ("textual", "torch") else "1.0")
    monkeypatch.setattr(doctor_system, "system", lambda: "arch")
    monkeypatch.setattr(doctor_system, "browsers", list)
    monkeypatch.setenv("PATH", "/nonexistent")
    found = {p["problem"]: p for p in doctor.examine(colour=False)["problems"]}
    missing = found["textual is not installed: the dashboard of anneal train"]
    assert (missing["remedy"], missing["severe"]) == (f"{sys.executable} -m pip install textual", True)
    assert found["graphviz is not installed: graphs as SVG"]["remedy"] == "pacman -S graphviz"
    assert found["no browser was found: the visualizer needs one with WebGPU"]["remedy"] == "pacman -S chromium"
    assert not any("torch" in problem for problem in found)


@pytest.mark.usefixtures("quick")
def test_a_device_below_what_every_device_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReferenceDevice, "target", replace(ReferenceDevice.target, invocations=128))
    found = [p["problem"] for p in doctor.examine(colour=False)["problems"]]
    assert "reference: invocations is 128, and plans for every device use 256" in found


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("columns", [1, 20, 40, 80, 200])
def test_the_report_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    document = doctor.examine(colour=False)
    made = lines(document, Style(sys.stdout, plain=True))
    assert max(map(len, made)) <= max(columns, 20)
    text = " ".join(" ".join(made).split())
    assert all(device["name"] in text for device in document["devices"])
    assert all(part in text for part in ("storage_buffers", "copies up to 3.00 GB/s", "remedy:"))


@pytest.mark.usefixtures("quick")
def test_plain_output_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--plain"]) == 0
    assert capsys.readouterr().out.isascii()
    assert os.environ.get("WGPUPY_WGPU_ADAPTER_NAME") is None


def test_an_adapter_that_is_asked_for_and_not_there_is_no_device(anneal: Run) -> None:
    done = anneal("doctor", "--json", WGPUPY_WGPU_ADAPTER_NAME="no such card")
    assert done.code == 3
    assert any("'no such card' not found" in p["problem"] for p in done.json["problems"])
