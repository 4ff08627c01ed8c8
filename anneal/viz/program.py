r"""Runs the editor's program: Python text whose last expression is what is shown, as in a notebook.

The text is a module called `program` while it is open. Top-level `await` works; what is printed is kept, up to a limit; nobody types at
`input()`. Modules beside the program come as text. Random numbers begin with the same seed each time, so running twice gives one graph.

>>> import asyncio
>>> ran = Ran("print('hello')\n6 * 7")
>>> with watched(ran):
...     asyncio.run(run(ran))
>>> ran.value, ran.printed.text()
(42, 'hello\n')
"""

from __future__ import annotations

import ast
import contextlib
import importlib.abc
import importlib.util
import inspect
import io
import linecache
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from anneal.ir.uop import ARENA, Account
from anneal.nn import modules
from anneal.nn.modules import Modules
from anneal.rewrite import session
from anneal.rewrite.trace import Trace
from anneal.tensor import realize
from anneal.tensor.tensor import Tensor
from anneal.viz.rows import FILE

NAME: Final = "program"
MOST: Final = 100_000
"""Characters of output that are kept."""
NOTHING: Final = object()
"""The value of a program that does not end in an expression."""
_VALUE: Final = "__value__"


class Printed(io.TextIOBase):
    """What a program prints, up to a limit."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = MOST
        self._lost = 0

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, text: str) -> int:
        """Keep a text, as far as there is room."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        kept = text[: self._room]
        if kept:
            self._parts.append(kept)
        self._room -= len(kept)
        self._lost += len(text) - len(kept)
        return len(text)

    def text(self) -> str:
        """All that was kept."""
        return "".join(self._parts) + (f"\n… and {self._lost:,} more characters" if self._lost else "")


class Beside(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Modules that are beside the program: text by path, such as `helper.py` or `nets/small.py`."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files
        self._paths = {}
        for path in files:
            parts = path.removesuffix(".py").split("/")
            self._paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002 - as the protocol has it
        """The module of that name, where it is one of these, or a folder of them."""
        folder = any(name.startswith(f"{fullname}.") for name in self._paths)
        if fullname not in self._paths and not folder:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=self._paths.get(fullname, fullname), is_package=folder or self._is_package(fullname))

    def _is_package(self, fullname: str) -> bool:
        return self._paths.get(fullname, "").endswith("__init__.py")

    def get_source(self, fullname: str) -> str:
        """The text of a module; empty for a folder without `__init__.py`."""
        return self.files.get(self._paths.get(fullname, ""), "")

    def get_code(self, fullname: str) -> Any:
        """The code of a module; its lines are known to tracebacks."""
        path = self._paths.get(fullname, fullname)
        remember(path, self.get_source(fullname))
        return compile(self.get_source(fullname), path, "exec", dont_inherit=True)


@dataclass
class Ran:
    """A program that has been run, or is being run."""

    source: str
    beside: Beside = field(default_factory=lambda: Beside({}))
    printed: Printed = field(default_factory=Printed)
    module: ModuleType = field(default_factory=lambda: ModuleType(NAME))
    value: Any = NOTHING
    line: int | None = None
    """Where the last expression begins."""
    last: realize.Program | None = None
    """The program of tensors that ran last while the text ran."""
    built: Trace = field(default_factory=Trace)
    """The gradient rules that fired."""
    seen: Modules = field(default_factory=Modules)
    """The modules that were called."""
    account: Account = field(default_factory=Account)
    """Whose lines its nodes have."""

    @property
    def files(self) -> frozenset[str]:
        """The names that lines of the user's have in tracebacks."""
        return frozenset((FILE, *self.beside.files))

    def ran(self, program: realize.Program) -> None:
        """Note a program of tensors that has run."""
        self.last = program

    def close(self) -> None:
        """Let go of everything that the program holds."""
        if sys.modules.get(NAME) is self.module:
            forget()
        self.module.__dict__.clear()
        self.value, self.last = NOTHING, None


def forget() -> None:
    """Let the module of a program, and those beside it, be imported by nobody any more."""
    for name in [name for name, module in sys.modules.items() if isinstance(getattr(getattr(module, "__spec__", None), "loader", None), Beside)]:
        del sys.modules[name]
    sys.modules.pop(NAME, None)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Beside)]


def remember(name: str, text: str) -> None:
    """Let tracebacks, and names of variables, be read from a text as from a file."""
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name


@contextlib.contextmanager
def watched(ran: Ran) -> Iterator[None]:
    """Watch what is built inside, and keep what is printed."""
    token = realize.RAN.set(ran.ran)
    before = sys.stdin
    sys.stdin = io.StringIO()
    try:
        with (
            ARENA.account(ran.account),
            session.watching(ran.built, only="backward"),
            modules.watching() as ran.seen,
            contextlib.redirect_stdout(ran.printed),
            contextlib.redirect_stderr(ran.printed),
        ):
            yield
    finally:
        sys.stdin = before
        realize.RAN.reset(token)


async def run(ran: Ran) -> None:
    """Run a text, inside `watched`. What it raises, SystemExit and KeyboardInterrupt too, comes out as it is; `ran` then knows how far it got."""
    remember(FILE, ran.source)
    tree = ast.parse(ran.source, FILE)
    if tree.body and isinstance(last := tree.body[-1], ast.Expr):
        ran.line = last.lineno
        tree.body[-1] = ast.copy_location(ast.Assign([ast.copy_location(ast.Name(_VALUE, ast.Store()), last)], last.value), last)
    code = compile(tree, FILE, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    ran.module.__file__ = FILE
    forget()
    sys.modules[NAME] = ran.module
    if ran.beside.files:
        sys.meta_path.insert(0, ran.beside)
    Tensor.manual_seed(0)
    random.seed(0)
    running = eval(code, ran.module.__dict__)  # noqa: S307 - running the user's program is what this is for
    if code.co_flags & inspect.CO_COROUTINE:
        await running
    ran.value = ran.module.__dict__.pop(_VALUE, NOTHING)
