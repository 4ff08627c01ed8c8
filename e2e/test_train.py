"""The Train pane: real digits learned on the tab's GPU, while the rest of the page goes on."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from site_browser import READY, Host

from e2e.conftest import STARTED, Open, Watched

LINK = "example=mlp&part=step&pane=train"
SMALL = """
from anneal import nn
from anneal.examples import Example, digits

Example("small <b>net</b>", "one layer", lambda: nn.Linear(64, 10), digits.load, optimizer="adam", batch=16)
"""
Shot = Callable[[Page, str], None]


def pane(page: Page) -> Locator:
    return page.locator("#panel-train")


def state(page: Page) -> Locator:
    return page.locator(".train-state")


def press(page: Page, name: str) -> None:
    pane(page).get_by_role("button", name=name, exact=True).click()


def begin(page: Page, *, steps: int, model: str | None = None, lr: str | None = None) -> None:
    """Start a training."""
    if model is not None:
        page.get_by_label("Model", exact=True).select_option(model)
    page.get_by_label("Steps", exact=True).fill(str(steps))
    if lr is not None:
        rate(page).fill(lr)
    pane(page).locator("button[type=submit]").click()


def rate(page: Page) -> Locator:
    return page.get_by_label("Learning rate", exact=True)


def ended(page: Page, text: str) -> None:
    expect(state(page)).to_have_text(text, timeout=STARTED)


def step_of(page: Page) -> int:
    """The step that the pane says it is at."""
    found = re.search(r"step (\d+) of", state(page).inner_text())
    return int(found.group(1)) if found else 0


def entry(page: Page, name: str) -> str:
    """One of the pane's figures."""
    return str(pane(page).locator(".figures > div", has_text=name).locator("dd").inner_text())


def past(page: Page, step: int) -> None:
    """Wait until the training has gone past a step."""
    reached = "step => Number(/step (\\d+) of/u.exec(document.querySelector('.train-state').textContent)?.[1] ?? 0) > step"
    page.wait_for_function(reached, arg=step, timeout=STARTED)


def rows(page: Page) -> list[list[str]]:
    """The values as a table."""
    return [row.locator("td").all_text_contents() for row in pane(page).locator(".values tbody tr").all()]


def test_the_mlp_learns_its_digits(open_page: Open, shot: Shot) -> None:
    page = open_page(LINK)
    fingerprint = page.locator("#foot button.mono").inner_text()
    expect(state(page)).to_have_text("Nothing is trained yet")
    begin(page, steps=200)
    past(page, 10)
    shot(page, "train-running")
    ended(page, "Done: step 200 of 200")
    assert float(entry(page, "Accuracy").removesuffix("%")) >= 90
    assert float(entry(page, "Loss")) < 0.5
    assert re.match(r"[\d.]+ (m?s|µs)", entry(page, "A step"))
    told = rows(page)
    assert (told[0][0], told[-1][0]) == ("1", "200")
    assert float(told[0][1]) > 2
    assert float(told[-1][1]) < 0.5
    assert float(told[-1][2]) >= 0.9
    expect(pane(page).get_by_text("the one that the other panes show")).to_be_visible()
    expect(pane(page).locator(".train-plan code").first).to_have_text(fingerprint)
    expect(pane(page).locator(".train-kernels li")).to_have_count(7)
    expect(pane(page).locator("svg.loss")).to_have_attribute("aria-label", re.compile(r"^Loss: 2\.\d+ at step 1, 0\.\d+ at step 200$"))
    expect(pane(page).locator("svg.accuracy polyline.line")).to_be_visible()
    shot(page, "train-done")


def test_held_out_digits_say_right_and_wrong_by_sign_too(open_page: Open, shot: Shot) -> None:
    page = open_page(LINK)
    begin(page, steps=60)
    ended(page, "Done: step 60 of 60")
    cards = pane(page).locator(".digit")
    expect(cards).to_have_count(20)
    for card in cards.all():
        words = card.locator(".visually-hidden").inner_text()
        sign, truth = card.locator(".digit-said").inner_text(), words[2]
        assert sign == (f"✓ {truth}" if "says so" in words else f"✗ {words.split('says ')[1][0]}")
    shades = page.evaluate(
        "[...document.querySelector('.digit-picture').getContext('2d').getImageData(0, 0, 8, 8).data].filter((_, at) => at % 4 === 0)",
    )
    assert len(shades) == 64
    assert min(shades) < 60, "ink"
    assert max(shades) > 200, "paper"
    cards.first.click()
    bars = pane(page).locator(".bars tbody tr")
    expect(bars).to_have_count(10)
    parts = [float(text.removesuffix("%")) for text in bars.locator(".bar-value").all_inner_texts()]
    assert abs(sum(parts) - 100) < 1
    cards.first.scroll_into_view_if_needed()
    shot(page, "train-digits")
    pane(page).get_by_label("only those that it is wrong about").check()
    expect(pane(page).locator(".digit.right")).to_have_count(0)
    expect(pane(page).locator(".digit.wrong").first).to_contain_text("✗")


def test_stop_go_on_and_reset(open_page: Open) -> None:
    page = open_page(LINK)
    begin(page, steps=100_000)
    past(page, 20)
    press(page, "Stop")
    expect(state(page)).to_have_text(re.compile(r"^Stopped: step \d+ of 100000$"), timeout=STARTED)
    first = step_of(page)
    assert 20 < first < 100_000
    page.get_by_label("Steps", exact=True).fill("10")
    press(page, "Go on")
    ended(page, f"Done: step {first + 10} of {first + 10}")
    assert rows(page)[0][0] == "1", "the curve goes on"
    press(page, "Reset")
    expect(state(page)).to_have_text("Nothing is trained yet")
    expect(pane(page).locator(".train-results")).to_be_hidden()
    press(page, "Start")
    ended(page, "Done: step 10 of 10")


