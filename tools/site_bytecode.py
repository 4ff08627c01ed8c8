"""Compiles Python sources to bytecode; runs inside Pyodide, so that the bytecode is what a tab's Python reads.

The bytecode says the hash of its source and is never checked against it: an archive of both is made at once.
"""

from __future__ import annotations

import ast
import importlib._bootstrap_external as external
import importlib.util
import zipfile
from typing import Final

_DOCUMENTED: Final = ("anneal/", "email/", "pyodide/", "_pyodide/")
"""Whose docstrings are read: the package shows its own, Pyodide gives those of its modules to built-in functions, and `email.policy` edits its own."""


def compile_archive(source: str, target: str) -> None:
    """A zip of `x.pyc` for each `x.py` of a zip; the code is named as its file in the zip.

    The standard library loses its docstrings, as under `python -OO`, which are a tenth of it; its assertions stay.
    """
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        for name in sorted(read.namelist()):
            data = read.read(name)
            tree = ast.parse(data, name)
            if not name.startswith(_DOCUMENTED):
                _forget_docstrings(tree)
            code = compile(tree, name, "exec", dont_inherit=True, optimize=0)
            write.writestr(f"{name}c", external._code_to_hash_pyc(code, importlib.util.source_hash(data), checked=False))  # type: ignore[attr-defined]


def _forget_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.copy_location(ast.Pass(), node.body[0])
