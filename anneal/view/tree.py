r"""A graph as a tree for the terminal: what is computed last stands at the left, its operands below it, indented.

Lines are grouped by phase and by the user's modules, or by kernel. A node stands once; elsewhere its number refers to it. Leaves and short index
arithmetic stand in the line of their reader (`anneal.view.fold`). What would be indented too far begins a tree of its own.

>>> from anneal.ir.build import alu, const, param, reduce_axis, sink
>>> from anneal.ir.dtype import dtypes
>>> x = param(0, (2, 3), dtypes.float32)
>>> total = reduce_axis(Ops.ADD, alu(Ops.MUL, x, const(2.0, dtypes.float32)), (1,))
>>> print("\n".join(lines(Nodes("tensor", ((sink(total),),), names={x: "x"}, title="demo"))))
demo, stage tensor
<BLANKLINE>
— forward
— %3 = sum(%2, axis=1)  reduce_axis  float32(2, 1)  → output 0
— └ %2 = x*2.0          mul          float32(2, 3)
<BLANKLINE>
4 nodes (— 4 forward) of 4 ops, 2 of them shown; 1 input, 1 output
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final, NamedTuple

from anneal.errors import number_of
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import Phase, UOp
from anneal.view.columns import Columns, Row
from anneal.view.expression import Writer, expression
from anneal.view.fold import DONE, LOWERED, Folded
from anneal.view.history import LEAVES
from anneal.view.nodes import Nodes
from anneal.view.phases import ORDER, PLAIN, Painter, kind_of, marked, symbol

DEPTH: Final = 16
"""Levels of indentation; what is deeper begins a tree of its own."""
_GLYPHS: Final = {False: ("├ ", "└ ", "│ ", "  "), True: ("|-", "`-", "| ", "  ")}
INPUTS: Final = frozenset({Ops.PARAM, Ops.BUFFER, Ops.VARIABLE})


class Section(NamedTuple):
    """Nodes that are shown together."""

    phases: tuple[str, ...]
    title: str
    """What they have in common besides the phase: a module, a kernel."""
    nodes: list[UOp]
    """Those with a line of their own, operands first."""


class Line(NamedTuple):
    """A node in a tree."""

    node: UOp
    branches: tuple[bool | None, ...]
    """For each level, whether the node there is the last of its parent's operands; None where there is nothing to draw."""


def lines(nodes: Nodes, painter: Painter = PLAIN, width: int | None = None) -> list[str]:
    """The graph for a reader; lines longer than `width` are cut."""
    folded = Folded(nodes)
    parts = [(part, [(line.node, _row(folded, line, plain=painter.plain)) for line in _tree(folded, part)]) for part in sections(folded)]
    columns = Columns((row for _, shown in parts for _, row in shown), painter, width)
    made = [_title(nodes, painter)]
    for part, shown in parts:
        made += ["", heading(part, painter), *(columns.line(row, node.phase) for node, row in shown)]
    return [*made, "", summary(folded, painter)]


def rows(nodes: Nodes, chosen: Sequence[UOp], painter: Painter = PLAIN, width: int | None = None) -> list[str]:
    """A line for each of some nodes, nothing folded into it but leaves."""
    writer = Writer({u: f"%{number}" for u, number in nodes.numbers.items() if u.op not in LEAVES} | nodes.leaf_names)
    texts = [writer.text(u) if u.op in LEAVES else writer.spelled(u) for u in chosen]
    table = [(f"%{nodes.numbers[u]} = {text}", u.op.name, typed(u), remarks(nodes, u, plain=painter.plain)) for u, text in zip(chosen, texts, strict=True)]
    columns = Columns(table, painter, width)
    return [columns.line(row, u.phase) for row, u in zip(table, chosen, strict=True)]


def listing(nodes: Nodes, painter: Painter = PLAIN, width: int | None = None) -> list[str]:
    """The graph as a line a node, operands first."""
    return [_title(nodes, painter), *rows(nodes, nodes.order, painter, width), summary(Folded(nodes), painter)]


