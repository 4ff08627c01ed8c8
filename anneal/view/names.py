r"""Names that a reader knows: the variables of the user's source lines.

A node notes the line that built it; the statement on that line says which variable the result went to. Only what the statement computes last
gets the name, and a line that cannot be read gives none.

>>> import linecache
>>> linecache.cache["demo.py"] = 0, None, ["y = (x +\n", "     1)\n", "model.best = y\n"], "demo.py"
>>> assigned([("demo.py", 2), ("demo.py", 3), ("demo.py", 9)])
{('demo.py', 2): 'y', ('demo.py', 3): 'best'}
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterable
from functools import lru_cache

from anneal.ir.graph import users
from anneal.ir.ops import Ops
from anneal.ir.uop import Origin, UOp

_LEAVES = frozenset({Ops.CONST, Ops.PARAM, Ops.BUFFER, Ops.IOTA, Ops.VARIABLE, Ops.ASSIGN, Ops.SINK})


def assigned(origins: Iterable[Origin]) -> dict[Origin, str]:
    """For each line, the variable or attribute that the statement on it assigns; nothing for a line that assigns none, or several."""
    origins = list(origins)
    files = {file: _assigned("".join(linecache.getlines(file))) for file in dict.fromkeys(file for file, _ in origins)}
    return {(file, line): files[file][line] for file, line in origins if line in files[file]}


def source_line(origin: Origin) -> str:
    """The text of the user's line; empty where the file cannot be read."""
    return linecache.getline(*origin).strip()


@lru_cache(64)
def _assigned(source: str) -> dict[int, str]:
    """The name that the statements on each line assign, where it is one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[int, set[str]] = {}
    for statement in ast.walk(tree):
        if isinstance(statement, ast.stmt) and (name := _target(statement)) is not None:
            for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1):
                found.setdefault(line, set()).add(name)
    return {line: name for line, names in found.items() for name in names if len(names) == 1}


def _target(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else None
    return None


def variables(nodes: Iterable[UOp], path: Callable[[UOp], tuple[str, ...]] = lambda _: ()) -> dict[UOp, str]:
    """For the last node that each statement of the forward program builds, the variable that it went to.

    `path` says by which modules a node was built, the outermost first: where a statement calls a module and computes on, what the module gave is
    not the last.
    """
    nodes = list(nodes)
    readers = users(nodes)
    last: dict[Origin, list[UOp]] = {}
    for node in nodes:
        origin = node.origin
        if origin is None or node.phase != "forward" or node.op in _LEAVES:
            continue
        if not any(r.origin == origin and r.phase == "forward" and r.op is not Ops.ASSIGN for r in readers[node]):
            last.setdefault(origin, []).append(node)
    named: dict[UOp, str] = {}
    for origin, name in assigned(last).items():
        found = last[origin]
        paths = {path(u) for u in found}
        named |= {u: name for u in found if not any(path(u)[:depth] in paths for depth in range(len(path(u))))}
    return named
