"""What the dashboard says: a monitor's state as a heading, a bar, a table and curves, for a width in columns.

Nothing here knows of the app, so a test or another display can print the same.

>>> bar(0.5, 8)
'━━━━────'
>>> clock(75.2)
'1:15'
"""

from __future__ import annotations

from typing import Final

from rich.columns import Columns
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from anneal.cli import charts
from anneal.cli.charts import Chart, Curve
from anneal.cli.output import duration
from anneal.examples.monitor import Monitor
from anneal.runtime.explain_text import size
from anneal.view.phases import COLOURS, kind_of, symbol

_LEAST_WIDTH, _LEAST_HEIGHT = 20, 5
_ORDER: Final = tuple(COLOURS)
_CLOCKED: Final = 10_000
"""Steps among which those are that were clocked: few are, for it takes time."""
_HOUR, _MINUTE = 3600, 60


def bar(fraction: float, width: int) -> str:
    """A line of `width` columns, heavy as far as the fraction goes."""
    full = round(min(max(fraction, 0.0), 1.0) * width)
    return "━" * full + "─" * (width - full)


def clock(seconds: float) -> str:
    """A time in minutes and seconds, with hours where there are some."""
    whole = round(seconds)
    hours, minutes, rest = whole // _HOUR, whole % _HOUR // _MINUTE, whole % _MINUTE
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def heading(monitor: Monitor, state: str) -> str:
    """How far it is, the most important first: what does not fit is cut off at the right."""
    left = monitor.seconds_left
    time = f"{clock(monitor.elapsed)} so far" if left is None or state in ("done", "stopped", "failed") else f"{clock(left)} left"
    return f"step {monitor.done}/{monitor.steps}  {state}  {monitor.fraction:.0%}  {time}  {monitor.facts.model} on {monitor.facts.device}"


def curve(name: str, points: Curve, width: int, height: int) -> Text:
    """Values over steps under their name and the last of them; that line alone where there is no room for more."""
    title = f"{name} {points[-1][1]:.4f}" if points else name
    if width < _LEAST_WIDTH or height < _LEAST_HEIGHT or not points:
        return Text(title, no_wrap=True)
    return Text.from_ansi("\n".join(charts.block(Chart(title, [points]), width, height, plain=False, colour=True)), no_wrap=True)


def brief(monitor: Monitor) -> Table:
    """The least, for a terminal of few rows: the last loss and score, and the time of a step."""
    last = monitor.records[-1] if monitor.records else None
    loss = "" if last is None else f"{last.loss:.4f}"
    accuracy = "" if monitor.accuracy is None else f"{monitor.accuracy:.4f}"
    return _table({"loss": loss, "accuracy": accuracy, "step": _speed(monitor)})


def facts(monitor: Monitor) -> Table:
    """What is trained, and how fast."""
    known = monitor.facts
    alone = {p: n for p, n in known.phases.items() if "+" not in p}
    fused = {p: n for p, n in known.phases.items() if "+" in p}
    return _table(
        {
            "step": _speed(monitor),
            "program": f"{known.uops} UOps in {known.kernels} kernels, compiled in {duration(known.compile_seconds)}",
            "kernels": _phases(alone),
            "fused": _phases(fused) if fused else "none: each kernel is of one phase",
            "memory": f"{size(known.bytes)} in buffers, {known.parameters:,} parameters",
            "data": f"{known.rows:,} rows to learn from, {known.held:,} held out; batch {known.batch}, {known.optimizer}, seed {known.seed}",
            "device": f"{known.device}: {known.backend}",
        }
    )


def _table(rows: dict[str, RenderableType]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, shown in rows.items():
        table.add_row(name, Text(shown) if isinstance(shown, str) else shown)  # a name with brackets in it is no markup
    return table


def _speed(monitor: Monitor) -> str:
    whole, host, device = monitor.step_seconds, monitor.median("host_seconds"), monitor.median("device_seconds", _CLOCKED)
    if whole is None or host is None:
        return "waiting for the first one"
    name = "NumPy" if monitor.facts.device == "reference" else "GPU"
    split = f"host {host * 1e3:.2f}" + (f", {name} {device * 1e3:.2f}" if device is not None else "")
    return f"{whole * 1e3:.2f} ms ({split}), {monitor.samples_per_second or 0:,.0f} samples/s"


def _phases(phases: dict[str, int]) -> Columns:
    """How many kernels compute which phases, with their colours and symbols, in the order of training."""
    found = sorted((p.split("+") for p in phases), key=lambda parts: (len(parts), [_ORDER.index(p) for p in parts]))
    return Columns([_kernels(phases["+".join(parts)], parts) for parts in found], padding=(0, 2))


def _kernels(count: int, parts: list[str]) -> Text:
    kind = kind_of(tuple(parts))
    return Text(f"{count} {symbol(kind)} {'+'.join(parts)}", style=COLOURS[kind])
