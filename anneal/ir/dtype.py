"""Element types, how they promote, and how a value is rounded into one.

A dtype is a plain row of facts; promotion is the least upper bound in one lattice.

>>> promote(dtypes.int32, dtypes.float16)
dtypes.float16
>>> promote(dtypes.float16, dtypes.bfloat16)
dtypes.float32
>>> dtypes.float16.round(0.1)
0.0999755859375
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, Literal

from anneal.errors import DTypeError

Scalar = bool | int | float
Kind = Literal["bool", "uint", "int", "float", "index"]


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """One element type; compare with `is`."""

    name: str
    """The public name, such as `float32`."""
    kind: Kind
    """The family: bool, uint, int, float, or the compiler's own index."""
    bits: int
    """Width in bits of a value; 0 for index, whose integers have no bound."""
    storage: int
    """Bytes of one element in a buffer; 0 when it cannot be stored yet."""
    digits: int = 0
    """Of floats: bits of precision, the leading 1 included."""
    lowest: int = 0
    """Of floats: the exponent of the smallest normal number, 2**lowest; the largest numbers lie below 2**(2 - lowest), where there are infinities."""
    most: float = math.inf
    """Of floats without infinities: the largest number, which whatever lies beyond becomes, as in PyTorch."""

    def __repr__(self) -> str:
        return f"dtypes.{self.name}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return by_name, (self.name,)

    @property
    def is_float(self) -> bool:
        """True for the floating types."""
        return self.kind == "float"

    @property
    def is_int(self) -> bool:
        """True for signed, unsigned and index integers; bool is not an integer."""
        return self.kind in ("int", "uint", "index")

    @property
    def min(self) -> Scalar:
        """Smallest value: -inf for floats that have it. Index has no smallest value and raises."""
        return _LIMITS[self.name][0]

    @property
    def max(self) -> Scalar:
        """Largest value: inf for floats that have it. Index has no largest value and raises."""
        return _LIMITS[self.name][1]

    def holds(self, other: DType) -> bool:
        """True when every value of another float type is one of this type."""
        reaches = self.most == math.inf or other is self
        return reaches and self.digits >= other.digits and self.lowest <= other.lowest and self.lowest - self.digits <= other.lowest - other.digits

    def round(self, value: Scalar) -> Scalar:
        """Return `value` as an element of this type: integers wrap, floats round to nearest, ties to even."""
        return _ROUND[self.name](value)


class dtypes:  # noqa: N801 - the name users of this family of libraries type
    """All element types, by name."""

    bool: Final = DType("bool", "bool", 1, 4)
    uint8: Final = DType("uint8", "uint", 8, 1)
    uint16: Final = DType("uint16", "uint", 16, 2)
    uint32: Final = DType("uint32", "uint", 32, 4)
    uint64: Final = DType("uint64", "uint", 64, 0)
    int8: Final = DType("int8", "int", 8, 1)
    int16: Final = DType("int16", "int", 16, 2)
    int32: Final = DType("int32", "int", 32, 4)
    int64: Final = DType("int64", "int", 64, 0)
    float8_e4m3: Final = DType("float8_e4m3", "float", 8, 1, digits=4, lowest=-6, most=448.0)
    float8_e5m2: Final = DType("float8_e5m2", "float", 8, 1, digits=3, lowest=-14)
    float16: Final = DType("float16", "float", 16, 2, digits=11, lowest=-14)
    bfloat16: Final = DType("bfloat16", "float", 16, 2, digits=8, lowest=-126)
    float32: Final = DType("float32", "float", 32, 4, digits=24, lowest=-126)
    float64: Final = DType("float64", "float", 64, 0, digits=53, lowest=-1022)
    index: Final = DType("index", "index", 0, 0)


ALL: Final[tuple[DType, ...]] = tuple(v for v in vars(dtypes).values() if isinstance(v, DType))
TENSOR_DTYPES: Final = tuple(d for d in ALL if d.storage)
_NAMES: Final = {d.name: d for d in ALL}

