"""The documents tell the truth: Python blocks run and print what they say, commands are ones that the command line takes.

A block marked `output` holds what the Python block before it prints. Blocks of one document share their names.

    python tests/test_docs.py    writes the outputs anew
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from anneal.cli.main import parser_of, split

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    info: str
    body: str
    start: int
    """Where the body begins in the text."""
    line: int


def blocks(text: str) -> list[Block]:
    return [Block(m["info"].strip(), m["body"], m.start("body"), text.count("\n", 0, m.start("body")) + 1) for m in _FENCE.finditer(text)]


def executed(path: Path) -> Iterator[tuple[Block, Block | None, str]]:
    """Run the Python blocks in order; yields each with the output block that follows it, if one does, and what it printed."""
    found = blocks(path.read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": path.stem}
    for block, following in zip(found, [*found[1:], None], strict=False):
        if block.info != "python":
            continue
        printed = io.StringIO()
        code = compile("\n" * (block.line - 1) + block.body, str(path), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        yield block, following if following is not None and following.info.endswith(" output") else None, printed.getvalue()


def stripped(text: str) -> str:
    return text.strip("\n")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run_and_print_what_they_say(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs = [b for b in blocks(path.read_text(encoding="utf-8")) if b.info.endswith(" output")]
    checked = []
    for block, wanted, printed in executed(path):
        if wanted is None:
            assert not printed, f"{path.name}:{block.line} prints, and no output block follows"
        else:
            assert stripped(printed) == stripped(wanted.body), f"{path.name}:{wanted.line} is out of date: python tests/test_docs.py"
            checked.append(wanted)
    assert checked == outputs, "an output block follows no Python block"


def commands(path: Path) -> list[str]:
    """The lines of shell blocks, without comments."""
    lines = [line for block in blocks(path.read_text(encoding="utf-8")) if block.info in ("sh", "bash", "shell") for line in block.body.splitlines()]
    return [" ".join(words) for line in lines if (words := shlex.split(line, comments=True))]


def test_the_readme_is_not_empty_of_what_is_tested() -> None:
    readme = ROOT / "README.md"
    kinds = [block.info for block in blocks(readme.read_text(encoding="utf-8"))]
    assert kinds.count("python") >= 3
    assert sum(kind.endswith(" output") for kind in kinds) >= 2
    assert {"make train", "make test"} <= set(commands(readme))
    assert sum(command.startswith("anneal ") for command in commands(readme)) >= 5


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_are_ones_that_there_are(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in commands(path):
        program, *arguments = command.split()
        match program:
            case "make":
                assert set(arguments) <= targets, command
            case "anneal":
                verb, rest = split(arguments)
                assert verb is not None, command
                parser_of(verb).parse_args(rest)
            case "pip" | "git" | "cd" | "python":
                pass
            case _:
                pytest.fail(f"{path.name} shows a command that nobody has checked: {command}")


def update() -> None:
    """Write what the Python blocks print into the output blocks."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for _, wanted, printed in reversed(list(executed(path))):
            if wanted is not None:
                text = text[: wanted.start] + stripped(printed) + "\n" + text[wanted.start + len(wanted.body) :]
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    update()
