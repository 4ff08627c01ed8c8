"""An explained plan as HTML for a notebook: a table, a row a kernel, its source to unfold.

Everything is escaped and there is no script and no link, so the page is safe to keep and to send. Phases have their symbol and their word
beside the colour.

>>> chip(("backward",))
'<span style="border-left:4px dashed #FF7A45;padding-left:4px;white-space:nowrap">╌ backward</span>'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from anneal.runtime.explain_text import SCOPES, costs, counted, reason, summary_lines, value
from anneal.view.phases import COLOURS, LINES, PLAIN, kind_of, marked

if TYPE_CHECKING:
    from anneal.runtime.explain import Explained, Explanation

_TIMES: Final = "×"
_CELL: Final = "text-align:left;vertical-align:top"


def page(told: Explanation) -> str:
    """The table, and what the kernels are together."""
    rows = "".join(map(_row, told.kernels))
    summary = "<br>".join(map(escape, summary_lines(told, PLAIN, 10_000)))
    head = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("", "kernel", "fused", "in and out", "costs"))
    return f'<div class="anneal-plan"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{summary}</p></div>'


def chip(phases: Sequence[str]) -> str:
    """Phases with their colour, line, symbol and words."""
    kind = kind_of(phases)
    style = f"border-left:4px {LINES.get(kind, 'solid')} {COLOURS[kind]};padding-left:4px;white-space:nowrap"
    return f'<span style="{style}">{escape(marked(phases))}</span>'


def _row(told: Explained) -> str:
    kernel = told.kernel
    fused = _lines(f"{chip((g.phase,))} {escape(counted(g.ops, _TIMES))}" for g in told.groups)
    reads, writes = ("".join(f"<br>{escape(value(v, _TIMES))}" for v in values) for values in (told.inputs, told.outputs))
    why = _lines(f"<i>{SCOPES[s.boundary.scope]}</i> {escape(reason(s))}" for s in told.stands)
    runs = f"{_TIMES.join(map(str, kernel.workgroups))} workgroups of {_TIMES.join(map(str, kernel.workgroup_size))} threads"
    cells = [
        str(told.number),
        f"<b>{escape(kernel.name)}</b><br>{chip(kernel.phases)}",
        f"<details><summary>{len(kernel.ops)} operations</summary>{fused}</details>{_details('why', why)}",
        f"<b>reads</b>{reads}<br><b>writes</b>{writes}",
        f"{escape(costs(told))}<br>{escape(runs)}{_details('WGSL', f'<pre>{escape(kernel.wgsl)}</pre>')}",
    ]
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"<div>{line}</div>" for line in lines)


def _details(title: str, inner: str) -> str:
    return f"<details><summary>{title}</summary>{inner}</details>"