# Each type's next wider types; promotion is the least upper bound of this order.
_WIDER: Final[dict[DType, tuple[DType, ...]]] = {
    dtypes.bool: (dtypes.uint8, dtypes.int8),
    dtypes.uint8: (dtypes.uint16, dtypes.int16),
    dtypes.int8: (dtypes.int16,),
    dtypes.uint16: (dtypes.uint32, dtypes.int32),
    dtypes.int16: (dtypes.int32,),
    dtypes.uint32: (dtypes.uint64, dtypes.int64),
    dtypes.int32: (dtypes.int64,),
    dtypes.uint64: (dtypes.float16, dtypes.bfloat16),
    dtypes.int64: (dtypes.float16, dtypes.bfloat16),
    dtypes.float8_e4m3: (dtypes.float16, dtypes.bfloat16),
    dtypes.float8_e5m2: (dtypes.float16, dtypes.bfloat16),
    dtypes.float16: (dtypes.float32,),
    dtypes.bfloat16: (dtypes.float32,),
    dtypes.float32: (dtypes.float64,),
    dtypes.float64: (),
}
_RANK: Final = {d: i for i, d in enumerate(_WIDER)}


def by_name(name: str) -> DType:
    """Return the dtype called `name`; raise DTypeError with the list when there is none."""
    if (found := _NAMES.get(name)) is None:
        raise DTypeError(f"no dtype {name!r}: there are {', '.join(_NAMES)}")
    return found


@cache
def _above(dtype: DType) -> frozenset[DType]:
    return frozenset({dtype}.union(*(_above(d) for d in _WIDER[dtype])))


@cache
def promote(a: DType, b: DType) -> DType:
    """Return the least type that holds both, as a float for a mixture of integer and float.

    uint64 with a signed integer meets only in the floats, where the smaller float is taken as JAX does: float32.
    """
    if a is b:
        return a
    if a is dtypes.index or b is dtypes.index:
        raise DTypeError(f"index arithmetic does not mix with {b if a is dtypes.index else a}")
    common = _above(a) & _above(b)
    least = [d for d in common if all(d is o or o in _above(d) for o in common)]
    return least[0] if least else dtypes.float32


def _wrap_signed(bits: int, value: Scalar) -> int:
    half = 1 << (bits - 1)
    return (_truncate(value, -half, half - 1) + half) % (1 << bits) - half


def _wrap_unsigned(bits: int, value: Scalar) -> int:
    return _truncate(value, 0, (1 << bits) - 1) % (1 << bits)


def _truncate(value: Scalar, low: int, high: int) -> int:
    """Float to integer as WGSL has it: toward zero, clamped to the range, NaN to 0. Integers pass."""
    if isinstance(value, float):
        if math.isnan(value):
            return 0
        return int(min(max(value, low), high))
    return int(value)


def _pack_round(code: str, value: Scalar) -> float:
    wide = _wide(value)
    try:
        result: float = struct.unpack("<" + code, struct.pack("<" + code, wide))[0]
    except OverflowError:
        return math.copysign(math.inf, wide)
    return math.nan if math.isnan(result) else result


def _wide(value: Scalar) -> float:
    """The float of 64 bits nearest to a number; infinite for an integer beyond them all."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _round_narrow(digits: int, lowest: int, most: float, value: Scalar) -> float:
    """To a float that Python cannot pack, by way of float32."""
    single = _pack_round("f", value)
    if abs(single) >= most < math.inf:
        return math.copysign(most, single)
    if not math.isfinite(single):
        return single
    unit = max(math.frexp(single)[1] - 1, lowest) - digits + 1
    rounded = math.copysign(math.ldexp(round(math.ldexp(single, -unit)), unit), single)
    return rounded if most < math.inf or abs(rounded) < math.ldexp(1, 2 - lowest) else math.copysign(math.inf, single)


_ROUND: Final[dict[str, Callable[[Scalar], Scalar]]] = {
    **{d.name: partial(_round_narrow, d.digits, d.lowest, d.most) for d in ALL if d.is_float},
    "bool": bool,
    "index": int,
    "float64": _wide,
    "float32": lambda v: _pack_round("f", v),
    "float16": lambda v: _pack_round("e", v),
    **{f"int{n}": partial(_wrap_signed, n) for n in (8, 16, 32, 64)},
    **{f"uint{n}": partial(_wrap_unsigned, n) for n in (8, 16, 32, 64)},
}
_LIMITS: Final[dict[str, tuple[Scalar, Scalar]]] = {
    "bool": (False, True),
    **{d.name: (-d.most, d.most) for d in ALL if d.kind == "float"},
    **{f"int{n}": (-(1 << (n - 1)), (1 << (n - 1)) - 1) for n in (8, 16, 32, 64)},
    **{f"uint{n}": (0, (1 << n) - 1) for n in (8, 16, 32, 64)},
}
