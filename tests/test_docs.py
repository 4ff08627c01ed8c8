"""The documents tell the truth: what they show is run, and prints what they say.

How the blocks of a page are run says `docs_page.py`. The guides below `docs/howto` change the compiler; `test_howto.py` does that in a copy.

    python tests/test_docs.py [PAGE ...]    writes the outputs anew
"""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # where this file is run as a program
sys.path.insert(1, str(Path(__file__).parent.parent / "tools"))

import docs_docstrings
import docs_pages
from docs_page import NOT_RUN, ROOT, Block, blocks

from anneal import rules
from anneal.cli.main import VERBS, parser_of
from anneal.ir.ops import ALL_OPS
from anneal.runtime.pipeline import STAGES

DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(p for p in sorted((ROOT / "docs").glob("**/*.md")) if "howto" not in p.parts)]
RUN = [path for path in DOCUMENTS if any(block.kind for block in blocks(path))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def printed(path: Path, folder: Path) -> list[str]:
    """What the Python and shell blocks of a page print."""
    command = [sys.executable, str(ROOT / "tests" / "docs_page.py"), str(path), str(folder)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, encoding="utf-8", check=False)
    assert not done.returncode, f"{name(path)}: {done.stderr}"
    texts: list[str] = json.loads(done.stdout)
    return texts


def outputs(path: Path, texts: list[str]) -> list[tuple[Block, Block | None, str]]:
    """Each Python or shell block of a page with the output block that follows it, if one does, and what it printed."""
    found = [block for block in blocks(path) if block.kind]
    pairs = [(block, following) for block, following in zip(found, [*found[1:], None], strict=True) if block.kind in ("python", "sh")]
    return [(block, following if following and following.kind == "output" else None, text) for (block, following), text in zip(pairs, texts, strict=True)]


@pytest.mark.parametrize("path", RUN, ids=name)
def test_what_is_shown_runs_and_prints_what_the_page_says(path: Path, tmp_path: Path) -> None:
    checked = []
    for block, wanted, text in outputs(path, printed(path, tmp_path / "reader")):
        if wanted is not None:
            assert wanted.says(text), f"{name(path)}:{wanted.line} is out of date: python tests/test_docs.py {name(path)}\n{text}"
            checked.append(wanted)
        elif block.kind == "python":
            assert not text, f"{name(path)}:{block.line} prints, and no output block follows"
    assert checked == [block for block in blocks(path) if block.kind == "output"], "an output block follows no block that is run"


def test_every_command_that_is_shown_and_not_run_is_shown() -> None:
    shown = {line.partition(" #")[0].strip() for path in DOCUMENTS for block in blocks(path) if block.kind == "sh" for line in block.body.splitlines()}
    assert not NOT_RUN.keys() - shown, "an exception that no page needs"


def test_the_documents_show_every_command() -> None:
    lines = [line for path in DOCUMENTS for block in blocks(path) if block.kind == "sh" for line in block.body.splitlines()]
    assert {line.split()[1] for line in lines if line.startswith("anneal ")} >= set(VERBS)


def test_the_readme_is_not_empty_of_what_is_tested() -> None:
    kinds = [block.kind for block in blocks(ROOT / "README.md")]
    assert kinds.count("python") >= 3
    assert kinds.count("output") >= 2
    assert kinds.count("sh") >= 2


def test_a_block_says_what_was_printed_but_for_what_its_title_says() -> None:
    plain, timed, labels = (Block(f'text title="output{more}"', "3 kernels  0.12 ms\n", 0, 0) for more in ("", ", times vary", ", on one machine"))
    assert plain.says("3 kernels  0.12 ms")
    assert not plain.says("3 kernels  0.13 ms")
    assert timed.says("3 kernels 15.3 ms")
    assert not timed.says("4 kernels 15.3 ms")
    assert not timed.says("3 kernels 15.3 GB/s")
    assert labels.says("3 threads")
    assert not labels.says("4 kernels  0.12 ms")


def test_the_reference_has_every_rule_operation_stage_and_command() -> None:
    pages = docs_pages.pages()
    for rule in rules.RULES:
        page = pages[f"reference/rules/{rule.group}.md"]
        assert f"## {rule.name} " in page
        assert f"{rule.text}\n```" in page
        assert f"{rule.file}`, line {rule.line}" in page
    assert sum(text.count("\n## ") for path, text in pages.items() if "/rules/" in path) == len(rules.RULES) + 1  # and the list of all
    assert all(f"| `{op.name}`" in pages["reference/ops.md"] for op in ALL_OPS)
    assert all(f"| `{stage.name}` | {stage.ensures}" in pages["reference/stages.md"] for stage in STAGES)
    for verb in VERBS:
        shown = pages["reference/commands.md"].split(f"## anneal {verb} ")[1].split("\n## ")[0]
        assert all(f"`{name}" in shown for name in parser_of(verb)._option_string_actions if name not in ("-h", "--help"))


def test_examples_in_the_tools_run() -> None:
    assert all(doctest.testmod(module) == (0, 1) for module in (docs_pages, docs_docstrings))


def test_docstrings_become_markdown() -> None:
    assert docs_docstrings.markdown("`a[i]` is *x, a[i].\n\n>>> 1 + 1\n2\n\nEnd.") == "`a[i]` is \\*x, a\\[i].\n\n```pycon\n>>> 1 + 1\n2\n```\n\nEnd."


def update(path: Path) -> None:
    """Write what the blocks of a page print into its output blocks, where it differs."""
    with tempfile.TemporaryDirectory() as folder:
        found = outputs(path, printed(path, Path(folder) / "reader"))
    text = path.read_text(encoding="utf-8")
    for _, wanted, said in reversed(found):
        if wanted is not None and not wanted.says(said):
            text = text[: wanted.start] + said + "\n" + text[wanted.start + len(wanted.body) :]
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for page in [Path(argument).resolve() for argument in sys.argv[1:]] or RUN:
        update(page)
