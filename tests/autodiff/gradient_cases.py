"""One small program for each op and way to use it: as a graph, and as PyTorch writes it.

Not a test module: `test_gradient_*.py` run these cases forward, backward and twice backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.interp import evaluate
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp

Array = np.ndarray
"""Values of a node, in its shape."""
_NUMPY = {dtypes.float32: np.float32, dtypes.float64: np.float64, dtypes.int32: np.int32, dtypes.bool: np.bool_, dtypes.float16: np.float16}


def leaf(slot: int, *dims: int, dtype: DType = dtypes.float32) -> UOp:
    """An input of a graph."""
    return build.param(slot, dims, dtype)


def alu(op: Op, *operands: UOp | float) -> UOp:
    """An elementwise op; numbers take the dtype of the last operand that is a node."""
    dtype = [u for u in operands if isinstance(u, UOp)][-1].dtype
    return build.alu(op, *(u if isinstance(u, UOp) else build.const(u, dtype) for u in operands))


def values(roots: Sequence[UOp], inputs: dict[UOp, Array]) -> list[Array]:
    """What each root computes, as an array of its shape."""
    flat = evaluate(roots, {u: a.ravel().tolist() for u, a in inputs.items()})
    return [np.array(v, _NUMPY.get(u.dtype, np.float32)).reshape([d for d in shape(u) if isinstance(d, int)]) for u, v in zip(roots, flat, strict=True)]


def total(y: UOp) -> UOp:
    """The sum of all elements, as a scalar."""
    return build.reshape(build.reduce_axis(Ops.ADD, y, range(len(shape(y)))), ())


@dataclass(frozen=True)
class Case:
    """A differentiable program, twice."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    graph: Callable[..., UOp]
    oracle: Callable[..., torch.Tensor]
    low: float = -2.0
    """Inputs are drawn from [low, 2], at least 0.1 away from 0."""
    data: tuple[Array, ...] = field(default=())
    """Inputs that are not random."""

    def inputs(self, dtype: type = np.float32) -> list[Array]:
        """The values of each input, the same in every run."""
        if self.data:
            return [a.astype(dtype) for a in self.data]
        random = np.random.default_rng(sum(map(ord, self.name)))
        drawn = [random.uniform(self.low, 2.0, s) for s in self.shapes]
        return [np.where(np.abs(a) < 0.1, 0.3, a).astype(dtype) for a in drawn]

    def leaves(self, dtype: DType = dtypes.float32) -> list[UOp]:
        """The inputs of the graph."""
        return [build.param(i, s, dtype) for i, s in enumerate(self.shapes)]


def _shear_oracle(x: torch.Tensor, stride: int, dilation: int, size: int) -> torch.Tensor:
    """x[o*stride + k*dilation, k], 0 outside."""
    rows = torch.arange(size)[:, None] * stride + torch.arange(x.shape[1]) * dilation
    inside = rows < x.shape[0]
    return torch.where(inside, x[rows.clamp(max=x.shape[0] - 1), torch.arange(x.shape[1])], 0.0)


def _unshear_oracle(x: torch.Tensor, stride: int, dilation: int, size: int) -> torch.Tensor:
    """x[(i - k*dilation)/stride, k] where that is whole and inside, else 0."""
    shift = torch.arange(size)[:, None] - torch.arange(x.shape[1]) * dilation
    rows = shift.div(stride, rounding_mode="floor")
    inside = (shift % stride == 0) & (rows >= 0) & (rows < x.shape[0])
    return torch.where(inside, x[rows.clamp(0, x.shape[0] - 1), torch.arange(x.shape[1])], 0.0)


def _gather(x: UOp, *lists: Array) -> UOp:
    """x indexed by constants, made of iota and comparisons so that the graph needs no integer input."""
    indices = []
    for numbers in lists:
        place = build.reshape(build.iota(numbers.size), numbers.shape)
        chosen = build.broadcast_to(build.const(0, dtypes.int32), numbers.shape)
        for i, n in enumerate(numbers.ravel().tolist()):
            chosen = alu(Ops.WHERE, alu(Ops.EQ, place, i), build.const(n, dtypes.int32), chosen)
        indices.append(chosen)
    return build.gather(x, *indices)


def _at(x: torch.Tensor, *lists: Array) -> torch.Tensor:
    return x[tuple(torch.from_numpy(numbers) for numbers in lists)]


_I1, _I2 = np.array([[2, 0], [2, 2]]), np.array([[1, 0], [1, 1]])
_TIED = np.array([[1.0, 2.0, 2.0], [2.0, 2.0, -1.0]])
_ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [1.5, -2.0, 4.0]])
_S = (2, 3, 4)


