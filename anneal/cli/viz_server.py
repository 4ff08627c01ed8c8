"""The server of the visualizer's site: files of its manifest and the program to open with, on this machine, and nothing else.

A file is served only where the manifest names it, the page may load only what comes from here, and a request that means another host is
refused, so no page from elsewhere can read anything by way of a name that leads here. What a browser keeps, it asks about each time, by the
hash that the manifest has; only names with a hash of their own are kept without asking.

>>> media_type("page/main.js"), media_type("unknown")
('text/javascript; charset=utf-8', 'application/octet-stream')
"""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from anneal.errors import AnnealError, UsageError

PORT: Final = 8264
"""Taken where it is free: a browser keeps what it has loaded for one address."""
MANIFEST: Final = "manifest.json"
LAUNCH: Final = "launch.json"
INDEX: Final = "index.html"
POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""With every answer."""
_ASK: Final = "no-cache"
"""Kept, and asked about each time."""
_KEEP: Final = "public, max-age=31536000, immutable"
_HASHED: Final = re.compile(r"-[0-9a-f]{12,64}\.[a-z.]+$")
"""The end of a name that changes with the contents."""
_POLL: Final = 0.1
"""Seconds that the end of serving takes at most."""
_TEXT: Final = "; charset=utf-8"
_TYPES: Final[Mapping[str, str]] = {
    ".css": f"text/css{_TEXT}",
    ".html": f"text/html{_TEXT}",
    ".js": f"text/javascript{_TEXT}",
    ".json": "application/json",
    ".md": f"text/plain{_TEXT}",
    ".mjs": f"text/javascript{_TEXT}",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": f"text/plain{_TEXT}",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".zip": "application/zip",
}


def media_type(name: str) -> str:
    """The media type of a file, by the end of its name."""
    return _TYPES.get(os.path.splitext(name)[1], "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Site:
    """A site that is built: a folder with a manifest. Both may change while they are served, when the site is built anew."""

    root: Path

    def manifest(self) -> dict[str, Any]:
        """The manifest; raises AnnealError where there is none."""
        try:
            document = json.loads((self.root / MANIFEST).read_bytes())
            hashes = {str(name): str(entry["sha256"]) for name, entry in document["files"].items()}
            return {"source_hash": str(document["source_hash"]), "hashes": hashes}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise AnnealError(f"{self.root} holds no site, for its {MANIFEST} cannot be read ({error}): make it with python build_wasm.py") from error

    def hash_of(self, name: str) -> str | None:
        """The SHA-256 of a file that is part of the site; None for any other."""
        return hashlib.sha256(self.read(name)).hexdigest() if name == MANIFEST else self.manifest()["hashes"].get(name)

    def read(self, name: str) -> bytes:
        """What a file of the site holds; nothing where it is missing, or a link that leads out of the folder."""
        path = os.path.realpath(self.root / name)
        inside = path.startswith(f"{os.path.realpath(self.root)}{os.sep}")
        return Path(path).read_bytes() if inside and os.path.isfile(path) else b""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves a site at an address."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # there it would let two servers have one port
    request_queue_size = 64

    def __init__(self, site: Site, host: str, port: int | None, launch: Callable[[], object] | None) -> None:
        """`launch` gives what `launch.json` holds, each time that it is asked for. A port of None is the usual one, or any where that is taken.

        Raises UsageError for a host that is none of this machine's, AnnealError for a port that cannot be had.
        """
        self.site, self.launch = site, launch
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL,), name="anneal viz", daemon=True)
        self.address_family, address = _address(host)
        self.host = address
        self._listen([PORT, 0] if port is None else [port])
        self.port = int(self.server_address[1])
        self.names = self._names(host)

    def _listen(self, ports: list[int]) -> None:
        """Listen at the first of these ports that is free."""
        for port in ports:
            try:
                return super().__init__((self.host, port), Handler)
            except OSError as error:
                failure, taken = error, port
        if failure.errno == errno.EADDRNOTAVAIL:
            raise UsageError(f"{self.host} is no address of this machine: leave --host out, or choose an address that it has")
        reason = "something else listens there" if failure.errno == errno.EADDRINUSE else failure.strerror
        raise AnnealError(f"cannot listen at port {taken} of {self.host}: {reason}; leave --port out for a free one") from failure

    def _names(self, host: str) -> frozenset[str]:
        """What a request may call this server."""
        names = {host.strip("[]").lower(), self.host, "localhost", "127.0.0.1", "::1"}
        return frozenset(f"[{name}]" if ":" in name else name for name in names)

    @property
    def everywhere(self) -> bool:
        """True where other machines reach it."""
        return not ipaddress.ip_address(self.host.partition("%")[0]).is_loopback

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        anywhere = ipaddress.ip_address(self.host.partition("%")[0]).is_unspecified
        host = "127.0.0.1" if anywhere else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def knows(self, host: str) -> bool:
        """True where a request's Host means this server: a name that it was told, or, listening everywhere, any address as a number."""
        name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "80")
        return port == str(self.port) and (name.lower() in self.names or (self.everywhere and _is_number(name)))

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a browser that goes away in the middle is no failure."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def start(self) -> None:
        """Answer requests from now on, in threads of their own."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; the port is free then."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Inside, requests are answered."""
        self.start()
        try:
            yield
        finally:
            self.stop()


