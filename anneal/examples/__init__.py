"""Models that come with the package, on real data, by name, and training from Python.

>>> sorted(EXAMPLES)
['conv', 'mlp']
>>> train("mlp", steps=3, device="reference").losses[0] > 2
True
"""

from __future__ import annotations

from typing import Final

from anneal.errors import UsageError
from anneal.examples import conv, mlp
from anneal.examples.example import Data, Example, accuracy
from anneal.examples.live import Run
from anneal.examples.live import train as _train

__all__ = ["EXAMPLES", "Data", "Example", "Run", "accuracy", "train"]

EXAMPLES: Final[dict[str, Example]] = {e.name: e for e in (mlp.EXAMPLE, conv.EXAMPLE)}


def train(
    model: str | Example,
    steps: int | None = None,
    *,
    batch: int | None = None,
    lr: float | None = None,
    optimizer: str | None = None,
    seed: int = 0,
    device: str | None = None,
    log: str | None = None,
) -> Run:
    """Train a model, one of `EXAMPLES` by name or an `Example` of your own, as `anneal train` does; what is None is as the example has it.

    A notebook shows the training as a table while it goes on; a terminal gets a line for each ten steps on stderr. Ctrl-C, or a notebook's
    stop button, ends it after the step it is at. With `log` every step is written to that file, for `anneal plot`. Raises AnnealError when
    the loss stops being a number, UsageError for what cannot be trained, NoDeviceError where the device is missing.
    """
    if isinstance(model, str) and model not in EXAMPLES:
        raise UsageError(f"no model {model!r}: there are {', '.join(sorted(EXAMPLES))}, or pass an Example of your own")
    example = EXAMPLES[model] if isinstance(model, str) else model
    return _train(example, steps, batch=batch, lr=lr, optimizer=optimizer, seed=seed, device=device, log=log)
