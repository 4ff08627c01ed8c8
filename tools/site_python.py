"""Python for the tab: the package and the standard library, each as one archive, with bytecode where it shortens the start.

Python reads bytecode several times faster than source, and bytecode takes twice the bytes. So the package holds both for whatever its tab
imports, and the standard library bytecode for the modules that a start loads (a start is run under Node to see which), source for the others.
Bytecode is made by the tab's own Python. What was compiled once is kept beside the npm packages, by the hash of its source.

>>> module_name("anneal/viz/__init__.py"), module_name("anneal/viz/tab.py")
('anneal.viz', 'anneal.viz.tab')
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from site_files import archive, contents, digest, digest_of, write_tree
from site_npm import run_node

TOOLS: Final = Path(__file__).resolve().parent
TAB: Final = "anneal.viz.tab"
"""The module that a tab imports first."""
CANNOT_WORK: Final = {
    "multiprocessing/": "a tab starts no processes",
    "_pyrepl/": "the interactive terminal; a tab has none",
    "pty.py": "needs a terminal",
    "tty.py": "needs a terminal",
    "ctypes/macholib/": "reads programs of macOS",
    "socketserver.py": "a tab cannot listen",
    "http/server.py": "a tab cannot listen",
    "wsgiref/": "a tab cannot listen",
    "xmlrpc/server.py": "a tab cannot listen",
    "ftplib.py": "a tab has no sockets",
    "imaplib.py": "a tab has no sockets",
    "poplib.py": "a tab has no sockets",
    "smtplib.py": "a tab has no sockets",
    "sqlite3/": "Pyodide ships its compiled part in another package",
    "zipapp.py": "makes programs for a command line",
}
"""What the archive leaves out of the standard library, by path or folder, and why."""


class Bytecode:
    """Compiles sources for a tab, and remembers what it compiled."""

    def __init__(self, pyodide: Path, cache: Path) -> None:
        self.pyodide = pyodide
        self.cache = cache / digest((pyodide / "package.json").read_bytes() + (TOOLS / "site_bytecode.py").read_bytes())[:16]

    def compile(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        """`x.pyc` for each `x.py`."""
        places = {name: self.cache / digest(f"{name}\0".encode() + data) for name, data in sources.items()}
        missing = {name: sources[name] for name, place in places.items() if not place.is_file()}
        if missing:
            self.cache.mkdir(parents=True, exist_ok=True)
            for name, data in self._run(missing).items():
                write_tree(self.cache, {places[name.removesuffix("c")].name: data})
        return {f"{name}c": place.read_bytes() for name, place in places.items()}

    def _run(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        with TemporaryDirectory() as folder:
            source, target = Path(folder, "source.zip"), Path(folder, "target.zip")
            source.write_bytes(archive(sources))
            run_node(TOOLS / "site_bytecode.mjs", str(self.pyodide), str(source), str(target))
            return contents(target.read_bytes())


def module_name(path: str) -> str:
    """The name by which a source file is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(name: str, path: str, data: bytes) -> Iterable[str]:
    """The modules that a source file may import, lazily or not; some names may be those of things in a module."""
    package = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(data)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def reachable(files: Mapping[str, bytes], first: str) -> tuple[set[str], set[str]]:
    """The source files that importing the module `first` can lead to, and the modules beyond these files that they import."""
    paths = {module_name(path): path for path in files if path.endswith(".py")}
    seen: set[str] = set()
    beyond: set[str] = set()
    todo = [first]
    while todo:
        name = todo.pop()
        if name not in paths:
            beyond.add(name)
        elif name not in seen:
            seen.add(name)
            todo.append(name.rpartition(".")[0] or name)
            todo.extend(_imported(name, paths[name], files[paths[name]]))
    return {paths[name] for name in seen}, {name for name in beyond if name.partition(".")[0] in sys.stdlib_module_names}


def package_archive(files: Mapping[str, bytes], compiler: Bytecode) -> bytes:
    """The package with bytecode for what a tab may import. Any Python can import it: one that reads other bytecode takes the source."""
    paths, _ = reachable(files, TAB)
    return archive({**files, **compiler.compile({path: files[path] for path in sorted(paths)})})


def start_modules(files: Mapping[str, bytes], compiler: Bytecode) -> frozenset[str]:
    """Paths of the standard library's files that the start of a tab loads, seen by running one.

    Run anew when the package imports other modules of the standard library than before: what a start loads hardly changes otherwise,
    and a file more or less costs a millisecond, never a wrong result.
    """
    _, imports = reachable(files, TAB)
    kept = compiler.cache / f"start-{digest_of({name: b'' for name in imports})}.json"
    if not kept.is_file():
        with TemporaryDirectory() as folder:
            package = Path(folder, "package.zip")
            package.write_bytes(archive(files))
            told = run_node(TOOLS / "site_start.mjs", str(compiler.pyodide), str(package))
        write_tree(compiler.cache, {kept.name: told.encode()})
    return frozenset(json.loads(kept.read_text(encoding="utf-8")))


def standard_library(files: Mapping[str, bytes], compiler: Bytecode) -> bytes:
    """The standard library as a tab wants it."""
    whole = contents((compiler.pyodide / "python_stdlib.zip").read_bytes())
    kept = {path: data for path, data in whole.items() if path.endswith(".py") and not path.startswith(tuple(CANNOT_WORK))}
    start = start_modules(files, compiler) & kept.keys()
    rest = {path: data for path, data in kept.items() if path not in start}
    return archive({**rest, **compiler.compile({path: kept[path] for path in sorted(start)})})
