"""What `anneal doctor` finds out about devices: what they offer, whether they compute what they should, and how fast.

Each device runs a product of matrices and whole-number divisions; the expected values come from plain Python. Whatever goes wrong is
reported, and the examination goes on.

>>> sorted(set(PURPOSES) - set(Target.portable().to_dict()))
['timestamps']
"""

from __future__ import annotations

import math
import time
from typing import Final

from anneal.codegen.target import Target
from anneal.errors import NoDeviceError
from anneal.examples.program import trace
from anneal.export import measured
from anneal.export.schema.doctor import Adapter, Check, Feature, Limit
from anneal.export.schema.doctor import Device as Report
from anneal.ir.dtype import Scalar
from anneal.runtime import adapters, measure
from anneal.runtime.device import Device, get_device
from anneal.runtime.webgpu import WebGPUDevice
from anneal.tensor import host
from anneal.tensor.realize import Executable
from anneal.tensor.tensor import Tensor

PURPOSES: Final = {
    "storage_buffers": "buffers of a kernel",
    "workgroup_bytes": "bytes for sums and tiles",
    "invocations": "threads of a workgroup",
    "workgroup_x": "its threads along x or y",
    "workgroup_z": "its threads along z",
    "workgroups": "workgroups along each axis",
    "binding_bytes": "bytes of the largest tensor",
    "local_memory": "tiles in workgroup memory",
    "float16": "native arithmetic in float16",
    "timestamps": "kernels timed by the GPU",
}
"""What the compiler uses each limit and feature for."""
_ROWS, _INNER, _COLUMNS = 37, 24, 17
_TOLERANCE: Final = 1e-4


def list_adapters() -> tuple[list[adapters.Adapter], str | None]:
    """The adapters of this system; and what prevented to list them."""
    try:
        return adapters.adapters(), None
    except Exception as error:  # noqa: BLE001 - a driver may fail in any way, and the report goes on
        return [], _words(error)


def show_adapter(adapter: adapters.Adapter, chosen: adapters.Adapter | None) -> Adapter:
    """An adapter as a document has it."""
    return Adapter(name=adapter.name, backend=adapter.backend, driver=adapter.driver, kind=adapter.kind, chosen=adapter == chosen)


def chosen_adapter() -> adapters.Adapter | None:
    """The adapter that the device webgpu runs on."""
    try:
        device = get_device("webgpu")
    except Exception:  # noqa: BLE001 - `examine` reports it
        return None
    return device.adapter if isinstance(device, WebGPUDevice) else None


def examine(name: str) -> tuple[Report, bool]:
    """A device, and whether the reason why it does not work is that there is none."""
    report = Report(name=name, works=False, description=None, software=None, limits=[], features=[], check=None, peaks=None, problem=None)
    try:
        device = get_device(name)
        report["description"], report["software"] = device.description, not isinstance(device, WebGPUDevice) or device.adapter.software
        report["limits"], report["features"] = _limits(device.target), _features(device)
        report["check"] = check = _check(device)
        if not float(check["error"]) <= _TOLERANCE:
            report["problem"] = f"it computes wrong numbers: off by {check['error']:.2g}"
            return report, False
        report["peaks"] = measured.peaks(measure.peaks(device))
        report["works"] = True
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the report goes on
        report["problem"] = _words(error)
        return report, isinstance(error, NoDeviceError | ImportError)
    return report, False


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _limits(target: Target) -> list[Limit]:
    portable = Target.portable().to_dict()
    return [
        Limit(name=name, need=portable[name], have=value, purpose=PURPOSES[name]) for name, value in target.to_dict().items() if not isinstance(value, bool)
    ]


def _features(device: Device) -> list[Feature]:
    found = {name: value for name, value in device.target.to_dict().items() if isinstance(value, bool)}
    if isinstance(device, WebGPUDevice):
        found["timestamps"] = "timestamp-query" in device.features
    return [Feature(name=name, have=have, purpose=PURPOSES[name]) for name, have in found.items()]


def _check(device: Device) -> Check:
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
    return Check(kernels=len(ready.plan.kernels), error=error, ms=(time.perf_counter() - start) * 1e3)


def _distance(x: Scalar, y: Scalar) -> float:
    return math.inf if math.isnan(x) else abs(x - y)
