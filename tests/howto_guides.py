"""The how-to guides as programs: what their blocks change, run and claim to print.

A guide is read from top to bottom. A `diff` block changes files, an `sh` block runs its lines and a `python` block its code, in a copy of
the tree; a block titled `output` holds what the block before it prints. A line `...` in it stands for any lines, `...` within a line for any
text. A shell line that ends in a comment beginning with `fails` must fail.

Diffs are unified diffs without line numbers: what stands beside `@@` is for the reader, and the lines kept and removed must occur in the
file exactly once.

>>> apply("--- a/x\\n+++ b/x\\n@@ the end\\n two\\n+three\\n", {"x": "one\\ntwo\\n"}.__getitem__)
{'x': 'one\\ntwo\\nthree\\n'}
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

from docs_page import ROOT, Block, blocks

GUIDES: Final = sorted((ROOT / "docs" / "howto").glob("add-*.md"))
_COPIED: Final = ("anneal", "tests", "pyproject.toml", "README.md", "CHANGELOG.md", "Makefile")
OUTPUT: Final = 'text title="output"'
"""What the fence of an output block says: a form that both MkDocs and GitHub take."""
_REFRESH: Final = "when the tree has moved on, write the guide's block anew; outputs without `...` are refreshed by: python tests/test_howto.py"


class MismatchError(AssertionError):
    """A guide says what is not so."""


# Diffs.


def apply(diff: str, read: Callable[[str], str]) -> dict[str, str]:
    """The new texts of the files that a diff changes or makes; raises MismatchError where its lines are not found once."""
    changed: dict[str, str] = {}
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        head, *hunks = re.split(r"^@@.*\n", part, flags=re.MULTILINE)
        old_path, new_path = (line.split()[-1].split("/", 1)[-1] for line in head.splitlines())
        text = "" if old_path == "dev/null" else changed.get(old_path) or read(old_path)
        for hunk in hunks:
            text = _replaced(new_path, text, hunk.splitlines())
        changed[new_path] = text
    return changed


def _replaced(path: str, text: str, hunk: list[str]) -> str:
    old = [line[1:] for line in hunk if not line.startswith("+")]
    new = [line[1:] for line in hunk if not line.startswith("-")]
    lines = text.splitlines()
    places = [i for i in range(len(lines) - len(old) + 1) if lines[i : i + len(old)] == old] if old else [0]
    if len(places) != 1:
        wanted = "\n".join(old)
        raise MismatchError(f"{path}: these lines occur {len(places)} times, not once:\n{wanted}\nmost alike there:\n{_most_alike(lines, old)}\n{_REFRESH}")
    lines[places[0] : places[0] + len(old)] = new
    return "\n".join(lines) + "\n"


def _most_alike(lines: list[str], wanted: list[str]) -> str:
    """The stretch of a file that comes nearest to some lines."""
    text, size = "\n".join(wanted), len(wanted)
    stretches = ("\n".join(lines[i : i + size]) for i in range(max(1, len(lines) - size + 1)))
    return max(stretches, key=lambda s: SequenceMatcher(None, s, text, autojunk=False).quick_ratio())


# Commands.


class Workplace:
    """A copy of the tree, in which the blocks of one guide take place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changed: set[str] = set()
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(".*"))
            elif source.exists():
                shutil.copy(source, folder / name)

    def read(self, path: str) -> str:
        """A file of the copy."""
        return (self.folder / path).read_text(encoding="utf-8")

    def change(self, diff: str) -> None:
        """Apply a diff."""
        for path, text in apply(diff, self.read).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text, encoding="utf-8")
            self.changed.add(path)

    def run(self, arguments: list[str], code: str = "") -> tuple[int, str]:
        """Run a Python program with the copy as its package; returns its exit code, and what it printed."""
        kept = {k: v for k, v in os.environ.items() if k not in ("ANNEAL_DEVICE", "COLUMNS", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER")}
        environment = {**kept, "PYTHONPATH": str(self.folder), "NO_COLOR": "1"}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            input=code,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout

    def shell(self, block: Block) -> str:
        """Run the lines of a shell block; returns what they printed. Raises MismatchError where one fails that should not, or does not fail."""
        printed = []
        for line in block.body.splitlines():
            program, *arguments = shlex.split(line, comments=True)
            command = {"python": [], "anneal": ["-m", "anneal"], "pytest": ["-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider"]}
            code, text = self.run([*command[program], *arguments])
            if (code != 0) is not ("# fails" in line):
                raise MismatchError(f"`{line}` ended with exit code {code}:\n{text}")
            printed.append(text)
        return "".join(printed)

    def lint(self) -> None:
        """Raise MismatchError where what was changed is not as the house has it: linted and formatted."""
        files = sorted(path for path in self.changed if path.endswith(".py") and "/" in path)
        for arguments in (["check"], ["format", "--check", "--diff"]) if files else ():
            code, text = self.run(["-m", "ruff", *arguments, "--no-cache", *files])
            if code:
                raise MismatchError(f"ruff {arguments[0]}: {text}")

    def python(self, block: Block) -> str:
        """Run the code of a Python block; returns what it printed."""
        code, text = self.run(["-"], block.body)
        if code:
            raise MismatchError(text)
        return text


def matches(found: str, wanted: str) -> bool:
    """Whether a text is what an output block says."""
    parts = [re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + "\n" for line in wanted.strip("\n").splitlines()]
    pattern = "".join("(?:.*\n)*" if part == ".*\n" else part for part in parts)
    text = "".join(line.rstrip() + "\n" for line in found.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None


def followed(guide: Path, folder: Path) -> Iterator[tuple[Block, str | None]]:
    """Do what a guide says, in a folder; yields each block with what it printed, None for a diff."""
    place = Workplace(folder)
    for block in blocks(guide):
        where = f"{guide.name}:{block.line}"
        try:
            match block.info:
                case "diff":
                    place.change(block.body)
                    yield block, None
                case "sh":
                    yield block, place.shell(block)
                case "python":
                    yield block, place.python(block)
                case info:
                    assert info == OUTPUT, f"{where}: a block of {info!r} is neither changed, run nor compared"
                    yield block, None
        except MismatchError as error:
            raise MismatchError(f"{where}: {error}") from None
    place.lint()
