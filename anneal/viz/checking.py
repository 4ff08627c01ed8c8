"""Results of a device against plain Python: the whole graph of a program, or some elements of what each kernel stores.

The graph is computed by `anneal.ir.interp` from what the program reads: nothing of the compiler but the building of the graph takes part. A program
too large for that is checked kernel by kernel: elements drawn at random are computed, in plain Python again, from the kernel's body before it was
lowered and from what the kernel was given. What is too large even so is refused in words, never passed over.

>>> from anneal.ir.dtype import dtypes
>>> compare([1.0, 2.0], [1.0, 2.0000001], dtypes.float32).agrees
True
>>> compare([1, 2], [1, 3], dtypes.int32).message
'1 of 2 elements differs; the first is element 1: 2, and 3 in plain Python; these are to be equal'
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from anneal.errors import UsageError, number_of
from anneal.ir.dtype import DType, Scalar
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate, evaluate_expr
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp
from anneal.schedule.indexing import free_ranges

MOST: Final = 2_000_000
"""Elements that plain Python computes for a check; a million takes about a second."""
MOST_OF_ONE: Final = 200_000
"""Operations of one element that a check waits for."""
SAMPLES: Final = 24
"""Elements of a kernel's output that are drawn."""
SECONDS: Final = 2.0
"""What the samples of a whole program take together, at most about."""
RELATIVE: Final = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 4e-2}
"""What is tolerated of a float's difference, as a part of the largest value compared: orders of summation differ."""
ABSOLUTE: Final = 1e-6
"""What is tolerated besides: values that cancel to about nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a device's values compare with plain Python's."""

    agrees: bool
    count: int
    """Elements compared."""
    max_error: float
    """The largest difference; infinity where one of the two is not finite and the other something else."""
    tolerance: float
    message: str


def compare(got: Sequence[Scalar], want: Sequence[Scalar], dtype: DType, places: Sequence[int] | None = None) -> Verdict:
    """Values of a device against plain Python's, in the same order; `places` says which elements they are, where they are not all."""
    errors = [_difference(a, b) for a, b in zip(got, want, strict=True)]
    largest = max(errors, default=0.0)
    scale = max((abs(v) for v in want if math.isfinite(v)), default=0.0)
    tolerance = RELATIVE[dtype.name] * scale + ABSOLUTE if dtype.is_float else 0.0
    rule = f"{tolerance:.1e} is tolerated for {dtype.name} values up to {scale:.3g}" if dtype.is_float else "these are to be equal"
    wrong = [i for i, error in enumerate(errors) if error > tolerance]
    count = number_of(len(errors), "element")
    if wrong:
        at = places[wrong[0]] if places is not None else wrong[0]
        first = f"the first is element {at}: {got[wrong[0]]:.7g}, and {want[wrong[0]]:.7g} in plain Python"
        return Verdict(False, len(errors), largest, tolerance, f"{len(wrong)} of {count} {'differs' if len(wrong) == 1 else 'differ'}; {first}; {rule}")
    said = f"the largest difference is {largest:.1e}; {rule}" if dtype.is_float else "all are equal"
    return Verdict(True, len(errors), largest, tolerance, f"{count} compared: {said}")


def _difference(a: Scalar, b: Scalar) -> float:
    if a == b or (a != a and b != b):  # noqa: PLR0124 - only NaN differs from itself
        return 0.0
    return abs(a - b) if math.isfinite(a) and math.isfinite(b) else math.inf


def work_of(roots: Sequence[UOp]) -> int:
    """How many elements plain Python computes for a tensor graph; of a reduction those that it takes in."""
    nodes = [u for u in toposort(*roots) if u.op is not Ops.SINK and u.op.category != "leaf"]
    return sum(max(_elements(u), *(_elements(s) for s in u.src)) if u.op is Ops.REDUCE_AXIS else _elements(u) for u in nodes)


def _elements(node: UOp) -> int:
    return math.prod(d if isinstance(d, int) else 1 for d in shape(node))


def whole(sink: UOp, inputs: Sequence[Sequence[Scalar]]) -> list[list[Scalar]]:
    """The values of each output of a program from those of its inputs by slot. Raises UsageError where that is too much for plain Python."""
    work = work_of([sink])
    if work > MOST:
        raise UsageError(f"plain Python would compute {work:,} elements, and {MOST:,} are the most that a check waits for")
    params = [u for u in toposort(sink) if u.op is Ops.PARAM]
    return evaluate([sink], {p: inputs[p.arg[0]] for p in params})


@dataclass(frozen=True, slots=True)
class Sample:
    """Some elements of what a kernel stores, by plain Python."""

    places: list[int]
    values: list[Scalar]


def sample(store: UOp, memory: Mapping[int, Sequence[Scalar]], source: random.Random, seconds: float) -> Sample | None:
    """Elements drawn from a STORE of a kernel's body, computed from what its bindings held before; after `seconds` no further element begins.

    None where one element alone is too much for plain Python.
    """
    _, index, value = store.src[:3]
    ranges = sorted(free_ranges(store), key=lambda r: r.arg)
    if _work_of_element(value) > MOST_OF_ONE:
        return None
    buffers = {u: memory[u.arg[0]] for u in toposort(value, index) if u.op is Ops.PARAM}
    found: dict[int, Scalar] = {}
    start = time.perf_counter()
    for _ in range(SAMPLES):
        env: dict[UOp, Scalar] = {r: source.randrange(int(r.src[0].arg)) for r in ranges}
        place = int(evaluate_expr(index, env, buffers))
        if place not in found:
            found[place] = evaluate_expr(value, env, buffers)
        if time.perf_counter() > start + seconds:
            break
    return Sample(list(found), list(found.values()))


def _work_of_element(value: UOp) -> int:
    """Scalar operations of one element of a body: each node once for every value of the ranges that reductions bind around it."""
    total, bound = 0, {r for u in toposort(value) if u.op is Ops.REDUCE for r in u.src[1:]}
    for u in toposort(value):
        ranges = free_ranges(u) & bound
        taken = {*ranges, *u.src[1:]} if u.op is Ops.REDUCE else ranges
        total += math.prod(int(r.src[0].arg) for r in taken)
    return total