def _title(nodes: Nodes, painter: Painter) -> str:
    """What is shown, and what holds of it."""
    said = f": {nodes.ensures}" if nodes.ensures else ""
    return painter.bold(", ".join(filter(None, (nodes.title, f"stage {nodes.stage}")))) + painter.dim(said)


def heading(part: Section, painter: Painter = PLAIN) -> str:
    """The line above a section."""
    phases = painter.paint(marked(part.phases, ascii_only=painter.plain), kind_of(part.phases))
    return f"{phases}  {painter.bold(part.title)}".rstrip()


def sections(folded: Folded) -> list[Section]:
    """The lines of a graph by phase and module, in the order of the program; or by kernel."""
    nodes = folded.nodes
    if nodes.kernels:
        return [_kernel(folded, i) for i in range(len(nodes.graphs))]
    inside = _inside(nodes)
    place = {node: (node.phase, _place(nodes, node, inside)) for node in folded.own}
    groups: dict[tuple[str, str], list[UOp]] = {}
    for node, key in place.items():
        groups.setdefault(key, []).append(node)
    numbers, last = nodes.numbers, _handed_on(folded, place)
    rank = {_BEFORE: 0, _AFTER: 2}

    def position(key: tuple[str, str]) -> tuple[int, int, int]:
        if key[0] == "forward":  # a module stands after those whose results it goes on with
            return ORDER.index(key[0]), rank.get(key[1], 1), last.get(key, numbers[groups[key][-1]])
        return ORDER.index(key[0]), 0, numbers[groups[key][0]]

    return [Section((phase,), title, groups[phase, title]) for phase, title in sorted(groups, key=position)]


_BEFORE: Final = "before the model"
_AFTER: Final = "after the model"


def _handed_on(folded: Folded, place: Mapping[UOp, tuple[Phase, str]]) -> dict[tuple[str, str], int]:
    """The number of the last result of each section that another section of the forward pass goes on with."""
    last: dict[tuple[str, str], int] = {}
    for node, key in place.items():
        for part in folded.parts(node) if node.phase == "forward" else ():
            if part.phase == "forward" and place[part] != key:
                last[place[part]] = max(last.get(place[part], 0), folded.nodes.numbers[part])
    return last


def _inside(nodes: Nodes) -> set[UOp]:
    """The nodes that are computed from what a module gives; numbers that a module happened to build first are nobody's."""
    found: set[UOp] = set()
    read: set[UOp] = set()
    for node in nodes.order:
        if node.op in INPUTS or any(s in read for s in node.src):
            read.add(node)
        if (node in read and nodes.module(node) is not None) or any(s in found for s in node.src):
            found.add(node)
    return found


def _place(nodes: Nodes, node: UOp, inside: set[UOp]) -> str:
    """The module that a node is shown under."""
    module = nodes.module(node)
    if module is not None:
        kind = nodes.kinds.get(module, module)
        return module if kind == module else f"{module}: {kind}"
    if not inside:
        return ""
    return (_AFTER if node in inside else _BEFORE) if node.phase == "forward" else "outside the model"


def _kernel(folded: Folded, number: int) -> Section:
    """The lines of one kernel."""
    graph = folded.nodes.graphs[number]
    below = toposort(*graph)
    own = [u for u in below if u in folded.own]
    ranges = sorted((u for u in below if u.op is Ops.RANGE), key=lambda u: (u.arg[0] != "r", u.arg[1]))
    loops = ", ".join(f"{expression(r)} < {expression(r.src[0])}" for r in ranges)
    kernel = folded.nodes.kernels[number]
    return Section(kernel.phases, f"kernel {number}: {kernel.name}" + (f"  for {loops}" if loops else ""), own)


