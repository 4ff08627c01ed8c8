"""The command as a user runs it: another process, its exit code, stdout and stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def environment(**more: str) -> dict[str, str]:
    """The test's environment, without what changes output, device or speed."""
    kept = {k: v for k, v in os.environ.items() if k not in ("ANNEAL_CHECK", "ANNEAL_DEVICE", "NO_COLOR", "COLUMNS")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture
def anneal(tmp_path: Path) -> Callable[..., Result]:
    """Run `python -m anneal` with arguments, in a folder of the test's own."""

    def run(*arguments: object, **more: str) -> Result:
        command = [sys.executable, "-m", "anneal", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment(**more), capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m anneal` with arguments, its streams as pipes."""

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "anneal", *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=pipe, stderr=pipe, text=True, encoding="utf-8")

    return start


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a model file of the user's."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write
