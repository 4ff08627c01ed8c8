"""Random differentiable programs, forward and backward, against PyTorch in float64.

The graph is drawn from a seed and built twice, as tensors here and there. The result, and the gradient of its weighted sum for each input,
come from one plan, so that the scheduler sees forward and backward together.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
import torch

from anneal import Tensor

Pair = tuple[Tensor, torch.Tensor]
LARGEST: Final = 6000


class Program:
    """A random composite of smooth operations, on small numbers throughout."""

    def __init__(self, seed: int, device: str) -> None:
        self.rng = random.Random(seed)
        self.noise = np.random.default_rng(seed)
        self.device = device
        self.log: list[str] = []
        self.leaves: list[Pair] = []
        self.pool: list[Pair] = []
        self.leaf(self.shape())
        steps = [getattr(self, name) for name in STEPS]
        for _ in range(self.rng.randint(3, 11)):
            step: Callable[[Pair], Pair | None] = self.rng.choice(steps)
            self.keep(step.__name__, step(self.pick()))
        result, wanted = self.pool[-1]
        for t, x in self.rng.sample(self.pool, min(2, len(self.pool))):
            result, wanted = result.sum() + t.sin().sum(), wanted.sum() + x.sin().sum()
        weights = self.noise.standard_normal(wanted.shape).astype(np.float32)
        self.loss = (result * Tensor(weights, device=device)).sum()
        self.wanted = (wanted * torch.tensor(weights, dtype=torch.float64)).sum()

    def keep(self, name: str, made: Pair | None) -> None:
        if made is None or made[1].numel() > LARGEST or made[1].numel() == 0:
            return
        t, x = made
        if x.detach().abs().max() > 4:
            t, x = t.tanh(), x.tanh()
        self.log.append(f"{name} -> {tuple(x.shape)}")
        self.pool.append((t, x))

    def shape(self) -> tuple[int, ...]:
        while True:
            dims = tuple(self.rng.choice((1, 2, 3, 4, 5, 8, 13, 32, 64, 130)) for _ in range(self.rng.randint(1, 4)))
            if math.prod(dims) <= LARGEST:
                return dims

    def leaf(self, dims: tuple[int, ...]) -> Pair:
        data = self.noise.standard_normal(dims).astype(np.float32)
        pair = Tensor(data, device=self.device, requires_grad=True), torch.tensor(data, dtype=torch.float64, requires_grad=True)
        self.log.append(f"leaf {dims}")
        self.leaves.append(pair)
        self.pool.append(pair)
        return pair

    def pick(self) -> Pair:
        return self.pool[max(self.rng.randrange(len(self.pool)), self.rng.randrange(len(self.pool)))]

    def like(self, x: torch.Tensor) -> Pair:
        """Another value that broadcasts to the shape of x."""
        dims = tuple(x.shape)
        fitting = [p for p in self.pool if p[1].ndim <= x.ndim and all(a in (1, b) for a, b in zip(p[1].shape[::-1], dims[::-1], strict=False))]
        if fitting and self.rng.random() < 0.7:
            return self.rng.choice(fitting)
        return self.leaf(tuple(self.rng.choice((1, n)) for n in dims)[self.rng.randint(0, max(0, x.ndim - 1)) :])

    def axes(self, x: torch.Tensor) -> tuple[int, ...]:
        return tuple(self.rng.sample(range(x.ndim), self.rng.randint(1, x.ndim)))

    # Elementwise.

    def unary(self, p: Pair) -> Pair | None:
        name = self.rng.choice(("tanh", "sigmoid", "sin", "square", "relu", "exp", "neg"))
        t, x = p
        if name == "exp":
            return t.tanh().exp(), x.tanh().exp()
        return (-t, -x) if name == "neg" else (getattr(t, name)(), getattr(x, name)())

    def binary(self, p: Pair) -> Pair | None:
        t, x = p
        u, y = self.like(x)
        makers: list[Callable[[], Pair]] = [
            lambda: (t + u, x + y),
            lambda: (t * u, x * y),
            lambda: (u - t, y - x),
            lambda: (t / (u.square() + 1), x / (y.square() + 1)),
            lambda: self.chosen(t, x, u, y),
        ]
        return self.rng.choice(makers)()

    def chosen(self, t: Tensor, x: torch.Tensor, u: Tensor, y: torch.Tensor) -> Pair:
        mask = self.noise.random(tuple(x.shape)) < 0.5
        return Tensor(mask, device=self.device).where(t, u), torch.where(torch.tensor(mask), x, y)

    # Movement.

    def reshape(self, p: Pair) -> Pair | None:
        t, x = p
        first = self.rng.choice([d for d in range(1, x.numel() + 1) if x.numel() % d == 0])
        return t.reshape(first, -1), x.reshape(first, -1)

    def permute(self, p: Pair) -> Pair | None:
        t, x = p
        order = self.rng.sample(range(x.ndim), x.ndim)
        return t.permute(*order), x.permute(*order)

    def pad(self, p: Pair) -> Pair | None:
        t, x = p
        amounts = [(self.rng.randint(0, 2), self.rng.randint(0, 2)) for _ in x.shape]
        return t.pad(amounts, 0.5), torch.nn.functional.pad(x, [n for pair in amounts[::-1] for n in pair], value=0.5)

    def slices(self, p: Pair) -> Pair | None:
        t, x = p
        starts = [self.rng.randrange(n) for n in x.shape]
        key = tuple(slice(start, None, self.rng.choice((1, 1, 2, 3))) for start in starts)
        return t[key], x[key]

    def flip(self, p: Pair) -> Pair | None:
        t, x = p
        axes = self.axes(x)
        return t.flip(*axes), x.flip(axes)

    def expand(self, p: Pair) -> Pair | None:
        t, x = p
        axis, n = self.rng.randint(0, x.ndim), self.rng.randint(2, 5)
        dims = (*x.shape[:axis], n, *x.shape[axis:])
        return (t.unsqueeze(axis).expand(*dims), x.unsqueeze(axis).expand(dims)) if x.ndim < 5 else None

    def join(self, p: Pair) -> Pair | None:
        t, x = p
        u, y = self.rng.choice([q for q in self.pool if q[1].shape == x.shape])
        axis = self.rng.randrange(x.ndim)
        return t.cat(u, dim=axis), torch.cat([x, y], axis)

    def unfold(self, p: Pair) -> Pair | None:
        t, x = p
        axis = self.rng.randrange(x.ndim)
        size, step = self.rng.randint(1, min(3, x.shape[axis])), self.rng.randint(1, 3)
        return t.unfold(axis, size, step), x.unfold(axis, size, step)

    def contiguous(self, p: Pair) -> Pair | None:
        return p[0].contiguous(), p[1]

    # Reductions.

    def reduce(self, p: Pair) -> Pair | None:
        t, x = p
        axes, keep = self.axes(x), self.rng.random() < 0.6
        name, there = self.rng.choice((("sum", "sum"), ("mean", "mean"), ("max", "amax"), ("min", "amin")))
        if len(axes) == x.ndim and not keep:
            keep = True
        return getattr(t, name)(axes, keepdim=keep), getattr(x, there)(axes, keepdim=keep)

    def centre(self, p: Pair) -> Pair | None:
        t, x = p
        axes = self.axes(x)
        name, there = self.rng.choice((("mean", "mean"), ("max", "amax")))
        return t - getattr(t, name)(axes, keepdim=True), x - getattr(x, there)(axes, keepdim=True)

    def softmax(self, p: Pair) -> Pair | None:
        t, x = p
        axis = self.rng.randrange(x.ndim)
        return (t.softmax(axis), x.softmax(axis)) if self.rng.random() < 0.5 else (t.log_softmax(axis), x.log_softmax(axis))

    def normalise(self, p: Pair) -> Pair | None:
        t, x = p
        axes = self.axes(x)
        y = x - x.mean(axes, keepdim=True)
        return t.layernorm(axes, eps=0.1), y / (y.square().mean(axes, keepdim=True) + 0.1).sqrt()

    def cumsum(self, p: Pair) -> Pair | None:
        t, x = p
        axis = self.rng.randrange(x.ndim)
        return (t.cumsum(axis), x.cumsum(axis)) if x.shape[axis] <= 32 else None

    def matmul(self, p: Pair) -> Pair | None:
        t, x = p
        if x.ndim not in (2, 3):
            return None
        u, y = self.leaf((x.shape[-1], self.rng.choice((1, 3, 8, 20))))
        scale = x.shape[-1] ** -0.5
        return (t @ u) * scale, (x @ y) * scale

    def conv(self, p: Pair) -> Pair | None:
        t, x = p
        if x.ndim != 4 or min(x.shape[2:]) < 2 or math.prod(x.shape[1:]) > 1500 or x.shape[1] > 16:
            return None
        stride, padding = self.rng.randint(1, 2), self.rng.randint(0, 1)
        u, y = self.leaf((self.rng.choice((1, 3, 4)), x.shape[1], 2, self.rng.randint(1, 2)))
        scale = (2 * x.shape[1]) ** -0.5
        return t.conv2d(u, stride=stride, padding=padding) * scale, torch.nn.functional.conv2d(x, y, stride=stride, padding=padding) * scale

    def pool2d(self, p: Pair) -> Pair | None:
        t, x = p
        if x.ndim != 4 or min(x.shape[2:]) < 2:
            return None
        return t.max_pool2d(2), torch.nn.functional.max_pool2d(x, 2)

    def gather(self, p: Pair) -> Pair | None:
        t, x = p
        places = np.array([self.rng.randrange(x.shape[0]) for _ in range(self.rng.randint(1, 9))], np.int32)
        return t[Tensor(places, device=self.device)], x[torch.tensor(places, dtype=torch.int64)]


STEPS: Final = (
    *("unary", "unary", "binary", "binary", "binary", "reshape", "permute", "pad", "slices", "flip", "expand", "join", "unfold", "contiguous"),
    *("reduce", "reduce", "centre", "softmax", "normalise", "cumsum", "matmul", "matmul", "conv", "conv", "pool2d", "gather"),
)


def run(seed: int, device: str) -> None:
    program = Program(seed, device)
    program.loss.backward()
    program.wanted.backward()
    pairs: list[tuple[Any, torch.Tensor]] = [(program.loss, program.wanted.detach())]
    pairs += [(t.grad, x.grad) for t, x in program.leaves if x.grad is not None]
    assert all(t is not None for t, _ in pairs), f"seed {seed}: no gradient; {program.log}"
    Tensor.realize(*(t for t, _ in pairs))
    for place, (t, x) in enumerate(pairs):
        found, goal = t.numpy().astype(np.float64), x.numpy()
        assert found.shape == goal.shape, f"seed {seed}, {place}: {found.shape} for {goal.shape}; {program.log}"
        scale = max(1.0, float(np.abs(goal).max()))
        error = float(np.abs(found - goal).max()) / scale
        assert error < 2e-4, f"seed {seed}, gradient {place} of {len(pairs) - 1}: off by {error:.2g} of {scale:.3g}; {program.log}"


@pytest.mark.parametrize("first", range(0, 100, 25))
def test_random_gradients_on_the_reference_device(first: int) -> None:
    for seed in range(first, first + 25):
        run(seed, "reference")


@pytest.mark.parametrize("first", range(200, 232, 8))
def test_random_gradients_on_the_gpu(first: int) -> None:
    for seed in range(first, first + 8):
        run(seed, "webgpu")
