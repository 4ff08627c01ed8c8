r"""Files to save: the graph of a stage, the plan, the WGSL.

>>> import asyncio
>>> from anneal.viz.opening import open_program
>>> state = State()
>>> _ = asyncio.run(open_program(state, {"source": "from anneal import Tensor\nTensor([1.0, 2.0]) * 2", "name": "my program"}))
>>> [export(state, {"what": what, "stage": "simplified"})["name"] for what in WHAT]
['my-program-simplified.json', 'my-program-plan.json', 'my-program.wgsl']
"""

from __future__ import annotations

import json
import re
from typing import Final

from anneal.errors import UsageError
from anneal.export import graph
from anneal.viz import messages
from anneal.viz.messages import Params
from anneal.viz.state import Opened, State

_JSON: Final = "application/json"


def _graph(opened: Opened, params: Params) -> messages.Export:
    shown = opened.graph(messages.text(params, "stage"))
    document = graph.describe(shown, opened.name, opened.part)
    return {"name": f"{_file(opened.name)}-{shown.stage}.json", "type": _JSON, "text": json.dumps(document, allow_nan=False)}


def _plan(opened: Opened, params: Params) -> messages.Export:  # noqa: ARG001 - as its siblings
    return {"name": f"{_file(opened.name)}-plan.json", "type": _JSON, "text": opened.compiled.plan.to_json()}


def _wgsl(opened: Opened, params: Params) -> messages.Export:  # noqa: ARG001 - as its siblings
    kernels = opened.compiled.plan.kernels
    text = "\n".join(f"// kernel {number}: {k.name}, workgroups {k.workgroups}\n\n{k.wgsl}" for number, k in enumerate(kernels))
    return {"name": f"{_file(opened.name)}.wgsl", "type": "text/wgsl", "text": text}


WHAT: Final = {"graph": _graph, "plan": _plan, "wgsl": _wgsl}
"""What can be saved."""


def export(state: State, params: Params) -> messages.Export:
    """A file; raises UsageError for what there is none of."""
    what = messages.text(params, "what")
    if what not in WHAT:
        raise UsageError(f"nothing called {what!r} to save: there are {', '.join(WHAT)}")
    return WHAT[what](state.open, params)


def _file(name: str) -> str:
    """A name as part of a file's name.

    >>> _file("../net.py:small"), _file("…")
    ('net.py-small', 'program')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "program"
