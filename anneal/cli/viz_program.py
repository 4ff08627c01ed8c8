"""The program that `anneal viz` hands to the page: an example, or the user's own file with the modules of its folder that it imports.

Nothing of the user's runs here: names and imports are found in the syntax. A file that is no Python is handed over as it is, for the page
shows such an error at its line. The files are read anew each time, so reloading the page shows what was edited.

>>> Request.of("mlp", "step").launch()["example"]
'mlp'
"""

from __future__ import annotations

import ast
import os
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from anneal.cli.output import nearest
from anneal.cli.reference import split
from anneal.errors import UsageError
from anneal.export.schema.graph import Part
from anneal.export.schema.viz import Launch

OWN: Final = "anneal"
"""The package that the page has already: a folder of that name beside the user's file is no module of the user's."""
_NO_PYTHON: Final = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What the parser raises for a text that is no program."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the page is asked to show."""

    name: str
    """As the user wrote it."""
    part: Part
    file: Path | None
    """The user's file; None for an example."""
    function: str
    """The function of the file, or the example; empty where the file's last expression is meant."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What differs from the example as it is: fields of `anneal.examples.Example`."""

    @classmethod
    def of(cls, reference: str, part: Part = "forward", **options: object) -> Request:
        """The request for an example's name or for `path/to/file.py:function`; options that are None are as the model has them.

        Raises UsageError where there is no such example, file or function.
        """
        options = {name: value for name, value in options.items() if value is not None}
        path, function = split(reference)
        request = cls(reference, part, None if path is None else Path(path).resolve(), function, options)
        request.launch()  # what is wrong is told before anything is served
        return request

    def launch(self) -> Launch:
        """The document for the page; raises UsageError for a function that there is not, or a file that is no text."""
        if self.file is None:
            example = None if self.options else self.function
            source = f"from anneal.examples import EXAMPLES\n\n{self._shown(f'EXAMPLES[{self.function!r}]')}\n" if self.options else None
            return {"name": self.name, "example": example, "source": source, "part": self.part, "files": {}}
        text = read(self.file)
        tree = parse(text)
        value = expression(tree, self.name, self.function)
        source = f"{text}\n\n{self._shown(value)}\n" if value else text
        return {"name": self.name, "example": None, "source": source, "part": self.part, "files": modules(self.file.parent, tree)}

    def _shown(self, value: str) -> str:
        """The expression for a value, with the options put in."""
        if not self.options:
            return value
        given = ", ".join(f"{name}={option!r}" for name, option in self.options.items())
        return f"import dataclasses\n\ndataclasses.replace({value}, {given})"


def read(file: Path) -> str:
    """The text of a Python file; raises UsageError where it is none."""
    try:
        with tokenize.open(file) as stream:
            return stream.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(f"{os.path.relpath(file)} is no text in UTF-8: save it so, or name its encoding in its first line ({error})") from error


def parse(text: str) -> ast.Module | None:
    """The syntax of a program; None where it has an error."""
    try:
        return ast.parse(text)
    except _NO_PYTHON:
        return None


def expression(tree: ast.Module | None, reference: str, function: str) -> str:
    """The expression for what a file's function gives; empty where the file ends with an expression of its own and no function is named.

    >>> expression(ast.parse("def small(): ..."), "mine.py:small", "small")
    'small()'
    >>> expression(ast.parse("small = 1"), "mine.py:small", "small")
    'small() if callable(small) else small'
    """
    if tree is None:
        return f"{function}()" if function.isidentifier() else ""
    known = dict(_names(tree.body))
    path = reference.removesuffix(f":{function}")
    there = [name for name, called in known.items() if called]
    if not function:
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            return ""
        raise UsageError(f"say which function of {path}, as {path}:{there[0] if there else 'function'}: {nearest(function, there)}")
    if function.startswith("_") or not (function in known or (function.isidentifier() and "*" in known)):
        raise UsageError(f"no function {function!r} in {path}: {nearest(function, there)}")
    return f"{function}()" if known.get(function) else f"{function}() if callable({function}) else {function}"


def _names(body: list[ast.stmt]) -> Iterator[tuple[str, bool]]:
    """The public names that statements at the top of a file bind, and whether each is a function; `*` where anything may be bound."""
    stack: list[ast.AST] = list(reversed(body))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.name.startswith("_"):
                yield node.name, isinstance(node, ast.FunctionDef)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.split(".")[0], False) for alias in node.names)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                yield node.id, False
        else:
            stack.extend(reversed(list(ast.iter_child_nodes(node))))


def modules(folder: Path, tree: ast.Module | None) -> dict[str, str]:
    """The modules of a folder that a program imports, directly or through one another: text by path, in order of finding."""
    found: dict[str, str] = {}
    waiting: list[tuple[ast.Module | None, tuple[str, ...]]] = [(tree, ())]
    while waiting:
        tree, package = waiting.pop()
        for name in () if tree is None else imported(tree, package):
            parts = tuple(name.split("."))
            places = [Path(*parts, "__init__.py"), Path(*parts).with_suffix(".py")]
            place = next((p for p in places if (folder / p).is_file()), None)
            if place is None or parts[0] == OWN or place.as_posix() in found:
                continue
            found[place.as_posix()] = text = read(folder / place)
            waiting.append((parse(text), parts if place.name == "__init__.py" else parts[:-1]))
    return found


def imported(tree: ast.Module, package: tuple[str, ...]) -> list[str]:
    """The dotted names of modules that a module of a package may import, the packages above each first.

    >>> imported(ast.parse("import a.b; from .c import d"), ("p",))
    ['a', 'a.b', 'p', 'p.c', 'p.c.d']
    """
    names: list[tuple[str, ...]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            names += [(*module, alias.name) for alias in node.names if alias.name != "*"] or [module]
    return list(dict.fromkeys(".".join(parts[:end]) for parts in names for end in range(1, len(parts) + 1)))
