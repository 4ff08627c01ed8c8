"""How big the site is, and what of it a first visit loads."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

LIMIT: Final = 8_000_000
"""Bytes that a first visit may load, compressed."""


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
    return {"pyodide": "Python (Pyodide)", "pyscript": "the editor"}.get(name.partition("/")[0], "the page")


def table(folder: Path, manifest: dict[str, Any]) -> str:
    """The sizes as text."""
    found = parts(folder, manifest)
    lines = [f"{'':28}{'bytes':>12}{'compressed':>12}"]
    lines += [f"{part:28}{plain:>12,}{packed:>12,}" for part, (plain, packed) in sorted(found.items(), key=lambda item: -item[1][1])]
    total = (sum(plain for plain, _ in found.values()), sum(packed for _, packed in found.values()))
    lines.append(f"{'all':28}{total[0]:>12,}{total[1]:>12,}")
    return "\n".join(lines)
