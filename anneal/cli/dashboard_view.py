"""The page that the dashboard opens: the graph and the kernels of the training's step, in one file that needs nothing from elsewhere.

Nodes are built by one thread at a time, so the page is written where the training runs, between two windows, or where it rests.

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
from anneal.examples.program import Program, graph_of
from anneal.examples.trainer import Trainer
from anneal.nn import modules
from anneal.rewrite import session

_HEAD: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<style>:root {color-scheme: light dark} body {font: 16px system-ui, sans-serif; margin: 2em} td {padding: 0.5em}</style>"""


class Viewer:
    """Writes the page when it is asked for and opens it in a browser."""

    def __init__(self, trainer: Trainer, optimizer: str) -> None:
        """`optimizer` is the name of the training's."""
        self._trainer, self._optimizer = trainer, optimizer
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
        except Exception as error:  # noqa: BLE001 - a user's model may raise anything while it is built once more
            self.said = f"no page: {type(error).__name__}: {error}"
            return
        self.written.append(path)
        self.said = f"{path} opens in your browser" if _open(path) else f"no browser here: open {path}"

    def _page(self) -> str:
        """The page of the step: the program is built once more, and watched."""
        trained = self._trainer.program
        optimizer = None if self._optimizer == "own" else self._optimizer
        title = f"{trained.example.name}, the training step"
        with session.watching():
            with modules.watching() as seen:
                program = Program(trained.example, batch=trained.batch, seed=trained.seed, optimizer=optimizer)
                outputs, names = program.outputs("step"), program.names()
            graph = graph_of(outputs, names, seen, title=title)
        kernels = self._trainer.plan.explain(self._trainer.names)
        return page(title, {"Kernels": kernels._repr_html_(), "Graph": graph._repr_html_()})


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
