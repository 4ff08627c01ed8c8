"""The report of `anneal doctor` for a reader: sections of lines that fit the terminal, problems last.

>>> wrapped("problem: a long line", 14)
['problem: a', '  long line']
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from anneal.cli.output import Style
from anneal.export.schema.doctor import Device, Doctor
from anneal.export.schema.spread import Spread

_NARROW: Final = 20


def lines(document: Doctor, style: Style) -> list[str]:
    """The report."""
    width = max(document["terminal"]["columns"], _NARROW)
    made: list[str] = []
    for title, body in _sections(document, style):
        made += ["", *(style.bold(part) for part in wrapped(title, width) if part), *(part for line in body for part in wrapped(line, width))]
    return made[1:]


def wrapped(line: str, width: int) -> list[str]:
    """A line in as many as it takes, those after the first indented two more."""
    indent = line[: len(line) - len(line.lstrip())] + "  "
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True) if len(line) > width else [line]


def size(nbytes: float) -> str:
    """Bytes for a reader.

    >>> size(1536), size(12)
    ('1.5 KiB', '12 bytes')
    """
    for unit, one in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= one:
            return f"{nbytes / one:.1f} {unit}"
    return f"{nbytes:.0f} bytes"


def _sections(document: Doctor, style: Style) -> Iterator[tuple[str, list[str]]]:
    yield "", [f"anneal {document['anneal'] or '(not installed)'}", f"Python {document['python']}, {document['executable']}", document["platform"]]
    yield "packages", [f"  {p['name']:<11} {p['version'] or 'not installed':<14} {p['purpose']}" for p in document["packages"]]
    mark = "*" if style.plain else "▸"
    adapters = [f"  {mark if a['chosen'] else ' '} {a['name']}, {a['backend']}, {a['driver']}, {a['kind']}" for a in document["adapters"]]
    yield "adapters", adapters or ["    none"]
    for device in document["devices"]:
        yield f"device {device['name']}: {'works' if device['works'] else 'does not work'}", list(_device(device))
    yield "around", list(_around(document))
    for problem in document["problems"]:
        yield "", [f"{'problem' if problem['severe'] else 'note'}: {problem['problem']}", f"remedy: {problem['remedy']}"]
    if not document["problems"]:
        yield "", ["no problems"]


def _device(device: Device) -> Iterator[str]:
    if device["description"]:
        yield f"  {device['description']}"
    if device["check"]:
        error = float(device["check"]["error"])
        yield f"  {device['check']['kernels']} kernels run and checked in {device['check']['ms']:.0f} ms, error {error:.1e}"
    if device["peaks"]:
        copy, arithmetic = device["peaks"]["copy"], device["peaks"]["multiply_add"]
        yield f"  copies up to {copy['most'] / 1e9:,.1f} GB/s, {_middle(copy)}"
        yield f"  multiplies and adds up to {arithmetic['most'] / 1e9:,.1f} GFLOP/s, {_middle(arithmetic)}"
    if device["limits"]:
        yield f"  {'limit':<16} {'have':>13} {'need':>11}  used for"
    for limit in device["limits"]:
        yield f"  {limit['name']:<16} {limit['have']:>13,} {limit['need']:>11,}  {limit['purpose']}"
    for feature in device["features"]:
        yield f"  {feature['name']:<16} {'yes' if feature['have'] else 'no':>13} {'':>11}  {feature['purpose']}"


def _middle(spread: Spread) -> str:
    return f"half of {spread['count']} runs {spread['low'] / 1e9:,.1f} to {spread['high'] / 1e9:,.1f}"


def _around(document: Doctor) -> Iterator[str]:
    for browser in document["browsers"]:
        yield f"  browser    {browser['name']} {browser['version'] or ''} at {browser['path']}".replace("  at", " at")
    if not document["browsers"]:
        yield "  browser    none found"
    site = document["site"]
    yield (
        f"  visualizer {size(site['bytes'])} at {site['path']}" if site["found"] else f"  visualizer not built: nothing at {site['path']}; no command needs it"
    )
    for cache in document["caches"]:
        yield f"  cache      {size(cache['bytes'])} of shaders in {cache['files']} files, {cache['name']}: {cache['path']}"
    yield f"  cache      plans: in memory while a process lives, {document['plans_kept']} at most"
    terminal = document["terminal"]
    what = "a terminal" if terminal["tty"] else "no terminal"
    yield f"  output     {what}, {terminal['columns']}x{terminal['lines']}, {terminal['encoding']}, {'in colour' if terminal['colour'] else 'without colour'}"
