"""The site in the system's Chromium: where the browser is, how it is started, and a plain static host. For tests, pictures and measurements."""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

CHROMIUM: Final = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET: Final = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
GPU: Final = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
READY: Final = "body[data-state='ready']"
"""What the page is when it waits for the user, with a program on the screen."""


class Static(SimpleHTTPRequestHandler):
    """A plain static host, which sets no headers of its own and prints nothing."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A browser that goes away in the middle of a file is no error."""


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
    server = _Server(("127.0.0.1", 0), functools.partial(Static, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    return Host(server, thread)
