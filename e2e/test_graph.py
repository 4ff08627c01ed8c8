"""The graph pane in a real browser: each stage, search, selection, folding, collapsing, keys, pointer, minimap, pictures, hostile names, size."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Page, expect
from site_browser import READY

from anneal.viz.tab import Tab
from e2e.conftest import ARTIFACTS, ROOT, STARTED, Open

STEP = "example=mlp&part=step"
CANVAS = ".graph-canvas"
HOSTILE = """from anneal import Tensor, nn

class Net:
    def __init__(self):
        setattr(self, "<img src=x onerror=alert(1)>", nn.Linear(2, 2))

    def __call__(self, x):
        return getattr(self, "<img src=x onerror=alert(1)>")(x)

Net()(Tensor([[1.0, 2.0]]))
"""
MANY = """from anneal import Tensor

x = Tensor([1.0, 2.0])
for i in range(5000):
    x = (x * 1.5 + float(i)).exp2().log2()
x
"""
MANY_NODES = 20_000


def link(source: str, **more: str) -> str:
    """The hash of a program of one's own."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    code = base64.urlsafe_b64encode(packer.compress(source.encode()) + packer.flush()).decode().rstrip("=")
    return "&".join([f"code={code}", *(f"{key}={value}" for key, value in more.items())])


def told(page: Page, expression: str) -> Any:
    """What the hook for tests says."""
    return page.evaluate(f"window.annealGraph.{expression}")


def settled(page: Page, milliseconds: int = STARTED) -> None:
    """Wait until what is asked for is drawn. (The page's policy forbids `wait_for_function`.)"""
    until = time.monotonic() + milliseconds / 1000
    while not page.evaluate("(window.annealGraph?.ready() ?? false) && window.annealGraph.count() > 0"):
        assert page.locator("body").get_attribute("data-state") != "failed"
        assert time.monotonic() < until, "the graph is not drawn"
        page.wait_for_timeout(50)
    page.wait_for_timeout(260)


def boxes(page: Page) -> list[dict[str, Any]]:
    """What is drawn."""
    found: list[dict[str, Any]] = told(page, "boxes()")
    return found


def box(page: Page, op: str, number: int = 0) -> dict[str, Any]:
    """A box by its op."""
    return [b for b in boxes(page) if b["text"]["op"] == op][number]


def noted(name: str, milliseconds: dict[str, float]) -> None:
    """Keep measured times among the artefacts."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / f"{name}.json").write_text(json.dumps(milliseconds, indent=2) + "\n")


def click(page: Page, rect: list[float]) -> None:
    """Click the middle of a rectangle of the page."""
    page.mouse.click(rect[0] + rect[2] / 2, rect[1] + rect[3] / 2)


def state(page: Page) -> dict[str, Any]:
    """What stands out."""
    found: dict[str, Any] = told(page, "look()")
    return found


@pytest.fixture
def graph(open_page: Open) -> Callable[..., Page]:
    """Opens the training step of the mlp at a stage."""

    def opened(stage: str = "tensor", **more: str) -> Page:
        page = open_page("&".join([STEP, f"stage={stage}", *(f"{key}={value}" for key, value in more.items())]))
        settled(page)
        return page

    return opened


@pytest.mark.parametrize("stage", ["tensor", "backward", "simplified", "kernels", "lowered"])
def test_each_stage_is_drawn(graph: Callable[..., Page], shot: Callable[[Page, str], None], stage: str) -> None:
    page = graph(stage)
    shot(page, f"graph-{stage}")
    nodes = page.locator(".graph-count").inner_text()
    strip = page.locator(f'[data-stage="{stage}"]').inner_text() if page.locator(f'[data-stage="{stage}"]').count() else ""
    drawn = boxes(page)
    assert len(drawn) == told(page, "count()") > 5
    assert re.search(r"[\d,]+ nodes", nodes)
    phases = {b["phase"] for b in drawn}
    if stage == "tensor":
        assert phases == {0}
        assert "86 nodes" in nodes
        assert not strip or "86" in strip
    if stage in ("backward", "simplified"):
        assert phases == {0, 1, 2}
    if stage == "kernels":
        assert len(told(page, "frames()")) == 7
    if stage == "lowered":
        assert [b["group"] for b in drawn] == [f"kernel {i}" for i in range(7)]


def words(nodes: list[dict[str, Any]]) -> list[str]:
    """Nodes, operands first, as text that says everything of them: the same for the same graph however its nodes are numbered."""
    said: dict[int, str] = {}
    for node in nodes:
        whole = json.dumps([node["label"], node["dtype"], node["shape"], [said[s] for s in node["src"]]])
        said[node["id"]] = hashlib.sha256(whole.encode()).hexdigest()
    return sorted(said.values())


def native(stage: str) -> list[str]:
    """The graph of a stage of the same program, compiled here."""
    tab = Tab()

    def answer(kind: str, **params: Any) -> Any:
        told = asyncio.run(tab.handle(kind, params))
        assert told["ok"], told
        return told["value"]

    source = next(e["source"] for e in answer("info")["examples"] if e["name"] == "mlp")
    answer("open", source=source, part="step", name="mlp")
    answer("compile")
    told = answer("graph", stage=stage)
    rows = {row[0]: {"id": row[0], "dtype": row[2], "shape": row[3], "src": row[4], "label": row[5]} for row in told["rows"]}
    return words([rows[i] for i in told["graphs"][0]["nodes"]])


def in_thread(run: Callable[[str], list[str]], stage: str) -> list[str]:
    """Run beside Playwright, whose event loop this thread has."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run, stage).result()


