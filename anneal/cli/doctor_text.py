"""The report of `anneal doctor` for a reader: sections of lines that fit the terminal, problems last.

>>> _middle(Spread(median=2e9, low=1e9, high=3.25e9, least=0.0, most=4e9, count=9))
'half of 9 runs 1.00 to 3.25'
"""

from __future__ import annotations

from collections.abc import Iterator

from anneal.cli.output import Style, digits, duration, wrapped
from anneal.export.schema.doctor import Device, Doctor
from anneal.export.schema.spread import Spread
from anneal.runtime.explain_text import size


def lines(document: Doctor, style: Style) -> list[str]:
    """The report."""
    width = document["terminal"]["columns"]
    made: list[str] = []
    for title, body in _sections(document, style):
        made += ["", *(style.bold(part) for part in wrapped(title, width) if part), *(part for line in body for part in wrapped(line, width))]
    return made[1:]


def _sections(document: Doctor, style: Style) -> Iterator[tuple[str, list[str]]]:
    yield "", [f"anneal {document['anneal'] or '(not installed)'}", f"Python {document['python']}, {document['executable']}", document["platform"]]
    yield "packages", [f"  {p['name']:<11} {p['version'] or 'not installed':<14} {p['purpose']}" for p in document["packages"]]
    mark = "*" if style.plain else "▸"
    adapters = [f"  {mark if a['chosen'] else ' '} {a['name']}, {a['backend']}, {a['driver']}, {a['kind']}" for a in document["adapters"]]
    yield "adapters", adapters or ["    none"]
    for device in document["devices"]:
        yield f"device {device['name']}: {'works' if device['works'] else 'does not work'}", list(_device(device, style))
    yield "around", list(_around(document))
    for problem in document["problems"]:
        yield "", [f"{'problem' if problem['severe'] else 'note'}: {problem['problem']}", f"remedy: {problem['remedy']}"]
    if not document["problems"]:
        yield "", ["no problems"]


def _device(device: Device, style: Style) -> Iterator[str]:
    if device["description"]:
        yield f"  {device['description']}"
    if device["check"]:
        error = float(device["check"]["error"])
        yield f"  {device['check']['kernels']} kernels run and checked in {duration(device['check']['ms'] / 1e3, plain=style.plain)}, error {error:.1e}"
    if device["peaks"]:
        copy, arithmetic = device["peaks"]["copy"], device["peaks"]["multiply_add"]
        yield f"  copies up to {digits(copy['most'] / 1e9)} GB/s, {_middle(copy)}"
        yield f"  multiplies and adds up to {digits(arithmetic['most'] / 1e9)} GFLOP/s, {_middle(arithmetic)}"
    if device["limits"]:
        yield f"  {'limit':<16} {'have':>13} {'need':>11}  used for"
    for limit in device["limits"]:
        yield f"  {limit['name']:<16} {limit['have']:>13,} {limit['need']:>11,}  {limit['purpose']}"
    for feature in device["features"]:
        yield f"  {feature['name']:<16} {'yes' if feature['have'] else 'no':>13} {'':>11}  {feature['purpose']}"


def _middle(spread: Spread) -> str:
    return f"half of {spread['count']} runs {digits(spread['low'] / 1e9)} to {digits(spread['high'] / 1e9)}"


def _around(document: Doctor) -> Iterator[str]:
    for browser in document["browsers"]:
        yield f"  browser    {browser['name']} {browser['version'] or ''} at {browser['path']}".replace("  at", " at")
    if not document["browsers"]:
        yield "  browser    none found"
    site = document["site"]
    yield f"  visualizer {size(site['bytes'])} at {site['path']}" if site["found"] else f"  visualizer not built yet: anneal viz makes {site['path']}"
    for cache in document["caches"]:
        yield f"  cache      {size(cache['bytes'])} of shaders in {cache['files']} files, {cache['name']}: {cache['path']}"
    yield f"  cache      plans: in memory while a process lives, {document['plans_kept']} at most"
    terminal = document["terminal"]
    what = "a terminal" if terminal["tty"] else "no terminal"
    yield f"  output     {what}, {terminal['columns']}x{terminal['lines']}, {terminal['encoding']}, {'in colour' if terminal['colour'] else 'without colour'}"
