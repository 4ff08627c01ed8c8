"""The measurements of `anneal bench` for a reader: tables that fit 80 columns, and bars of how near the peak each computation comes.

>>> time(0.00123), time(2.5), time(4.2e-5)
('1.23 ms', '2.50 s', '42.0 us')
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from anneal.cli.doctor_text import wrapped
from anneal.cli.output import Style
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
    made = [part for line in _head(document) for part in wrapped(line, max(width, 20))]
    if document["compilations"]:
        made += ["", *_table(list(_compilations(document["compilations"])), width, style)]
    if timings := document["timings"]:
        made += ["", *_table(list(_timings(timings)), width, style)]
        if width >= _BARS:
            made += ["", *bars({t["name"]: 100 * t["of_peak"] for t in timings}, min(width, _FULL), style)]
    return made


def time(seconds: float) -> str:
    """Seconds for a reader, in three digits."""
    for unit, one in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= one:
            return f"{_three(seconds / one)} {unit}"
    return f"{_three(seconds * 1e6)} us"


def _three(number: float) -> str:
    """A number with three digits, or all that it has before the point."""
    digits = 2 - math.floor(math.log10(number)) if number > 0 else 0
    return f"{number:,.{min(max(digits, 0), 6)}f}"


def _head(document: Bench) -> Iterator[str]:
    peaks = document["peaks"]
    yield f"{document['device']}: {document['backend']}"
    yield f"peaks: copying {_three(peaks['copy_bytes_per_second'] / 1e9)} GB/s, multiplying and adding {_three(peaks['flops_per_second'] / 1e9)} GFLOP/s"
    if document["torch"]:
        yield f"PyTorch {document['torch']} on the processor, in turns; on 1 thread or {document['torch_threads']}, whichever is faster"
    yield "times are medians; ± is half the distance between the quartiles"


def _compilations(found: Sequence[Compilation]) -> Iterator[list[str]]:
    """Rows of the table of compilations: milliseconds of all stages, and the median of each."""
    stages = list(dict.fromkeys(stage for c in found for stage in c["stages"]))
    yield ["compile, ms", "all", *stages]
    for c in found:
        each = [_three(c["stages"][stage]["median"] * 1e3) for stage in stages]
        yield [c["name"], f"{_three(c['total']['median'] * 1e3)} {_wide(c['total'])}", *each]


def _timings(found: Sequence[Timing]) -> Iterator[list[str]]:
    """Rows of the table of computations."""
    compared = any(t["peer"] for t in found)
    yield ["run", "time", "kernels alone", "rate", "of peak", *(["time/PyTorch"] if compared else [])]
    for t in found:
        rate = t["bytes_per_second"] if t["bound"] == "memory" else t["flops_per_second"]
        unit = "GB/s" if t["bound"] == "memory" else "GFLOP/s"
        times = [f"{time(s['median'])} {_wide(s)}" for s in (t["seconds"], t["device_seconds"])]
        row = [t["name"], *times, f"{_three(rate['median'] / 1e9)} {unit}", f"{100 * t['of_peak']:.{0 if t['of_peak'] > _PERCENT else 1}f}%"]
        if compared:
            row.append("" if t["peer"] is None else f"{_three(t['peer']['ratio']['median'])} {_wide(t['peer']['ratio'])}")
        yield row


def _wide(spread: Spread) -> str:
    """Half the distance of the quartiles as part of the median."""
    return f"±{50 * (spread['high'] - spread['low']) / spread['median'] if spread['median'] else 0:.0f}%"


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
        broken += [part for title, cell in zip(titles[1:], row[1:], strict=True) for part in wrapped(f"  {title} {cell}", max(width, 20)) if cell]
    return broken


def bars(percents: dict[str, float], width: int, style: Style) -> list[str]:
    """A bar for each percentage, on a track that ends at 100.

    >>> import sys
    >>> bars({"copy": 50.0, "sum": 100.0}, 19, Style(sys.stdout, plain=True))[1:]
    ['copy ####.... 50%', 'sum  ######## 100%']
    """
    full, track = ("#", ".") if style.plain else ("▇", "·")
    names = max(map(len, percents))
    scale = (width - names - 7) / max(100.0, *percents.values())
    made = [style.bold("percent of the peak")]
    for name, percent in percents.items():
        filled = round(percent * scale)
        rest = track * (round(100 * scale) - filled)
        made.append(f"{name:<{names}} {style.paint(full * filled, 'forward')}{style.dim(rest)} {percent:.{0 if percent > 100 * _PERCENT else 1}f}%")
    return made
