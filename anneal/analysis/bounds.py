"""Interval bounds of integer expressions.

Bounds are inclusive and sound: every value the node can take lies inside. Unknown is `None`, never a guess. User integers wrap, so an
interval that leaves the dtype becomes the dtype's whole range; index arithmetic has no bound of its own.

>>> from anneal.ir.build import variable
>>> bounds(variable("n", 1, 1024) * 4 + 3)
Bounds(low=7, high=4099)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.scalars import cast_value
from anneal.ir.shape import shape
from anneal.ir.uop import UOp, side_table


class Bounds(NamedTuple):
    """Inclusive limits of a value; None where unknown."""

    low: Scalar | None
    """No value is below; None when nothing is known."""
    high: Scalar | None
    """No value is above; None when nothing is known."""


# Inside this module an end is an int, or a float infinity where nothing is known.
_Interval = tuple[float, float]
_INF: Final = math.inf
_EVERYTHING: Final[_Interval] = (-_INF, _INF)
_UNKNOWN: Final = Bounds(None, None)


def bounds(root: UOp) -> Bounds:
    """Return the limits of `root`, of each element when it is a tensor. Of floats only constants are known."""
    return root._bounds if root._bounds is not None else side_table(root, "_bounds", _bounds_of)  # type: ignore[no-any-return]


def lo(node: UOp) -> int | None:
    """Lower bound of an integer or bool node; None when unknown."""
    low = bounds(node).low
    return None if low is None or isinstance(low, float) else low


def hi(node: UOp) -> int | None:
    """Upper bound of an integer or bool node; None when unknown."""
    high = bounds(node).high
    return None if high is None or isinstance(high, float) else high


def _bounds_of(node: UOp) -> Bounds:
    """The limits of a node whose operands' limits are known."""
    dtype = node.dtype
    if dtype.is_float:
        if node.op is Ops.CONST and not math.isnan(node.arg):
            return Bounds(node.arg, node.arg)
        return _UNKNOWN
    rule = _RULES.get(node.op)
    low, high = rule(node) if rule is not None else _EVERYTHING
    if dtype is not dtypes.index and (low < dtype.min or high > dtype.max):
        return Bounds(dtype.min, dtype.max)
    if dtype is dtypes.bool:
        return Bounds(bool(low), bool(high))
    return Bounds(None if low == -_INF else int(low), None if high == _INF else int(high))


def _interval(node: UOp) -> _Interval:
    """The limits of an integer node, whose bounds are known, as numbers."""
    low, high = lo(node), hi(node)
    return (-_INF if low is None else low, _INF if high is None else high)


def _dim(size: int | UOp) -> _Interval:
    if isinstance(size, int):
        return size, size
    bounds(size)
    low, high = _interval(size)
    return max(low, 0), max(high, 0)


def _const(node: UOp) -> _Interval:
    return node.arg, node.arg


def _variable(node: UOp) -> _Interval:
    return node.arg[1], node.arg[2]


def _range(node: UOp) -> _Interval:
    return 0, max(_interval(node.src[0])[1] - 1, 0)


def _iota(node: UOp) -> _Interval:
    return 0, max(_dim(node.arg)[1] - 1, 0)


def _loop(node: UOp) -> _Interval:
    low = _interval(node.src[0])[0]
    return low, max(_interval(node.src[1])[1] - 1, low)


def _special(node: UOp) -> _Interval:
    return 0, (node.arg[1] - 1 if isinstance(node.arg, tuple) else _INF)


def _same(node: UOp) -> _Interval:
    return _interval(node.src[0])


def _or_zero(node: UOp) -> _Interval:
    return _union(_interval(node.src[0]), (0, 0))


def _union(x: _Interval, y: _Interval) -> _Interval:
    return min(x[0], y[0]), max(x[1], y[1])


def _whole(dtype: DType) -> _Interval:
    return _EVERYTHING if dtype is dtypes.index else (dtype.min, dtype.max)


def _plus(x: float, y: float) -> float:
    """Sum of two lower or two upper ends; not by float, which has no room for a large integer."""
    return x if isinstance(x, float) else y if isinstance(y, float) else x + y


