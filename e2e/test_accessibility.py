"""What axe-core finds, and what fits: every pane, in light and dark, at a desk, on two tablets and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect
from site_browser import READY, Host

from e2e.conftest import ROOT, STARTED, Watched
from e2e.test_shell import compile_text, settled

AXE: Final = ROOT / "viz" / "node_modules" / "axe-core" / "axe.min.js"
SIZES: Final = {"desk": (1280, 800), "tablet": (1024, 768), "upright": (820, 1180), "phone": (390, 844)}
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
EXPERIMENTAL: Final = "label-content-name-mismatch"  # it takes — for a word, which is to be in what is called forward
RUN: Final = f"rules => axe.run(document, {{ runOnly: rules, resultTypes: ['violations'], rules: {{ '{EXPERIMENTAL}': {{ enabled: false }} }} }})"

CUT = """() => {
  const cut = [];
  for (const node of document.querySelectorAll('button, select, input, a, [role=separator]')) {
    if (!node.checkVisibility({ visibilityProperty: true }) || node.matches('.skip')) continue;
    let box = node.getBoundingClientRect();
    const scrolls = (place) => /auto|scroll/.test(getComputedStyle(place).overflow + getComputedStyle(place).overflowX);
    let inside = false;
    for (let place = node.parentElement; place; place = place.parentElement) inside ||= scrolls(place);
    const out = box.left < -1 || box.right > innerWidth + 1 || (!inside && (box.top < -1 || box.bottom > innerHeight + 1));
    if (out && !inside) cut.push([node.id || node.textContent.trim() || node.className, Math.round(box.left), Math.round(box.right), Math.round(box.bottom)]);
  }
  if (document.documentElement.scrollWidth > innerWidth) cut.push(['the page scrolls sideways', document.documentElement.scrollWidth]);
  return cut;
}"""
SMALL = """() => [...document.querySelectorAll('.bar button, .stage, .tab, .part, .compile, #program select')]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 24)
  .map((node) => [node.textContent, node.getBoundingClientRect().height])"""


def violations(page: Page) -> list[tuple[str, str, str]]:
    """What axe-core says against a page: rule, help, the first places."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate(RUN, RULES)
    return [
        (each["id"], each["help"], " | ".join(f"{node['target']} {node['failureSummary'][:200]}" for node in each["nodes"][:3])) for each in found["violations"]
    ]


@pytest.mark.parametrize("size", SIZES)
def test_every_pane_is_accessible_and_fits(browser: Browser, host: Host, watched: Watched, shot: Callable[[Page, str], None], size: str) -> None:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light", has_touch=width < 1100)
    page = watched.watch(context.new_page())
    page.goto(f"{host.url}#example=mlp&part=step&stage=simplified")
    page.wait_for_selector(READY, timeout=STARTED)
    found = {}

    def look(name: str) -> None:
        shot(page, f"{size}-{name}")
        found[name] = (violations(page), page.evaluate(CUT))

    for scheme in ("light", "dark"):
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        look(f"{scheme}-start")
        if scheme == "light":
            page.get_by_label("Close this introduction").click()
        for key, name in {"r": "rewrites", "k": "kernels", "u": "run", "t": "train", "n": "node"}.items():
            page.keyboard.press(key)
            expect(page.locator(f"#panel-{name}")).to_be_visible()
            page.wait_for_timeout(300)  # what comes by itself
            look(f"{scheme}-{name}")
        if width < 1100:
            page.locator("#switch [data-side=program]").click()
            look(f"{scheme}-program")
            page.locator("#switch [data-side=inspect]").click()
        page.keyboard.press("d")
    assert page.evaluate(SMALL) == []
    assert {name: told for name, told in found.items() if told != ([], [])} == {}
    context.close()


def test_what_lies_over_the_page_is_accessible(browser: Browser, host: Host, watched: Watched, shot: Callable[[Page, str], None]) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
        page = watched.watch(context.new_page())
        page.goto(f"{host.url}#example=softmax")
        page.wait_for_selector(READY, timeout=STARTED)
        page.keyboard.press("?")
        shot(page, f"desk-{scheme}-help")
        assert violations(page) == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Export").click()
        shot(page, f"desk-{scheme}-export")
        assert violations(page) == []
        page.keyboard.press("Escape")
        compile_text(page, "from anneal import Tensor\n\nprint('before')\nTensor.ones(2, 3).reshape(4, 2)\n")
        settled(page)
        shot(page, f"desk-{scheme}-error")
        assert violations(page) == []
        context.close()
