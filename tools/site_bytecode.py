"""Compiles Python sources to bytecode; runs inside Pyodide, so that the bytecode is what a tab's Python reads.

The bytecode says the hash of its source and is never checked against it: an archive of both is made at once.
"""

from __future__ import annotations

import importlib._bootstrap_external as external
import importlib.util
import zipfile


def compile_archive(source: str, target: str) -> None:
    """A zip of `x.pyc` for each `x.py` of a zip; the code is named as its file in the zip."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        for name in sorted(read.namelist()):
            data = read.read(name)
            code = compile(data, name, "exec", dont_inherit=True, optimize=0)
            write.writestr(f"{name}c", external._code_to_hash_pyc(code, importlib.util.source_hash(data), checked=False))  # type: ignore[attr-defined]
