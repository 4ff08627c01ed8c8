"""The compiler's end of the page: a request comes in as JSON, an answer goes out as JSON, and nothing is ever raised.

Requests are answered one after the other, in the order in which they come, but for those that are asked of a training while it runs.

>>> import asyncio
>>> tab = Tab()
>>> asyncio.run(tab.handle("graph", {"stage": "tensor"}))["error"]["message"]
'no program is open: compile one first'
"""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from importlib import import_module
from typing import Any, Final

from anneal.errors import AnnealError, UsageError, meant
from anneal.viz import failures
from anneal.viz.messages import Answer, Params
from anneal.viz.opening import ProgramError
from anneal.viz.state import State

Handler = Callable[[State, Params], Any | Awaitable[Any]]
TABLE: Final = {
    "info": "about.info",
    "open": "opening.open_program",
    "compile": "stages.compile_program",
    "graph": "stages.graph",
    "film": "films.film",
    "step": "films.step",
    "node": "nodes.node",
    "locate": "nodes.locate",
    "follow": "nodes.follow",
    "find": "searching.find",
    "lines": "lines.lines",
    "run": "running.run",
    "train": "training.train",
    "train_set": "training.change",
    "predict": "training.predict",
    "export": "exports.export",
}
"""Who answers each kind of request. A module is loaded with the first request for it: a page that starts waits only for what it needs."""
MEANWHILE: Final = frozenset({"train", "train_set", "predict"})
"""What is answered at once, or takes its time beside others."""
_BUG: Final = "This is a mistake in anneal, not in your program. Please report it with the program and this text."


class Tab:
    """Answers the page's requests."""

    def __init__(self, emit: Callable[[str, str], None] | None = None, source_hash: str = "", no_device: str | None = None) -> None:
        """`emit(name, JSON text)` takes events for the page; `no_device` says why there is no device, where there is none."""
        self.state = State(emit and (lambda name, data: emit(name, _text(data))), source_hash=source_hash, no_device=no_device)
        self._turn = asyncio.Lock()

    async def serve(self, request: str, answered: Callable[[str], None]) -> None:
        """`handle`, from JSON text to JSON text. `answered` gets the answer before the next request is begun, which may take long."""
        try:
            asked = json.loads(request)
            kind, params = asked["kind"], asked.get("params") or {}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            answered(_text(_refused(UsageError(f"not a request: {error}"))))
            return
        async with self._order(kind):
            answer = await self._answer(kind, params)
            try:
                text = _text(answer)
            except (TypeError, ValueError) as error:
                text = _text(_broken(error))
            answered(text)

    async def handle_json(self, request: str) -> str:
        """`serve` for one who waits."""
        told: list[str] = []
        await self.serve(request, told.append)
        return told[0]

    async def handle(self, kind: str, params: Params) -> Answer:
        """The answer to a request; a failure where there is none."""
        async with self._order(kind):
            return await self._answer(kind, params)

    def _order(self, kind: object) -> AbstractAsyncContextManager[None]:
        """Waits for the requests before, where they are to be waited for."""
        return nullcontext() if isinstance(kind, str) and kind in MEANWHILE else self._turn

    async def _answer(self, kind: object, params: Params) -> Answer:
        try:
            value = _handler(kind, params)(self.state, params)
            return {"ok": True, "value": await value if inspect.isawaitable(value) else value}
        except ProgramError as error:
            return {"ok": False, "error": error.failure}
        except AnnealError as error:
            return _refused(error)
        except Exception as error:  # noqa: BLE001 - the page is told of whatever it is
            return _broken(error)


def _handler(kind: object, params: object) -> Handler:
    """Who answers; raises UsageError where nobody does."""
    if not isinstance(kind, str) or kind not in TABLE:
        raise UsageError(f"no request {kind!r}: {meant(str(kind), TABLE) or 'there are ' + ', '.join(TABLE)}")
    if not isinstance(params, dict):
        raise UsageError(f"the parameters of {kind} are to be an object, not {type(params).__name__}")
    module, _, function = TABLE[kind].partition(".")
    handler: Handler = getattr(import_module(f"anneal.viz.{module}"), function)
    return handler


def _refused(error: AnnealError) -> Answer:
    return {"ok": False, "error": failures.failure(error)}


def _broken(error: BaseException) -> Answer:
    """The answer where something failed that should not have."""
    found = failures.failure(error)
    return {"ok": False, "error": {**found, "hint": found["hint"] or _BUG, "printed": "".join(traceback.format_exception(error))[-8000:]}}


def _text(value: Any) -> str:
    """JSON in ASCII, so that any text survives the way."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
