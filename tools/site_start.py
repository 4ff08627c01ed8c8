"""The first seconds of a tab: opens and compiles a program as the page does; runs inside Pyodide.

Afterwards `loaded()` tells which files that took.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anneal.viz.tab import Tab


def loaded() -> str:
    """A JSON list of the paths, inside their archives, of the sources of the modules that are loaded; those built into Python have none."""
    archives = [f"{place}/" for place in sys.path if place.endswith(".zip")]
    found: set[str] = set()
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        file = str(getattr(spec, "origin", None) or "")
        found.update(file.removeprefix(archive).removesuffix("c") for archive in archives if file.startswith(archive))
    return json.dumps(sorted(found))


async def start() -> None:
    """What the page asks for until the first graph stands, about the first example."""
    from anneal.runtime import browser
    from anneal.viz.tab import Tab

    tab = Tab(no_device=await browser.open_device_or_reason())
    example = (await _answer(tab, "info", {}))["examples"][0]
    await _answer(tab, "open", {"source": example["source"], "part": None, "name": example["name"]})
    await _answer(tab, "compile", {})
    await _answer(tab, "graph", {"stage": "simplified"})


async def _answer(tab: Tab, kind: str, params: dict[str, Any]) -> Any:
    answer = json.loads(await tab.handle_json(json.dumps({"kind": kind, "params": params})))
    if not answer["ok"]:
        raise RuntimeError(f"{kind} failed at the start of a tab: {answer['error']['message']}")
    return answer["value"]
