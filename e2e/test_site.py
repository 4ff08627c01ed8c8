"""The site as a host has it: whole, as its manifest says, and enough for the page on a host that sets no headers."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page
from site_browser import READY, Host, serve

from e2e.conftest import ROOT, STARTED, Open, Watched


@pytest.fixture
def told(site: Path) -> dict[str, Any]:
    """The manifest."""
    return dict(json.loads((site / "manifest.json").read_text(encoding="utf-8")))


def test_every_file_is_served_as_the_manifest_says(host: Host, told: dict[str, Any]) -> None:
    assert len(told["files"]) > 40
    for name, entry in told["files"].items():
        with urllib.request.urlopen(f"{host.url}{name}") as answer:
            data = answer.read()
        assert (name, len(data), hashlib.sha256(data).hexdigest()) == (name, entry["bytes"], entry["sha256"])


def test_nothing_is_there_that_the_manifest_does_not_name(site: Path, told: dict[str, Any]) -> None:
    there = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert there == {*told["files"], "manifest.json"}


def loaded(page: Page, host: Host, watched: Watched) -> set[str]:
    """Names of the files that a page and its workers asked for."""
    page.wait_for_selector(READY, timeout=STARTED)
    return {urlsplit(url).path.lstrip("/") or "index.html" for url in watched.requests if url.startswith(host.url)}


def test_a_first_visit_asks_only_for_what_is_there_and_for_little(open_page: Open, host: Host, site: Path, told: dict[str, Any], watched: Watched) -> None:
    asked = loaded(open_page(), host, watched)
    assert asked <= {*told["files"], "manifest.json"}
    assert {"index.html", "worker.js", told["pyodide"], told["stdlib"], *told["archives"]} <= asked
    compressed = sum(len(gzip.compress((site / name).read_bytes(), 9)) for name in asked)
    assert 5_000_000 < compressed <= 8_000_000


def test_the_site_works_below_a_path(site: Path, context: BrowserContext, watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "where").symlink_to(site)
    host = serve(tmp_path)
    try:
        page = watched.watch(context.new_page())
        page.goto(f"{host.url}some/where/")
        page.wait_for_selector(READY, timeout=STARTED)
        assert page.locator("#pipeline [role=tab]").count() == 6
        outside = [url for url in watched.requests if not url.startswith((f"{host.url}some/where/", "blob:", "data:"))]
        assert outside == []
    finally:
        host.stop()


def test_the_editor_is_the_one_that_pyscript_ships(open_page: Open) -> None:
    page = open_page()
    assert page.locator("#program .cm-editor").count() == 1
    listing = "Object.fromEntries(Object.entries(all).map(([name, part]) => [name, Object.keys(part)]))"
    names = page.evaluate(f"async () => {{ const all = await import('./pyscript/codemirror.js'); return {listing}; }}")
    for part, name in {
        "core": "basicSetup",
        "view": "keymap",
        "state": "EditorState",
        "language": "HighlightStyle",
        "python": "python",
        "commands": "history",
    }.items():
        assert name in names[part]


def test_the_command_says_that_the_site_is_fresh(site: Path) -> None:
    assert (site / "index.html").is_file()
    done = subprocess.run([sys.executable, str(ROOT / "build_wasm.py"), "--check", "--json"], capture_output=True, text=True, check=False)
    assert set(json.loads(done.stdout)) == {"fresh", "reason"}
    assert done.returncode == int(not json.loads(done.stdout)["fresh"])
