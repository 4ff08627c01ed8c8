"""A tensor as a part of a page: its facts, and its values where they have been computed; nothing is computed for it.

Long axes are cut in the middle, and of a tensor of many axes the first matrix is shown. Everything is escaped.

>>> from anneal import Tensor
>>> page(Tensor([[1.0, 2.5]]))[:70]
'<div class="anneal-tensor"><div>Tensor (1, 2) float32, realised</div><'
>>> page(Tensor([1.0]) + 1).count("<table>")
0
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Final

from anneal.errors import number_of
from anneal.ir.dtype import Scalar
from anneal.ir.graph import toposort
from anneal.tensor import host, realize
from anneal.tensor.values import Values

_MOST, _EDGE = 12, 5
"""Elements of an axis that are shown whole; at each end of a longer one."""
_READ: Final = 1 << 20
"""Elements that are read from a device to show a few; of larger tensors only the facts are shown."""
_OPS: Final = 6
"""Ops that a lazy tensor names."""


def page(tensor: Values) -> str:
    """The facts, then the values or what will compute them."""
    facts = escape(f"Tensor {tensor.facts()}")
    return f'<div class="anneal-tensor"><div>{facts}</div>{_values(tensor) if tensor.is_realized else _graph(tensor)}</div>'


def _graph(tensor: Values) -> str:
    """What is to be done, most of it first."""
    nodes = toposort(tensor.uop)
    counts = Counter(u.op.name for u in nodes if u.src).most_common()
    ops = ", ".join(f"{n} {name}" for name, n in counts[:_OPS]) + (", …" if len(counts) > _OPS else "")
    what = f"not computed yet: {number_of(len(nodes), 'node')}{f' ({ops})' if ops else ''}"
    return f"<div>{escape(what)}; <code>.realize()</code> computes it, <code>.graph()</code> shows how</div>"


def _values(tensor: Values) -> str:
    count, data = tensor.numel(), tensor._known(_READ)
    if data is None:
        return f"<div>{count:,} values{': <code>.numpy()</code> reads them' if count else ''}</div>"
    sizes = realize.sizes(tensor.uop)
    rows, columns = (1, 1, *sizes)[-2:]
    flat = host.decode(data, tensor.dtype, rows * columns)
    lines = "".join(_row(None if i is None else flat[i * columns : (i + 1) * columns]) for i in _cut(rows))
    where = f"<div>[{', '.join(['0'] * (len(sizes) - 2) + [':', ':'])}] of {'×'.join(map(str, sizes))}</div>" if len(sizes) > 2 else ""
    return f"{where}<table>{lines}</table>"


def _row(values: Sequence[Scalar] | None) -> str:
    cells = ["⋮"] if values is None else ["…" if i is None else _number(values[i]) for i in _cut(len(values))]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cut(size: int) -> list[int | None]:
    """The places of an axis to show, None for those left out."""
    return list(range(size)) if size <= _MOST else [*range(_EDGE), None, *range(size - _EDGE, size)]


def _number(value: Scalar) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
