"""The tensor itself: a node of the graph, its gradient, and the way to its values.

Every other layer of `Tensor` stands on this one. Layers form one line of inheritance, each using only those before it.

>>> from anneal import Tensor
>>> t = Tensor([[1, 2], [3, 4]])
>>> t.shape, t.dtype, t.tolist()
((2, 2), dtypes.int32, [[1, 2], [3, 4]])
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from anneal.errors import DeviceError, DTypeError, GradientError, ShapeError
from anneal.ir import build
from anneal.ir.dtype import DType, Scalar
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import Shape, show
from anneal.ir.shape import shape as shape_of
from anneal.ir.uop import ARENA, Phase, UOp
from anneal.tensor import host, realize, storage
from anneal.tensor.storage import Buffer


class _Mode:
    """What holds for the whole program at a moment."""

    gradients = True


@contextmanager
def no_grad() -> Iterator[None]:
    """Make results that need no gradients, in a `with` block or a function decorated with it."""
    before, _Mode.gradients = _Mode.gradients, False
    try:
        yield
    finally:
        _Mode.gradients = before


@contextmanager
def phase(name: Phase) -> Iterator[None]:
    """Inside, new nodes belong to the given phase of a program."""
    before, ARENA.phase = ARENA.phase, name
    try:
        yield
    finally:
        ARENA.phase = before


class Core:
    """A lazy array: what it is, how it is differentiated, how its values are had."""

    __slots__ = ("__weakref__", "_device", "_leaf", "_needs_grad", "_roots", "grad", "uop")
    __array_ufunc__ = None  # NumPy leaves operators with a tensor on the right to the tensor.

    training: ClassVar[bool] = False
    """True inside `Tensor.train()`: dropout and batch normalisation then behave as in training."""

    uop: UOp
    """The graph that computes the values."""
    grad: Self | None
    """Sum of the gradients that `backward()` has brought here; None before."""

    def __init__(self, data: Any, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> None:
        """Make a tensor of `data`: a number, nested sequences of numbers, a NumPy array or another tensor.

        Python floats become float32, ints int32, bools bool, and 64-bit arrays 32-bit. Raises ShapeError for ragged data and DTypeError
        for an integer that does not fit or a dtype that cannot be stored.
        """
        if isinstance(data, Core):
            node, needs = build.cast(data.uop, dtype or data.dtype), data.requires_grad
            build.check_storable(node.dtype)
            device = device or data._device
        elif isinstance(data, UOp):
            node, needs = data, False
        else:
            encoded, needs = host.encode(data, dtype), False
            node = Buffer(encoded.shape, encoded.dtype, pending=encoded.data, device=device).uop
        self._start(node, device, needs_grad=needs)
        if requires_grad:
            self.requires_grad_()

    def _start(self, node: UOp, device: str | None, *, needs_grad: bool) -> None:
        self._device, self._needs_grad, self._leaf = device, needs_grad, False
        self.grad = None
        self._roots: list[weakref.ref[Core]] = []
        self._become(node)

    def _become(self, node: UOp) -> None:
        self.uop = node
        if node.op in (Ops.BUFFER, Ops.ASSIGN):
            storage.hold(self)

    @classmethod
    def _wrap(cls, node: UOp, device: str | None = None) -> Self:
        """A tensor of a node that needs no gradient."""
        made = object.__new__(cls)
        made._start(node, device, needs_grad=False)
        return made

    def _make(self, node: UOp, *others: Core) -> Self:
        """A result computed from this tensor and others."""
        made = object.__new__(type(self))
        device, needs = self._device, self._needs_grad
        for other in others:
            needs = needs or other._needs_grad
            if other._device != device and other._device is not None:
                if device is not None:
                    raise DeviceError(f"operands are on {device} and {other._device}: move one with .to({device!r})")
                device = other._device
        needs = needs and node.dtype.is_float
        if needs and not _Mode.gradients:
            node, needs = build.detach(node), False
        made._start(node, device, needs_grad=needs)
        return made

    # What it is.

    @property
    def shape(self) -> Shape:
        """The size of each axis."""
        return shape_of(self.uop)

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.uop.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def device(self) -> str | None:
        """Name of the device that has, or shall have, the values; None while any will do."""
        value = storage.realised(self.uop)
        placed = storage.buffer_of(storage.base(value)).device if value is not None else None
        return placed or self._device

    def numel(self) -> int:
        """The number of elements."""
        total = 1
        for size in realize.sizes(self.uop):
            total *= size
        return total

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __repr__(self) -> str:
        return f"<Tensor {self.facts()}>"

    def facts(self) -> str:
        """Shape, dtype, device and state in words."""
        state = "realised" if self.is_realized else "lazy"
        place = f" on {self.device}" if self.device else ""
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"{show(self.shape)} {self.dtype.name}{place}, {state}{grad}"

    # Its values.

    @property
    def is_realized(self) -> bool:
        """True when the values are in a buffer."""
        return storage.realised(self.uop) is not None

    def realize(self, *others: Core) -> Self:
        """Compute this tensor, and others with it in one plan; `Tensor.realize(a, b, c)` does several in the order asked."""
        tensors: list[Core] = [self, *others]
        names = (t._device for t in tensors if t._device)
        for tensor, value in zip(tensors, realize.realize([t.uop for t in tensors], next(names, None)), strict=True):
            tensor._settle(value)
        return self

    def _settle(self, value: UOp) -> None:
        self._device = storage.buffer_of(storage.base(value)).device or self._device
        if storage.realised(self.uop) is None and self._needs_grad:  # nothing was computed for no elements, but there is a history
            storage.mark_realised(self.uop, value)
        if storage.realised(self.uop) is None:  # a graph that reads no buffer has no history to keep
            self._become(value)
        else:
            self.follow(value)

    def follow(self, node: UOp) -> None:
        """Become a node that holds the values; a computed tensor keeps its graph while it may be differentiated."""
        if self._leaf or not self._needs_grad or self.uop.op is Ops.BUFFER:
            self._become(node)

    def _bytes(self) -> bytes:
        """The values as a buffer holds them; without a device where they came from the host."""
        return realize.read(self._buffer())

    def _buffer(self) -> Buffer:
        """The buffer of the values, computed now where they are not yet."""
        buffer = storage.buffer_of(storage.base(storage.realised(self.uop) or self.realize()._value()))
        if isinstance(buffer.pending, UOp):
            realize.realize([buffer.uop], self._device)
        return buffer

    def _value(self) -> UOp:
        """The node of the buffer of a realised tensor."""
        value = storage.realised(self.uop)
        assert value is not None, "a realised tensor is a buffer, or its graph is remembered"
        return value

    # Writing.

    def assign(self, value: Self | Scalar | Sequence[Any] | Any) -> Self:
        """Overwrite this tensor, in its own buffer when realised; returns the tensor. The value is broadcast and must have its dtype.

        Tensors computed from the old values and not yet realised can not be had any more once this is realised, unless together with it.
        """
        made = self.assigned(value)
        self._needs_grad = self._leaf or made._needs_grad
        self._become(made.uop)
        return self

    def assigned(self, value: Self | Scalar | Sequence[Any] | Any) -> Self:
        """A tensor that overwrites this one's buffer when it is realised, and not before; see `assign`."""
        if not isinstance(value, Core):
            value = type(self)(value, dtype=self.dtype, device=self._device)
        if value.dtype is not self.dtype:
            raise DTypeError(f"cannot assign {value.dtype.name} to a {self.dtype.name} tensor: cast the value with .cast(dtypes.{self.dtype.name})")
        node = build.broadcast_to(value.uop, self.shape)
        if self._leaf and value._needs_grad:
            node = build.detach(node)
        made = self._wrap(build.assign(self.own().uop, node), self._device or value._device)
        made._needs_grad = value._needs_grad and not self._leaf and _Mode.gradients
        return made

    def write(self, data: Any) -> Self:
        """Replace the values by host data of this shape, at once and without a kernel; returns the tensor."""
        encoded = host.encode(data, self.dtype)
        if encoded.shape != self.shape:
            raise ShapeError(f"cannot write data of shape {show(encoded.shape)} to a tensor of shape {show(self.shape)}")
        return self.write_bytes(encoded.data)

    def write_bytes(self, data: bytes) -> Self:
        """Replace the values by a buffer's bytes (`data()` says how they are laid out), at once; returns the tensor."""
        if self.uop.op is Ops.ASSIGN:
            self.realize()
        buffer = storage.buffer_of(self.own().uop)
        data = data.ljust(4, b"\0")
        if len(data) != buffer.nbytes:
            raise ShapeError(f"{len(data)} bytes are not a buffer of shape {show(self.shape)}, which has {buffer.nbytes}")
        buffer.write(data, realize.open_device(buffer.device) if buffer.storage is not None else None)
        return self

    def own(self) -> Self:
        """Make the tensor a buffer of its own, filled from its graph when first needed, unless it is one; returns the tensor."""
        value = storage.realised(self.uop)
        if value is not None:
            self._settle(value)
        shared = self.uop.op is Ops.BUFFER and any(t is not self for t in storage.holders(self.uop))
        if shared or self.uop.op not in (Ops.BUFFER, Ops.ASSIGN):
            build.check_storable(self.dtype)
            pending = self.uop if self.numel() else b""
            self._become(Buffer(realize.sizes(self.uop), self.dtype, pending=pending, device=self._device).uop)
        return self

    # Gradients.

    @property
    def requires_grad(self) -> bool:
        """True when `backward()` of something computed from this tensor differentiates it."""
        return self._needs_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, value: bool = True) -> Self:
        """Say whether gradients shall be collected in `.grad`; returns the tensor. It becomes a buffer of its own."""
        if value and not self.dtype.is_float:
            raise GradientError(f"a {self.dtype.name} tensor has no gradient: cast it to float32 first")
        if value and not self._needs_grad:
            self.own()
            self._leaf = True
        elif not value:
            if self._needs_grad and not self._leaf:
                raise GradientError("a computed tensor cannot stop requiring gradients: use .detach()")
            self._leaf = False
        self._needs_grad = value
        return self

    def detach(self) -> Self:
        """The same values, through which no gradient passes."""
        return self._wrap(build.detach(self.uop), self._device)

    def contiguous(self) -> Self:
        """The same values, in a buffer of their own when realised; gradients pass."""
        return self._make(build.contiguous(self.uop))

    def backward(self, gradient: Self | None = None, *, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every tensor below it that requires one.

        `gradient` is the gradient of this tensor itself, needed unless it has one element. With `create_graph` the gradients can be
        differentiated again.
        """
        leaves = self._leaves()
        found = self._gradients([leaf.uop for leaf in leaves], gradient)
        for leaf, node in zip(leaves, found, strict=True):
            if node is not None:
                leaf._accumulate(self, node, create_graph=create_graph)

    def gradient(self, *targets: Self, gradient: Self | None = None) -> list[Self]:
        """The gradient of this tensor for each target, as tensors that can be differentiated again; `.grad` is not touched."""
        nodes = self._gradients([t.uop for t in targets], gradient)
        for target, node in zip(targets, nodes, strict=True):
            if node is None:
                raise GradientError(f"the result does not depend on <Tensor {target.facts()}> in a way that can be differentiated")
        return [self._make(build.cast(n, t.dtype), *targets) for n, t in zip(nodes, targets, strict=True) if n is not None]

    def _gradients(self, wrt: list[UOp], gradient: Self | None) -> list[UOp | None]:
        from anneal.autodiff.backward import gradients

        if gradient is not None and gradient.shape != self.shape:
            raise GradientError(f"the gradient handed in has shape {show(gradient.shape)}, but the result has {show(self.shape)}")
        return gradients(self.uop, wrt, gradient.uop if gradient is not None else None)

    def _leaves(self) -> list[Core]:
        """The tensors below this one whose gradients are collected, in the order of a walk."""
        if not self._needs_grad:
            raise GradientError("nothing here requires a gradient: create a tensor it is computed from with requires_grad=True, outside of no_grad()")
        found: list[Core] = []
        for node in toposort(self.uop, enter=lambda u: u.op is not Ops.DETACH):
            if node.op in (Ops.BUFFER, Ops.ASSIGN):
                found.extend(t for t in storage.holders(node) if isinstance(t, Core) and t._leaf)
        return found

    def _accumulate(self, root: Core, node: UOp, *, create_graph: bool) -> Self:
        """Add a gradient that came from `root`; returns the tensor."""
        with phase("backward"):
            node = build.cast(node, self.dtype)
            if not create_graph:
                node = build.detach(node)
            if self.grad is not None:
                node = build.alu(Ops.ADD, self.grad.uop, node)
        grad = self._wrap(node, self._device)
        grad._needs_grad = create_graph
        self.grad = grad
        self._roots = [*(ref for ref in self._roots if ref() is not None and ref() is not root), weakref.ref(root)]
        return self

    def gradient_roots(self) -> list[Core]:
        """The tensors, still alive and not yet realised, whose `backward()` reached this one since `zero_grad()`."""
        alive = (ref() for ref in self._roots)
        return [t for t in alive if t is not None and not t.is_realized]

    def zero_grad(self) -> None:
        """Forget the collected gradient."""
        self.grad = None
        self._roots = []
