"""A kernel as instructions: what every runtime and the WGSL writer start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anneal.ir.uop import UOp


@dataclass(frozen=True, slots=True)
class Program:
    """A kernel as instructions."""

    instructions: tuple[UOp, ...]
    workgroups: tuple[int, int, int]
    workgroup_size: tuple[int, int, int]
    names: Mapping[UOp, str]
    """Names for values that a reader knows: coordinates."""
    vectors: frozenset[UOp]
    """PARAMs that are accessed four elements at a time."""
