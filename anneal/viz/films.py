r"""How the open program changes, rewrite by rewrite: what scenes there are, one scene as changes of places, and one step in words.

The stages `tensor`, `backward` and `simplified` share one film with one scene; `kernels` and `lowered` have a scene for each call of the rewriter.

>>> import asyncio
>>> from anneal.viz.opening import open_program
>>> state = State()
>>> _ = asyncio.run(open_program(state, {"source": "from anneal import Tensor\nx = Tensor([1.0, 2.0])\nx * 1 + 2"}))
>>> film(state, {"stage": "simplified"})["scenes"][0]["rules"]
['mul_one']
>>> scene = film(state, {"stage": "simplified", "scene": 0})
>>> [(step["rule"], len(step["drop"])) for step in scene["steps"]]
[('mul_one', 2)]
>>> told = step(state, {"film": "simplified", "scene": 0, "step": 1})
>>> told["rule"]["text"], told["before"], told["after"]
('x * 1 => x', 'x*1.0', 'x')
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, NotRequired, TypedDict

from anneal import rules
from anneal.errors import RuleError, UsageError
from anneal.ir.uop import UOp
from anneal.view import film as films
from anneal.view.film import Film, Scene
from anneal.view.film_picture import Placed
from anneal.view.film_words import sides
from anneal.view.history import BACKWARD
from anneal.viz import messages
from anneal.viz.about import of_pass
from anneal.viz.about import rule as as_written
from anneal.viz.messages import Params, Row, RuleDoc
from anneal.viz.state import STAGES, Opened, State

PROGRAM: Final = "program"
"""The film of the first three stages."""
KEPT: Final = 8
"""Scenes that are kept for who asks again."""
ALONE: Final = {BACKWARD: "what no gradient rule makes: the update, and the outputs", films.SIMPLIFIED: "assigns of the same memory become one"}
"""What the compiler does between rules."""


class Outline(TypedDict):
    """A scene in a list."""

    title: str
    kernel: int | None
    times: int
    """How often the rewriter was called for the same."""
    sections: list[list[Any]]
    """`[stage, first step, end]` for each stage that has steps."""
    rules: list[str | None]
    """What fired in each step; null where no rule did."""


class Outlines(TypedDict):
    """What scenes a film has."""

    film: str
    scenes: list[Outline]


Slot = list[Any]
"""`[slot, id, [slots that it reads]]`."""


class Start(TypedDict):
    """The picture at the beginning."""

    slots: list[Slot]
    roots: list[int]


StepDoc = TypedDict(
    "StepDoc",
    {
        "stage": str,
        "rule": str | None,
        "before": int | None,
        "after": int | None,
        "at": int | None,
        "add": NotRequired[list[Slot]],
        "is": NotRequired[list[list[int]]],
        "edges": NotRequired[list[list[Any]]],
        "roots": NotRequired[list[int]],
        "drop": NotRequired[list[int]],
    },
)
"""What a step changes, applied in the order add, is (`[slot, id]`), edges (`[slot, [slots that it reads]]`), roots, drop. What is empty is left out."""


class SceneDoc(TypedDict):
    """One scene, as changes of places."""

    film: str
    scene: int
    title: str
    kernel: int | None
    times: int
    start: Start
    steps: list[StepDoc]
    rows: list[Row]


class NamedRule(RuleDoc):
    """A rule and its name."""

    name: str


class Marks(TypedDict):
    """The nodes to mark before and after a step."""

    before: list[int]
    after: list[int]


class Told(TypedDict):
    """A step in words."""

    stage: str
    title: str
    """The rule's name, or what happens without one."""
    rule: NamedRule | None
    before: str
    """Lines `%n = …` for parts, then the node that matched; empty where no rule fired."""
    after: str
    ids: Marks


def film(state: State, params: Params) -> Outlines | SceneDoc:
    """The scenes that a stage's film has, or the scene asked for."""
    opened, name = state.open, _name(params, "stage")
    if params.get("scene") is None:
        return {"film": name, "scenes": _outlines(opened, name)}
    number = messages.whole(params, "scene")
    shown = _shown(opened, name, number)
    outline = _outlines(opened, name)[number]
    start: Start = {"slots": _slots(opened, shown.start), "roots": list(shown.roots)}
    steps = [_step(opened, s) for s in shown.steps]
    title, kernel, times = outline["title"], outline["kernel"], outline["times"]
    return {"film": name, "scene": number, "title": title, "kernel": kernel, "times": times, "start": start, "steps": steps, "rows": _rows(opened, name, shown)}


def step(state: State, params: Params) -> Told:
    """What happens in a step: step k leads from k - 1 steps to k steps."""
    opened, name = state.open, _name(params, "film")
    scene, number = messages.whole(params, "scene", 0), messages.whole(params, "step")
    shown = _shown(opened, name, scene)
    if not 1 <= number <= len(shown.steps):
        raise UsageError(f"no step {number} in the scene: there are {f'1 to {len(shown.steps)}' if shown.steps else 'none'}")
    found = shown.steps[number - 1]
    made = [p.uop for p in found.change.add]
    if found.rule is None or found.before is None or found.after is None:
        frame = shown.after(number)  # where nothing is new, what else becomes an output
        marks: Marks = {"before": [], "after": opened.numbers(made or dict.fromkeys(frame.node[slot] for slot in frame.roots))}
        return {"stage": found.stage, "title": ALONE[found.stage], "rule": None, "before": "", "after": "", "ids": marks}
    before, after = sides(found.before, found.after, _names(opened, found.stage, found.before, found.after))
    return {
        "stage": found.stage,
        "title": found.rule,
        "rule": _rule(found.rule),
        "before": "\n".join(before),
        "after": "\n".join(after),
        "ids": {"before": opened.numbers([found.before]), "after": opened.numbers(dict.fromkeys([found.after, *made]))},
    }


