"""The run pane on the tab's GPU: values, pictures, checks, times, and what it says where nothing can run."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from site_browser import READY, Host

from anneal.examples import digits
from e2e.conftest import STARTED, Open, Watched
from e2e.test_accessibility import violations

MATMUL = """
from anneal import Tensor

a = Tensor([[i * 0.5 - j for j in range(6)] for i in range(4)])
b = Tensor([[0.25 * i * j - 1 for j in range(3)] for i in range(6)])
a @ b
"""


def link(source: str) -> str:
    """The part of an address that holds a program."""
    deflate = zlib.compressobj(wbits=-15)
    packed = deflate.compress(source.encode()) + deflate.flush()
    return "pane=run&code=" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def run(page: Page, *, check: bool = False) -> None:
    """Press Run, and wait for what comes of it."""
    page.locator(".run-form input[type=checkbox]").set_checked(check)
    page.evaluate("document.querySelector('.run-status').replaceChildren()")
    page.click(".run-form button")
    page.wait_for_selector(".run-device, .run-status .callout", timeout=STARTED)


def card(page: Page, name: str) -> Any:
    return page.locator(f".run-value[aria-label='{name}']").first


def agrees(page: Page) -> None:
    """The last run was checked, and nothing differs."""
    assert page.locator(".run-verdict").inner_text() == "✓ agrees", page.locator(".run-status").inner_text()


def numbers(page: Page, name: str) -> Any:
    """The table of a value."""
    found = card(page, name)
    if found.locator(".run-views").count():
        found.get_by_role("button", name="Numbers").click()
    rows = found.locator(".run-numbers tbody tr")
    return np.array([[float(cell) for cell in row.locator("td").all_inner_texts()] for row in rows.all()])


def test_a_product_of_matrices_is_numpys(open_page: Open) -> None:
    page = open_page(link(MATMUL))
    run(page, check=True)
    a = np.array([[i * 0.5 - j for j in range(6)] for i in range(4)])
    b = np.array([[0.25 * i * j - 1 for j in range(3)] for i in range(6)])
    assert np.allclose(numbers(page, "output0"), a @ b, rtol=1e-4)
    agrees(page)
    assert "The whole graph was computed in plain Python. All agree (12 elements)" in page.locator(".run-status").inner_text()
    assert "✓ 12 agree" in card(page, "output0").inner_text()
    page.click(".run-group:has-text('read') summary")
    assert np.allclose(numbers(page, "a"), a)
    assert np.allclose(numbers(page, "b"), b, rtol=1e-4)


def test_every_kernel_of_the_training_step_runs_and_agrees(open_page: Open, shot: Callable[[Page, str], None]) -> None:
    page = open_page("example=mlp&pane=run")
    choices = page.locator(".run-form select").first
    kernels = choices.locator("option").count() - 1
    assert kernels == 7
    for number in range(kernels):
        choices.select_option(str(number))
        run(page, check=True)
        agrees(page)
        assert page.locator(".run-value .tag.error").count() == 0
        assert page.locator(".run-group").first.locator(".run-value .tag.good").count() >= 1
        expect(page.locator(".run-bars tr")).to_have_count(number + 1)
    choices.select_option("")
    run(page, check=True)
    assert "elements of what every kernel stores, drawn at random" in page.locator(".run-status").inner_text()
    assert 2.0 < float(card(page, "loss").locator(".run-scalar").inner_text()) < 2.6
    shot(page, "run-light")


def test_runs_add_up_and_are_timed_by_the_device(open_page: Open) -> None:
    page = open_page("example=mlp&pane=run")
    counts = []
    for _ in range(2):
        run(page)
        counts.append(int(re.findall(r"^\d+", page.locator(".run-bars td").first.get_attribute("title") or "")[0]))
    assert 1 <= counts[0] < counts[1]
    assert "by the device's own timestamps" in page.locator(".run-bars caption").inner_text()
    times = page.locator(".run-bars tr td:nth-child(2)").all_inner_texts()
    assert len(times) == 7
    assert all(re.fullmatch(r"[\d.]+ (µs|ms|s)", text) for text in times)
    assert all(text.startswith("±") for text in page.locator(".run-bars tr td:nth-child(3)").all_inner_texts())
    page.locator(".run-kernel").nth(4).click()
    expect(page.locator("#tab-kernels")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".kernels-option").nth(4)).to_have_attribute("aria-selected", "true")


def test_digits_are_pictures_with_their_labels(open_page: Open) -> None:
    page = open_page("example=mlp&pane=run")
    run(page)
    page.click(".run-group:has-text('read') summary")
    data = digits.load()
    figures = card(page, "inputs").locator("figure")
    assert figures.locator("figcaption").all_inner_texts()[:20] == [str(label) for label in data.labels.tolist()[:20]]
    drawn = figures.nth(3).locator("canvas").evaluate("canvas => [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 === 0)")
    assert np.allclose(drawn, np.array(data.inputs.tolist()[3]) * 255, atol=1)
    weights = card(page, "hidden.weight")
    assert weights.locator("canvas.run-map").count() == 1
    weights.get_by_role("button", name="Pictures").click()
    assert weights.locator("figure").count() >= 16


def test_a_seed_draws_inputs(open_page: Open) -> None:
    page = open_page(link(MATMUL))
    seen = []
    for seed in (None, "1", "2", "1"):
        if seed is not None:
            page.locator(".run-form select").nth(1).select_option("random")
            page.fill(".run-seed", seed)
        run(page, check=True)
        agrees(page)
        seen.append(numbers(page, "output0").tolist())
    assert seen[1] == seen[3]
    assert len({str(values) for values in seen}) == 3


def test_what_is_not_finite_is_said_in_words(open_page: Open) -> None:
    page = open_page(link("from anneal import Tensor\nx = Tensor([0.0, 1.0, -1.0])\n1 / x, (x - 0.5).log()\n"))
    run(page, check=True)
    agrees(page)
    assert card(page, "output0").locator("tbody td").all_inner_texts()[0] == "Infinity"
    assert "NaN" in card(page, "output1").locator("tbody td").all_inner_texts()


def test_another_program_begins_with_nothing(open_page: Open) -> None:
    page = open_page("example=mlp&pane=run")
    run(page)
    assert page.locator(".run-bars tr").count() == 7
    page.goto(page.url.split("#")[0] + "#" + link(MATMUL))
    expect(page.locator(".run-form select").first.locator("option")).to_have_count(2, timeout=STARTED)
    assert page.locator(".run-value, .run-bars").count() == 0
    run(page)
    assert page.locator(".run-bars tr").count() == 1


def test_the_key_runs(open_page: Open) -> None:
    page = open_page("example=mlp")
    page.keyboard.press("x")
    page.wait_for_selector(".run-device", timeout=STARTED)
    expect(page.locator("#tab-run")).to_have_attribute("aria-selected", "true")


def test_without_a_gpu_the_button_says_why(browser_without_gpu: Browser, host: Host, watched: Watched, shot: Callable[[Page, str], None]) -> None:
    context = browser_without_gpu.new_context(viewport={"width": 1280, "height": 800})
    page = watched.watch(context.new_page())
    page.goto(f"{host.url}#example=mlp&pane=run")
    page.wait_for_selector(READY, timeout=STARTED)
    button = page.locator(".run-form button")
    expect(button).to_be_disabled()
    expect(button).to_have_accessible_description("There is no WebGPU device in this tab.")
    told = page.locator(".run-missing").inner_text()
    assert "Nothing can be run here." in told
    assert "WebGPU" in told
    assert "Everything else on this page works without it." in told
    shot(page, "run-no-webgpu")
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_how_it_looks(open_page: Open, shot: Callable[[Page, str], None], theme: str) -> None:
    page = open_page("example=mlp&pane=run")
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of the two
    page.locator(".landing button").click()
    run(page, check=True)
    page.click(".run-group:has-text('read') summary")
    card(page, "inputs").scroll_into_view_if_needed()
    shot(page, f"run-values-{theme}")
    ground = card(page, "hidden.weight").locator("canvas").first.evaluate("canvas => [...canvas.getContext('2d').getImageData(0, 0, 16, 1).data]")
    assert len(set(ground)) > 8
    assert violations(page) == []
    for view in ("Numbers", "Pictures"):
        card(page, "hidden.weight").get_by_role("button", name=view).click()
    card(page, "hidden.bias").get_by_role("button", name="Numbers").click()
    assert violations(page) == []
