"""Random programs, computed by the whole compiler on each device and by NumPy.

A program is drawn from a seed: it starts with small whole numbers, and every step keeps them whole and small, so that float32 is exact and
results must be equal, bit for bit, however sums are ordered. The reference device also looks for races and reads outside of buffers.
"""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from anneal import Tensor, rules
from anneal.ir.dtype import DType, by_name
from anneal.rewrite.compile import FOLDER, handler_names, load, read_folder
from anneal.rewrite.table import Table, merge
from anneal.runtime import pipeline

Array = NDArray[Any]
Pair = tuple[Tensor, Array]
LARGEST: Final = 4096
"""Elements of a value at most."""
RANGE: Final = 40
"""Numbers are brought back into -RANGE to RANGE."""
_DTYPES: Final[dict[np.dtype[Any], DType]] = {d: by_name(d.name) for d in (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.int32), np.dtype(np.bool_))}


class Program:
    """A random program, built as tensors and computed with NumPy side by side."""

    def __init__(self, seed: int, device: str) -> None:
        self.rng = random.Random(seed)
        self.device = device
        self.log: list[str] = []
        self.inputs = [self.input(self.shape(), self.rng.choice((np.float32, np.float32, np.int32, np.float16))) for _ in range(self.rng.randint(1, 3))]
        self.pool: list[Pair] = list(self.inputs)
        steps = [getattr(self, name) for name in STEPS]
        for _ in range(self.rng.randint(3, 12)):
            step: Callable[[Pair], Pair | None] = self.rng.choice(steps)
            self.add(step.__name__, step(self.pick()))
        count = self.rng.randint(1, 3)
        self.outputs = [*self.rng.sample(self.pool, min(count, len(self.pool))), self.pool[-1]]

    def add(self, name: str, made: Pair | None) -> None:
        """Keep a new value, brought back to small numbers."""
        if made is None or made[1].size > LARGEST:
            return
        tensor, array = made
        if array.dtype != np.bool_ and array.size and np.abs(array).max() > RANGE:
            tensor, array = tensor.clamp(-RANGE, RANGE), np.clip(array, -RANGE, RANGE)
        self.log.append(f"{name} -> {array.dtype}{array.shape}")
        self.pool.append((tensor, array))

    def shape(self) -> tuple[int, ...]:
        while True:
            dims = tuple(self.rng.choice((1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 64, 130)) for _ in range(self.rng.randint(1, 4)))
            if math.prod(dims) <= LARGEST:
                return dims

    def numbers(self, dims: tuple[int, ...], kind: type) -> Array:
        values = [self.rng.randint(-4, 4) for _ in range(math.prod(dims))]
        return np.array(values).astype(kind).reshape(dims)

    def input(self, dims: tuple[int, ...], kind: type) -> Pair:
        array = self.numbers(dims, kind)
        self.log.append(f"input {array.dtype}{dims}")
        return Tensor(array, device=self.device), array.copy()

    def pick(self) -> Pair:
        """A value, a late one rather than an early one."""
        return self.pool[max(self.rng.randrange(len(self.pool)), self.rng.randrange(len(self.pool)))]

    def axis(self, x: Array) -> int:
        return self.rng.randrange(x.ndim)

    def like(self, x: Array) -> Pair:
        """Another value that broadcasts to the shape of x, of the same dtype."""
        fitting = [p for p in self.pool if p[1].dtype == x.dtype and p[1].ndim <= x.ndim and _broadcasts(p[1].shape, x.shape)]
        if fitting and self.rng.random() < 0.7:
            return self.rng.choice(fitting)
        dims = tuple(self.rng.choice((1, n)) for n in x.shape)[self.rng.randint(0, max(0, x.ndim - 1)) :]
        made = self.input(dims, x.dtype.type if x.dtype != np.bool_ else np.int32)
        return made if x.dtype != np.bool_ else (made[0] > 0, made[1] > 0)

    # Elementwise.

    def unary(self, p: Pair) -> Pair | None:
        t, x = p
        if x.dtype == np.bool_:
            return ~t, ~x
        name = self.rng.choice(("neg", "abs", "relu", "square", "sign", "plus", "times", "minus"))
        c = self.rng.randint(-3, 3)
        makers: dict[str, Callable[[], Pair]] = {
            "neg": lambda: (-t, -x),
            "abs": lambda: (t.abs(), np.abs(x)),
            "relu": lambda: (t.relu(), np.maximum(x, x.dtype.type(0))),
            "square": lambda: (t.square(), x * x),
            "sign": lambda: (t.sign(), np.sign(x)),
            "plus": lambda: (t + c, x + x.dtype.type(c)),
            "times": lambda: (t * c, x * x.dtype.type(c)),
            "minus": lambda: (c - t, x.dtype.type(c) - x),
        }
        return makers[name]()

    def binary(self, p: Pair) -> Pair | None:
        t, x = p
        u, y = self.like(x)
        if self.rng.random() < 0.5:
            t, x, u, y = u, y, t, x
        if x.dtype == np.bool_:
            logic: list[Callable[[], Pair]] = [lambda: (t & u, x & y), lambda: (t | u, x | y), lambda: (t ^ u, x ^ y), lambda: (t == u, x == y)]
            return self.rng.choice(logic)()
        makers: list[Callable[[], Pair]] = [
            lambda: (t + u, x + y),
            lambda: (t - u, x - y),
            lambda: (t * u, x * y),
            lambda: (t.maximum(u), np.maximum(x, y)),
            lambda: (t.minimum(u), np.minimum(x, y)),
            lambda: (t < u, x < y),
            lambda: (t >= u, x >= y),
            lambda: (t == u, x == y),
            lambda: (t != u, x != y),
        ]
        if x.dtype == np.int32:
            makers += [lambda: (t // u, _quiet(np.floor_divide, x, y)), lambda: (t % u, _quiet(np.mod, x, y)), lambda: (t & u, x & y), lambda: (t ^ u, x ^ y)]
        return self.rng.choice(makers)()

    def where(self, p: Pair) -> Pair | None:
        t, x = p
        if x.dtype == np.bool_:
            return None
        u, y = self.like(x)
        return ((t > 0).where(t, u), np.where(x > 0, x, y)) if self.rng.random() < 0.5 else ((u < 1).where(0, t), np.where(y < 1, x.dtype.type(0), x))

    def cast(self, p: Pair) -> Pair | None:
        t, x = p
        goal = self.rng.choice(list(_DTYPES))
        return t.cast(_DTYPES[goal]), x.astype(goal)

    # Movement.

    def reshape(self, p: Pair) -> Pair | None:
        t, x = p
        dims: list[int] = []
        rest = x.size
        while rest > 1 and len(dims) < 4:
            n = self.rng.choice([d for d in range(1, rest + 1) if rest % d == 0])
            dims.append(n)
            rest //= n
        dims = [*dims, rest] if rest > 1 or not dims else dims
        return t.reshape(*dims), x.reshape(dims)

    def permute(self, p: Pair) -> Pair | None:
        t, x = p
        order = self.rng.sample(range(x.ndim), x.ndim)
        return t.permute(*order), x.transpose(order)

    def pad(self, p: Pair) -> Pair | None:
        t, x = p
        if not x.ndim:
            return None
        amounts = [(self.rng.randint(0, 2), self.rng.randint(0, 2)) for _ in x.shape]
        fill = self.rng.choice((0, 0, 1, -2)) if x.dtype != np.bool_ else self.rng.choice((False, True))
        return t.pad(amounts, fill), np.pad(x, amounts, constant_values=fill)

    def shrink(self, p: Pair) -> Pair | None:
        t, x = p
        ranges = [(start := self.rng.randrange(n), self.rng.randint(start + 1, n)) for n in x.shape]
        return t.shrink(ranges), x[tuple(slice(a, b) for a, b in ranges)]

    def flip(self, p: Pair) -> Pair | None:
        t, x = p
        axes = self.rng.sample(range(x.ndim), self.rng.randint(1, x.ndim)) if x.ndim else []
        return (t.flip(*axes), np.flip(x, tuple(axes))) if axes else None

    def expand(self, p: Pair) -> Pair | None:
        t, x = p
        axis, n = self.rng.randint(0, x.ndim), self.rng.randint(2, 5)
        made = np.expand_dims(x, axis)
        dims = [n if i == axis else d for i, d in enumerate(made.shape)]
        return (t.unsqueeze(axis).expand(*dims), np.broadcast_to(made, dims)) if made.ndim <= 5 else None

    def slices(self, p: Pair) -> Pair | None:
        t, x = p
        if not x.ndim:
            return None
        key = tuple(slice(None, None, self.rng.choice((1, 2, 3, -1, -2))) for _ in range(self.rng.randint(1, x.ndim)))
        return t[key], x[key]

    def unfold(self, p: Pair) -> Pair | None:
        t, x = p
        if not x.ndim or x.ndim > 3:
            return None
        axis = self.axis(x)
        size, step = self.rng.randint(1, min(4, x.shape[axis])), self.rng.randint(1, 3)
        view = np.lib.stride_tricks.sliding_window_view(x, size, axis)
        return t.unfold(axis, size, step), view[tuple(slice(None, None, step) if i == axis else slice(None) for i in range(view.ndim))]

    def join(self, p: Pair) -> Pair | None:
        t, x = p
        if not x.ndim:
            return None
        axis = self.axis(x)
        same = [q for q in self.pool if q[1].dtype == x.dtype and q[1].shape == x.shape]
        u, y = self.rng.choice(same)
        return (t.cat(u, dim=axis), np.concatenate([x, y], axis)) if self.rng.random() < 0.6 else (t.stack(u, dim=axis), np.stack([x, y], axis))

    # Reductions and products.

    def reduce(self, p: Pair) -> Pair | None:
        t, x = p
        if x.dtype == np.bool_ or not x.ndim:
            return (t.any(), np.asarray(x.any())) if x.ndim else None
        axes = tuple(self.rng.sample(range(x.ndim), self.rng.randint(1, x.ndim)))
        keep = self.rng.random() < 0.5
        name = self.rng.choice(("sum", "sum", "max", "min"))
        made = getattr(t, name)(axes, keepdim=keep)
        return made, _reduced(name, x, axes, keep=keep)

    def centre(self, p: Pair) -> Pair | None:
        """A keepdim reduction, and its broadcast back."""
        t, x = p
        if x.dtype == np.bool_ or not x.ndim:
            return None
        axes = tuple(self.rng.sample(range(x.ndim), self.rng.randint(1, x.ndim)))
        name = self.rng.choice(("sum", "max", "min"))
        back = _reduced(name, x, axes, keep=True)
        again = getattr(t, name)(axes, keepdim=True)
        return (t - again, x - back) if self.rng.random() < 0.6 else (t * 2 + again.maximum(1), x * x.dtype.type(2) + np.maximum(back, x.dtype.type(1)))

    def argmax(self, p: Pair) -> Pair | None:
        t, x = p
        if x.dtype == np.bool_ or not x.ndim:
            return None
        axis = self.axis(x)
        return t.argmax(axis), x.argmax(axis).astype(np.int32)

    def cumsum(self, p: Pair) -> Pair | None:
        t, x = p
        if x.dtype == np.bool_ or not x.ndim or x.shape[-1] > 40:
            return None
        axis = self.axis(x)
        return (t.cumsum(axis), x.cumsum(axis, dtype=_wide(x)).astype(x.dtype)) if x.shape[axis] <= 40 else None

    def matmul(self, p: Pair) -> Pair | None:
        t, x = p
        if x.dtype == np.bool_ or x.ndim < 1 or x.ndim > 3:
            return None
        x, t = np.clip(x, -5, 5), t.clamp(-5, 5)
        u, y = self.input((x.shape[-1], self.rng.choice((1, 3, 8, 20))), x.dtype.type)
        return t @ u, (x.astype(_wide(x)) @ y.astype(_wide(x))).astype(x.dtype)

    # Indices that are values.

    def gather(self, p: Pair) -> Pair | None:
        t, x = p
        if not x.ndim:
            return None
        whole = [q for q in self.pool if q[1].dtype == np.int32 and q[1].size <= 64]
        u, y = self.rng.choice(whole) if whole and self.rng.random() < 0.6 else self.input((self.rng.randint(1, 9),), np.int32)
        n = x.shape[0]
        return t[u % n], x[y % n]

    # Storage.

    def contiguous(self, p: Pair) -> Pair | None:
        return p[0].contiguous(), p[1]

    def assign(self, p: Pair) -> Pair | None:
        """An input overwritten: values computed before keep the old numbers, values computed later see the new ones."""
        place = self.rng.randrange(len(self.inputs))
        t, x = self.inputs[place]
        value, y = self.like(x)
        makers: list[Callable[[], Pair]] = [
            lambda: (t + value, x + y),
            lambda: (t.flip(0), np.flip(x, 0)),
            lambda: (value.expand(*x.shape), np.broadcast_to(y, x.shape)),
        ]
        made, array = self.rng.choice(makers)()
        if array.size and np.abs(array).max() > RANGE:
            made, array = made.clamp(-RANGE, RANGE), np.clip(array, -RANGE, RANGE)
        before = t.detach()
        self.pool = [(before if q is t else q, a) for q, a in self.pool]
        t.assign(made)
        self.inputs[place] = (t, array.copy())
        return t, array.copy()


STEPS: Final = (
    *("unary", "binary", "binary", "binary", "where", "cast", "reshape", "reshape", "permute", "pad", "shrink", "flip", "expand", "slices", "unfold", "join"),
    *("reduce", "reduce", "reduce", "centre", "centre", "argmax", "cumsum", "matmul", "matmul", "gather", "contiguous", "assign"),
)


def _quiet(function: Callable[[Array, Array], Array], x: Array, y: Array) -> Array:
    with np.errstate(all="ignore"):
        return function(x, y)


def _wide(x: Array) -> Any:
    """What sums are computed in."""
    return np.float32 if x.dtype == np.float16 else x.dtype


def _reduced(name: str, x: Array, axes: tuple[int, ...], *, keep: bool) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(getattr(x.astype(_wide(x)), name)(axes, keepdims=keep)).astype(x.dtype)


def _broadcasts(dims: tuple[int, ...], goal: tuple[int, ...]) -> bool:
    return all(a in (1, b) for a, b in zip(dims[::-1], goal[::-1], strict=False))


def run(seed: int, device: str) -> None:
    """Build the program of a seed, compute all it has in one plan, and compare."""
    program = Program(seed, device)
    results = [*program.outputs, *program.inputs]
    Tensor.realize(*(t for t, _ in results))
    for t, x in results:
        found = t.numpy()
        assert (found.shape, found.dtype) == (x.shape, x.dtype), f"seed {seed}: {program.log}"
        assert np.array_equal(found, x), f"seed {seed}: {x.dtype}{x.shape} differs at {np.argwhere(found != x)[:3].tolist()}; {program.log}"


@pytest.mark.parametrize("first", range(0, 240, 40))
def test_random_programs_on_the_reference_device(first: int) -> None:
    for seed in range(first, first + 40):
        run(seed, "reference")


@pytest.mark.parametrize("first", range(300, 380, 20))
def test_random_programs_on_the_gpu(first: int) -> None:
    for seed in range(first, first + 20):
        run(seed, "webgpu")


@cache
def shuffled(seed: int, groups: tuple[str, ...]) -> Table:
    """The rules of some groups as one group in a random order."""
    statements = [s for file in read_folder(FOLDER) for s in file.rules if s.group in groups]
    random.Random(seed).shuffle(statements)
    handlers = {name: getattr(importlib.import_module(f"anneal.rules.{module}"), name) for name, module in handler_names(FOLDER).items()}
    made = load('group g "g"\n' + "\n".join(f"{s.name}: {s.text}" for s in statements), handlers)
    return merge((made["GROUPS"]["g"],), tuple(r.name for r in made["RULES"]))


@pytest.mark.parametrize("order", range(3))
def test_the_order_of_rules_changes_no_result(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def table(*groups: str) -> Table:
        asked.append(groups)
        return shuffled(order, groups)

    monkeypatch.setattr(rules, "table", table)
    monkeypatch.setattr(pipeline, "_plans", {})
    for seed in range(200 + 12 * order, 212 + 12 * order):
        run(seed, "reference")
    assert set(asked) == {("after_autodiff", *rules.TENSOR), rules.KERNEL}


def test_programs_are_not_trivial() -> None:
    """What the other tests compare is computed, by programs of many kinds, and differs from what goes in."""
    programs = [Program(seed, "reference") for seed in range(60)]
    kinds = {line.split(" ", 1)[0] for p in programs for line in p.log}
    assert kinds >= {*STEPS, "input"}
    assert sum(len(np.unique(p.pool[-1][1])) > 1 for p in programs) > 30
