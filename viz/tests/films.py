"""The films of a training step as the page is told of them, and their pictures after some steps as Python has them: one JSON document.

`viz/tests/film.test.mjs` runs this and holds the page's player against it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from anneal.view import film as films
from anneal.viz.tab import Tab

PICTURES = 12
"""Steps of a scene whose pictures are told."""


def answered(tab: Tab, kind: str, **params: Any) -> Any:
    """The value of an answer."""
    answer = asyncio.run(tab.handle(kind, params))
    assert answer["ok"], answer
    return answer["value"]


def pictures(tab: Tab, name: str, number: int) -> list[dict[str, Any]]:
    """The pictures of a scene: `[slot, id, [ids that it reads]]` of each place, and the roots."""
    opened = tab.state.open
    trace = opened.compiled.trace
    if name == "program":
        film = films.program(opened.traced.sink, films.over(opened.built.events, opened.known.same), trace)
    else:
        film = films.scenes(trace, name)[number].film()
    told = []
    for count in sorted({round(i * len(film.steps) / PICTURES) for i in range(PICTURES + 1)}):
        frame = film.after(count)
        ids = {slot: opened.ids.number(node) for slot, node in frame.node.items()}
        nodes = [[slot, ids[slot], [ids[s] for s in frame.src[slot]]] for slot in sorted(ids)]
        told.append({"step": count, "nodes": nodes, "roots": [ids[s] for s in frame.roots]})
    return told


def main() -> None:
    """Print the document."""
    tab = Tab()
    examples = answered(tab, "info")["examples"]
    source = next(e["source"] for e in examples if e["name"] == "mlp")
    answered(tab, "open", source=source, part="step", name="mlp")
    answered(tab, "compile")
    scenes = []
    for stage in ("program", "kernels", "lowered"):
        for number in range(len(answered(tab, "film", stage=stage)["scenes"])):
            scene = answered(tab, "film", stage=stage, scene=number)
            scenes.append({"scene": scene, "pictures": pictures(tab, stage, number)})
    json.dump(scenes, sys.stdout)


if __name__ == "__main__":
    main()
