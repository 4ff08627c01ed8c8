"""Python in a tab, without the page: a worker with Pyodide and the package of the built site, which runs what a test sends it as text.

The worker is the test's own; everything that it loads is the site's. A snippet may await, and the value of its last expression comes back
by way of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import Browser, Page, Route
from site_browser import Host

from e2e.conftest import STARTED, Watched

_WORKER: Final = """
const read = async (path) => (await fetch(path)).arrayBuffer();
const start = async () => {
  const manifest = await (await fetch("manifest.json")).json();
  const { loadPyodide } = await import(new URL(manifest.pyodide, location.href).href);
  const at = (path) => new URL(path, location.href).href;
  const python = await loadPyodide({ indexURL: at("pyodide/"), stdLibURL: at(manifest.stdlib) });
  for (const path of manifest.archives) {
    const place = `/lib/${path.split("/").pop()}`;
    python.FS.writeFile(place, new Uint8Array(await read(path)));
    python.runPython(`import sys; sys.path.append(${JSON.stringify(place)})`);
  }
  return python;
};
const started = start();
onmessage = async ({ data: [id, code] }) => {
  try {
    const python = await started;
    const result = await python.runPythonAsync(`${code}`);
    const text = python.pyimport("json").dumps(result);
    result?.destroy?.();
    postMessage([id, true, text]);
  } catch (error) {
    postMessage([id, false, String(error?.message ?? error).slice(-4000)]);
  }
};
"""
_PAGE: Final = """<!doctype html><link rel="icon" href="data:,"><title>Python</title>"""
_ASK: Final = """
([code]) => new Promise((resolve, reject) => {
  window.python ??= new Worker("python-of-the-test.mjs", { type: "module" });
  window.asked = (window.asked ?? 0) + 1;
  const id = window.asked;
  window.python.addEventListener("error", (event) => reject(new Error(event.message)));
  window.python.addEventListener("message", ({ data }) => { if (data[0] === id) resolve(data.slice(1)); });
  window.python.postMessage([id, code]);
})
"""


class PythonError(Exception):
    """What a snippet raised: the end of its traceback."""


class PythonTab:
    """A worker that runs Python."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def run(self, code: str, **values: Any) -> Any:
        """The value of the last expression of a snippet, in which each of `values` has its name."""
        given = "".join(f"{name} = json.loads({json.dumps(json.dumps(value))})\n" for name, value in values.items())
        done, text = self.page.evaluate(_ASK, [f"import json\n{given}{code}"])
        if not done:
            raise PythonError(text)
        return json.loads(text)


@contextmanager
def python_tab(browser: Browser, host: Host, watched: Watched) -> Iterator[PythonTab]:
    """A tab of its own that runs Python, closed at the end."""
    context = browser.new_context()
    context.set_default_timeout(STARTED)
    page = watched.watch(context.new_page())

    def script(route: Route) -> None:
        route.fulfill(body=_WORKER, content_type="text/javascript")

    def blank(route: Route) -> None:
        route.fulfill(body=_PAGE, content_type="text/html")

    context.route("**/python-of-the-test.mjs", script)
    context.route("**/blank-of-the-test.html", blank)
    page.goto(f"{host.url}blank-of-the-test.html")
    try:
        yield PythonTab(page)
    finally:
        context.close()
