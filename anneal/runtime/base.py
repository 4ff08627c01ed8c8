"""What every device offers, and the checks that come before any work.

A device holds storages and runs plans. A call that does not fit the plan or the device is refused here, with a reason, before the device
sees anything of it.

>>> aligned(5), aligned(0)
(8, 4)
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar

from anneal.codegen.target import UNIT, Target
from anneal.errors import DeviceError, UsageError
from anneal.runtime.plan import Kernel, Plan, size

Result = TypeVar("Result")
Clock = Literal["timestamp-query", "wall"]
NO_SYMBOLS: Final[Mapping[str, int]] = {}
_KEYS: Final = itertools.count()


def aligned(nbytes: int) -> int:
    """The bytes that a buffer for `nbytes` really has: a multiple of 4, at least 4."""
    return max(UNIT, -(-nbytes // UNIT) * UNIT)


def new_key() -> int:
    """A number no other buffer of this process has."""
    return next(_KEYS)


class Storage:
    """Memory of a device that a caller owns; it goes back to the device when the last reference to it dies."""

    __slots__ = ("__weakref__", "device", "key", "nbytes")

    def __init__(self, device: str, nbytes: int, key: int) -> None:
        self.device = device
        """Name of the device it belongs to."""
        self.nbytes = nbytes
        """Usable bytes: what was asked for, rounded up to a multiple of 4."""
        self.key = key
        """Names the memory and its size: two storages with one key are the same bytes at different times."""

    def __repr__(self) -> str:
        return f"<{self.device} storage of {self.nbytes} bytes>"


class Device(Protocol):
    """Runs plans."""

    name: str
    """The name that `get_device` knows it by."""
    description: str
    """Hardware, backend and driver, in words."""
    target: Target
    """What it offers to generated code."""
    clock: Clock
    """What `profile` reads: the device's own timestamps, or the time from submitting a kernel to when the host knows that it is done."""

    def allocate(self, nbytes: int) -> Storage:
        """New storage of at least `nbytes` bytes, with unspecified contents; raises DeviceError when there is no room."""

    def write(self, storage: Storage, data: bytes | bytearray | memoryview) -> None:
        """Copy `data` to the start of `storage`."""

    def read(self, storage: Storage, nbytes: int) -> bytes:
        """The first `nbytes` bytes of `storage`, after all work submitted so far."""

    def read_many(self, requests: Sequence[tuple[Storage, int]]) -> list[bytes]:
        """Several reads for the price of one wait."""

    def execute(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> None:
        """Run a plan on one storage for each of its input and output buffers, in the order of `plan.buffers`."""

    def profile(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        """Run a plan and return the seconds each kernel took."""

    def wait(self) -> None:
        """Return when all submitted work is done."""

    async def read_many_async(self, requests: Sequence[tuple[Storage, int]]) -> list[bytes]:
        """As `read_many`; a browser tab goes on with other work meanwhile."""

    async def profile_async(self, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        """As `profile`; a browser tab goes on with other work meanwhile."""

    async def wait_async(self) -> None:
        """As `wait`; a browser tab goes on with other work meanwhile."""

    def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What a coroutine returns that awaits nothing but this device; raises DeviceError, before any of it, where a browser tab cannot wait."""


class Blocking:
    """A device whose calls block until they are done: the asynchronous forms do at once what the plain ones do."""

    async def read_many_async(self: Device, requests: Sequence[tuple[Storage, int]]) -> list[bytes]:
        """As `read_many`."""
        return self.read_many(requests)

    async def profile_async(self: Device, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int] | None = None) -> list[float]:
        """As `profile`."""
        return self.profile(plan, storages, symbols)

    async def wait_async(self: Device) -> None:
        """As `wait`."""
        self.wait()

    def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What a coroutine returns that awaits nothing but this device."""
        try:
            work.send(None)
        except StopIteration as done:
            result: Result = done.value
            return result
        work.close()
        raise DeviceError("this work awaits something else than its device: run it with asyncio.run")


def check_read(storage: Storage, nbytes: int) -> None:
    """Raise unless `storage` has `nbytes` bytes to read."""
    if not 0 <= nbytes <= storage.nbytes:
        raise DeviceError(f"cannot read {nbytes} bytes from a storage of {storage.nbytes}")


def check_write(storage: Storage, nbytes: int) -> None:
    """Raise unless `nbytes` bytes fit into `storage`."""
    if nbytes > storage.nbytes:
        raise DeviceError(f"cannot write {nbytes} bytes to a storage of {storage.nbytes}: allocate a larger one")


def check_symbols(plan: Plan, symbols: Mapping[str, int]) -> None:
    """Raise unless every symbol of the plan has a value in its range."""
    for name, (low, high) in plan.symbols.items():
        if name not in symbols:
            raise UsageError(f"this plan needs a value for {name!r}, from {low} to {high}: pass symbols={{{name!r}: ...}}")
        if not low <= symbols[name] <= high:
            raise UsageError(f"{name} = {symbols[name]} is outside the range [{low}, {high}] this plan was compiled for")


def check_storages(device: str, plan: Plan, storages: Sequence[Storage], symbols: Mapping[str, int]) -> list[int]:
    """The bytes of each of the plan's buffers; raises unless the storages are of `device`, right in number and size, and not aliased."""
    bound = [b for b in plan.buffers if b.role != "temporary"]
    if len(storages) != len(bound):
        raise DeviceError(f"this plan has {len(bound)} input and output buffers, and {len(storages)} storages were given: one for each, inputs first")
    sizes = [size(b.bytes, symbols) for b in plan.buffers]
    seen: dict[int, int] = {}
    written = {b.buffer for k in plan.kernels for b in k.bindings if b.writes}
    for position, (storage, buffer, need) in enumerate(zip(storages, bound, sizes, strict=False)):
        what = f"{buffer.role} {position} ({buffer.dtype} {buffer.shape})"
        if storage.device != device:
            raise DeviceError(f"{what} is on device {storage.device}, and the plan runs on {device}: move it there first")
        if storage.nbytes < need:
            raise DeviceError(f"{what} needs {need} bytes, and its storage has {storage.nbytes}")
        first = seen.setdefault(storage.key, position)
        if first != position and (first in written or position in written):
            raise DeviceError(f"buffers {first} and {position} are one storage, which the plan writes: give each a storage of its own")
    return sizes


def check_sizes(plan: Plan, sizes: Sequence[int], target: Target, device: str) -> None:
    """Raise unless every buffer can be bound."""
    for position, (buffer, nbytes) in enumerate(zip(plan.buffers, sizes, strict=True)):
        if nbytes > target.binding_bytes:
            raise DeviceError(
                f"buffer {position} ({buffer.role}, {buffer.dtype} {buffer.shape}) takes {nbytes:,} bytes, "
                f"and {device} binds {target.binding_bytes:,} at most: "
                "use smaller tensors, smaller batches or float16"
            )


def check_fits(plan: Plan, target: Target, device: str) -> None:
    """Raise unless every kernel keeps within what the device offers."""
    for kernel in plan.kernels:
        for what, need, have in _demands(kernel, target):
            if need > have:
                raise DeviceError(f"kernel {kernel.name} needs {need:,} {what}, and {device} has {have:,}: compile the plan for its target")
        if "enable f16" in kernel.wgsl and not target.float16:
            raise DeviceError(f"kernel {kernel.name} computes in float16, which {device} lacks: use float32")


def _demands(kernel: Kernel, target: Target) -> list[tuple[str, int, int]]:
    x, y, z = kernel.workgroup_size
    return [
        ("storage buffers", len(kernel.bindings), target.storage_buffers),
        ("invocations a workgroup", x * y * z, target.invocations),
        ("invocations along x or y", max(x, y), target.workgroup_x),
        ("invocations along z", z, target.workgroup_z),
        ("bytes of workgroup memory", _workgroup_bytes(kernel), target.workgroup_bytes),
    ]


def dispatch(kernel: Kernel, symbols: Mapping[str, int], target: Target, device: str) -> tuple[int, int, int]:
    """The numbers of workgroups of a kernel; raises when the device cannot dispatch so many."""
    x, y, z = (size(n, symbols) for n in kernel.workgroups)
    if max(x, y, z) > target.workgroups:
        raise DeviceError(f"kernel {kernel.name} needs {(x, y, z)} workgroups, and {device} dispatches at most {target.workgroups:,} along an axis")
    return x, y, z


_SIZES: Final = {"f16": 2}
_SHARED: Final = re.compile(r"var<workgroup>\s*\w+\s*:\s*array<\s*(?:vec(\d)<)?(\w+)>?\s*,\s*(\d+)")


def _workgroup_bytes(kernel: Kernel) -> int:
    return sum(int(count) * int(lanes or 1) * _SIZES.get(kind, UNIT) for lanes, kind, count in _SHARED.findall(kernel.wgsl))


_PLACE: Final = re.compile(r"┌─ .*?:(\d+):\d+")


def _said(message: str) -> list[str]:
    """The lines of a driver's message, without the frame that every message has."""
    lines = [line.strip() for line in message.splitlines()]
    return [line for line in lines if line and line not in ("Validation Error", "Caused by:") and not line.startswith("In wgpu")] or ["no reason given"]


def plain(message: str) -> str:
    """A driver's message on one line."""
    return " ".join(_said(message))


def rejection(kernel: Kernel, message: str) -> str:
    """What to tell about a kernel that a device rejects: its name, the line of WGSL, the reason."""
    found = _PLACE.search(message)
    if found is None:
        return f"kernel {kernel.name}: the device rejects it: {plain(message)}"
    said = [text.split(" error: ", 1)[-1] for text in _said(message) if "│" not in text and "┌" not in text]
    return rejected_line(kernel, int(found.group(1)), "; ".join(dict.fromkeys((said[0], said[-1]))))


def rejected_line(kernel: Kernel, line: int, reason: str) -> str:
    """What to tell about a line of a kernel's WGSL, counted from 1, that a device rejects."""
    source = kernel.wgsl.splitlines()[line - 1].strip()
    return f"kernel {kernel.name}: the device rejects line {line} of its WGSL, `{source}`: {reason}"
