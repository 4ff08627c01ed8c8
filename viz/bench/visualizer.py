"""What it takes to see a graph and to compile again in a tab, beside what the same takes natively.

    python viz/bench/visualizer.py           a table
    python viz/bench/visualizer.py --json    one JSON document

`cold` and `warm` go from starting `anneal viz mlp --step` to the graph on the screen of a browser that is open: cold with nothing kept of the
site, warm at the second visit. The tensor graph is drawn while the program is still being compiled: how long that takes is told, too. A
compilation is what the Compile button asks for: running the program, its gradients, all stages with every rewrite recorded. The tab and this
Python take turns, so what slows the machine for a while slows both, and the ratio of each turn is a sample.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from site_browser import CHROMIUM, GPU, QUIET, READY  # noqa: E402 - it is found only now

DRAWN: Final = '#graph canvas[aria-label^="Graph of the stage"]'
TURNS: Final = 5
AIMS: Final = {"cold": 5.0, "warm": 2.0, "compile": 2.0}
"""Seconds, seconds, and times the native time."""
_WAIT: Final = 120_000
_WORKER: Final = """() => {
  const worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" });
  const answers = new Map();
  let number = 0;
  worker.onmessage = ({ data }) => {
    const wrong = data.failed ?? data.broken;
    if (wrong !== undefined) for (const { reject } of answers.values()) reject(new Error(wrong));
    else if (data.id !== undefined) answers.get(data.id).resolve(JSON.parse(data.text));
  };
  window.asked = async (kind, params) => {
    const id = ++number;
    const answer = await new Promise((resolve, reject) => { answers.set(id, { resolve, reject }); worker.postMessage({ id, kind, params }); });
    if (!answer.ok) throw new Error(answer.error.message);
    return answer.value;
  };
}"""
_COMPILE: Final = """async (program) => {
  const start = performance.now();
  await window.asked("open", program);
  const { fingerprint } = await window.asked("compile", {});
  return [(performance.now() - start) / 1000, fingerprint];
}"""


@contextmanager
def served(port: int = 0) -> Iterator[str]:
    """The address of the visualizer on the MLP's training step, served by a command that has just been started."""
    command = [sys.executable, "-m", "anneal", "viz", "mlp", "--step", "--no-open", "--json", "--port", str(port)]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n}\n"):
        line = process.stdout.readline()
        if not line:
            raise SystemExit("error: anneal viz does not start: try python build_wasm.py, then anneal viz mlp")
        text += line
    try:
        yield json.loads(text)["url"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def seen(context: Any, port: int) -> tuple[float, float]:
    """Seconds from starting the command to the graph on the screen, and to the compiled program."""
    start = time.perf_counter()
    with served(port) as url:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(DRAWN, timeout=_WAIT)
        drawn = time.perf_counter() - start
        page.wait_for_selector(READY, timeout=_WAIT)
        compiled = time.perf_counter() - start
        page.close()
    return drawn, compiled


def visits(playwright: Any) -> dict[str, list[float]]:
    """Cold and warm visits, each pair with a profile of its own."""
    found: dict[str, list[float]] = {"cold": [], "cold_compiled": [], "warm": [], "warm_compiled": []}
    for turn in range(TURNS):
        with TemporaryDirectory() as profile:
            context = playwright.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=[*QUIET, *GPU])
            for kind in ("cold", "warm"):
                drawn, compiled = seen(context, 8265 + turn)
                found[kind].append(drawn)
                found[f"{kind}_compiled"].append(compiled)
            context.close()
    return found


