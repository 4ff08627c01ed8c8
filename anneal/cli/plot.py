"""`anneal plot`: the curves of trainings, from the logs that `anneal train --log` wrote, in the terminal or as a picture.

A log whose last line is half a line, of a training that was killed, is drawn up to there, and a message says so. Of several logs each
has a letter of its own.

>>> EXAMPLE
'anneal plot run.jsonl --output run.svg'
"""

from __future__ import annotations

import shutil
import statistics
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from anneal.cli import charts, pictures
from anneal.cli import options as shared
from anneal.cli.charts import Chart
from anneal.cli.output import Style, duration, emit, note
from anneal.examples import log
from anneal.examples.log import Curve
from anneal.examples.monitor import Record, Time
from anneal.export.schema.plot import VERSION, Plot, Run, Summary

EXAMPLE: Final = "anneal plot run.jsonl --output run.svg"


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    parser.add_argument("logs", metavar="LOG", nargs="+", help="what anneal train --log wrote; several are drawn together")
    parser.add_argument("--output", metavar="FILE", help="write a picture there, .png or .svg, instead of drawing in the terminal")


def run(arguments: Namespace) -> int:
    """Draw; returns the exit code."""
    if arguments.output is not None:
        pictures.check(arguments.output)
    curves = [log.read(path) for path in arguments.logs]
    for path, curve in zip(arguments.logs, curves, strict=True):
        if curve.cut:
            note(f"anneal: {path}: the last line is cut off and left out; the log ends at step {_last(curve)}")
    if arguments.output is not None:
        drawn = _charts(curves)
        pictures.write(arguments.output, lambda figure: charts.draw(figure, drawn, arguments.logs), 2.4 * len(drawn))
    if arguments.json:
        emit(_document(arguments.logs, curves, arguments.output))
        return 0
    style = Style(sys.stdout, plain=arguments.plain)
    if arguments.output is None:
        print("\n".join(_drawn(curves, style)))
    print("\n".join(_told(arguments.logs, curves, style)))
    if arguments.output is not None:
        print(f"{style.dim('picture')} {arguments.output}")
    return 0


def _charts(curves: Sequence[Curve]) -> list[Chart]:
    """Loss, accuracy where there is one, time of a step."""
    scored = [[(r.step, r.accuracy) for r in c.records if r.accuracy is not None] for c in curves]
    return [
        Chart("loss", [[(r.step, r.loss) for r in c.records] for c in curves]),
        *([Chart("accuracy on held-out rows", scored)] if any(scored) else []),
        Chart("ms a step", [[(r.step, r.seconds * 1e3) for r in _warm(c)] for c in curves]),
    ]


def _warm(curve: Curve) -> list[Record]:
    """The steps but the first, which waits for the driver's compiler."""
    return curve.records[1:] or curve.records


def _drawn(curves: Sequence[Curve], style: Style) -> list[str]:
    """The charts for this terminal, with room for the lines that follow."""
    width, height = shutil.get_terminal_size()
    return charts.text(_charts(curves), width, height - len(curves) - 1, plain=style.plain, colour=style.colour)


def _told(paths: Sequence[str], curves: Sequence[Curve], style: Style) -> list[str]:
    """A line a log."""
    lines = []
    for number, (path, curve) in enumerate(zip(paths, curves, strict=True)):
        letter = f"{charts.LETTERS[number % len(charts.LETTERS)]} " if len(curves) > 1 else ""
        head, found = curve.header, _summary(curve)
        said = [f"{head['model']} on {head['device']}, {head['optimizer']}", f"step {found['steps']} of {head['steps']}"]
        if curve.records:
            said.append(f"loss {curve.records[0].loss:.4f} to {curve.records[-1].loss:.4f}")
        if found["accuracy"] is not None:
            said.append(f"accuracy {found['accuracy']:.4f}")
        if found["step_ms_median"] is not None:
            said.append(f"{duration(found['step_ms_median'] / 1e3, plain=style.plain)} a step")
        lines.append(f"{style.bold(letter + path)}  {', '.join(said)}")
    return lines


def _document(paths: Sequence[str], curves: Sequence[Curve], output: str | None) -> Plot:
    return {"schema": "anneal.plot", "version": VERSION, "output": output, "runs": [_run(p, c) for p, c in zip(paths, curves, strict=True)]}


def _run(path: str, curve: Curve) -> Run:
    head, records = curve.header, curve.records
    return {
        "file": path,
        "model": head["model"],
        "device": head["device"],
        "backend": head["backend"],
        "batch": head["batch"],
        "optimizer": head["optimizer"],
        "seed": head["seed"],
        "cut": curve.cut,
        "series": {
            "steps": [r.step for r in records],
            "losses": [r.loss for r in records],
            "seconds": [r.seconds for r in records],
            "accuracies": [[r.step, r.accuracy] for r in records if r.accuracy is not None],
        },
        "summary": _summary(curve),
    }


def _last(curve: Curve) -> int:
    return curve.records[-1].step if curve.records else curve.header["start"]


def _summary(curve: Curve) -> Summary:
    losses = [r.loss for r in curve.records]
    accuracies = [r.accuracy for r in curve.records if r.accuracy is not None]
    return {
        "steps": _last(curve),
        "loss_first": losses[0] if losses else None,
        "loss_last": losses[-1] if losses else None,
        "loss_least": min(losses) if losses else None,
        "accuracy": accuracies[-1] if accuracies else None,
        "step_ms_median": _milliseconds(curve, "seconds"),
        "host_ms_median": _milliseconds(curve, "host_seconds"),
        "device_ms_median": _milliseconds(curve, "device_seconds"),
    }


def _milliseconds(curve: Curve, what: Time) -> float | None:
    found = [value * 1e3 for r in _warm(curve) if (value := getattr(r, what)) is not None]
    return statistics.median(found) if found else None
