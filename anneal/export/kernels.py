"""The kernels of a plan as a document: what is fused, what goes in and out, what it costs, why it ends where it ends.

>>> from anneal import Target, Tensor, compile
>>> plan = compile(Tensor([1.0, 2.0]) + 1, target=Target.portable())
>>> document = describe(plan.explain(["x"]), "demo", "forward")
>>> [v["name"] for v in document["kernels"][0]["inputs"]]
['x']
"""

from __future__ import annotations

from anneal.export.schema import kernels as schema
from anneal.export.schema.graph import Part
from anneal.export.schema.kernels import VERSION
from anneal.ir.uop import Phase
from anneal.runtime import explain
from anneal.runtime.explain import Explained, Explanation


def describe(told: Explanation, model: str, part: Part) -> schema.Kernels:
    """The document of a plan's kernels; the same in every run, so compile times are left out."""
    plan = told.plan
    return {
        "schema": "anneal.kernels",
        "version": VERSION,
        "model": model,
        "part": part,
        "target": plan.target.to_dict(),
        "fingerprint": plan.fingerprint,
        "stats": {k: v for k, v in plan.stats.items() if k != "ms"},
        "kernels": [_kernel(k) for k in told.kernels],
    }


def _kernel(told: Explained) -> schema.Kernel:
    kernel = told.kernel
    return {
        "name": kernel.name,
        "phases": _phases(kernel.phases),
        "ops": list(kernel.ops),
        "op_phases": _phases(kernel.op_phases),
        "inputs": [_value(v) for v in told.inputs],
        "outputs": [_value(v) for v in told.outputs],
        "flops": kernel.flops,
        "bytes": kernel.bytes,
        "intensity": told.intensity,
        "workgroups": list(kernel.workgroups),
        "workgroup_size": list(kernel.workgroup_size),
        "boundaries": [_boundary(s) for s in told.stands],
        "wgsl": kernel.wgsl,
    }


def _phases(names: tuple[str, ...]) -> list[Phase]:
    return list(names)  # type: ignore[arg-type]  # a plan's phases are these three


def _value(told: explain.Value) -> schema.Value:
    return {
        "name": told.name,
        "role": told.role,
        "dtype": told.dtype,
        "shape": list(told.shape),
        "bytes": told.bytes,
        "maker": told.maker,
        "readers": list(told.readers),
    }


def _boundary(told: explain.Stand) -> schema.Boundary:
    boundary = told.boundary
    return {"value": boundary.value, "scope": boundary.scope, "reason": boundary.reason, "name": told.stored.name if told.stored else None}
