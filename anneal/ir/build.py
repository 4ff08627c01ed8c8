"""The only place where nodes are made from arguments that may be wrong.

Each function checks dtypes, shapes and ranges, and says what would fit. Passes that rewrite correct nodes into correct nodes may use
`ARENA.intern` directly.

>>> x = param(0, (2, 3), dtypes.float32)
>>> reshape(x, (4, 2))
Traceback (most recent call last):
anneal.errors.ShapeError: cannot reshape 6 elements of shape (2, 3) to (4, 2): needs 8; did you mean (3, 2)?
"""

from __future__ import annotations

from collections.abc import Sequence

from anneal.errors import DTypeError, ShapeError
from anneal.ir.dtype import TENSOR_DTYPES, DType, Scalar, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.shape import Dim, Shape, elementwise_shape, product, shape, show
from anneal.ir.uop import ARENA, UOp

REDUCERS = frozenset({Ops.ADD, Ops.MUL, Ops.MAX, Ops.MIN})


def const(value: Scalar, dtype: DType) -> UOp:
    """A scalar constant, rounded into `dtype`."""
    return ARENA.intern(Ops.CONST, dtype, (), dtype.round(value))


def index(value: int) -> UOp:
    """A constant of index arithmetic."""
    return ARENA.intern(Ops.CONST, dtypes.index, (), value)


def buffer(identity: int, dims: Shape, dtype: DType) -> UOp:
    """Storage that a tensor owns, by its number."""
    check_storable(dtype)
    return ARENA.intern(Ops.BUFFER, dtype, (), (identity, dims))


def param(slot: int, dims: Shape, dtype: DType) -> UOp:
    """Input `slot` of a program."""
    return ARENA.intern(Ops.PARAM, dtype, (), (slot, dims))


def variable(name: str, low: int, high: int) -> UOp:
    """An integer known at run time, in [low, high]."""
    if not name.isidentifier():
        raise ShapeError(f"a variable's name must be an identifier, not {name!r}")
    if not 0 <= low <= high:
        raise ShapeError(f"variable {name}: the range must satisfy 0 <= low <= high, not [{low}, {high}]")
    return ARENA.intern(Ops.VARIABLE, dtypes.index, (), (name, low, high))


def iota(length: Dim, dtype: DType = dtypes.int32) -> UOp:
    """0, 1, ... length - 1, as a vector."""
    return ARENA.intern(Ops.IOTA, dtype, (), length)


def check_storable(dtype: DType) -> None:
    """Raise when no buffer can hold `dtype`."""
    if not dtype.storage:
        names = ", ".join(d.name for d in reversed(TENSOR_DTYPES))
        raise DTypeError(f"{dtype.name} cannot be stored in a GPU buffer yet: tensors hold {names}; cast to one of these")


def alu(op: Op, *src: UOp) -> UOp:
    """An elementwise op on operands of one dtype and one shape (scalars fit any shape)."""
    if len(src) != op.arity:
        raise ShapeError(f"{op.name} takes {op.arity} operands, not {len(src)}")
    values = src[1:] if op is Ops.WHERE else src
    if op is Ops.WHERE and src[0].dtype is not dtypes.bool:
        raise DTypeError(f"where needs a bool condition, not {src[0].dtype.name}: compare first, for example x != 0")
    dtype = values[0].dtype
    if any(v.dtype is not dtype for v in values):
        raise DTypeError(f"{op.name}: operands of dtypes {' and '.join(v.dtype.name for v in values)}; cast them to one dtype")
    _check_domain(op, dtype)
    elementwise_shape(tuple(shape(s) for s in src), op.name)
    return ARENA.intern(op, dtypes.bool if op.compares else dtype, src)


def _check_domain(op: Op, dtype: DType) -> None:
    if op.domain == "float" and not dtype.is_float:
        raise DTypeError(f"{op.name} needs floats, not {dtype.name}: cast to float32 first")
    if op.domain == "int" and not dtype.is_int:
        raise DTypeError(f"{op.name} needs integers, not {dtype.name}: cast to int32 first")
    if op.domain == "bits" and dtype.is_float:
        raise DTypeError(f"{op.name} needs integers or bool, not {dtype.name}")


def cast(x: UOp, dtype: DType) -> UOp:
    """The value of `x` converted to `dtype`; `x` itself when it has it."""
    return x if x.dtype is dtype else ARENA.intern(Ops.CAST, dtype, (x,))


