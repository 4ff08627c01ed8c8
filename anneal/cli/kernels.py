"""`anneal kernels`: the kernels that a model's program becomes, for any WebGPU device or for the one that is there.

>>> EXAMPLE
'anneal kernels mlp --step --wgsl'
"""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Final

from anneal.cli import options as shared
from anneal.cli.model import load, user_code
from anneal.cli.output import Style, emit
from anneal.codegen.target import Target
from anneal.examples.program import trace
from anneal.export import kernels
from anneal.runtime.device import get_device
from anneal.tensor.realize import compile_program

EXAMPLE: Final = "anneal kernels mlp --step --wgsl"


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    shared.add_model(parser)
    shared.add_part(parser)
    parser.add_argument("--wgsl", action="store_true", help="the source of each kernel too (with --json it is always there)")
    shared.add_device(parser, "compile for what this device offers (default: what every WebGPU device offers)")


def run(arguments: Namespace) -> int:
    """Compile and print; returns the exit code."""
    model = load(arguments.model)
    target = get_device(arguments.device).target if arguments.device else Target.portable()
    with user_code(model.file):
        outputs, names = model.outputs(arguments.part, arguments.batch)
        traced, inputs = trace(outputs, names)
    document = kernels.describe(compile_program(traced, target), model.name, arguments.part, inputs)
    if arguments.json:
        emit(document)
        return 0
    style = Style(sys.stdout, plain=arguments.plain)
    print("\n".join(kernels.lines(document, style.phases, style.dim, wgsl=arguments.wgsl)))
    return 0
