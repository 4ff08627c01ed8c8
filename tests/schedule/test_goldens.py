"""What the scheduler makes of each sample, as a reader sees it: kernels, what is fused in them, what they bind, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from schedule_samples import SAMPLES, plan_of

from anneal import Plan
from anneal.ir.shape import show


def summary(plan: Plan) -> str:
    """A plan's schedule as text."""
    lines = []
    for number, b in enumerate(plan.buffers):
        lines.append(f"buffer {number}: {b.role} {b.dtype}{show(tuple(b.shape))}" + (" assigned" if number in plan.assigned else ""))  # type: ignore[arg-type]
    lines.append(f"outputs: {', '.join(map(str, plan.outputs))}")
    for kernel in plan.kernels:
        lines += ["", f"kernel {kernel.name}: {', '.join(kernel.phases)}"]
        lines.append("  writes " + ", ".join(str(b.buffer) for b in kernel.bindings if b.writes))
        lines.append("  reads " + (", ".join(str(b.buffer) for b in kernel.bindings if not b.writes) or "nothing else"))
        lines.append(f"  {kernel.workgroups} workgroups of {kernel.workgroup_size}, {kernel.flops} flops, {kernel.bytes} bytes")
        lines += [f"  . {op}" for op in kernel.ops]
        lines += [f"  {b.scope} {b.value}: {b.reason}" for b in kernel.boundaries]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", SAMPLES)
def test_the_schedule_of_a_sample(name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, summary(plan_of(name)))
