"""A tab that is asked as the page asks it: JSON text in, JSON text out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from anneal.viz.state import Opened
from anneal.viz.tab import Tab


class Asked:
    """A tab, and the loop that it answers in."""

    def __init__(self, runner: asyncio.Runner, **made: Any) -> None:
        self.runner = runner
        self.tab = Tab(**made)

    def answer(self, kind: object, **params: Any) -> Any:
        """The answer as JSON gives it."""
        return json.loads(self.runner.run(self.tab.handle_json(json.dumps({"kind": kind, "params": params}))))

    def ask(self, kind: str, **params: Any) -> Any:
        """The value of an answer that is no failure."""
        answer = self.answer(kind, **params)
        assert answer["ok"], answer["error"]
        return answer["value"]

    def refused(self, kind: object, **params: Any) -> Any:
        """The failure of an answer that is one."""
        answer = self.answer(kind, **params)
        assert not answer["ok"], answer["value"]
        return answer["error"]

    def open(self, source: str, **params: Any) -> Any:
        """Open a program."""
        return self.ask("open", source=source, **params)

    @property
    def opened(self) -> Opened:
        """What is open, as answers see it."""
        return self.tab.state.open
