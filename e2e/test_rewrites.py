"""The rewrites pane: every rewrite of a stage is reached, by keys and by hand, shows its rule, and is marked in the graph."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from site_browser import READY, Host

from e2e.conftest import STARTED, Open, Watched

SIMPLIFIED = "example=mlp&part=step&stage=simplified&pane=rewrites"
PANEL = "#panel-rewrites"
CARD = f"{PANEL} .rewrite-card"
HOSTILE = """from anneal import Tensor, nn

class Net:
    def __init__(self):
        setattr(self, "<img src=x onerror=alert(1)>", nn.Linear(2, 2))

    def __call__(self, x):
        return getattr(self, "<img src=x onerror=alert(1)>")(x)

Net()(Tensor([[1.0, 2.0]]) * 1) * Net()(Tensor([[3.0, 4.0]]) * 1)
"""


def count(page: Page) -> str:
    return page.locator(f"{PANEL} .count").inner_text()


def fired(page: Page) -> dict[str, int]:
    """The table of rules."""
    rows = page.locator(f"{PANEL} tbody tr").all()
    return {row.locator("button").inner_text(): int(row.locator("td.times").inner_text().replace(",", "")) for row in rows}


@pytest.fixture(scope="module")
def mlp(browser: Browser, host: Host) -> Iterator[Page]:
    """One page for the tests that look at the training step of the MLP; each goes to its place by the address."""
    context, told = browser.new_context(viewport={"width": 1280, "height": 800}), Watched()
    page = told.watch(context.new_page())
    page.goto(f"{host.url}#{SIMPLIFIED}")
    page.wait_for_selector(f"{READY}, body[data-state='failed']", timeout=STARTED)
    yield page
    context.close()
    told.check()


def at(page: Page, place: str) -> Page:
    """The page at a place of the training step, as when its link is followed; what was chosen before is let go."""
    page.evaluate("document.activeElement.blur()")
    for message in page.get_by_label("Close this message").all():
        message.click()
    for there in dict.fromkeys(("stage=tensor", place)):
        page.goto(f"{page.url.partition('#')[0]}#example=mlp&part=step&{there}&pane=rewrites")
        page.wait_for_selector(f"#stage-{re.findall('stage=([a-z]+)', there)[0]}[aria-selected=true]")
        whole = f"{PANEL} .rewrites:not([hidden]) .name:text-is('The stage as a whole')"
        page.wait_for_selector(f"{whole}, {PANEL} .empty:not([hidden]) .row", timeout=STARTED)
    return page


def words(page: Page) -> tuple[str, str, str]:
    """Rule, before and after, once they are told."""
    page.wait_for_selector(f"{CARD} .sides:not(.late):not([hidden])")
    return page.locator(f"{CARD} .name").inner_text(), page.locator(f"{CARD} .before code").inner_text(), page.locator(f"{CARD} .after code").inner_text()


def test_every_rewrite_is_reached_by_arrow_keys_and_shows_its_rule(mlp: Page, shot: Callable[[Page, str], None]) -> None:
    page = at(mlp, "stage=simplified")
    expect(page.locator(f"{CARD} .name")).to_have_text("The stage as a whole")
    number = int(count(page).split()[0])
    assert number > 20
    table = fired(page)
    assert sum(table.values()) == number
    page.keyboard.press("Home")
    expect(page.locator(f"{CARD} .name")).to_have_text("Before the first rewrite")
    seen: dict[str, int] = {}
    for k in range(1, number + 1):
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"{PANEL} .count")).to_have_text(f"{k} of {number}")
        rule, before, after = words(page)
        assert before
        assert after
        assert before != after
        seen[rule] = seen.get(rule, 0) + 1
    assert seen == table
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{PANEL} .count")).to_have_text(f"{number} of {number}")
    shot(page, "rewrites-last")
    for k in range(number - 1, number - 4, -1):
        page.keyboard.press("ArrowLeft")
        expect(page.locator(f"{PANEL} .count")).to_have_text(f"{k} of {number}")


def test_the_rule_is_shown_as_it_is_written(mlp: Page) -> None:
    page = at(mlp, "stage=simplified")
    page.locator(f"{PANEL} tbody button", has_text=re.compile("^detach$")).click()
    expect(page.locator(f"{CARD} .name")).to_have_text("detach")
    expect(page.locator(f"{CARD} pre.text")).to_have_text("detach(x) => x")
    expect(page.locator(f"{CARD} .place")).to_contain_text("anneal/rules/tensor.upat:")
    rule, before, after = words(page)
    assert (rule, before.splitlines()[-1]) == ("detach", f"detach({after})")


def test_one_rule_is_followed_and_the_same_rule_is_found_again(mlp: Page) -> None:
    page = at(mlp, "stage=simplified")
    times = fired(page)
    page.locator(f"{PANEL} label", has_text="Follow").locator("select").select_option("commute")
    positions = []
    for _ in range(times["commute"]):
        expect(page.locator(f"{CARD} .name")).to_have_text("commute")
        positions.append(count(page))
        page.keyboard.press("ArrowRight")
    assert len(set(positions)) == times["commute"]
    expect(page.locator(f"{PANEL} .count")).to_have_text(positions[-1])
    expect(page.locator(f"{PANEL} tbody button[aria-pressed=true]")).to_have_text("commute")
    page.locator(f"{PANEL} tbody button[aria-pressed=true]").click()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    first = words(page)[0]
    page.keyboard.press("Shift+ArrowRight")
    if times[first] > 1:
        expect(page.locator(f"{CARD} .name")).to_have_text(first)
        page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator(f"{PANEL} .count")).to_have_text(re.compile("^1 of "))


def test_the_table_is_sorted_by_its_heads(mlp: Page) -> None:
    page = at(mlp, "stage=simplified")
    assert list(fired(page).values()) == sorted(fired(page).values(), reverse=True)
    page.locator(f"{PANEL} th.rule button").click()
    expect(page.locator(f"{PANEL} th.rule")).to_have_attribute("aria-sort", "ascending")
    assert list(fired(page)) == sorted(fired(page))
    page.locator(f"{PANEL} th.times button").click()
    page.locator(f"{PANEL} th.times button").click()
    expect(page.locator(f"{PANEL} th.times")).to_have_attribute("aria-sort", "ascending")
    assert list(fired(page).values()) == sorted(fired(page).values())


def test_scenes_of_kernels_are_gone_along(mlp: Page, shot: Callable[[Page, str], None]) -> None:
    page = at(mlp, "stage=kernels")
    shown, total = int(count(page).split()[0]), sum(fired(page).values())
    expect(page.locator(CARD)).to_contain_text(f"Of {total} rewrites, equal ones are shown once: {shown}.")
    scenes = page.locator(f"{PANEL} select.scene option").all_inner_texts()[1:]
    assert len(scenes) > 20
    assert any("times" in text for text in scenes)
    assert any(re.search(r"kernel \d+, \w+: \d+ store", text) for text in scenes)
    chosen = page.locator(f"{PANEL} select.scene")
    for i in range(3):
        page.keyboard.press("]")
        expect(chosen.locator("option:checked")).to_have_text(scenes[i])
    page.keyboard.press("[")
    expect(chosen.locator("option:checked")).to_have_text(scenes[1])
    page.keyboard.press("End")
    expect(chosen.locator("option:checked")).to_have_text(scenes[-1])
    words(page)
    shot(page, "rewrites-kernels")
    chosen.select_option("")
    expect(page.locator(f"{CARD} .name")).to_have_text("The stage as a whole")
    expect(page).not_to_have_url(re.compile("scene="))


def test_a_link_opens_the_same_rewrite(mlp: Page, open_page: Open) -> None:
    page = at(mlp, "stage=lowered")
    page.keyboard.press("]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{PANEL} .count")).to_have_text(re.compile("^2 of "))
    told = words(page)
    expect(page).to_have_url(re.compile("scene=0&step=2"))
    again = open_page(page.url.split("#")[1])
    expect(again.locator(f"{PANEL} .count")).to_have_text(count(page))
    assert words(again) == told


def test_the_slider_is_a_slider(mlp: Page) -> None:
    page = at(mlp, "stage=simplified")
    slider = page.locator(f"{PANEL} input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("1")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^1 of \d+: \w+$"))
    slider.fill("5")
    expect(page.locator(f"{PANEL} .count")).to_have_text(re.compile("^5 of "))
    assert page.locator(f"{CARD} [aria-live=polite]").inner_text() == words(page)[0]


def test_it_plays_until_it_is_paused(mlp: Page) -> None:
    page = at(mlp, "stage=simplified")
    page.locator(f"{PANEL} button[aria-label=Play]").click()
    expect(page.locator(f"{PANEL} .count")).to_have_text(re.compile("^3 of "), timeout=20_000)
    page.keyboard.press("p")
    expect(page.locator(f"{PANEL} button[aria-label=Play]")).to_be_visible()
    stopped = count(page)
    page.wait_for_timeout(1500)
    assert count(page) == stopped


def test_stages_without_rewrites_say_so_and_lead_on(mlp: Page) -> None:
    page = at(mlp, "stage=tensor")
    expect(page.locator(f"{PANEL} .empty")).to_contain_text("nothing has been rewritten yet")
    page.locator(f"{PANEL} .empty button", has_text="How gradients are added").click()
    expect(page.locator("#stage-backward")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    expect(page.locator(f"{CARD} .name")).to_have_text(re.compile("what no gradient rule makes"))
    page.keyboard.press("ArrowLeft")
    assert re.match(r"grad_|accumulate|unbroadcast", words(page)[0])


def test_the_graph_marks_what_a_rewrite_made(mlp: Page) -> None:
    page = at(mlp, "stage=simplified")
    page.keyboard.press("Home")
    seen: list[Any] = []
    for _ in range(3):
        before = page.locator("#graph canvas").first.screenshot()
        page.keyboard.press("ArrowRight")
        words(page)
        page.wait_for_timeout(400)
        seen.append(page.locator("#graph canvas").first.screenshot() != before)
    assert any(seen)


def test_hostile_names_are_text(open_page: Open) -> None:
    page = open_page()
    page.locator("#program .cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(HOSTILE)
    page.keyboard.press("ControlOrMeta+Enter")
    page.wait_for_function("document.body.dataset.state === 'busy'")
    page.wait_for_selector(READY, timeout=STARTED)
    page.locator("#stage-simplified").click()
    page.locator("#tab-rewrites").click()
    page.wait_for_selector(f"{PANEL} .rewrites:not([hidden])")
    texts = []
    for _ in range(int(count(page).split()[0]) + 1):
        page.keyboard.press("ArrowRight")
        texts.append(page.locator(CARD).inner_text())
    assert page.locator(f"{PANEL} img").count() == 0
    page.wait_for_selector(f"{CARD} .sides:not(.late)")
    assert "onerror" in page.locator(CARD).inner_text() + "".join(texts)


@pytest.mark.parametrize("wrong", ["scene=999&step=1", "scene=0&step=99999", "step=2"])
def test_a_link_to_no_rewrite_shows_the_stage(mlp: Page, wrong: str) -> None:
    page = at(mlp, f"stage=kernels&{wrong}")
    expect(page.locator(f"{CARD} .name")).to_have_text("The stage as a whole")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{CARD} .name")).to_have_text("Before the first rewrite")


def test_steps_follow_the_keys_without_a_request_for_each(mlp: Page) -> None:
    """Fifty keys at once: the pane is where they lead, and what is told is of the last."""
    page = at(mlp, "stage=lowered")
    page.keyboard.press("Home")
    sent = page.evaluate(
        """async () => {
          const keys = 50;
          for (let i = 0; i < keys; i++) dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
          await new Promise(requestAnimationFrame);
          return document.querySelector("#panel-rewrites .count").textContent;
        }"""
    )
    assert sent.startswith("50 of "), json.dumps(sent)
    words(page)
    assert count(page).startswith("50 of ")
