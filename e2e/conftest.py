"""The page in a real browser: the built site on two hosts, Chromium with a software GPU, and what every test insists on.

Every page that a test opens must print no error and ask for nothing beyond its origin, unless the test says what it expects.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, sync_playwright

ROOT: Final = Path(__file__).resolve().parent.parent
DIST: Final = ROOT / "viz" / "dist"
ARTIFACTS: Final = ROOT / "e2e" / "artifacts"
CHROMIUM: Final = "/usr/bin/chromium"
QUIET: Final = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
GPU: Final = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
STARTED: Final = 60_000
"""Milliseconds that starting Python and opening a program may take on a busy machine."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the tree as it is, in a folder of this run's own, so that a build beside it disturbs nothing."""
    built = subprocess.run([sys.executable, str(ROOT / "build_wasm.py")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"{built.stdout}{built.stderr}"
    return shutil.copytree(DIST, tmp_path_factory.mktemp("site") / "dist")


class Static(SimpleHTTPRequestHandler):
    """A plain static host, which sets no headers of its own."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


@dataclass
class Host:
    """A server on this machine."""

    server: ThreadingHTTPServer
    thread: threading.Thread

    @property
    def url(self) -> str:
        """Its address, ending in a slash."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def stop(self) -> None:
        """End it; asking it then is refused."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def serve(folder: Path) -> Host:
    """A plain static host for a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Static, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    return Host(server, thread)


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
        if message.type in ("error", "warning"):
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


Open = Callable[..., Page]


@pytest.fixture
def open_page(context: BrowserContext, host: Host, watched: Watched) -> Open:
    """Opens the page with a hash such as `example=mlp`, and waits until a program stands there."""

    def opened(fragment: str = "", *, url: str | None = None, wait: bool = True) -> Page:
        page = watched.watch(context.new_page())
        page.goto((url or host.url) + (f"#{fragment}" if fragment else ""))
        if wait:
            page.wait_for_selector("body[data-state='ready'], body[data-state='failed']", timeout=STARTED)
        return page

    return opened


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """Keeps a picture of a page among the artefacts."""

    def kept(page: Page, name: str) -> None:
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(ARTIFACTS / f"{name}.png"))

    return kept