def _names(opened: Opened, stage: str, *sides_of: UOp) -> dict[UOp, str]:
    """What inputs are called, and nodes near those that a step is about."""
    graph = opened.graph(stage)
    near = dict.fromkeys(sides_of)
    for _ in range(3):
        near |= dict.fromkeys(s for u in near for s in u.src)
    return {**graph.leaf_names, **{u: called for u in near if (called := graph.name(u)) is not None}}


def _name(params: Params, key: str) -> str:
    """The film that a stage belongs to; raises UsageError for a stage that has none."""
    stage = messages.text(params, key)
    if stage == PROGRAM or stage in STAGES[:3]:
        return PROGRAM
    if stage not in STAGES:
        raise UsageError(f"no film of the stage {stage!r}: there are {', '.join(STAGES)}")
    return stage


def _whole(opened: Opened) -> Film:
    """The film of the program, compiled if it can be."""
    return opened.once(PROGRAM, lambda: films.program(opened.traced.sink, films.over(opened.built.events, opened.known.same), opened.compiled.trace))


def _scenes(opened: Opened, stage: str) -> list[Scene]:
    """The scenes of a stage of the kernels."""
    done = opened.compiled
    return opened.once(f"scenes {stage}", lambda: films.scenes(done.trace, stage, [k.name for k in done.plan.kernels]))


def _shown(opened: Opened, name: str, number: int) -> Film:
    """One scene's film; raises UsageError where there is none."""
    count = 1 if name == PROGRAM else len(_scenes(opened, name))
    if not 0 <= number < count:
        raise UsageError(f"no scene {number} of {name}: there are {f'0 to {count - 1}' if count else 'none, for no rule fired'}")
    if name == PROGRAM:
        return _whole(opened)
    scene = _scenes(opened, name)[number]
    kept = opened.once(f"films {name}", dict[int, Film])
    if number not in kept:
        while len(kept) >= KEPT:
            del kept[next(iter(kept))]
        kept[number] = scene.film()
    return kept[number]


def _outlines(opened: Opened, name: str) -> list[Outline]:
    """The scenes of a film in words."""
    if name != PROGRAM:
        return [
            {"title": s.title, "kernel": s.kernel, "times": s.times, "sections": [[name, 0, len(s.rules)]], "rules": list(s.rules)}
            for s in _scenes(opened, name)
        ]
    steps, sections, end = _whole(opened).steps, [], 0
    for stage, group in groupby(s.stage for s in steps):
        begin, end = end, end + len(list(group))
        sections.append([stage, begin, end])
    return [{"title": opened.name, "kernel": None, "times": 1, "sections": sections, "rules": [s.rule for s in steps]}]


def _slots(opened: Opened, placed: Iterable[Placed]) -> list[Slot]:
    return [[p.slot, opened.ids.number(p.uop), list(p.src)] for p in placed]


def _step(opened: Opened, found: films.Step) -> StepDoc:
    """A step as JSON, without what is empty."""
    number, change = opened.ids.number, found.change
    made: StepDoc = {
        "stage": found.stage,
        "rule": found.rule,
        "before": None if found.before is None else number(found.before),
        "after": None if found.after is None else number(found.after),
        "at": found.at,
    }
    if change.add:
        made["add"] = _slots(opened, change.add)
    if change.become:
        made["is"] = [[slot, number(u)] for slot, u in change.become.items()]
    if change.edges:
        made["edges"] = [[slot, list(src)] for slot, src in change.edges.items()]
    if change.roots is not None:
        made["roots"] = list(change.roots)
    if change.drop:
        made["drop"] = list(change.drop)
    return made


def _rows(opened: Opened, name: str, shown: Film) -> list[Row]:
    """Rows of all nodes that a scene tells of, as the stage knows them in which they first appear."""
    by_stage: dict[str, list[UOp]] = {BACKWARD if name == PROGRAM else name: [p.uop for p in shown.start]}
    for found in shown.steps:
        by_stage.setdefault(found.stage, []).extend(_nodes(found))
    return [row for stage, nodes in by_stage.items() for row in opened.rows(nodes, stage)]


def _nodes(found: films.Step) -> Iterator[UOp]:
    """The nodes that a step tells of."""
    yield from (u for u in (found.before, found.after) if u is not None)
    yield from (p.uop for p in found.change.add)
    yield from found.change.become.values()


def _rule(name: str) -> NamedRule:
    """A rule as it is written, or what differentiation does itself."""
    try:
        return {"name": name, **as_written(rules.rule(name))}
    except RuleError:
        return {"name": name, **of_pass(name)}
