"""The first seconds of a tab: opens and compiles a program as the page does; runs inside Pyodide.

Afterwards `loaded()` tells which files of the standard library that took.
"""

from __future__ import annotations

import json
import sys


def loaded() -> str:
    """A JSON list of the paths, inside the archive of the standard library, of the modules that are loaded."""
    archive = next(place for place in sys.path if place.endswith(".zip"))
    files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    return json.dumps(sorted(file.removeprefix(f"{archive}/").removesuffix("c") for file in files if file.startswith(f"{archive}/")))


def start() -> None:
    """Compile the training step of an example."""
    import anneal
    from anneal.examples import EXAMPLES
    from anneal.examples.program import Program, trace
    from anneal.tensor import realize

    program = Program(EXAMPLES["mlp"])
    traced, _ = trace(program.outputs("step"), program.names())
    with anneal.trace():
        realize.compile_program(traced, anneal.Target.portable())
