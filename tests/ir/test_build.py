"""The checked builders: shapes of results, no-ops that give the same object, and errors that teach."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anneal.errors import AnnealError, DTypeError, ShapeError
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.shape import Shape, add, as_uop, multiply, negate, product, shape, show
from anneal.ir.uop import UOp

F, I, B = dtypes.float32, dtypes.int32, dtypes.bool
X, V = build.param(0, (2, 3), F), build.param(1, (6,), F)
N = build.variable("n", 1, 10)
S = build.param(2, (N, 3), F)
ROWS = build.param(3, (5,), I)

SHAPES: list[tuple[UOp, Shape]] = [
    (build.const(1, F), ()),
    (build.iota(4), (4,)),
    (build.iota(N), (N,)),
    (build.alu(Ops.ADD, X, build.const(1, F)), (2, 3)),
    (build.alu(Ops.WHERE, build.const(True, B), X, X), (2, 3)),
    (build.alu(Ops.EXP2, S), (N, 3)),
    (build.reshape(X, (3, 1, 2)), (3, 1, 2)),
    (build.reshape(S, (N, 1, 3)), (N, 1, 3)),
    (build.permute(S, (1, 0)), (3, N)),
    (build.expand(build.reshape(V, (1, 6)), (N, 6)), (N, 6)),
    (build.pad(X, ((1, 2), (0, 0))), (5, 3)),
    (build.pad(S, ((1, 2), (0, 0))), (N + 1 + 2, 3)),
    (build.shrink(X, ((1, 2), (0, 3))), (1, 3)),
    (build.flip(X, (0,)), (2, 3)),
    (build.shear(X, 0, 1, 2, 1, 7), (7, 3)),
    (build.unshear(X, 1, 0, 1, 1, 9), (2, 9)),
    (build.reduce_axis(Ops.ADD, X, (0, 1)), (1, 1)),
    (build.gather(X, ROWS), (5, 3)),
    (build.gather(X, ROWS, ROWS), (5,)),
    (build.contiguous(build.detach(X)), (2, 3)),
    (build.assign(X, build.alu(Ops.ADD, X, X)), (2, 3)),
    (build.broadcast_to(V, (4, 1, 6)), (4, 1, 6)),
    (build.sink(X, V), ()),
]


@pytest.mark.parametrize(("node", "expected"), SHAPES, ids=[f"{i}-{u.op.name}" for i, (u, _) in enumerate(SHAPES)])
def test_shapes(node: UOp, expected: Shape) -> None:
    assert shape(node) == expected


def test_what_does_nothing_gives_the_same_object() -> None:
    same = [
        build.reshape(X, (2, 3)),
        build.permute(X, (0, 1)),
        build.expand(X, (2, 3)),
        build.pad(X, ((0, 0), (0, 0))),
        build.shrink(X, ((0, 2), (0, 3))),
        build.flip(X, ()),
        build.reduce_axis(Ops.ADD, X, ()),
        build.cast(X, F),
        build.bitcast(X, F),
        build.broadcast_to(X, (2, 3)),
    ]
    assert all(u is X for u in same)


ERRORS: list[tuple[Callable[[], object], type[AnnealError], str]] = [
    (lambda: build.reshape(X, (4, 2)), ShapeError, "cannot reshape 6 elements of shape (2, 3) to (4, 2): needs 8; did you mean (3, 2)?"),
    (lambda: build.reshape(X, (-1, 2)), ShapeError, "cannot reshape 6 elements of shape (2, 3) to (-1, 2): needs -2; did you mean (3, 2)?"),
    (lambda: build.reshape(X, (4, 5)), ShapeError, "cannot reshape 6 elements of shape (2, 3) to (4, 5): needs 20"),
    (lambda: build.reshape(S, (4,)), ShapeError, "cannot reshape ? elements of shape (n, 3) to (4,): needs 4"),
    (lambda: build.permute(X, (0, 0)), ShapeError, "cannot permute shape (2, 3) by (0, 0): name each of the axes 0 to 1 once"),
    (lambda: build.expand(X, (4, 3)), ShapeError, "cannot expand shape (2, 3) to (4, 3): only axes of size 1 can grow"),
    (lambda: build.pad(X, ((-1, 0), (0, 0))), ShapeError, "cannot pad shape (2, 3) by ((-1, 0), (0, 0))"),
    (lambda: build.pad(X, ((1, 0),)), ShapeError, "give one (before, after) an axis"),
    (lambda: build.shrink(X, ((0, 3), (0, 3))), ShapeError, "cannot shrink shape (2, 3) to ((0, 3), (0, 3))"),
    (lambda: build.shrink(X, ((0, 2),)), ShapeError, "give one (start, end) an axis"),
    (lambda: build.flip(X, (2,)), ShapeError, "cannot flip axes (2,) of shape (2, 3): axes are 0 to 1"),
    (lambda: build.shear(X, 0, 0, 1, 1, 2), ShapeError, "cannot shear shape (2, 3)"),
    (lambda: build.unshear(X, 0, 1, 0, 1, 2), ShapeError, "cannot unshear shape (2, 3)"),
    (lambda: build.reduce_axis(Ops.DIV, X, (0,)), ShapeError, "cannot reduce with div: use add, mul, max or min"),
    (lambda: build.reduce_axis(Ops.ADD, X, (2,)), ShapeError, "cannot reduce axes (2,) of shape (2, 3): axes are 0 to 1"),
    (lambda: build.reduce_axis(Ops.MAX, build.param(0, (0, 3), F), (0,)), ShapeError, "cannot take the max over an empty axis of shape (0, 3)"),
    (lambda: build.gather(X), ShapeError, "cannot index shape (2, 3) with 0 index tensors"),
    (lambda: build.gather(X, V), DTypeError, "index tensors must be int32 or uint32, not float32"),
    (lambda: build.gather(X, ROWS, build.iota(4)), ShapeError, "index tensors must have one shape, not (5,), (4,)"),
    (lambda: build.assign(build.contiguous(X), X), ShapeError, "cannot assign to a computed tensor: realise it first, then assign"),
    (lambda: build.assign(X, V), ShapeError, "cannot assign float32 of shape (6,) to float32 of shape (2, 3)"),
    (lambda: build.broadcast_to(X, (2, 4)), ShapeError, "cannot broadcast shape (2, 3) to (2, 4)"),
    (lambda: build.alu(Ops.ADD, X), ShapeError, "add takes 2 operands, not 1"),
    (lambda: build.alu(Ops.ADD, X, V), ShapeError, "add: operands of shapes (2, 3) and (6,); expand them to one shape first"),
    (lambda: build.alu(Ops.ADD, X, build.const(1, I)), DTypeError, "add: operands of dtypes float32 and int32; cast them to one dtype"),
    (lambda: build.alu(Ops.WHERE, X, X, X), DTypeError, "where needs a bool condition, not float32: compare first, for example x != 0"),
    (lambda: build.alu(Ops.SQRT, ROWS), DTypeError, "sqrt needs floats, not int32: cast to float32 first"),
    (lambda: build.alu(Ops.MOD, X, X), DTypeError, "mod needs integers, not float32: cast to int32 first"),
    (lambda: build.alu(Ops.AND, X, X), DTypeError, "and needs integers or bool, not float32"),
    (lambda: build.bitcast(X, dtypes.float16), DTypeError, "cannot bitcast float32 to float16: the widths differ"),
    (lambda: build.buffer(0, (2,), dtypes.float64), DTypeError, "float64 cannot be stored in a GPU buffer yet: tensors hold float32,"),
    (lambda: build.variable("2x", 0, 1), ShapeError, "a variable's name must be an identifier, not '2x'"),
    (lambda: build.variable("n", 5, 4), ShapeError, "variable n: the range must satisfy 0 <= low <= high, not [5, 4]"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors_teach(wrong: Callable[[], object], error: type[AnnealError], message: str) -> None:
    with pytest.raises(error) as caught:
        wrong()
    assert message in str(caught.value)


def test_dimensions_fold_where_nothing_changes() -> None:
    assert (add(2, 3), add(0, N), add(N, 0), add(N, 2)) == (5, N, N, N + 2)
    assert (multiply(2, 3), multiply(1, N), multiply(N, 1), multiply(N, 2)) == (6, N, N, N * 2)
    assert (negate(4), product(()), product((2, 3, 4)), product((1, N))) == (-4, 1, 24, N)
    assert as_uop(4) is build.index(4)
    assert as_uop(N) is N
    assert (show((2,)), show((2, N, N + 1)), show(())) == ("(2,)", "(2, n, ?)", "()")
