"""The node of every graph, and the arena where nodes are interned.

`a is b` if and only if `a` and `b` are structurally equal. The arena holds nodes weakly: a node lives as long as something uses it,
so memory is bounded by what the program still holds.

>>> from anneal.ir.ops import Ops
>>> from anneal.ir.dtype import dtypes
>>> one = ARENA.intern(Ops.CONST, dtypes.int32, (), 1)
>>> ARENA.intern(Ops.CONST, dtypes.int32, (), 1) is one
True
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, NoReturn, Self, final

from anneal.ir.dtype import DType
from anneal.ir.ops import Op, Ops

Phase = Literal["forward", "backward", "update"]
Origin = tuple[str, int]


@final
class UOp:
    """An operation on operands: `op`, `dtype`, `src`, `arg`. Make nodes with `anneal.ir.build`, never directly."""

    __slots__ = ("__weakref__", "_account", "_bounds", "_key", "_ranges", "_shape", "arg", "dtype", "op", "origin", "phase", "rule", "src")

    op: Op
    dtype: DType
    src: tuple[UOp, ...]
    arg: Any
    # Side tables, kept in the node for speed; never part of its identity.
    phase: Phase
    """Which part of the program first built the node."""
    origin: Origin | None
    """The user's file and line that first built the node."""
    rule: str | None
    """The gradient rule that first built the node, for backward nodes."""
    _account: int
    _key: bytes | None
    _shape: Any
    _bounds: Any
    _ranges: frozenset[UOp] | None

    def __add__(self, other: UOp | int) -> UOp:
        return ARENA.intern(Ops.ADD, self.dtype, (self, _lift(self, other)))

    def __mul__(self, other: UOp | int) -> UOp:
        return ARENA.intern(Ops.MUL, self.dtype, (self, _lift(self, other)))

    def __floordiv__(self, other: UOp | int) -> UOp:
        return ARENA.intern(Ops.IDIV, self.dtype, (self, _lift(self, other)))

    def __mod__(self, other: UOp | int) -> UOp:
        return ARENA.intern(Ops.MOD, self.dtype, (self, _lift(self, other)))

    def __sub__(self, other: UOp | int) -> UOp:
        return self + _lift(self, other) * -1

    def __radd__(self, other: int) -> UOp:
        return _lift(self, other) + self

    def __rmul__(self, other: int) -> UOp:
        return _lift(self, other) * self

    def __rsub__(self, other: int) -> UOp:
        return _lift(self, other) - self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a UOp is bound to its arena: print it with anneal.ir.text instead")

    def __repr__(self) -> str:
        operands = ", ".join(s.op.name for s in self.src)
        return f"<{self.op.name}:{self.dtype.name} ({operands})" + (f" {self.arg!r}>" if self.arg is not None else ">")


def _lift(node: UOp, other: UOp | int) -> UOp:
    """An operand of index arithmetic; only integer nodes calculate with operators."""
    if not node.dtype.is_int:
        raise TypeError(f"operators on nodes are for integer arithmetic, not {node.dtype}")
    return other if isinstance(other, UOp) else ARENA.intern(Ops.CONST, node.dtype, (), int(node.dtype.round(other)))


class _Ref(weakref.ref[UOp]):
    __slots__ = ("key",)
    key: tuple[Any, ...]


_RUN: Final = 2048
"""Nodes that may die one inside the other; each takes some of Python's own stack, of which a browser tab has little."""


_ACCOUNTS: Final = itertools.count(1)


@final
class Account:
    """Who is credited with the nodes of one program, whatever was built before it: another program's lines are none of this one's.

    The newest account has the say over a node that several programs share.
    """

    __slots__ = ("number", "taken")

    def __init__(self, number: int | None = None) -> None:
        self.number = next(_ACCOUNTS) if number is None else number
        self.taken: list[tuple[UOp, int, Phase, Origin | None, str | None]] | None = [] if self.number else None
        """Nodes that were credited before, and how; None where nobody wants that back."""

    def settle(self) -> None:
        """Let what is credited stay so."""
        self.taken = None

    def undo(self) -> None:
        """Give the nodes of earlier accounts back to them."""
        for node, number, phase, origin, rule in self.taken or ():
            node._account, node.phase, node.origin, node.rule = number, phase, origin, rule
        self.settle()


