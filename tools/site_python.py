"""Python for the tab: the package and the standard library, each as one archive, with bytecode where it shortens the start.

Python reads bytecode several times faster than source, and bytecode takes nearly twice the bytes. So it is made for the modules that a start
loads, and a start is run under Node to see which. The package holds their sources too, and any Python can import it. Bytecode is made by the
tab's own Python. What was compiled once is kept beside the npm packages, by the hash of its source.
"""

from __future__ import annotations

import ast
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from site_files import SiteError, archive, contents, digest, keep
from site_npm import run_node

TOOLS: Final = Path(__file__).resolve().parent
_NO_PROCESSES: Final = "a tab starts no processes and has no second interpreter"
_NO_SOCKETS: Final = "a tab has no sockets and cannot listen"
_ELSEWHERE: Final = "works on another system only"
_NEVER_USED: Final = "stands in for a compiled module, and this Python has that module"
CANNOT_WORK: Final = {
    "multiprocessing/": _NO_PROCESSES,
    "concurrent/interpreters/": _NO_PROCESSES,
    "concurrent/futures/interpreter.py": _NO_PROCESSES,
    "concurrent/futures/process.py": _NO_PROCESSES,
    "pty.py": _NO_PROCESSES,
    "zipapp.py": "makes programs for a command line",
    "ftplib.py": _NO_SOCKETS,
    "http/server.py": _NO_SOCKETS,
    "imaplib.py": _NO_SOCKETS,
    "poplib.py": _NO_SOCKETS,
    "smtplib.py": _NO_SOCKETS,
    "wsgiref/": _NO_SOCKETS,
    "xmlrpc/server.py": _NO_SOCKETS,
    "asyncio/windows_": _ELSEWHERE,
    "ctypes/macholib/": _ELSEWHERE,
    "encodings/mbcs.py": _ELSEWHERE,
    "encodings/oem.py": _ELSEWHERE,
    "_pydatetime.py": _NEVER_USED,
    "_pyio.py": _NEVER_USED,
}
"""What the archive leaves out of the standard library, by how its path begins, and why. What it keeps can be imported."""
SMALLER_AS_BYTECODE: Final = "encodings/"
"""Where bytecode often takes fewer bytes than source: tables of characters."""


class Bytecode:
    """Compiles sources for a tab, and remembers what it compiled."""

    def __init__(self, pyodide: Path, cache: Path) -> None:
        self.pyodide = pyodide
        made_by = (pyodide / "package.json", *(TOOLS / f"site_{name}" for name in ("bytecode.py", "bytecode.mjs", "python.py", "files.py")))
        self.cache = cache / digest(b"".join(path.read_bytes() for path in made_by))[:16]

    def compile(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        """`x.pyc` for each `x.py`."""
        places = {name: self.cache / digest(f"{name}\0".encode() + data) for name, data in sources.items()}
        missing = {name: sources[name] for name, place in places.items() if not place.is_file()}
        if missing:
            for name, data in self._run(missing).items():
                keep(places[name.removesuffix("c")], data)
        return {f"{name}c": place.read_bytes() for name, place in places.items()}

    def _run(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        with TemporaryDirectory() as folder:
            source, target = Path(folder, "source.zip"), Path(folder, "target.zip")
            source.write_bytes(archive(sources))
            run_node(TOOLS / "site_bytecode.mjs", str(self.pyodide), str(source), str(target))
            return contents(target.read_bytes())


def imports(path: str, source: bytes) -> list[str]:
    r"""The import statements of a source file; raises SiteError where it is no Python.

    >>> imports("a.py", b"import json\n\ndef load():\n    from json import loads\n")
    ['import json', 'from json import loads']
    """
    try:
        return [ast.unparse(node) for node in ast.walk(ast.parse(source, path)) if isinstance(node, ast.Import | ast.ImportFrom)]
    except SyntaxError as error:
        raise SiteError(f"{path}:{error.lineno}: {error.msg}") from error


def start_files(files: Mapping[str, bytes], compiler: Bytecode) -> frozenset[str]:
    """Paths of the sources that the start of a tab loads, of the package and of the standard library, seen by running one.

    Run anew when the package's imports are others than before: what a start loads hardly changes otherwise, and a file more or less costs a
    millisecond, never a wrong result.
    """
    statements = {path: imports(path, source) for path, source in files.items() if path.endswith(".py")}
    scripts = [(TOOLS / f"site_start.{ending}").read_text(encoding="utf-8") for ending in ("py", "mjs")]
    kept = compiler.cache / f"start-{digest(json.dumps([statements, scripts], sort_keys=True).encode())}.json"
    if not kept.is_file():
        with TemporaryDirectory() as folder:
            package = Path(folder, "package.zip")
            package.write_bytes(archive(files))
            told = run_node(TOOLS / "site_start.mjs", str(compiler.pyodide), str(package))
        keep(kept, told.encode())
    return frozenset(json.loads(kept.read_text(encoding="utf-8")))


def package_archive(files: Mapping[str, bytes], start: frozenset[str], compiler: Bytecode) -> bytes:
    """The package with bytecode for what a start loads. Any Python can import it: one that reads other bytecode takes the source."""
    return archive({**files, **compiler.compile({path: files[path] for path in sorted(start & files.keys())})})


def library_archive(start: frozenset[str], compiler: Bytecode) -> bytes:
    """The standard library: bytecode of what a start loads and where it is smaller, source of the rest."""
    start = frozenset(path for path in start if not path.startswith("anneal/"))
    known = compiler.cache / f"library-{digest(json.dumps(sorted(start)).encode())}.zip"
    if not known.is_file():
        whole = contents((compiler.pyodide / "python_stdlib.zip").read_bytes())
        kept = {path: data for path, data in whole.items() if path.endswith(".py") and not path.startswith(tuple(CANNOT_WORK))}
        keep(known, archive(_smaller(kept, start, compiler)))
    return known.read_bytes()


def _smaller(files: Mapping[str, bytes], start: frozenset[str], compiler: Bytecode) -> dict[str, bytes]:
    compiled = compiler.compile({path: data for path, data in files.items() if path in start or path.startswith(SMALLER_AS_BYTECODE)})
    chosen = {path for path in files if f"{path}c" in compiled and (path in start or _packed(compiled[f"{path}c"]) < _packed(files[path]))}
    return {f"{path}c" if path in chosen else path: compiled[f"{path}c"] if path in chosen else data for path, data in files.items()}


def _packed(data: bytes) -> int:
    return len(zlib.compress(data, 9))