@pytest.mark.parametrize("stage", ["tensor", "backward", "simplified"])
def test_a_stage_of_the_film_is_the_graph_that_the_compiler_has_here(graph: Callable[..., Page], stage: str) -> None:
    """The picture after the last step of a stage has the nodes and operands of the native compiler's own graph."""
    page = graph(stage)
    shown = {n["id"]: n for n in told(page, "graph()")["nodes"]}
    rows = page.evaluate("(ids) => ids.map((id) => window.annealGraph.row(id))", list(shown))
    nodes = {row["id"]: {**row, "src": shown[row["id"]]["src"]} for row in rows}
    order: dict[int, dict[str, Any]] = {}
    stack = list(nodes)
    while stack:
        waiting = [s for s in nodes[stack[-1]]["src"] if s not in order]
        if waiting:
            stack += waiting
        else:
            done = stack.pop()
            order[done] = nodes[done]
    assert words(list(order.values())) == in_thread(native, stage)


def test_steps_show_and_hide_in_place(graph: Callable[..., Page], shot: Callable[[Page, str], None]) -> None:
    page = graph("simplified", scene="0", step="50", pane="rewrites")
    before = {b["id"]: b["rect"] for b in boxes(page)}
    assert told(page, "position()") == 50
    page.locator("#panel-rewrites").get_by_role("slider").press("ArrowRight")
    settled(page)
    after = {b["id"]: b["rect"] for b in boxes(page)}
    assert told(page, "position()") > 50
    same = before.keys() & after.keys()
    assert len(same) > 60
    assert before != after
    assert all(before[i] == after[i] for i in same)
    marked = state(page)
    assert marked["before"] or marked["after"]
    shot(page, "graph-rewrite")


def test_a_click_chooses_a_node_and_the_pane_tells_of_it(graph: Callable[..., Page], shot: Callable[[Page, str], None]) -> None:
    page = graph("backward")
    click(page, box(page, "exp2")["rect"])
    pane = page.locator("#panel-node")
    expect(pane.locator("h2")).to_have_text("exp2")
    expect(pane.locator(".tag.forward")).to_contain_text("— forward")
    expect(page.locator("#graph-said")).to_contain_text("exp2")
    kernel = pane.get_by_role("button", name=re.compile("max_sum_mul"))
    expect(kernel).to_be_visible()
    shot(page, "graph-node")
    pane.locator("section", has_text="Reads").get_by_role("button").first.click()
    expect(pane.locator("h2")).to_have_text("mul")
    kernel.click()
    expect(page.locator("#tab-kernels")).to_have_attribute("aria-selected", "true")


