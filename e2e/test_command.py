"""`anneal viz` as a command: the page that it serves opens the user's model, follows its edits, and ends with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect
from site_browser import CHROMIUM, GPU, QUIET, READY

from e2e.conftest import ROOT, STARTED, Watched

HELPER = "WIDTH = 12\n"
MINE = '''"""My own network."""

from anneal import nn
from anneal.examples import Example, digits

import helper


def small():
    return Example("small", "two layers", lambda: nn.Linear(64, 10), digits.load, optimizer="adam", batch=helper.WIDTH)


def broken():
    return helper.nothing_of_that_name
'''
Serve = Callable[..., dict[str, Any]]


@pytest.fixture
def serve(tmp_path: Path, site: Path) -> Iterator[Serve]:
    """Start the command in a folder of the test's own; it ends with Ctrl-C, quietly."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "anneal", "viz", *words, "--site", str(site), "--no-open", "--json"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=pipe, stderr=pipe, text=True)
        running.append(process)
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()
            text += line
        told: dict[str, Any] = json.loads(text)
        return told

    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "mine.py").write_text(MINE)
    yield start
    for process in running:
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "anneal: Ctrl-C ends it\n")
        assert process.returncode == 0


def opened(context: BrowserContext, watched: Watched, told: dict[str, Any]) -> Page:
    """The page at the address that the command says, once it is ready."""
    page = watched.watch(context.new_page())
    page.goto(told["url"])
    page.wait_for_selector(READY, timeout=STARTED)
    return page


def text(page: Page) -> str:
    return "\n".join(page.locator("#program .cm-line").all_text_contents())


def test_the_user_s_model_opens_with_the_modules_beside_it(serve: Serve, context: BrowserContext, watched: Watched, shot: Callable[[Page, str], None]) -> None:
    told = serve("mine.py:small", "--step")
    page = opened(context, watched, told)
    assert text(page).startswith(MINE)
    assert text(page).rstrip().endswith("small()")
    expect(page.get_by_role("radio", name="Step")).to_be_checked()
    expect(page.locator("#pipeline [role=tab]")).to_have_count(6)
    assert page.evaluate("crossOriginIsolated")
    shot(page, "command-own-model")


def test_the_page_follows_the_file_when_it_is_reloaded(serve: Serve, context: BrowserContext, watched: Watched, tmp_path: Path) -> None:
    page = opened(context, watched, serve("mine.py:small", "--step"))
    (tmp_path / "mine.py").write_text(MINE.replace('"adam"', '"sgd"'))
    (tmp_path / "helper.py").write_text("WIDTH = 7\n")
    page.reload()
    page.wait_for_selector(READY, timeout=STARTED)
    assert '"sgd"' in text(page)
    page.click("#tab-train")
    page.get_by_label("Steps", exact=True).fill("2")
    page.locator("#panel-train button[type=submit]").click()
    expect(page.locator(".train-state")).to_have_text("Done: step 2 of 2", timeout=STARTED)
    expect(page.locator(".train-plan")).to_contain_text("sgd, batches of 7")


def test_an_error_in_the_file_is_shown_at_its_line(serve: Serve, context: BrowserContext, watched: Watched, tmp_path: Path) -> None:
    page = opened(context, watched, serve("mine.py:broken"))
    expect(page.locator("#program")).to_contain_text("nothing_of_that_name")
    expect(page.locator("#program")).to_contain_text("line 14")
    (tmp_path / "mine.py").write_text("def small(:\n    pass\n")
    page = opened(context, watched, serve("mine.py:small"))
    expect(page.locator("#program")).to_contain_text("line 1")


def test_an_example_opens_by_name_and_nothing_by_none(serve: Serve, context: BrowserContext, watched: Watched) -> None:
    page = opened(context, watched, serve("conv", "--backward"))
    expect(page.locator("#program select")).to_have_value("conv")
    expect(page.get_by_role("radio", name="Backward")).to_be_checked()
    page = opened(context, watched, serve())
    expect(page.locator("#program .cm-content")).to_contain_text("class MLP")


def test_a_second_visit_loads_nothing_again(serve: Serve, playwright: Playwright, watched: Watched, tmp_path: Path) -> None:
    url = serve("mlp")["url"]
    context = playwright.chromium.launch_persistent_context(str(tmp_path / "profile"), executable_path=CHROMIUM, args=[*QUIET, *GPU])
    sizes: dict[str, int] = {}
    for _ in range(2):
        page = watched.watch(context.new_page())
        sizes.clear()
        page.on("requestfinished", lambda request: sizes.update({request.url: request.sizes()["responseBodySize"]}))
        page.goto(url)
        page.wait_for_selector(READY, timeout=STARTED)
        page.close()
    context.close()
    assert len(sizes) > 10
    assert {name: size for name, size in sizes.items() if size > 0 and not name.endswith("launch.json")} == {}
