"""How big the site is, and what of it a first visit loads."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

LIMIT: Final = 8_000_000
"""Bytes that a first visit may load, compressed."""
LATER: Final = frozenset({"preview.png", "service-worker.js", "manifest.webmanifest"})
ON_DEMAND: Final = "after it, or for links"


def compressed(path: Path) -> int:
    """The bytes of a file as a host sends it."""
    return len(gzip.compress(path.read_bytes(), 9))


def parts(folder: Path, manifest: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Bytes and compressed bytes of each part of the site."""
    sums: dict[str, tuple[int, int]] = {}
    for name, entry in manifest["files"].items():
        part = _part(name, manifest)
        plain, packed = sums.get(part, (0, 0))
        sums[part] = (plain + entry["bytes"], packed + compressed(folder / name))
    return sums


def _part(name: str, manifest: dict[str, Any]) -> str:
    if name in manifest["archives"]:
        return "the package"
    if name == manifest["stdlib"]:
        return "Python's standard library"
    if name in LATER:
        return ON_DEMAND
    return {"pyodide": "Python (Pyodide)", "pyscript": "the editor"}.get(name.partition("/")[0], "the page")


def first_visit(found: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Bytes and compressed bytes that the first graph waits for, of a site with these parts."""
    waited = [sizes for part, sizes in found.items() if part != ON_DEMAND]
    return sum(plain for plain, _ in waited), sum(packed for _, packed in waited)


def table(found: dict[str, tuple[int, int]]) -> str:
    """The sizes of the parts as text."""
    rows = [*sorted(found.items(), key=lambda item: (item[0] == ON_DEMAND, -item[1][1])), ("until the first graph", first_visit(found))]
    return "\n".join([f"{'':28}{'bytes':>12}{'compressed':>12}", *(f"{part:28}{plain:>12,}{packed:>12,}" for part, (plain, packed) in rows)])