def test_a_reset_ends_a_training_that_runs(open_page: Open) -> None:
    page = open_page(LINK)
    begin(page, steps=100_000)
    past(page, 10)
    press(page, "Reset")
    ended(page, "Nothing is trained yet")


def test_the_rate_changes_while_it_trains(open_page: Open) -> None:
    page = open_page(LINK)
    begin(page, steps=2000)
    past(page, 30)
    rate(page).fill("0")
    rate(page).press("Tab")
    past(page, step_of(page) + 150)  # two scores, each after 70 steps
    press(page, "Stop")
    expect(state(page)).to_have_text(re.compile("^Stopped"), timeout=STARTED)
    known = [row[2] for row in rows(page) if row[2]]
    assert known[-1] == known[-2], "nothing is learned at a rate of 0"
    expect(rate(page)).to_have_attribute("placeholder", "0")
    rate(page).fill("0.1")
    pane(page).get_by_role("button", name="twice the learning rate").click()
    expect(rate(page)).to_have_value("0.2")


def test_a_rate_that_is_too_large_is_told(open_page: Open, shot: Shot) -> None:
    page = open_page(LINK)
    begin(page, steps=300, lr="1e30")
    expect(pane(page).get_by_role("alert")).to_contain_text("training has diverged", timeout=STARTED)
    expect(state(page)).to_contain_text("Failed")
    shot(page, "train-diverged")
    rate(page).fill("0.1")
    begin(page, steps=20)
    ended(page, "Done: step 20 of 20")
    expect(pane(page).get_by_role("alert")).to_be_hidden()


def test_conv_trains(open_page: Open) -> None:
    page = open_page("example=conv&part=forward&pane=train")
    begin(page, steps=6)
    ended(page, "Done: step 6 of 6")
    assert [row[0] for row in rows(page)] == ["1", "2", "3", "4", "5", "6"]
    expect(pane(page).locator(".digit")).to_have_count(20)


def test_the_program_of_ones_own_trains(open_page: Open) -> None:
    page = open_page("example=mlp&pane=train")
    page.locator("#program .cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(SMALL)
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page.get_by_label("Model", exact=True).locator("option")).to_have_count(3, timeout=STARTED)
    page.get_by_label("Model", exact=True).select_option("program")
    begin(page, steps=30)
    ended(page, "Done: step 30 of 30")
    expect(pane(page).locator(".train-plan")).to_contain_text("small <b>net</b>: 650 parameters, adam, batches of 16")


def test_it_goes_on_while_the_user_looks_elsewhere(open_page: Open) -> None:
    page = open_page(LINK)
    begin(page, steps=100_000)
    past(page, 10)
    before = step_of(page)
    page.click("#tab-node")
    for stage in ("simplified", "kernels", "backward"):
        page.click(f"#stage-{stage}")
        expect(page.locator("#graph canvas").first).to_be_visible()
    page.click("#tab-train")
    past(page, before + 20)
    press(page, "Stop")
    expect(state(page)).to_have_text(re.compile("^Stopped"), timeout=STARTED)


def test_by_keyboard_alone(open_page: Open) -> None:
    page = open_page(LINK)
    page.get_by_label("Steps", exact=True).focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("20")
    page.keyboard.press("Enter")
    ended(page, "Done: step 20 of 20")
    pane(page).get_by_text("The values as a table").focus()
    page.keyboard.press("Enter")
    expect(pane(page).get_by_role("table", name="Loss and held-out accuracy")).to_be_visible()
    pane(page).locator(".digit").first.focus()
    page.keyboard.press("Space")
    expect(pane(page).locator(".bars")).to_be_visible()


def test_the_page_s_stop_ends_a_training_and_says_so(open_page: Open) -> None:
    page = open_page(LINK)
    begin(page, steps=100_000)
    past(page, 10)
    page.locator("#program .cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text("while True:\n    pass\n")
    page.keyboard.press("ControlOrMeta+Enter")
    page.locator("#busy").get_by_role("button", name="Stop").click()
    expect(pane(page).get_by_role("alert")).to_contain_text("Stopped", timeout=STARTED)
    expect(state(page)).to_contain_text("Nothing is trained yet")
    page.wait_for_selector(READY, timeout=STARTED)
    begin(page, steps=3)
    ended(page, "Done: step 3 of 3")


def test_without_webgpu_it_says_what_to_do(browser_without_gpu: Browser, host: Host, watched: Watched, shot: Shot) -> None:
    page = watched.watch(browser_without_gpu.new_page(viewport={"width": 1280, "height": 800}))
    page.goto(f"{host.url}#{LINK}")
    page.wait_for_selector(READY, timeout=STARTED)
    expect(pane(page).locator(".callout").first).to_contain_text("WebGPU")
    for control in pane(page).locator("form button, form input, form select").all():
        expect(control).to_be_disabled()
    shot(page, "train-without-webgpu")
    page.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_can_be_read_in_both_themes(browser: Browser, host: Host, watched: Watched, shot: Shot, theme: str) -> None:
    context = browser.new_context(viewport={"width": 820, "height": 1180}, color_scheme="dark" if theme == "dark" else "light")
    page = watched.watch(context.new_page())
    page.goto(f"{host.url}#{LINK}")
    page.wait_for_selector(READY, timeout=STARTED)
    begin(page, steps=60)
    ended(page, "Done: step 60 of 60")
    expect(pane(page).locator(".digit")).to_have_count(20)
    shot(page, f"train-tablet-{theme}")
    context.close()
