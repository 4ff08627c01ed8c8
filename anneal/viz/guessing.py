"""What a model says of the rows that were held out, with the parameters as they are.

>>> import asyncio
>>> from anneal.examples import EXAMPLES
>>> from anneal.runtime.device import get_device
>>> guesses = Guesses(Program(EXAMPLES["mlp"]), get_device("reference"))
>>> told = asyncio.run(guesses.now(2))
>>> told["held"], told["width"], [len(d["probabilities"]) for d in told["digits"]]
(360, 8, [10, 10])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from anneal.errors import UsageError
from anneal.examples.program import Program, trace
from anneal.ir.shape import show
from anneal.runtime.device import Device
from anneal.tensor import host, realize, storage
from anneal.tensor.realize import Executable
from anneal.tensor.tensor import Tensor


class Digit(TypedDict):
    """A held-out row and what the model says of it."""

    row: int
    pixels: list[float]
    """Row by row, from 0 to 1; none where the rows are no pictures."""
    truth: int
    said: int
    probabilities: list[float]
    """One for each class: the softmax of the outputs."""


class Predicted(TypedDict):
    """Held-out rows."""

    digits: list[Digit]
    width: int
    height: int
    right: int
    """How many of all held-out rows the model is right about."""
    held: int


class Guesses:
    """A program's model over its held-out rows. It is to be made before the program's training step is."""

    def __init__(self, program: Program, device: Device) -> None:
        self._program, self._device = program, device
        self._outputs = program.model(program.data.held_inputs)
        self._traced, _ = trace([self._outputs])
        self._executable: Executable | None = None
        self._pixels: list[float] = []
        self._labels: list[int] = []

    async def now(self, count: int, *, wrong: bool = False) -> Predicted:
        """So many rows, the first ones, or the first that the model is wrong about. Raises UsageError for a model that does not tell classes apart."""
        classes = self._classes()
        if self._executable is None:
            self._labels = [int(v) for v in await read(self._program.data.held_labels, self._device)]
            self._pixels = _scaled([float(v) for v in await read(self._program.data.held_inputs, self._device)])
            self._executable = Executable(self._traced, self._device)
        self._executable.run()
        (data,) = await self._device.read_many_async([(self._executable.storages[0], host.nbytes((self._program.held, classes), self._outputs.dtype))])
        scores = host.decode(data, self._outputs.dtype, self._program.held * classes)
        rows = [_softmax([float(v) for v in scores[at : at + classes]]) for at in range(0, len(scores), classes)]
        said = [max(range(classes), key=row.__getitem__) for row in rows]
        width, height = _picture(realize.sizes(self._program.data.held_inputs.uop)[1:])
        size = width * height
        chosen = [at for at, guess in enumerate(said) if not wrong or guess != self._labels[at]][:count]
        return {
            "digits": [
                {"row": at, "pixels": self._pixels[at * size : (at + 1) * size], "truth": self._labels[at], "said": said[at], "probabilities": rows[at]}
                for at in chosen
            ],
            "width": width,
            "height": height,
            "right": sum(map(int.__eq__, said, self._labels)),
            "held": self._program.held,
        }

    def _classes(self) -> int:
        """How many classes there are."""
        outputs, labels = realize.sizes(self._outputs.uop), self._program.data.held_labels
        if len(outputs) != 2 or outputs[1] < 2 or labels.shape != outputs[:1] or not labels.dtype.is_int:
            known = f"its outputs have shape {show(outputs)}, its labels {show(labels.shape)}"
            raise UsageError(f"{self._program.example.name} does not tell classes apart, so it says nothing of single rows: {known}")
        return outputs[1]


async def read(tensor: Tensor, device: Device) -> list[float | int | bool]:
    """What the buffer of a tensor holds, which is put on the device if it is not there yet."""
    buffer = storage.buffer_of(storage.base(tensor.uop))
    realize.place([buffer], device)
    (data,) = await device.read_many_async([(buffer.storage, host.nbytes(buffer.shape, buffer.dtype))])
    return host.decode(data, buffer.dtype, math.prod(buffer.shape))


def _softmax(row: Sequence[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    whole = sum(powers)
    return [power / whole for power in powers]


def _scaled(values: Sequence[float]) -> list[float]:
    """Values from 0 to 1."""
    low, high = min(values), max(values)
    return [(value - low) / ((high - low) or 1) for value in values]


def _picture(dims: Sequence[int]) -> tuple[int, int]:
    """Width and height of a row that is a picture in shades of grey; nothing where it is none.

    >>> _picture((64,)), _picture((1, 8, 4)), _picture((3, 8, 8)), _picture((5,))
    ((8, 8), (4, 8), (0, 0), (0, 0))
    """
    while len(dims) > 2 and dims[0] == 1:
        dims = dims[1:]
    if len(dims) == 2:
        return dims[1], dims[0]
    side = math.isqrt(dims[0]) if len(dims) == 1 else 0
    return (side, side) if side and side * side == dims[0] else (0, 0)
