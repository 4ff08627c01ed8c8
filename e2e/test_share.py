"""The address: it says what is shown, opens it again, and survives what others make of it."""

from __future__ import annotations

import base64
import re
import zlib

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from site_browser import Host

from e2e.conftest import Open
from e2e.test_shell import MATMUL, compile_text, settled, stage_names, untimed


def packed(text: str) -> str:
    """A program as links have it, made by zlib."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.urlsafe_b64encode(packer.compress(text.encode()) + packer.flush()).decode().rstrip("=")


def unpacked(text: str) -> str:
    """The program of a link, read by zlib."""
    return zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), -15).decode()


def said(page: Page, pattern: str) -> None:
    """Wait until the address says something."""
    expect(page).to_have_url(re.compile(pattern))


def test_a_view_of_an_example_is_readable_in_the_address_and_opens_again(open_page: Open) -> None:
    page = open_page("example=mlp&part=backward&stage=kernels&pane=kernels&kernel=1")
    expect(page.locator("#stage-kernels")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#tab-kernels")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".part[data-part=backward]")).to_have_attribute("aria-checked", "true")
    said(page, r"#example=mlp&part=backward&stage=kernels&kernel=1&pane=kernels$")
    page.locator("#stage-lowered").click()
    said(page, "stage=lowered")
    again = open_page(page.url.split("#")[1])
    expect(again.locator("#stage-lowered")).to_have_attribute("aria-selected", "true")
    expect(again.locator(".part[data-part=backward]")).to_have_attribute("aria-checked", "true")
    assert untimed(again) == untimed(page)


def test_a_step_of_the_rewrites_is_in_the_address(open_page: Open) -> None:
    page = open_page("example=mlp&stage=simplified&pane=rewrites")
    slider = page.locator("#panel-rewrites input[type=range]").first
    expect(slider).to_be_enabled()
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    said(page, r"&step=\d+")
    page.wait_for_timeout(400)  # the address settles
    before, shown = page.url, page.locator("#panel-rewrites").inner_text()
    page.reload()
    settled(page)
    expect(slider).to_be_enabled()
    assert page.url == before
    expect(page.locator("#panel-rewrites")).to_have_text(shown, use_inner_text=True)


@pytest.mark.parametrize("view", ["example=mlp&stage=simplified", "example=softmax&stage=wgsl"])
def test_a_node_is_named_so_that_another_tab_finds_it(open_page: Open, view: str) -> None:
    page = open_page(f"{view}&pane=node")
    search = page.locator("#graph input[type=search]")
    search.fill("op:exp2")
    expect(page.locator("#graph")).to_contain_text(re.compile(r"\d+ found"))
    search.press("Enter")
    said(page, "node=")
    expect(page.locator("#panel-node")).to_contain_text("exp2")
    again = open_page(page.url.split("#")[1])
    expect(again.locator("#panel-node")).to_contain_text("exp2")
    said(again, re.escape("#" + page.url.split("#")[1]))


def test_a_program_of_ones_own_travels_in_the_address(open_page: Open) -> None:
    text = f"# ünïcödé, “quotes” & <tags>\n{MATMUL}"
    page = open_page()
    compile_text(page, text)
    said(page, "code=")
    match = re.search(r"code=([\w-]+)", page.url)
    assert match is not None
    assert unpacked(match[1]) == text
    again = open_page(f"code={packed(text)}&stage=kernels")
    expect(again.locator("#program .cm-content")).to_contain_text("# ünïcödé, “quotes” & <tags>")
    expect(again.locator("#stage-kernels")).to_have_attribute("aria-selected", "true")
    assert untimed(again) == untimed(page)


@pytest.mark.parametrize(
    "fragment",
    [
        "code=%%%",
        "code=AAAA____",
        "code=" + packed(MATMUL)[:-9],
        "example=nothing",
        "example=mlp&stage=%3Cscript%3E",
        "example=mlp&step=banana&scene=-1&kernel=1e9",
        "example=mlp&pane=__proto__",
        "example=mlp&node=<img src=x>",
        "&&&===&x=%E0%A4%A",
        "example=mlp&stage=simplified&scene=77&step=999999&kernel=999",
        "example=mlp&stage=simplified&node=999999999",
    ],
)
def test_garbage_gives_a_notice_and_a_page_that_works(open_page: Open, fragment: str) -> None:
    page = open_page(fragment)
    expect(page.locator("body")).to_have_attribute("data-state", "ready")
    expect(page.locator("#program select")).to_have_value("mlp")
    expect(page.locator("#program .wrong")).to_be_hidden()
    if "999" not in fragment:  # a number that is none of this program's is only left out
        expect(page.locator("#notices")).to_contain_text("could not be read")
    page.locator("#stage-kernels").click()
    expect(page.locator("#stage-kernels")).to_have_attribute("aria-selected", "true")
    assert page.locator("img[src=x]").count() == 0


def test_a_link_that_would_grow_without_end_is_refused(open_page: Open) -> None:
    page = open_page(f"code={packed('#' * 5_000_000)}")
    expect(page.locator("#notices")).to_contain_text("its program is damaged")
    expect(page.locator("#program select")).to_have_value("mlp")


def test_back_and_forward_go_from_program_to_program(open_page: Open) -> None:
    page = open_page("example=mlp")
    page.locator("#stage-kernels").click()
    said(page, "stage=kernels")
    page.locator("#program select").select_option("conv")
    settled(page)
    said(page, "example=conv")
    page.go_back()
    expect(page.locator("#program select")).to_have_value("mlp")
    settled(page)
    said(page, "example=mlp&stage=kernels")
    expect(page.locator("#stage-kernels")).to_have_attribute("aria-selected", "true")
    page.go_forward()
    expect(page.locator("#program select")).to_have_value("conv")
    settled(page)
    said(page, "example=conv")


def test_an_address_that_is_typed_over_is_followed(open_page: Open) -> None:
    page = open_page("example=mlp")
    page.evaluate("location.hash = 'example=mlp&stage=lowered'")
    expect(page.locator("#stage-lowered")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#program select")).to_have_value("mlp")


def test_the_link_is_copied(open_page: Open, context: BrowserContext, host: Host) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=host.url.rstrip("/"))
    page = open_page("example=mlp&stage=lowered")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#notices")).to_contain_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{host.url}#example=mlp&stage=lowered"


def test_a_program_with_a_mistake_can_be_shared(open_page: Open, context: BrowserContext, host: Host) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=host.url.rstrip("/"))
    page = open_page()
    compile_text(page, "1 / 0\n")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#notices")).to_contain_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    match = re.search(r"code=([\w-]+)", copied)
    assert match is not None
    assert unpacked(match[1]) == "1 / 0\n"
    again = open_page(copied.split("#")[1])
    expect(again.locator("#program .wrong")).to_contain_text("ZeroDivisionError")


def test_a_program_too_long_for_a_link_says_so(open_page: Open) -> None:
    noise = "".join(f"# {zlib.crc32(bytes([i % 256, i // 256])):08x}\n" for i in range(6000))
    page = open_page()
    compile_text(page, noise + MATMUL)
    assert "1 kernel" in stage_names(page)[5]
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#notices")).to_contain_text("too long for a link")
    assert "code=" not in page.url
