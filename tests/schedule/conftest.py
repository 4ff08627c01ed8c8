"""Golden files: text that is compared with `tests/goldens`, or written there with `--update-golden`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parent.parent / "goldens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", default=False, help="write golden files instead of comparing with them")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """A function that compares a text with a golden file."""

    def compare(name: str, text: str) -> None:
        path = FOLDER / f"{name}.txt"
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text)
        assert path.exists(), f"{path} is missing: run `pytest tests/schedule --update-golden` and look at what it writes"
        assert text == path.read_text(), f"not as in {path}: if it is better, run `pytest tests/schedule --update-golden`"

    return compare