def compilations(playwright: Any) -> dict[str, list[float]]:
    """Seconds of compiling in the tab and natively, in turns. Raises SystemExit where the two do not give one plan."""
    from anneal.viz.tab import Tab

    found: dict[str, list[float]] = {"tab": [], "native": []}
    beside = ThreadPoolExecutor(1)  # Playwright has an event loop in this thread
    tab = beside.submit(Tab).result()
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *GPU])
    with served() as url:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector(READY, timeout=_WAIT)
        page.evaluate(_WORKER)
        examples = page.evaluate("async () => (await window.asked('info', {})).examples")
        program = {"source": next(e["source"] for e in examples if e["name"] == "mlp"), "part": "step", "name": "mlp"}
        for turn in range(TURNS + 1):
            seconds, there = page.evaluate(_COMPILE, program)
            native, here = beside.submit(lambda: asyncio.run(_native(tab, program))).result()
            if there != here:
                raise SystemExit(f"error: the tab's plan is {there}, the native one {here}")
            if turn:  # the first warms up
                found["tab"].append(seconds)
                found["native"].append(native)
        browser.close()
    beside.shutdown()
    return found


async def _native(tab: Any, program: dict[str, str]) -> tuple[float, str]:
    """Seconds of the same requests here, as JSON too, and the plan's fingerprint."""
    start = time.perf_counter()
    await tab.handle_json(json.dumps({"kind": "open", "params": program}))
    answer = json.loads(await tab.handle_json(json.dumps({"kind": "compile", "params": {}})))
    return time.perf_counter() - start, answer["value"]["fingerprint"]


def measure() -> dict[str, Any]:
    """All of it. Raises SystemExit where something is missing that it takes."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise SystemExit("error: this takes Playwright: pip install -e '.[test]'") from None
    if not Path(CHROMIUM).exists():
        raise SystemExit(f"error: no browser at {CHROMIUM}: install Chromium, or name it in the variable CHROMIUM")
    build = [sys.executable, str(ROOT / "build_wasm.py")]
    if subprocess.run(build, stdout=subprocess.DEVNULL, check=False).returncode:  # noqa: S603 - our own builder
        raise SystemExit("error: the site could not be built, for the reason above")
    with sync_playwright() as playwright:
        found = {**visits(playwright), **compilations(playwright)}
    ratios = [tab / native for tab, native in zip(found["tab"], found["native"], strict=True)]
    medians = {name: statistics.median(values) for name, values in {**found, "ratio": ratios}.items()}
    met = {"cold": medians["cold"] <= AIMS["cold"], "warm": medians["warm"] <= AIMS["warm"], "compile": medians["ratio"] <= AIMS["compile"]}
    return {
        "schema": "anneal.bench.visualizer",
        "version": 1,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "processors": os.cpu_count(),
        "seconds": found,
        "ratios": ratios,
        "medians": medians,
        "aims": AIMS,
        "met": met,
    }


def table(document: dict[str, Any]) -> list[str]:
    """The measurements for a reader."""
    median, met = document["medians"], {name: "met" if value else "missed" for name, value in document["met"].items()}
    spread = {name: f"{min(values):.2f} to {max(values):.2f}" for name, values in {**document["seconds"], "ratio": document["ratios"]}.items()}
    visit = [
        f"anneal viz to a graph, {kind}  {median[kind]:6.2f} s  ({spread[kind]}; aim {AIMS[kind]:g} s, {met[kind]}; "
        f"compiled after {median[f'{kind}_compiled']:.2f} s)"
        for kind in ("cold", "warm")
    ]
    return [
        f"medians of {TURNS}; Python {document['python']} natively; {document['processors']} processors, load {document['load']:.1f}",
        *visit,
        f"compiling the step, tab      {median['tab']:6.2f} s  ({spread['tab']})",
        f"compiling the step, native   {median['native']:6.2f} s  ({spread['native']})",
        f"tab / native                 {median['ratio']:6.2f}    ({spread['ratio']}; aim {AIMS['compile']:g}, {met['compile']})",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="visualizer.py", description="Measures the visualizer against native compilation.")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    asked = parser.parse_args()
    document = measure()
    print(json.dumps(document, indent=2) if asked.json else "\n".join(table(document)))


if __name__ == "__main__":
    main()
