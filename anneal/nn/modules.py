"""Which of the user's modules each node is built in, found by watching the calls.

Any object that holds tensors, or other such objects, as attributes and is called is a module, as for `get_state_dict`; its parts go by their paths in
that dictionary. Watching costs only the program that is watched; no module knows of it.

>>> from anneal import nn
>>> net = nn.Sequential(nn.Linear(2, 3), Tensor.relu)
>>> with watching() as seen:
...     y = net(Tensor.ones(4, 2))
>>> [path for tensor, path in seen.results], sorted(set(seen.places.values())), seen.kinds
(['net.0', 'net'], ['net', 'net.0'], {'net': 'Sequential', 'net.0': 'Linear'})
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from anneal.ir.uop import Arena, UOp
from anneal.nn.optim import Optimizer
from anneal.nn.state import get_modules, get_state_dict
from anneal.tensor.tensor import Tensor

OPTIMIZER: Final = "optimizer"
"""The path of whatever optimiser there is."""
_INTERN: Final = Arena.intern.__code__
_CALLS: Final = frozenset({"__call__", "forward"})
_UPDATES: Final = frozenset({"step", "schedule_step"})
_OURS: Final = "anneal."
_USERS: Final = ("anneal.nn.", "anneal.examples.")


class Modules:
    """What was seen of the modules of a program."""

    def __init__(self) -> None:
        self.places: dict[UOp, str] = {}
        """The path of the module that built each node first."""
        self.results: list[tuple[Tensor, str]] = []
        """What modules returned, with the path of the module; of a tensor that several pass on, the outermost comes last."""
        self.kinds: dict[str, str] = {}
        """The class of each module that was called, by path."""
        self._paths: dict[int, str] = {}
        self._roots: list[tuple[str, Any]] = []
        self._stack: list[tuple[FrameType, str]] = []

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the modules by name."""
        return {name: tensor for path, root in self._roots for name, tensor in get_state_dict(root, path).items()}

    def observe(self, frame: FrameType, event: str, result: Any) -> None:
        """Take note of a call or a return, as `sys.setprofile` reports them."""
        code = frame.f_code
        if event == "return":
            if code is _INTERN:
                if self._stack and result is not None:
                    self.places.setdefault(result, self._stack[-1][1])
            elif self._stack and self._stack[-1][0] is frame:
                path = self._stack.pop()[1]
                for tensor in result if isinstance(result, tuple | list) else (result,):
                    if isinstance(tensor, Tensor) and path != OPTIMIZER:
                        self.results.append((tensor, path))
        elif event == "call" and code.co_argcount and code.co_varnames[0] == "self":
            owner = frame.f_locals.get("self")
            known = self._paths.get(id(owner)) or (self._register(owner, frame) if _begins(owner, code.co_name) else None)
            if known is not None:
                self.kinds.setdefault(known, type(owner).__name__)
                self._stack.append((frame, known))

    def _register(self, root: Any, frame: FrameType) -> str:
        """Note an object that is called outside of all modules, and all its parts; returns its path."""
        path = OPTIMIZER if isinstance(root, Optimizer) else _variable(root, frame.f_back)
        self._roots.append((path or "", root))
        if not isinstance(root, Optimizer):
            for name, part in get_modules(root, path or "").items():
                if _builds(part):
                    self._paths.setdefault(id(part), name or type(root).__name__)
        return self._paths.setdefault(id(root), path or type(root).__name__)


def _begins(owner: Any, function: str) -> bool:
    """True for a call that a module begins with, and for what an optimiser does."""
    if isinstance(owner, Optimizer):
        return function in _UPDATES
    if function not in _CALLS or isinstance(owner, Tensor | type) or not hasattr(owner, "__dict__"):
        return False
    home = f"{type(owner).__module__}."
    return not home.startswith(_OURS) or home.startswith(_USERS)


def _builds(part: Any) -> bool:
    """True for what can be called like a module or holds tensors; a dtype or settings that a module keeps are no module."""
    return any(hasattr(part, name) for name in _CALLS) or bool(get_state_dict(part))


def _variable(root: Any, frame: FrameType | None) -> str | None:
    """The variable by which the caller knows a module."""
    if frame is None:
        return None
    return next((name for scope in (frame.f_locals, frame.f_globals) for name, value in scope.items() if value is root and name != "self"), None)


@contextmanager
def watching() -> Iterator[Modules]:
    """Watch the modules that are called inside."""
    seen = Modules()
    before: Callable[..., Any] | None = sys.getprofile()
    sys.setprofile(seen.observe)
    try:
        yield seen
    finally:
        sys.setprofile(before)
