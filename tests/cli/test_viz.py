"""`anneal viz` as a user meets it: what it says, how it ends, what it refuses, and the program that it hands over."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from viz_site import build

from anneal.cli import viz
from anneal.cli.main import parser_of
from anneal.errors import AnnealError, UsageError
from anneal.export.schema.check import check
from anneal.export.schema.viz import Launch, Viz

Run = Callable[..., Any]
Start = Callable[..., "Served"]


class Served:
    """A visualizer that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, f"it ended: {process.communicate()}"
            text += line
        self.document = json.loads(text)

    def get(self, path: str) -> tuple[int, bytes]:
        with closing(HTTPConnection("127.0.0.1", self.document["port"], timeout=30)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return build(tmp_path / "site", {"index.html": b"<!doctype html><title>a site</title>"})


@pytest.fixture
def serve(spawn: Callable[..., subprocess.Popen[str]], site: Path) -> Iterator[Start]:
    """Start `anneal viz` on a small site; what still runs at the end of the test is ended."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> Served:
        process = spawn("viz", *arguments, "--site", site, "--no-open", "--json")
        running.append(process)
        return Served(process)

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_it_says_where_it_serves_and_ends_with_ctrl_c(serve: Start, site: Path) -> None:
    served = serve("mlp", "--step")
    document = served.document
    check(document, Viz)
    assert document == {
        "schema": "anneal.viz",
        "version": 1,
        "url": f"http://127.0.0.1:{document['port']}/?launch=1",
        "host": "127.0.0.1",
        "port": document["port"],
        "site": str(site),
        "source_hash": "0" * 64,
        "model": "mlp",
        "part": "step",
        "opened": False,
    }
    assert served.get("/?launch=1") == (200, b"<!doctype html><title>a site</title>")
    status, body = served.get("/launch.json")
    check(json.loads(body), Launch)
    assert (status, json.loads(body)) == (200, {"name": "mlp", "example": "mlp", "source": None, "part": "step", "files": {}})
    assert served.end() == (0, "", "anneal: Ctrl-C ends it\n")
    with pytest.raises(ConnectionRefusedError):
        served.get("/")


def test_sigterm_and_a_second_ctrl_c_are_quiet_too(serve: Start) -> None:
    served = serve()
    with closing(HTTPConnection("127.0.0.1", served.document["port"], timeout=30)) as connection:
        connection.request("GET", "/")  # and the connection stays open
        assert connection.getresponse().read()
        assert served.end(signal.SIGTERM) == (0, "", "anneal: Ctrl-C ends it\n")
    served = serve()
    for _ in range(20):
        served.process.send_signal(signal.SIGINT)
    assert served.end() == (0, "", "anneal: Ctrl-C ends it\n")


def test_without_a_model_the_page_is_not_told_what_to_open(serve: Start) -> None:
    served = serve()
    assert served.document["url"].endswith(f":{served.document['port']}/")
    assert served.document["model"] is None
    assert served.get("/launch.json")[0] == 404


def test_two_at_once_have_a_port_each(serve: Start) -> None:
    first, second = serve("mlp"), serve("conv")
    assert first.document["port"] != second.document["port"]
    assert [json.loads(s.get("/launch.json")[1])["name"] for s in (first, second)] == ["mlp", "conv"]


def test_a_port_of_choice_may_be_had_again_at_once_but_not_twice(serve: Start, anneal: Run, site: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first = serve("--port", port)
    assert first.document["port"] == port
    refused = anneal("viz", "--port", port, "--site", site, "--no-open")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == f"anneal: error: cannot listen at port {port} of 127.0.0.1: something else listens there; leave --port out for a free one\n"
    assert first.get("/")[0] == 200
    first.end()
    assert serve("--port", port).document["port"] == port


def test_other_machines_are_let_in_with_a_warning_only(serve: Start) -> None:
    served = serve("--host", "0.0.0.0", "--port", 0)
    assert served.document["url"] == f"http://127.0.0.1:{served.document['port']}/"
    assert served.get("/")[0] == 200
    code, _, err = served.end()
    assert code == 0
    assert err.startswith("anneal: warning: other machines can read the site")


def test_in_words(spawn: Callable[..., subprocess.Popen[str]], site: Path) -> None:
    process = spawn("viz", "conv", "--site", site, "--no-open")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("conv is at http://127.0.0.1:")
    assert line.endswith("/?launch=1\n")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "anneal: Ctrl-C ends it\n")
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="browsers are commands elsewhere")
def test_the_browser_gets_the_address_and_not_the_terminal(site: Path, tmp_path: Path) -> None:
    told, browser = tmp_path / "told", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho noise; echo noise >&2; printf %s "$1" > {told}.new; mv {told}.new {told}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "anneal", "viz", "mlp", "--site", str(site), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(viz.ROOT), "BROWSER": f"{browser} %s"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    served = Served(process)
    assert served.document["opened"] is True
    while not told.exists():
        assert process.poll() is None
    assert told.read_text() == served.document["url"]
    assert served.end() == (0, "", "anneal: Ctrl-C ends it\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mpl"], "no model 'mpl': did you mean 'mlp'?"),
        (["nowhere.py:small"], "no file 'nowhere.py'"),
        (["mine.py:smal"], "no function 'smal' in mine.py: did you mean 'small'?"),
        (["mine.py"], "say which function of mine.py, as mine.py:small"),
        (["mine.py:_hidden"], "no function '_hidden' in mine.py"),
        (["--step"], "say of which model"),
        (["--batch", "3"], "say of which model"),
        (["mlp", "--step", "--backward"], "not allowed with argument"),
        (["mlp", "--batch", "0"], "0 is not a whole number from 1 on"),
        (["--port", "65536"], "65536 is no port"),
        (["--port", "-1"], "-1 is no port"),
        (["--port", "http"], "http is no port"),
        (["--host", "no.such.host.invalid"], "no host 'no.such.host.invalid'"),
        (["--host", ""], "no host ''"),
        (["--host", "a" * 300], "no host 'aaa"),
        (["--host", "203.0.113.7"], "203.0.113.7 is no address of this machine"),
        (["--site", "."], ". is no site: it has no manifest.json"),
        (["mlp", "conv"], "unrecognized arguments: conv"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_served(anneal: Run, file: Callable[[str], Path], site: Path, words: list[str], said: str) -> None:
    file("def small(): return 1\n\ndef _hidden(): return 1\n")
    done = anneal("viz", *words, "--no-open", *([] if "--site" in words else ["--site", site]))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("anneal: error: ")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_site_that_is_broken_is_told(anneal: Run, tmp_path: Path) -> None:
    for text in ("", "{}", "[]", '{"files": {"a": 1}, "source_hash": ""}'):
        (tmp_path / "manifest.json").write_text(text)
        done = anneal("viz", "--site", tmp_path, "--no-open")
        assert (done.code, done.out) == (1, "")
        assert "holds no site" in done.err
        assert done.err.count("\n") == 1


def test_the_help_fits_a_screen() -> None:
    lines = parser_of("viz").format_help().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_the_verb_is_light(anneal: Run) -> None:
    script = "import sys; import anneal.cli.viz; print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'wgpu', 'textual', 'cffi'}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(viz.ROOT)})
    assert done.stdout == "[]\n"


class Tree:
    """A source tree with a builder of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def builder(self, *, fresh: bool, works: bool = True) -> None:
        (self.root / "build_wasm.py").write_text(
            "import pathlib, sys\n"
            "here = pathlib.Path(__file__).parent\n"
            "(here / 'calls').open('a').write(' '.join(sys.argv[1:]) + ';')\n"
            "print('noise')\n"
            f"if '--check' in sys.argv: sys.exit({0 if fresh else 1})\n"
            f"if not {works}: sys.exit('the network is gone')\n"
            "(here / 'viz/dist').mkdir(parents=True, exist_ok=True)\n"
            '(here / \'viz/dist/manifest.json\').write_text(\'{"files": {}, "source_hash": "built"}\')\n'
        )

    @property
    def calls(self) -> str:
        path = self.root / "calls"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(viz, "ROOT", tmp_path)
    return Tree(tmp_path)


def test_a_missing_site_is_built_and_a_fresh_one_is_not(tree: Tree, capfd: pytest.CaptureFixture[str]) -> None:
    tree.builder(fresh=True)
    assert viz.find() == tree.root / "viz" / "dist"
    assert tree.calls == ";"
    assert capfd.readouterr() == ("", "anneal: the site is not built yet: building it with build_wasm.py\n")
    assert viz.find() == tree.root / "viz" / "dist"
    assert tree.calls == ";--check;"
    assert capfd.readouterr() == ("", "")


def test_a_stale_site_is_built_again(tree: Tree, capfd: pytest.CaptureFixture[str]) -> None:
    tree.builder(fresh=False)
    viz.find()
    viz.find()
    assert tree.calls == ";--check;;"
    assert "older than its sources" in capfd.readouterr().err


def test_a_build_that_fails_says_why(tree: Tree, capfd: pytest.CaptureFixture[str]) -> None:
    tree.builder(fresh=False, works=False)
    with pytest.raises(AnnealError, match="could not be built: python build_wasm.py says why"):
        viz.find()
    assert "the network is gone" in capfd.readouterr().err
    with pytest.raises(AnnealError, match="could not be built"):
        viz.find(quiet=True)
    assert capfd.readouterr() == ("", "")


def test_an_installation_without_a_site_says_what_to_do(tree: Tree) -> None:
    with pytest.raises(AnnealError, match=r"no site of the visualizer: .*--site viz/dist"):
        viz.find()
    with pytest.raises(UsageError, match="is no site"):
        viz.find(str(tree.root))
