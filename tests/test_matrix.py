"""What each pass does with each op, found out by sending a sample of the op through the pass.

A cell says `yes` when the pass did its work on the sample and the result was right, `zero` when the gradient is none by definition, and a
letter when the pass has nothing to do there, for a reason that is declared below. A cell that is neither fails, and so does a declared
reason for a cell that works.

    pytest -s tests/test_matrix.py -k print    prints the matrix
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import pytest
from matrix_samples import REALS, SAMPLES, Body, Graph, Listing

from anneal.analysis.bounds import bounds
from anneal.autodiff.backward import gradients
from anneal.codegen.lower import lower
from anneal.codegen.opts import choose
from anneal.codegen.program import Program
from anneal.codegen.target import Target
from anneal.codegen.wgsl import render
from anneal.errors import AnnealError
from anneal.ir import build
from anneal.ir.dtype import Scalar
from anneal.ir.graph import substitute, toposort
from anneal.ir.interp import evaluate, evaluate_expr
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.shape import shape
from anneal.ir.text import parse_graph, parse_program, print_graph, print_program
from anneal.ir.uop import UOp
from anneal.ir.verify import verify
from anneal.rules import GRADIENT
from anneal.runtime.device import get_device
from anneal.runtime.pipeline import compile_graph
from anneal.runtime.plan import Binding, Kernel, Plan, PlanBuffer
from anneal.tensor import host

PORTABLE: Final = Target.portable()


class Blank(Exception):  # noqa: N818 - no error until somebody expects a result
    """The pass does nothing with this op."""


def _verify(op: Op) -> str:
    match SAMPLES[op]:
        case Graph(node):
            verify(node, "tensor")
        case Body(sink):
            verify(sink, "kernel")
        case Listing(instructions):
            verify(instructions, "program")
    return "yes"


def _interp(op: Op) -> str:
    match SAMPLES[op]:
        case Graph(node, inputs):
            [elements] = evaluate([node], inputs)
            assert elements
        case Body(sink, inputs, output):
            memory, index, value = sink.src[0].src
            if op is Ops.STORE:
                raise Blank
            rows = [evaluate_expr(value, {index: i}, {build.param(1, (8,), memory.dtype): inputs}) for i in range(2)]
            assert tuple(rows) == output
        case _:
            raise Blank
    return "yes"


def _tighter(node: UOp) -> bool:
    """True when more is known of a node than what its dtype says."""
    low, high = bounds(node)
    dtype = node.dtype
    return (low is not None or high is not None) and ((dtype.is_int and dtype.name == "index") or (low, high) != (dtype.min, dtype.max))


def _bounds(op: Op) -> str:
    match SAMPLES[op]:
        case Graph(_, _, whole, inputs) if whole is not None:
            low, high = bounds(whole)
            [found] = evaluate([whole], inputs)
            assert all((low is None or low <= x) and (high is None or x <= high) for x in found)
            if whole.op is not Ops.PARAM and _tighter(whole):
                return "yes"
        case Body(whole=UOp() as whole) if _tighter(whole):
            return "yes"
        case Listing(instructions):
            if any(u.op is op and u.dtype.is_int and _tighter(u) for u in instructions):
                return "yes"
    raise Blank


def _gradient(op: Op) -> str:
    match SAMPLES[op]:
        case Graph(node) if op in GRADIENT:
            if all(g is None for g in GRADIENT[op](node, node)):
                return "zero"
            floats = [u for u in toposort(node) if u.op is Ops.PARAM and u.dtype.is_float]
            if node.dtype.is_float:
                assert any(g is not None for g in gradients(node, floats, build.const(1, node.dtype)))
            return "yes"
    raise Blank


def _text(op: Op) -> str:
    match SAMPLES[op]:
        case Graph(node):
            assert parse_graph(print_graph(node)) == [node]
        case Body(sink):
            assert parse_graph(print_graph(sink)) == [sink]
        case Listing(instructions):
            assert parse_program(print_program(instructions)) == list(instructions)
    return "yes"


def _sink(node: UOp) -> UOp:
    """The program whose output is the node: of a parameter or constant alone a kernel would have nothing to do, so it is added to itself."""
    if node.op is Ops.SINK:
        return node
    if node.op in (Ops.PARAM, Ops.CONST, Ops.DETACH):
        node = build.alu(Ops.ADD, node, node)
    return build.sink(node)


def _kernel(program: Program, bindings: Sequence[Binding]) -> Kernel:
    text = print_program(program.instructions)
    return Kernel("sample", render(program), text, tuple(bindings), program.workgroups, program.workgroup_size, ("forward",), (), 0, 0)


def _plan(op: Op) -> tuple[Plan, list[Sequence[Scalar]], Sequence[Scalar]]:
    """The plan of a sample, its inputs and what its output must be."""
    match SAMPLES[op]:
        case Graph(node, inputs) if op not in (Ops.BUFFER, Ops.VARIABLE):
            sink = _sink(node)
            leaves = sorted((u for u in toposort(sink) if u.op is Ops.PARAM), key=lambda u: int(u.arg[0]))
            numbered = {u: build.param(i, shape(u), u.dtype) for i, u in enumerate(leaves)}
            plan = compile_graph(substitute(sink, numbered), PORTABLE)
            return plan, [inputs[u] for u in leaves], evaluate([sink], inputs)[0]
        case Body(sink, values, output):
            program = lower(sink, choose(sink, None, PORTABLE), PORTABLE)
            buffers = (PlanBuffer("input", "float32", (8,), 32), PlanBuffer("output", "float32", (2,), 8))
            return Plan(PORTABLE, buffers, (_kernel(program, (Binding(1, True), Binding(0, False))),), (1,)), [values], output
        case Listing(instructions, output, threads):
            vectors = frozenset(u.src[0] for u in instructions if u.op in (Ops.VLOAD, Ops.VSTORE))
            program = Program(instructions, (1, 1, 1), (threads, 1, 1), {}, vectors)
            buffers = (PlanBuffer("input", "float32", (8,), 32), PlanBuffer("output", "float32", (8,), 32))
            return Plan(PORTABLE, buffers, (_kernel(program, (Binding(0, False), Binding(1, True))),), (1,)), [REALS], output
    raise Blank


def _run(op: Op, name: str) -> str:
    plan, inputs, wanted = _plan(op)
    device = get_device(name)
    bound = [b for b in plan.buffers if b.role != "temporary"]
    storages = [device.allocate(int(b.bytes)) for b in bound]
    for storage, buffer in zip(storages, bound, strict=True):
        device.write(storage, bytes(int(buffer.bytes)))
    for storage, buffer, values in zip(storages, plan.inputs, inputs, strict=False):
        device.write(storage, host.pack(values, buffer.element))
    device.execute(plan, storages)
    at = plan.outputs[0]
    found = host.decode(device.read(storages[at], int(bound[at].bytes)), bound[at].element, len(wanted))
    assert list(found) == pytest.approx(list(wanted), rel=1e-5, abs=1e-6)
    return "yes"


def _wgsl(op: Op) -> str:
    plan, _, _ = _plan(op)
    assert all("@compute" in kernel.wgsl for kernel in plan.kernels)
    return "yes" if plan.kernels else "none"


PASSES: Final[Mapping[str, Callable[[Op], str]]] = {
    "verify": _verify,
    "interp": _interp,
    "bounds": _bounds,
    "gradient": _gradient,
    "text": _text,
    "wgsl": _wgsl,
    "reference": lambda op: _run(op, "reference"),
    "webgpu": lambda op: _run(op, "webgpu"),
}


_RUN: Final = ("wgsl", "reference", "webgpu")
_PROGRAM: Final = frozenset(op for op in ALL_OPS if op.category == "program")
_KERNEL: Final = frozenset(op for op in ALL_OPS if op.category == "kernel") - {Ops.AT}

NOTHING_TO_DO: Final[Sequence[tuple[Sequence[str], frozenset[Op], str]]] = (
    (tuple(PASSES), frozenset({Ops.AT}), "stands for a load only while kernels are built; no pass is given one"),
    (("interp",), _PROGRAM | {Ops.STORE}, "what instructions do is what the reference device does with them"),
    (("bounds",), frozenset(op for op in ALL_OPS if op.domain == "float"), "of floats only constants are known"),
    (
        ("bounds",),
        frozenset({Ops.BITCAST, Ops.BUFFER, Ops.PARAM, Ops.LOAD, Ops.LOCAL, Ops.REGISTER, Ops.VLOAD, Ops.LANE}),
        "may be anything that the dtype can be",
    ),
    (("bounds",), _PROGRAM - {Ops.SPECIAL, Ops.LOOP, Ops.LOCAL, Ops.REGISTER, Ops.VLOAD, Ops.LANE} | {Ops.STORE, Ops.SINK}, "has no value"),
    (("gradient",), frozenset({Ops.CONST, Ops.BUFFER, Ops.PARAM, Ops.VARIABLE, Ops.IOTA}), "a leaf: where gradients arrive"),
    (("gradient",), frozenset({Ops.BITCAST}), "bits are no number: a derivative through them would be meaningless"),
    (("gradient",), frozenset({Ops.SINK}), "groups outputs; it is no value"),
    (("gradient",), _KERNEL | _PROGRAM, "gradients are taken of tensors, before there are kernels"),
    (_RUN, frozenset({Ops.BUFFER}), "a program is compiled over numbered parameters, so that its plan knows nothing of tensors"),
    (_RUN, frozenset({Ops.VARIABLE}), "sizes known at run time are not compiled yet"),
)


def reason(op: Op, name: str) -> str | None:
    """The letter of the declared reason why a pass has nothing to do with an op."""
    found = [chr(ord("a") + i) for i, (passes, ops, _) in enumerate(NOTHING_TO_DO) if name in passes and op in ops]
    assert len(found) <= 1, f"{op.name}, {name}: one reason is enough"
    return found[0] if found else None


def cell(op: Op, name: str) -> str:
    """What the pass does with the op; empty when nothing."""
    try:
        return PASSES[name](op) if op in SAMPLES else ""
    except Blank:
        return ""


def hole(op: Op, name: str) -> str:
    """What is wrong with a cell; empty when nothing is."""
    declared = reason(op, name)
    try:
        done = cell(op, name)
    except (AnnealError, LookupError) as error:
        return str(error)
    if done and declared:
        return f"handles {op.name}: the declared reason is out of date"
    return "" if done or declared else f"does nothing with {op.name}, and no reason is declared"


@pytest.mark.parametrize("op", ALL_OPS, ids=lambda op: op.name)
def test_every_cell_is_done_or_declared(op: Op) -> None:
    missing = [f"{name}: {text}" for name in PASSES if (text := hole(op, name))]
    assert not missing, "\n".join([op.name, *missing])


def test_samples_are_of_their_op() -> None:
    for op, sample in SAMPLES.items():
        match sample:
            case Graph(node):
                assert op in {u.op for u in toposort(node)}
                assert sample.whole is None or op in {u.op for u in toposort(sample.whole)}
            case Body(sink):
                assert op in {u.op for u in toposort(sink)}
            case Listing(instructions):
                assert op in {u.op for u in instructions}


def matrix() -> str:
    """The matrix as text, with its legend."""
    lines = [" ".join(["op".ljust(12), *(name.ljust(9) for name in PASSES)])]
    lines += [" ".join([op.name.ljust(12), *((cell(op, name) or reason(op, name) or "?").ljust(9) for name in PASSES)]) for op in ALL_OPS]
    legend = [f"{chr(ord('a') + i)}: {text}" for i, (_, _, text) in enumerate(NOTHING_TO_DO)]
    return "\n".join(line.rstrip() for line in (*lines, "", *legend))


def test_print_the_matrix() -> None:
    text = matrix()
    print("\n" + text)
    assert "?" not in text
    assert text.count("\n") > len(ALL_OPS)
