"""The server of the site: headers, caching, and everything that it refuses, by requests as they stand on the wire."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path

import pytest
from viz_site import build

from anneal.cli.viz_server import Server, Site, media_type
from anneal.errors import AnnealError

FILES = {
    "index.html": b"<!doctype html>",
    "page/main.js": b"export {};",
    "pyodide/python.wasm": b"\0asm" + bytes(300_000),
    "anneal-0123456789abcdef.zip": b"PK",
    "a b/é.txt": b"odd",
}
SECRET = b"for nobody"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_bytes(SECRET)
    site = build(tmp_path / "site", FILES)
    (site / "unlisted.js").write_bytes(SECRET)
    return site


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    made = Server(Site(root), "127.0.0.1", 0, lambda: {"name": "mlp"})
    with made.serving():
        yield made


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: HTTPMessage, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> Answer:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, answer.msg, answer.read())


def wire(server: Server, text: bytes) -> bytes:
    """All that comes back for some bytes, until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(text)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


def get(path: bytes, host: bytes, more: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + more + b"Connection: close\r\n\r\n"


def here(server: Server) -> bytes:
    return f"127.0.0.1:{server.port}".encode()


def test_a_file_is_what_the_manifest_says_with_every_header(server: Server) -> None:
    answer = ask(server, "/pyodide/python.wasm?v=1")
    assert (answer.status, answer.body) == (200, FILES["pyodide/python.wasm"])
    assert {name: value for name, value in answer.headers.items() if name != "Date"} == {
        "Server": "anneal",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; style-src 'self'; "
        "img-src 'self' data: blob:; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Type": "application/wasm",
        "Content-Length": "300004",
        "ETag": f'"{hashlib.sha256(FILES["pyodide/python.wasm"]).hexdigest()}"',
        "Cache-Control": "no-cache",
    }


def test_every_listed_file_the_index_and_the_manifest_are_served(server: Server, root: Path) -> None:
    assert ask(server, "/").body == FILES["index.html"]
    assert ask(server, "/index.html").body == FILES["index.html"]
    assert ask(server, "/page/main.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert ask(server, "/anneal-0123456789abcdef.zip").headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert ask(server, "/manifest.json").body == (root / "manifest.json").read_bytes()
    assert ask(server, "/a%20b/%C3%A9.txt").body == b"odd"


def test_the_program_is_never_kept(server: Server) -> None:
    answer = ask(server, "/launch.json?1")
    assert (answer.status, json.loads(answer.body), answer.headers["Cache-Control"]) == (200, {"name": "mlp"}, "no-store")
    assert answer.headers["Content-Type"] == "application/json"


def test_head_says_what_get_would(server: Server) -> None:
    for path in ("/", "/launch.json", "/page/main.js", "/nothing"):
        full, head = ask(server, path), ask(server, path, "HEAD")
        assert head.body == b""
        assert (head.status, sorted(head.headers.keys())) == (full.status, sorted(full.headers.keys()))
        assert head.headers["Content-Length"] == str(len(full.body))


@pytest.mark.parametrize("form", ["{}", '"x", {}', "W/{}", "*", '"x",W/{},"y"'])
def test_what_the_browser_has_is_not_sent_again(server: Server, form: str) -> None:
    tag = ask(server, "/page/main.js").headers["ETag"]
    answer = ask(server, "/page/main.js", If_None_Match=form.format(tag))
    assert (answer.status, answer.body, answer.headers["ETag"], answer.headers["Content-Length"]) == (304, b"", tag, None)
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


def test_another_version_is_sent(server: Server) -> None:
    for old in ('"x"', "", '"', "x", ask(server, "/").headers["ETag"]):
        assert ask(server, "/page/main.js", If_None_Match=old).status == 200


def test_a_site_that_is_built_anew_is_served_anew(server: Server, root: Path) -> None:
    tag = ask(server, "/page/main.js").headers["ETag"]
    build(root, {**FILES, "page/main.js": b"export const a = 1;"})
    answer = ask(server, "/page/main.js", If_None_Match=tag)
    assert (answer.status, answer.body) == (200, b"export const a = 1;")


def test_a_file_that_was_changed_by_hand_is_not_served(server: Server, root: Path) -> None:
    (root / "page" / "main.js").write_bytes(SECRET)
    answer = ask(server, "/page/main.js")
    assert answer.status == 500
    assert b"page/main.js is not what manifest.json says" in answer.body
    (root / "page" / "main.js").unlink()
    assert ask(server, "/page/main.js").status == 500
    (root / "manifest.json").unlink()
    assert b"holds no site" in ask(server, "/").body


@pytest.mark.parametrize(
    "path",
    [
        b"/../secret.txt",
        b"/page/../../secret.txt",
        b"/%2e%2e/secret.txt",
        b"/%2e%2e%2fsecret.txt",
        b"/..%5csecret.txt",
        b"/..\\secret.txt",
        b"//etc/passwd",
        b"/%2fetc/passwd",
        b"/index.html%00",
        b"/index.html%00.js",
        b"/page",
        b"/page/",
        b"/page//main.js",
        b"/page/./main.js",
        b"/unlisted.js",
        b"/INDEX.HTML",
        b"/index.html/",
        b"/index.html%20",
        b"/%ff%fe",
        b"/%",
        b"/%zz",
        b"/~root",
        b"/.",
        b"/..",
        b"/C:/secret.txt",
        b"/file:///etc/passwd",
        b"/launch.json/",
        b"/" + b"a" * 60_000,
    ],
)
def test_paths_that_are_no_files_of_the_site(server: Server, path: bytes) -> None:
    answer = wire(server, get(path, here(server)))
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert SECRET not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize("path", [b"http://127.0.0.1/index.html", b"index.html", b"*", b"?x", b"#x"])
def test_paths_that_are_none(server: Server, path: bytes) -> None:
    assert wire(server, get(path, here(server))).startswith(b"HTTP/1.1 400 ")


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators there")
def test_links_that_lead_out_are_not_followed(server: Server, root: Path) -> None:
    os.symlink(root.parent, root / "out")
    os.symlink(root.parent / "secret.txt", root / "link.txt")
    listed = {name: {"sha256": hashlib.sha256(SECRET).hexdigest()} for name in ("out/secret.txt", "link.txt", "../secret.txt")}
    (root / "manifest.json").write_text(json.dumps({"source_hash": "", "files": listed}))
    for name in listed:
        answer = wire(server, get(f"/{name}".encode(), here(server)))
        assert answer.startswith(b"HTTP/1.1 500 "), name
        assert SECRET not in answer


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_hosts_that_mean_this_server(server: Server, name: str) -> None:
    assert ask(server, "/", Host=f"{name}:{server.port}").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{}",
        "127.0.0.1",
        "localhost:80",
        "localhost:{}0",
        "127.0.0.1.evil.example:{}",
        "localhost.:{}",
        "10.0.0.1:{}",
        "",
        ":{}",
        "[::1]",
        "a@localhost:{}",
    ],
)
def test_hosts_that_mean_another_are_refused(server: Server, host: str) -> None:
    for path in ("/", "/launch.json", "/nothing"):
        answer = wire(server, get(path.encode(), host.format(server.port).encode()))
        assert answer.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
        assert b"mlp" not in answer


