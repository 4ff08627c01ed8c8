"""Shapes of tensor-level nodes.

A dimension is an int or an integer UOp (a size known at run time). Elementwise operands have one shape, or no axes at all:
a scalar stands for a tensor of any shape. The shape is a side table, computed once a node.

>>> from anneal.ir import build
>>> shape(build.param(0, (2, 3), dtypes.float32))
(2, 3)
"""

from __future__ import annotations

from typing import Final

from anneal.errors import ShapeError
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp, side_table

Dim = int | UOp
Shape = tuple[Dim, ...]

_SAME_AS_FIRST: Final = frozenset({Ops.CONTIGUOUS, Ops.DETACH, Ops.ASSIGN, Ops.FLIP})
_ARG_IS_SHAPE: Final = frozenset({Ops.RESHAPE, Ops.EXPAND})
_SCALAR: Final = frozenset({Ops.CONST, Ops.VARIABLE, Ops.RANGE, Ops.AT, Ops.LOAD, Ops.STORE, Ops.REDUCE, Ops.SINK})


def shape(root: UOp) -> Shape:
    """Return the shape of `root`; kernel-level values are scalars, `()`."""
    return root._shape if root._shape is not None else side_table(root, "_shape", _shape_of)  # type: ignore[no-any-return]


def _shape_of(node: UOp) -> Shape:
    """The shape of a node whose operands' shapes are known."""
    op, arg = node.op, node.arg
    if op.elementwise:
        return elementwise_shape(tuple(s._shape for s in node.src), op.name)
    if op in _ARG_IS_SHAPE:
        return tuple(arg)
    if op in _SAME_AS_FIRST:
        return tuple(node.src[0]._shape)
    if op in _SCALAR or op.category == "program":
        return ()
    if op is Ops.IOTA:
        return (arg,)
    if op in (Ops.BUFFER, Ops.PARAM):
        return tuple(arg[1])
    inner: Shape = node.src[0]._shape
    if op is Ops.GATHER:
        return tuple(node.src[1]._shape) + inner[len(node.src) - 1 :]
    if op is Ops.PERMUTE:
        return tuple(inner[i] for i in arg)
    if op is Ops.PAD:
        return tuple(add(add(n, low), high) for n, (low, high) in zip(inner, arg, strict=True))
    if op is Ops.SHRINK:
        return tuple(add(end, negate(start)) for start, end in arg)
    if op is Ops.REDUCE_AXIS:
        return tuple(1 if i in arg[1] else n for i, n in enumerate(inner))
    assert op in (Ops.SHEAR, Ops.UNSHEAR), f"{op} has no shape"
    return (*inner[: arg[0]], arg[4], *inner[arg[0] + 1 :])


def elementwise_shape(shapes: tuple[Shape, ...], what: str) -> Shape:
    """The one shape of elementwise operands, scalars aside."""
    full = [s for s in shapes if s]
    if any(s != full[0] for s in full):
        raise ShapeError(f"{what}: operands of shapes {' and '.join(map(show, full))}; expand them to one shape first")
    return full[0] if full else ()


def add(a: Dim, b: Dim) -> Dim:
    """Sum of two dimensions."""
    return b if a == 0 else a if b == 0 else a + b


def multiply(a: Dim, b: Dim) -> Dim:
    """Product of two dimensions."""
    return b if a == 1 else a if b == 1 else a * b


def negate(a: Dim) -> Dim:
    """A dimension with its sign changed."""
    return multiply(a, -1)


def product(dims: Shape) -> Dim:
    """Number of elements of a shape: symbols in order, then what is known, so that equal counts are one node."""
    known = 1
    total: Dim = 1
    for dim in dims:
        if isinstance(dim, int):
            known *= dim
        else:
            total = multiply(total, dim)
    return multiply(total, known)


def as_uop(dim: Dim) -> UOp:
    """A dimension as an integer node of index arithmetic."""
    return dim if isinstance(dim, UOp) else ARENA.intern(Ops.CONST, dtypes.index, (), dim)


def show(dims: Shape) -> str:
    """A shape as a reader writes it, symbols by name."""
    names = [str(d) if isinstance(d, int) else d.arg[0] if d.op is Ops.VARIABLE else "?" for d in dims]
    return "(" + ", ".join(names) + ("," if len(names) == 1 else "") + ")"
