"""What the dashboard opens: the visualizer on the model that is trained, or, without its site, the step's graph and kernels in one file.

The visualizer compiles the program anew in the tab, so it is served by a thread of its own. The file is written by the thread that trains,
between two windows, or by another while that rests: nodes belong to one thread at a time.

>>> page("a < b", {"Kernels": "<table></table>"}).splitlines()[-2:]
['<h1>a &lt; b</h1>', '<h2>Kernels</h2><table></table>']
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from anneal.cli import viz
from anneal.cli.viz_program import Request
from anneal.cli.viz_server import Server, Site, open_page
from anneal.errors import AnnealError
from anneal.examples.monitor import Record
from anneal.examples.trainer import Trainer
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.view.graph import Graph
from anneal.view.names import variables

_HEAD: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<style>:root {color-scheme: light dark} body {font: 16px system-ui, sans-serif; margin: 2em} td {padding: 0.5em}</style>"""


class Viewer:
    """Opens the visualizer on the model, where its site is there or can be built, and else writes a page that needs none and opens that."""

    def __init__(self, trainer: Trainer, request: Callable[[], Request]) -> None:
        """`request` says what is trained: it is asked when the visualizer is."""
        self._trainer, self._request = trainer, request
        self._asked = threading.Event()
        self._opening: threading.Thread | None = None
        self.said = ""
        """What became of it."""
        self.written: list[str] = []
        """The files."""
        self.server: Server | None = None
        """What serves the visualizer, once it does."""

    def ask(self) -> None:
        """Open the visualizer, in a thread of its own; where there is none, have the page written as soon as it may be."""
        if self.server is not None:
            self._show(self.server)
        elif self._opening is None or not self._opening.is_alive():
            self.said = "opening the visualizer …"
            self._opening = threading.Thread(target=self._open, name="viewer", daemon=True)
            self._opening.start()

    def _open(self) -> None:
        """Serve the visualizer, and open it."""
        try:
            server = Server(Site(viz.find(quiet=True)), "127.0.0.1", None, self._request().launch)
        except (AnnealError, OSError):
            self.said = "writing the page …"
            self._asked.set()
            return
        server.start()
        self.server = server
        self._show(server)

    def _show(self, server: Server) -> None:
        address = viz.page(server)
        self.said = f"{address} opens in your browser" if open_page(address) else f"no browser here: open {address}"

    def serve(self, _: Sequence[Record] = ()) -> None:
        """Write the page, if it was asked for; a failure is told and costs the training nothing."""
        if not self._asked.is_set():
            return
        self._asked.clear()
        try:
            path = _write(self._trainer.program.example.name, self._page())
        except Exception as error:  # noqa: BLE001 - whatever it is, a page is worth less than a training
            self.said = f"no page: {error}"
            return
        self.written.append(path)
        self.said = f"{path} opens in your browser" if open_page(Path(path).as_uri()) else f"no browser here: open {path}"

    def _page(self) -> str:
        """The page of the very program that is trained; nothing of the user's runs again."""
        trainer = self._trainer
        sink = trainer.executable.program.sink
        nodes = [u for u in toposort(sink) if u is not sink]
        inputs = {u: trainer.names[u.arg[0]] for u in nodes if u.op is Ops.PARAM}
        title = f"{trainer.program.example.name}, the training step"
        graph = Graph("tensor", ((sink,),), title=title, names={**variables(nodes), **inputs})
        return page(title, {"Kernels": trainer.plan.explain(trainer.names)._repr_html_(), "Graph": graph._repr_html_()})


def page(title: str, parts: Mapping[str, str]) -> str:
    """A page with a heading over each part; the parts are HTML."""
    heading = escape(title)
    body = "\n".join(f"<h2>{escape(name)}</h2>{part}" for name, part in parts.items())
    return f"{_HEAD}\n<title>{heading}</title>\n<h1>{heading}</h1>\n{body}\n"


def _write(name: str, text: str) -> str:
    """Write a file of its own, which stays; returns its path."""
    plain = "".join(c if c.isalnum() else "-" for c in name)
    handle, path = tempfile.mkstemp(prefix=f"anneal-{plain}-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except BaseException:
        Path(path).unlink()
        raise
    return path
