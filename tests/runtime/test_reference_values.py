"""The reference device gives each op the meaning that the interpreter gives it."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.interp import alu
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.runtime.reference.numeric import HELD, Value, constant, operation

FLOATS = (dtypes.float32, dtypes.float16, dtypes.bfloat16)
INTEGERS = (dtypes.int32, dtypes.uint32, dtypes.index)
ROUGH = {Ops.EXP2: 4, Ops.LOG2: 4, Ops.SIN: 4}
"""Ops whose last bits the mathematical library decides, with units in the last place to allow."""
ELEMENTWISE = tuple(op for op in ALL_OPS if op.elementwise and op not in (Ops.CAST, Ops.BITCAST, Ops.WHERE))


def allowed(op: Op, dtype: DType) -> bool:
    return {"float": dtype.is_float, "int": dtype.is_int, "bits": not dtype.is_float, "any": True}[op.domain]


def values(dtype: DType) -> st.SearchStrategy[Scalar]:
    """Elements of a dtype, its corners often."""
    if dtype is dtypes.bool:
        return st.booleans()
    if dtype is dtypes.index:
        return st.integers(-(1 << 20), 1 << 20) | st.integers(-9, 9)
    if dtype.is_int:
        low, high = int(dtype.min), int(dtype.max)
        return st.integers(low, high) | st.integers(max(low, -9), 9) | st.sampled_from([low, high])
    floats = st.floats(width=16) if dtype is dtypes.float16 else st.floats(width=32)
    return (floats | st.integers(-9, 9).map(float) | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan])).map(dtype.round)


def same(found: Value, expected: Scalar, dtype: DType, ulps: int = 0) -> bool:
    if not dtype.is_float:
        return bool(found == expected)
    got, want = float(found), float(expected)
    if math.isnan(want) or math.isnan(got):
        return math.isnan(want) and math.isnan(got)
    if got == want:
        return True
    unit = {dtypes.float32: 2.0**-23, dtypes.float16: 2.0**-10, dtypes.bfloat16: 2.0**-7}[dtype]
    return abs(got - want) <= ulps * unit * max(abs(want), 1e-3)


CASES = [(op, dtype) for op in ELEMENTWISE for dtype in (*FLOATS, *INTEGERS, dtypes.bool) if allowed(op, dtype)]


@pytest.mark.parametrize(("op", "dtype"), CASES, ids=lambda v: v.name)
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_elementwise(op: Op, dtype: DType, data: st.DataObject) -> None:
    operand = st.integers(0, 40) if dtype is dtypes.index and op in (Ops.SHL, Ops.SHR) else values(dtype)
    rows = data.draw(st.lists(st.tuples(*[operand] * op.arity), min_size=1, max_size=8))
    result = dtypes.bool if op.compares else dtype
    function = operation(op, result, dtype)
    with np.errstate(all="ignore"):
        columns = [np.array(c, HELD[dtype]) for c in zip(*rows, strict=True)]
        together = function(*columns)
        for row, found in zip(rows, together, strict=True):
            expected = alu(op, result, row, dtype)
            alone = function(*(constant(x, dtype) for x in row))
            assert same(found, expected, result, ROUGH.get(op, 0)), (row, found, expected)
            assert same(alone, expected, result, ROUGH.get(op, 0)), (row, alone, expected)
    assert together.dtype == HELD[result]


@pytest.mark.parametrize("target", [*FLOATS, *INTEGERS, dtypes.bool], ids=lambda d: d.name)
@pytest.mark.parametrize("source", [*FLOATS, *INTEGERS, dtypes.bool], ids=lambda d: d.name)
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_cast(source: DType, target: DType, data: st.DataObject) -> None:
    if source is target or (target is dtypes.index and source.is_float):
        return
    column = data.draw(st.lists(values(source), min_size=1, max_size=8))
    function = operation(Ops.CAST, target, source)
    with np.errstate(all="ignore"):
        together = function(np.array(column, HELD[source]))
        for value, found in zip(column, together, strict=True):
            expected = alu(Ops.CAST, target, (value,), source)
            assert same(found, expected, target), (value, found, expected)
            assert same(function(constant(value, source)), expected, target)
    assert together.dtype == HELD[target]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (dtypes.float32, dtypes.int32),
        (dtypes.int32, dtypes.float32),
        (dtypes.uint32, dtypes.float32),
        (dtypes.float32, dtypes.uint32),
        (dtypes.int32, dtypes.uint32),
        (dtypes.float16, dtypes.bfloat16),
        (dtypes.bfloat16, dtypes.float16),
    ],
    ids=lambda d: d.name,
)
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_bitcast(source: DType, target: DType, data: st.DataObject) -> None:
    column = data.draw(st.lists(values(source).filter(lambda x: not (isinstance(x, float) and math.isnan(x))), min_size=1, max_size=8))
    function = operation(Ops.BITCAST, target, source)
    for value, found in zip(column, function(np.array(column, HELD[source])), strict=True):
        assert same(found, alu(Ops.BITCAST, target, (value,), source), target)


@pytest.mark.parametrize(
    ("single", "half"),
    [("3F801000", "3C00"), ("3F802000", "3C01"), ("3F803000", "3C02"), ("3F805000", "3C02"), ("33800000", "0001"), ("33000000", "0000")]
    + [("387FE000", "0400"), ("477FE000", "7BFF"), ("477FF000", "7C00"), ("3F808000", "3C04")],
)
def test_float32_to_float16_rounds_to_nearest_even(single: str, half: str) -> None:
    value = struct.unpack(">f", bytes.fromhex(single))[0]
    with np.errstate(all="ignore"):
        found = operation(Ops.CAST, dtypes.float16, dtypes.float32)(np.float32(value))
    assert struct.pack(">e", float(found)).hex().upper() == half


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_bfloat16_rounds_to_nearest_even(column: list[float]) -> None:
    with np.errstate(all="ignore"):
        found = operation(Ops.CAST, dtypes.bfloat16, dtypes.float32)(np.array(column, np.float32))
    assert all(same(f, dtypes.bfloat16.round(x), dtypes.bfloat16) for f, x in zip(found, column, strict=True))
