"""The state of a model: its tensors by name, saved and loaded.

A name is the path of attributes, keys and positions from the object to the tensor, joined by dots.

>>> from anneal import nn
>>> list(get_state_dict(nn.Linear(2, 3)))
['weight', 'bias']
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from anneal.errors import CheckpointError, FileError, ParseError, UsageError, meant
from anneal.formats import npy, safetensors
from anneal.formats.sources import Readable
from anneal.tensor import host
from anneal.tensor.tensor import Tensor


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


class Mismatch(NamedTuple):
    """Names that only one side has, as PyTorch calls them."""

    missing_keys: list[str]
    """Of the model, which the state lacks."""
    unexpected_keys: list[str]
    """Of the state, which the model lacks."""


_NAMED: Final = 8
"""How many problems of a kind an error names."""


def load_state_dict(model: Any, state: Mapping[str, Tensor], strict: bool = True) -> Mismatch:
    """Copy values into the tensors of a model by name. Everything is checked first: either all are loaded or none.

    Without `strict` names that only one side has are passed over, and returned. Raises CheckpointError that names everything that does not fit.
    """
    own = get_state_dict(model)
    found = Mismatch([k for k in own if k not in state], [k for k in state if k not in own])
    shared = [(k, t, state[k]) for k, t in own.items() if k in state]
    problems = [_unlike(*one) for one in shared if one[1].shape != one[2].shape or one[1].dtype is not one[2].dtype]
    if strict:
        problems = [*_names("it lacks", found.missing_keys, state), *_names("it has beside them", found.unexpected_keys, own), *problems]
    if problems:
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise CheckpointError(f"the state does not fit the model: {'; '.join(problems[:_NAMED])}{more}")
    for (_, tensor, _), data in zip(shared, [bytes(v.data()) for _, _, v in shared], strict=True):
        tensor.write_bytes(host.padded(data))
    return found


def _names(what: str, names: list[str], others: Mapping[str, Tensor]) -> list[str]:
    """What is said about names that only one side has: which they are, and what the first may have been called."""
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    hint = meant(names[0], [name for name in others if name not in names])
    return [f"{what} {', '.join(names[:_NAMED])}{more}" + (f" ({hint})" if hint else "")]


def _unlike(name: str, tensor: Tensor, value: Tensor) -> str:
    """What is said about a value that is not what the model has under its name."""
    said = f"{name} is {tensor.dtype.name} {tensor.shape} in the model and {value.dtype.name} {value.shape} in the state"
    return said if tensor.dtype is value.dtype else f"{said}: cast the value with .cast(dtypes.{tensor.dtype.name})"


@contextmanager
def _checkpoint() -> Iterator[None]:
    """Inside, a file that cannot be read or written is a checkpoint that cannot."""
    try:
        yield
    except (ParseError, FileError) as error:
        raise CheckpointError(str(error)) from error


def safe_save(tensors: Mapping[str, Tensor], path: str | os.PathLike[str] | IO[bytes], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to a safetensors file, in one step: the path holds the old file or the whole new one. Raises CheckpointError where that fails."""
    with _checkpoint():
        safetensors.save(path, tensors, metadata)


def safe_load(path: Readable, device: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of an index of shards or its folder; values are read when they are needed, for `device` if one is named.

    Types without storage become the 32-bit one of their kind. Raises CheckpointError for what is no such file, and for integers that do not fit.
    """
    with _checkpoint():
        return safetensors.load(path, device)


def safe_load_metadata(path: Readable) -> dict[str, str]:
    """The metadata of a safetensors file."""
    with _checkpoint():
        return safetensors.metadata(path)


def save(tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write tensors by name to a file whose ending says how: `.npz`, or `.safetensors`. Raises UsageError for another ending."""
    if _is_npz(path):
        with _checkpoint():
            npy.save_npz(path, tensors)
    else:
        safe_save(tensors, path)


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors, by name, of a file whose ending says how it is read: `.npz`, or `.safetensors`, or a folder of shards."""
    if not Path(path).is_dir() and _is_npz(path):
        with _checkpoint():
            return npy.load_npz(path)
    return safe_load(path)


def _is_npz(path: str | os.PathLike[str]) -> bool:
    """True for an archive of arrays, False for a safetensors file or its index."""
    name = os.fspath(path)
    if not name.endswith((".npz", ".safetensors", safetensors.INDEX)):
        raise UsageError(f"{name} should end in .npz or .safetensors: the ending says what the file is")
    return name.endswith(".npz")
