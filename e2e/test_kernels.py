"""The kernels pane: the same text as natively, lines and nodes that point at each other, keys, the clipboard."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

import anneal
from anneal.examples import EXAMPLES
from anneal.examples.program import Program, trace
from anneal.runtime.plan import Plan
from anneal.tensor import realize
from e2e.conftest import Open
from e2e.test_accessibility import violations

ADDS = r"acc1 = acc1 \+ exp2"
"""The line of the softmax that adds up."""
MARKED = re.compile("marked")
SHOTS = {"light": "kernels-light", "dark": "kernels-dark"}


def native_plan() -> Plan:
    program = Program(EXAMPLES["mlp"])
    return realize.compile_program(trace(program.outputs("step"), program.names())[0], anneal.Target.portable())


def options(page: Page) -> Locator:
    return page.locator(".kernels-option")


def shown_text(page: Page) -> str:
    return "".join(f"{line}\n" for line in page.eval_on_selector_all(".kernels-line", "lines => lines.map((line) => line.textContent.replace('\\u00a0', ''))"))


def line_of(page: Page, pattern: str) -> Locator:
    return page.locator(".kernels-line", has_text=re.compile(pattern)).first


def test_every_kernel_shows_the_text_and_the_costs_of_the_native_plan(open_page: Open) -> None:
    page = open_page("example=mlp&pane=kernels")
    plan = native_plan()
    expect(options(page)).to_have_count(len(plan.kernels))
    for number, kernel in enumerate(plan.kernels):
        options(page).nth(number).click()
        expect(page.locator(".kernels-detail h3")).to_have_text(kernel.name)
        assert shown_text(page) == kernel.wgsl
        told = page.locator(".kernels-detail").inner_text()
        assert f"{' × '.join(map(str, kernel.workgroups))} of {' × '.join(map(str, kernel.workgroup_size))} threads" in told
        expect(page.locator(".kernels-buffers tbody tr")).to_have_count(len(kernel.bindings) + sum(b.updates for b in kernel.bindings))
        expect(page.locator(".kernels-boundaries li")).to_have_count(len(kernel.boundaries))
        for boundary in kernel.boundaries:
            assert boundary.reason in told
        assert page.locator(".kernels-detail .tag.fused", has_text="▪ fused").count() == (len(kernel.phases) > 1)
    assert f"{plan.stats['kernels_fused']} fused ▪" in page.locator(".kernels-head").inner_text()
    page.click(".kernels-head summary")
    assert plan.fingerprint[:16] in page.locator(".kernels-head").inner_text()


@pytest.mark.parametrize("stage", ["lowered", "simplified"])
def test_a_line_lights_up_its_nodes_and_a_node_its_lines(open_page: Open, stage: str) -> None:
    page = open_page(f"example=mlp&pane=kernels&stage={stage}&kernel=2")
    page.wait_for_selector(".kernels-line.says")
    line_of(page, ADDS).click()
    expect(line_of(page, ADDS)).to_have_class(MARKED)
    expect(page).to_have_url(re.compile("node="))
    link = page.evaluate("location.hash.slice(1)")
    page.locator("#graph canvas").first.focus()
    page.keyboard.press("Escape")
    expect(page.locator(".kernels-line.marked")).to_have_count(0)
    page.close()
    other = open_page(link)
    expect(line_of(other, ADDS)).to_have_class(MARKED)
    assert other.locator(".kernels-line.marked").count() < 8


def test_the_keys_of_the_list_and_of_the_text(open_page: Open) -> None:
    page = open_page("example=mlp&pane=kernels")
    page.wait_for_selector(".kernels-line.says")
    page.focus(".kernels-option[tabindex='0']")
    for key, number in (("ArrowDown", 1), ("End", 6), ("ArrowDown", 6), ("ArrowUp", 5), ("Home", 0), ("ArrowUp", 0)):
        page.keyboard.press(key)
        expect(options(page).nth(number)).to_have_attribute("aria-selected", "true")
        expect(options(page).nth(number)).to_be_focused()
    assert page.locator(".kernels-option[tabindex='0']").count() == 1
    page.focus(".kernels-code")
    page.keyboard.press("End")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    current = page.locator(".kernels-line.current")
    assert page.get_attribute(".kernels-code", "aria-activedescendant") == current.get_attribute("id")
    page.keyboard.press("Enter")
    expect(current).to_have_class(MARKED)


def test_the_text_and_the_fingerprint_are_copied(open_page: Open, context: BrowserContext) -> None:
    page = open_page("example=mlp&pane=kernels&kernel=1")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    plan = native_plan()
    page.click('[aria-label="Copy this kernel\'s WGSL"]')
    page.get_by_text("Copied").first.wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == plan.kernels[1].wgsl
    page.click(".kernels-head summary")
    page.click("[aria-label='Copy the fingerprint of the plan']")
    expect(page.locator("#notices")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == plan.fingerprint


@pytest.mark.parametrize("theme", list(SHOTS))
def test_how_it_looks(open_page: Open, shot: Callable[[Page, str], None], theme: str) -> None:
    page = open_page("example=mlp&pane=kernels&kernel=2&stage=simplified")
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of the two
    page.locator(".landing button").click()
    page.wait_for_selector(".kernels-line.says")
    line_of(page, ADDS).click()
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    shot(page, SHOTS[theme])
    said = page.eval_on_selector_all(".kernels-code [class^=wgsl-]", "spans => [...new Set(spans.map((span) => getComputedStyle(span).color))]")
    assert len(said) >= 5
    page.click(".kernels-head summary")
    assert violations(page) == []