def _elementwise() -> list[Case]:
    two = ((3, 4), (3, 4))
    return [
        Case("add", two, lambda a, b: alu(Ops.ADD, a, b), torch.add),
        Case("add same", two[:1], lambda a: alu(Ops.ADD, a, a), lambda a: a + a),
        Case("mul", two, lambda a, b: alu(Ops.MUL, a, b), torch.mul),
        Case("mul same", two[:1], lambda a: alu(Ops.MUL, a, a), torch.square),
        Case("mul const", two[:1], lambda a: alu(Ops.MUL, a, 2.5), lambda a: a * 2.5),
        Case("div", two, lambda a, b: alu(Ops.DIV, a, b), torch.div),
        Case("div of const", two[:1], lambda a: alu(Ops.DIV, 1.5, a), lambda a: 1.5 / a),
        Case("max", two, lambda a, b: alu(Ops.MAX, a, b), torch.maximum),
        Case("min", two, lambda a, b: alu(Ops.MIN, a, b), torch.minimum),
        Case("max ties", ((2, 3),) * 2, lambda a, b: alu(Ops.MAX, a, b), torch.maximum, data=(_TIED, _TIED[::-1].copy())),
        Case("min ties", ((2, 3),) * 2, lambda a, b: alu(Ops.MIN, a, b), torch.minimum, data=(_TIED, _TIED[::-1].copy())),
        Case("exp2", two[:1], lambda a: alu(Ops.EXP2, a), torch.exp2),
        Case("log2", two[:1], lambda a: alu(Ops.LOG2, a), torch.log2, low=0.1),
        Case("sin", two[:1], lambda a: alu(Ops.SIN, a), torch.sin),
        Case("sqrt", two[:1], lambda a: alu(Ops.SQRT, a), torch.sqrt, low=0.1),
        Case("where", two, lambda a, b: alu(Ops.WHERE, alu(Ops.LT, a, b), alu(Ops.MUL, a, b), b), lambda a, b: torch.where(a < b, a * b, b)),
        Case("floor", two[:1], lambda a: alu(Ops.ADD, a, alu(Ops.MUL, alu(Ops.FLOOR, a), a)), lambda a: a + a.floor() * a),
        Case("eq", two, lambda a, b: alu(Ops.WHERE, alu(Ops.EQ, a, b), a, alu(Ops.MUL, b, b)), lambda a, b: torch.where(a == b, a, b * b)),
        Case("cast", two[:1], lambda a: build.cast(alu(Ops.SIN, build.cast(a, dtypes.float64)), dtypes.float32), lambda a: a.double().sin().float()),
        Case("cast to int", two[:1], lambda a: alu(Ops.MUL, a, build.cast(build.cast(a, dtypes.int32), dtypes.float32)), lambda a: a * a.detach().int()),
        Case("scalar operand", ((3, 4), ()), lambda a, b: alu(Ops.MUL, a, b), torch.mul),
        Case("scalar divided", ((), (3, 4)), lambda a, b: alu(Ops.DIV, a, b), torch.div),
        Case("scalar branch", ((3, 4), ()), lambda a, b: alu(Ops.WHERE, alu(Ops.LT, a, 0.0), b, a), lambda a, b: torch.where(a < 0, b, a)),
        Case("scalar both", ((3, 4), ()), lambda a, b: alu(Ops.ADD, alu(Ops.MAX, b, a), alu(Ops.MUL, b, b)), lambda a, b: torch.maximum(b, a) + b * b),
        Case("scalars", ((), ()), lambda a, b: alu(Ops.MUL, a, alu(Ops.SIN, b)), lambda a, b: a * b.sin()),
    ]


def _movement() -> list[Case]:
    cases = [
        Case("reshape", (_S,), lambda a: alu(Ops.MUL, build.reshape(a, (4, 6)), build.reshape(a, (4, 6))), lambda a: a.reshape(4, 6) ** 2),
        Case("permute", (_S,), lambda a: alu(Ops.SIN, build.permute(a, (2, 0, 1))), lambda a: a.permute(2, 0, 1).sin()),
        Case("pad", (_S,), lambda a: alu(Ops.EXP2, build.pad(a, ((1, 0), (0, 2), (1, 1)))), lambda a: torch.nn.functional.pad(a, (1, 1, 0, 2, 1, 0)).exp2()),
        Case("pad with 3", (_S,), lambda a: build.pad(a, ((1, 0), (0, 0), (0, 2)), 3), lambda a: torch.nn.functional.pad(a, (0, 2, 0, 0, 1, 0), value=3.0)),
        Case("shrink", (_S,), lambda a: alu(Ops.SIN, build.shrink(a, ((1, 2), (0, 2), (1, 3)))), lambda a: a[1:2, 0:2, 1:3].sin()),
        Case("flip", (_S,), lambda a: alu(Ops.MUL, build.flip(a, (0, 2)), a), lambda a: a.flip(0, 2) * a),
        Case("contiguous", (_S,), lambda a: alu(Ops.SIN, build.contiguous(alu(Ops.SIN, a))), lambda a: a.sin().contiguous().sin()),
        Case("detach", (_S,), lambda a: alu(Ops.MUL, a, build.detach(alu(Ops.SIN, a))), lambda a: a * a.sin().detach()),
        Case("assign", (_S, _S), lambda a, b: alu(Ops.SIN, build.assign(a, alu(Ops.MUL, b, b))), lambda a, b: (b * b).sin() + 0 * a),
        Case("shear", ((7, 3),), lambda a: alu(Ops.SIN, build.shear(a, 0, 1, 2, 1, 4)), lambda a: _shear_oracle(a, 2, 1, 4).sin()),
        Case("shear dilated", ((5, 2),), lambda a: build.shear(a, 0, 1, 1, 3, 4), lambda a: _shear_oracle(a, 1, 3, 4)),
        Case("unshear", ((4, 3),), lambda a: alu(Ops.EXP2, build.unshear(a, 0, 1, 2, 1, 7)), lambda a: _unshear_oracle(a, 2, 1, 7).exp2()),
        Case("gather rows", ((3, 2),), lambda a: alu(Ops.SIN, _gather(a, _I1)), lambda a: _at(a, _I1).sin()),
        Case("gather elements", ((3, 2),), lambda a: _gather(a, _I1, _I2), lambda a: _at(a, _I1, _I2)),
        Case("gather leading two", ((3, 2, 2),), lambda a: alu(Ops.EXP2, _gather(a, _I1, _I2)), lambda a: _at(a, _I1, _I2).exp2()),
        Case("gather one", ((3, 2),), lambda a: _gather(a, np.array(1)), lambda a: a[1]),
    ]
    for axis in range(3):
        have = tuple(1 if i == axis else n for i, n in enumerate(_S))
        cases.append(Case(f"expand axis {axis}", (have, _S), lambda a, b: alu(Ops.MUL, build.expand(a, _S), b), lambda a, b: a.expand(_S) * b))
    cases.append(Case("expand all axes", ((1, 1, 1), _S), lambda a, b: alu(Ops.MUL, build.expand(a, _S), b), lambda a, b: a.expand(_S) * b))
    return cases


