"""What the examples and a few kernels cost on this machine's device, printed with their spread.

    python benchmarks/steps.py [--device webgpu|reference] [--json] [--quick]

A training step is timed over windows of ten steps, from the first upload to the last loss read; a kernel over a plan that runs it many
times in a row, with one wait. Each line gives the median of the windows and how far the middle half of them reaches. Where PyTorch is
installed the same computation is timed there, on the processor with as many threads as there are cores, and the ratio is given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, TextIO

from anneal import Tensor
from anneal.examples import EXAMPLES
from anneal.examples.program import Program, trace
from anneal.examples.trainer import WINDOW, Trainer
from anneal.runtime.device import NAMES, Device, get_device
from anneal.tensor.realize import Executable

ELEMENTS: Final = 4 << 20
ROWS: Final = 1024


@dataclass(frozen=True)
class Line:
    """A measurement: milliseconds, and what they mean."""

    name: str
    median_ms: float
    spread_ms: float
    """Between the first and the third quartile."""
    rate: float | None = None
    """In `unit`, at the median."""
    unit: str = ""
    torch_ms: float | None = None
    compile_ms: float | None = None
    kernels: int | None = None

    def __str__(self) -> str:
        text = f"{self.name:<22} {self.median_ms:>9.3f} ms ± {self.spread_ms / 2:<7.3f}"
        text += f" {self.rate:>7.2f} {self.unit:<8}" if self.rate is not None else " " * 17
        text += f"  compiled in {self.compile_ms:.0f} ms to {self.kernels}" if self.compile_ms is not None else ""
        return text + (f"  PyTorch {self.torch_ms:.3f} ms, ratio {self.median_ms / self.torch_ms:.2f}" if self.torch_ms is not None else "")


def spread(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and distance of the quartiles, in milliseconds."""
    low, middle, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else (seconds[0],) * 3
    return middle * 1e3, (high - low) * 1e3


def step(name: str, device: Device, windows: int, torch_ms: float | None) -> Line:
    """A training step of an example."""
    trainer = Trainer(Program(EXAMPLES[name]), device)
    seconds = [w.seconds / WINDOW for w in trainer.train(WINDOW * (windows + 2)) if len(w.losses) == WINDOW][1:]
    kind = type(trainer.program.optimizer).__name__
    middle, wide = spread(seconds)
    return Line(f"{name} step, {kind}", middle, wide, torch_ms=torch_ms, compile_ms=trainer.compile_seconds * 1e3, kernels=len(trainer.plan.kernels))


def kernel(name: str, output: Tensor, device: Device, windows: int, work: float, unit: str, torch_ms: float | None) -> Line:
    """A computation; `work` is what it does, in billions of what `unit` counts a second."""
    start = time.perf_counter()
    ready = Executable(trace([output])[0], device)
    compiled = (time.perf_counter() - start) * 1e3
    ready.run()
    device.wait()
    start = time.perf_counter()
    ready.run()
    device.wait()
    times = max(1, min(100, int(0.05 / (time.perf_counter() - start))))
    seconds = []
    for _ in range(windows):
        start = time.perf_counter()
        for _ in range(times):
            ready.run()
        device.wait()
        seconds.append((time.perf_counter() - start) / times)
    middle, wide = spread(seconds)
    return Line(name, middle, wide, work / (middle / 1e3), unit, torch_ms, compiled, len(ready.plan.kernels))


def clock(run: Callable[[], object], windows: int) -> float:
    """The fewest milliseconds of a call: a peer is given its best."""
    run()
    seconds = []
    for _ in range(windows * 2):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds) * 1e3


def torch_step(torch: Any, name: str, windows: int) -> float:
    """A training step of the same network in PyTorch."""
    nn = torch.nn
    if name == "mlp":
        model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    else:
        first, second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    data = torch.rand(1437, 64) if name == "mlp" else torch.rand(1437, 1, 8, 8)
    labels = torch.randint(0, 10, (1437,))

    def run() -> None:
        rows = torch.randint(0, 1437, (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data[rows]), labels[rows]).backward()
        optimizer.step()

    return clock(run, windows * 10)


def measure(device: Device, windows: int, out: TextIO) -> list[Line]:
    """All lines; prints each as it comes."""
    torch = _torch()
    made: list[Line] = []

    def add(line: Line) -> None:
        made.append(line)
        print(line, file=out, flush=True)

    def peer(name: str, *operands: Any) -> float | None:
        return clock(partial(getattr(torch, name), *operands), windows) if torch else None

    def rand(*shape: int) -> Any:
        return torch.rand(*shape) if torch else None

    for name in EXAMPLES:
        add(step(name, device, windows, torch_step(torch, name, windows) if torch else None))
    x, y, m = (_random(device, *shape) for shape in ((ELEMENTS,), (ELEMENTS,), (ROWS, ROWS)))
    tx, ty, tm = rand(ELEMENTS), rand(ELEMENTS), rand(ROWS, ROWS)
    large, square = 4 * ELEMENTS / 1e9, 4 * ROWS * ROWS / 1e9
    add(kernel("copy 16 MiB", x.contiguous(), device, windows, 2 * large, "GB/s", peer("clone", tx)))
    add(kernel("add 16 MiB", x + y, device, windows, 3 * large, "GB/s", peer("add", tx, ty)))
    add(kernel("sum 16 MiB", x.sum(), device, windows, large, "GB/s", peer("sum", tx)))
    for axis in (0, 1):
        add(kernel(f"sum {ROWS}×{ROWS}, axis {axis}", m.sum(axis), device, windows, square, "GB/s", peer("sum", tm, axis)))
    add(kernel(f"softmax {ROWS}×{ROWS}", m.softmax(1), device, windows, 2 * square, "GB/s", peer("softmax", tm, 1)))
    for size in (512, 1024):
        a, b = _random(device, size, size), _random(device, size, size)
        add(kernel(f"matmul {size}", a @ b, device, windows, 2 * size**3 / 1e9, "GFLOP/s", peer("matmul", rand(size, size), rand(size, size))))
    return made


def _random(device: Device, *shape: int) -> Tensor:
    return Tensor.rand(*shape, device=device.name).realize()


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the examples and a few kernels cost on this machine's device.")
    parser.add_argument("--device", choices=NAMES, help="default: webgpu where there is an adapter, else reference")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="fewer windows")
    arguments = parser.parse_args()
    device = get_device(arguments.device)
    out = sys.stderr if arguments.json else sys.stdout
    print(f"{device.name}: {device.description}", file=out)
    lines = measure(device, 5 if arguments.quick else 25, out)
    if arguments.json:
        print(json.dumps({"device": device.name, "backend": device.description, "lines": [asdict(line) for line in lines]}, indent=2))


if __name__ == "__main__":
    main()
