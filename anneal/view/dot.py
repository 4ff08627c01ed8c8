"""A graph in Graphviz's language, and drawn by Graphviz.

Nodes are those that have a line of their own in the tree, and the inputs; what is folded there is folded here. Clusters are the user's modules, or
kernels. A phase is a colour and a line style: forward solid, backward dashed, update dotted; a kernel that fuses phases is filled in gold.

>>> from anneal.ir.build import alu, param, sink
>>> from anneal.ir.dtype import dtypes
>>> from anneal.ir.ops import Ops
>>> x = param(0, (2,), dtypes.float32)
>>> [line.strip() for line in text(Nodes("tensor", ((sink(alu(Ops.MUL, x, x)),),), names={x: 'a"b'})).splitlines() if "->" in line]
['n0 -> n1 [color="#00ADD8", style=solid]']
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

from anneal.errors import AnnealError, UsageError
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.view.expression import expression
from anneal.view.fold import DONE, Folded
from anneal.view.nodes import Nodes
from anneal.view.phases import COLOURS, LINES, kind_of, marked, symbol
from anneal.view.tree import INPUTS, Section, sections, typed

SECONDS: Final = 120
"""How long Graphviz may take."""
_WIDE: Final = 48
_WRITES: Final = frozenset({Ops.STORE, Ops.VSTORE})
_HEAD: Final = (
    "rankdir=TB", 'fontname="monospace"', 'node [shape=box, style=rounded, fontname="monospace", fontsize=10]',
    'edge [arrowsize=0.6, fontname="monospace"]',
)  # fmt: skip


def text(nodes: Nodes) -> str:
    """The graph in Graphviz's language."""
    folded = Folded(nodes)
    body = [*_inputs(folded), *(line for i, part in enumerate(sections(folded)) for line in _cluster(folded, part, i))]
    label = _quoted(", ".join(filter(None, (nodes.title, f"stage {nodes.stage}"))))
    return "\n".join(["digraph anneal {", *(f"  {line}" for line in (*_HEAD, f"label={label}", *body)), "}"])


def _inputs(folded: Folded) -> Iterator[str]:
    """Inputs and buffers: kernels are joined by them."""
    for node, number in folded.nodes.numbers.items():
        if node.op in INPUTS and node not in folded.own:
            label = "\n".join((folded.nodes.name(node) or expression(node), typed(node)))
            yield f"n{number} [label={_quoted(label)}, shape=ellipse, style=solid]"


def _cluster(folded: Folded, part: Section, number: int) -> Iterator[str]:
    """A section with its nodes, then what they read. A node that several kernels compute is drawn in each."""
    nodes = folded.nodes
    ids = {u: f"k{number}n{nodes.numbers[u]}" if nodes.kernels else f"n{nodes.numbers[u]}" for u in part.nodes}
    kind = kind_of(part.phases)
    title = f"{marked(part.phases)}  {part.title}".rstrip()
    fill = f'; style=filled; fillcolor="{COLOURS[kind]}55"' if kind == "fused" else f"; style={LINES[kind]}"
    yield f'subgraph cluster_{number} {{ label={_quoted(title)}; color="{COLOURS[kind]}"{fill}'
    for node, name in ids.items():
        yield f"  {name} [{_node(folded, node)}]"
    yield "}"
    for node, name in ids.items():
        style = f'[color="{COLOURS[node.phase]}", style={LINES[node.phase]}]'
        written = node.src[0] if node.op in _WRITES else None
        for operand in dict.fromkeys((*folded.parts(node), *(u for u in folded.leaves(node) if u.op in INPUTS))):
            other = ids.get(operand, f"n{nodes.numbers[operand]}")
            yield f"{name} -> {other} {style}" if operand is written else f"{other} -> {name} {style}"


def _node(folded: Folded, node: UOp) -> str:
    nodes = folded.nodes
    said = folded.text(node)
    cut = said if len(said) <= _WIDE else f"{said[: _WIDE - 1]}…"
    name = nodes.name(node)
    output = f"→ output {nodes.outputs[node]}" if node in nodes.outputs else None
    line = f"%{nodes.numbers[node]}{':' if node.op in DONE else ' ='} {cut}"
    label = "\n".join(filter(None, (name, line, f"{symbol(node.phase)} {node.op.name}  {typed(node)}", output)))
    thick = ", penwidth=2" if output else ""
    return f'label={_quoted(label)}, color="{COLOURS[node.phase]}", style="rounded,filled,{LINES[node.phase]}", fillcolor=white{thick}'


def _quoted(label: str) -> str:
    """A string in Graphviz's language: what is in a graph stays text."""
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def installed() -> bool:
    """True where Graphviz is."""
    return shutil.which("dot") is not None


def svg(source: str) -> str:
    """Graphviz's drawing of a text; raises UsageError where Graphviz is missing, AnnealError where it fails."""
    program = shutil.which("dot")
    if program is None:
        raise UsageError(
            "no Graphviz to draw with: install it (apt install graphviz, dnf install graphviz, brew install graphviz, winget install Graphviz.Graphviz), "
            "or write the text with --dot and draw it elsewhere"
        )
    try:
        done = subprocess.run([program, "-Tsvg"], input=source, capture_output=True, encoding="utf-8", timeout=SECONDS, check=False)  # noqa: S603 - no shell
    except subprocess.TimeoutExpired:
        raise AnnealError(f"Graphviz did not finish within {SECONDS} s: the graph is too large to be drawn; look at it as a tree, or by --find") from None
    if done.returncode:
        raise AnnealError(f"Graphviz failed: {done.stderr.strip()}")
    return done.stdout
