"""The page in a real browser: the built site on two hosts, Chromium with a software GPU, and what every test insists on.

Every page that a test opens must print no error and ask for nothing beyond its origin, unless the test says what it expects.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, sync_playwright
from site_browser import CHROMIUM, GPU, QUIET, READY, Host, serve

ROOT: Final = Path(__file__).resolve().parent.parent
DIST: Final = ROOT / "viz" / "dist"
ARTIFACTS: Final = ROOT / "e2e" / "artifacts"
STARTED: Final = 60_000
"""Milliseconds that starting Python and opening a program may take on a busy machine."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the tree as it is, in a folder of this run's own, so that a build beside it disturbs nothing."""
    built = subprocess.run([sys.executable, str(ROOT / "build_wasm.py")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"{built.stdout}{built.stderr}"
    return shutil.copytree(DIST, tmp_path_factory.mktemp("site") / "dist")


@pytest.fixture(scope="session")
def host(site: Path) -> Iterator[Host]:
    """The site on a plain static host without special headers."""
    running = serve(site)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright, once a process."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium with WebGPU on SwiftShader."""
    running = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *GPU])
    yield running
    running.close()


@pytest.fixture(scope="session")
def browser_without_gpu(playwright: Playwright) -> Iterator[Browser]:
    """The same browser with WebGPU switched off."""
    running = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, "--disable-gpu", "--disable-features=WebGPU,WebGPUService"])
    yield running
    running.close()


@dataclass
class Watched:
    """What the pages of a test print and ask for."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    """Parts of errors that the test expects."""

    def watch(self, page: Page) -> Page:
        """Listen to a page."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("request", self._asked)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "Service Worker registration blocked" not in message.text:
            self.errors.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def check(self) -> None:
        """Raise for anything that was not expected."""
        unexpected = [e for e in self.errors if not any(part in e for part in self.allowed)]
        assert unexpected == []
        beyond = [u for u in self.requests if not u.startswith(("http://127.0.0.1:", "data:", "blob:"))]
        assert beyond == []


@pytest.fixture
def watched() -> Iterator[Watched]:
    """What this test's pages say; checked at its end."""
    told = Watched()
    yield told
    told.check()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own, 1280 wide."""
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    yield made
    made.close()


@pytest.fixture(scope="session")
def profile(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A browser profile that most tests share, so that it knows Python's machine code from the last test. Of what pages keep it keeps nothing.

    It has no service workers, which would live on, page by page.
    """
    made = playwright.chromium.launch_persistent_context(
        str(tmp_path_factory.mktemp("profile")),
        executable_path=CHROMIUM,
        args=[*QUIET, *GPU],
        viewport={"width": 1280, "height": 800},
        service_workers="block",
    )
    yield made
    made.close()


def forget(page: Page, url: str) -> None:
    """Close a page; the profile forgets all that the site has kept, as if nobody had been there."""
    kept = "cookies,local_storage,indexeddb,cache_storage"
    page.context.new_cdp_session(page).send("Storage.clearDataForOrigin", {"origin": url.rstrip("/"), "storageTypes": kept})
    page.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(request: pytest.FixtureRequest, host: Host, watched: Watched) -> Iterator[Open]:
    """Opens the page with a hash such as `example=mlp`, and waits until a program stands there.

    It is in the test's own `context` if the test has one, else in the profile that tests share.
    """
    shared = "context" not in request.fixturenames
    context: BrowserContext = request.getfixturevalue("profile" if shared else "context")
    pages: list[Page] = []

    def opened(fragment: str = "", *, url: str | None = None, wait: bool = True) -> Page:
        page = watched.watch(context.new_page())
        pages.append(page)
        page.goto((url or host.url) + (f"#{fragment}" if fragment else ""))
        if wait:
            page.wait_for_selector(f"{READY}, body[data-state='failed']", timeout=STARTED)
        return page

    yield opened
    for page in pages if shared else ():
        if not page.is_closed():
            forget(page, host.url)


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """Keeps a picture of a page among the artefacts."""

    def kept(page: Page, name: str) -> None:
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(ARTIFACTS / f"{name}.png"))

    return kept
