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
from typing import Any, Final, NamedTuple

from anneal.errors import ShapeError, UsageError
from anneal.ir.dtype import Scalar
from anneal.ir.graph import toposort
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.scalars import alu, cast_value, combine, neutral
from anneal.ir.shape import shape
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


# Tensors: elements in row-major order.
_Dims = tuple[int, ...]
_Place = tuple[int, ...]


class _Array(NamedTuple):
    dims: _Dims
    elements: list[Scalar]


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
    arrays: dict[UOp, _Array] = {}
    for node in toposort(*outputs, enter=lambda u: u not in inputs):
        dims: _Dims = _with_sizes(shape(node), symbols)
        if node in inputs:
            elements = _input(node, inputs[node], math.prod(dims))
        elif (rule := _TENSOR_RULES.get(node.op)) is not None:
            elements = rule(node, _with_sizes(node.arg, symbols), dims, [arrays[s] for s in node.src])
        else:
            raise UsageError(f"no value for {node!r}: give one in inputs")
        arrays[node] = _Array(dims, elements)
    return [arrays[u].elements for u in outputs]


def _with_sizes(arg: Any, symbols: Mapping[UOp, Scalar]) -> Any:
    """A shape or a node's arg with the sizes known at run time as numbers."""
    if isinstance(arg, tuple):
        return tuple(_with_sizes(a, symbols) for a in arg)
    return int(evaluate_expr(arg, symbols)) if isinstance(arg, UOp) else arg


def _input(node: UOp, given: Sequence[Scalar], count: int) -> list[Scalar]:
    if len(given) != count:
        raise ShapeError(f"{node!r} has {count} elements, not {len(given)}")
    return [node.dtype.round(v) for v in given]


def _map(node: UOp, _arg: Any, dims: _Dims, operands: list[_Array]) -> list[Scalar]:
    source, count = node.src[0].dtype, math.prod(dims)
    columns = [x.elements if x.dims == dims else x.elements * count for x in operands]
    return [alu(node.op, node.dtype, row, source) for row in zip(*columns, strict=True)]


def _reduce(node: UOp, arg: Any, dims: _Dims, operands: list[_Array]) -> list[Scalar]:
    (op, axes), x = arg, operands[0]
    groups: dict[_Place, list[Scalar]] = {place: [] for place in _places(dims)}
    for place, value in zip(_places(x.dims), x.elements, strict=True):
        groups[tuple(0 if axis in axes else i for axis, i in enumerate(place))].append(value)
    return [combine(op, node.dtype, group) for group in groups.values()]


def _gather(node: UOp, _arg: Any, _dims: _Dims, operands: list[_Array]) -> list[Scalar]:
    x, *indices = operands
    leading, size = x.dims[: len(indices)], math.prod(x.dims[len(indices) :])
    result: list[Scalar] = []
    for scalars in zip(*(i.elements for i in indices), strict=True):
        place = tuple(map(int, scalars))
        start = _offset(place, leading) * size
        result.extend(x.elements[start : start + size] if _inside(place, leading) else [node.dtype.round(0)] * size)
    return result


def _move(node: UOp, arg: Any, dims: _Dims, operands: list[_Array]) -> list[Scalar]:
    x, source = operands[0], _SOURCES[node.op]
    fill = operands[1].elements[0] if node.op is Ops.PAD else node.dtype.round(0)
    result = []
    for place in _places(dims):
        origin = source(place, arg, x.dims)
        result.append(x.elements[_offset(origin, x.dims)] if origin is not None and _inside(origin, x.dims) else fill)
    return result


def _places(dims: _Dims) -> Iterable[_Place]:
    return itertools.product(*map(range, dims))


def _inside(place: _Place, dims: _Dims) -> bool:
    return all(0 <= i < n for i, n in zip(place, dims, strict=True))


def _offset(place: _Place, dims: _Dims) -> int:
    position = 0
    for i, n in zip(place, dims, strict=True):
        position = position * n + i
    return position


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
_SOURCES: Final[dict[Op, Callable[[_Place, Any, _Dims], _Place | None]]] = {
    Ops.PERMUTE: _unpermute,
    Ops.EXPAND: lambda place, _arg, have: tuple(0 if n == 1 else i for i, n in zip(place, have, strict=True)),
    Ops.PAD: lambda place, arg, _have: tuple(i - before for i, (before, _) in zip(place, arg, strict=True)),
    Ops.SHRINK: lambda place, arg, _have: tuple(i + start for i, (start, _) in zip(place, arg, strict=True)),
    Ops.FLIP: lambda place, arg, have: tuple(n - 1 - i if axis in arg else i for axis, (i, n) in enumerate(zip(place, have, strict=True))),
    Ops.SHEAR: _sheared,
    Ops.UNSHEAR: _unsheared,
}
_TENSOR_RULES: Final[dict[Op, Callable[[UOp, Any, _Dims, list[_Array]], list[Scalar]]]] = {
    Ops.CONST: lambda _node, arg, _dims, _operands: [arg],
    Ops.IOTA: lambda node, _arg, dims, _operands: [node.dtype.round(i) for i in range(dims[0])],
    **dict.fromkeys((op for op in ALL_OPS if op.elementwise), _map),
    **dict.fromkeys((Ops.RESHAPE, Ops.CONTIGUOUS, Ops.DETACH, Ops.ASSIGN), lambda _node, _arg, _dims, operands: operands[-1].elements),
    Ops.REDUCE_AXIS: _reduce,
    Ops.GATHER: _gather,
    **dict.fromkeys(_SOURCES, _move),
}
