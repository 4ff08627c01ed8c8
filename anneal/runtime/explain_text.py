"""The text of an explained plan: a block a kernel, wrapped to a width, in colour where the painter has colours.

>>> counted(["mul float32(3,)", "mul float32(3,)", "reduce_add float32(1,)"], "×")
'mul ×2 on 3; reduce_add on 1'
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from anneal.errors import number_of
from anneal.ir.ops import ALL_OPS
from anneal.view.phases import Painter, kind_of, marked, symbol

if TYPE_CHECKING:
    from anneal.runtime.explain import Explained, Explanation, Stand, Value
    from anneal.runtime.plan import Size

SCOPES: Final = {"global": "materialised", "group": "shared", "inline": "inline"}
"""What the places of values are called, by scope."""
MEANINGS: Final = {
    "global": "written to memory, where a kernel ends",
    "group": "computed once by a workgroup, in its own memory",
    "inline": "computed where it is read, never stored",
}
_MOVEMENT: Final = frozenset(op.name for op in ALL_OPS if op.category == "movement")
_OP: Final = re.compile(r"(\w+) \w+\((.*?),?\)$")
_LABEL, _NARROW, _INDENT = 14, 60, 3
_SOLID: Final = "\0"
"""Stands for a space at which no line is broken."""


def kernel_lines(told: Explained, painter: Painter, width: int, more: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """All that is told of a kernel, but its source; `more` are further texts by label, after its costs."""
    kernel, times = told.kernel, "x" if painter.plain else "×"
    title, phases = f"{told.number}. {kernel.name}", marked(kernel.phases, ascii_only=painter.plain)
    shown = painter.paint(phases, kind_of(kernel.phases)) + (", fused" if told.fuses else "")
    apart = len(title) + len(phases) + len(",  fused") > width
    lines = [painter.bold(title), " " * _INDENT + shown] if apart else [f"{painter.bold(title)}  {shown}"]

    def row(label: str, text: str, kind: str = "") -> None:
        lines.extend(_row(label, text, painter, width, kind))

    for group in told.groups:
        computed = [op for op in group.ops if op.split()[0] not in _MOVEMENT]
        if computed:
            row(marked((group.phase,), ascii_only=painter.plain), counted(computed, times), group.phase)
    moves = Counter(op.split()[0] for op in kernel.ops if op.split()[0] in _MOVEMENT)
    if moves:
        row("index math", ", ".join(f"{op}{f' {times}{n}' if n > 1 else ''}" for op, n in moves.items()))
    if told.inputs:
        row("reads", _together(value(v, times) for v in told.inputs))
    row("writes", _together(value(v, times) for v in told.outputs))
    row("costs", costs(told))
    row("runs", f"{_sizes(kernel.workgroups, times)} workgroups of {_sizes(kernel.workgroup_size, times)} threads")
    for label, text in more.items():
        row(label, text)
    for stand in sorted(told.stands, key=lambda s: list(SCOPES).index(s.boundary.scope)):
        row(SCOPES[stand.boundary.scope], reason(stand))
    return lines


def _row(label: str, text: str, painter: Painter, width: int, kind: str) -> list[str]:
    """A label and its text beside it; below it, where the width is small."""
    shown = painter.paint(label, kind) if kind else painter.dim(label)
    narrow = width < _NARROW
    indent = " " * (2 * _INDENT if narrow else _INDENT + _LABEL)
    wrapped = textwrap.wrap(text, max(width, len(indent) + 10), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    wrapped = [line.replace(_SOLID, " ") for line in wrapped]
    if narrow:
        return [" " * _INDENT + shown, *wrapped]
    return [" " * _INDENT + shown + " " * (_LABEL - len(label)) + wrapped[0][len(indent) :], *wrapped[1:]]


def _together(items: Iterable[str]) -> str:
    """A list of values, none of which is parted from its size by the end of a line."""
    return ", ".join(_SOLID.join(item.rsplit(" ", 2)) for item in items)


def counted(ops: Sequence[str], times: str) -> str:
    """Operations in order, those of one shape together, equal neighbours counted."""
    parts = [found.groups() if (found := _OP.match(op)) else (op, "") for op in ops]
    shapes = []
    for dims, run in itertools.groupby(parts, key=lambda part: part[1]):
        names = [(name, len(list(same))) for name, same in itertools.groupby(run, key=lambda part: part[0])]
        listed = ", ".join(name + (f" {times}{n}" if n > 1 else "") for name, n in names)
        shapes.append(f"{listed} on {times.join(dims.split(', ')) or 'one number'}")
    return "; ".join(shapes)


def value(told: Value, times: str) -> str:
    """A value: name, dtype, shape, size."""
    return f"{told.name} {told.dtype}({_sizes(told.shape, times, '')}) {size(told.bytes)}"


def size(count: Size) -> str:
    """Bytes for a reader.

    >>> size(40), size(65536), size(5 << 20)
    ('40 B', '64 KiB', '5 MiB')
    """
    if not isinstance(count, int):
        return f"{count} bytes"
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"


def costs(told: Explained) -> str:
    """Arithmetic, traffic, and how the two relate."""
    dense = "" if told.intensity is None else f", {told.intensity:.2f} flops a byte"
    return f"{number(told.kernel.flops)} flops, {number(told.kernel.bytes)} bytes{dense}"


def number(count: Size) -> str:
    """A size with its thousands apart."""
    return f"{count:,}" if isinstance(count, int) else count


def _sizes(values: Sequence[Size], times: str, space: str = " ") -> str:
    return f"{space}{times}{space}".join(map(str, values))


def reason(stand: Stand) -> str:
    """A value, where it goes, and why it is there."""
    boundary, stored = stand.boundary, stand.stored
    if stored is None:
        return f"{boundary.value}: {boundary.reason}"
    nobody = ", for no other kernel" if stored.role == "temporary" else ""
    readers = f", for {_listed(stored.readers)}" if stored.readers else nobody
    return f"{boundary.value} as {stored.name}{readers}: {boundary.reason}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def summary_lines(told: Explanation, painter: Painter, width: int) -> list[str]:
    """What the kernels are together, and what the words mean."""
    plan = told.plan
    fused = Counter("+".join(k.kernel.phases) for k in told.kernels if k.fuses)
    kinds = "".join(f", {n} {phases}" for phases, n in fused.items())
    uops = f"; {plan.stats['uops']} UOps" if "uops" in plan.stats else ""
    total = sum(b.bytes for b in plan.buffers if isinstance(b.bytes, int))
    count = sum(fused.values())
    joint = f"{symbol('fused', ascii_only=painter.plain)} {count} of them fuse{'s' * (count == 1)} phases{kinds}" if fused else "none fuses phases"
    head = f"{number_of(len(told.kernels), 'kernel')}; {joint}{uops}; {size(total)} of buffers"
    used = {s.boundary.scope for k in told.kernels for s in k.stands}
    legend = "; ".join(f"{SCOPES[scope]}: {meaning}" for scope, meaning in MEANINGS.items() if scope in used)
    return [*wrap(head, width), *(painter.dim(line) for line in wrap(legend, width)), f"plan {plan.fingerprint}"]


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of a text, all indented, that fit a width of 20 or more beside the indent."""
    return textwrap.wrap(text, max(width, len(indent) + 20), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
