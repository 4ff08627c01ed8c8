"""`anneal kernels`: the kernels that a model's program becomes, for any WebGPU device or for the one that is there.

>>> EXAMPLE
'anneal kernels mlp --step --only 3 --wgsl'
"""

from __future__ import annotations

import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from anneal.cli import kernels_diff
from anneal.cli import options as shared
from anneal.cli.highlight import wgsl
from anneal.cli.model import load, user_code
from anneal.cli.output import Style, digits, duration, emit, nearest
from anneal.codegen.target import Target
from anneal.errors import UsageError
from anneal.examples.example import Example
from anneal.examples.program import trace
from anneal.export import difference, kernels, timing
from anneal.export.schema.graph import Part
from anneal.export.schema.kernels import Kernel, Kernels, Run
from anneal.export.schema.spread import Spread
from anneal.runtime import explain_text
from anneal.runtime.device import VARIABLE, Device, get_device
from anneal.runtime.explain import Explanation
from anneal.tensor.realize import Program, compile_program
from anneal.tensor.tensor import Tensor

EXAMPLE: Final = "anneal kernels mlp --step --only 3 --wgsl"
_WIDTH: Final = 100


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    shared.add_model(parser, "?")
    shared.add_part(parser)
    parser.add_argument("--only", metavar="KERNEL", help="one kernel, by its name or number")
    parser.add_argument("--wgsl", action="store_true", help="the source too (with --json always)")
    parser.add_argument("--run", action="store_true", help="time each kernel, against the device's peaks")
    parser.add_argument("--diff", nargs=2, metavar=("A", "B"), help='compare two, such as forward step, or mlp "conv step"')
    shared.add_device(parser, "compile for it (default: for any device)")


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a command asked for, compiled."""

    document: Kernels
    explanation: Explanation
    program: Program
    inputs: str
    """What it would run on, in words."""


def run(arguments: Namespace) -> int:
    """Compile and print; returns the exit code."""
    style = Style(sys.stdout, plain=arguments.plain)
    if arguments.diff:
        return _compare(arguments, style)
    device = _device(arguments) if arguments.run else None
    target = device.target if device else get_device(arguments.device).target if arguments.device else Target.portable()
    found = _compiled(arguments.model, arguments.part, arguments.batch, target)
    document = found.document
    only = None if arguments.only is None else _chosen(document["kernels"], arguments.only)
    if device is not None:
        timing.add_times(document, timing.timed(found.program, found.explanation.plan, device), device, found.inputs)
    if only is not None:
        document["kernels"] = [document["kernels"][only]]
    if arguments.json:
        emit(document)
        return 0
    print("\n".join(_lines(found, only, style, source=arguments.wgsl)))
    return 0


def _device(arguments: Namespace) -> Device:
    """The device to time on: a GPU, unless another is asked for."""
    return get_device(arguments.device or (None if os.environ.get(VARIABLE) else "webgpu"))


def _compiled(reference: str | None, part: Part, batch: int | None, target: Target) -> Compiled:
    if reference is None:
        raise UsageError("say which model: anneal kernels mlp; see anneal kernels --help")
    model = load(reference)
    with user_code(model.file):
        outputs, names = model.outputs(part, batch)
        program, inputs = trace(outputs, names)
    example = isinstance(model.value, Example)
    explanation = compile_program(program, target).explain(inputs, _output_names(outputs, names, part, example=example))
    document = kernels.describe(explanation, model.name, part)
    return Compiled(document, explanation, program, "the model's first parameters and data" if example else "the tensors' own values")


def _output_names(outputs: Sequence[Tensor], names: Mapping[str, Tensor], part: Part, *, example: bool) -> list[str]:
    """What the outputs of a program are called: its loss, gradients by their parameter."""
    gradients = {id(t.grad): f"{name}.grad" for name, t in names.items() if t.grad is not None}
    found = [gradients.get(id(t), f"output{i}") for i, t in enumerate(outputs)]
    if part != "forward":
        found[0] = "loss"
    return ["output"] if example and part == "forward" and len(found) == 1 else found


def _chosen(there: Sequence[Kernel], wanted: str) -> int:
    """The place of the kernel of that name or number."""
    names = [k["name"] for k in there]
    if wanted in names:
        return names.index(wanted)
    if not wanted.lstrip("-").isdecimal():
        raise UsageError(f"no kernel {wanted!r}: {nearest(wanted, names)}")
    if not 1 <= int(wanted) <= len(names):
        raise UsageError(f"no kernel {wanted}: there are {len(names)}, from 1 on")
    return int(wanted) - 1


def _lines(found: Compiled, only: int | None, style: Style, *, source: bool) -> list[str]:
    """The kernels as text."""
    told, width = found.explanation, shutil.get_terminal_size((_WIDTH, 0)).columns
    shown = told.kernels if only is None else told.kernels[only : only + 1]
    lines: list[str] = []
    for kernel, data in zip(shown, found.document["kernels"], strict=True):
        lines += explain_text.kernel_lines(kernel, style, width, _measured(data, style))
        if source:
            lines += ["", *("   " + line for line in wgsl(kernel.kernel.wgsl, style).splitlines())]
        lines.append("")
    if "run" in found.document:
        lines += [*explain_text.wrap(_run(found.document["run"], style), width)]
    return lines + explain_text.summary_lines(told, style, width)


def _measured(kernel: Kernel, style: Style) -> dict[str, str]:
    """What a kernel took, by label; nothing where it was not run."""
    if "run" not in kernel:
        return {}
    took = kernel["run"]
    moves = f"{digits(took['bytes_per_second'] / 1e9)} GB/s, {took['of_copy_peak']:.0%} of a copy"
    computes = f"{digits(took['flops_per_second'] / 1e9)} GFLOP/s, {took['of_flops_peak']:.1%} of the peak"
    return {"measured": f"{_middle(took['seconds'], style)}, {took['share']:.0%} of the run; {moves}; {computes}"}


def _run(run: Run, style: Style) -> str:
    """What was measured, and on what."""
    took = f"all kernels take {_middle(run['seconds'], style)} in {run['seconds']['count']} runs"
    peaks = f"a copy reaches {digits(run['copy_bytes_per_second'] / 1e9)} GB/s, multiply-adds {digits(run['multiply_add_flops_per_second'] / 1e9)} GFLOP/s"
    return f"measured: {took} on {run['backend']}, with {run['inputs']}; {peaks}"


def _middle(seconds: Spread, style: Style) -> str:
    """A time: its median, and the half of the runs around it."""
    median, low, high = (duration(s, plain=style.plain) for s in (seconds["median"], seconds["low"], seconds["high"]))
    return f"{median} ({low} to {high})"


def _compare(arguments: Namespace, style: Style) -> int:
    """Compile both sides and print what differs."""
    for given, name in ((arguments.run, "--run"), (arguments.only, "--only")):
        if given:
            raise UsageError(f"--diff compares what is compiled, all of it: leave {name} out")
    sides = [kernels_diff.side(text, arguments) for text in arguments.diff]
    targets = [get_device(s.device).target if s.device else Target.portable() for s in sides]
    a, b = (_compiled(s.model, s.part, s.batch, t).document for s, t in zip(sides, targets, strict=True))
    document = difference.compare(a, b, (sides[0].batch, sides[1].batch))
    if arguments.json:
        emit(document)
        return 0
    width = shutil.get_terminal_size((_WIDTH, 0)).columns
    print("\n".join(kernels_diff.lines(document, [s.label for s in sides], style, width, source=arguments.wgsl)))
    return 0
