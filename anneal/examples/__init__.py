"""Models that come with the package, on real data, by name, and training from Python.

>>> sorted(EXAMPLES)
['conv', 'mlp']
>>> train("mlp", steps=3, device="reference").losses[0] > 2
True
"""

from __future__ import annotations

from anneal.examples.example import Data, Example, accuracy
from anneal.examples.live import Run, train, train_async
from anneal.examples.registry import EXAMPLES

__all__ = ["EXAMPLES", "Data", "Example", "Run", "accuracy", "train", "train_async"]
