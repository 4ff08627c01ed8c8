"""The measurements of `anneal bench` as a picture: how near the peak each computation comes, and what the stages of the compiler take.

>>> _HATCHES[1]
'//'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from anneal.cli.output import duration
from anneal.cli.pictures import PALETTE
from anneal.export.schema.bench import Bench, Compilation, Timing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HATCHES: Final = ("", "//", "..", "xx", "\\\\")
"""What tells the stages apart beside their colours."""


def height(document: Bench) -> float:
    """Inches that it takes."""
    rows = _rows(document)
    return 1 + 0.4 * sum(rows) + 0.8 * len(rows)


def _rows(document: Bench) -> list[int]:
    return [len(part) for part in (document["timings"], document["compilations"]) if part]


def draw(figure: Figure, document: Bench) -> None:
    """Bars of what was measured, of each kind that there is."""
    rows = _rows(document)
    figure.suptitle(f"{document['device']}: {document['backend']}", fontsize="medium")
    axes = iter(figure.subplots(len(rows), squeeze=False, height_ratios=[n + 1 for n in rows])[:, 0])
    if document["timings"]:
        _timings(next(axes), document["timings"])
    if document["compilations"]:
        _compilations(next(axes), document["compilations"])


def _timings(axes: Any, timings: Sequence[Timing]) -> None:
    """Bars of the part of the peak; a line shows the middle half."""
    middle = [100 * t["of_peak"] for t in timings]
    seconds = [t["device_seconds"] for t in timings]
    low = [max(m - m * s["median"] / (s["high"] or 1.0), 0.0) for m, s in zip(middle, seconds, strict=True)]
    high = [max(m * s["median"] / (s["low"] or s["median"] or 1.0) - m, 0.0) for m, s in zip(middle, seconds, strict=True)]
    places = range(len(timings))
    axes.barh(places, middle, xerr=[low, high], color=PALETTE[0], ecolor="#444444", capsize=3)
    axes.set_yticks(places, [f"{t['name']}\n{duration(t['device_seconds']['median'])}" for t in timings], fontsize="small")
    axes.invert_yaxis()
    axes.axvline(100, color="#888888", linestyle="--", linewidth=1)
    axes.set_title("percent of the peak of copying, or of multiplying and adding", loc="left", fontsize="medium")
    axes.grid(visible=True, axis="x", alpha=0.3)


def _compilations(axes: Any, found: Sequence[Compilation]) -> None:
    """A bar for each compilation, its stages one after the other."""
    stages = list(dict.fromkeys(stage for c in found for stage in c["stages"]))
    ends = [0.0] * len(found)
    for number, stage in enumerate(stages):
        parts = [c["stages"][stage]["median"] * 1e3 for c in found]
        look = {"color": PALETTE[number % len(PALETTE)], "hatch": _HATCHES[number % len(_HATCHES)], "edgecolor": "white"}
        axes.barh(range(len(found)), parts, left=ends, label=stage, **look)
        ends = [end + part for end, part in zip(ends, parts, strict=True)]
    axes.set_yticks(range(len(found)), [c["name"] for c in found], fontsize="small")
    axes.invert_yaxis()
    axes.set_title("milliseconds of compilation by stage, medians", loc="left", fontsize="medium")
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(stages), fontsize="small")
