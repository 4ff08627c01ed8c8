"""The how-to guides are really done: each in a copy of the tree, its diffs applied, its commands run, its outputs compared.

python tests/test_howto.py    writes the outputs anew, where they hold no `...`
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from docs_page import ROOT, Block, blocks
from howto_guides import GUIDES, OUTPUT, MismatchError, apply, followed, matches


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_does_what_it_says(guide: Path, tmp_path: Path) -> None:
    before, printed = Block("", "", 0, 0), None
    for block, text in followed(guide, tmp_path):
        if block.info == OUTPUT:
            assert printed is not None, f"{guide.name}:{block.line}: nothing runs before this output"
            assert matches(printed, block.body), (
                f"{guide.name}:{before.line} printed (to refresh: python tests/test_howto.py)\n{printed}\nand not\n{block.body}"
            )
        before, printed = block, text


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_changes_runs_and_tests(guide: Path) -> None:
    found = blocks(guide)
    assert sum(b.info == "diff" for b in found) >= 2
    assert any("pytest " in b.body for b in found if b.info == "sh")
    assert any(b.info == OUTPUT for b in found)


def test_there_is_a_guide_for_each_part() -> None:
    assert [g.stem for g in GUIDES] == ["add-a-dtype", "add-a-pass", "add-a-rule", "add-an-op"]
    index = (ROOT / "docs" / "howto" / "index.md").read_text(encoding="utf-8")
    assert all(f"({g.name})" in index for g in GUIDES)


@pytest.mark.parametrize(("text", "message"), [("a\n", "occur 0 times"), ("a\nb\na\nb\n", "occur 2 times")], ids=["missing", "ambiguous"])
def test_a_diff_that_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        apply("--- a/x\n+++ b/x\n@@\n a\n-b\n+c\n", {"x": text}.__getitem__)


def test_a_diff_makes_a_new_file_and_changes_one_twice() -> None:
    diff = "--- /dev/null\n+++ b/y\n@@\n+one\n+\n--- a/x\n+++ b/x\n@@\n-a\n+b\n--- a/x\n+++ b/x\n@@\n b\n+c\n"
    assert apply(diff, {"x": "a\n"}.__getitem__) == {"y": "one\n\n", "x": "b\nc\n"}


def test_what_is_printed_is_compared() -> None:
    assert matches("one\ntwo\nthree 3.1s\n", "one\n...\nthree ...s\n")
    assert matches("one\nthree 3s\n", "one\n...\nthree ...\n")
    assert not matches("one\ntwo\n", "one\n")
    assert not matches("one\n", "one\n...\ntwo\n")


def update() -> None:
    """Write what the blocks print into the output blocks."""
    for guide in GUIDES:
        text, found, printed = guide.read_text(encoding="utf-8"), [], None
        with tempfile.TemporaryDirectory() as folder:
            for block, output in followed(guide, Path(folder)):
                if block.info == OUTPUT and "..." not in block.body and printed is not None:
                    found.append((block, printed))
                printed = output
        for block, output in reversed(found):
            text = text[: block.start] + output.strip("\n") + "\n" + text[block.start + len(block.body) :]
        guide.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    update()
