"""Programs that schedules and kernels are tested on, by name: small sizes, every kind of fusion and boundary."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import anneal
from anneal import Plan, Target, Tensor, nn
from anneal.codegen.bind import Bound
from anneal.codegen.program import Program
from anneal.ir.uop import UOp
from anneal.rewrite import session
from anneal.runtime import pipeline
from anneal.schedule.schedule import Schedule
from anneal.tensor.realize import trace

PORTABLE: Final = Target.portable()


def given(*dims: int) -> Tensor:
    """A new input of a shape; its values do not matter."""
    return Tensor.zeros(*dims).own()


def parameter(*dims: int) -> Tensor:
    """A new input that is differentiated."""
    return Tensor.zeros(*dims).requires_grad_()


class MLP:
    """Linear layers with ReLU between them."""

    def __init__(self, *sizes: int) -> None:
        self.layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]

    def __call__(self, x: Tensor) -> Tensor:
        """The last layer's result."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


def mlp_loss(depth: int = 2, width: int = 64) -> tuple[MLP, Tensor]:
    """A multi-layer perceptron on 16 rows, and its loss, already differentiated."""
    model = MLP(32, *([width] * (depth - 1)), 10)
    loss = (model(given(16, 32)) - given(16, 10)).square().mean()
    loss.backward()
    return model, loss


def mlp_gradients(depth: int = 2) -> list[Tensor]:
    model, loss = mlp_loss(depth)
    return [loss, *(p.grad for p in nn.state.get_parameters(model) if p.grad is not None)]


def mlp_sgd() -> list[Tensor]:
    model, loss = mlp_loss()
    return [loss, *nn.optim.SGD(nn.state.get_parameters(model), lr=0.1).schedule_step()]


def mlp_adam() -> list[Tensor]:
    model, loss = mlp_loss()
    return [loss, *nn.optim.Adam(nn.state.get_parameters(model), lr=0.1).schedule_step()]


def convolution() -> list[Tensor]:
    layer = nn.Conv2d(3, 8, 3, padding=1)
    return [layer(given(2, 3, 8, 8)).relu().max_pool2d(2)]


def attention() -> list[Tensor]:
    q, k, v = given(4, 16, 8), given(4, 16, 8), given(4, 16, 8)
    return [((q @ k.transpose(1, 2)) * 8**-0.5).softmax(-1) @ v]


def classification() -> list[Tensor]:
    logits, labels = parameter(32, 10), Tensor([i % 10 for i in range(32)])
    loss = logits.cross_entropy(labels, ignore_index=None)
    loss.backward()
    assert logits.grad is not None
    return [loss, logits.grad]


def embedding() -> list[Tensor]:
    table, places = parameter(20, 6), Tensor([3, 1, 4, 1, 5])
    found = table[places]
    found.square().sum().backward()
    assert table.grad is not None
    return [found, table.grad]


def swap() -> list[Tensor]:
    x, y = given(100), given(100)
    return [x.assigned(y), y.assigned(x.flip(0))]


def in_place() -> list[Tensor]:
    x = given(1000)
    return [x.assigned(x * 2 + 1)]


def many_inputs() -> list[Tensor]:
    total = given(12)
    for _ in range(19):
        total = total + given(12)
    return [total]


def two_axes() -> list[Tensor]:
    x = given(6, 40, 3)
    return [(x - x.mean((0, 2), keepdim=True)) / (x.var((0, 2), keepdim=True) + 1e-5).sqrt()]


SAMPLES: Final[dict[str, Callable[[], list[Tensor]]]] = {
    "elementwise": lambda: [(given(8, 5) + given(8, 5)) * given(8, 1) - given(5)],
    "softmax": lambda: [given(64, 100).softmax(-1)],
    "softmax_of_columns": lambda: [given(100, 64).softmax(0)],
    "two_axes": two_axes,
    "linear_relu": lambda: [nn.Linear(32, 8)(given(16, 32)).relu()],
    "mlp": lambda: [MLP(32, 64, 10)(given(16, 32))],
    "mlp_gradients": mlp_gradients,
    "mlp_sgd": mlp_sgd,
    "mlp_adam": mlp_adam,
    "convolution": convolution,
    "attention": attention,
    "classification": classification,
    "embedding": embedding,
    "large_sum": lambda: [given(1024, 1024).sum()],
    "swap": swap,
    "in_place": in_place,
    "many_inputs": many_inputs,
    "running_sum": lambda: [given(40).cumsum()],
}


def plan_of(name: str, target: Target = PORTABLE) -> Plan:
    """The plan of a sample."""
    return anneal.compile(*SAMPLES[name](), target=target)


class Staged:
    """A program after each stage of the pipeline."""

    def __init__(self, outputs: list[Tensor], target: Target = PORTABLE) -> None:
        work = pipeline.begin(trace([t.uop for t in outputs]).sink, target)
        with session.compiling():
            for stage in pipeline.STAGES:
                stage.run(work)
        assert work.scheduled is not None
        assert work.plan is not None
        self.graph: UOp = work.sink
        """The tensor graph, simplified."""
        self.scheduled: Schedule = work.scheduled
        self.bound: list[Bound] = work.bound
        self.programs: list[Program] = work.programs
        self.plan: Plan = work.plan
