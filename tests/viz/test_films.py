"""Films as the page gets them: what is played from the answers alone ends in the graph that the tab shows."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from typing import Any

import pytest

from anneal.viz import films
from anneal.viz.about import example
from anneal.viz.films import film, step
from anneal.viz.state import State
from anneal.viz.tab import Tab

PLAIN = "from anneal import Tensor\nx = Tensor([1.0, 2.0])\nx * 1 + 2\n"
HOSTILE = 'from anneal import Tensor, nn\n\nclass Net:\n    def __init__(self):\n        setattr(self, "<b>w</b>", nn.Linear(2, 2))\n'
HOSTILE += '    def __call__(self, x):\n        return getattr(self, "<b>w</b>")(x)\n\nNet()(Tensor([[1.0, 2.0]]) * 1)\n'


def opened(source: str, part: str | None = None) -> Tab:
    tab = Tab()
    asyncio.run(ask(tab, "open", source=source, part=part))
    return tab


async def ask(tab: Tab, kind: str, **params: Any) -> Any:
    answer = json.loads(await tab.handle_json(json.dumps({"kind": kind, "params": params})))
    assert answer["ok"], answer
    return answer["value"]


def answer(tab: Tab, kind: str, **params: Any) -> Any:
    """An answer as the page reads it."""
    return asyncio.run(ask(tab, kind, **params))


@pytest.fixture(params=["mlp step", "conv backward", "gradient", "softmax", "matmul"])
def tab(request: pytest.FixtureRequest) -> Tab:
    name, _, part = request.param.partition(" ")
    return opened(example(name)["source"], part or None)


class Player:
    """Plays a scene from its JSON."""

    def __init__(self, scene: dict[str, Any]) -> None:
        self.id = {slot: node for slot, node, _ in scene["start"]["slots"]}
        self.src = {slot: src for slot, _, src in scene["start"]["slots"]}
        self.roots = scene["start"]["roots"]
        self.steps = scene["steps"]

    def play(self, first: int = 0, end: int | None = None) -> Player:
        for found in self.steps[first:end]:
            for slot, node, src in found.get("add", ()):
                assert slot not in self.id
                self.id[slot], self.src[slot] = node, src
            self.id.update(dict(found.get("is", ())))
            self.src.update(dict(found.get("edges", ())))
            self.roots = found.get("roots", self.roots)
            for slot in found.get("drop", ()):
                del self.id[slot], self.src[slot]
        return self

    def graph(self) -> tuple[list[int], dict[int, list[int]]]:
        """Roots, and what each node reads, by id."""
        return [self.id[s] for s in self.roots], {self.id[slot]: [self.id[s] for s in src] for slot, src in self.src.items()}


class Told:
    """The rows that a page has been told, as `viz/page/nodes.js` keeps them."""

    def __init__(self) -> None:
        self.rows: dict[int, list[Any]] = {}

    def take(self, told: dict[str, Any]) -> dict[str, Any]:
        for row in told["rows"]:
            assert row[0] not in self.rows, "told once"
            self.rows[row[0]] = row
        return told


def test_the_program_film_shows_the_graph_of_each_stage(tab: Tab) -> None:
    told = Told()
    outline = answer(tab, "film", stage="tensor")
    scene = told.take(answer(tab, "film", stage="backward", scene=0))
    assert outline["film"] == scene["film"] == "program"
    (only,) = outline["scenes"]
    assert only["rules"] == [s["rule"] for s in scene["steps"]]
    ends = {stage: end for stage, _, end in only["sections"]}
    at = {"tensor": 0, "backward": ends.get("backward", 0), "simplified": len(scene["steps"])}
    for stage, end in at.items():
        graph = told.take(answer(tab, "graph", stage=stage))["graphs"][0]
        roots, reads = Player(scene).play(0, end).graph()
        assert set(reads) == set(graph["nodes"])
        assert set(roots) == set(graph["roots"])
        assert all(told.rows[node][4] == src for node, src in reads.items())


def test_every_scene_is_told_whole(tab: Tab) -> None:
    for stage in ("kernels", "lowered"):
        told = Told()
        for number, outline in enumerate(answer(tab, "film", stage=stage)["scenes"]):
            scene = answer(tab, "film", stage=stage, scene=number)
            told.rows |= {row[0]: row for row in scene["rows"]}
            assert {key: scene[key] for key in ("title", "kernel", "times")} == {key: outline[key] for key in ("title", "kernel", "times")}
            assert outline["sections"] == [[stage, 0, len(scene["steps"])]]
            assert outline["rules"] == [s["rule"] for s in scene["steps"]]
            frame = Player(scene)
            for i in range(len(scene["steps"])):
                frame.play(i, i + 1)
            roots, reads = frame.graph()
            assert set(roots) <= set(reads)
            assert len(reads) == len(frame.id), "a node has one place"


def test_the_statistics_of_a_stage_are_those_of_its_scenes(tab: Tab) -> None:
    stages = {s["name"]: s for s in answer(tab, "compile")["stages"]}
    for stage in ("backward", "simplified", "kernels", "lowered"):
        fired: Counter[str] = Counter()
        for scene in answer(tab, "film", stage=stage)["scenes"]:
            for name, first, end in scene["sections"]:
                if name == stage:
                    fired.update({rule: times * scene["times"] for rule, times in Counter(filter(None, scene["rules"][first:end])).items()})
        if stage == "backward":
            assert fired <= Counter(stages[stage]["fired"])
        else:
            assert fired == Counter(stages[stage]["fired"])


def test_a_step_is_told_in_words(tab: Tab) -> None:
    rules = answer(tab, "info")["rules"]
    for stage in ("simplified", "kernels", "lowered"):
        for number, outline in enumerate(answer(tab, "film", stage=stage)["scenes"][:5]):
            for at, name in list(enumerate(outline["rules"], 1))[:60]:
                told = answer(tab, "step", film=stage, scene=number, step=at)
                for side in (told["before"], told["after"]):
                    assert len(side.splitlines()) <= 12
                    assert all(len(line) <= 240 for line in side.splitlines())
                if name is None:
                    assert (told["rule"], told["before"], told["after"]) == (None, "", "")
                    assert told["ids"]["after"]
                    continue
                assert told["title"] == told["rule"]["name"] == name
                assert told["before"]
                assert told["after"]
                assert (
                    {key: told["rule"][key] for key in ("text", "doc")} == {k: rules[name][k] for k in ("text", "doc")}
                    if name in rules
                    else told["rule"]["doc"]
                )
                assert len(told["ids"]["before"]) == 1


def test_a_step_marks_what_is_in_the_picture() -> None:
    tab = opened(PLAIN)
    scene = answer(tab, "film", stage="simplified", scene=0)
    (only,) = scene["steps"]
    told = answer(tab, "step", film="program", scene=0, step=1)
    frame = Player(scene)
    assert set(told["ids"]["before"]) <= set(frame.id.values())
    frame.play()
    assert set(told["ids"]["after"]) <= set(frame.id.values())
    assert (only["before"], only["after"]) == (told["ids"]["before"][0], told["ids"]["after"][0])


def test_films_need_no_compilation_before() -> None:
    tab = opened(PLAIN)
    assert answer(tab, "film", stage="tensor")["scenes"][0]["rules"] == ["mul_one"]


def test_a_film_belongs_to_its_compilation() -> None:
    """Another target is another compilation: what was kept of the first is not shown for it."""
    tab = opened(PLAIN)
    program = tab.state.open
    before = films._whole(program)
    assert films._whole(program) is before
    answer(tab, "compile", target="device")
    assert films._whole(program) is not before


def test_names_are_text() -> None:
    tab = opened(HOSTILE)
    shown = json.dumps([answer(tab, "film", stage="simplified", scene=0), answer(tab, "step", film="simplified", scene=0, step=1)])
    assert "<b>w</b>" in shown


@pytest.mark.parametrize(
    ("kind", "params", "said"),
    [
        ("film", {"stage": "wgsl"}, "no film of the stage 'wgsl'"),
        ("film", {}, "stage is to be text"),
        ("film", {"stage": "kernels", "scene": 99}, "no scene 99 of kernels"),
        ("film", {"stage": "simplified", "scene": -1}, "there are 0 to 0"),
        ("film", {"stage": "kernels", "scene": "1"}, "scene is to be a whole number"),
        ("film", {"stage": "kernels", "scene": 1.5}, "scene is to be a whole number"),
        ("step", {"film": "simplified", "step": 0}, "no step 0 in the scene: there are 1 to 1"),
        ("step", {"film": "simplified", "step": 2}, "no step 2 in the scene"),
        ("step", {"film": "simplified"}, "step is to be a whole number"),
        ("step", {"film": "none", "step": 1}, "no film of the stage 'none'"),
    ],
)
def test_what_cannot_be(kind: str, params: dict[str, Any], said: str) -> None:
    tab = opened(PLAIN)
    refused = asyncio.run(tab.handle(kind, params))
    assert not refused["ok"]
    assert refused["error"]["kind"] == "UsageError"
    assert said in refused["error"]["message"]


def test_without_a_program_there_is_no_film() -> None:
    for ask_for in (film, step):
        with pytest.raises(Exception, match="no program is open"):
            ask_for(State(), {"stage": "tensor", "film": "tensor", "step": 1})


def test_a_scene_is_small() -> None:
    """No scene of a training step is larger than a picture: what travels grows with what changes."""
    tab = opened(example("mlp")["source"], "step")
    for stage in ("simplified", "kernels", "lowered"):
        for number, outline in enumerate(answer(tab, "film", stage=stage)["scenes"]):
            scene = answer(tab, "film", stage=stage, scene=number)
            changed = sum(len(s.get(key, ())) for s in scene["steps"] for key in ("add", "is", "edges", "drop"))
            assert changed <= 30 * len(outline["rules"]) + 10 * len(scene["start"]["slots"]) * math.log2(2 + len(outline["rules"]))
