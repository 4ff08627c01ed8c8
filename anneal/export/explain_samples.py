"""A node of each op that tensors are made of, on named inputs, to show what becomes of it.

>>> node, names = sample(Ops.MUL, ["a", "b"])
>>> node.op.name, sorted(names.values())
('mul', ['a', 'b'])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import UOp

_LENGTH: Final = 4
_DTYPES: Final[Mapping[str, DType]] = {"any": dtypes.float32, "float": dtypes.float32, "int": dtypes.int32, "bits": dtypes.int32}
_GRID: Final = (2, 3)
_MADE: Final[Mapping[Op, Callable[[UOp], UOp]]] = {
    Ops.RESHAPE: lambda x: build.reshape(x, (3, 2)),
    Ops.PERMUTE: lambda x: build.permute(x, (1, 0)),
    Ops.EXPAND: lambda x: build.expand(build.reshape(x, (2, 3, 1)), (2, 3, 4)),
    Ops.PAD: lambda x: build.pad(x, ((1, 0), (0, 2))),
    Ops.SHRINK: lambda x: build.shrink(x, ((0, 2), (1, 3))),
    Ops.FLIP: lambda x: build.flip(x, (1,)),
    Ops.SHEAR: lambda x: build.shear(build.expand(build.reshape(x, (6, 1)), (6, 3)), 0, 1, 1, 1, 4),
    Ops.UNSHEAR: lambda x: build.unshear(x, 0, 1, 1, 1, 4),
    Ops.REDUCE_AXIS: lambda x: build.reduce_axis(Ops.ADD, x, (1,)),
    Ops.CONTIGUOUS: build.contiguous,
    Ops.DETACH: build.detach,
}
"""How ops that take more than operands are called on a small matrix."""


def sample(op: Op, operands: Sequence[str]) -> tuple[UOp, dict[UOp, str]] | None:
    """The op on inputs with these names, or with names of its own; None for ops that tensors are not made of."""
    if op.elementwise:
        return _elementwise(op, operands)
    if op is Ops.GATHER:
        table, rows = build.param(0, _GRID, dtypes.float32), build.param(1, (_LENGTH,), dtypes.int32)
        return build.gather(table, rows), {table: "x", rows: "i"}
    if op is Ops.ASSIGN:
        target, value = (build.param(slot, (_LENGTH,), dtypes.float32) for slot in (0, 1))
        return build.assign(target, value), {target: "target", value: "value"}
    if op is Ops.IOTA:
        return build.iota(_LENGTH), {}
    if op not in _MADE:
        return None
    x = build.param(0, _GRID, dtypes.float32)
    return _MADE[op](x), {x: operands[0] if operands else "x"}


def _elementwise(op: Op, operands: Sequence[str]) -> tuple[UOp, dict[UOp, str]]:
    names = list(operands) if len(operands) == op.arity else [*"xyz"][: op.arity] if op is not Ops.WHERE else ["c", "a", "b"]
    kinds = [_DTYPES[op.domain]] * op.arity
    if op is Ops.WHERE:
        kinds[0] = dtypes.bool
    inputs = [build.param(slot, (_LENGTH,), kind) for slot, kind in enumerate(kinds)]
    made = {Ops.CAST: lambda: build.cast(inputs[0], dtypes.bfloat16), Ops.BITCAST: lambda: build.bitcast(inputs[0], dtypes.int32)}
    return made.get(op, lambda: build.alu(op, *inputs))(), dict(zip(inputs, names, strict=True))
