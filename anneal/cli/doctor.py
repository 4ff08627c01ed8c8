"""`anneal doctor`: what is installed, which devices there are, whether they compute what they should, and what to do where they do not.

Each device runs a product of matrices and whole-number divisions; the expected values come from plain Python. The exit code is 3 when no
GPU device works; the reference device may work still.

>>> EXAMPLE
'anneal doctor'
"""

from __future__ import annotations

import math
import platform
import sys
import time
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from anneal.cli import options as shared
from anneal.cli.output import Style, emit
from anneal.codegen.target import Target
from anneal.errors import NoDeviceError
from anneal.examples.program import trace
from anneal.ir.dtype import Scalar
from anneal.runtime.device import NAMES, Device, get_device
from anneal.tensor import host
from anneal.tensor.realize import Executable
from anneal.tensor.tensor import Tensor

EXAMPLE: Final = "anneal doctor"
_ROWS, _INNER, _COLUMNS = 37, 24, 17
_TOLERANCE: Final = 1e-4
_NO_DEVICE: Final = 3
_SOFTWARE: Final = ("llvmpipe", "lavapipe", "swiftshader", "warp", "basic render")
_REMEDIES: Final = {
    "Linux": "install the Vulkan driver of your GPU, or one in software: apt-get install mesa-vulkan-drivers libvulkan1",
    "Darwin": "update macOS: every Mac that runs macOS 12 has a Metal adapter",
    "Windows": "update the driver of your graphics card; it must offer Direct3D 12 or Vulkan",
}


def options(_: shared.Parser) -> None:
    """Nothing beside what every verb takes."""


def run(arguments: Namespace) -> int:
    """Examine and print; returns the exit code."""
    devices = [_examine(name) for name in NAMES]
    document = {
        "anneal": _version("anneal-compiler"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "numpy": _version("numpy"),
        "wgpu": _version("wgpu"),
        "devices": devices,
        "problems": _problems(devices),
    }
    if arguments.json:
        emit(document)
    else:
        print("\n".join(_lines(document, Style(sys.stdout, plain=arguments.plain))))
    return 0 if all(d["works"] for d in devices if d["name"] == "webgpu") else _NO_DEVICE


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _examine(name: str) -> dict[str, Any]:
    """A device: what it is, what it offers, whether it computes."""
    found: dict[str, Any] = {"name": name, "works": False, "description": None, "software": None, "target": None, "check": None, "problem": None}
    try:
        device = get_device(name)
        found["description"], found["target"] = device.description, device.target.to_dict()
        found["software"] = name == "reference" or any(word in device.description.lower() for word in _SOFTWARE)
        found["check"] = check = _check(device)
        found["works"] = check["error"] <= _TOLERANCE
        if not found["works"]:
            found["problem"] = f"it computes wrong numbers: off by {check['error']:.2g}"
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the report goes on
        found["problem"] = " ".join(str(error).split()) or type(error).__name__
        found["absent"] = isinstance(error, NoDeviceError | ImportError)
    return found


def _check(device: Device) -> dict[str, Any]:
    """Run kernels; the largest difference from what plain Python computes."""
    a = [[math.sin(i * _INNER + k) for k in range(_INNER)] for i in range(_ROWS)]
    b = [[math.cos(k * _COLUMNS + j) for j in range(_COLUMNS)] for k in range(_INNER)]
    whole = list(range(-50, 51))
    tensors = [(Tensor(a) @ Tensor(b)).relu().sum(1), Tensor(whole) // 7, Tensor(whole) % 7]
    product = [sum(max(0.0, sum(row[k] * b[k][j] for k in range(_INNER))) for j in range(_COLUMNS)) for row in a]
    expected: list[list[Scalar]] = [[*product], [n // 7 for n in whole], [n % 7 for n in whole]]
    start = time.perf_counter()
    ready = Executable(trace(tensors)[0], device)
    ready.run()
    values = [host.decode(ready.read(i), t.dtype, t.numel()) for i, t in enumerate(tensors)]
    error = max(_distance(x, y) for got, want in zip(values, expected, strict=True) for x, y in zip(got, want, strict=True))
    return {"kernels": len(ready.plan.kernels), "error": error, "ms": (time.perf_counter() - start) * 1e3}


def _distance(x: Scalar, y: Scalar) -> float:
    return math.inf if math.isnan(x) else abs(x - y)


def _problems(devices: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What is wrong, each with what to do about it on this system."""
    found = []
    for device in devices:
        if device["problem"]:
            found.append({"problem": f"{device['name']}: {device['problem']}", "remedy": _remedy(device)})
        elif device["name"] == "webgpu" and device["software"]:
            found.append(
                {
                    "problem": f"webgpu: {device['description']} computes on the processor, not on a graphics card",
                    "remedy": "fine for learning and tests; where there is a graphics card, install its driver",
                }
            )
    return found


def _remedy(device: dict[str, Any]) -> str:
    if device["name"] == "reference":
        return "install NumPy: pip install numpy"
    if _version("wgpu") is None:
        return "install the GPU library: pip install wgpu"
    if device.get("absent"):
        return _REMEDIES.get(platform.system(), "this system needs a Vulkan, Metal or Direct3D 12 driver")
    return "update the driver; until then use --device reference, and please report this with the output of anneal doctor --json"


def _lines(document: dict[str, Any], style: Style) -> list[str]:
    """The document for a reader."""
    made = [f"{style.dim(f'{name:<9}')} {document[name] or 'not installed'}" for name in ("anneal", "python", "platform", "numpy", "wgpu")]
    portable = Target.portable().to_dict()
    for device in document["devices"]:
        made += ["", f"{style.bold(device['name'])}  {'works' if device['works'] else 'does not work'}"]
        if device["description"]:
            made.append(f"  {device['description']}")
        if device["check"]:
            made.append(f"  {device['check']['kernels']} kernels run and checked in {device['check']['ms']:.0f} ms, error {device['check']['error']:.1e}")
        for name, value in (device["target"] or {}).items():
            if isinstance(value, bool):
                made.append(f"  {name:<16} {'yes' if value else 'no':>15}")
            else:
                made.append(f"  {name:<16} {value:>15,}  " + style.dim(f"(every device has {portable[name]:,})"))
    for problem in document["problems"]:
        made += ["", f"problem: {problem['problem']}", f"remedy:  {problem['remedy']}"]
    return made
