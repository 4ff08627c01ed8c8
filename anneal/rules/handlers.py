"""What a result or a guard of a rule calls when one line does not say it: folding, operand order, conversions.

A handler takes nodes and returns the new node, or None for no change. It must be true alone, like any rule.

>>> from anneal.ir.build import index
>>> fold(index(7) // index(-3)) is index(-3)
True
"""

from __future__ import annotations

import math

from anneal.analysis.bounds import hi, lo
from anneal.ir.build import bitcast, cast, const
from anneal.ir.dtype import DType, dtypes
from anneal.ir.interp import alu
from anneal.ir.ops import ORDER, Ops
from anneal.ir.uop import ARENA, UOp, structural_key


def is_const(node: UOp) -> bool:
    """True for a constant."""
    return node.op is Ops.CONST


def fold(root: UOp) -> UOp | None:
    """The constant that an op on constants computes."""
    if any(s.op is not Ops.CONST for s in root.src):
        return None
    return const(alu(root.op, root.dtype, [s.arg for s in root.src], root.src[0].dtype), root.dtype)


def single_value(root: UOp) -> UOp | None:
    """The constant of a node whose bounds leave one value."""
    value = lo(root)
    return const(value, root.dtype) if value is not None and value == hi(root) else None


def ordered(root: UOp) -> UOp | None:
    """The operands of a commutative op in canonical order: constants last, others by op and then by structural key.

    Sums and products of index arithmetic have an order of their own, see `canonical_sum`.
    """
    left, right = root.src
    if right.op is Ops.CONST or left is right or (root.dtype is dtypes.index and root.op in (Ops.ADD, Ops.MUL)):
        return None
    if left.op is not Ops.CONST and _comes_first(left, right):
        return None
    return ARENA.intern(root.op, root.dtype, (right, left))


def _comes_first(left: UOp, right: UOp) -> bool:
    """By op where ops differ, which spares most nodes their structural key."""
    if left.op is not right.op:
        return ORDER[left.op] < ORDER[right.op]
    return structural_key(left) < structural_key(right)


def has_exact_reciprocal(divisor: UOp) -> bool:
    """True for powers of two that are normal numbers and whose reciprocals are normal too."""
    value = divisor.arg
    if not math.isfinite(value) or value == 0 or abs(math.frexp(value)[0]) != 0.5:
        return False
    smallest = math.ldexp(1, divisor.dtype.lowest)
    return bool(abs(value) >= smallest and 1 / abs(value) >= smallest and math.isfinite(divisor.dtype.round(1 / value)))


def same_cast(root: UOp) -> UOp | None:
    """What is converted to the dtype that it has."""
    return root.src[0] if root.src[0].dtype is root.dtype else None


def merge_casts(root: UOp) -> UOp | None:
    """One conversion for two, where the inner one loses nothing that the outer one keeps."""
    inner = root.src[0]
    x, between, target = inner.src[0], inner.dtype, root.dtype
    modular = x.dtype.is_int and between.is_int and target.is_int and 0 < target.bits <= between.bits
    if not modular and not _is_lossless(x, between):
        return None
    if between.is_float and target.is_int and x.dtype.is_int and not _fits(x, target):
        return None  # a float is clamped to the integers' range, an integer wraps
    return cast(x, target)


def _is_lossless(x: UOp, target: DType) -> bool:
    """True when every value that `x` can take is a value of `target`."""
    source = x.dtype
    if source is target or source is dtypes.bool:
        return True
    if source.is_float:
        return target.is_float and target.holds(source)
    if target.is_float:
        low, high, most = lo(x), hi(x), 1 << target.digits
        return low is not None and high is not None and -most <= low and high <= most
    return target.is_int and _fits(x, target)


def _fits(x: UOp, target: DType) -> bool:
    """True when the bounds of an integer lie in an integer dtype."""
    if target is dtypes.index:
        return True
    low, high = lo(x), hi(x)
    return low is not None and high is not None and target.min <= low and high <= target.max


def merge_bitcasts(root: UOp) -> UOp | None:
    """One reading of the bits for two; not through a float, whose NaNs need not keep their bits."""
    inner = root.src[0]
    return None if inner.dtype.is_float else bitcast(inner.src[0], root.dtype)