def _address(host: str) -> tuple[socket.AddressFamily, str]:
    """The family and the number of a host's address."""
    try:
        family, *_, place = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"no host {host!r}: leave --host out for this machine alone, or give one of its addresses") from error
    return family, str(place[0])


def _is_number(name: str) -> bool:
    """True for an IP address."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes, and the second would wait for the first's receipt
    timeout = 60
    """Seconds that a connection may be silent."""
    server: Server

    def do_GET(self) -> None:
        """Answer with the file."""
        self._answer()

    do_HEAD = do_GET  # noqa: N815 - the base class has it so

    def _answer(self) -> None:
        try:
            self._file()
        except (AnnealError, OSError) as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    def _file(self) -> None:
        path, _, _ = self.path.partition("?")
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not path.startswith("/"):
            return self.send_error(HTTPStatus.BAD_REQUEST, "a request has a path that begins with / and names one host")
        if not self.server.knows(hosts[0]):
            return self.send_error(HTTPStatus.MISDIRECTED_REQUEST, f"this is no server of that host: open {self.server.url}")
        if {"Content-Length", "Transfer-Encoding"} & set(self.headers):
            self.close_connection = True  # what follows is the body, which nobody reads
        name = unquote(path[1:]) or INDEX
        if name == LAUNCH and self.server.launch is not None:
            return self._send(HTTPStatus.OK, json.dumps(self.server.launch()).encode(), {"Content-Type": media_type(name), "Cache-Control": "no-store"})
        for _ in range(2):  # a new site may take the old one's place between the two looks
            known = self.server.site.hash_of(name)
            if known is None:
                return self.send_error(HTTPStatus.NOT_FOUND, "the site has no such file")
            tags = {"ETag": f'"{known}"', "Cache-Control": _KEEP if _HASHED.search(name) else _ASK}
            asked = re.findall(r'"([^"]*)"|(\*)', self.headers.get("If-None-Match", ""))
            if any(tag == known or star for tag, star in asked):
                return self._send(HTTPStatus.NOT_MODIFIED, b"", tags)
            data = self.server.site.read(name)
            if hashlib.sha256(data).hexdigest() == known:
                return self._send(HTTPStatus.OK, data, {"Content-Type": media_type(name), **tags})
        return self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, f"{name} is not what {MANIFEST} says: make the site anew with python build_wasm.py")

    def _send(self, code: int, body: bytes, more: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in {**HEADERS, **more}.items():
            self.send_header(name, value)
        if code != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self) -> None:
        """Any other method."""
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "this site is read with GET and HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with a line of text, and end the connection: what else it holds may be no request."""
        self.close_connection = True
        allow = {"Allow": "GET, HEAD"} if code == HTTPStatus.METHOD_NOT_ALLOWED else {}
        text = f"{int(code)} {HTTPStatus(code).phrase}: {message or explain or ''}\n".encode("utf-8", "replace")
        self._send(code, text, {"Content-Type": media_type(".txt"), "Cache-Control": "no-store", "Connection": "close", **allow})

    def version_string(self) -> str:
        """What serves, without its version."""
        return "anneal"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it so
        """Nothing: the terminal is the user's."""


def open_page(address: str) -> bool:
    """Open an address in a browser; False where there is none. One that would run in this terminal finds no terminal."""
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    command = [sys.executable, "-m", "webbrowser", address]
    nothing = subprocess.DEVNULL
    options = {"stdin": nothing, "stdout": nothing, "stderr": nothing, "start_new_session": True, "check": False}
    threading.Thread(target=subprocess.run, args=(command,), kwargs=options, daemon=True).start()
    return True