def bitcast(x: UOp, dtype: DType) -> UOp:
    """The bits of `x` read as `dtype`, of the same width."""
    if x.dtype is dtypes.bool or x.dtype.bits != dtype.bits or not dtype.bits:
        raise DTypeError(f"cannot bitcast {x.dtype.name} to {dtype.name}: the widths differ")
    return x if x.dtype is dtype else ARENA.intern(Ops.BITCAST, dtype, (x,))


def reshape(x: UOp, dims: Sequence[Dim]) -> UOp:
    """The same elements under another shape, in row-major order."""
    target = tuple(dims)
    old, new = product(shape(x)), product(target)
    if any(isinstance(d, int) and d < 0 for d in target) or old != new:
        raise ShapeError(f"cannot reshape {_count(old)} elements of shape {show(shape(x))} to {show(target)}: needs {_count(new)}{_hint(old, target)}")
    return x if target == shape(x) else ARENA.intern(Ops.RESHAPE, x.dtype, (x,), target)


def _count(n: Dim) -> str:
    return str(n) if isinstance(n, int) else "?"


def _hint(total: Dim, target: Shape) -> str:
    """A shape that would fit: the target with one dimension changed, the first one first."""
    if not isinstance(total, int):
        return ""
    for axis in range(len(target)):
        rest = product(target[:axis] + target[axis + 1 :])
        if isinstance(rest, int) and rest > 0 and total % rest == 0:
            return f"; did you mean {show((*target[:axis], total // rest, *target[axis + 1 :]))}?"
    return ""


def permute(x: UOp, order: Sequence[int]) -> UOp:
    """Axis i of the result is axis order[i] of `x`."""
    axes = tuple(order)
    if sorted(axes) != list(range(len(shape(x)))):
        raise ShapeError(f"cannot permute shape {show(shape(x))} by {axes}: name each of the axes 0 to {len(shape(x)) - 1} once")
    return x if axes == tuple(range(len(axes))) else ARENA.intern(Ops.PERMUTE, x.dtype, (x,), axes)


def expand(x: UOp, dims: Sequence[Dim]) -> UOp:
    """Axes of size 1 repeated to the sizes in `dims`."""
    target = tuple(dims)
    if len(target) != len(shape(x)) or any(a not in (b, 1) for a, b in zip(shape(x), target, strict=False)):
        raise ShapeError(f"cannot expand shape {show(shape(x))} to {show(target)}: only axes of size 1 can grow")
    return x if target == shape(x) else ARENA.intern(Ops.EXPAND, x.dtype, (x,), target)


def pad(x: UOp, amounts: Sequence[tuple[Dim, Dim]], fill: Scalar = 0) -> UOp:
    """(before, after) elements of value `fill` added to each axis."""
    target = tuple((low, high) for low, high in amounts)
    if len(target) != len(shape(x)) or any(isinstance(n, int) and n < 0 for pair in target for n in pair):
        raise ShapeError(f"cannot pad shape {show(shape(x))} by {target}: give one (before, after) an axis, none negative")
    if all(pair == (0, 0) for pair in target):
        return x
    return ARENA.intern(Ops.PAD, x.dtype, (x, const(fill, x.dtype)), target)


def shrink(x: UOp, ranges: Sequence[tuple[Dim, Dim]]) -> UOp:
    """Elements [start, end) of each axis."""
    target, dims = tuple((start, end) for start, end in ranges), shape(x)
    fits = all(not (isinstance(s, int) and isinstance(e, int) and isinstance(n, int)) or 0 <= s <= e <= n for (s, e), n in zip(target, dims, strict=False))
    if len(target) != len(dims) or not fits:
        raise ShapeError(f"cannot shrink shape {show(dims)} to {target}: give one (start, end) an axis, 0 <= start <= end <= size")
    return x if all(pair == (0, n) for pair, n in zip(target, dims, strict=True)) else ARENA.intern(Ops.SHRINK, x.dtype, (x,), target)


def flip(x: UOp, axes: Sequence[int]) -> UOp:
    """`x` with the given axes reversed."""
    chosen = tuple(sorted(set(axes)))
    if any(not 0 <= a < len(shape(x)) for a in chosen):
        raise ShapeError(f"cannot flip axes {chosen} of shape {show(shape(x))}: axes are 0 to {len(shape(x)) - 1}")
    return ARENA.intern(Ops.FLIP, x.dtype, (x,), chosen) if chosen else x


