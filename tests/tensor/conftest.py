"""Ways to run tensors in tests: the graph interpreted in plain Python, and the whole compiler with NumPy and with a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from anneal.codegen.target import Target
from anneal.ir.dtype import by_name
from anneal.ir.interp import evaluate
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.runtime.plan import Plan, PlanBuffer
from anneal.tensor import host, realize
from anneal.tensor.realize import Program


class Interpreter:
    """A device that evaluates the graph itself: independent of scheduler, code generator and NumPy."""

    name = "interp"
    description = "the graph, in plain Python"
    target = Target.portable()

    def __init__(self) -> None:
        self.runs = 0

    def allocate(self, nbytes: int) -> bytearray:
        return bytearray(nbytes)

    def write(self, storage: bytearray, data: bytes) -> None:
        storage[: len(data)] = data

    def read(self, storage: bytearray, nbytes: int) -> bytes:
        return bytes(storage[:nbytes])

    def execute(self, plan: Plan, storages: Sequence[bytearray], symbols: Mapping[str, int] | None = None) -> None:
        self.runs += 1
        program: Program = plan.stats["program"]
        params = [build_param(slot, b) for slot, b in enumerate(b for b in plan.buffers if b.role == "input")]
        values = {p: host.decode(bytes(s), p.dtype, count(p)) for p, s in zip(params, storages, strict=False)}
        nodes = [*program.sink.src, *plan.stats["assigns"]]
        found = evaluate(nodes, values)
        targets = [*(storages[at] for at in plan.outputs), *(storages[at] for at in plan.assigned)]
        for node, value, memory in zip(nodes, found, targets, strict=True):
            if node.op is not Ops.PARAM:
                memory[:] = host.pack(value, node.dtype).ljust(4, b"\0")


def build_param(slot: int, buffer: PlanBuffer) -> UOp:
    from anneal.ir import build

    return build.param(slot, buffer.shape, by_name(buffer.dtype))  # type: ignore[arg-type]


def count(node: UOp) -> int:
    total = 1
    for size in realize.sizes(node):
        total *= size
    return total


def _target(node: UOp) -> int:
    """The slot of the parameter that a node is, or overwrites."""
    while node.op is not Ops.PARAM:
        node = node.src[0]
    slot: int = node.arg[0]
    return slot


def interpreted_plan(program: Program, target: Target) -> Plan:
    """A plan with buffers and no kernels, which only the interpreter can run."""
    from anneal.ir.graph import toposort

    buffers = [PlanBuffer("input", b.dtype.name, b.shape, b.nbytes) for b in program.buffers]
    last = {_target(node): node for node in toposort(program.sink) if node.op is Ops.ASSIGN}
    outputs = []
    for node in program.sink.src:
        if node.op in (Ops.PARAM, Ops.ASSIGN):
            outputs.append(_target(node))
            continue
        outputs.append(len(buffers))
        buffers.append(PlanBuffer("output", node.dtype.name, realize.sizes(node), host.nbytes(realize.sizes(node), node.dtype)))
    stats = {"program": program, "assigns": list(last.values())}
    return Plan(target, tuple(buffers), (), tuple(outputs), tuple(last), stats=stats)


@pytest.fixture
def interp(monkeypatch: pytest.MonkeyPatch) -> Interpreter:
    """The interpreting device, as the only device there is."""
    device = Interpreter()
    monkeypatch.setattr(realize, "open_device", lambda name: device)
    monkeypatch.setattr(realize, "compile_program", interpreted_plan)
    return device


@pytest.fixture(params=["interp", "reference", "webgpu"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Each device in turn, as the default device."""
    if request.param == "interp":
        yield request.getfixturevalue("interp")
        return
    monkeypatch.setenv("ANNEAL_DEVICE", request.param)
    yield realize.open_device(request.param)
