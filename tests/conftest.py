"""What holds for every test: no deadline on a shared machine, races looked for, and the arena left as it was found."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from anneal.ir.uop import ARENA

settings.register_profile("anneal", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("anneal")
os.environ.pop("PYTHONUNBUFFERED", None)  # commands write as they do for a user: the end of their output when they end
os.environ["ANNEAL_CHECK"] = "1"  # the reference device reports races between invocations, in subprocesses too


@pytest.fixture(autouse=True)
def _arena() -> Iterator[None]:
    yield
    assert (ARENA.phase, ARENA.origin, ARENA.rule) == ("forward", None, None), "the test left marks for other tests' nodes"
