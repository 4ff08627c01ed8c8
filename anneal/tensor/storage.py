"""Buffers: where the values of realised tensors are, and which graph node stands for them.

A BUFFER node is an identity, valid until the buffer is overwritten; then the buffer gets a new node, and graphs that still hold the old
one are stale and cannot be run. A buffer lives as long as its node, and its node as long as a tensor or a graph uses it.

>>> import anneal
>>> x = anneal.Tensor([1.0, 2.0])
>>> buffer_of(x.uop).shape
(2,)
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

from anneal.errors import StaleTensorError
from anneal.ir import build
from anneal.ir.dtype import DType
from anneal.ir.ops import Ops
from anneal.ir.shape import show
from anneal.ir.uop import UOp
from anneal.tensor import host

if TYPE_CHECKING:
    from anneal.runtime.device import Device

_IDENTITIES: Final = itertools.count()


class Holder(Protocol):
    """A tensor, as far as storage is concerned: something whose node may be replaced by a newer one."""

    uop: UOp

    def follow(self, node: UOp) -> None:
        """Become the BUFFER node that holds the values now, unless the graph is still needed."""


class Source(Protocol):
    """Values that are elsewhere on the host, such as in a file, until somebody needs them."""

    def read(self) -> bytes | memoryview:
        """All bytes of the buffer; raises an AnnealError where they cannot be had any more."""


class Buffer:
    """One tensor's values: on a device, as bytes still to be uploaded, in a file, or as a graph still to be computed."""

    __slots__ = ("__weakref__", "device", "dtype", "identity", "pending", "shape", "storage")

    def __init__(self, shape: tuple[int, ...], dtype: DType, *, pending: bytes | Source | UOp | None = None, device: str | None = None) -> None:
        self.shape = shape
        self.dtype = dtype
        self.pending = pending
        """Bytes to upload, or to be read, or a graph to compute when the values are first needed; None when they are in `storage`."""
        self.device = device
        """Name of the device that has, or shall have, the values; None while any will do."""
        self.storage: Any = None
        """The device's own handle."""
        self.identity = next(_IDENTITIES)
        """Number of the BUFFER node that stands for the present values."""

    @property
    def uop(self) -> UOp:
        """The node that stands for the present values."""
        node = build.buffer(self.identity, self.shape, self.dtype)
        _BUFFERS.setdefault(node, self)
        return node

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return host.nbytes(self.shape, self.dtype)

    def on_host(self) -> bytes | memoryview | None:
        """The values where they are on the host, read now where they are in a file; None where a device has or must compute them."""
        if self.pending is None or isinstance(self.pending, bytes | UOp):
            return self.pending if isinstance(self.pending, bytes) else None
        return self.pending.read()

    def place(self, device: Device) -> None:
        """Upload pending bytes to `device`."""
        if (data := self.on_host()) is not None:
            storage = device.allocate(self.nbytes)
            device.write(storage, data)
            self.adopt(storage, device.name)

    def adopt(self, storage: Any, device: str) -> None:
        """Take over a device's storage that holds the values."""
        self.storage, self.device, self.pending = storage, device, None

    def overwritten(self) -> UOp:
        """Note that the values have changed: tensors that are this buffer follow to its new node, which is returned."""
        old = self.uop
        del _BUFFERS[old]
        self.identity = next(_IDENTITIES)
        new = self.uop
        for tensor in holders(old):
            tensor.follow(new)
        return new

    def write(self, data: bytes, device: Device | None) -> None:
        """Replace the values by bytes of the host, at once; `device` is the one that has them, if any."""
        if self.storage is None or device is None:
            self.pending = data
        else:
            device.write(self.storage, data)
        self.overwritten()


# Values never refer back to their keys, or nothing here would ever die.
_BUFFERS: Final[weakref.WeakKeyDictionary[UOp, Buffer]] = weakref.WeakKeyDictionary()
_REALISED: Final[weakref.WeakKeyDictionary[UOp, UOp]] = weakref.WeakKeyDictionary()
_HOLDERS: Final[weakref.WeakKeyDictionary[UOp, list[weakref.ref[Holder]]]] = weakref.WeakKeyDictionary()


def buffer_of(node: UOp) -> Buffer:
    """The buffer that a BUFFER node stands for; raises StaleTensorError when it has been overwritten since."""
    found = _BUFFERS.get(node)
    if found is None:
        made = f", made at {node.origin[0]}:{node.origin[1]}," if node.origin else ""
        raise StaleTensorError(
            f"this tensor was built from a {node.dtype.name} tensor of shape {show(node.arg[1])}{made} before that was overwritten by an assign: "
            "realise the result before the assign, or together with it: Tensor.realize(result, assigned)"
        )
    return found


def hold(tensor: Holder) -> None:
    """Remember that `tensor` is its present node, a BUFFER or an ASSIGN."""
    known = _HOLDERS.setdefault(tensor.uop, [])
    known[:] = [ref for ref in known if ref() is not None]
    if all(ref() is not tensor for ref in known):
        known.append(weakref.ref(tensor))


def holders(node: UOp) -> list[Holder]:
    """The living tensors that are `node`, oldest first."""
    alive = (ref() for ref in _HOLDERS.get(node, ()))
    return [t for t in alive if t is not None and t.uop is node]


def mark_realised(node: UOp, value: UOp) -> None:
    """Remember that the values of `node` are in the buffer of `value`: a BUFFER, or a RESHAPE of one."""
    if node is not value:
        _REALISED[node] = value


def realised(node: UOp) -> UOp | None:
    """The buffer node (perhaps reshaped) that holds the values of `node`, or None when they must be computed."""
    if node.op is Ops.BUFFER:
        return node
    value = _REALISED.get(node)
    if value is not None and base(value) not in _BUFFERS:
        del _REALISED[node]
        return None
    return value


def base(node: UOp) -> UOp:
    """The BUFFER below reshapes and assigns."""
    while node.op is not Ops.BUFFER:
        node = node.src[0]
    return node
