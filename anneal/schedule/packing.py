"""Elements of fewer than 32 bits, in the 32-bit words that WGSL can address.

A buffer that the program is given, or gives, holds 8-bit elements four in a word and 16-bit elements two in a word; what is in between is
ordinary arithmetic on the graph, which fuses into whatever reads or computes the elements. A word is written by the one thread that computes
all its elements, so nothing has to be atomic. Values that only kernels see stay one in a word.

>>> from anneal.ir.build import alu, param, sink
>>> from anneal.ir.dtype import dtypes
>>> x = param(0, (5,), dtypes.int8)
>>> done = pack(sink(alu(Ops.ADD, x, x)), half=False)
>>> done.sink.src[0].dtype, shape(done.sink.src[0]), shape(done.words[x])
(dtypes.uint32, (2,), (2,))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from anneal.errors import CompileError
from anneal.ir import build
from anneal.ir.dtype import DType, by_name, dtypes
from anneal.ir.graph import replace_sources, toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import product, shape, show
from anneal.ir.uop import ARENA, UOp

WORD: Final = 32
"""Bits of a word."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A program over words."""

    sink: UOp
    words: dict[UOp, UOp]
    """The words of each PARAM and of each output whose elements are packed."""


def per_word(dtype: DType, *, half: bool) -> int:
    """Elements of a word: 1 for those that WGSL stores itself, as float16 where the device has it."""
    return 1 if dtype.bits not in (8, 16) or (half and dtype is dtypes.float16) else WORD // dtype.bits


def pack(sink: UOp, *, half: bool) -> Packed:
    """The program of a SINK with packed inputs and outputs. Raises CompileError for a symbolic size that no word divides."""
    graph = toposort(sink)
    if all(per_word(u.dtype, half=half) == 1 for u in graph):
        return Packed(sink, {})
    words: dict[UOp, UOp] = {}
    made: dict[UOp, UOp] = {}
    with ARENA.crediting():
        for node in graph:
            ARENA.credit(node)
            count = per_word(node.dtype, half=half)
            if count > 1 and node.op is Ops.PARAM:
                words[node] = build.param(node.arg[0], _word_shape(node, count), dtypes.uint32)
            elif count > 1 and node.op is Ops.ASSIGN:
                words[node] = build.assign(words[node.src[0]], _packed(made[node.src[1]], count))
            elif node is sink:
                for value in node.src:
                    count = per_word(value.dtype, half=half)
                    if count > 1 and value not in words:
                        words[value] = _packed(made[value], count)
                made[node] = replace_sources(node, tuple(words.get(s, made[s]) for s in node.src))
                continue
            made[node] = _unpacked(words[node], node, count) if node in words else replace_sources(node, tuple(made[s] for s in node.src))
    return Packed(made[sink], words)


def _rows(value: UOp, count: int) -> bool:
    """True where each row of the last axis has whole words."""
    dims = shape(value)
    return bool(dims) and isinstance(dims[-1], int) and dims[-1] % count == 0


def _size(value: UOp) -> int:
    """How many elements there are; raises CompileError where that is symbolic."""
    count = product(shape(value))
    if not isinstance(count, int):
        raise CompileError(f"{value.dtype.name}{show(shape(value))} cannot be packed into words: make the last size a multiple of {WORD // value.dtype.bits}")
    return count


def _word_shape(value: UOp, count: int) -> tuple[int | UOp, ...]:
    """The shape of the words of a value."""
    dims = shape(value)
    if _rows(value, count):
        last = dims[-1]
        assert isinstance(last, int)
        return (*dims[:-1], last // count)
    return (-(-_size(value) // count),)


def _packed(value: UOp, count: int) -> UOp:
    """The words that hold the elements of a value."""
    bits = build.cast(build.bitcast(value, by_name(f"uint{value.dtype.bits}")), dtypes.uint32)
    places = _word_shape(value, count)
    if not _rows(value, count):
        size = _size(value)
        bits = build.reshape(bits, (size,))
        bits = build.pad(bits, ((0, -size % count),), 0)
    bits = build.reshape(bits, (*places, count))
    total = None
    for lane in range(count):
        part = build.shrink(bits, (*((0, n) for n in places), (lane, lane + 1)))
        part = build.reshape(part, places)
        if lane:
            part = build.alu(Ops.SHL, part, build.const(lane * value.dtype.bits, dtypes.uint32))
        total = part if total is None else build.alu(Ops.OR, total, part)
    assert total is not None
    return total


def _unpacked(words: UOp, value: UOp, count: int) -> UOp:
    """The elements that words hold, with dtype and shape of `value`."""
    dtype, dims = value.dtype, shape(value)
    places = shape(words)
    spread = build.expand(build.reshape(words, (*places, 1)), (*places, count))
    lanes = build.broadcast_to(build.iota(count, dtypes.uint32), (*places, count))
    bits = build.alu(Ops.SHR, spread, build.alu(Ops.MUL, lanes, build.const(dtype.bits, dtypes.uint32)))
    if not _rows(value, count):
        bits = build.reshape(bits, (product(shape(bits)),))
        bits = build.shrink(bits, ((0, _size(value)),))
    bits = build.cast(build.reshape(bits, dims), by_name(f"uint{dtype.bits}"))
    return build.bitcast(bits, dtype)
