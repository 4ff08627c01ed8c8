"""Compiles two training steps and prints the fingerprints of their plans. Not a test module: `test_invariants.py` runs it in fresh processes.

    python tests/fingerprints.py forwards|backwards

`backwards` builds what does not depend on one another in the opposite order, after other graphs have filled the arena.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import anneal
from anneal import Tensor, nn


def in_order(backwards: bool, makers: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the makers make, made from the first or from the last."""
    made = {i: makers[i]() for i in sorted(range(len(makers)), reverse=backwards)}
    return [made[i] for i in range(len(makers))]


def clutter() -> list[Tensor]:
    """Graphs that have nothing to do with the steps."""
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    return [(x @ x).relu().sum(), x.softmax(0), Tensor.arange(6).reshape(2, 3) + 1]


def step(parts: Sequence[Any], model: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor, *, adam: bool) -> anneal.Plan:
    """The plan of forward, backward and update."""
    parameters = nn.state.get_parameters(list(parts))
    optimizer: nn.optim.Optimizer = nn.optim.Adam(parameters) if adam else nn.optim.SGD(parameters, lr=0.1, momentum=0.9)
    loss = model(x).cross_entropy(labels)
    loss.backward()
    return anneal.compile(loss, *optimizer.schedule_step(), target=anneal.Target.portable())


def mlp(backwards: bool) -> anneal.Plan:
    """A digits classifier's step with Adam."""
    first, second, x, labels = in_order(
        backwards, [lambda: nn.Linear(64, 128), lambda: nn.Linear(128, 10), lambda: Tensor([1.0] * 4096).reshape(64, 64), lambda: Tensor([1] * 64)]
    )
    return step((first, second), lambda x: second(first(x).relu()), x, labels, adam=True)


def conv(backwards: bool) -> anneal.Plan:
    """A small convolutional classifier's step with momentum."""
    first, last, x, labels = in_order(
        backwards, [lambda: nn.Conv2d(1, 4, 3, padding=1), lambda: nn.Linear(64, 10), lambda: Tensor([1.0] * 512).reshape(8, 1, 8, 8), lambda: Tensor([2] * 8)]
    )
    return step((first, last), lambda x: last(first(x).relu().max_pool2d(2).flatten(1)), x, labels, adam=False)


def main() -> None:
    backwards = sys.argv[1] == "backwards"
    kept = clutter() if backwards else []
    plans = in_order(backwards, [lambda: mlp(backwards), lambda: conv(backwards)])
    print(*(plan.fingerprint for plan in plans), *(len(plan.kernels) for plan in plans))
    del kept


if __name__ == "__main__":
    main()