def test_a_node_of_the_program_leads_to_its_line(open_page: Open) -> None:
    page = open_page(link("from anneal import Tensor\nx = Tensor([1.0, 2.0])\ny = x.exp2()\ny"))
    settled(page)
    click(page, box(page, "exp2")["rect"])
    page.locator("#panel-node").get_by_role("button", name="line 3").click()
    expect(page.locator(".program .cm-shown")).to_contain_text("y = x.exp2()")


def test_the_chosen_node_is_followed_through_the_stages(graph: Callable[..., Page]) -> None:
    page = graph("tensor")
    click(page, box(page, "exp2")["rect"])
    for number, stage in (("2", "backward"), ("3", "simplified"), ("4", "kernels")):
        page.keyboard.press(number)
        page.wait_for_timeout(100)
        settled(page)
        chosen = state(page)["selected"]
        assert chosen >= 0, stage
        expect(page.locator("#panel-node h2")).to_have_text("exp2")


def test_search_marks_and_goes_through_what_it_finds(graph: Callable[..., Page], shot: Callable[[Page, str], None]) -> None:
    page = graph("backward")
    page.keyboard.press("/")
    page.keyboard.type("op:exp2")
    found = page.locator(".graph-found")
    expect(found).to_have_text(re.compile("^[0-9]+ found$"))
    many = int(found.inner_text().split()[0])
    assert state(page)["matches"] == many == sum(b["text"]["op"] == "exp2" for b in boxes(page))
    page.keyboard.press("Enter")
    expect(found).to_have_text(f"1 of {many}")
    expect(page.locator("#panel-node h2")).to_have_text("exp2")
    page.keyboard.press("Shift+Enter")
    expect(found).to_have_text(f"{many} of {many}")
    page.wait_for_timeout(300)
    shot(page, "graph-search")
    for query in ("phase:update", "hidden.weight", "shape:64,10", "dtype:int32"):
        page.locator(".graph-search input").fill(query)
        expect(found).to_have_text(re.compile("^[1-9][0-9]* found$"))
    page.locator(".graph-search input").fill("op:nothing_like_this")
    expect(found).to_have_text(re.compile("none|nothing", re.IGNORECASE))
    page.keyboard.press("Escape")
    expect(page.locator(".graph-search input")).to_have_value("")
    assert state(page)["matches"] is None


def test_folding_hides_constants_in_their_readers(graph: Callable[..., Page]) -> None:
    page = graph("backward")
    folded = boxes(page)
    assert all(b["text"]["op"] not in ("const", "reshape", "expand") for b in folded)
    assert any(re.search(r"[0-9]", b["text"]["extra"]) for b in folded)
    page.get_by_label("Fold").uncheck()
    settled(page)
    whole = boxes(page)
    assert len(whole) == 178 > len(folded)
    assert any(b["text"]["op"] == "const" for b in whole)
    assert all(b["text"]["extra"] == "" for b in whole)
    page.get_by_label("Fold").check()
    settled(page)
    assert len(boxes(page)) == len(folded)


def test_modules_and_kernels_collapse(graph: Callable[..., Page], shot: Callable[[Page, str], None]) -> None:
    page = graph("tensor")
    many = told(page, "count()")
    page.get_by_role("button", name="Collapse").click()
    settled(page)
    collapsed = [b for b in boxes(page) if b["group"]]
    assert collapsed
    assert told(page, "count()") < many
    assert any(re.match(r"hidden: Linear", b["text"]["label"]) for b in collapsed)
    shot(page, "graph-collapsed")
    click(page, collapsed[0]["rect"])
    settled(page)
    assert collapsed[0]["group"] not in [b["group"] for b in boxes(page)]
    page.get_by_role("button", name="Open all").click()
    settled(page)
    assert told(page, "count()") == many
    page.keyboard.press("5")
    page.wait_for_timeout(200)
    settled(page)
    first = boxes(page)[0]
    click(page, first["rect"])
    settled(page)
    assert told(page, "count()") > 50
    [frame] = told(page, "frames()")
    assert frame["group"] == first["group"]