def _times(x: float, y: float) -> float:
    """Product of two ends; nothing times infinity is nothing, as both stand for numbers."""
    if not x or not y:
        return 0
    if isinstance(x, float) or isinstance(y, float):
        return _INF if (x > 0) is (y > 0) else -_INF
    return x * y


def _floor_quotient(x: float, y: float) -> float:
    """Limit of the floor of x/y, y not 0."""
    if isinstance(y, float):
        return 0 if not x or (x > 0) is (y > 0) else -1
    if isinstance(x, float):
        return x if y > 0 else -x
    return x // y


def _corners(function: Callable[[float, float], float], x: _Interval, y: _Interval) -> _Interval:
    """The range of a function that is monotone in each argument."""
    ends = [function(a, b) for a in x for b in y]
    return min(ends), max(ends)


def _pair(node: UOp) -> tuple[_Interval, _Interval]:
    return _interval(node.src[0]), _interval(node.src[1])


def _add(node: UOp) -> _Interval:
    if node.dtype is dtypes.bool:
        return _max(node)
    x, y = _pair(node)
    return _plus(x[0], y[0]), _plus(x[1], y[1])


def _mul(node: UOp) -> _Interval:
    if node.dtype is dtypes.bool:
        return _min(node)
    x, y = _pair(node)
    low, high = _corners(_times, x, y)
    return (max(low, 0) if node.src[0] is node.src[1] else low), high


def _idiv(node: UOp) -> _Interval:
    x, y = _pair(node)
    return _EVERYTHING if y[0] <= 0 <= y[1] else _corners(_floor_quotient, x, y)


def _mod(node: UOp) -> _Interval:
    x, y = _pair(node)
    if y[0] <= 0 <= y[1]:
        return _EVERYTHING
    if y[0] == y[1] and _floor_quotient(x[0], y[0]) == _floor_quotient(x[1], y[0]):
        return x[0] % y[0], x[1] % y[0]
    if y[0] > 0:
        if x[0] >= 0 and x[1] < y[0]:
            return x
        return 0, (min(x[1], y[1] - 1) if x[0] >= 0 else y[1] - 1)
    if x[1] <= 0 and x[0] > y[1]:
        return x
    return (max(x[0], y[0] + 1) if x[1] <= 0 else y[0] + 1), 0


def _max(node: UOp) -> _Interval:
    x, y = _pair(node)
    return max(x[0], y[0]), max(x[1], y[1])


def _min(node: UOp) -> _Interval:
    x, y = _pair(node)
    return min(x[0], y[0]), min(x[1], y[1])


def _lt(node: UOp) -> _Interval:
    if node.src[0] is node.src[1]:
        return 0, 0
    x, y = _compared(node)
    return x[1] < y[0], x[0] < y[1]


def _eq(node: UOp) -> _Interval:
    x, y = _compared(node)
    if node.src[0] is node.src[1] and not node.src[0].dtype.is_float:
        return 1, 1
    return x[0] == x[1] == y[0] == y[1], x[0] <= y[1] and y[0] <= x[1]


def _compared(node: UOp) -> tuple[_Interval, _Interval]:
    """The limits of two compared values; of floats only constants are known, and a NaN may hide in the rest."""
    if not node.src[0].dtype.is_float:
        return _pair(node)
    x, y = bounds(node.src[0]), bounds(node.src[1])
    if x.low is None or x.high is None or y.low is None or y.high is None:
        return (-1, 1), (-1, 1)
    return (x.low, x.high), (y.low, y.high)


def _and(node: UOp) -> _Interval:
    x, y = _pair(node)
    if node.dtype is dtypes.bool:
        return _min(node)
    if x[0] >= 0 or y[0] >= 0:
        return 0, min(v[1] for v in (x, y) if v[0] >= 0)
    return _EVERYTHING


def _or(node: UOp) -> _Interval:
    x, y = _pair(node)
    if node.dtype is dtypes.bool:
        return _max(node)
    return (max(x[0], y[0]), _all_ones(x, y)) if x[0] >= 0 and y[0] >= 0 else _EVERYTHING


