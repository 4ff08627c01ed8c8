"""Dtypes: promotion is a lattice, and rounding agrees with the hardware formats bit for bit."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anneal.errors import DTypeError
from anneal.ir.dtype import ALL, TENSOR_DTYPES, DType, by_name, dtypes, promote
from anneal.ir.scalars import from_bits, to_bits

_USER = [d for d in ALL if d is not dtypes.index]


def _from_bits(bits: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def _half_bits(value: float) -> int:
    bits: int = struct.unpack("<H", struct.pack("<e", value))[0]
    return bits


@pytest.mark.parametrize(
    ("single", "half"),
    [
        (0x3F801000, 0x3C00),
        (0x3F802000, 0x3C01),
        (0x3F803000, 0x3C02),
        (0x3F805000, 0x3C02),
        (0x33800000, 0x0001),
        (0x33000000, 0x0000),
        (0x387FE000, 0x0400),
        (0x477FE000, 0x7BFF),
        (0x477FF000, 0x7C00),
        (0x3F808000, 0x3C04),
    ],
)
def test_float32_to_float16_rounds_to_nearest_even(single: int, half: int) -> None:
    assert _half_bits(float(dtypes.float16.round(_from_bits(single)))) == half


def test_nan_stays_nan_in_every_float() -> None:
    for dtype in (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64):
        assert math.isnan(dtype.round(_from_bits(0x7F800001)))


@given(st.floats(width=32, allow_nan=False))
def test_float16_rounds_as_numpy(value: float) -> None:
    with np.errstate(over="ignore"):
        assert dtypes.float16.round(value) == float(np.float32(value).astype(np.float16))


@given(st.floats(width=32, allow_nan=False))
def test_bfloat16_rounds_as_torch(value: float) -> None:
    assert dtypes.bfloat16.round(value) == torch.tensor(value, dtype=torch.float32).to(torch.bfloat16).item()


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64], ids=str)
def test_an_integer_beyond_a_float_is_infinite(dtype: DType) -> None:
    assert dtype.round(10**400) == math.inf
    assert dtype.round(-(10**400)) == -math.inf
    assert dtype.round(10**39) == (10.0**39 if dtype is dtypes.float64 else math.inf)


def test_bfloat16_rounds_ties_to_even_and_does_not_truncate() -> None:
    assert dtypes.bfloat16.round(_from_bits(0x3F808000)) == 1.0
    assert dtypes.bfloat16.round(_from_bits(0x3F818000)) == _from_bits(0x3F820000)
    assert dtypes.bfloat16.round(_from_bits(0x3F80C000)) == _from_bits(0x3F810000)
    assert dtypes.bfloat16.round(_from_bits(0x7F7FFFFF)) == math.inf


@given(st.integers(), st.sampled_from([d for d in _USER if d.is_int]))
def test_integers_wrap(value: int, dtype: DType) -> None:
    rounded = dtype.round(value)
    assert dtype.min <= rounded <= dtype.max
    assert (rounded - value) % (1 << dtype.bits) == 0


@given(st.floats(width=32), st.sampled_from([dtypes.int32, dtypes.uint32]))
def test_floats_become_integers_toward_zero_and_clamped(value: float, dtype: DType) -> None:
    expected = 0 if math.isnan(value) else int(min(max(value, dtype.min), dtype.max))
    assert dtype.round(value) == expected


def test_promotion_of_known_pairs() -> None:
    known = [
        ("bool", "uint8", "uint8"),
        ("bool", "int8", "int8"),
        ("uint8", "int8", "int16"),
        ("uint32", "int32", "int64"),
        ("uint64", "int64", "float32"),
        ("int64", "float16", "float16"),
        ("float16", "bfloat16", "float32"),
        ("bfloat16", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("int32", "float32", "float32"),
    ]
    for a, b, result in known:
        assert promote(by_name(a), by_name(b)) is by_name(result), (a, b)


def test_promotion_is_commutative_idempotent_and_goes_up() -> None:
    for a in _USER:
        assert promote(a, a) is a
        for b in _USER:
            assert promote(a, b) is promote(b, a)
            assert promote(a, promote(a, b)) is promote(a, b)


def test_index_does_not_mix() -> None:
    with pytest.raises(DTypeError, match="index arithmetic does not mix with dtypes.int32"):
        promote(dtypes.index, dtypes.int32)


def test_unknown_name_lists_the_dtypes() -> None:
    with pytest.raises(DTypeError, match=r"no dtype 'float8': there are bool, .*float32"):
        by_name("float8")


def test_tensor_dtypes_are_the_storable_ones() -> None:
    assert [d.name for d in TENSOR_DTYPES] == [
        "bool",
        "uint8",
        "uint16",
        "uint32",
        "int8",
        "int16",
        "int32",
        "float8_e4m3",
        "float8_e5m2",
        "float16",
        "bfloat16",
        "float32",
    ]


@pytest.mark.parametrize(("dtype", "theirs"), [(dtypes.float8_e4m3, torch.float8_e4m3fn), (dtypes.float8_e5m2, torch.float8_e5m2)], ids=str)
@given(value=st.floats(width=32))
def test_floats_of_8_bits_round_as_torch(dtype: DType, theirs: torch.dtype, value: float) -> None:
    wanted = torch.tensor(value, dtype=torch.float32).to(theirs).float().item()
    assert dtype.round(value) == wanted or (math.isnan(dtype.round(value)) and math.isnan(wanted))


@pytest.mark.parametrize(("dtype", "theirs"), [(dtypes.float8_e4m3, torch.float8_e4m3fn), (dtypes.float8_e5m2, torch.float8_e5m2)], ids=str)
def test_the_bits_of_floats_of_8_bits_are_torch_s(dtype: DType, theirs: torch.dtype) -> None:
    for byte in range(256):
        value, wanted = from_bits(bytes((byte,)), dtype), torch.tensor([byte], dtype=torch.uint8).view(theirs).float().item()
        assert isinstance(value, float)
        if math.isnan(wanted):
            assert math.isnan(value)
        else:
            assert (value, math.copysign(1, value)) == (wanted, math.copysign(1, wanted))
            assert to_bits(value, dtype) == bytes((byte,))


_THEIRS = {
    d: getattr(torch, d.name) for d in (dtypes.bool, dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.float16, dtypes.bfloat16, dtypes.float32)
}


@pytest.mark.parametrize("a", _THEIRS, ids=lambda d: d.name)
@pytest.mark.parametrize("b", _THEIRS, ids=lambda d: d.name)
def test_dtypes_meet_as_in_torch(a: DType, b: DType) -> None:
    assert promote(a, b).name == str(torch.promote_types(_THEIRS[a], _THEIRS[b])).removeprefix("torch.")