def test_keys_move_along_the_edges(graph: Callable[..., Page]) -> None:
    page = graph("backward")
    page.locator(CANVAS).focus()
    page.keyboard.press("Home")
    start = state(page)["selected"]
    edges = told(page, "edges()")
    page.keyboard.press("ArrowDown")
    down = state(page)["selected"]
    assert [start, down] in edges
    page.keyboard.press("ArrowDown")
    lower = state(page)["selected"]
    assert [down, lower] in edges
    page.keyboard.press("ArrowUp")
    assert [state(page)["selected"], lower] in edges
    page.keyboard.press("End")
    page.keyboard.press("r")
    page.locator(CANVAS).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#tab-node")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel-node h2")).to_be_visible()
    scale = told(page, "camera()")["scale"]
    page.locator(CANVAS).focus()
    page.keyboard.press("+")
    assert told(page, "camera()")["scale"] > scale
    page.keyboard.press("-")
    page.keyboard.press("f")
    page.wait_for_timeout(400)
    fitted = page.locator(CANVAS).bounding_box()
    assert fitted is not None
    assert all(fitted["x"] <= b["rect"][0] and b["rect"][1] + b["rect"][3] <= fitted["y"] + fitted["height"] for b in boxes(page))


def test_the_wheel_zooms_to_the_pointer_and_dragging_pans(graph: Callable[..., Page]) -> None:
    page = graph("backward")
    one = box(page, "exp2")
    x, y = round(one["rect"][0]) + 4, round(one["rect"][1]) + 4
    page.mouse.move(x, y)
    expect(page.locator(".graph-tip")).to_be_visible()
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(150)
    zoomed = told(page, f"rectOf({one['id']})")
    assert zoomed[2] > 1.5 * one["rect"][2]
    larger = zoomed[2] / one["rect"][2]
    assert abs(zoomed[0] - (x - (x - one["rect"][0]) * larger)) < 1
    assert abs(zoomed[1] - (y - (y - one["rect"][1]) * larger)) < 1
    page.mouse.move(x - 60, y - 60)
    page.mouse.down()
    page.mouse.move(x - 20, y + 10, steps=6)
    page.mouse.up()
    page.wait_for_timeout(100)
    moved = told(page, f"rectOf({one['id']})")
    assert abs(moved[0] - zoomed[0] - 40) < 9
    assert abs(moved[1] - zoomed[1] - 70) < 12
    assert state(page)["selected"] == -1
    page.mouse.dblclick(x - 60, y - 90)
    page.wait_for_timeout(500)
    assert told(page, "camera()")["scale"] < 0.5


def test_two_fingers_zoom_and_pan(graph: Callable[..., Page]) -> None:
    page = graph("backward")
    place = page.locator(CANVAS).bounding_box()
    assert place is not None
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    before = told(page, "camera()")
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *places: tuple[float, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(places)]})

    fingers("touchStart", (x - 20, y))
    fingers("touchStart", (x - 20, y), (x + 20, y))
    for away in range(25, 85, 5):
        fingers("touchMove", (x - away, y), (x + away, y))
    fingers("touchEnd")
    page.wait_for_timeout(150)
    after = told(page, "camera()")
    assert 3 < after["scale"] / before["scale"] < 5
    assert state(page)["selected"] == -1
    middle = [(c["x"] + place["width"] / 2 / c["scale"], c["y"] + place["height"] / 2 / c["scale"]) for c in (before, after)]
    assert abs(middle[0][0] - middle[1][0]) * after["scale"] < 40


def test_the_minimap_moves_the_picture(graph: Callable[..., Page]) -> None:
    page = graph("backward")
    place = page.locator(".graph-map").bounding_box()
    assert place is not None
    before = told(page, "camera()")
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 4)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] - 8, steps=4)
    page.mouse.up()
    after = told(page, "camera()")
    assert after["y"] > before["y"] + 300
    assert after["scale"] == before["scale"]


