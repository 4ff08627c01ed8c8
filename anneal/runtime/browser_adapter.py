"""The GPU of a browser tab: asking for it, what it offers, and why there is none.

Nothing is computed here: `BrowserDevice` runs plans on what `open_adapter` returns.

>>> camel("max-buffer-size")
'maxBufferSize'
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, NamedTuple

from anneal.codegen.target import Target
from anneal.errors import NoDeviceError
from anneal.runtime.adapters import FEATURES, LIMITS, Adapter, target_of
from anneal.runtime.base import plain
from anneal.runtime.browser_bridge import Bridge

NO_WEBGPU: Final = (
    "this browser has no WebGPU: Chrome and Edge have it from version 113, Safari from 26, Firefox from 141, where the system's graphics driver will do; "
    "on Linux start Chrome with --enable-unsafe-webgpu, in Firefox set dom.webgpu.enabled in about:config"
)
INSECURE: Final = "a browser gives WebGPU to safe pages only: open this page from an https:// address, or from localhost or 127.0.0.1"
NO_ADAPTER: Final = (
    "this browser has WebGPU and finds no GPU for it: turn on graphics acceleration in its settings, update the graphics driver, and start it again; "
    "on Linux start Chrome with --enable-unsafe-webgpu, and without a graphics card with --use-webgpu-adapter=swiftshader; chrome://gpu says more"
)
_SOFTWARE: Final = frozenset({"swiftshader", "llvmpipe", "warp"})
"""Architectures that a processor computes, where the browser does not say so otherwise."""


class Opened(NamedTuple):
    """A tab's GPU in use."""

    device: Any
    adapter: Adapter
    features: tuple[str, ...]
    """Those of `FEATURES` that it offers."""
    target: Target
    largest: int
    """Bytes of the largest buffer."""


def camel(name: str) -> str:
    """A limit's name as JavaScript has it."""
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)


async def open_adapter(bridge: Bridge) -> Opened:
    """The adapter that the browser puts first for performance, and a device with all that it offers; raises NoDeviceError where there is none."""
    scope, convert = bridge.scope, bridge.convert
    gpu = getattr(getattr(scope, "navigator", None), "gpu", None)
    if gpu is None:
        raise NoDeviceError(NO_WEBGPU if getattr(scope, "isSecureContext", True) else INSECURE)
    adapter = await _asked(bridge, gpu.requestAdapter(convert({"powerPreference": "high-performance"})), NO_ADAPTER)
    if adapter is None:
        raise NoDeviceError(NO_ADAPTER)
    described = _described(adapter.info)
    features = tuple(f for f in FEATURES if adapter.features.has(f))
    wanted = {name: int(getattr(adapter.limits, name)) for name in map(camel, LIMITS)}
    descriptor = convert({"requiredFeatures": list(features), "requiredLimits": wanted})
    device = await _asked(bridge, adapter.requestDevice(descriptor), f"the GPU {described.name} refuses a device")
    limits = {name: int(getattr(device.limits, camel(name))) for name in (*LIMITS, "max-bindings-per-bind-group")}
    target = target_of(limits, features, software=described.software)
    return Opened(device, described, features, target, limits["max-buffer-size"])


async def _asked(bridge: Bridge, promise: Awaitable[Any], what: str) -> Any:
    """What a promise brings; raises NoDeviceError with `what` where it is rejected."""
    try:
        return bridge.value(await promise)
    except bridge.failure as error:
        raise NoDeviceError(f"{what} ({plain(str(error))})") from error


def _described(info: Any) -> Adapter:
    """An adapter in words; browsers tell little of it."""
    vendor, architecture, device, told = (str(getattr(info, name, None) or "") for name in ("vendor", "architecture", "device", "description"))
    software = bool(getattr(info, "isFallbackAdapter", None)) or architecture.lower() in _SOFTWARE
    kind = "CPU" if software else "Unknown"
    return Adapter(told or device or architecture or "GPU", "WebGPU", vendor or "no vendor told", kind)
