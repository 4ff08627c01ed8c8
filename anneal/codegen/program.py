"""A kernel as instructions: what every runtime and the WGSL writer start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from anneal.analysis.bounds import hi, lo
from anneal.errors import CompileError
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp

MOST: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A kernel as instructions."""

    instructions: tuple[UOp, ...]
    workgroups: tuple[int, int, int]
    workgroup_size: tuple[int, int, int]
    names: Mapping[UOp, str]
    """Names for values that a reader knows: coordinates."""
    vectors: frozenset[UOp]
    """PARAMs that are accessed four elements at a time."""
    half: bool = True
    """Where float16 is a type of its own; else its values are float32, rounded after each operation."""

    def __post_init__(self) -> None:
        """Refuse indices that do not fit the 32 bits that WGSL has for them; those read from memory are checked when they are used."""
        read: set[UOp] = set()
        for u in self.instructions:
            if u.op is Ops.CAST or not read.isdisjoint(u.src):
                read.add(u)
            elif u.dtype is dtypes.index and max(-(lo(u) or 0), hi(u) or 0) > MOST:
                raise CompileError(f"a kernel would count to {hi(u)}, and an index has 32 bits: split the tensor")

    def uses(self) -> list[int]:
        """How often each instruction's value is read before it is computed again; reads in another loop than it count twice."""
        counts = [0] * len(self.instructions)
        latest: dict[UOp, int] = {}
        depth = 0
        level: dict[UOp, int] = {}
        for place, u in enumerate(self.instructions):
            for s in u.src:
                if s in latest:
                    counts[latest[s]] += 1 + (depth > level[s])
            latest[u], level[u] = place, depth
            depth += (u.op is Ops.LOOP) - (u.op is Ops.ENDLOOP)
        return counts
