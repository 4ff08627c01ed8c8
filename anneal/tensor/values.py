"""A tensor's values on the host: Python numbers, NumPy arrays, DLPack, text.

Asking for values computes them; showing a tensor does not.

>>> from anneal import Tensor
>>> Tensor([[1.0, 2.5], [3.0, 4.0]])
<Tensor (2, 2) float32, realised:
[[1.0, 2.5],
 [3.0, 4.0]]>
>>> Tensor([1, 2]) + 1
<Tensor (2,) int32, lazy>
>>> int(Tensor([3])), bool(Tensor(0.5)), len(Tensor([1, 2]))
(3, True, 2)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

from anneal.errors import AnnealError, DTypeError, ShapeError
from anneal.ir.dtype import Scalar, dtypes
from anneal.ir.shape import show
from anneal.tensor import host, realize, storage
from anneal.tensor.core import Core
from anneal.tensor.storage import Buffer

_MOST, _EDGE = 12, 3
"""Elements of an axis that are shown whole; at each end of a longer one."""
_READ: Final = 1 << 16
"""Elements that are read from a device to show a few."""


class Values(Core):
    """What a tensor holds, as the host has it."""

    __slots__ = ()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor without axes has no length")
        return realize.sizes(self.uop)[0]

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise ShapeError(f"the truth of a tensor of shape {show(self.shape)} is ambiguous: use .any() or .all()")
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def data(self) -> memoryview:
        """The values as little-endian bytes in row-major order: bool in 4 bytes, the rest as wide as their dtype."""
        return memoryview(self._bytes())[: self.numel() * self.dtype.storage]

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a number for a tensor without axes."""
        return host.nest(host.decode(self._bytes(), self.dtype, self.numel()), realize.sizes(self.uop))

    def numpy(self) -> Any:
        """The values as a NumPy array of their own; bfloat16 and float8 as float32."""
        return host.to_numpy(self._bytes(), realize.sizes(self.uop), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if copy is False:
            raise ShapeError("the values of a tensor are copied from its device: ask NumPy for a copy, not for copy=False")
        values = self.numpy()
        return values if dtype is None else values.astype(dtype, copy=False)

    def __dlpack__(self, **options: Any) -> Any:
        """A copy of the values on the host, through NumPy; raises DTypeError for bfloat16, which NumPy does not have."""
        if self.dtype is dtypes.bfloat16:
            raise DTypeError("NumPy has no bfloat16 to hand over by DLPack: cast with .float() first")
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """The host's memory, where the copy is."""
        return 1, 0

    def item(self) -> Scalar:
        """The value of a tensor of one element."""
        self._check_single()
        return host.decode(self._bytes(), self.dtype, 1)[0]

    def _check_single(self) -> None:
        if self.numel() != 1:
            raise ShapeError(f"item() needs one element, and shape {show(self.shape)} has {self.numel()}: use tolist() or numpy()")

    def to(self, device: str) -> Self:
        """These values on another device, as a tensor without history; the tensor itself when it is there."""
        if self.device == device:
            return self
        moved = Buffer(realize.sizes(self.uop), self.dtype, pending=self._bytes(), device=device)
        made = self._wrap(moved.uop, device)
        return made.requires_grad_() if self._leaf else made

    # Text.

    def __repr__(self) -> str:
        data = self._known(_READ)
        if data is None:
            return f"<Tensor {self.facts()}>"
        text = _rows(host.decode(data, self.dtype, self.numel()), realize.sizes(self.uop), 0)
        between = "\n" if "\n" in text else " "
        return f"<Tensor {self.facts()}:{between}{text}>"

    def _known(self, most: int) -> bytes | None:
        """The bytes of up to `most` elements where they can be had without computing; else None, as for no elements at all."""
        node = storage.realised(self.uop)
        if node is None or not 0 < self.numel() <= most:
            return None
        try:
            buffer = storage.buffer_of(storage.base(node))
            if buffer.pending is not None and not isinstance(buffer.pending, bytes):
                return None  # a graph to compute, or a file to read
            return realize.read(buffer)
        except AnnealError:  # overwritten since, or in a tab that cannot wait for its GPU
            return None


def _rows(values: Sequence[Scalar], shape: Sequence[int], depth: int) -> str:
    """Nested brackets, a line a row, the middle of long axes left out."""
    if not shape:
        return _number(values[0])
    step = len(values) // shape[0]
    places: list[int | None] = list(range(shape[0]))
    if shape[0] > _MOST:
        places[_EDGE:-_EDGE] = [None]
    parts = ["…" if i is None else _rows(values[i * step : (i + 1) * step], shape[1:], depth + 1) for i in places]
    between = ", " if len(shape) == 1 else "," + "\n" * (len(shape) - 1) + " " * (depth + 1)
    return f"[{between.join(parts)}]"


def _number(value: Scalar) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text + ".0" if isinstance(value, float) and text.lstrip("-").isdigit() else text
