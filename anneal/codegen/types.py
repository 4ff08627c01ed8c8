"""How WGSL holds values: its types, its constants, and what dtypes that it lacks are kept in.

Integers and floats of fewer than 32 bits are kept in 32 bits and wrapped or rounded after each operation; float16 only where the device has none.

>>> wgsl_type(dtypes.bfloat16), literal(-0.5, dtypes.float16), literal(-0.5, dtypes.float16, half=False)
('f32', 'f16(-0.5)', '-0.5')
"""

from __future__ import annotations

import math
import struct
from typing import Final

from anneal.errors import CompileError
from anneal.ir.dtype import DType, Scalar, dtypes

_TYPES: Final = {
    dtypes.float32: "f32",
    dtypes.bfloat16: "f32",
    dtypes.float16: "f16",
    dtypes.float8_e4m3: "f32",
    dtypes.float8_e5m2: "f32",
    dtypes.int32: "i32",
    dtypes.int16: "i32",
    dtypes.int8: "i32",
    dtypes.uint32: "u32",
    dtypes.uint16: "u32",
    dtypes.uint8: "u32",
    dtypes.bool: "bool",
    dtypes.index: "i32",
}
ROUNDING: Final = {
    dtypes.bfloat16: "bf16",
    dtypes.float16: "round_f16",
    dtypes.float8_e4m3: "f8_e4m3",
    dtypes.float8_e5m2: "f8_e5m2",
    dtypes.int16: "wrap_i16",
    dtypes.int8: "wrap_i8",
    dtypes.uint16: "wrap_u16",
    dtypes.uint8: "wrap_u8",
}
"""Dtypes that are kept in a wider type, with the helper that rounds to them; float16 only where the device has none."""
TO_BITS: Final = {dtypes.bfloat16: "to_bf16", dtypes.float16: "to_f16", dtypes.float8_e4m3: "to_e4m3", dtypes.float8_e5m2: "to_e5m2"}
FROM_BITS: Final = {dtypes.bfloat16: "from_bf16", dtypes.float16: "from_f16", dtypes.float8_e4m3: "from_e4m3", dtypes.float8_e5m2: "from_e5m2"}
"""Helpers for the bits of floats that are kept as f32."""


def width(dtype: DType, *, half: bool = True) -> int:
    """Bytes of an element in a buffer that only kernels see."""
    return dtype.storage if dtype is dtypes.float16 and half else 4


def wgsl_type(dtype: DType, *, half: bool = True) -> str:
    """The type of a value in WGSL; `half` says whether the device has float16."""
    if dtype not in _TYPES:
        raise CompileError(f"WGSL has no {dtype.name}: cast to float32, int32 or uint32")
    return "f32" if dtype is dtypes.float16 and not half else _TYPES[dtype]


def literal(value: Scalar, dtype: DType, *, half: bool = True) -> str:
    """A constant in WGSL; infinities and NaN by their bits, which WGSL cannot write as constants."""
    native = dtype is dtypes.float16 and half
    if dtype is dtypes.bool:
        return "true" if value else "false"
    if dtype.kind == "float":
        if not math.isfinite(value):
            bits = struct.unpack("<I", struct.pack("<f", value))[0]
            word = f"bitcast<f32>(special_bits | {bits & 0x7FFFFFFF:#x}u)"
            return ("f16(" if native else "(") + ("-" if value < 0 else "") + word + ")"
        text = repr(float(value))
        return f"f16({text})" if native else f"{text}f" if "e" in text else text
    if dtype.kind == "uint":
        return f"{value}u"
    return "i32(-2147483647 - 1)" if value == -(1 << 31) else str(value)
