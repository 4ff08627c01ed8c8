"""Plain-Python interpreters: expressions of scalars, and graphs of tensors. The oracle of rules and of small programs.

Every value is a Python scalar rounded into its node's dtype; what one operation means is in `anneal.ir.scalars`. A reduction is computed
exactly or in float64 and rounded once. Nothing here is fast, and nothing recurses over the graph.

>>> from anneal.ir.build import variable
>>> n = variable("n", 1, 1024)
>>> evaluate_expr(n * 4 + 3, {n: 10})
43
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from anneal.errors import ShapeError, UsageError
from anneal.ir.dtype import Scalar
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.scalars import alu, cast_value, combine, neutral
from anneal.ir.shape import Dim, Shape, shape
from anneal.ir.uop import UOp

__all__ = ["alu", "cast_value", "combine", "evaluate", "evaluate_expr", "neutral"]

# Expressions of scalars. A value is spread over the loop ranges it depends on: these ranges, and the elements in row-major order.
_Spread = tuple[tuple[UOp, ...], list[Scalar]]


def evaluate_expr(root: UOp, env: Mapping[UOp, Scalar], buffers: Mapping[UOp, Sequence[Scalar]] | None = None) -> Scalar:
    """Return the value of a scalar expression, given its leaves in `env` and what its loads read in `buffers`.

    A range that a REDUCE binds takes each of its values in turn; every other range needs one in `env`.
    """
    buffers = buffers or {}
    order = toposort(root, enter=lambda u: u not in env and u not in buffers)
    sizes: dict[UOp, int] = {}
    values: dict[UOp, _Spread] = {}
    for node in order:
        if node in env:
            values[node] = (), [env[node]]
        elif node.op is Ops.RANGE:
            if values[node.src[0]][0]:
                raise UsageError(f"range {node.arg}: the size must not depend on another range")
            sizes[node] = int(values[node.src[0]][1][0])
            values[node] = (node,), list(range(sizes[node]))
        elif node.op is Ops.REDUCE:
            values[node] = _reduce_spread(node, values[node.src[0]], sizes)
        elif node not in buffers:
            values[node] = _map_spread(node, [values[s] for s in node.src if s not in buffers], sizes, buffers)
    free, result = values[root]
    if free:
        raise UsageError(f"range {free[0].arg} is bound by no reduction: give its value")
    return result[0]


def _map_spread(node: UOp, operands: list[_Spread], sizes: dict[UOp, int], buffers: Mapping[UOp, Sequence[Scalar]]) -> _Spread:
    """A load or elementwise operation, for each value of the ranges that its operands depend on."""
    if node.op is Ops.CONST:
        return (), [node.arg]
    free = tuple(dict.fromkeys(r for ranges, _ in operands for r in ranges))
    rows = zip(*(_align(v, free, sizes) for v in operands), strict=True)
    if node.op is Ops.LOAD:
        return free, [_load(node, buffers[node.src[0]], row) for row in rows]
    if not node.op.elementwise:
        raise UsageError(f"no value for {node!r}")
    source = node.src[0].dtype
    return free, [alu(node.op, node.dtype, row, source) for row in rows]


def _load(node: UOp, data: Sequence[Scalar], row: tuple[Scalar, ...]) -> Scalar:
    position, *gate = row
    if gate and not gate[0]:
        return node.dtype.round(0)
    if not 0 <= position < len(data):
        raise ShapeError(f"{node!r}: element {position} of a buffer of {len(data)}")
    return data[int(position)]


def _reduce_spread(node: UOp, operand: _Spread, sizes: dict[UOp, int]) -> _Spread:
    bound = node.src[1:]
    free = tuple(r for r in operand[0] if r not in bound)
    elements, count = _align(operand, free + bound, sizes), math.prod(sizes[r] for r in bound)
    outer = math.prod(sizes[r] for r in free)
    return free, [combine(node.arg, node.dtype, elements[i * count : (i + 1) * count]) for i in range(outer)]


def _align(value: _Spread, free: tuple[UOp, ...], sizes: dict[UOp, int]) -> list[Scalar]:
    """The elements of `value`, repeated for ranges it does not depend on, in the order of `free`."""
    own, elements = value
    if own == free:
        return elements
    strides, step = dict.fromkeys(free, 0), 1
    for r in reversed(own):
        strides[r], step = step, step * sizes[r]
    positions = [0]
    for r in free:
        positions = [p + i * strides[r] for p in positions for i in range(sizes[r])]
    return [elements[p] for p in positions]


# Tensors: flat lists of elements in row-major order.
_Dims = tuple[int, ...]
_Place = tuple[int, ...]


def evaluate(roots: Sequence[UOp], inputs: Mapping[UOp, Sequence[Scalar]]) -> list[list[Scalar]]:
    """Return the elements of each root in row-major order, given those of each BUFFER, PARAM and VARIABLE. A sink stands for its operands.

    >>> from anneal.ir import build
    >>> from anneal.ir.dtype import dtypes
    >>> x = build.param(0, (2, 3), dtypes.float32)
    >>> evaluate([build.reduce_axis(Ops.ADD, x, (0,))], {x: [1, 2, 3, 4, 5, 6]})
    [[5.0, 7.0, 9.0]]
    """
    outputs = [u for root in roots for u in (root.src if root.op is Ops.SINK else (root,))]
    symbols = {u: values[0] for u, values in inputs.items() if u.op is Ops.VARIABLE}
    dims: dict[UOp, _Dims] = {}
    values: dict[UOp, list[Scalar]] = {}
    for node in toposort(*outputs):
        if node.op is Ops.SINK:
            raise UsageError("a sink has no value: it can only be a root")
        dims[node] = _concrete(shape(node), symbols)
        values[node] = _tensor(node, dims, values, inputs, symbols)
    return [values[u] for u in outputs]


def _concrete(sizes: Shape, symbols: Mapping[UOp, Scalar]) -> _Dims:
    return tuple(_size(n, symbols) for n in sizes)


def _size(n: Dim, symbols: Mapping[UOp, Scalar]) -> int:
    return n if isinstance(n, int) else int(evaluate_expr(n, symbols))


def _tensor(node: UOp, dims: dict[UOp, _Dims], values: dict[UOp, list[Scalar]], inputs: Mapping[UOp, Sequence[Scalar]], symbols: Mapping[UOp, Scalar]) -> list[Scalar]:
    """The elements of one node, given those of its operands."""
    op, operands = node.op, [values[s] for s in node.src]
    if op.elementwise:
        return _map(node, operands, math.prod(dims[node]))
    if op in (Ops.CONTIGUOUS, Ops.DETACH, Ops.ASSIGN, Ops.RESHAPE):
        return operands[-1]
    if op is Ops.CONST:
        return [node.arg]
    if op is Ops.IOTA:
        return [node.dtype.round(i) for i in range(dims[node][0])]
    if op is Ops.REDUCE_AXIS:
        return _reduce(node, operands[0], dims[node.src[0]])
    if op is Ops.GATHER:
        return _gather(node, operands, dims[node.src[0]])
    if op in _MOVES:
        return _move(node, operands, dims, _arg_values(node.arg, symbols))
    return _input(node, inputs, math.prod(dims[node]))


def _input(node: UOp, inputs: Mapping[UOp, Sequence[Scalar]], count: int) -> list[Scalar]:
    if node not in inputs:
        raise UsageError(f"no value for {node!r}")
    if len(inputs[node]) != count:
        raise ShapeError(f"{node!r} has {count} elements, not {len(inputs[node])}")
    return [node.dtype.round(v) for v in inputs[node]]


def _map(node: UOp, operands: list[list[Scalar]], count: int) -> list[Scalar]:
    source = node.src[0].dtype
    columns = [v if len(v) == count else v * count for v in operands]
    return [alu(node.op, node.dtype, row, source) for row in zip(*columns, strict=True)]


def _offset(place: _Place, dims: _Dims) -> int:
    position = 0
    for i, n in zip(place, dims, strict=True):
        position = position * n + i
    return position


def _places(dims: _Dims) -> Iterable[_Place]:
    return itertools.product(*map(range, dims))


def _reduce(node: UOp, elements: list[Scalar], dims: _Dims) -> list[Scalar]:
    op, axes = node.arg
    groups: dict[_Place, list[Scalar]] = {p: [] for p in _places(tuple(1 if i in axes else n for i, n in enumerate(dims)))}
    for place, value in zip(_places(dims), elements, strict=True):
        groups[tuple(0 if i in axes else p for i, p in enumerate(place))].append(value)
    return [combine(op, node.dtype, group) for group in groups.values()]


def _gather(node: UOp, operands: list[list[Scalar]], dims: _Dims) -> list[Scalar]:
    data, *indices = operands
    leading, size = dims[: len(indices)], math.prod(dims[len(indices) :])
    result: list[Scalar] = []
    for place in zip(*indices, strict=True):
        if all(0 <= i < n for i, n in zip(place, leading, strict=True)):
            start = _offset(place, leading) * size
            result.extend(data[start : start + size])
        else:
            result.extend([node.dtype.round(0)] * size)
    return result


def _arg_values(arg: Any, symbols: Mapping[UOp, Scalar]) -> Any:
    """A node's arg with sizes known at run time as numbers."""
    if isinstance(arg, tuple):
        return tuple(_arg_values(a, symbols) for a in arg)
    return _size(arg, symbols) if isinstance(arg, UOp) else arg