class Arena:
    """Where nodes are interned; counts what it holds."""

    def __init__(self) -> None:
        self._table: dict[tuple[Any, ...], _Ref] = {}
        self._lock = threading.RLock()
        self._dropped = 0
        """Nodes that died since one was made."""
        self._held: list[tuple[Any, ...]] = []
        """Keys of dead nodes, which keep their operands alive until it is their turn."""
        self._releasing = False
        self._account = Account(0)
        self.phase: Phase = "forward"
        """The phase that new nodes get."""
        self.origin: Origin | None = None
        """The user's line that new nodes get."""
        self.rule: str | None = None
        """The gradient rule that new nodes get."""

    def credit(self, node: UOp) -> None:
        """Let new nodes have phase, origin and rule of `node`, until `crediting` ends."""
        self.phase, self.origin, self.rule = node.phase, node.origin, node.rule

    @contextmanager
    def crediting(self) -> Iterator[None]:
        """Afterwards what new nodes are credited to is as it was before."""
        before = self.phase, self.origin, self.rule
        try:
            yield
        finally:
            self.phase, self.origin, self.rule = before

    @contextmanager
    def account(self, account: Account) -> Iterator[None]:
        """Inside, nodes are credited in `account`: one that an earlier account, or nobody's, has credited gets the credit of who builds it here first."""
        before, self._account = self._account, account
        try:
            yield
        finally:
            self._account = before

    def __len__(self) -> int:
        """Nodes alive now."""
        self.settle()
        return len(self._table)

    def intern(self, op: Op, dtype: DType, src: tuple[UOp, ...] = (), arg: Any = None) -> UOp:
        """Return the one node with these four parts."""
        if self._held:
            self.settle()
        kind = type(arg)  # Python takes True, 1 and 1.0 for equal, and 0.0 and -0.0
        key = (op, dtype, src, kind, arg if kind is not float else arg.hex())
        ref = self._table.get(key)
        if ref is not None and (found := ref()) is not None:
            if found._account < self._account.number:
                self._credit_anew(found)
            return found
        with self._lock:
            ref = self._table.get(key)
            if ref is not None and (found := ref()) is not None:
                return found
            node = object.__new__(UOp)
            node.op, node.dtype, node.src, node.arg = op, dtype, src, arg
            node.phase, node.origin, node.rule = self.phase, self.origin, self.rule
            node._account = self._account.number
            node._key = node._shape = node._bounds = node._ranges = None
            made = _Ref(node, self._drop)
            made.key = key
            self._table[key] = made
            self._dropped = 0
            return node

    def _credit_anew(self, node: UOp) -> None:
        """Credit a node of an earlier account to who builds it now."""
        account = self._account
        if account.taken is not None:
            account.taken.append((node, node._account, node.phase, node.origin, node.rule))
        node._account, node.phase, node.origin, node.rule = account.number, self.phase, self.origin, self.rule

    def _drop(self, ref: weakref.ref[UOp]) -> None:
        assert isinstance(ref, _Ref)
        if self._table.get(ref.key) is ref:
            del self._table[ref.key]
        self._dropped += 1
        if self._dropped % _RUN == 0:
            # A node dies inside the death of its last reader: the rest of a long chain waits here, so that none of it dies too deep inside another.
            self._held.append(ref.key)

    def settle(self) -> bool:
        """Let all nodes die that nothing uses: the rest of a long chain may still wait for the next node to be made. True where any waited."""
        if self._releasing or not self._held:
            return False
        self._releasing = True
        try:
            while self._held:
                self._held.pop()
        finally:
            self._releasing = False
        return True


ARENA: Final = Arena()


def side_table(root: UOp, slot: str, compute: Callable[[UOp], Any]) -> Any:
    """The entry of `root` in a side table, filled in for all nodes below that lack it; `compute` finds those of the operands there."""
    stack = [root]
    while stack:
        node = stack[-1]
        if getattr(node, slot) is None and (missing := [s for s in node.src if getattr(s, slot) is None]):
            stack.extend(missing)
            continue
        stack.pop()
        if getattr(node, slot) is None:
            setattr(node, slot, compute(node))
    return getattr(root, slot)


def _arg_text(arg: Any) -> str:
    match arg:
        case UOp():
            return structural_key(arg).hex()
        case tuple():
            return "(" + ",".join(map(_arg_text, arg)) + ")"
        case float():
            return arg.hex()
        case Op():
            return arg.name
        case None | bool() | int() | str():
            return repr(arg)
        case _:
            raise TypeError(f"a node's arg cannot hold {type(arg).__name__}")


def structural_key(root: UOp) -> bytes:
    """Return a digest of the graph below `root` that is the same in every process, Python and machine."""
    return root._key if root._key is not None else side_table(root, "_key", _digest)


def _digest(node: UOp) -> bytes:
    head = f"{node.op.name}:{node.dtype.name}:{_arg_text(node.arg)}:{len(node.src)}:".encode()
    return hashlib.blake2b(b"".join((head, *(s._key for s in node.src))), digest_size=16).digest()  # type: ignore[arg-type]


def is_const(node: UOp, value: object = None) -> bool:
    """True for a constant, and for that constant when `value` is given."""
    return node.op is Ops.CONST and (value is None or node.arg == value)
