"""One compiler, two homes: the site's package, imported natively and in a tab, makes the same plans byte for byte, and they compute the same.

The native side is a process that imports the very archive which the tab loads, and nothing else of the package. Both run the same text.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser
from site_browser import Host

from anneal.ir.dtype import by_name
from anneal.ir.text import print_graph
from anneal.runtime.device import get_device
from anneal.tensor import host, realize
from e2e.conftest import ROOT, Watched
from e2e.python_tab import PythonTab, python_tab

PARTS: Final = ("forward", "backward", "step")
RANDOM: Final = 50
HOME: Final = '''
import base64, json, platform, sys
import anneal
from anneal.codegen.target import Target
from anneal.examples import EXAMPLES
from anneal.examples.program import Program, trace
from anneal.ir.text import parse_graph
from anneal.runtime.device import open_device
from anneal.runtime.pipeline import compile_graph
from anneal.tensor import realize
from anneal.viz.about import EXAMPLES as SHOWN
from anneal.viz.about import example
from anneal.viz.tab import Tab

def text_of(data):
    return base64.b64encode(data).decode()

async def computed(plan, given, device):
    """The bytes of each output of a plan, and its dtype."""
    bound = [b for b in plan.buffers if b.role != "temporary"]
    storages = [device.allocate(b.bytes) for b in bound]
    for storage, data in zip(storages, given):
        device.write(storage, data)
    device.execute(plan, storages)
    found = await device.read_many_async([(storages[at], plan.buffers[at].bytes) for at in plan.outputs])
    return [[plan.buffers[at].dtype, text_of(data)] for at, data in zip(plan.outputs, found)]

async def model(name, part):
    """A trainable example."""
    program = Program(EXAMPLES[name])
    traced, _ = trace(program.outputs(part), program.names())
    device = await open_device(DEVICE)
    realize.place(traced.buffers, device)
    given = await device.read_many_async([(b.storage, b.nbytes) for b in traced.buffers])
    plan = realize.compile_program(traced, Target.portable())
    return {"fingerprint": plan.fingerprint, "kernels": len(plan.kernels), "values": await computed(plan, given, device)}

async def shown(name):
    """A program of the page's editor in each part that it has, the page's own way."""
    tab, found = Tab(), {}
    async def ask(kind, **params):
        answer = await tab.handle(kind, params)
        assert answer["ok"], answer
        return answer["value"]
    source = example(name)["source"]
    for part in (await ask("open", source=source, part=None, name=name))["parts"]:
        await ask("open", source=source, part=part, name=name)
        compiled, ran = await ask("compile"), await ask("run")
        values = [[o["dtype"], o["values"]] for o in ran["outputs"]]
        found[part] = {"fingerprint": compiled["fingerprint"], "kernels": len(compiled["kernels"]), "values": values}
    return found

async def drawn(text, given):
    """A graph at random."""
    plan = compile_graph(parse_graph(text)[0], Target.portable())
    values = await computed(plan, [base64.b64decode(data) for data in given], await open_device(DEVICE))
    return {"fingerprint": plan.fingerprint, "kernels": len(plan.kernels), "values": values}

async def told(text):
    """What a graph is refused with."""
    try:
        return compile_graph(parse_graph(text)[0], Target.portable()).fingerprint
    except anneal.errors.AnnealError as error:
        return [type(error).__name__, str(error)]

async def home():
    return [anneal.__file__, platform.python_version(), sys.platform, sorted(EXAMPLES), list(SHOWN)]
'''

Array = NDArray[Any]


class Native:
    """A process of this machine's Python that imports the site's archive; one for each question."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive

    def run(self, call: str, **values: Any) -> Any:
        """The value of an awaitable of `HOME`, on the reference device."""
        lines = [f"import sys; sys.path.insert(0, {str(self.archive)!r})", HOME, "DEVICE = 'reference'", "import asyncio"]
        given = "globals().update(json.load(sys.stdin))"
        text = "\n".join([*lines, given, f"async def asked():\n    return {call}", "print(json.dumps(asyncio.run(asked())))"])
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"ANNEAL_DEVICE": "reference"}
        command = [sys.executable, "-I", "-c", text]
        done = subprocess.run(command, input=json.dumps(values), cwd=self.archive.parent, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def native(site: Path) -> Native:
    """The archive that the tab loads, natively."""
    manifest = json.loads((site / "manifest.json").read_text(encoding="utf-8"))
    [archive] = manifest["archives"]
    return Native(site / archive)


@pytest.fixture(scope="module")
def tab(browser: Browser, host: Host) -> Iterator[PythonTab]:
    """The archive in a tab."""
    told = Watched()
    with python_tab(browser, host, told) as opened:
        opened.run(f"{HOME}\nDEVICE = 'webgpu'")
        yield opened
    told.check()


def examples(shown: bool) -> list[str]:
    """Names of the trainable examples, or of the programs of the page's editor."""
    from anneal.examples import EXAMPLES
    from anneal.viz.about import EXAMPLES as SHOWN

    return list(SHOWN) if shown else sorted(EXAMPLES)


def array(dtype: str, values: Any) -> Array:
    """Values as they came: base64 of a buffer's bytes, or numbers."""
    if isinstance(values, str):
        data, held = base64.b64decode(values), by_name(dtype)
        return np.array([float(v) for v in host.decode(data, held, len(data) // held.storage)])
    return np.array([float(v) for v in values])


def differ(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> list[str]:
    """Which outputs are not the same, relative to the largest number of each."""
    assert len(one["values"]) == len(other["values"]) > 0
    wrong = []
    for place, ((dtype, mine), (kind, theirs)) in enumerate(zip(one["values"], other["values"], strict=True)):
        left, right = array(dtype, mine), array(kind, theirs)
        assert (dtype, left.shape) == (kind, right.shape)
        assert np.isfinite(right.astype(np.float64)).all()
        scale = max(1.0, float(np.abs(right.astype(np.float64)).max())) if tolerance else 1.0
        if left.size and (worst := float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max()) / scale) > tolerance:
            wrong.append(f"output {place}: off by {worst:.2g} of {scale:.3g}")
    return wrong


def test_both_homes_import_the_one_archive(native: Native, tab: PythonTab) -> None:
    here, there = native.run("await home()"), tab.run("await home()")
    assert here[0].startswith(f"{native.archive}{os.sep}anneal")
    assert there[0].startswith(f"/lib/{native.archive.name}/anneal")
    assert (here[2], there[2]) == (sys.platform, "emscripten")
    assert here[3:] == there[3:] == [examples(shown=False), examples(shown=True)]


@pytest.mark.parametrize("name", examples(shown=False))
def test_a_model_has_one_plan_and_one_result(native: Native, tab: PythonTab, name: str) -> None:
    """Its forward pass, its gradients and its training step."""
    call = "[await model(name, part) for part in parts]"
    here, there = native.run(call, name=name, parts=PARTS), tab.run(call, name=name, parts=PARTS)
    for part, mine, theirs in zip(PARTS, here, there, strict=True):
        assert theirs["fingerprint"] == mine["fingerprint"], part
        assert theirs["kernels"] == mine["kernels"] > 0, part
        assert differ(theirs, mine, 2e-4) == [], part


@pytest.mark.parametrize("name", examples(shown=True))
def test_a_program_of_the_page_has_one_plan_and_one_result(native: Native, tab: PythonTab, name: str) -> None:
    """In each part that it has, by the page's own requests."""
    here, there = native.run("await shown(name)", name=name), tab.run("await shown(name)", name=name)
    assert here.keys() == there.keys() >= {"forward"}
    for part, mine in here.items():
        assert there[part]["fingerprint"] == mine["fingerprint"], part
        assert there[part]["kernels"] == mine["kernels"] > 0, part
        assert differ(there[part], mine, 2e-4) == [], part


def generator() -> Any:
    """The random programs of `tests/test_fuzz.py`, whose numbers stay whole and small: results must be equal to the bit."""
    spec = importlib.util.spec_from_file_location("random_programs", ROOT / "tests" / "test_fuzz.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(count: int) -> list[tuple[int, str, list[str], list[Array]]]:
    """Random programs: seed, graph, the bytes of the inputs, and what NumPy has for the outputs."""
    found: list[tuple[int, str, list[str], list[Array]]] = []
    module, device, seed = generator(), get_device("reference"), 1000
    while len(found) < count:
        seed += 1
        program = module.Program(seed, "reference")
        results = [*program.outputs, *program.inputs]
        traced = realize.trace([t.uop for t, _ in results])
        text = print_graph(traced.sink)
        if not traced.buffers:
            continue
        realize.place(traced.buffers, device)
        given = [base64.b64encode(realize.read(b)).decode() for b in traced.buffers]
        found.append((seed, text, given, [np.asarray(x) for _, x in results]))
    return found


def test_random_programs_have_one_plan_and_one_result(native: Native, tab: PythonTab) -> None:
    programs = drawn(RANDOM)
    graphs = [[text, given] for _, text, given, _ in programs]
    call = "[await drawn(text, given) for text, given in graphs]"
    here, there = native.run(call, graphs=graphs), tab.run(call, graphs=graphs)
    for (seed, _, _, expected), mine, theirs in zip(programs, here, there, strict=True):
        assert theirs["fingerprint"] == mine["fingerprint"], f"seed {seed}"
        for (dtype, values), goal in zip(theirs["values"], expected, strict=True):
            found = array(dtype, values)[: goal.size].reshape(goal.shape)
            assert np.array_equal(found.astype(np.float64), goal.astype(np.float64)), f"seed {seed}"
        assert differ(theirs, mine, 0.0) == [], f"seed {seed}"
    assert len({p["fingerprint"] for p in here}) > RANDOM * 0.9
    assert sum(p["kernels"] for p in here) > RANDOM


def test_what_a_target_lacks_is_refused_in_the_same_words(native: Native, tab: PythonTab) -> None:
    text = "%0 = param:float32 [(0, (40000000,))]\n%1 = exp2:float32 %0\n%2 = sink:bool %1\nreturn %2"
    here, there = native.run("await told(text)", text=text), tab.run("await told(text)", text=text)
    assert here == there
    assert here[0] == "CompileError"
    assert "160000000 bytes" in here[1]
