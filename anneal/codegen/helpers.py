"""WGSL functions for arithmetic that WGSL itself does not promise.

Integers divide as Python has it, floats keep NaN and infinities. A WGSL compiler may assume that there is no NaN, and real ones do: they
turn a choice by comparison into a maximum, drop a rounding that is undone at once, and approximate logarithms and powers by bits that mean
something else there. So NaN is tested by bits, the comparisons of such choices test for it, and that rounding is done by hand.
"""

from __future__ import annotations

from typing import Final

from anneal.ir.ops import Op, Ops

HELPERS: Final = {
    "floor_div_i32": "fn floor_div_i32(a: i32, b: i32) -> i32 {\n  if (b == 0) { return 0; }\n"
    "  let q = a / b;\n  return select(q, q - 1, (a != q * b) && ((a < 0) != (b < 0)));\n}",
    "floor_mod_i32": "fn floor_mod_i32(a: i32, b: i32) -> i32 {\n  if (b == 0) { return 0; }\n"
    "  let r = a - (a / b) * b;\n  return select(r, r + b, (r != 0) && ((r < 0) != (b < 0)));\n}",
    "div_u32": "fn div_u32(a: u32, b: u32) -> u32 { return select(a / max(b, 1u), 0u, b == 0u); }",
    "mod_u32": "fn mod_u32(a: u32, b: u32) -> u32 { return select(a % max(b, 1u), 0u, b == 0u); }",
    "is_nan": "fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }",
    "max_f32": "fn max_f32(a: f32, b: f32) -> f32 { return select(select(max(a, b), b, is_nan(b)), a, is_nan(a)); }",
    "min_f32": "fn min_f32(a: f32, b: f32) -> f32 { return select(select(min(a, b), b, is_nan(b)), a, is_nan(a)); }",
    "to_i32": "fn to_i32(x: f32) -> i32 { return select(select(i32(clamp(x, -2147483648.0, 2147483520.0)), 2147483647, x >= 2147483648.0), 0, is_nan(x)); }",
    "to_u32": "fn to_u32(x: f32) -> u32 { return select(select(u32(clamp(x, 0.0, 4294967040.0)), 4294967295u, x >= 4294967296.0), 0u, is_nan(x)); }",
    "less": "fn less(a: f32, b: f32) -> bool { return a < b && !is_nan(a) && !is_nan(b); }",
    "equal": "fn equal(a: f32, b: f32) -> bool { return a == b && !is_nan(a) && !is_nan(b); }",
    "div_f32": "fn div_f32(a: f32, b: f32) -> f32 {\n  let s = select(1.0, 0.0625, abs(b) > 1e37);\n  return (a * s) / (b * s);\n}",
    "sin_f32": "fn sin_f32(x: f32) -> f32 {\n  let k = round(x * 0.31830987);\n"
    "  let r = ((x - k * 3.140625) - k * 0.00096774101) + k * 8.7422777e-8;\n  let s = r * r;\n"
    "  let p = r + r * s * (-0.16666657 + s * (0.0083329985 + s * (-0.00019805321 + s * 0.0000025973416)));\n"
    "  return select(select(p, -p, (i32(k) & 1) != 0), x, abs(x) < 0.0001);\n}",
    "exp2_f32": "fn exp2_f32(x: f32) -> f32 { return select(exp2(x), x, is_nan(x)); }",
    "log2_f32": "fn log2_f32(x: f32) -> f32 {\n  let b = bitcast<u32>(x);\n  let size = b & 0x7fffffffu;\n"
    "  let end = select(x, bitcast<f32>(b | 0xff800000u), size == 0u);\n"
    "  let value = select(log2(x), end, size == 0u || size >= 0x7f800000u);\n"
    "  return select(value, bitcast<f32>(b | 0x7fc00000u), b > 0x80000000u);\n}",
    "round_f16": "fn round_f16(x: f32) -> f32 {\n"
    "  let b = bitcast<u32>(x);\n  let size = b & 0x7fffffffu;\n"
    "  let normal = bitcast<f32>((b + 0xfffu + ((b >> 13u) & 1u)) & 0xffffe000u);\n"
    "  let small = round(x * 16777216.0) * 5.9604645e-8;\n"
    "  let large = bitcast<f32>((b & 0x80000000u) | 0x7f800000u);\n"
    "  return select(select(select(normal, small, size < 0x38800000u), large, size >= 0x477ff000u), x, is_nan(x));\n}",
    "f8_e5m2": "fn f8_e5m2(x: f32) -> f32 {\n"
    "  let b = bitcast<u32>(x);\n  let size = b & 0x7fffffffu;\n"
    "  let normal = bitcast<f32>((b + 0xfffffu + ((b >> 21u) & 1u)) & 0xffe00000u);\n"
    "  let small = round(x * 65536.0) * 0.0000152587890625;\n"
    "  let large = bitcast<f32>((b & 0x80000000u) | 0x7f800000u);\n"
    "  return select(select(select(normal, small, size < 0x38800000u), large, size >= 0x47700000u), x, is_nan(x));\n}",
    "f8_e4m3": "fn f8_e4m3(x: f32) -> f32 {\n"
    "  let b = bitcast<u32>(x);\n  let size = b & 0x7fffffffu;\n"
    "  let normal = bitcast<f32>((b + 0x7ffffu + ((b >> 20u) & 1u)) & 0xfff00000u);\n"
    "  let small = round(x * 512.0) * 0.001953125;\n"
    "  let large = bitcast<f32>((b & 0x80000000u) | 0x43e00000u);\n"
    "  return select(select(select(normal, small, size < 0x3c800000u), large, size >= 0x43e00000u), x, is_nan(x));\n}",
    "wrap_i8": "fn wrap_i8(x: i32) -> i32 { return (x << 24u) >> 24u; }",
    "wrap_i16": "fn wrap_i16(x: i32) -> i32 { return (x << 16u) >> 16u; }",
    "wrap_u8": "fn wrap_u8(x: u32) -> u32 { return x & 0xffu; }",
    "wrap_u16": "fn wrap_u16(x: u32) -> u32 { return x & 0xffffu; }",
    "from_f16": "fn from_f16(b: u32) -> f32 {\n"
    "  let sign = (b & 0x8000u) << 16u;\n  let size = b & 0x7fffu;\n"
    "  let normal = bitcast<f32>(sign | ((size << 13u) + 0x38000000u));\n"
    "  let small = bitcast<f32>(sign | bitcast<u32>(f32(size) * 5.9604645e-8));\n"
    "  let large = bitcast<f32>(sign | 0x7f800000u | (size << 13u));\n"
    "  return select(select(normal, small, size < 0x400u), large, size >= 0x7c00u);\n}",
    "to_f16": "fn to_f16(x: f32) -> u32 {\n"
    "  let b = bitcast<u32>(x);\n  let sign = (b >> 16u) & 0x8000u;\n  let size = b & 0x7fffffffu;\n"
    "  let normal = (size - 0x38000000u) >> 13u;\n"
    "  let small = u32(abs(x) * 16777216.0);\n"
    "  let large = select(0x7c00u, 0x7e00u, size > 0x7f800000u);\n"
    "  return sign | select(select(normal, small, size < 0x38800000u), large, size >= 0x7f800000u);\n}",
    "from_bf16": "fn from_bf16(b: u32) -> f32 { return bitcast<f32>(b << 16u); }",
    "to_bf16": "fn to_bf16(x: f32) -> u32 { return bitcast<u32>(x) >> 16u; }",
    "from_e5m2": "fn from_e5m2(b: u32) -> f32 { return from_f16(b << 8u); }",
    "to_e5m2": "fn to_e5m2(x: f32) -> u32 { return to_f16(x) >> 8u; }",
    "from_e4m3": "fn from_e4m3(b: u32) -> f32 {\n"
    "  let sign = (b & 0x80u) << 24u;\n  let size = b & 0x7fu;\n"
    "  let normal = bitcast<f32>(sign | ((size << 20u) + 0x3c000000u));\n"
    "  let small = bitcast<f32>(sign | bitcast<u32>(f32(size) * 0.001953125));\n"
    "  return select(select(normal, small, size < 8u), bitcast<f32>(sign | 0x7fc00000u), size == 0x7fu);\n}",
    "to_e4m3": "fn to_e4m3(x: f32) -> u32 {\n"
    "  let b = bitcast<u32>(x);\n  let sign = (b >> 24u) & 0x80u;\n  let size = b & 0x7fffffffu;\n"
    "  let normal = (size - 0x3c000000u) >> 20u;\n  let small = u32(abs(x) * 512.0);\n"
    "  return sign | select(select(normal, small, size < 0x3c800000u), 0x7fu, size > 0x7f800000u);\n}",
    "bf16": "fn bf16(x: f32) -> f32 {\n"
    "  let b = bitcast<u32>(x);\n  return select(bitcast<f32>((b + 0x7fffu + ((b >> 16u) & 1u)) & 0xffff0000u), x, is_nan(x));\n}",
}
NEEDS: Final = {
    "less": "is_nan",
    "equal": "is_nan",
    "round_f16": "is_nan",
    "max_f32": "is_nan",
    "min_f32": "is_nan",
    "to_i32": "is_nan",
    "to_u32": "is_nan",
    "bf16": "is_nan",
    "f8_e4m3": "is_nan",
    "f8_e5m2": "is_nan",
    "from_bf16": "fn from_bf16(b: u32) -> f32 { return bitcast<f32>(b << 16u); }",
    "to_bf16": "fn to_bf16(x: f32) -> u32 { return bitcast<u32>(x) >> 16u; }",
    "from_e5m2": "from_f16",
    "to_e5m2": "to_f16",
    "exp2_f32": "is_nan",
}
"""The helper that another one calls."""
CAREFUL: Final[dict[Op, str]] = {Ops.EXP2: "exp2_f32", Ops.LOG2: "log2_f32", Ops.SIN: "sin_f32"}
"""Functions of WGSL that only a helper computes for every float."""
