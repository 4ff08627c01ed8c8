"""The house as the design has it: layers, cycles, who imports what, sizes, docstrings.

python tests/test_architecture.py    prints the rooms and what each imports
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "anneal"
LAYERS = (
    ("errors", "settings"),
    ("ir",),
    ("analysis",),
    ("rewrite",),
    ("rules",),
    ("view",),
    ("autodiff",),
    ("schedule",),
    ("codegen",),
    ("runtime",),
    ("tensor",),
    ("nn", "formats"),
    ("export",),
    ("examples",),
    ("viz",),
    ("cli",),
)
"""Left never imports right; rooms in one layer may."""
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}
FILE_MOST, FUNCTION_MOST = 400, 60
PROGRAMS = "anneal.viz.programs."
"""What a user would write: it imports the package as users do."""
GENERATED = frozenset({"anneal.rules.compiled"})

THIRD_PARTY: Mapping[str, Callable[[str], bool]] = {
    "numpy": lambda module: module.startswith("anneal.runtime.reference") or module == "anneal.tensor.host",
    "wgpu": lambda module: module == "anneal.runtime.adapters",
    "js": lambda module: module == "anneal.runtime.browser",
    "pyodide": lambda module: module == "anneal.runtime.browser",
    "torch": lambda module: module == "anneal.cli.bench_peer",  # to be compared with, where it is installed
    "tokenizers": lambda module: module == "anneal.examples.minilm_files",
    "IPython": lambda module: module == "anneal.examples.live",
    **dict.fromkeys(("textual", "rich", "pygments", "plotext", "matplotlib"), lambda module: module.startswith("anneal.cli.")),
}
"""Where a package from elsewhere may be imported; any other package nowhere. The host boundary is where arrays come in and go out."""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in SOURCES.items()}
WRITTEN = sorted(set(SOURCES) - GENERATED)


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker looks at."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack.extend(node.orelse)
        else:
            stack.extend(ast.iter_child_nodes(node))


def imports_of(module: str, tree: ast.AST) -> set[str]:
    """Dotted names that a module imports anywhere, inside functions too: of modules where a name is one."""
    found = set()
    for node in run_time_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import at line {node.lineno}"
            assert node.module
            found |= {name if (name := f"{node.module}.{alias.name}") in SOURCES else node.module for alias in node.names}
    return found


IMPORTS = {module: imports_of(module, tree) for module, tree in TREES.items()}
INSIDE = {module: sorted(found & SOURCES.keys() - {module}) for module, found in IMPORTS.items()}


def room_of(module: str) -> str | None:
    """The room that a module is in; the package itself and `python -m anneal` are in none, and see them all."""
    parts = module.split(".")
    return None if len(parts) == 1 or parts[1] == "__main__" else parts[1]


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 50
    assert sum(map(len, INSIDE.values())) > 200


def test_every_module_is_in_a_room() -> None:
    assert {room for module in SOURCES if (room := room_of(module)) is not None} <= RANK.keys()


def test_left_never_imports_right() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in INSIDE.items()
        for other in others
        if (here := room_of(module)) is not None and not module.startswith(PROGRAMS) and ((there := room_of(other)) is None or RANK[there] > RANK[here])
    ]
    assert not wrong


def components(graph: Mapping[str, list[str]]) -> list[list[str]]:
    """Strongly connected components of more than one node: what a node reaches and is reached from."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        stack = [start]
        while stack:
            for other in graph[stack.pop()]:
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
        return seen

    reached = {node: reach(node) for node in graph}
    groups = {tuple(sorted(b for b in reached[a] if a in reached[b])) for a in graph}
    return [list(group) for group in sorted(groups) if group]


def test_components_finds_cycles() -> None:
    assert components({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a", "e"], "e": []}) == [["a", "b", "c"]]


def test_no_cycles_lazy_imports_counted() -> None:
    assert components(INSIDE) == []


def test_packages_from_elsewhere_stay_where_they_belong() -> None:
    wrong = []
    for module, found in IMPORTS.items():
        for name in sorted({dotted.split(".")[0] for dotted in found}):
            allowed = name == "anneal" or name in sys.stdlib_module_names or (name in THIRD_PARTY and THIRD_PARTY[name](module))
            if not allowed:
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_files_are_short() -> None:
    lines = {module: SOURCES[module].read_text(encoding="utf-8").count("\n") for module in WRITTEN}
    assert not {module: count for module, count in lines.items() if count > FILE_MOST}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    wrong = [
        f"{module}:{node.lineno} {node.name}: {length(node)} lines" for module in WRITTEN for node in functions(TREES[module]) if length(node) > FUNCTION_MOST
    ]
    assert not wrong


def test_generated_code_says_so() -> None:
    for module in GENERATED:
        assert "generated" in SOURCES[module].read_text(encoding="utf-8").splitlines()[0].lower()


def undocumented(module: str) -> Iterator[str]:
    """The module itself and its public classes, functions and methods that have no docstring."""
    tree = TREES[module]
    stack: list[tuple[str, ast.Module | ast.ClassDef]] = [(module, tree)]
    if not ast.get_docstring(tree):
        yield module
    while stack:
        name, parent = stack.pop()
        for node in parent.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                if not ast.get_docstring(node) and not any(map(documents_nothing, node.decorator_list)):
                    yield f"{name}.{node.name}"
                if isinstance(node, ast.ClassDef):
                    stack.append((f"{name}.{node.name}", node))


def documents_nothing(decorator: ast.expr) -> bool:
    """True for overloads and setters: the docstring is that of the implementation, or of the getter."""
    return ast.unparse(decorator).split(".")[-1] in ("overload", "setter", "deleter")


def inherited(module: str, name: str) -> bool:
    """True for a method that a base class of this package documents."""
    owner = name.removeprefix(module + ".").split(".")
    return len(owner) == 2 and any(
        isinstance(node, ast.FunctionDef) and node.name == owner[1] and ast.get_docstring(node)
        for tree in TREES.values()
        for base in ast.walk(tree)
        if isinstance(base, ast.ClassDef) and base.name != owner[0] and base.name in bases(module, owner[0])
        for node in base.body
    )


def bases(module: str, name: str) -> set[str]:
    found = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.ClassDef) and node.name == name]
    return {ast.unparse(base).split(".")[-1].split("[")[0] for node in found for base in node.bases}


def test_what_is_public_is_documented() -> None:
    assert [name for module in WRITTEN for name in undocumented(module) if not inherited(module, name)] == []


def main() -> None:
    rooms: dict[str, set[str]] = {}
    for module, others in INSIDE.items():
        rooms.setdefault(room_of(module) or "anneal", set()).update(room for other in others if (room := room_of(other)) is not None)
    for room in ("anneal", *RANK):
        if room in rooms:
            print(f"{room:10} <- {' '.join(sorted(rooms[room] - {room}, key=lambda r: RANK[r]))}")


if __name__ == "__main__":
    main()
