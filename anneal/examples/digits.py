"""1,797 real handwritten digits of 8×8 pixels, 360 of them held out.

The split is the same everywhere: rows are put in the order of a seeded generator's numbers, whose sequence Python guarantees. Where the
data come from and their licence is told in `data/README.md`.

>>> load().held_inputs.shape
(360, 64)
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final

from anneal.examples.example import Data
from anneal.tensor import host
from anneal.tensor.tensor import Tensor

HELD_OUT: Final = 360
PIXELS: Final = 64
BRIGHTEST: Final = 16
_SEED: Final = 0


@cache
def _rows() -> list[list[int]]:
    """All rows, pixels then label, in the order of the split."""
    packed = resources.files("anneal.examples").joinpath("data/digits.csv.gz").read_bytes()
    rows = [list(map(int, line.split(b","))) for line in gzip.decompress(packed).splitlines()]
    generator = random.Random(_SEED)  # noqa: S311 - a split, no secret
    places = [generator.random() for _ in rows]
    return [rows[i] for i in sorted(range(len(rows)), key=places.__getitem__)]


def load(*shape: int) -> Data:
    """The digits as float32 images of `shape`, by default (64,), from 0 to 1, and int32 labels."""
    rows = _rows()
    return Data(*_part(rows[HELD_OUT:], shape or (PIXELS,)), *_part(rows[:HELD_OUT], shape or (PIXELS,)))


def _part(rows: Sequence[Sequence[int]], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    pixels = [value / BRIGHTEST for row in rows for value in row[:PIXELS]]
    return Tensor(host.nest(pixels, (len(rows), *shape))), Tensor([row[PIXELS] for row in rows])