def _tree(folded: Folded, part: Section) -> Iterator[Line]:
    """The nodes of a section, each below the first that reads it."""
    if folded.nodes.stage == LOWERED:
        yield from _listing(part)
        return
    here = set(part.nodes)
    parts = {u: [p for p in folded.parts(u) if p in here] for u in part.nodes}
    read = {p for below in parts.values() for p in below}
    yield from _walk([(u, ()) for u in reversed(part.nodes) if u not in read], parts)


def _walk(stack: list[tuple[UOp, tuple[bool, ...]]], parts: dict[UOp, list[UOp]]) -> Iterator[Line]:
    """The lines below the last entry of the stack, then those below the one before it, each node once; the too deep ones come last."""
    shown: set[UOp] = set()
    deep: deque[UOp] = deque()
    while stack or deep:
        node, branches = stack.pop() if stack else (deep.popleft(), ())
        if node in shown:
            continue
        shown.add(node)
        yield Line(node, branches)
        below = [p for p in parts[node] if p not in shown]
        if len(branches) >= DEPTH:
            deep += below
            continue
        for i, operand in reversed(list(enumerate(below))):
            stack.append((operand, (*branches, i == len(below) - 1)))


def _listing(part: Section) -> Iterator[Line]:
    """Instructions in order, what stands in loops and conditions indented."""
    depth = 0
    for node in part.nodes:
        depth -= node.op in (Ops.ENDLOOP, Ops.ENDIF)
        yield Line(node, (None,) * max(depth, 0))
        depth += node.op in (Ops.LOOP, Ops.IF)


def _row(folded: Folded, line: Line, *, plain: bool) -> Row:
    """The columns of a line: tree, op, type, and what else is known."""
    nodes, node = folded.nodes, line.node
    branch, last, through, nothing = _GLYPHS[plain]
    tree = "".join(through if b is False else nothing for b in line.branches[:-1])
    if line.branches:
        tree += nothing if line.branches[-1] is None else last if line.branches[-1] else branch
    return f"{tree}%{nodes.numbers[node]}{':' if node.op in DONE else ' ='} {folded.text(node)}", node.op.name, typed(node), remarks(nodes, node, plain=plain)


def typed(node: UOp) -> str:
    """Dtype and shape of a node."""
    dims = shape(node)
    return node.dtype.name + (f"({', '.join(map(_dim, dims))})" if dims else "")


def _dim(dim: object) -> str:
    return expression(dim) if isinstance(dim, UOp) else str(dim)


def remarks(nodes: Nodes, node: UOp, *, plain: bool = False) -> str:
    """Name, output, the user's line and the gradient rule of a node, as far as there are any."""
    arrow = "=>" if plain else "→"
    said = [nodes.name(node) or ""]
    if node in nodes.outputs:
        said.append(f"{arrow} output {nodes.outputs[node]}")
    if node.origin is not None:
        said.append(f"{_file(node.origin[0])}:{node.origin[1]}")
    if node.rule is not None:
        said.append(f"by {node.rule}")
    return "  ".join(filter(None, said))


def _file(path: str) -> str:
    """A file as a reader knows it; a cell of a notebook is a temporary file of the kernel's."""
    file = PurePath(path)
    return "cell" if file.parent.name.startswith("ipykernel_") else file.name


def summary(folded: Folded, painter: Painter = PLAIN) -> str:
    """How large a graph is, in a line."""
    nodes = folded.nodes
    phases = Counter(u.phase for u in nodes.order)
    told = ", ".join(painter.paint(f"{symbol(p, ascii_only=painter.plain)} {phases[p]} {p}", p) for p in ORDER if phases[p])
    inputs = sum(u.op in INPUTS for u in nodes.order)
    ends = number_of(len(nodes.kernels), "kernel") if nodes.kernels else number_of(len(nodes.outputs), "output")
    ops = number_of(len({u.op for u in nodes.order}), "op")
    return f"{number_of(len(nodes.order), 'node')} ({told}) of {ops}, {len(folded.own)} of them shown; {number_of(inputs, 'input')}, {ends}"
