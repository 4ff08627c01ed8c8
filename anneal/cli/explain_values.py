"""What the operations of an expression do: on scalars of the compiler's own arithmetic, or on tensors.

>>> x = build.variable("x", 0, 9)
>>> Scalars(dtypes.index).call("max", [x, 3], {}).op.name
'max'
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from anneal.errors import DTypeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.ops import ALL_OPS, Ops, op_by_name
from anneal.ir.uop import UOp
from anneal.tensor.core import Core
from anneal.tensor.random import Random
from anneal.tensor.tensor import Tensor
from anneal.tensor.values import Values

SYMBOLS: Final[Mapping[type[ast.AST], str]] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**", ast.MatMult: "@",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
"""Operators of two operands."""
_PYTHON: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv, "%": operator.mod, "**": operator.pow,
    "@": operator.matmul, "&": operator.and_, "|": operator.or_, "^": operator.xor, "<<": operator.lshift, ">>": operator.rshift,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_OPS: Final = {op.symbol: op for op in ALL_OPS if op.symbol}
_LARGE: Final = 1 << 32
_FEW: Final = 64
SCALAR_CALLS: Final = frozenset(op.name for op in ALL_OPS if op.elementwise and not op.symbol and op not in (Ops.CAST, Ops.BITCAST))
"""Functions of scalars: the elementwise ops that have no symbol."""
_READING: Final = frozenset({"nonzero", "unique", "masked_select"})
"""Methods whose results have a shape that depends on values."""
METHODS: Final = {
    name: value
    for owner in Tensor.__mro__
    if owner not in (Core, Values, Random, Tensor, object)
    for name, value in vars(owner).items()
    if not (name.startswith("_") or name.endswith("_") or name in _READING) and callable(getattr(Tensor, name))
} | {name: vars(Core)[name] for name in ("contiguous", "detach")}
"""Methods of tensors that only compute, by name; those that read, write, run or draw random numbers are not among them."""


def numbers(sign: str, left: Any, right: Any) -> Any:
    """An operation of two plain numbers, small ones where the result could be huge."""
    if not all(isinstance(v, int | float) for v in (left, right)):
        raise UsageError(f"{sign} is for numbers and inputs")
    if sign in ("**", "<<") and (abs(left) > _LARGE or abs(right) > _FEW):
        raise UsageError(f"{left} {sign} {right} is too large")
    return _PYTHON[sign](left, right)


class Scalars:
    """Operations on scalar nodes; plain numbers take the dtype of what they meet."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype
        """What numbers are that meet nothing."""

    def binary(self, sign: str, left: Any, right: Any) -> UOp:
        """An operator of two operands."""
        x, y = self._common(left, right)
        match sign:
            case "-":
                return build.alu(Ops.ADD, x, self._negative(y))
            case ">":
                return build.alu(Ops.LT, y, x)
            case "<=":
                return self._denied(build.alu(Ops.LT, y, x))
            case ">=":
                return self._denied(build.alu(Ops.LT, x, y))
            case "!=":
                return self._denied(build.alu(Ops.EQ, x, y))
        if sign not in _OPS:
            raise UsageError(f"{sign} is for tensors: say what the inputs are, for example --let 'x=float32(4, 4)'")
        return build.alu(_OPS[sign], x, y)

    def unary(self, sign: str, value: Any) -> UOp:
        """A sign in front."""
        (x,) = self._common(value)
        if sign == "-":
            return self._negative(x)
        return self._denied(x) if x.dtype is dtypes.bool else build.alu(Ops.XOR, x, build.const(-1, x.dtype))

    def call(self, name: str, values: Sequence[Any], words: Mapping[str, Any]) -> UOp:
        """A function by name."""
        op = op_by_name(name)
        if words or len(values) != op.arity:
            raise UsageError(f"{name} takes {op.arity} operands here")
        if op is Ops.WHERE:
            return build.alu(op, self.node(values[0]), *self._common(*values[1:]))
        return build.alu(op, *self._common(*values))

    def node(self, value: Any) -> UOp:
        """A value as a node."""
        return self._common(value)[0]

    def _common(self, *values: Any) -> list[UOp]:
        """The values as nodes of one dtype."""
        dtype = next((v.dtype for v in values if isinstance(v, UOp)), None)
        return [v if isinstance(v, UOp) else self._constant(v, dtype) for v in values]

    def _constant(self, value: Any, dtype: DType | None) -> UOp:
        if not isinstance(value, bool | int | float):
            raise UsageError(f"{value!r} is no number")
        kind = dtype or (dtypes.bool if isinstance(value, bool) else self.dtype)
        if kind is dtypes.bool and not isinstance(value, bool):
            raise DTypeError(f"{value} meets bool: where(condition, 1, 0) makes a condition a number")
        if isinstance(value, float) and not kind.is_float:
            raise DTypeError(f"{value} meets {kind.name} numbers: say what the inputs are, for example --let x=float32")
        return build.const(value, kind)

    def _negative(self, x: UOp) -> UOp:
        if x.dtype is dtypes.bool:
            raise DTypeError("negation is not defined for bool: use ~, & and |, or where(condition, -1, 0)")
        return build.alu(Ops.MUL, x, build.const(-1, x.dtype)) if x.op is not Ops.CONST else build.const(-x.arg, x.dtype)

    def _denied(self, x: UOp) -> UOp:
        return build.alu(Ops.XOR, x, build.const(True, dtypes.bool))


class Tensors:
    """Operations on tensors: what Python does with them, and their methods."""

    def binary(self, sign: str, left: Any, right: Any) -> Any:
        """An operator of two operands."""
        return _PYTHON[sign](left, right)

    def unary(self, sign: str, value: Any) -> Any:
        """A sign in front."""
        return -value if sign == "-" else ~value

    def call(self, name: str, values: Sequence[Any], words: Mapping[str, Any]) -> Any:
        """A method by name, or `max` and `min` of two."""
        if name in ("max", "min") and len(values) == 2 and isinstance(values[1], Tensor | float):
            name = f"{name}imum"
        if isinstance(METHODS[name], classmethod):
            return getattr(Tensor, name)(*values, **words)
        if not values or not isinstance(values[0], Tensor):
            raise UsageError(f"the first operand of {name} must be a tensor")
        return getattr(Tensor, name)(*values, **words)