def _product(a: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    for axis in axes:
        a = a.prod(axis, keepdim=True)
    return a


_AXES = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
_REDUCERS: dict[Op, Callable[[torch.Tensor, tuple[int, ...]], torch.Tensor]] = {
    Ops.ADD: lambda a, axes: a.sum(axes, keepdim=True),
    Ops.MAX: lambda a, axes: a.amax(axes, keepdim=True),
    Ops.MIN: lambda a, axes: a.amin(axes, keepdim=True),
    Ops.MUL: _product,
}


def _reduction(op: Op, axes: tuple[int, ...]) -> Case:
    """A keepdim reduction, broadcast back over the same axes and combined with its input, as softmax and layernorm do."""

    def graph(a: UOp) -> UOp:
        return alu(Ops.MUL, a, build.expand(build.reduce_axis(op, a, axes), shape(a)))

    return Case(f"{op.name} over {axes}", (_S,), graph, lambda a: a * _REDUCERS[op](a, axes))


def _softmax(axis: int) -> Case:
    def graph(a: UOp) -> UOp:
        shifted = alu(Ops.ADD, a, alu(Ops.MUL, build.expand(build.reduce_axis(Ops.MAX, a, (axis,)), _S), -1.0))
        powers = alu(Ops.EXP2, alu(Ops.MUL, shifted, 1.4426950408889634))
        return alu(Ops.DIV, powers, build.expand(build.reduce_axis(Ops.ADD, powers, (axis,)), _S))

    return Case(f"softmax over {axis}", (_S,), graph, lambda a: a.softmax(axis))


def _reductions() -> list[Case]:
    def reduce(op: Op, *axes: int) -> Callable[[UOp], UOp]:
        return lambda a: build.reduce_axis(op, a, axes)

    return [
        *(_reduction(op, axes) for op in _REDUCERS for axes in _AXES),
        *(_softmax(axis) for axis in range(3)),
        Case("max ties over 0", ((2, 3),), reduce(Ops.MAX, 0), lambda a: a.amax(0, keepdim=True), data=(_TIED,)),
        Case("max ties over 1", ((2, 3),), reduce(Ops.MAX, 1), lambda a: a.amax(1, keepdim=True), data=(_TIED,)),
        Case("min ties over all", ((2, 3),), reduce(Ops.MIN, 0, 1), lambda a: a.amin((0, 1), keepdim=True), data=(-_TIED,)),
        Case("prod with zeros", ((3, 3),), reduce(Ops.MUL, 1), lambda a: a.prod(1, keepdim=True), data=(_ZEROS,)),
        Case("prod of 37", ((2, 37),), reduce(Ops.MUL, 1), lambda a: a.prod(1, keepdim=True), low=0.5),
        Case("matmul", ((2, 3), (3, 4)), matmul, torch.matmul),
    ]


def matmul(a: UOp, b: UOp) -> UOp:
    """The product of two matrices, by a broadcast and a sum."""
    (n, k), (_, m) = shape(a), shape(b)
    left, right = build.expand(build.reshape(a, (n, k, 1)), (n, k, m)), build.expand(build.reshape(b, (1, k, m)), (n, k, m))
    return build.reshape(build.reduce_axis(Ops.ADD, alu(Ops.MUL, left, right), (1,)), (n, m))


CASES = [*_elementwise(), *_movement(), *_reductions()]
