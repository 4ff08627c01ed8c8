"""The GPU adapters of this system, and the opening of one.

Nothing is computed here: `WebGPUDevice` runs plans on what `open_adapter` returns, and `anneal doctor` shows what `adapters` lists. The library
takes two variables of the environment: WGPU_BACKEND_TYPE names a backend (Vulkan, Metal, D3D12, OpenGL), WGPUPY_WGPU_ADAPTER_NAME a part of
an adapter's name.

>>> all(adapter.backend for adapter in adapters())
True
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from anneal.codegen.target import Target
from anneal.errors import NoDeviceError
from anneal.runtime.base import plain

LIMITS: Final = (
    "max-storage-buffers-per-shader-stage",
    "max-compute-workgroup-storage-size",
    "max-compute-invocations-per-workgroup",
    "max-compute-workgroup-size-x",
    "max-compute-workgroup-size-y",
    "max-compute-workgroup-size-z",
    "max-storage-buffer-binding-size",
    "max-buffer-size",
    "max-compute-workgroups-per-dimension",
)
"""The limits that are raised to what the adapter has."""
FEATURES: Final = ("shader-f16", "timestamp-query")
"""The features that are used where the adapter offers them: float16, and the time of each kernel by the GPU's own clock."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What the library says of an adapter."""

    name: str
    backend: str
    """Vulkan, Metal, D3D12 or OpenGL."""
    driver: str
    """Name and version as the driver words them, or the vendor."""
    kind: str
    """DiscreteGPU, IntegratedGPU, CPU or Unknown."""

    @property
    def software(self) -> bool:
        """True where a processor computes what a graphics card should."""
        return self.kind == "CPU"

    @property
    def words(self) -> str:
        """All of it on one line."""
        return f"{self.name} ({self.backend}, {self.driver})"


class Opened(NamedTuple):
    """An adapter in use."""

    library: Any
    adapter: Adapter
    device: Any
    features: tuple[str, ...]
    """Those of `FEATURES` that it offers."""


def adapters() -> list[Adapter]:
    """Every adapter of this system, perhaps one graphics card by way of several backends. Raises NoDeviceError without the library."""
    wgpu = _library()
    with _runtime_folder():
        return [_described(adapter) for adapter in wgpu.gpu.enumerate_adapters_sync()]


def open_adapter() -> Opened:
    """The adapter that the system puts first for performance, and a device with all that it offers; raises NoDeviceError where there is none."""
    wgpu = _library()
    with _runtime_folder():
        try:
            found = wgpu.gpu.request_adapter_sync(power_preference="high-performance")
        except (RuntimeError, ValueError, wgpu.GPUError) as error:
            raise NoDeviceError(f"no GPU adapter ({plain(str(error)).split(';')[0]}; on Linux, mesa-vulkan-drivers has one in software)") from error
        features = tuple(f for f in FEATURES if f in found.features)
        try:
            device = found.request_device_sync(required_features=features, required_limits={name: found.limits[name] for name in LIMITS})
        except (RuntimeError, wgpu.GPUError) as error:
            raise NoDeviceError(f"the GPU {found.info['device']} refuses a device: {plain(str(error))}") from error
    return Opened(wgpu, _described(found), device, features)


def target_of(limits: Mapping[str, int], features: Collection[str], *, software: bool) -> Target:
    """What a device with these limits and features offers to generated code."""
    return Target(
        storage_buffers=min(limits["max-storage-buffers-per-shader-stage"], limits["max-bindings-per-bind-group"]),
        workgroup_bytes=limits["max-compute-workgroup-storage-size"],
        invocations=limits["max-compute-invocations-per-workgroup"],
        workgroup_x=min(limits["max-compute-workgroup-size-x"], limits["max-compute-workgroup-size-y"]),
        workgroup_z=limits["max-compute-workgroup-size-z"],
        workgroups=limits["max-compute-workgroups-per-dimension"],
        binding_bytes=min(limits["max-storage-buffer-binding-size"], limits["max-buffer-size"]) // 4 * 4,
        local_memory=not software,
        float16="shader-f16" in features,
    )


def _library() -> Any:
    try:
        import wgpu  # type: ignore[import-untyped]
    except (ImportError, OSError, RuntimeError) as error:
        raise NoDeviceError(f"no GPU: the package wgpu cannot be imported ({error}); install it with: pip install wgpu") from error
    return wgpu


def _described(adapter: Any) -> Adapter:
    info = adapter.info
    return Adapter(info["device"], info["backend_type"], info["description"] or info["vendor"], info["adapter_type"])


@contextmanager
def _runtime_folder() -> Iterator[None]:
    """Give XDG_RUNTIME_DIR a value while a driver looks for it, so that it does not complain on stderr."""
    if "XDG_RUNTIME_DIR" in os.environ:
        yield
        return
    os.environ["XDG_RUNTIME_DIR"] = tempfile.gettempdir()
    try:
        yield
    finally:
        del os.environ["XDG_RUNTIME_DIR"]
