"""PyTorch on the processor, where it is installed: what `anneal bench` compares with, and nothing else in the package uses.

>>> float(Peer.find().call(CASES[-1])().sum()) >= 0 if Peer.find() else True
True
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anneal.cli.bench_cases import CASES, Case

__all__ = ["CASES", "Peer"]


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

    def call(self, case: Case) -> Callable[[], Any] | None:
        """A computation or a training step; None for what PyTorch is not asked."""
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
