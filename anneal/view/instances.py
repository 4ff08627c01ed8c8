"""Instances of rules: the left side of a rule built with random leaves, such that it may fire.

The pattern itself says what to build: dtypes are inferred from its ops, constants and operands are drawn. Whether a guard holds, and whether a handler
gives anything, the rule itself says, compiled alone. Tests prove every rule on such instances, and `anneal explain` shows one.

>>> rule = next(s for s in statements() if s.name == "add_zero")
>>> node, leaves = draw(rule, random.Random(0), depth=0)
>>> alone(rule)[node.op](node) == (0, node.src[0])
True
"""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from anneal.ir.build import const
from anneal.ir.dtype import ALL, DType, Scalar, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.compile import FOLDER, handler_names, load, read_folder
from anneal.rewrite.table import MatchFunction
from anneal.rewrite.terms import Branch, Leaf, Term
from anneal.rewrite.upat import File, Statement

Leaves = dict[UOp, tuple[Scalar, ...]]
CANDIDATES: Final = (dtypes.index, dtypes.int32, dtypes.uint32, dtypes.bool, dtypes.float32, dtypes.float16)
"""The dtypes that leaves are drawn from, where the rule does not say."""
_FLOATS: Final = tuple(d for d in ALL if d.is_float)
_INTS: Final = tuple(d for d in ALL if d.is_int)
_KINDS: Final[dict[str, tuple[DType, ...]]] = {"int": _INTS, "float": _FLOATS, "bool": (dtypes.bool,), "index": (dtypes.index,)}
_DOMAINS: Final[dict[str, tuple[DType, ...]]] = {"float": _FLOATS, "int": _INTS, "bits": (*_INTS, dtypes.bool), "any": ALL}


@cache
def files() -> tuple[File, ...]:
    """The `.upat` files, parsed."""
    return tuple(read_folder(FOLDER))


def statements() -> tuple[Statement, ...]:
    """Every rule that is no gradient, as it was parsed."""
    return tuple(rule for file in files() for rule in file.rules)


@cache
def handlers() -> dict[str, Callable[..., Any]]:
    """The functions that rules may call, by name."""
    return {name: getattr(importlib.import_module(f"anneal.rules.{module}"), name) for name, module in handler_names(FOLDER).items()}


@cache
def alone(rule: Statement) -> dict[Op, MatchFunction]:
    """The match functions of one rule, compiled without the others."""
    return load(f'group g "g"\n{rule.name}: {rule.text}', handlers())["GROUPS"]["g"]  # type: ignore[no-any-return]


@dataclass
class Draft:
    """One instance in the making: a source of choices, and what was chosen so far."""

    random: random.Random
    depth: int
    """How deep operands may be that the pattern leaves open."""
    repeats: float = 0.35
    """How often a leaf that is there is taken again."""
    names: dict[str, UOp] = field(default_factory=dict)
    """What the names of the pattern stand for."""
    leaves: Leaves = field(default_factory=dict)
    """Values to try for each leaf."""
    parents: list[int] = field(default_factory=list)
    allowed: list[tuple[DType, ...]] = field(default_factory=list)
    chosen: dict[int, DType] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    def new_type(self, allowed: tuple[DType, ...] = CANDIDATES) -> int:
        """A type that may yet be any of these."""
        self.parents.append(len(self.parents))
        self.allowed.append(allowed)
        return len(self.parents) - 1

    def find(self, number: int) -> int:
        """The type that stands for all those united with this one."""
        while self.parents[number] != number:
            number = self.parents[number]
        return number

    def unite(self, a: int, b: int) -> None:
        """Make two types one."""
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parents[b] = a
            self.allow(a, self.allowed[b])

    def allow(self, number: int, dtypes_: tuple[DType, ...]) -> None:
        """Leave a type no other dtypes than these."""
        number = self.find(number)
        self.allowed[number] = tuple(d for d in self.allowed[number] if d in dtypes_)

    def dtype(self, number: int) -> DType | None:
        """The dtype of a type, chosen when first asked for; None when none is left."""
        number = self.find(number)
        if number not in self.chosen:
            if not self.allowed[number]:
                return None
            self.chosen[number] = self.random.choice(self.allowed[number])
        return self.chosen[number]


def draw(rule: Statement, source: random.Random, depth: int) -> tuple[UOp, Leaves] | None:
    """A node of the rule's form, and the values to try for each of its leaves; None when the choices did not fit together."""
    draft = Draft(source, depth)
    node = fill(rule, draft)
    return None if node is None else (node, draft.leaves)


def fill(rule: Statement, draft: Draft) -> UOp | None:
    """A node of the rule's form, drawn into `draft`; None when the choices did not fit together."""
    op = draft.random.choice(rule.pattern.ops)
    types: dict[int, int] = {}
    _infer(draft, rule.pattern, op, types)
    return _build(draft, rule.pattern, op, types)


