"""Curves over steps: as text of any width, and as pictures.

What tells curves apart is a letter or a style of line; colour comes besides. plotext and matplotlib are imported when they draw.

>>> chart = Chart("loss", [[(1, 2.0), (30, 0.5)]])
>>> text([chart], 40, 12, plain=True, colour=False)[1]
'    +----------------------------------+'
>>> ticks(1, 300, 4)
[100, 200, 300]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from anneal.cli.pictures import PALETTE
from anneal.errors import AnnealError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = Sequence[tuple[float, float]]
"""Points: step and value."""

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
"""What the curves of a chart are drawn with, when there are several."""
_STYLES: Final = ("solid", "dashed", "dashdot", "dotted")
_ASCII: Final = str.maketrans({**dict.fromkeys("┌┐└┘├┤┬┴┼", "+"), "─": "-", "│": "|"})
_WIDE: Final = 72
"""Columns from which charts stand side by side."""
_SHORT, _TALL = 8, 16
_TICK: Final = 12
"""Columns for a number under a chart."""


class Chart(NamedTuple):
    """Curves that share a scale."""

    title: str
    curves: Sequence[Curve]


def text(charts: Sequence[Chart], width: int, height: int, *, plain: bool, colour: bool) -> list[str]:
    """Charts as lines for a terminal of `width` columns and `height` rows, two side by side where there is room; raises AnnealError without plotext."""
    across = 2 if width >= _WIDE else 1
    rows = [charts[i : i + across] for i in range(0, len(charts), across)]
    tall = max(_SHORT, min(_TALL, height // max(len(rows), 1) - 1))
    made: list[str] = []
    for row in rows:
        blocks = [block(chart, width // len(row), tall, plain=plain, colour=colour) for chart in row]
        made += ["".join(parts).rstrip() for parts in zip_longest(*blocks, fillvalue="")]
    return made


def block(chart: Chart, width: int, height: int, *, plain: bool, colour: bool) -> list[str]:
    """A chart as lines that are all of one width, in the size asked for."""
    plotext = _plotext()
    curves = [_thin(_finite(curve), 2 * width) for curve in chart.curves]
    steps = [step for curve in curves for step, _ in curve]
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.theme("clear")
    plotext.title(chart.title)
    plotext.yfrequency(max(2, (height - 3) // 2))
    for number, curve in enumerate(curves):
        marker = LETTERS[number % len(LETTERS)] if len(curves) > 1 else "*" if plain else "braille"
        xs, ys = [step for step, _ in curve], [value for _, value in curve]
        if xs:
            plotext.plot(xs, ys, marker=marker, color=_rgb(number))
    if steps:
        places = ticks(min(steps), max(steps), width // _TICK)
        plotext.xticks(places, [f"{place:,}" for place in places])
    drawn = str(plotext.build())
    plotext.clear_figure()
    drawn = drawn if colour else plotext.uncolorize(drawn)
    return (drawn.translate(_ASCII) if plain else drawn).splitlines()


def _plotext() -> Any:
    try:
        import plotext  # type: ignore[import-untyped]
    except ImportError as error:
        raise AnnealError(f"curves in the terminal need plotext ({error}): pip install plotext; --json prints the numbers without it") from error
    return plotext


def _finite(curve: Curve) -> Curve:
    return [(step, value) for step, value in curve if math.isfinite(value)]


def _thin(curve: Curve, most: int) -> Curve:
    """A curve of at most `most` points, each the mean of as many in a row."""
    if len(curve) <= most:
        return curve
    bounds = [len(curve) * i // most for i in range(most + 1)]
    parts = [curve[low:high] for low, high in pairwise(bounds)]
    return [(part[-1][0], fmean(value for _, value in part)) for part in parts]


def ticks(low: float, high: float, most: int) -> list[int]:
    """Round whole numbers from `low` to `high`, `most` at most, but always one."""
    step = 1
    while high // step - (low - 1) // step > max(most, 1):
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    found = range(math.ceil(low / step) * step, math.floor(high) + 1, step)
    return list(found) or [round(high)]


def _rgb(number: int) -> tuple[int, ...]:
    return tuple(bytes.fromhex(PALETTE[number % len(PALETTE)][1:]))


def draw(figure: Figure, charts: Sequence[Chart], names: Sequence[str]) -> None:
    """The charts one above the other; `names` are those of the curves."""
    for chart, axes in zip(charts, figure.subplots(len(charts), sharex=True, squeeze=False)[:, 0], strict=True):
        for number, curve in enumerate(chart.curves):
            style: dict[str, Any] = {"color": PALETTE[number % len(PALETTE)], "linestyle": _STYLES[number % len(_STYLES)]}
            points = _finite(curve)
            axes.plot([step for step, _ in points], [value for _, value in points], label=names[number], linewidth=1.2, **style)
        axes.set_title(chart.title, loc="left", fontsize="medium")
        axes.grid(visible=True, alpha=0.3)
    axes.set_xlabel("step")
    if len(names) > 1:
        figure.axes[0].legend(fontsize="small")
