"""Instances of rules about whole tensors: small random tensors in the form of a rule's left side.

>>> from anneal.view.instances import statements
>>> rule = next(s for s in statements() if s.name == "reshape_reshape")
>>> node = Maker(random.Random(1)).draw(rule)
>>> node.op.name, node.src[0].op.name
('reshape', 'reshape')
"""

from __future__ import annotations

import random
from typing import Final

from anneal.errors import ShapeError
from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import shape
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.terms import Branch, Handler, Term
from anneal.rewrite.upat import Statement

_MOVEMENTS: Final = (Ops.RESHAPE, Ops.PERMUTE, Ops.EXPAND, Ops.PAD, Ops.SHRINK, Ops.FLIP, Ops.SHEAR, Ops.UNSHEAR)
_ELEMENTWISE: Final = {
    dtypes.float32: (Ops.ADD, Ops.MUL, Ops.MAX, Ops.WHERE, Ops.FLOOR, Ops.LT, Ops.CAST),
    dtypes.int32: (Ops.ADD, Ops.XOR, Ops.MIN, Ops.WHERE, Ops.EQ),
    dtypes.bool: (Ops.AND, Ops.OR),
}


class Maker:
    """Random small tensors."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.slots = 0
        self.names: dict[str, UOp] = {}
        """What the names of the pattern stand for."""
        self.dtype: DType = source.choice((dtypes.float32, dtypes.float32, dtypes.int32, dtypes.bool))

    def draw(self, rule: Statement) -> UOp | None:
        """A node of the rule's form; None when the choices did not fit together."""
        ops = rule.pattern.ops
        choices = ops if len(ops) == 1 else _MOVEMENTS if rule.pattern.label == "movement" else _ELEMENTWISE[self.dtype]
        try:
            node = self.build(rule.pattern, self.source.choice(choices))
            shape(node)
        except (ValueError, ShapeError, IndexError):
            return None
        return node

    def sizes(self, most: int = 3) -> tuple[int, ...]:
        """A random shape."""
        return tuple(self.source.choice((1, 1, 2, 3)) for _ in range(self.source.randint(1, most)))

    def leaf(self, dims: tuple[int, ...], dtype: DType) -> UOp:
        """A new input."""
        self.slots += 1
        return build.param(self.slots, dims, dtype)

    def number(self) -> UOp:
        """A random constant."""
        return build.const(self.source.choice((0, 0, 1, 2)), self.dtype)

    def tensor(self) -> UOp:
        """A leaf or constant, perhaps moved or reduced."""
        dims = self.sizes()
        node = build.broadcast_to(self.number(), dims) if self.source.random() < 0.3 else self.leaf(dims, self.dtype)
        for _ in range(self.source.randint(0, 1)):
            node = self.apply(self.source.choice((*_MOVEMENTS, Ops.REDUCE_AXIS)), [node])
        return node

    def build(self, term: Term, op: Op | None = None) -> UOp:
        """A node of a pattern's form; of a class of ops, `op`."""
        assert not isinstance(term, Handler)
        if isinstance(term, Branch):
            node = self.apply(op or term.ops[0], [self.build(a) for a in term.args])
        elif term.is_const:
            node = self.names.get(term.name or "") or self.number()
        else:
            node = self.names.get(term.name or "") or self.tensor()
        if term.name is not None:
            self.names[term.name] = node
        return node

    def apply(self, op: Op, src: list[UOp]) -> UOp:
        """The op on these operands with an arg that fits, and further operands that it needs."""
        x, dims = src[0], sizes(src[0])
        if op.elementwise:
            return self._elementwise(op, src)
        if op is Ops.PAD:
            amounts = tuple((self.source.randint(0, 1), self.source.randint(0, 1)) for _ in dims)
            return ARENA.intern(op, x.dtype, (x, src[1] if len(src) > 1 else self.number()), amounts)
        return ARENA.intern(op, x.dtype, (x,), self._argument(op, dims, x.dtype))

    def _elementwise(self, op: Op, src: list[UOp]) -> UOp:
        dims, x = sizes(src[0]), src[0]
        while len(src) < op.arity:
            src.append(self.source.choice((self.number(), self.leaf(dims, x.dtype), build.broadcast_to(self.number(), dims))))
        if op is Ops.WHERE:
            src = [ARENA.intern(Ops.EQ, dtypes.bool, (src[0], self.number())), *src[1:]]
        return build.cast(x, dtypes.int32) if op is Ops.CAST else build.alu(op, *src)

    def _argument(self, op: Op, dims: tuple[int, ...], dtype: DType) -> object:
        choose, axes = self.source, range(len(dims))
        if op is Ops.REDUCE_AXIS:
            operation = choose.choice((Ops.ADD, Ops.ADD, Ops.MAX, Ops.MIN, Ops.MUL) if dtype is not dtypes.bool else (Ops.ADD, Ops.MAX))
            return (operation, tuple(sorted(choose.sample(axes, choose.randint(1, len(dims))))))
        if op is Ops.RESHAPE:
            return self._other_shape(dims)
        if op is Ops.PERMUTE:
            return tuple(choose.sample(axes, len(dims)))
        if op is Ops.EXPAND:
            return tuple(choose.choice((1, 2, 3)) if n == 1 else n for n in dims)
        if op is Ops.SHRINK:
            return tuple((low := choose.randint(0, min(1, n - 1)), choose.randint(low + 1, n)) for n in dims)
        if op is Ops.FLIP:
            return tuple(sorted(choose.sample(axes, choose.randint(0, len(dims)))))
        if op in (Ops.SHEAR, Ops.UNSHEAR):
            axis, along = choose.sample(axes, 2)
            return (axis, along, choose.choice((1, 1, 2)), choose.choice((1, 1, 2)), choose.randint(1, 4))
        return None

    def _other_shape(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        """A shape of as many elements, with axes of size 1 added and others merged."""
        choose = self.source
        parts = [n for n in dims if n != 1] + [1] * choose.randint(0, 2)
        while len(parts) > 1 and choose.random() < 0.3:
            parts = [parts[0] * parts[1], *parts[2:]]
        choose.shuffle(ones := [i for i, n in enumerate(parts) if n == 1])
        for i in ones:
            parts.insert(choose.randint(0, len(parts)), parts.pop(i)) if i < len(parts) and parts[i] == 1 else None
        return tuple(parts) if choose.random() < 0.8 else dims


def sizes(node: UOp) -> tuple[int, ...]:
    """The shape of a node whose sizes are all numbers."""
    return tuple(n for n in shape(node) if isinstance(n, int))
