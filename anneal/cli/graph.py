"""`anneal graph`: the tensor graph of a model's program, as it is before the compiler changes it.

>>> EXAMPLE
'anneal graph mlp --step'
"""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Final

from anneal.cli import options as shared
from anneal.cli.model import load, user_code
from anneal.cli.output import Style, emit
from anneal.examples.program import trace
from anneal.export import graph

EXAMPLE: Final = "anneal graph mlp --step"


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    shared.add_model(parser)
    shared.add_part(parser)


def run(arguments: Namespace) -> int:
    """Print the graph; returns the exit code."""
    model = load(arguments.model)
    with user_code(model.file):
        outputs, names = model.outputs(arguments.part, arguments.batch)
        traced, inputs = trace(outputs, names)
    document = graph.describe(traced.sink, model.name, arguments.part, inputs)
    if arguments.json:
        emit(document)
        return 0
    style = Style(sys.stdout, plain=arguments.plain)
    print("\n".join(graph.lines(document, style.phases, style.dim)))
    return 0