def test_pictures_are_exported(graph: Callable[..., Page]) -> None:
    page = graph("kernels")
    text = told(page, "svg()")
    root = ET.fromstring(text)
    names = {e.text for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert root.tag.endswith("svg")
    assert "▪ matmul_add_relu_64x128" in names
    assert len(root.findall(".//{http://www.w3.org/2000/svg}rect")) > told(page, "count()")
    size, kind = page.evaluate("window.annealGraph.png().then((blob) => [blob.size, blob.type])")
    assert kind == "image/png"
    assert size > 10_000


def test_hostile_names_are_text(open_page: Open, shot: Callable[[Page, str], None]) -> None:
    page = open_page(link(HOSTILE))
    settled(page)
    assert any("<img src=x onerror=alert(1)>" in b["text"]["label"] for b in boxes(page))
    page.get_by_role("button", name="Collapse").click()
    settled(page)
    shot(page, "graph-hostile")
    page.get_by_role("button", name="Open all").click()
    settled(page)
    named = next(b for b in boxes(page) if "<img" in b["text"]["label"])
    page.mouse.move(named["rect"][0] + 5, named["rect"][1] + 5)
    expect(page.locator(".graph-tip")).to_contain_text("<img src=x onerror=alert(1)>")
    click(page, named["rect"])
    expect(page.locator("#panel-node h2")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator(".graph img, #panel-node img").count() == 0
    svg = ET.fromstring(told(page, "svg()"))
    assert svg.findall(".//{*}img") == []


def test_dark_colours(graph: Callable[..., Page], shot: Callable[[Page, str], None]) -> None:
    page = graph("backward")
    light = page.evaluate("document.querySelector('.graph-canvas').toDataURL()")
    page.keyboard.press("d")
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('.graph-canvas').toDataURL()") != light
    shot(page, "graph-dark")


def test_twenty_thousand_nodes(open_page: Open, shot: Callable[[Page, str], None]) -> None:
    """The page stays usable: drawn while the program is still being compiled, moved, searched."""
    page = open_page(link(MANY), wait=False)
    settled(page, 4 * STARTED)
    assert len(told(page, "graph()")["nodes"]) > MANY_NODES
    page.locator(CANVAS).focus()
    page.keyboard.press("f")
    page.wait_for_timeout(600)
    shot(page, "graph-many")
    noted("graph-many", told(page, "times()"))
    page.keyboard.press("Home")
    page.keyboard.press("+")
    assert state(page)["selected"] >= 0


def test_steps_of_two_thousand_nodes(open_page: Open, shot: Callable[[Page, str], None]) -> None:
    """A training step of about 2,300 nodes: a hundred rewrites on and back lead to the same picture; how long a step and a frame take is noted."""
    source = f"{(ROOT / 'viz' / 'bench' / 'deep.py').read_text()}\n\nusual()\n"
    page = open_page(link(source, stage="simplified", part="step"), wait=False)
    page.wait_for_selector(READY, timeout=4 * STARTED)
    settled(page)
    nodes = told(page, "graph()")
    assert len(nodes["nodes"]) > 2000
    end = told(page, "position()")
    took = []
    for step in [*range(end - 1, end - 51, -1), *range(end - 49, end + 1)]:
        page.evaluate("(step) => window.annealGraph.seek(0, step)", step)
        page.wait_for_timeout(20)
        settled_at(page, step)
        took.append(told(page, "times()"))
    assert told(page, "graph()") == nodes
    noted("graph-deep", {name: sorted(t[name] for t in took)[len(took) // 2] for name in ("layout", "step", "frame")})
    page.locator(CANVAS).focus()
    page.keyboard.press("f")
    page.wait_for_timeout(500)
    shot(page, "graph-deep")


def settled_at(page: Page, step: int) -> None:
    """Wait until a step is shown."""
    until = time.monotonic() + STARTED / 1000
    while told(page, "position()") != step:
        assert time.monotonic() < until, f"step {step} is not shown"
        page.wait_for_timeout(10)
