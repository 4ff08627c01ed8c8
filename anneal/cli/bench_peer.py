"""PyTorch on the processor, where it is installed: what `anneal bench` compares with, and nothing else in the package uses.

It is given its best: what runs faster on one thread than on all, as small work and a busy machine do, runs on one.

>>> from anneal.cli.bench_cases import select
>>> Peer.find().prepare(select(["sum-0"])[0]).threads >= 1
True
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from anneal.cli.bench_cases import Case

_TRIES: Final = 3


class Prepared(NamedTuple):
    """A computation that is ready to be run."""

    call: Callable[[], Any]
    threads: int
    """What it runs on from now, until the next one is prepared."""


class Peer:
    """The same computations as this package's."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self.version = str(torch.__version__)
        self.threads = int(torch.get_num_threads())

    @classmethod
    def find(cls) -> Peer | None:
        """PyTorch, or None where it is not installed or cannot be loaded."""
        try:
            import torch
        except (ImportError, OSError):
            return None
        return cls(torch)

    def prepare(self, case: Case) -> Prepared | None:
        """A computation or a training step, with as many threads as serve it best; None for what PyTorch is not asked."""
        call = self._call(case)
        if call is None:
            return None
        _, threads = min((self._quickest(call, n), n) for n in sorted({1, self.threads}))
        self._torch.set_num_threads(threads)
        return Prepared(call, threads)

    def _quickest(self, call: Callable[[], Any], threads: int) -> float:
        """The fewest seconds of a few calls, after one that does not count."""
        self._torch.set_num_threads(threads)
        call()
        seconds = []
        for _ in range(_TRIES):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    def _call(self, case: Case) -> Callable[[], Any] | None:
        if case.kind == "step":
            return self._step(case.model)
        operands = [self._torch.rand(*shape) for shape in case.shapes]
        if case.peer is not None:
            other = case.peer
            return lambda: other(self._torch, *operands)
        run = case.run
        return None if run is None else lambda: run(*operands)

    def _step(self, name: str) -> Callable[[], Any] | None:
        """A training step of the same network, with the same optimiser on as many rows."""
        torch, nn = self._torch, self._torch.nn
        if name == "mlp":
            model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        elif name == "conv":
            convolutions = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()
            model = nn.Sequential(*convolutions, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10))
            optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        else:
            return None
        data = torch.rand(1437, 64) if name == "mlp" else torch.rand(1437, 1, 8, 8)
        labels = torch.randint(0, 10, (1437,))

        def step() -> None:
            rows = torch.randint(0, 1437, (64,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(data[rows]), labels[rows]).backward()
            optimizer.step()

        return step