def _infer(draft: Draft, term: Term, op: Op | None, types: dict[int, int]) -> int:
    """Give each part of the pattern a type, and unite those that must be one."""
    number = draft.new_type()
    types[id(term)] = number
    if term.dtype is not None:  # type: ignore[union-attr]
        draft.allow(number, _KINDS.get(term.dtype) or tuple(d for d in ALL if d.name == term.dtype))  # type: ignore[union-attr]
    if isinstance(term, Leaf):
        if isinstance(term.value, bool):
            draft.allow(number, (dtypes.bool,))
        elif term.value is not None:
            draft.allow(number, tuple(d for d in CANDIDATES if d.round(term.value) == term.value))
        if term.name is not None:
            draft.unite(draft.types.setdefault(term.name, number), number)
        return number
    assert isinstance(term, Branch)
    op = op or term.ops[0]
    inner = [_infer(draft, a, None, types) for a in term.args]
    while len(inner) < op.arity:
        inner.append(draft.new_type())
    values = inner[1:] if op is Ops.WHERE else inner
    for value in values[1:]:
        draft.unite(values[0], value)
    if op is Ops.WHERE:
        draft.allow(inner[0], (dtypes.bool,))
    if op.compares:
        draft.allow(number, (dtypes.bool,))
    elif op not in (Ops.CAST, Ops.BITCAST):
        draft.unite(values[0], number)
    draft.allow(values[0], _DOMAINS[op.domain])
    types[-id(term)] = inner[-1]
    return number


def _build(draft: Draft, term: Term, op: Op | None, types: dict[int, int]) -> UOp | None:
    dtype = draft.dtype(types[id(term)])
    if dtype is None:
        return None
    if isinstance(term, Leaf):
        if term.value is not None:
            return const(term.value, dtype)
        if term.name in draft.names:
            return draft.names[term.name]
        node = const(number(draft.random, dtype), dtype) if term.is_const else operand(draft, dtype, draft.depth)
        if term.name is not None:
            draft.names[term.name] = node
        return node
    assert isinstance(term, Branch)
    op = op or term.ops[0]
    src = [_build(draft, a, None, types) for a in term.args]
    while len(src) < op.arity:
        missing = draft.dtype(types[-id(term)])
        src.append(None if missing is None else const(number(draft.random, missing), missing))
    if any(s is None for s in src):
        return None
    if op is Ops.BITCAST and (src[0].dtype.bits != dtype.bits or dtypes.bool in (src[0].dtype, dtype) or not dtype.bits):  # type: ignore[union-attr]
        return None
    if op in (Ops.SHL, Ops.SHR) and dtype is dtypes.index:
        return None  # index arithmetic has no shifts
    node = ARENA.intern(op, dtype, tuple(src))  # type: ignore[arg-type]
    if term.name is not None:
        draft.names[term.name] = node
    return node


def number(source: random.Random, dtype: DType) -> Scalar:
    """A constant: mostly small, sometimes a corner of its dtype."""
    if dtype is dtypes.bool:
        return source.random() < 0.5
    if dtype.is_float:
        corners = (0.0, -0.0, 1.0, -1.0, 0.5, 3.0, math.inf, -math.inf, math.nan, 1e-7, 65504.0)
        return dtype.round(source.choice(corners) if source.random() < 0.6 else source.uniform(-8, 8))
    if source.random() < 0.1 and dtype is not dtypes.index:
        return source.choice((dtype.min, dtype.max, dtype.max - 1))
    return dtype.round(source.choice((0, 1, 2, 3, 4, 6, 8, 12, -1, -2, -3, -6)))


def operand(draft: Draft, dtype: DType, depth: int) -> UOp:
    """An operand: a leaf, or for index arithmetic and bool sometimes an expression."""
    source = draft.random
    if depth and dtype is dtypes.index and source.random() < 0.7:
        op = source.choice((Ops.ADD, Ops.ADD, Ops.MUL, Ops.MUL, Ops.IDIV, Ops.MOD, Ops.MAX))
        right = operand(draft, dtype, depth - 1) if op is Ops.ADD or source.random() < 0.2 else const(number(source, dtype), dtype)
        return ARENA.intern(op, dtype, (operand(draft, dtype, depth - 1), right))
    if depth and dtype is dtypes.bool and source.random() < 0.4:
        kind = source.choice((dtypes.index, dtypes.float32))
        return ARENA.intern(source.choice((Ops.LT, Ops.EQ)), dtype, (operand(draft, kind, depth - 1), operand(draft, kind, depth - 1)))
    return leaf(draft, dtype)


def leaf(draft: Draft, dtype: DType) -> UOp:
    """A new leaf, or one that is there already."""
    source = draft.random
    same = [u for u in draft.leaves if u.dtype is dtype]
    if same and source.random() < draft.repeats:
        return source.choice(same)
    slot = len(draft.leaves)
    if dtype is dtypes.index or (dtype.is_int and source.random() < 0.5):
        low = source.choice((0, 0, 0, 1, 2) if dtype is dtypes.uint32 else (0, 0, 0, 1, 5, -3))
        high = low + source.choice((0, 1, 3, 3, 7))
        node = ARENA.intern(Ops.VARIABLE, dtype, (), (f"v{slot}", low, high))
        draft.leaves[node] = tuple(range(low, high + 1))
        return node
    node = ARENA.intern(Ops.PARAM, dtype, (), (slot, ()))
    draft.leaves[node] = (False, True) if dtype is dtypes.bool else tuple(number(source, dtype) for _ in range(6))
    return node
