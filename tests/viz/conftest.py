"""A tab for a test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from asking import Asked


@pytest.fixture
def asked() -> Iterator[Asked]:
    with asyncio.Runner() as runner:
        tab = Asked(runner)
        yield tab
        tab.open("from anneal import Tensor\nTensor([1.0])")  # lets go of what the test has opened
