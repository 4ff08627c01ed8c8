"""Checkpoints of a training: a safetensors file with the model, the optimiser's state, and how far it has got.

A checkpoint is checked as a whole before anything of it is used, and written in one step: whatever happens, its path holds the old file
or the whole new one.

>>> parse({"anneal": "1", "model": "mlp", "step": "5", "seed": "0", "batch": "64", "optimizer": "sgd"}, "x").step
5
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from anneal import nn
from anneal.errors import CheckpointError
from anneal.examples.example import OPTIMIZERS
from anneal.examples.program import Program

VERSION: Final = "1"
_LARGEST: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Progress:
    """What a checkpoint says beside its tensors."""

    model: str
    """Name of the example."""
    step: int
    """Steps done."""
    seed: int
    batch: int
    optimizer: str
    """Name of the optimiser."""


def parse(metadata: Mapping[str, str], path: str) -> Progress:
    """What the metadata of a file says; raises CheckpointError when the file is no checkpoint of a training."""
    if metadata.get("anneal") != VERSION:
        raise CheckpointError(f"{path} is no checkpoint of a training (version {VERSION}): make one with anneal train MODEL --save FILE")
    try:
        numbers = {name: int(metadata[name]) for name in ("step", "seed", "batch")}
        progress = Progress(metadata["model"], optimizer=metadata["optimizer"], **numbers)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: its metadata are damaged: {type(error).__name__} {error}") from error
    if not all(0 <= n < _LARGEST for n in numbers.values()) or progress.batch < 1:
        raise CheckpointError(f"{path}: its metadata are damaged: {numbers}")
    return progress


def read_progress(path: str, name: str, optimizer: str | None = None) -> Progress:
    """What a checkpoint of the example `name` says; raises CheckpointError for another's, or when it was made with another optimiser."""
    progress = parse(nn.state.safe_load_metadata(path), path)
    if progress.model != name:
        raise CheckpointError(f"{path} is a checkpoint of {progress.model!r} and does not fit {name!r}")
    if optimizer not in (None, progress.optimizer):
        raise CheckpointError(f"{path} was trained with {progress.optimizer} and has no state for {optimizer}: leave --optimizer out")
    if progress.optimizer not in (*OPTIMIZERS, "own"):
        raise CheckpointError(f"{path} was trained with the optimiser {progress.optimizer!r}, which is not known here")
    return progress


def load(path: str, program: Program, *, only_model: bool = False) -> None:
    """Put a checkpoint's tensors into a program; raises CheckpointError, with nothing changed, when they do not fit."""
    state, found = program.state(), nn.state.safe_load(path)
    if only_model:
        state, found = ({k: v for k, v in part.items() if k.startswith("model.")} for part in (state, found))
    try:
        nn.state.load_state_dict(state, found)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def save(path: str, program: Program, progress: Progress) -> None:
    """Write a checkpoint; raises CheckpointError where that fails, with the old file whole."""
    metadata = {"anneal": VERSION, **{k: str(v) for k, v in asdict(progress).items()}}
    nn.state.safe_save(program.state(), path, metadata)


def check_writable(path: str) -> None:
    """Raise CheckpointError unless a file can be written at `path`; leaves nothing behind."""
    place = Path(path).absolute()
    if place.is_dir():
        raise CheckpointError(f"cannot write {path}: it is a folder; name a file in it")
    if place.exists() and not os.access(path, os.W_OK):
        raise CheckpointError(f"cannot write {path}: it is read-only")
    try:
        with tempfile.TemporaryFile(dir=place.parent):
            pass
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error} ({place.parent})") from error
