"""The rewriting of one compilation: which stage runs, how often rules fired, and whether somebody watches.

Passes rewrite through `apply`; it picks the plain driver, or the traced one where a trace was asked for, so that what a trace shows is what
the compiler did.

>>> with compiling() as session:
...     _ = apply([], Table({}, ()))
>>> session.rewrites
0
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from anneal.ir.uop import UOp
from anneal.rewrite.engine import Fix, rewrite
from anneal.rewrite.table import Table
from anneal.rewrite.trace import Trace


@dataclass(slots=True)
class Session:
    """What one compilation counts."""

    trace: Trace | None = None
    """Where events go; None when nobody watches."""
    stage: str = ""
    """The name of the stage that runs."""
    rewrites: int = 0
    """How often a rule fired."""


_current: ContextVar[Session] = ContextVar("session", default=Session())  # noqa: B039 - the default is only counted into


@contextmanager
def compiling(trace: Trace | None = None) -> Iterator[Session]:
    """A session for everything that runs inside."""
    session = Session(trace)
    token = _current.set(session)
    try:
        yield session
    finally:
        _current.reset(token)


def apply(roots: Iterable[UOp], table: Table, *, fix: Fix | None = None) -> tuple[UOp, ...]:
    """The roots rewritten with a table, counted and, where somebody watches, traced."""
    session = _current.get()
    watched = session.trace
    result = rewrite(roots, table, fix=fix) if watched is None else watched.rewrite(session.stage, roots, table, fix=fix)
    session.rewrites += result.count
    return result.roots
