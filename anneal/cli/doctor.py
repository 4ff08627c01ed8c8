"""`anneal doctor`: what is installed, which devices there are, whether they compute what they should, how fast, and what to do where not.

The exit code is 3 when no GPU device works; the reference device may work still.

>>> EXAMPLE
'anneal doctor'
"""

from __future__ import annotations

import os
import platform
import sys
from argparse import Namespace
from pathlib import Path
from typing import Final

from anneal.cli import doctor_devices as devices
from anneal.cli import doctor_system as around
from anneal.cli import options as shared
from anneal.cli.doctor_text import lines
from anneal.cli.output import Style, emit
from anneal.export.schema.doctor import VERSION, Doctor, Problem
from anneal.export.schema.doctor import Device as Report
from anneal.runtime import adapters, pipeline
from anneal.runtime.device import NAMES

EXAMPLE: Final = "anneal doctor"
_NO_DEVICE: Final = 3
_COLUMNS: Final = 80
_NVIDIA: Final = Path("/proc/driver/nvidia/version")
_RENDER: Final = Path("/dev/dri")


def options(_: shared.Parser) -> None:
    """Nothing beside what every verb takes."""


def run(arguments: Namespace) -> int:
    """Examine and print; returns the exit code."""
    style = Style(sys.stdout, plain=arguments.plain)
    document = examine(colour=style.colour)
    emit(document) if arguments.json else print("\n".join(lines(document, style)))
    return 0 if all(d["works"] for d in document["devices"] if d["name"] == "webgpu") else _NO_DEVICE


def examine(*, colour: bool) -> Doctor:
    """The whole report."""
    listed, failure = devices.list_adapters()
    chosen = devices.chosen_adapter()
    examined = [devices.examine(name) for name in NAMES]
    document = Doctor(
        schema="anneal.doctor",
        version=VERSION,
        anneal=around.installed("anneal-compiler"),
        python=platform.python_version(),
        executable=sys.executable,
        platform=platform.platform(),
        system=around.system(),
        packages=around.packages(),
        adapters=[devices.show_adapter(a, chosen) for a in listed],
        devices=[report for report, _ in examined],
        browsers=around.browsers(),
        site=around.site(),
        plans_kept=pipeline.MOST,
        caches=around.caches(),
        terminal=around.terminal(colour=colour),
        problems=[],
    )
    if failure and around.installed("wgpu"):
        document["problems"].append(_problem(f"the adapters cannot be listed: {failure}", _driver(document["system"])))
    for report, absent in examined:
        document["problems"] += _of_device(report, document["system"], absent=absent)
    document["problems"] += [*_of_adapters(document, listed, chosen), *_of_system(document)]
    return document


def _problem(problem: str, remedy: str, *, severe: bool = True) -> Problem:
    return Problem(problem=problem, remedy=remedy, severe=severe)


def _of_device(report: Report, system: str, *, absent: bool) -> list[Problem]:
    found = []
    if report["problem"]:
        if report["name"] == "reference":
            remedy = around.pip("numpy") if absent else "reinstall NumPy, and please report this with the output of anneal doctor --json"
        elif around.installed("wgpu") is None:
            remedy = around.pip("wgpu")
        elif absent:
            remedy = _driver(system)
        else:
            remedy = "update the driver; until then use --device reference, and please report this with the output of anneal doctor --json"
        found.append(_problem(f"{report['name']}: {report['problem']}", remedy))
    for limit in report["limits"]:
        if limit["have"] < limit["need"]:
            what = f"{report['name']}: {limit['name']} is {limit['have']:,}, and plans for every device use {limit['need']:,}"
            found.append(_problem(what, "update the driver; programs compiled on this system fit it, plans from elsewhere may not", severe=False))
    return found


def _driver(system: str) -> str:
    """How to come by an adapter on this system."""
    if system == "macos":
        return "update macOS: every Mac that runs macOS 12 has a Metal adapter"
    if system == "windows":
        return "update the driver of your graphics card; it must offer Direct3D 12 or Vulkan"
    return f"install the driver of your graphics card; or one in software: {around.command(system, 'vulkan')}"


def _of_adapters(document: Doctor, listed: list[adapters.Adapter], chosen: adapters.Adapter | None) -> list[Problem]:
    """What keeps a program from the best adapter that there may be."""
    if chosen is None:
        return []
    faster = next((a for a in listed if a.kind == "DiscreteGPU"), None)
    if faster and chosen.kind != "DiscreteGPU":
        return [_problem(f"webgpu: programs run on {chosen.name}, and there is {faster.name}", f"set WGPUPY_WGPU_ADAPTER_NAME={faster.name!r}", severe=False)]
    if not chosen.software:
        return []
    return [_problem(f"webgpu: {chosen.words} computes on the processor, not on a graphics card", _to_the_card(document["system"]), severe=False)]


def _to_the_card(system: str) -> str:
    """What to do where a graphics card may be there, and is not seen."""
    if _NVIDIA.is_file():
        loader = around.command(system, "vulkan")
        return f"there is an NVIDIA card: install its Vulkan driver and the loader ({loader}); in a container set NVIDIA_DRIVER_CAPABILITIES=all"
    closed = [str(p) for p in sorted(_RENDER.glob("renderD*")) if not os.access(p, os.R_OK | os.W_OK)]
    if closed:
        return f"there is a graphics card that this user may not use ({', '.join(closed)}): sudo usermod -aG render,video $USER, and log in again"
    return "fine for learning and tests; where there is a graphics card, install its driver"


def _of_system(document: Doctor) -> list[Problem]:
    """What is missing beside devices."""
    system, found = document["system"], []
    for package in document["packages"]:
        name, version = package["name"], package["version"]
        if version is None and name not in ("wgpu", "numpy", "torch"):  # of the first two their devices speak; nobody needs the third
            remedy = around.command(system, name) if name == "graphviz" else around.pip(name)
            found.append(_problem(f"{name} is not installed: {package['purpose']}", remedy, severe=package["needed"]))
    if not document["browsers"]:
        found.append(_problem("no browser was found: the visualizer needs one with WebGPU", around.command(system, "browser"), severe=False))
    terminal = document["terminal"]
    if "utf" not in terminal["encoding"].lower():
        found.append(_problem(f"the output's encoding is {terminal['encoding']}: symbols become ?", "set PYTHONUTF8=1, or use --plain", severe=False))
    if terminal["tty"] and terminal["columns"] < _COLUMNS:
        found.append(_problem(f"the terminal has {terminal['columns']} columns: tables are made for 80", "make it wider", severe=False))
    return found
