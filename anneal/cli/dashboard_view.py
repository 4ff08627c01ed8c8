"""The page that the dashboard opens: the graph and the kernels of the training's step, in one file that needs nothing from elsewhere.

The page is written by the thread that trains, between two windows, or by another while that rests: nodes belong to one thread at a time.

>>> page("a < b", {"Kernels": "<table></table>"}).splitlines()[-2:]
['<h1>a &lt; b</h1>', '<h2>Kernels</h2><table></table>']
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

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
    """Writes the page when it is asked for and opens it in a browser."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._asked = threading.Event()
        self.said = ""
        """What became of it."""
        self.written: list[str] = []
        """The files."""

    def ask(self) -> None:
        """Have the page written as soon as it may be."""
        self.said = "writing the page …"
        self._asked.set()

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
        self.said = f"{path} opens in your browser" if _open(path) else f"no browser here: open {path}"

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


def _open(path: str) -> bool:
    """Open a file in a browser; False where there is none. One that would run in this terminal finds no terminal."""
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    command = [sys.executable, "-m", "webbrowser", Path(path).as_uri()]
    nothing = subprocess.DEVNULL
    options = {"stdin": nothing, "stdout": nothing, "stderr": nothing, "start_new_session": True, "check": False}
    threading.Thread(target=subprocess.run, args=(command,), kwargs=options, daemon=True).start()
    return True
