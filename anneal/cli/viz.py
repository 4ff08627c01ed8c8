"""`anneal viz`: the compiler in a browser tab, opened on a model: every stage, every rewrite, every kernel, run and trained there.

The site is served to this machine alone, from the source tree, where it is built when it is missing or older than its sources; the program is
compiled in the tab, by the same package. Ctrl-C or SIGTERM ends the serving, with exit code 0, for that is how it ends.

>>> EXAMPLE
'anneal viz mlp --step'
"""

from __future__ import annotations

import signal
import subprocess
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from anneal.cli import options as shared
from anneal.cli.output import emit, note
from anneal.cli.viz_program import Request
from anneal.cli.viz_server import MANIFEST, Server, Site, open_page
from anneal.errors import AnnealError, UsageError
from anneal.export.schema.viz import VERSION, Viz

EXAMPLE: Final = "anneal viz mlp --step"
ROOT: Final = Path(__file__).resolve().parents[2]
"""The source tree, where this package is in one."""
_ENDS: Final = (signal.SIGINT, signal.SIGTERM)


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    shared.add_model(parser, nargs="?")
    shared.add_part(parser)
    parser.add_argument("--port", type=_port, metavar="N", help="the port to serve at (default: any that is free)")
    parser.add_argument("--host", metavar="HOST", default="127.0.0.1", help="the address to serve at (default: this machine alone)")
    parser.add_argument("--no-open", action="store_true", help="open no browser")
    parser.add_argument("--site", metavar="DIR", help="a site that build_wasm.py made (default: this source tree's)")


def run(arguments: Namespace) -> int:
    """Serve until it is ended; returns the exit code."""
    asked = None if arguments.model is None else Request.of(arguments.model, arguments.part, batch=arguments.batch)
    if asked is None and (arguments.part != "forward" or arguments.batch is not None):
        raise UsageError("say of which model, as in anneal viz mlp --step")
    site = Site(find(arguments.site))
    source_hash = site.manifest()["source_hash"]
    server = Server(site, arguments.host, arguments.port, None if asked is None else asked.launch)
    server.start()
    url = page(server)
    opened = not arguments.no_open and open_page(url)
    document = Viz(
        schema="anneal.viz",
        version=VERSION,
        url=url,
        host=server.host,
        port=server.port,
        site=str(site.root),
        source_hash=source_hash,
        model=arguments.model,
        part=arguments.part,
        opened=opened,
    )
    hold(server, lambda: _tell(arguments, server, document))
    return 0


def page(server: Server) -> str:
    """The address that shows the model."""
    return f"{server.url}?launch=1" if server.launch is not None else server.url


def hold(server: Server, tell: Callable[[], object]) -> None:
    """Go on serving until Ctrl-C or SIGTERM, and then stop; `tell` is called as soon as these do that."""
    ended: SimpleQueue[int] = SimpleQueue()
    for number in _ENDS:
        signal.signal(number, lambda number, _: ended.put(number))
    tell()
    ended.get()
    server.stop()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # who presses again while Python ends changes nothing


def _tell(arguments: Namespace, server: Server, document: Viz) -> None:
    """Say where it is served."""
    if arguments.json:
        emit(document)
    else:
        print(f"{arguments.model or 'the visualizer'} is at {document['url']}")
    sys.stdout.flush()
    if server.everywhere:
        note("anneal: warning: other machines can read the site and the program; browsers there have no WebGPU for it, as the connection is not encrypted")
    if not arguments.no_open and not document["opened"]:
        note("anneal: no browser here: open the address yourself")
    note("anneal: Ctrl-C ends it")


def _port(text: str) -> int:
    """The number of a port."""
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 16:
        raise ArgumentTypeError(f"{text} is no port: a whole number from 0, which is any, to 65535")
    return int(text)


def find(given: str | None = None, *, quiet: bool = False) -> Path:
    """The folder of the site; this source tree's is built where it is missing or stale, without a word if so wished. Raises AnnealError for none."""
    if given is not None:
        if not (Path(given) / MANIFEST).is_file():
            raise UsageError(f"{given} is no site: it has no {MANIFEST}; python build_wasm.py makes one in viz/dist")
        return Path(given).resolve()
    builder, site = ROOT / "build_wasm.py", ROOT / "viz" / "dist"
    if not builder.is_file():
        raise AnnealError(
            "this installation has no site of the visualizer: in a source tree of anneal, anneal viz builds it; "
            "or build it there with python build_wasm.py and serve it with --site viz/dist"
        )
    there = (site / MANIFEST).is_file()
    if not there or _build(builder, "--check", quiet=True):
        if not quiet:
            note(f"anneal: the site is {'older than its sources' if there else 'not built yet'}: building it with build_wasm.py")
        if _build(builder, quiet=quiet):
            raise AnnealError("the site could not be built: python build_wasm.py says why, and tries again")
    return site


def _build(builder: Path, *options: str, quiet: bool = False) -> int:
    """Run the builder, whose errors the user sees unless it is to be quiet; returns its exit code. A Ctrl-C here ends it without words of its own."""
    nothing = subprocess.DEVNULL
    command = [sys.executable, str(builder), *options]
    done = subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing if quiet else None, start_new_session=True, check=False)  # noqa: S603 - our own builder
    return done.returncode
