"""The devices there are, by name.

`webgpu` is a GPU, or a software adapter that stands in for one; `reference` is NumPy and always there, but in a browser tab, where `webgpu` is
the tab's own GPU. A device is opened once and kept.

>>> get_device("reference").name
'reference'
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from anneal.errors import NoDeviceError, UsageError
from anneal.runtime.base import Device, Storage

__all__ = ["NAMES", "Device", "Storage", "get_device", "open_device"]

_IN_TAB: Final = sys.platform == "emscripten"
VARIABLE: Final = "ANNEAL_DEVICE"
"""The environment variable that names the device to use where the program names none."""


def _webgpu() -> Device:
    from anneal.runtime.webgpu import WebGPUDevice

    return WebGPUDevice()


def _reference() -> Device:
    try:
        from anneal.runtime.reference import ReferenceDevice
    except ModuleNotFoundError as error:
        raise NoDeviceError(f"the reference device needs {error.name}: pip install {error.name}") from error
    return ReferenceDevice()


_OPEN: Final[dict[str, Callable[[], Device]]] = {"webgpu": _webgpu, "reference": _reference}
_OPENED: Final[dict[str, Device]] = {}
_FALLBACK: Final[list[Device]] = []
NAMES: Final = tuple(_OPEN)


async def open_device(name: str | None = None) -> Device:
    """As `get_device`, where opening a GPU may take a while: in a browser tab `get_device` finds it at once afterwards.

    A tab's GPU that was lost is opened anew; what was on the old one is gone.
    """
    if _IN_TAB and name in (None, "webgpu"):
        from anneal.runtime import browser

        return await browser.open_device()
    return get_device(name)


def get_device(name: str | None = None) -> Device:
    """The device called `name`, or the default: what ANNEAL_DEVICE names, else webgpu where there is an adapter, else reference.

    Raises UsageError for an unknown name and NoDeviceError when the device is not there. The fall-back to
    reference says so on stderr, once.
    """
    if name is None:
        asked = os.environ.get(VARIABLE, "")
        return _open(asked, f"{VARIABLE}={asked}: ") if asked else _default()
    return _open(name, "")


def _open(name: str, prefix: str) -> Device:
    if name not in _OPEN:
        raise UsageError(f"{prefix}no device {name!r}: there are {', '.join(NAMES)}")
    if _IN_TAB and name == "webgpu":
        from anneal.runtime import browser

        return browser.opened()  # which may be another one after a loss
    if name not in _OPENED:
        _OPENED[name] = _OPEN[name]()
    return _OPENED[name]


def _default() -> Device:
    if _FALLBACK:
        return _FALLBACK[0]
    try:
        return _open("webgpu", "")
    except NoDeviceError as error:
        try:
            device = _open("reference", "")
        except NoDeviceError:
            raise error from None
        sys.stderr.write(f"anneal: {error}; running on the reference device instead ({VARIABLE}=reference does so silently)\n")
        _FALLBACK.append(device)
        return device