def _move(node: UOp, operands: list[list[Scalar]], dims: dict[UOp, _Dims], arg: Any) -> list[Scalar]:
    elements, have, source = operands[0], dims[node.src[0]], _MOVES[node.op]
    fill = operands[1][0] if node.op is Ops.PAD else node.dtype.round(0)
    result = []
    for place in _places(dims[node]):
        origin = source(place, arg, have)
        inside = origin is not None and all(0 <= i < n for i, n in zip(origin, have, strict=True))
        result.append(elements[_offset(origin, have)] if inside and origin is not None else fill)
    return result


def _unpermute(place: _Place, arg: Any, have: _Dims) -> _Place:
    origin = dict(zip(arg, place, strict=True))
    return tuple(origin[axis] for axis in range(len(have)))


def _sheared(place: _Place, arg: Any, _have: _Dims) -> _Place:
    axis, along, stride, dilation, _ = arg
    return (*place[:axis], place[axis] * stride + place[along] * dilation, *place[axis + 1 :])


def _unsheared(place: _Place, arg: Any, _have: _Dims) -> _Place | None:
    axis, along, stride, dilation, _ = arg
    origin, rest = divmod(place[axis] - place[along] * dilation, stride)
    return None if rest else (*place[:axis], origin, *place[axis + 1 :])


# From a place in the result and the operand's shape to the place in the operand; a place outside is filled.
_MOVES: Final[dict[Op, Callable[[_Place, Any, _Dims], _Place | None]]] = {
    Ops.PERMUTE: _unpermute,
    Ops.EXPAND: lambda place, _arg, have: tuple(0 if n == 1 else i for i, n in zip(place, have, strict=True)),
    Ops.PAD: lambda place, arg, _have: tuple(i - before for i, (before, _) in zip(place, arg, strict=True)),
    Ops.SHRINK: lambda place, arg, _have: tuple(i + start for i, (start, _) in zip(place, arg, strict=True)),
    Ops.FLIP: lambda place, arg, have: tuple(n - 1 - i if axis in arg else i for axis, (i, n) in enumerate(zip(place, have, strict=True))),
    Ops.SHEAR: _sheared,
    Ops.UNSHEAR: _unsheared,
}
