"""The state of a model: its tensors by name, saved and loaded.

A name is the path of attributes, keys and positions from the object to the tensor, joined by dots.

>>> from anneal import nn
>>> list(get_state_dict(nn.Linear(2, 3)))
['weight', 'bias']
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, Final

from anneal.errors import CheckpointError
from anneal.formats import safetensors
from anneal.formats.safetensors import Entry
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.tensor import host, realize
from anneal.tensor.storage import Buffer
from anneal.tensor.tensor import Tensor

_KINDS: Final = {
    dtypes.float32: "F32",
    dtypes.float16: "F16",
    dtypes.bfloat16: "BF16",
    dtypes.int32: "I32",
    dtypes.uint32: "U32",
    dtypes.bool: "BOOL",
}
# What each type of a file becomes: the same type, or the 32-bit one of its kind.
_LOADED: Final[dict[str, tuple[DType, str]]] = {
    "F32": (dtypes.float32, "f"),
    "F16": (dtypes.float16, "e"),
    "BF16": (dtypes.bfloat16, "H"),
    "F64": (dtypes.float32, "d"),
    "I8": (dtypes.int32, "b"),
    "I16": (dtypes.int32, "h"),
    "I32": (dtypes.int32, "i"),
    "I64": (dtypes.int32, "q"),
    "U8": (dtypes.int32, "B"),
    "U16": (dtypes.int32, "H"),
    "U32": (dtypes.uint32, "I"),
    "U64": (dtypes.uint32, "Q"),
    "BOOL": (dtypes.bool, "B"),
}
_RAW: Final = frozenset({"F32", "F16", "I32", "U32"})
"""Types whose bytes in a file are those of a buffer."""


def get_state_dict(model: Any, prefix: str = "") -> dict[str, Tensor]:
    """Every tensor that hangs on an object, list or dict, by name; an object met twice counts where it is met first."""
    return {name: value for name, value in _walk(model, prefix) if isinstance(value, Tensor)}


def get_modules(model: Any, prefix: str = "") -> dict[str, Any]:
    """Everything but tensors that hangs on an object, list or dict, by name, the layers among it; what is met twice counts where it is met first."""
    return {name: value for name, value in _walk(model, prefix) if not isinstance(value, Tensor)}


def _walk(model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """An object and everything that hangs on it, by name; only tensors come more than once."""
    known: set[int] = set()
    stack: list[tuple[str, Any]] = [(prefix, model)]
    while stack:
        name, value = stack.pop()
        if id(value) in known:
            continue
        if not isinstance(value, Tensor):
            known.add(id(value))
            stack.extend(reversed([(f"{name}.{key}" if name else key, child) for key, child in _children(value)]))
        yield name, value


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((str(k), v) for k, v in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(i), v) for i, v in enumerate(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type) and not callable(getattr(value, "__code__", None)):
        yield from ((k, v) for k, v in vars(value).items())


def get_parameters(model: Any) -> list[Tensor]:
    """The tensors of a model that require gradients, each once."""
    return list(dict.fromkeys(t for t in get_state_dict(model).values() if t.requires_grad))


def load_state_dict(model: Any, state: Mapping[str, Tensor], strict: bool = True) -> None:
    """Copy values into the tensors of a model by name. Everything is checked first: either all are loaded or none.

    Without `strict` names that only one side has are passed over. Raises CheckpointError for what does not fit.
    """
    own = get_state_dict(model)
    missing, extra = [k for k in own if k not in state], [k for k in state if k not in own]
    if strict and (missing or extra):
        what = "; ".join(f"{text} {', '.join(names)}" for text, names in (("it lacks", missing), ("it has beside them", extra)) if names)
        raise CheckpointError(f"the state does not fit the model: {what}")
    shared = [(k, t, state[k]) for k, t in own.items() if k in state]
    for name, tensor, value in shared:
        if tensor.shape != value.shape or tensor.dtype is not value.dtype:
            raise CheckpointError(f"{name} is {tensor.dtype.name} {tensor.shape} in the model and {value.dtype.name} {value.shape} in the state")
    for (_, tensor, _), data in zip(shared, [bytes(v.data()) for _, _, v in shared], strict=True):
        tensor.write_bytes(host.padded(data))


def safe_save(tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to a safetensors file, in one step: the path holds the old file or the whole new one."""
    Tensor.realize(*tensors.values()) if tensors else None
    safetensors.write(path, {name: _entry(tensor) for name, tensor in tensors.items()}, metadata)


def _entry(tensor: Tensor) -> Entry:
    data = bytes(tensor.data())
    if tensor.dtype is dtypes.bool:
        data = data[::4]
    elif tensor.dtype is dtypes.bfloat16:
        data = b"".join(data[i : i + 2] for i in range(2, len(data), 4))
    return Entry(_KINDS[tensor.dtype], realize.sizes(tensor.uop), data)


def safe_load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Types without storage become the 32-bit one of their kind; integers are range-checked."""
    entries, _ = safetensors.read(path)
    return {name: _tensor(name, entry) for name, entry in entries.items()}


def safe_load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a safetensors file."""
    return safetensors.read(path)[1]


def _tensor(name: str, entry: Entry) -> Tensor:
    dtype, code = _LOADED[entry.kind]
    if entry.kind in _RAW:
        return Tensor(Buffer(entry.shape, dtype, pending=host.padded(entry.data)).uop)
    values: list[Scalar] = list(struct.unpack(f"<{len(entry.data) // safetensors.WIDTHS[entry.kind]}{code}", entry.data))
    if dtype is dtypes.bfloat16:
        words = array("I", (int(v) << 16 for v in values))
        return Tensor(Buffer(entry.shape, dtype, pending=words.tobytes()).uop)
    for value in values:
        if dtype.is_int and not dtype.min <= value <= dtype.max:
            raise CheckpointError(f"{name} holds {value}, which does not fit {dtype.name}: 64-bit integers are loaded as 32-bit")
    return Tensor(Buffer(entry.shape, dtype, pending=host.pack(values, dtype)).uop)
