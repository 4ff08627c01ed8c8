"""After the first visit the page opens without its host, and once the host is back it is never an old one."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from site_browser import READY, Host, serve

from e2e.conftest import STARTED, Watched

KEPT = """async () => {
  const found = [];
  for (const name of await caches.keys()) if (await (await caches.open(name)).match(new URL("manifest.json", location.href).href)) found.push(name);
  return found;
}"""


@pytest.fixture
def copy(site: Path, tmp_path: Path) -> Path:
    """A site of the test's own."""
    return shutil.copytree(site, tmp_path / "dist")


@pytest.fixture
def hosted(copy: Path) -> Iterator[Host]:
    """That site on a host that the test may end."""
    host = serve(copy)
    yield host
    host.stop()


def kept(page: Page) -> list[str]:
    """The version that is kept whole, once there is one and the page is served from it."""
    found: list[str] = []
    for _ in range(600):
        found = page.evaluate(KEPT)
        if len(found) == 1 and page.evaluate("navigator.serviceWorker.controller !== null"):
            return found
        page.wait_for_timeout(100)
    raise AssertionError(found)


def visit(context: BrowserContext, watched: Watched, url: str) -> Page:
    """Open the page, and wait until it stands."""
    page = watched.watch(context.new_page())
    page.goto(url)
    page.wait_for_selector(READY, timeout=STARTED)
    return page


def change(folder: Path, name: str, data: bytes) -> None:
    """Put another file into a site, and into its manifest."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_after_the_first_visit_the_page_needs_no_host(context: BrowserContext, watched: Watched, copy: Path) -> None:
    host = serve(copy)
    page = visit(context, watched, host.url)
    kept(page)
    host.stop()
    watched.allowed.append("ERR_CONNECTION_REFUSED")  # the browser says that the newest manifest could not be had
    page.reload()
    page.wait_for_selector(READY, timeout=STARTED)
    assert page.locator("#pipeline [role=tab]").count() == 6
    page.close()
    again = visit(context, watched, f"{host.url}index.html")
    assert again.locator("#pipeline [role=tab]").count() == 6


def test_a_new_version_is_seen_at_once_and_the_old_one_forgotten(context: BrowserContext, watched: Watched, copy: Path, hosted: Host) -> None:
    page = visit(context, watched, hosted.url)
    before = kept(page)
    text = (copy / "index.html").read_text(encoding="utf-8")
    change(copy, "index.html", text.replace("<title>", "<title>newer ").encode())
    page.reload()
    page.wait_for_selector(READY, timeout=STARTED)
    assert page.title().startswith("newer ")
    after = kept(page)
    assert len(after) == 1
    assert after != before


def test_a_host_in_the_middle_of_a_change_gives_the_whole_old_version(context: BrowserContext, watched: Watched, copy: Path, hosted: Host) -> None:
    page = visit(context, watched, hosted.url)
    before = kept(page)
    title = page.title()
    change(copy, "index.html", (copy / "index.html").read_bytes().replace(b"<title>", b"<title>newer "))
    (copy / "style" / "base.css").write_bytes(b"not what the manifest says")
    change(copy, "page/dom.js", b"broken")
    (copy / "page" / "dom.js").write_bytes(b"nor this")
    page.reload()
    page.wait_for_selector(READY, timeout=STARTED)
    assert page.title() == title
    assert kept(page) == before


def test_a_site_that_is_gone_is_forgotten(context: BrowserContext, watched: Watched, copy: Path, hosted: Host) -> None:
    page = visit(context, watched, hosted.url)
    kept(page)
    watched.allowed.append("404")
    (copy / "manifest.json").unlink()
    (copy / "index.html").write_text("<!doctype html><title>moved</title>", encoding="utf-8")
    page.goto(f"{hosted.url}?again")
    expect(page).to_have_title("moved", timeout=STARTED)
    assert page.evaluate(KEPT) == []
    page.goto(f"{hosted.url}?once-more")
    assert page.evaluate("navigator.serviceWorker.controller") is None
    assert page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)") == 0


def test_two_pages_that_meet_a_new_version_agree(context: BrowserContext, watched: Watched, copy: Path, hosted: Host) -> None:
    first, second = visit(context, watched, hosted.url), visit(context, watched, hosted.url)
    kept(first)
    change(copy, "index.html", (copy / "index.html").read_bytes().replace(b"<title>", b"<title>newer "))
    for page in (first, second):
        page.evaluate("setTimeout(() => location.reload(), 0)")
    for page in (first, second):
        expect(page).to_have_title(re.compile("^newer "), timeout=STARTED)
        page.wait_for_selector(READY, timeout=STARTED)
    assert len(kept(second)) == 1
