"""Builds the visualizer's site: this package, the Python that runs in a browser tab, and the page, as files that any host can serve.

    python build_wasm.py            build viz/dist; quick where little changed
    python build_wasm.py --check    is viz/dist what these sources give? 0 yes, 1 no
    python build_wasm.py --json     say what was built as one JSON document

Everything in it comes from the tree and from npm packages that viz/package-lock.json pins; what is built needs no network. The same sources
give the same files. A build that fails leaves the site as it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

from site_build import build, freshness  # noqa: E402 - found in tools/ only now
from site_files import SiteError  # noqa: E402
from site_report import parts, table  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="build_wasm.py", description="Builds the visualizer's site into viz/dist.")
    parser.add_argument("--check", action="store_true", help="build nothing; exit 1 when the site is missing or stale")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--force", action="store_true", help="build even where nothing changed")
    chosen = parser.parse_args(arguments)
    try:
        stale = freshness(ROOT)
        if chosen.check or (stale is None and not chosen.force):
            return _tell_state(stale, as_json=chosen.json, check=chosen.check)
        manifest = build(ROOT, force=chosen.force)
    except (SiteError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sizes = parts(ROOT / "viz" / "dist", manifest)
    told = {part: {"bytes": plain, "compressed": packed} for part, (plain, packed) in sizes.items()}
    _print({**manifest, "sizes": told}, table(sizes), as_json=chosen.json)
    return 0


def _tell_state(stale: str | None, *, as_json: bool, check: bool) -> int:
    if stale is not None:
        print(f"error: {stale}: run python build_wasm.py", file=sys.stderr)
    _print({"fresh": stale is None, "reason": stale}, "viz/dist is fresh" if stale is None else "", as_json=as_json)
    return int(check and stale is not None)


def _print(document: Any, text: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document, indent=2, sort_keys=True))
    elif text:
        print(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
