"""The limits and features that code is generated for.

A target is part of a plan's identity: the same program and the same target give the same plan, wherever it is compiled.

>>> Target.portable().storage_buffers
8
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from anneal.errors import CompileError

UNIT: Final = 4
"""Bytes that sizes of WebGPU buffer copies and bindings are multiples of."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a device offers, as far as generated code depends on it."""

    storage_buffers: int = 8
    """Storage buffers that one kernel may bind."""
    workgroup_bytes: int = 16384
    """Bytes of workgroup memory."""
    invocations: int = 256
    """Invocations of one workgroup."""
    workgroup_x: int = 256
    """Largest workgroup size along x; y has the same limit."""
    workgroup_z: int = 64
    """Largest workgroup size along z."""
    workgroups: int = 65535
    """Workgroups of one dispatch along one dimension."""
    binding_bytes: int = 128 << 20
    """Bytes of one storage binding."""
    local_memory: bool = True
    """True where workgroup memory is faster than the caches; software adapters say False."""
    float16: bool = False
    """True where `shader-f16` is offered."""

    @classmethod
    def portable(cls) -> Target:
        """WebGPU's guaranteed defaults, with no optional feature: runs wherever WebGPU runs."""
        return cls()

    def to_dict(self) -> dict[str, int | bool]:
        """The fields as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Target:
        """The target that `to_dict` described; raises CompileError on unknown or missing fields."""
        names = {f.name for f in fields(cls)}
        if set(data) != names:
            raise CompileError(f"not a target: fields {sorted(set(data) ^ names)} are missing or unknown")
        return cls(**data)
