"""The page as a whole: it opens, compiles what is written, says what is wrong, stops what does not end, and remembers what it was told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from site_browser import READY, Host

import anneal
from anneal.examples import EXAMPLES
from e2e.conftest import STARTED, Open, Watched

MATMUL = "from anneal import Tensor\n\na = Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])\nb = Tensor([[0.5, 1.0], [1.5, 2.0]])\na @ b\n"
ENDLESS = "while True:\n    pass\n"


def write(page: Page, text: str) -> None:
    """Put a text into the editor, as a user who pastes it over everything."""
    page.locator("#program .cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)


def compile_text(page: Page, text: str) -> None:
    """Write a program, compile it with the keyboard, and wait for what comes of it."""
    write(page, text)
    page.keyboard.press("ControlOrMeta+Enter")
    settled(page)


def settled(page: Page) -> None:
    """Wait until nothing runs."""
    page.wait_for_function("document.body.dataset.state !== 'ready' || !document.querySelector('#busy .what')", timeout=STARTED)
    page.wait_for_selector(READY, timeout=STARTED)


def stage_names(page: Page) -> list[str]:
    """What the strip calls its stages, and what it says of them."""
    told = "tab => tab.querySelector('.title').lastChild.textContent + ': ' + [...tab.querySelectorAll('.facts span')].map(one => one.textContent).join(', ')"
    return [str(tab.evaluate(told)) for tab in page.locator("#pipeline [role=tab]").all()]


def untimed(page: Page) -> list[str]:
    """The same without how long each took."""
    return [re.sub(r", [\d.]+ [mµ]?s$", "", name) for name in stage_names(page)]


def test_the_first_visit_shows_the_training_step_of_the_mlp(open_page: Open, shot: Callable[[Page, str], None]) -> None:
    page = open_page()
    expect(page).to_have_title(re.compile("anneal"))
    expect(page.locator("#program select")).to_have_value("mlp")
    expect(page.locator("#program .cm-content")).to_contain_text("class MLP")
    names = stage_names(page)
    assert [name.split(":")[0] for name in names] == ["Tensors", "+ Backward", "Simplified", "Kernels", "Lowered", "WGSL"]
    assert all(re.search(r": [\d,]+ (node|kernel|in)", name) for name in names), names
    expect(page.locator("#landing p")).to_have_count(3)
    expect(page.locator("#foot")).to_contain_text("Python 3.")
    shot(page, "shell-first-visit")


def test_the_plan_is_the_native_one(open_page: Open) -> None:
    page = open_page()
    compile_text(page, MATMUL)
    a, b = anneal.Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), anneal.Tensor([[0.5, 1.0], [1.5, 2.0]])
    native = anneal.compile(a @ b, target=anneal.Target.portable())
    expect(page.locator("#foot button.mono")).to_have_attribute("title", re.compile(native.fingerprint))


def test_every_example_opens(open_page: Open) -> None:
    page = open_page()
    names = [str(option.get_attribute("value")) for option in page.locator("#program select option").all()]
    assert {"mlp", "conv"} <= set(names)
    assert set(EXAMPLES) & {"mlp", "conv"} == {"mlp", "conv"}
    for name in filter(None, names):
        page.locator("#program select").select_option(name)
        settled(page)
        expect(page.locator("#program .wrong")).to_be_hidden()
        expect(page).to_have_url(re.compile(f"#example={name}(&|$)"))
        assert re.search(r"WGSL: \d+ kernel", stage_names(page)[5])


def test_a_program_of_ones_own_is_run_and_what_it_prints_is_shown(open_page: Open) -> None:
    page = open_page()
    compile_text(page, f'print("<b>hello</b>")\n{MATMUL}')
    expect(page.locator("#program .printed")).to_have_text("<b>hello</b>\n")
    expect(page.locator("#program .value")).to_contain_text("(3, 2)")
    expect(page.locator("#program select")).to_have_value("")
    assert "1 kernel" in stage_names(page)[5]


def test_a_stage_that_changes_nothing_folds_away_and_can_be_reached(open_page: Open) -> None:
    page = open_page()
    compile_text(page, MATMUL)
    backward = page.locator("#stage-backward")
    expect(backward).to_have_class(re.compile("folded"))
    expect(page.locator("#stage-kernels")).not_to_have_class(re.compile("folded"))
    backward.click()
    expect(backward).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("from anneal import Tensor\nx = Tensor.rand(2, 3\n", 2, "SyntaxError"),
        ("from anneal import Tensor\n\nx = Tensor.rand(2, 3)\nx.reshape(4, 2)\n", 4, "reshape"),
        ("def inner():\n    return 1 / 0\n\ninner()\n", 2, "ZeroDivisionError"),
    ],
)
def test_an_error_is_shown_at_its_line(open_page: Open, text: str, line: int, said: str) -> None:
    page = open_page()
    before = stage_names(page)
    compile_text(page, text)
    expect(page.locator("#program .wrong")).to_contain_text(said)
    expect(page.locator("#program .wrong")).to_have_attribute("role", "alert")
    expect(page.locator("#program .wrong .link").first).to_have_text(f"line {line}")
    marked = page.locator("#program .cm-line.cm-wrong")
    expect(marked).to_have_text(text.splitlines()[line - 1])
    assert stage_names(page) == before, "what was there before stays"
    page.locator("#stage-lowered").click()
    expect(page.locator("#graph")).to_contain_text("nodes in")
    expect(page.locator("#notices")).not_to_contain_text("cannot be shown")
    compile_text(page, MATMUL)
    expect(marked).to_have_count(0)
    expect(page.locator("#program .wrong")).to_be_hidden()


def test_a_program_without_a_value_says_what_is_wanted(open_page: Open) -> None:
    page = open_page()
    compile_text(page, "x = 1\n")
    expect(page.locator("#program .wrong")).to_contain_text("last")


def test_an_endless_program_is_stopped_and_everything_goes_on(open_page: Open) -> None:
    page = open_page()
    before = untimed(page)
    write(page, ENDLESS)
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page.locator("#busy .what")).to_have_text("Running the program…")
    page.keyboard.insert_text("# still typing\n")  # the page is not held up
    expect(page.locator("#program .cm-content")).to_contain_text("# still typing")
    page.locator("#busy button").click()
    expect(page.locator("#notices")).to_contain_text("Stopped")
    settled(page)
    expect(page.locator("#program .cm-content")).to_contain_text("while True")
    assert untimed(page) == before
    compile_text(page, MATMUL)
    assert "1 kernel" in stage_names(page)[5]


def test_stop_while_python_starts(open_page: Open) -> None:
    page = open_page(wait=False)
    page.locator("#busy button").click()
    page.wait_for_selector(READY, timeout=STARTED)
    expect(page.locator("#program select")).to_have_value("mlp")
    assert "kernels" in stage_names(page)[5]


def test_an_endless_program_is_not_started_again_by_the_next_visit(open_page: Open, host: Host) -> None:
    page = open_page()
    write(page, ENDLESS)
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page.locator("#busy .what")).to_have_text("Running the program…")
    page.goto("about:blank")
    page.goto(host.url)
    page.wait_for_selector(READY, timeout=STARTED)
    expect(page.locator("#program .cm-content")).to_contain_text("while True")
    expect(page.locator("#notices")).to_contain_text("not started again")


def test_the_parts_of_a_program(open_page: Open) -> None:
    page = open_page()
    expect(page.locator(".part[data-part=step]")).to_have_attribute("aria-checked", "true")
    whole = stage_names(page)[1]
    page.locator(".part[data-part=forward]").click()
    settled(page)
    expect(page.locator(".part[data-part=forward]")).to_have_attribute("aria-checked", "true")
    assert stage_names(page)[1] != whole
    expect(page).to_have_url(re.compile("part=forward"))


def test_a_node_leads_to_its_line_and_a_line_to_its_nodes(open_page: Open) -> None:
    page = open_page("example=softmax")
    search = page.locator("#graph input[type=search]")
    search.fill("op:exp2")
    expect(page.locator("#graph")).to_contain_text("1 found")
    search.press("Enter")
    page.locator("#panel-node button", has_text=re.compile(r"line \d+")).first.click()
    line = page.locator("#program .cm-line.cm-shown")
    expect(line).to_contain_text("exp")
    before = page.locator("#graph canvas").first.screenshot()
    page.locator("#program .cm-line", has_text=".max(").click()
    page.wait_for_timeout(600)  # the marks fade in
    assert page.locator("#graph canvas").first.screenshot() != before


def test_the_theme_follows_the_system_until_it_is_chosen(open_page: Open) -> None:
    page = open_page()
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(root).to_have_attribute("data-theme", "dark")
    page.get_by_label("Light colours").click()
    expect(root).to_have_attribute("data-theme", "light")
    page.reload()
    expect(root).to_have_attribute("data-theme", "light")


def test_the_introduction_is_closed_for_good(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Close this introduction").click()
    expect(page.locator("#landing")).to_be_empty()
    page.reload()
    page.wait_for_selector(READY, timeout=STARTED)
    expect(page.locator("#landing")).to_be_empty()


def test_the_splitters_move_by_pointer_and_keys_and_are_remembered(open_page: Open) -> None:
    page = open_page()
    width = "Math.round(document.getElementById('program').getBoundingClientRect().width)"
    before = page.evaluate(width)
    bar = page.locator("#split-program")
    box = bar.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 3, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 63, box["y"] + 210, steps=4)
    page.mouse.up()
    assert page.evaluate(width) == before + 60
    bar.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(width) == before + 44
    page.reload()
    page.wait_for_selector(READY, timeout=STARTED)
    assert page.evaluate(width) == before + 44
    bar.dblclick()
    assert page.evaluate(width) == before


def exported(page: Page, title: str, kind: str) -> tuple[str, bytes]:
    """The name and the bytes of what a line of the export menu gives."""
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as waiting:
        page.locator(".menu button", has_text=title).filter(has_text=kind).click()
    path = waiting.value.path()
    return waiting.value.suggested_filename, Path(path).read_bytes()


def test_exports(open_page: Open) -> None:
    page = open_page("example=mlp&stage=wgsl")
    assert json.loads(exported(page, "Graph of this stage", "JSON")[1])["stage"] == "lowered"
    page.locator("#stage-simplified").click()
    name, data = exported(page, "Graph of this stage", "JSON")
    assert "mlp" in name
    assert json.loads(data)["stage"] == "simplified"
    name, data = exported(page, "Plan", "JSON")
    plan = anneal.Plan.from_json(data.decode())
    assert "mlp" in name
    expect(page.locator("#foot button.mono")).to_have_attribute("title", re.compile(plan.fingerprint))
    name, data = exported(page, "Kernels", "WGSL")
    assert name.endswith(".wgsl")
    assert data.decode().count("@compute") == len(plan.kernels)
    name, data = exported(page, "Picture", "SVG")
    assert name == "mlp-simplified.svg"
    assert b"<svg" in data[:200]
    name, data = exported(page, "Picture", "PNG")
    assert name == "mlp-simplified.png"
    assert data[:8] == b"\x89PNG\r\n\x1a\n"


def test_names_are_text_never_markup(open_page: Open) -> None:
    page = open_page()
    hostile = "<img src=x onerror=document.title='owned'>"
    compile_text(page, f"from anneal import Tensor\n\nprint({hostile!r})\nTensor.rand(4, 4, name={hostile!r}) + 1\n")
    if page.locator("#program .wrong").is_visible():  # `rand` takes no name: an error that repeats the text is as good
        compile_text(page, f"from anneal import Tensor\n\nprint({hostile!r})\nraise ValueError({hostile!r})\n")
        expect(page.locator("#program .wrong")).to_contain_text(hostile)
    expect(page.locator("#program .printed")).to_have_text(f"{hostile}\n")
    assert page.locator("img[src=x]").count() == 0
    assert page.title() != "owned"


def test_without_webgpu_everything_but_running_works(browser_without_gpu: Browser, host: Host, watched: Watched) -> None:
    context = browser_without_gpu.new_context(viewport={"width": 1280, "height": 800})
    page = watched.watch(context.new_page())
    page.goto(host.url)
    page.wait_for_selector(READY, timeout=STARTED)
    expect(page.locator("#notices")).to_contain_text("Everything but running works here")
    expect(page.locator("#foot")).to_contain_text("No WebGPU")
    compile_text(page, MATMUL)
    assert "1 kernel" in stage_names(page)[5]
    context.close()


def test_a_worker_that_cannot_start_says_so_and_can_be_started_again(context: BrowserContext, host: Host, watched: Watched) -> None:
    watched.allowed += ["503", "manifest.json"]
    page = watched.watch(context.new_page())

    def refuse(route: Route) -> None:
        route.fulfill(status=503, body="")

    context.route("**/manifest.json", refuse)
    page.goto(host.url)
    page.wait_for_selector("body[data-state='failed']", timeout=STARTED)
    expect(page.locator("#notices")).to_contain_text("manifest.json")
    context.unroute("**/manifest.json")
    page.get_by_role("button", name="Start it again").click()
    page.wait_for_selector(READY, timeout=STARTED)
    expect(page.locator("#program select")).to_have_value("mlp")


def test_a_python_that_dies_can_be_started_again(open_page: Open, watched: Watched) -> None:
    page = open_page("example=matmul")
    watched.allowed += ["fatal", "bort", "Python", "stack", "File", "unreachable"]
    compiled = untimed(page)
    write(page, "import os\nos.abort()\n")
    page.keyboard.press("ControlOrMeta+Enter")
    expect(page.locator("#notices")).to_contain_text("has stopped working", timeout=STARTED)
    page.get_by_role("button", name="Start it again").click()
    page.wait_for_selector(READY, timeout=STARTED)
    expect(page.locator("#program .cm-content")).to_contain_text("os.abort()")
    assert untimed(page) == compiled


def test_a_text_area_does_where_the_editor_cannot_be_loaded(open_page: Open, context: BrowserContext, watched: Watched) -> None:
    watched.allowed += ["codemirror", "Failed to load"]
    context.route("**/pyscript/**", lambda route: route.abort())
    page = open_page()
    area = page.locator("#program textarea")
    expect(area).to_have_value(re.compile("class MLP"))
    area.fill("from anneal import Tensor\n\nTensor.rand(2, 3).reshape(4, 2)\n")
    area.press("ControlOrMeta+Enter")
    settled(page)
    expect(page.locator("#program .wrong")).to_contain_text("reshape")
    page.locator("#program .wrong .link").first.click()
    assert page.evaluate("document.getSelection().toString()") == "Tensor.rand(2, 3).reshape(4, 2)"


def test_an_old_browser_is_told_what_it_lacks(open_page: Open, context: BrowserContext) -> None:
    context.add_init_script("delete globalThis.CompressionStream")
    page = open_page()
    expect(page.locator("body")).to_have_attribute("data-state", "failed")
    expect(page.locator("#notices")).to_contain_text("CompressionStream")


def test_storage_that_is_forbidden_breaks_nothing(open_page: Open, context: BrowserContext) -> None:
    context.add_init_script("Object.defineProperty(globalThis, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })")
    page = open_page()
    page.get_by_label("Dark colours").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    compile_text(page, MATMUL)
    assert "1 kernel" in stage_names(page)[5]


def test_the_last_program_is_there_at_the_next_visit(open_page: Open, host: Host) -> None:
    page = open_page()
    compile_text(page, MATMUL)
    page.wait_for_function("JSON.parse(localStorage.getItem('anneal.program'))?.source.includes('a @ b')")
    page.goto("about:blank")
    page.goto(host.url)
    page.wait_for_selector(READY, timeout=STARTED)
    expect(page.locator("#program .cm-content")).to_contain_text("a @ b")
    assert "1 kernel" in stage_names(page)[5]


@pytest.fixture
def launched(context: BrowserContext) -> Callable[[Any], None]:
    """What the command would serve beside the page."""

    def serves(answer: Any) -> None:
        context.route("**/launch.json", lambda route: route.fulfill(json=answer))

    return serves


def test_the_program_that_the_command_hands_over(open_page: Open, host: Host, launched: Callable[[Any], None]) -> None:
    launched({"name": "mine.py:small", "example": None, "source": MATMUL + "\n# mine\n", "part": "forward", "files": {}})
    page = open_page(url=f"{host.url}?launch=1")
    expect(page.locator("#program .cm-content")).to_contain_text("# mine")
    assert "code=" not in page.url, "a reload asks the command again"
    assert "1 kernel" in stage_names(page)[5]


def test_an_example_that_the_command_asks_for(open_page: Open, host: Host, launched: Callable[[Any], None]) -> None:
    launched({"name": "conv", "example": "conv", "source": None, "part": "forward", "files": {}})
    page = open_page(url=f"{host.url}?launch=1")
    expect(page.locator("#program select")).to_have_value("conv")
    expect(page.locator(".part[data-part=forward]")).to_have_attribute("aria-checked", "true")


def test_two_tabs_do_not_disturb_each_other(open_page: Open) -> None:
    first, second = open_page("example=mlp"), open_page("example=conv")
    compile_text(second, MATMUL)
    assert "1 kernel" in stage_names(second)[5]
    first.locator(".part[data-part=forward]").click()
    settled(first)
    expect(first.locator("#program select")).to_have_value("mlp")


def test_no_policy_is_loosened(site: Path) -> None:
    page = (site / "index.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert rules["style-src"] == "'self'"
    assert re.findall(r"<(?:style|script)>|\sstyle=|\son\w+=", page) == []
