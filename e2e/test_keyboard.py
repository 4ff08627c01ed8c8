"""Everything can be done with the keyboard alone, and keys never do anything while someone writes."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from e2e.conftest import Open
from e2e.test_shell import MATMUL, settled, stage_names

FOCUS = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at?.id || at?.getAttribute?.('aria-label') || at?.textContent?.trim().slice(0, 40) || at?.tagName || '';
}"""


def stage(page: Page, name: str) -> None:
    """Expect a stage to be chosen."""
    expect(page.locator(f"#stage-{name}")).to_have_attribute("aria-selected", "true")


def leave_editor(page: Page) -> None:
    """Press Escape: once, or twice where the first closes what the editor proposes."""
    for _ in range(2):
        page.keyboard.press("Escape")
        if page.evaluate("document.activeElement.classList.contains('compile')"):
            break
    expect(page.get_by_role("button", name="Compile")).to_be_focused()


def test_numbers_choose_stages_and_letters_panes(open_page: Open) -> None:
    page = open_page()
    for number, name in enumerate(["tensor", "backward", "simplified", "kernels", "lowered", "wgsl"], start=1):
        page.keyboard.press(str(number))
        stage(page, name)
    for letter, name in {"n": "node", "r": "rewrites", "k": "kernels", "u": "run", "t": "train"}.items():
        page.keyboard.press(letter)
        expect(page.locator(f"#tab-{name}")).to_have_attribute("aria-selected", "true")
        expect(page.locator(f"#panel-{name}")).to_be_visible()
        assert page.locator("#inspector > .panel:visible").count() == 1


def test_arrows_go_along_the_stages_and_the_tabs(open_page: Open) -> None:
    page = open_page()
    page.locator("#stage-tensor").focus()
    page.keyboard.press("ArrowRight")
    stage(page, "backward")
    expect(page.locator("#stage-backward")).to_be_focused()
    page.keyboard.press("End")
    stage(page, "wgsl")
    page.keyboard.press("ArrowRight")
    stage(page, "tensor")
    assert page.locator("#pipeline [role=tab][tabindex='0']").count() == 1
    page.locator("#tab-node").click()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-rewrites")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(page.locator("#tab-node")).to_be_focused()


def test_keys_do_nothing_while_someone_writes(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("e")
    page.keyboard.press("ControlOrMeta+End")
    page.keyboard.type("#3rd?/x")
    stage(page, "tensor")
    expect(page.locator("#tab-node")).to_have_attribute("aria-selected", "true")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("#program .cm-content")).to_contain_text("#3rd?/x")
    leave_editor(page)
    page.keyboard.press("/")
    search = page.locator("#graph input[type=search]")
    expect(search).to_be_focused()
    page.keyboard.type("3k")
    stage(page, "tensor")
    expect(search).to_have_value("3k")


def test_a_program_is_written_compiled_and_looked_at_without_a_mouse(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("e")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(MATMUL)
    leave_editor(page)
    page.keyboard.press("Enter")
    settled(page)
    assert "1 kernel" in stage_names(page)[5]
    page.keyboard.press("6")
    stage(page, "wgsl")
    expect(page.locator("#panel-kernels")).to_contain_text("@compute")


def test_help_lists_every_key_once(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("?")
    dialog = page.locator("dialog.help")
    expect(dialog).to_be_visible()
    for words in ("Compile", "Search", "Copy a link", "Light or dark", "Lowered", "Train"):
        expect(dialog).to_contain_text(words)
    page.keyboard.press("4")  # the page below does not hear it
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    stage(page, "tensor")


def test_single_keys_can_be_switched_off(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("?")
    page.locator("#single-keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    page.keyboard.press("k")
    stage(page, "tensor")
    page.reload()
    settled(page)
    page.keyboard.press("4")
    stage(page, "tensor")
    page.get_by_role("button", name="Help").click()
    page.locator("#single-keys").check()
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    stage(page, "kernels")


def test_tab_reaches_everything_and_comes_round(open_page: Open) -> None:
    page = open_page()
    page.evaluate("document.activeElement?.blur()")
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(str(page.evaluate(FOCUS)))
        if reached[-1] == "Program, in Python":
            page.keyboard.press("Escape")  # Tab indents in the editor, Escape leaves it
            page.keyboard.press("Tab")
            page.keyboard.press("Tab")
            page.evaluate("document.getElementById('split-program').focus()")
    text = "\n".join(reached)
    for wanted in ("skip", "Copy link", "Export", "Help", "Example", "Compile", "Program, in Python", "split-inspector", "stage-tensor", "tab-node"):
        assert wanted in text, (wanted, reached)


def test_the_first_tab_stop_leads_to_the_graph(open_page: Open) -> None:
    page = open_page()
    page.evaluate("document.activeElement?.blur()")
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    before = page.url
    page.keyboard.press("Enter")
    assert page.evaluate("document.getElementById('graph').contains(document.activeElement)")
    assert re.sub("#.*", "", page.url) == re.sub("#.*", "", before)
    assert "#graph" not in page.url
