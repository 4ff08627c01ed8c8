"""The meaning of each elementwise operation, against NumPy, struct and mathematics."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anneal.errors import DTypeError
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.scalars import alu, cast_value, combine, neutral

_INF, _NAN = math.inf, math.nan
_INT32 = st.integers(-(2**31), 2**31 - 1) | st.integers(-9, 9)
_UINT32 = st.integers(0, 2**32 - 1) | st.integers(0, 9)
_FLOAT32 = st.floats(width=32)


def _same(a: Scalar, b: Scalar) -> bool:
    """Equal, NaN and the sign of zero included."""
    return repr(a) == repr(b)


FACTS: list[tuple[Op, DType, tuple[Scalar, ...], Scalar]] = [
    (Ops.IDIV, dtypes.int32, (-7, 3), -3),
    (Ops.MOD, dtypes.int32, (-7, 3), 2),
    (Ops.IDIV, dtypes.int32, (7, -3), -3),
    (Ops.MOD, dtypes.int32, (7, -3), -2),
    (Ops.IDIV, dtypes.int32, (7, 0), 0),
    (Ops.MOD, dtypes.int32, (7, 0), 0),
    (Ops.IDIV, dtypes.index, (-7, 0), 0),
    (Ops.IDIV, dtypes.int32, (-(2**31), -1), -(2**31)),
    (Ops.ADD, dtypes.int32, (2_000_000_000, 2_000_000_000), -294967296),
    (Ops.ADD, dtypes.index, (2_000_000_000, 2_000_000_000), 4_000_000_000),
    (Ops.MUL, dtypes.uint32, (2**31, 2), 0),
    (Ops.XOR, dtypes.int32, (5, 3), 6),
    (Ops.SHL, dtypes.int32, (1, 4), 16),
    (Ops.SHL, dtypes.int32, (1, 31), -(2**31)),
    (Ops.SHL, dtypes.int32, (1, 33), 2),
    (Ops.SHL, dtypes.index, (1, 33), 2**33),
    (Ops.SHR, dtypes.int32, (-8, 1), -4),
    (Ops.SHR, dtypes.uint32, (2**32 - 8, 1), 2**31 - 4),
    (Ops.SHR, dtypes.uint32, (16, 34), 4),
    (Ops.ADD, dtypes.bool, (True, True), True),
    (Ops.MUL, dtypes.bool, (True, False), False),
    (Ops.MAX, dtypes.bool, (False, True), True),
    (Ops.XOR, dtypes.bool, (True, True), False),
    (Ops.LT, dtypes.bool, (False, True), True),
    (Ops.LOG2, dtypes.float32, (0.0,), -_INF),
    (Ops.LOG2, dtypes.float32, (-0.0,), -_INF),
    (Ops.LOG2, dtypes.float32, (-1.0,), _NAN),
    (Ops.LOG2, dtypes.float32, (_INF,), _INF),
    (Ops.LOG2, dtypes.float32, (_NAN,), _NAN),
    (Ops.SQRT, dtypes.float32, (-1.0,), _NAN),
    (Ops.SQRT, dtypes.float32, (-0.0,), -0.0),
    (Ops.DIV, dtypes.float32, (1.0, 0.0), _INF),
    (Ops.DIV, dtypes.float32, (1.0, -0.0), -_INF),
    (Ops.DIV, dtypes.float32, (0.0, 0.0), _NAN),
    (Ops.DIV, dtypes.float32, (_NAN, 0.0), _NAN),
    (Ops.SIN, dtypes.float32, (_INF,), _NAN),
    (Ops.EXP2, dtypes.float32, (0.0,), 1.0),
    (Ops.EXP2, dtypes.float32, (3.0,), 8.0),
    (Ops.EXP2, dtypes.float32, (128.0,), _INF),
    (Ops.EXP2, dtypes.float32, (1e9,), _INF),
    (Ops.EXP2, dtypes.float32, (-_INF,), 0.0),
    (Ops.EXP2, dtypes.float16, (16.0,), _INF),
    (Ops.FLOOR, dtypes.float32, (-1.5,), -2.0),
    (Ops.FLOOR, dtypes.float32, (-0.0,), -0.0),
    (Ops.FLOOR, dtypes.float32, (0.5,), 0.0),
    (Ops.FLOOR, dtypes.float32, (-_INF,), -_INF),
    (Ops.FLOOR, dtypes.float32, (_NAN,), _NAN),
    (Ops.MAX, dtypes.float32, (_NAN, 1.0), _NAN),
    (Ops.MAX, dtypes.float32, (1.0, _NAN), _NAN),
    (Ops.MIN, dtypes.float32, (_NAN, 1.0), _NAN),
    (Ops.MIN, dtypes.float32, (1.0, _NAN), _NAN),
    (Ops.MAX, dtypes.float32, (-0.0, 0.0), 0.0),
    (Ops.MIN, dtypes.float32, (0.0, -0.0), -0.0),
    (Ops.MUL, dtypes.float32, (_INF, 0.0), _NAN),
    (Ops.MUL, dtypes.float32, (3e38, 3e38), _INF),
    (Ops.MUL, dtypes.float32, (1e-30, 1e-30), 0.0),
    (Ops.ADD, dtypes.float32, (16777216.0, 1.0), 16777216.0),
    (Ops.ADD, dtypes.float16, (2048.0, 1.0), 2048.0),
    (Ops.ADD, dtypes.float16, (65504.0, 65504.0), _INF),
    (Ops.ADD, dtypes.bfloat16, (256.0, 1.0), 256.0),
    (Ops.LT, dtypes.bool, (_NAN, 1.0), False),
    (Ops.EQ, dtypes.bool, (_NAN, _NAN), False),
    (Ops.EQ, dtypes.bool, (0.0, -0.0), True),
    (Ops.WHERE, dtypes.int32, (False, 1, 2), 2),
    (Ops.WHERE, dtypes.float32, (True, 1.5, 2.5), 1.5),
    (Ops.CAST, dtypes.int32, (-1.9,), -1),
    (Ops.CAST, dtypes.int32, (3e9,), 2**31 - 1),
    (Ops.CAST, dtypes.int32, (_NAN,), 0),
    (Ops.CAST, dtypes.uint32, (-5.0,), 0),
    (Ops.CAST, dtypes.uint32, (_INF,), 2**32 - 1),
    (Ops.CAST, dtypes.uint32, (-1,), 2**32 - 1),
    (Ops.CAST, dtypes.int32, (2**31,), -(2**31)),
    (Ops.CAST, dtypes.bool, (_NAN,), True),
    (Ops.CAST, dtypes.bool, (0.0,), False),
    (Ops.CAST, dtypes.float32, (True,), 1.0),
    (Ops.CAST, dtypes.float32, (16777217,), 16777216.0),
    (Ops.CAST, dtypes.float32, (10**400,), _INF),
    (Ops.CAST, dtypes.float16, (-(10**400),), -_INF),
    (Ops.CAST, dtypes.float16, (65520.0,), _INF),
    (Ops.CAST, dtypes.index, (_INF,), 2**31 - 1),
    (Ops.CAST, dtypes.index, (_NAN,), 0),
]


@pytest.mark.parametrize(("op", "dtype", "args", "result"), FACTS, ids=lambda v: getattr(v, "name", None))
def test_known_values(op: Op, dtype: DType, args: tuple[Scalar, ...], result: Scalar) -> None:
    assert _same(alu(op, dtype, args), result)


def test_every_elementwise_op_has_a_meaning_that_is_tested() -> None:
    untested = {op for op in ALL_OPS if op.elementwise} - {op for op, *_ in FACTS}
    assert {op.name for op in untested} == {"and", "or", "bitcast"}  # below


def test_other_ops_have_no_scalar_meaning() -> None:
    with pytest.raises(DTypeError, match="reshape is not an elementwise operation"):
        alu(Ops.RESHAPE, dtypes.float32, (1.0,))


INTEGER: dict[Op, Callable[[Any, Any], Any]] = {
    Ops.ADD: np.add,
    Ops.MUL: np.multiply,
    Ops.IDIV: np.floor_divide,
    Ops.MOD: np.mod,
    Ops.MAX: np.maximum,
    Ops.MIN: np.minimum,
    Ops.AND: np.bitwise_and,
    Ops.OR: np.bitwise_or,
    Ops.XOR: np.bitwise_xor,
}


@pytest.mark.parametrize("op", INTEGER, ids=lambda op: op.name)
@given(st.data())
def test_integers_agree_with_numpy(op: Op, data: st.DataObject) -> None:
    dtype, kind, values = data.draw(st.sampled_from([(dtypes.int32, np.int32, _INT32), (dtypes.uint32, np.uint32, _UINT32)]))
    x, y = data.draw(values), data.draw(values)
    with np.errstate(all="ignore"):
        expected = INTEGER[op](np.array(x, kind), np.array(y, kind))
    assert alu(op, dtype, (x, y)) == int(expected)


@given(_INT32, _UINT32, _INT32)
def test_shifts_take_the_amount_modulo_32(x: int, u: int, amount: int) -> None:
    shift = amount % 32
    assert alu(Ops.SHL, dtypes.int32, (x, amount)) == int(np.left_shift(np.int32(x), np.int32(shift)))
    assert alu(Ops.SHR, dtypes.int32, (x, amount)) == int(np.right_shift(np.int32(x), np.int32(shift)))
    assert alu(Ops.SHR, dtypes.uint32, (u, amount % 2**32)) == u >> shift


FLOATING: dict[Op, Callable[..., Any]] = {
    Ops.ADD: np.add,
    Ops.MUL: np.multiply,
    Ops.DIV: np.divide,
    Ops.MAX: np.maximum,
    Ops.MIN: np.minimum,
    Ops.SQRT: np.sqrt,
    Ops.FLOOR: np.floor,
    Ops.LT: np.less,
    Ops.EQ: np.equal,
}


@pytest.mark.parametrize("op", FLOATING, ids=lambda op: op.name)
@given(st.data())
def test_exact_float_ops_agree_with_numpy_bit_for_bit(op: Op, data: st.DataObject) -> None:
    dtype, kind, values = data.draw(st.sampled_from([(dtypes.float32, np.float32, st.floats(width=32)), (dtypes.float16, np.float16, st.floats(width=16))]))
    args = [data.draw(values) for _ in range(op.arity)]
    with np.errstate(all="ignore"):
        expected = FLOATING[op](*(np.array(a, kind) for a in args)).item()
    result = alu(op, dtypes.bool if op.compares else dtype, args)
    assert _same(result, expected) or (op in (Ops.MAX, Ops.MIN) and result == expected == 0)  # NumPy takes either zero


TRANSCENDENTAL: dict[Op, Callable[[Any], Any]] = {Ops.EXP2: np.exp2, Ops.LOG2: np.log2, Ops.SIN: np.sin}


@pytest.mark.parametrize("op", TRANSCENDENTAL, ids=lambda op: op.name)
@given(x=_FLOAT32)
def test_transcendental_ops_agree_with_numpy_in_float64(op: Op, x: float) -> None:
    with np.errstate(all="ignore"):
        expected = np.float32(TRANSCENDENTAL[op](np.float64(x)))
        close = np.isclose(np.float32(alu(op, dtypes.float32, (x,))), expected, rtol=1e-6, atol=0, equal_nan=True)
    assert close


@pytest.mark.parametrize(("op", "oracle"), [(Ops.ADD, torch.add), (Ops.MUL, torch.mul), (Ops.DIV, torch.div)], ids=["add", "mul", "div"])
@given(x=_FLOAT32, y=_FLOAT32)
def test_bfloat16_agrees_with_torch(op: Op, oracle: Callable[..., torch.Tensor], x: float, y: float) -> None:
    a, b = dtypes.bfloat16.round(x), dtypes.bfloat16.round(y)
    expected = oracle(torch.tensor(a, dtype=torch.bfloat16), torch.tensor(b, dtype=torch.bfloat16)).item()
    assert _same(alu(op, dtypes.bfloat16, (a, b)), expected)


@given(_FLOAT32)
def test_bitcasts_keep_the_bits(x: float) -> None:
    signed = alu(Ops.BITCAST, dtypes.int32, (x,), dtypes.float32)
    assert signed == struct.unpack("<i", struct.pack("<f", x))[0]
    unsigned = alu(Ops.BITCAST, dtypes.uint32, (signed,), dtypes.int32)
    assert unsigned == signed % 2**32
    assert _same(alu(Ops.BITCAST, dtypes.float32, (unsigned,), dtypes.uint32), x)


@given(st.integers(0, 2**16 - 1))
def test_sixteen_bit_bitcasts(bits: int) -> None:
    brain = alu(Ops.BITCAST, dtypes.bfloat16, (bits,), dtypes.uint16)
    assert _same(brain, torch.tensor(bits, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).item())
    if not math.isnan(brain):
        assert alu(Ops.BITCAST, dtypes.uint16, (brain,), dtypes.bfloat16) == bits
    assert _same(alu(Ops.BITCAST, dtypes.float16, (bits,), dtypes.uint16), float(np.array(bits, np.uint16).view(np.float16)))


@pytest.mark.parametrize(
    ("source", "target"), [(dtypes.float32, dtypes.float16), (dtypes.bool, dtypes.bool), (None, dtypes.int32), (dtypes.index, dtypes.index)]
)
def test_impossible_bitcasts(source: DType | None, target: DType) -> None:
    with pytest.raises(DTypeError, match="cannot bitcast"):
        alu(Ops.BITCAST, target, (1,), source)


def test_an_integer_cast_rounds_large_integers_once() -> None:
    assert cast_value(2**24 + 1, dtypes.float32) == 2.0**24
    assert cast_value(2**24 + 3, dtypes.float32) == 2.0**24 + 4


def test_reductions() -> None:
    assert combine(Ops.ADD, dtypes.float32, map(float, range(1, 9))) == 36
    assert combine(Ops.MAX, dtypes.float32, [-5.0, -3.0, -1.0, -4.0]) == -1
    assert combine(Ops.ADD, dtypes.int32, [2_000_000_000, 2_000_000_000]) == -294967296
    assert combine(Ops.ADD, dtypes.bool, [True, True]) is True
    assert combine(Ops.ADD, dtypes.float32, [16777216.0, 1.0, 1.0]) == 16777218.0
    assert math.isnan(combine(Ops.MAX, dtypes.float32, [1.0, _NAN, 2.0]))


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float16, dtypes.int32, dtypes.uint32, dtypes.bool], ids=lambda d: d.name)
@pytest.mark.parametrize("op", [Ops.ADD, Ops.MUL, Ops.MAX, Ops.MIN], ids=lambda op: op.name)
def test_the_neutral_value_changes_nothing(op: Op, dtype: DType) -> None:
    start = combine(op, dtype, [])
    assert start == neutral(op, dtype)
    for value in (0, 1, 3, dtype.min, dtype.max):
        element = dtype.round(value)
        assert alu(op, dtype, (start, element)) == element
