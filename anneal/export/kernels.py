"""The kernels of a plan as a document and as text: what is fused, what goes in and out, what it costs, why it ends where it ends.

>>> from anneal import Target, Tensor, compile
>>> plan = compile(Tensor([1.0, 2.0]) + 1, target=Target.portable())
>>> document = describe(plan, "demo", "forward", ["x"])
>>> [v["name"] for v in document["kernels"][0]["inputs"]]
['x']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anneal.export.graph import Part
from anneal.export.schema.graph import Size
from anneal.export.schema.kernels import VERSION, Kernel, Kernels, Value
from anneal.runtime import plan as plans
from anneal.runtime.plan import Plan


def describe(plan: Plan, model: str, part: Part, names: Sequence[str] = ()) -> Kernels:
    """The document of a plan's kernels, with names for its inputs by slot; the same in every run, so times are left out."""
    values = _values(plan, names)
    return {
        "schema": "anneal.kernels",
        "version": VERSION,
        "model": model,
        "part": part,
        "target": plan.target.to_dict(),
        "fingerprint": plan.fingerprint,
        "stats": {k: v for k, v in plan.stats.items() if k != "ms"},
        "kernels": [_kernel(k, values) for k in plan.kernels],
    }


def _values(plan: Plan, names: Sequence[str]) -> list[Value]:
    """Every buffer of a plan, with a name."""
    counts: dict[str, int] = {}
    values: list[Value] = []
    for buffer in plan.buffers:
        number = counts[buffer.role] = counts.get(buffer.role, 0) + 1
        named = buffer.role == "input" and number <= len(names)
        values.append(
            {
                "name": names[number - 1] if named else f"{buffer.role}{number - 1}",
                "role": buffer.role,
                "dtype": buffer.dtype,
                "shape": list(buffer.shape),
                "bytes": buffer.bytes,
            }
        )
    return values


def _kernel(kernel: plans.Kernel, values: Sequence[Value]) -> Kernel:
    return {
        "name": kernel.name,
        "phases": list(kernel.phases),
        "ops": list(kernel.ops),
        "inputs": [values[b.buffer] for b in kernel.bindings if not b.writes],
        "outputs": [values[b.buffer] for b in kernel.bindings if b.writes],
        "flops": kernel.flops,
        "bytes": kernel.bytes,
        "workgroups": list(kernel.workgroups),
        "workgroup_size": list(kernel.workgroup_size),
        "boundaries": [{"value": b.value, "scope": b.scope, "reason": b.reason} for b in kernel.boundaries],
        "wgsl": kernel.wgsl,
    }


def lines(document: Kernels, paint: Callable[[Sequence[str]], str], dim: Callable[[str], str], *, wgsl: bool = False) -> list[str]:
    """The document as lines of text, a block a kernel."""
    made: list[str] = []
    for number, kernel in enumerate(document["kernels"], 1):
        made.append(f"{number}. {kernel['name']}  {paint(kernel['phases'])}")
        facts = {
            "ops": _ops(kernel["ops"]),
            "reads": _buffers(kernel["inputs"]),
            "writes": _buffers(kernel["outputs"]),
            "costs": f"{_number(kernel['flops'])} flops, {_number(kernel['bytes'])} bytes{_intensity(kernel)}",
            "runs": f"{_sizes(kernel['workgroups'])} workgroups of {_sizes(kernel['workgroup_size'])}",
        }
        made += ["   " + dim(f"{name:<7}") + f" {text}" for name, text in facts.items() if text]
        made += ["   " + dim(f"{b['scope']:<7}") + f" {b['value']}: {b['reason']}" for b in kernel["boundaries"]]
        if wgsl:
            made += ["", *("   " + line for line in kernel["wgsl"].splitlines())]
        made.append("")
    stats: dict[str, Any] = document["stats"]
    fused = sum(len(k["phases"]) > 1 for k in document["kernels"])
    made.append(f"{len(document['kernels'])} kernels, {fused} of them fuse phases; {stats['uops']} UOps; {_number(stats['peak_bytes'])} bytes of buffers")
    made.append(f"plan {document['fingerprint']}")
    return made


def _ops(ops: Sequence[str]) -> str:
    """Operations in order, with how often each comes in a row."""
    counted: list[tuple[str, int]] = []
    for op in ops:
        counted[-1:] = [(op, counted[-1][1] + 1)] if counted and counted[-1][0] == op else [*counted[-1:], (op, 1)]
    return ", ".join(op + (f" ×{n}" if n > 1 else "") for op, n in counted)


def _buffers(values: Sequence[Value]) -> str:
    return ", ".join(f"{v['name']} {v['dtype']}({', '.join(map(str, v['shape']))})" for v in values)


def _number(value: Size) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _sizes(values: Sequence[Size]) -> str:
    return " × ".join(map(str, values))


def _intensity(kernel: Kernel) -> str:
    """Flops a byte, where both are numbers."""
    flops, moved = kernel["flops"], kernel["bytes"]
    return f", {flops / moved:.2f} flops a byte" if isinstance(flops, int) and isinstance(moved, int) and moved else ""
