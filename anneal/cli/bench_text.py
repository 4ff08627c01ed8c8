"""The measurements of `anneal bench` for a reader: tables that fit 80 columns, and bars of how near the peak each computation comes.

>>> import sys
>>> bars({"copy": 50.0, "sum": 100.0}, 19, Style(sys.stdout, plain=True))[1:]
['copy ####.... 50%', 'sum  ######## 100%']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from anneal.cli.output import Style, digits, duration, wrapped
from anneal.export.schema.bench import Bench, Compilation, Timing
from anneal.export.schema.spread import Spread

_FULL: Final = 80
"""Columns of the whole table; a narrower terminal gets fewer of them."""
_PERCENT: Final = 0.095
"""The part of the peak below which a digit after the point is shown."""
_BARS: Final = 40
"""Columns from which bars can be told apart."""


def lines(document: Bench, style: Style, width: int) -> list[str]:
    """The report."""
    made = [part for line in _head(document, style) for part in wrapped(line, width)]
    if document["compilations"]:
        made += ["", *_table(list(_compilations(document["compilations"], style)), width, style)]
    if timings := document["timings"]:
        made += ["", *_table(list(_timings(timings, style)), width, style)]
        if width >= _BARS:
            made += ["", *bars({t["name"]: 100 * t["of_peak"] for t in timings}, min(width, _FULL), style)]
    return made


def _head(document: Bench, style: Style) -> Iterator[str]:
    peaks = document["peaks"]
    yield f"{document['device']}: {document['backend']}"
    yield f"peaks: copying {digits(peaks['copy_bytes_per_second'] / 1e9)} GB/s, multiplying and adding {digits(peaks['flops_per_second'] / 1e9)} GFLOP/s"
    if document["torch"]:
        yield f"PyTorch {document['torch']} on the processor, in turns; on 1 thread or {document['torch_threads']}, whichever is faster"
    yield f"times are medians; {_either(style)} is half the distance between the quartiles"


def _compilations(found: Sequence[Compilation], style: Style) -> Iterator[list[str]]:
    """Rows of the table of compilations: milliseconds of all stages, and the median of each."""
    stages = list(dict.fromkeys(stage for c in found for stage in c["stages"]))
    yield ["compile, ms", "all", *stages]
    for c in found:
        each = [digits(c["stages"][stage]["median"] * 1e3) for stage in stages]
        yield [c["name"], f"{digits(c['total']['median'] * 1e3)} {_wide(c['total'], style)}", *each]


def _timings(found: Sequence[Timing], style: Style) -> Iterator[list[str]]:
    """Rows of the table of computations."""
    compared = any(t["peer"] for t in found)
    yield ["run", "time", "kernels alone", "rate", "of peak", *(["time/PyTorch"] if compared else [])]
    for t in found:
        rate = t["bytes_per_second"] if t["bound"] == "memory" else t["flops_per_second"]
        unit = "GB/s" if t["bound"] == "memory" else "GFLOP/s"
        times = [f"{duration(s['median'], plain=style.plain)} {_wide(s, style)}" for s in (t["seconds"], t["device_seconds"])]
        row = [t["name"], *times, f"{digits(rate['median'] / 1e9)} {unit}", f"{100 * t['of_peak']:.{0 if t['of_peak'] > _PERCENT else 1}f}%"]
        if compared:
            row.append("" if t["peer"] is None else f"{digits(t['peer']['ratio']['median'])} {_wide(t['peer']['ratio'], style)}")
        yield row


def _either(style: Style) -> str:
    """The sign before how far a number may be off."""
    return "+-" if style.plain else "±"


def _wide(spread: Spread, style: Style) -> str:
    """Half the distance of the quartiles as part of the median."""
    return f"{_either(style)}{50 * (spread['high'] - spread['low']) / spread['median'] if spread['median'] else 0:.0f}%"


def _table(rows: Sequence[Sequence[str]], width: int, style: Style) -> list[str]:
    """Rows with aligned columns; where they do not fit, a block of lines for each row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + 2 * len(widths) - 2 <= width:
        made = ["  ".join(f"{cell:<{w}}" if not i else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
        return [style.bold(made[0]), *made[1:]]
    titles = rows[0]
    broken: list[str] = []
    for row in rows[1:]:
        broken.append(style.bold(row[0]))
        broken += [part for title, cell in zip(titles[1:], row[1:], strict=True) for part in wrapped(f"  {title} {cell}", width) if cell]
    return broken


def bars(percents: dict[str, float], width: int, style: Style) -> list[str]:
    """A bar for each percentage, on a track that ends at 100."""
    full, track = ("#", ".") if style.plain else ("▇", "·")
    names = max(map(len, percents))
    scale = (width - names - 7) / max(100.0, *percents.values())
    made = [style.bold("percent of the peak")]
    for name, percent in percents.items():
        filled = round(percent * scale)
        rest = track * (round(100 * scale) - filled)
        made.append(f"{name:<{names}} {style.paint(full * filled, 'forward')}{style.dim(rest)} {percent:.{0 if percent > 100 * _PERCENT else 1}f}%")
    return made
