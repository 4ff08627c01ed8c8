"""`anneal graph`: the graph of a model's program after a stage of the compiler, as a tree, a drawing, or node by node.

As with grep, the exit code is 1 where `--find` finds nothing.

>>> EXAMPLE
'anneal graph mlp --step --stage simplified --find op=reduce_axis'
"""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Final

from anneal.cli import options as shared
from anneal.cli.model import load, user_code
from anneal.cli.output import Style, columns, emit, nearest, note
from anneal.codegen.target import Target
from anneal.errors import UsageError
from anneal.examples import program
from anneal.examples.model import Model
from anneal.export import graph as export
from anneal.formats import atomic
from anneal.nn import modules
from anneal.rewrite import session
from anneal.runtime.device import get_device
from anneal.tensor.graph import stages
from anneal.view import find, tree
from anneal.view.detail import Node
from anneal.view.graph import Graph

EXAMPLE: Final = "anneal graph mlp --step --stage simplified --find op=reduce_axis"
PARTS: Final = {"forward": "forward", "backward": "loss and gradients", "step": "the training step"}
NOTHING_FOUND: Final = 1


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    shared.add_model(parser)
    shared.add_part(parser)
    first, *others, last = stages()
    parser.add_argument("--stage", metavar="STAGE", default=first, help=f"{first} (default), {', '.join(others)} or {last}")
    shared.add_device(parser, "compile for it (default: any device)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--list", action="store_true", help="a line a node, in order, nothing folded away")
    form.add_argument("--find", metavar="KEY=VALUE", help=f"nodes by {', '.join(find.KEYS)}")
    form.add_argument("--node", metavar="N", help="one node: what made it, from what, back to your line")
    form.add_argument("--dot", action="store_true", help="the drawing in Graphviz's language")
    form.add_argument("--svg", metavar="FILE", help="the drawing, made by Graphviz")


def run(arguments: Namespace) -> int:
    """Print the graph; returns the exit code."""
    criteria = None if arguments.find is None else find.parse(arguments.find)
    model, graph = build(arguments)
    selected = None if criteria is None else graph.find(**criteria)
    if arguments.node is not None:
        selected = [graph.node(_number(arguments.node))]
    if arguments.svg is not None:
        atomic.write(arguments.svg, graph.svg().encode())
        note(f"anneal: wrote {arguments.svg}")
    if arguments.json:
        emit(export.describe(graph, model.name, arguments.part, None if selected is None else [n.number for n in selected]))
    elif arguments.svg is None:
        text = "".join(f"{line}\n" for line in _text(graph, arguments, selected))
        sys.stdout.write(text.replace("…", "...") if arguments.plain else text)
    return NOTHING_FOUND if selected == [] else 0


def build(arguments: Namespace) -> tuple[Model, Graph]:
    """The model and its graph after the stage asked for. Raises UsageError for a stage that there is not, before anything is built."""
    if arguments.stage not in (known := stages()):
        text = "the WGSL is text, not a graph: see it with anneal kernels --wgsl. " if arguments.stage == "wgsl" else ""
        raise UsageError(f"no graph after the stage {arguments.stage!r}: {text}{nearest(arguments.stage, known)}")
    target = get_device(arguments.device).target if arguments.device else Target.portable()
    with session.watching():
        with modules.watching() as seen:
            model = load(arguments.model)
            with user_code(model.file):
                outputs, names = model.outputs(arguments.part, arguments.batch)
        title = f"{model.name}, {PARTS[arguments.part]}"
        return model, program.graph_of(outputs, names, seen, stage=arguments.stage, target=target, title=title)


def _number(text: str) -> int:
    """A node's number, with or without its %."""
    digits = text.removeprefix("%")
    if not digits.isdecimal():
        raise UsageError(f"--node {text!r}: nodes are known by number, as in --node 12; find one with --find op=add")
    return int(digits)


def _text(graph: Graph, arguments: Namespace, selected: list[Node] | None) -> list[str]:
    """What is printed."""
    style = Style(sys.stdout, plain=arguments.plain)
    if arguments.node is not None and selected:
        return selected[0].lines(style)
    if selected is not None:
        if not selected:
            note(f"anneal: no node of {graph.title} after the stage {graph.stage} has {arguments.find}")
        return tree.rows(graph, [n.uop for n in selected], style, columns())
    if arguments.dot:
        return [graph.dot()]
    return tree.listing(graph, style, columns()) if arguments.list else tree.lines(graph, style, columns())