def _xor(node: UOp) -> _Interval:
    x, y = _pair(node)
    if node.dtype is dtypes.bool:
        return (x[0] != y[0],) * 2 if x[0] == x[1] and y[0] == y[1] else (0, 1)
    return (0, _all_ones(x, y)) if x[0] >= 0 and y[0] >= 0 else _EVERYTHING


def _all_ones(x: _Interval, y: _Interval) -> float:
    """The largest number of as many bits as the larger of two."""
    high = max(x[1], y[1])
    return high if isinstance(high, float) else (1 << high.bit_length()) - 1


def _shift(function: Callable[[float, float], float]) -> Callable[[UOp], _Interval]:
    def rule(node: UOp) -> _Interval:
        x, y = _pair(node)
        if not (y[0] >= 0 and y[1] < 32):
            return _EVERYTHING
        return _corners(function, x, (1 << int(y[0]), 1 << int(y[1])))

    return rule


def _where(node: UOp) -> _Interval:
    condition, x, y = (_interval(s) for s in node.src)
    if condition[0] == condition[1]:
        return x if condition[0] else y
    return _union(x, y)


def _cast(node: UOp) -> _Interval:
    source = node.src[0]
    if source.dtype.is_float:
        if (value := bounds(source).low) is None:
            return _whole(dtypes.int32 if node.dtype is dtypes.index else node.dtype)
        return (cast_value(value, node.dtype),) * 2
    low, high = _interval(source)
    if node.dtype is dtypes.bool:
        return (low > 0 or high < 0), not (low == high == 0)
    return low, high


def _pad(node: UOp) -> _Interval:
    return _union(*_pair(node))


def _assign(node: UOp) -> _Interval:
    return _interval(node.src[1])


def _reduce_axis(node: UOp) -> _Interval:
    dims = shape(node.src[0])
    return _reduced(node.arg[0], node, [_dim(dims[axis]) for axis in node.arg[1]])


def _reduce(node: UOp) -> _Interval:
    return _reduced(node.arg, node, [_dim(r.src[0]) if r.op is Ops.RANGE else (0, _INF) for r in node.src[1:]])


def _reduced(op: Op, node: UOp, sizes: list[_Interval]) -> _Interval:
    """Limits of `op` over as many values as the product of `sizes`."""
    count: _Interval = (1, 1)
    for size in sizes:
        count = _corners(_times, count, size)
    value = _interval(node.src[0])
    if node.dtype is dtypes.bool:
        empty = int(op in (Ops.MUL, Ops.MIN))
        return value if count[0] > 0 else _union(value, (empty, empty))
    if op is Ops.ADD:
        return _corners(_times, value, count)
    if op in (Ops.MAX, Ops.MIN) and count[0] > 0:
        return value
    return _EVERYTHING


_RULES: Final[dict[Op, Callable[[UOp], _Interval]]] = {
    Ops.CONST: _const,
    Ops.VARIABLE: _variable,
    Ops.RANGE: _range,
    Ops.IOTA: _iota,
    Ops.LOOP: _loop,
    Ops.SPECIAL: _special,
    Ops.ADD: _add,
    Ops.MUL: _mul,
    Ops.IDIV: _idiv,
    Ops.MOD: _mod,
    Ops.MAX: _max,
    Ops.MIN: _min,
    Ops.LT: _lt,
    Ops.EQ: _eq,
    Ops.AND: _and,
    Ops.OR: _or,
    Ops.XOR: _xor,
    Ops.SHL: _shift(_times),
    Ops.SHR: _shift(_floor_quotient),
    Ops.WHERE: _where,
    Ops.CAST: _cast,
    **dict.fromkeys((Ops.RESHAPE, Ops.PERMUTE, Ops.EXPAND, Ops.SHRINK, Ops.FLIP, Ops.CONTIGUOUS, Ops.DETACH), _same),
    **dict.fromkeys((Ops.SHEAR, Ops.UNSHEAR, Ops.GATHER), _or_zero),
    Ops.PAD: _pad,
    Ops.ASSIGN: _assign,
    Ops.REDUCE_AXIS: _reduce_axis,
    Ops.REDUCE: _reduce,
}
