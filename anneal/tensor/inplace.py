"""Methods that change a tensor: their names end in _, and the operators are +=, *= and so on.

A tensor that has a buffer is written there when it is realised, as by `assign`; one that is not computed yet becomes the new expression,
which fuses with the rest. A leaf that requires a gradient is changed under `no_grad()` only. The result keeps shape and dtype.

>>> from anneal import Tensor
>>> x = Tensor([1.0, -2.0])
>>> y = x.abs_().mul_(2)
>>> x += 1
>>> y is x, x.tolist()
(True, [3.0, 5.0])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Self

from anneal.errors import DTypeError, GradientError, ShapeError
from anneal.ir import build
from anneal.ir.dtype import Scalar
from anneal.ir.ops import Ops
from anneal.ir.shape import show
from anneal.tensor.core import _Mode
from anneal.tensor.elementwise import Operand
from anneal.tensor.special import Special

_RANK: Final = {"bool": 0, "uint": 1, "int": 1, "float": 2}
"""A result may be written where its kind ranks no lower."""


def in_place(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The form of a method that overwrites the tensor with the result."""

    @wraps(method)
    def call(self: InPlace, *args: Any, **kwargs: Any) -> Any:
        return self._overwrite(method(self, *args, **kwargs))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name.rstrip('_')}`, in place: see `InPlace`."
    return call


class InPlace(Special):
    """Methods that change a tensor."""

    __slots__ = ()

    def _overwrite(self, value: Self) -> Self:
        """Take the values of a result of the same shape; returns the tensor."""
        if self._leaf and _Mode.gradients:
            raise GradientError("a leaf tensor that requires a gradient cannot be changed in place: do it under no_grad(), or use assign")
        if value.shape != self.shape:
            raise ShapeError(f"a tensor of shape {show(self.shape)} cannot take a result of shape {show(value.shape)} in place: write x = x + y")
        if _RANK[value.dtype.kind] > _RANK[self.dtype.kind]:
            raise DTypeError(f"a {self.dtype.name} tensor cannot take a {value.dtype.name} result in place: write x = x + y, or cast the tensor first")
        value = value.cast(self.dtype)
        if self.is_realized or self.uop.op in (Ops.BUFFER, Ops.ASSIGN):
            return self.assign(value)
        self._device, self._needs_grad = value._device, value._needs_grad
        self._become(value.uop)
        return self

    def copy_(self, source: Operand) -> Self:
        """Take the values of another tensor, broadcast to this shape and cast to this dtype, in place; returns the tensor."""
        lifted = self._lift(source)
        if not isinstance(lifted, InPlace):
            return self.fill_(lifted)
        value = lifted.cast(self.dtype)
        return self._overwrite(value._make(build.broadcast_to(value.uop, self.shape)))

    def fill_(self, value: Scalar | Self) -> Self:
        """Every element is `value`, in place; returns the tensor."""
        lifted = self._lift(value)
        if isinstance(lifted, InPlace):
            return self.copy_(lifted)
        node = build.const(self.dtype.round(lifted), self.dtype)
        return self._overwrite(self._wrap(build.broadcast_to(node, self.shape), self._device))

    def zero_(self) -> Self:
        """Every element is 0, in place; returns the tensor."""
        return self.fill_(0)

    add_ = in_place(Special.add, "add_")
    sub_ = in_place(Special.sub, "sub_")
    mul_ = in_place(Special.mul, "mul_")
    div_ = in_place(Special.div, "div_")
    floor_divide_ = in_place(Special.floor_divide, "floor_divide_")
    remainder_ = in_place(Special.remainder, "remainder_")
    fmod_ = in_place(Special.fmod, "fmod_")
    pow_ = in_place(Special.pow, "pow_")
    lerp_ = in_place(Special.lerp, "lerp_")
    neg_ = in_place(Special.neg, "neg_")
    abs_ = in_place(Special.abs, "abs_")
    sign_ = in_place(Special.sign, "sign_")
    sqrt_ = in_place(Special.sqrt, "sqrt_")
    rsqrt_ = in_place(Special.rsqrt, "rsqrt_")
    reciprocal_ = in_place(Special.reciprocal, "reciprocal_")
    square_ = in_place(Special.square, "square_")
    exp_ = in_place(Special.exp, "exp_")
    exp2_ = in_place(Special.exp2, "exp2_")
    expm1_ = in_place(Special.expm1, "expm1_")
    log_ = in_place(Special.log, "log_")
    log2_ = in_place(Special.log2, "log2_")
    log1p_ = in_place(Special.log1p, "log1p_")
    sin_ = in_place(Special.sin, "sin_")
    cos_ = in_place(Special.cos, "cos_")
    tanh_ = in_place(Special.tanh, "tanh_")
    erf_ = in_place(Special.erf, "erf_")
    log10_ = in_place(Special.log10, "log10_")
    tan_ = in_place(Special.tan, "tan_")
    asin_ = in_place(Special.asin, "asin_")
    acos_ = in_place(Special.acos, "acos_")
    atan_ = in_place(Special.atan, "atan_")
    atan2_ = in_place(Special.atan2, "atan2_")
    sinh_ = in_place(Special.sinh, "sinh_")
    cosh_ = in_place(Special.cosh, "cosh_")
    asinh_ = in_place(Special.asinh, "asinh_")
    acosh_ = in_place(Special.acosh, "acosh_")
    atanh_ = in_place(Special.atanh, "atanh_")
    erfc_ = in_place(Special.erfc, "erfc_")
    frac_ = in_place(Special.frac, "frac_")
    floor_ = in_place(Special.floor, "floor_")
    ceil_ = in_place(Special.ceil, "ceil_")
    round_ = in_place(Special.round, "round_")
    trunc_ = in_place(Special.trunc, "trunc_")
    clamp_ = in_place(Special.clamp, "clamp_")
    clip_ = in_place(Special.clamp, "clip_")
    copysign_ = in_place(Special.copysign, "copysign_")
    masked_fill_ = in_place(Special.masked_fill, "masked_fill_")
    bitwise_and_ = in_place(Special.bitwise_and, "bitwise_and_")
    bitwise_or_ = in_place(Special.bitwise_or, "bitwise_or_")
    bitwise_xor_ = in_place(Special.bitwise_xor, "bitwise_xor_")
    bitwise_not_ = in_place(Special.bitwise_not, "bitwise_not_")
    bitwise_left_shift_ = in_place(Special.bitwise_left_shift, "bitwise_left_shift_")
    bitwise_right_shift_ = in_place(Special.bitwise_right_shift, "bitwise_right_shift_")
    logical_and_ = in_place(Special.logical_and, "logical_and_")
    logical_or_ = in_place(Special.logical_or, "logical_or_")
    logical_xor_ = in_place(Special.logical_xor, "logical_xor_")
    logical_not_ = in_place(Special.logical_not, "logical_not_")
    __iadd__ = in_place(Special.__add__, "__iadd__")
    __isub__ = in_place(Special.__sub__, "__isub__")
    __imul__ = in_place(Special.__mul__, "__imul__")
    __itruediv__ = in_place(Special.__truediv__, "__itruediv__")
    __ifloordiv__ = in_place(Special.__floordiv__, "__ifloordiv__")
    __imod__ = in_place(Special.__mod__, "__imod__")
    __ipow__ = in_place(Special.__pow__, "__ipow__")
    __iand__ = in_place(Special.__and__, "__iand__")
    __ior__ = in_place(Special.__or__, "__ior__")
    __ixor__ = in_place(Special.__xor__, "__ixor__")
    __ilshift__ = in_place(Special.__lshift__, "__ilshift__")
    __irshift__ = in_place(Special.__rshift__, "__irshift__")
