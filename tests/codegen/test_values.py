"""Every elementwise operation of every dtype, as WGSL and on the reference device, against its meaning in plain Python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from anneal import Tensor, compile, execute
from anneal.ir import build
from anneal.ir.dtype import TENSOR_DTYPES, DType, Scalar, dtypes
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.scalars import alu, combine
from anneal.ir.uop import UOp
from anneal.runtime.device import get_device

DEVICES: Final = ("webgpu", "reference")
NAN, INF = math.nan, math.inf
VALUES: Final[dict[DType, tuple[Scalar, ...]]] = {
    dtypes.bool: (False, True),
    dtypes.int32: (0, 1, -1, 2, 3, -3, 7, -7, 31, 32, 33, 65536, -(2**31), 2**31 - 1, 2_000_000_000, -1_999_999_999),
    dtypes.uint32: (0, 1, 2, 3, 7, 31, 32, 33, 65536, 2**31, 2**32 - 1, 3_000_000_000),
    dtypes.int16: (0, 1, -1, 2, 3, -3, 7, -7, 15, 16, 33, 255, -(2**15), 2**15 - 1, 30_000, -20_001),
    dtypes.uint16: (0, 1, 2, 3, 7, 15, 16, 33, 255, 2**15, 2**16 - 1, 40_000),
    dtypes.int8: (0, 1, -1, 2, 3, -3, 7, -7, 8, 31, 33, -128, 127, 100, -99),
    dtypes.uint8: (0, 1, 2, 3, 7, 8, 31, 33, 128, 255, 200),
    dtypes.float8_e4m3: (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, -7.0, 96.0, 2.0**-9, 448.0, -448.0, 2.0**-6, NAN),
    dtypes.float8_e5m2: (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, -7.0, 96.0, 2.0**-16, 57344.0, -57344.0, INF, -INF, NAN),
    dtypes.float32: (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, -7.25, 100.0, 16777217.0, 1e30, -1e30, INF, -INF, NAN),
    dtypes.float16: (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, -7.25, 100.0, 2049.0, 65504.0, -65504.0, INF, -INF, NAN),
    dtypes.bfloat16: (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, -7.25, 100.0, 257.0, 1e30, -1e30, INF, -INF, NAN),
}
_NEAR: Final = {dtypes.float32: 4e-6, dtypes.float16: 2e-3, dtypes.bfloat16: 1e-2, dtypes.float8_e4m3: 0.125, dtypes.float8_e5m2: 0.25}
_NEAR_REDUCED: Final = {dtypes.float16: 0.05, dtypes.bfloat16: 0.05, dtypes.float8_e4m3: 0.25, dtypes.float8_e5m2: 0.5}
_ROUNDED: Final = frozenset({Ops.EXP2, Ops.LOG2, Ops.SIN, Ops.SQRT, Ops.DIV})
"""Operations that WGSL does not define to the last bit."""


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def kinds(op: Op) -> list[DType]:
    """The dtypes that an operation takes."""
    found = []
    for dtype in TENSOR_DTYPES:
        try:
            build.alu(op, *[build.param(i, (4,), dtypes.bool if op is Ops.WHERE and i == 0 else dtype) for i in range(op.arity)])
        except TypeError:
            continue
        found.append(dtype)
    return found


OPS: Final = [op for op in ALL_OPS if op.elementwise and op not in (Ops.CAST, Ops.BITCAST)]
CASES: Final = [(op, dtype) for op in OPS for dtype in kinds(op)]


def same(found: Scalar, wanted: Scalar, near: float = 0.0) -> bool:
    """Whether two values are equal, to the sign of zero, or near."""
    if isinstance(wanted, float) and isinstance(found, float):
        if math.isnan(wanted) or math.isnan(found):
            return math.isnan(wanted) and math.isnan(found)
        if near:
            return found == wanted or abs(found - wanted) <= near * max(abs(wanted), 1e-3)
        return found == wanted and math.copysign(1, found) == math.copysign(1, wanted)
    return type(found) is type(wanted) and found == wanted


def compare(node: UOp, device: str, wanted: Sequence[Scalar], rows: Sequence[Any], near: float) -> None:
    found = Tensor(node, device=device).tolist()
    assert len(found) == len(wanted) == len(rows) > 0
    wrong = [(row, f, w) for row, f, w in zip(rows, found, wanted, strict=True) if not same(f, w, near)]
    assert not wrong, f"{len(wrong)} of {len(rows)} (operands, found, wanted): {wrong[:6]}"


@pytest.mark.parametrize(("op", "dtype"), CASES, ids=[f"{op.name}-{dtype.name}" for op, dtype in CASES])
def test_an_operation_on_special_values(op: Op, dtype: DType, device: str) -> None:
    choices = [VALUES[dtypes.bool if op is Ops.WHERE and i == 0 else dtype] for i in range(op.arity)]
    rows = [row for row in itertools.product(*choices) if sensible(op, dtype, row)]
    columns = [Tensor(list(c), dtype=dtypes.bool if op is Ops.WHERE and i == 0 else dtype, device=device) for i, c in enumerate(zip(*rows, strict=True))]
    node = build.alu(op, *(c.uop for c in columns))
    wanted = [alu(op, node.dtype, [c.dtype.round(v) for c, v in zip(columns, row, strict=True)], dtype) for row in rows]
    compare(node, device, wanted, rows, _NEAR.get(dtype, 0.0) if op in _ROUNDED else 0.0)


@pytest.mark.parametrize("op", [op for op, dtype in CASES if dtype is dtypes.float16], ids=lambda op: op.name)
def test_float16_on_a_gpu_that_has_none(op: Op) -> None:
    choices = [VALUES[dtypes.bool if op is Ops.WHERE and i == 0 else dtypes.float16] for i in range(op.arity)]
    rows = [row for row in itertools.product(*choices) if sensible(op, dtypes.float16, row)]
    kinds = [dtypes.bool if op is Ops.WHERE and i == 0 else dtypes.float16 for i in range(op.arity)]
    columns = [Tensor(list(c), dtype=kind, device="webgpu") for kind, c in zip(kinds, zip(*rows, strict=True), strict=True)]
    node = build.alu(op, *(c.uop for c in columns))
    compiled = compile(Tensor(node, device="webgpu"), target=replace(get_device("webgpu").target, float16=False))
    assert "f16(" not in compiled.kernels[0].wgsl.replace("_f16(", "(")
    (found,) = execute(compiled, *columns)
    wanted = [alu(op, node.dtype, [c.dtype.round(v) for c, v in zip(columns, row, strict=True)], dtypes.float16) for row in rows]
    near = _NEAR[dtypes.float16] if op in _ROUNDED else 0.0
    wrong = [(row, f, w) for row, f, w in zip(rows, found.tolist(), wanted, strict=True) if not same(f, w, near)]
    assert not wrong, f"{len(wrong)} of {len(rows)} (operands, found, wanted): {wrong[:6]}"


def sensible(op: Op, dtype: DType, row: Sequence[Scalar]) -> bool:
    """False where devices may differ: the sine of large angles, and which zero is the larger."""
    if op is Ops.SIN:
        return not abs(row[0]) > 100 or math.isinf(row[0])
    if op in (Ops.MAX, Ops.MIN):
        return not (dtype.is_float and row[0] == row[1] == 0)
    return True


PAIRS: Final = [(a, b) for a in TENSOR_DTYPES for b in TENSOR_DTYPES if a is not b]


@pytest.mark.parametrize(("source", "goal"), PAIRS, ids=[f"{a.name}-{b.name}" for a, b in PAIRS])
def test_a_cast_of_special_values(source: DType, goal: DType, device: str) -> None:
    rows = VALUES[source]
    x = Tensor(list(rows), dtype=source, device=device)
    wanted = [alu(Ops.CAST, goal, [source.round(v)], source) for v in rows]
    compare(build.cast(x.uop, goal), device, wanted, rows, 0.0)


@pytest.mark.parametrize(("source", "goal"), [(a, b) for a, b in PAIRS if a.bits == b.bits == 32], ids=lambda d: d.name)
def test_bits_are_kept(source: DType, goal: DType, device: str) -> None:
    rows = [v for v in VALUES[source] if not (isinstance(v, float) and math.isnan(v))]
    if goal is dtypes.float32:
        rows = [0x3F800000, 0x80000000 if source is dtypes.uint32 else -(2**31), 0x7F800000, 0x40490FDB]
    x = Tensor(rows, dtype=source, device=device)
    wanted = [alu(Ops.BITCAST, goal, [source.round(v)], source) for v in rows]
    compare(build.bitcast(x.uop, goal), device, wanted, rows, 0.0)


@pytest.mark.parametrize("dtype", TENSOR_DTYPES, ids=lambda d: d.name)
def test_constants_are_written_exactly(dtype: DType, device: str) -> None:
    extra: dict[DType, tuple[Scalar, ...]] = {
        dtypes.float32: (3.4028234663852886e38, -3.4028234663852886e38, 1.1754943508222875e-38, 0.1, 1 / 3, 123456789.0, 1e-30),
        dtypes.float16: (65504.0, 6.103515625e-05, 0.1, 1 / 3),
        dtypes.bfloat16: (3.3895313892515355e38, 0.1, 1 / 3),
    }
    values = [dtype.round(v) for v in (*VALUES[dtype], *extra.get(dtype, ()))]
    never = Tensor([False] * 3, device=device)
    other = Tensor([dtype.round(1)] * 3, dtype=dtype, device=device)
    made = [Tensor(build.alu(Ops.WHERE, never.uop, other.uop, build.const(v, dtype)), device=device) for v in values]
    for start in range(0, len(made), 5):
        Tensor.realize(*made[start : start + 5])
    for t, v in zip(made, values, strict=True):
        assert all(same(f, v) for f in t.tolist()), (v, t.tolist())


@pytest.mark.parametrize("dtype", [d for d in TENSOR_DTYPES if d is not dtypes.bool], ids=lambda d: d.name)
@pytest.mark.parametrize("op", [Ops.ADD, Ops.MUL, Ops.MAX, Ops.MIN], ids=lambda op: op.name)
def test_reductions_in_every_dtype(op: Op, dtype: DType, device: str) -> None:
    values = [[dtype.round(1 + (i * j) % 3) for j in range(200)] for i in range(3)]
    rows = [row if op is not Ops.MUL else [*row[:9], *[dtype.round(1)] * 191] for row in values]
    x = Tensor(rows, dtype=dtype, device=device)
    found = Tensor(build.reduce_axis(op, x.uop, (1,)), device=device).reshape(3).tolist()
    for f, row in zip(found, rows, strict=True):
        total = combine(op, dtype, row)
        assert same(f, total, _NEAR_REDUCED.get(dtype, 1e-6)), (f, total)