def test_exactly_one_host_is_named(server: Server) -> None:
    line = b"Host: " + here(server) + b"\r\n"
    assert wire(server, get(b"/", here(server), line)).startswith(b"HTTP/1.1 400 ")
    assert wire(server, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert wire(server, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_listening_everywhere_addresses_are_let_in_and_names_are_not(root: Path) -> None:
    server = Server(Site(root), "0.0.0.0", 0, None)
    with server.serving():
        assert server.everywhere
        assert ask(server, "/", Host=f"192.168.1.7:{server.port}").status == 200
        assert ask(server, "/", Host=f"[fe80::1]:{server.port}").status == 200
        assert ask(server, "/", Host=f"evil.example:{server.port}").status == 421
        assert ask(server, "/launch.json").status == 404


def test_version_6_of_the_protocol(root: Path) -> None:
    for host in ("::1", "[::1]"):
        server = Server(Site(root), host, 0, None)
        with server.serving(), closing(HTTPConnection("::1", server.port, timeout=30)) as connection:
            assert server.url == f"http://[::1]:{server.port}/"
            assert not server.everywhere
            connection.request("GET", "/")
            assert connection.getresponse().read() == FILES["index.html"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_nothing_can_be_written(server: Server, method: str) -> None:
    answer = ask(server, "/", method)
    assert (answer.status, answer.headers["Allow"], answer.headers["Connection"]) == (405, "GET, HEAD", "close")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / HTTP/x\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"\x16\x03\x01 / \xff\xfe\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
    ],
)
def test_what_is_no_request_gets_an_answer_in_words_and_no_more(server: Server, text: bytes, code: bytes) -> None:
    answer = wire(server, text)
    assert code in answer.split(b"\r\n", 1)[0] or answer.startswith(code)
    assert answer.count(code) >= 1
    assert b"Traceback" not in answer
    assert ask(server, "/").status == 200


def test_a_body_is_not_taken_for_the_next_request(server: Server) -> None:
    smuggled = get(b"/launch.json", here(server))
    answer = wire(server, b"GET / HTTP/1.1\r\nHost: " + here(server) + b"\r\nContent-Length: " + str(len(smuggled)).encode() + b"\r\n\r\n" + smuggled)
    assert answer.count(b"HTTP/1.1 ") == 1


def test_one_connection_serves_many_requests(server: Server) -> None:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.connect()
        socket_of = connection.sock
        for path in ("/", "/page/main.js", "/pyodide/python.wasm", "/launch.json"):
            connection.request("GET", path)
            assert connection.getresponse().read()
        assert connection.sock is socket_of


def test_browsers_that_go_away_are_no_failure(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # the end of the connection is a reset
            connection.sendall(get(b"/pyodide/python.wasm", here(server)))
    assert ask(server, "/").status == 200
    assert capfd.readouterr() == ("", "")


def test_a_program_that_is_gone_is_told(root: Path) -> None:
    def gone() -> object:
        raise AnnealError("no file 'mine.py'")

    server = Server(Site(root), "127.0.0.1", 0, gone)
    with server.serving():
        answer = ask(server, "/launch.json")
        assert (answer.status, answer.body) == (500, b"500 Internal Server Error: no file 'mine.py'\n")


def test_the_usual_port_is_taken_where_it_is_free_and_any_else(root: Path) -> None:
    with Server(Site(root), "127.0.0.1", None, None) as first, Server(Site(root), "127.0.0.1", None, None) as second:
        assert first.port != second.port


def test_media_types_are_those_that_browsers_insist_on() -> None:
    assert media_type("a.wasm") == "application/wasm"
    assert media_type("a/b.mjs").startswith("text/javascript")
    assert media_type("a.zip.exe") == "application/octet-stream"
