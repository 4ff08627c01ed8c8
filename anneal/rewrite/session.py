"""The rewriting of one compilation: which stage runs, how often rules fired, and whether somebody watches.

Passes rewrite through `apply`; it picks the plain driver, or the traced one where somebody watches, so that what a trace shows is what
the compiler did. What a pass does without rules it tells by `tell`.

>>> with watching() as trace, compiling() as session:
...     _ = apply([], Table({}, ()))
>>> session.rewrites, session.trace is trace
(0, True)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from anneal.ir.graph import REBUILT
from anneal.ir.uop import UOp
from anneal.rewrite.engine import Fix, rewrite
from anneal.rewrite.table import Table
from anneal.rewrite.trace import OPERANDS, Event, Move, Trace

_watching: ContextVar[Trace | None] = ContextVar("watching", default=None)
_only: ContextVar[str | None] = ContextVar("only", default=None)


@contextmanager
def watching(trace: Trace | None = None, *, only: str | None = None) -> Iterator[Trace]:
    """Record every compilation and every differentiation inside, in `trace` or a new one.

    What was compiled before is compiled again, so that there is something to see; the plans are the same. Of two around each other the inner
    one records. Each thread watches for itself. With `only="backward"` differentiation alone is recorded, and compilations are as without a watcher.
    """
    token, kept = _watching.set(trace := Trace() if trace is None else trace), _only.set(only)
    try:
        yield trace
    finally:
        _only.reset(kept)
        _watching.reset(token)


def watcher() -> Trace | None:
    """The trace of who watches; None where nobody does."""
    return _watching.get()


@dataclass(slots=True)
class Session:
    """What one compilation counts."""

    trace: Trace | None = field(default_factory=watcher)
    """Where events go; None when nobody watches."""
    stage: str = ""
    """The name of the stage that runs."""
    rewrites: int = 0
    """How often a rule fired."""


_current: ContextVar[Session] = ContextVar("session", default=Session(None))  # noqa: B039 - the default is only counted into


@contextmanager
def compiling(stage: str = "") -> Iterator[Session]:
    """A session for everything that runs inside, beginning with a stage."""
    session = Session(watcher() if _only.get() in (None, stage) else None, stage)
    token = _current.set(session)
    hook = REBUILT.set(None if session.trace is None else _rebuilt)
    try:
        yield session
    finally:
        REBUILT.reset(hook)
        _current.reset(token)


def apply(roots: Iterable[UOp], table: Table, *, fix: Fix | None = None) -> tuple[UOp, ...]:
    """The roots rewritten with a table, counted and, where somebody watches, traced."""
    session = _current.get()
    watched = session.trace
    result = rewrite(roots, table, fix=fix) if watched is None else watched.rewrite(session.stage, roots, table, fix=fix)
    session.rewrites += result.count
    return result.roots


def tell(step: str, before: UOp, after: UOp) -> None:
    """Tell who watches that a pass put a node in another's place without a rule."""
    session = _current.get()
    if session.trace is not None and before is not after:
        session.trace.moves.append(Move(session.stage, step, before, after))


def fire(rule: str, before: UOp, after: UOp) -> None:
    """Tell who watches that a rule fired which the pass itself runs, such as a gradient rule."""
    session = _current.get()
    if session.trace is not None:
        session.trace.add(Event(session.stage, rule, before, after))


def _rebuilt(before: UOp, after: UOp) -> None:
    tell(OPERANDS, before, after)