def shear(x: UOp, axis: int, along: int, stride: int, dilation: int, size: Dim) -> UOp:
    """out[.., o, .., k] = x[.., o*stride + k*dilation, .., k] for o < size, 0 outside: windows, once `along` is expanded."""
    return _sheared(Ops.SHEAR, x, (axis, along, stride, dilation, size))


def unshear(x: UOp, axis: int, along: int, stride: int, dilation: int, size: Dim) -> UOp:
    """out[.., i, .., k] = x[.., (i - k*dilation)/stride, .., k] for i < size where that is whole and inside, else 0."""
    return _sheared(Ops.UNSHEAR, x, (axis, along, stride, dilation, size))


def _sheared(op: Op, x: UOp, arg: tuple[int, int, int, int, Dim]) -> UOp:
    axis, along, stride, dilation, _ = arg
    rank = len(shape(x))
    if not (0 <= axis < rank and 0 <= along < rank and axis != along and stride > 0 and dilation > 0):
        raise ShapeError(f"cannot {op.name} shape {show(shape(x))} by {arg}: two different axes, stride and dilation at least 1")
    return ARENA.intern(op, x.dtype, (x,), arg)


def reduce_axis(op: Op, x: UOp, axes: Sequence[int]) -> UOp:
    """Combine along `axes` with ADD, MUL, MAX or MIN; the axes stay with size 1. Without axes, `x` itself."""
    chosen = tuple(sorted(set(axes)))
    if op not in REDUCERS:
        raise ShapeError(f"cannot reduce with {op.name}: use add, mul, max or min")
    if any(not 0 <= a < len(shape(x)) for a in chosen):
        raise ShapeError(f"cannot reduce axes {chosen} of shape {show(shape(x))}: axes are 0 to {len(shape(x)) - 1}")
    if op in (Ops.MAX, Ops.MIN) and any(shape(x)[a] == 0 for a in chosen):
        raise ShapeError(f"cannot take the {op.name} over an empty axis of shape {show(shape(x))}")
    return ARENA.intern(Ops.REDUCE_AXIS, x.dtype, (x,), (op, chosen)) if chosen else x


def gather(x: UOp, *indices: UOp) -> UOp:
    """x[i0, i1, ...] for integer tensors of one shape; an index outside the axis gives 0."""
    if not indices or len(indices) > len(shape(x)):
        raise ShapeError(f"cannot index shape {show(shape(x))} with {len(indices)} index tensors")
    if any(not i.dtype.is_int or i.dtype is dtypes.index for i in indices):
        raise DTypeError(f"index tensors must be int32 or uint32, not {', '.join(i.dtype.name for i in indices)}")
    if any(shape(i) != shape(indices[0]) for i in indices):
        raise ShapeError(f"index tensors must have one shape, not {', '.join(show(shape(i)) for i in indices)}")
    return ARENA.intern(Ops.GATHER, x.dtype, (x, *indices))


def contiguous(x: UOp) -> UOp:
    """The same values in a buffer of their own."""
    return ARENA.intern(Ops.CONTIGUOUS, x.dtype, (x,))


def detach(x: UOp) -> UOp:
    """The same values with no gradient."""
    return ARENA.intern(Ops.DETACH, x.dtype, (x,))


def assign(target: UOp, value: UOp) -> UOp:
    """Write `value` into the buffer of `target`, a buffer or an earlier assign to it."""
    if target.op not in (Ops.BUFFER, Ops.PARAM, Ops.ASSIGN):
        raise ShapeError("cannot assign to a computed tensor: realise it first, then assign")
    if shape(target) != shape(value) or target.dtype is not value.dtype:
        raise ShapeError(f"cannot assign {value.dtype.name} of shape {show(shape(value))} to {target.dtype.name} of shape {show(shape(target))}")
    return ARENA.intern(Ops.ASSIGN, target.dtype, (target, value))


def sink(*outputs: UOp) -> UOp:
    """The outputs of a program, in order."""
    return ARENA.intern(Ops.SINK, dtypes.bool, outputs)


def broadcast_to(x: UOp, dims: Shape) -> UOp:
    """`x` expanded to `dims` by the usual rule: axes are aligned at the end, missing ones and those of size 1 repeat."""
    have = shape(x)
    if have == dims:
        return x
    if len(have) > len(dims) or any(a not in (1, b) for a, b in zip(have[::-1], dims[::-1], strict=False)):
        raise ShapeError(f"cannot broadcast shape {show(have)} to {show(dims)}")
    return expand(reshape(x, (1,) * (len(dims) - len(have)) + have), dims)
