"""Models that come with the package, on real data, by name, and training from Python.

>>> from anneal.examples import EXAMPLES, train
>>> sorted(EXAMPLES)
['conv', 'mlp']
>>> train("mlp", steps=3, device="reference").losses[0] > 2
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from anneal.examples.example import Data, Example, accuracy
from anneal.examples.registry import EXAMPLES

if TYPE_CHECKING:
    from anneal.examples.live import Run, train, train_async

__all__ = ["EXAMPLES", "Data", "Example", "Run", "accuracy", "train", "train_async"]

_LIVE: Final = frozenset({"Run", "train", "train_async"})


def __getattr__(name: str) -> Any:
    """Training is imported when it is first asked for: looking at a model needs none of it."""
    if name in _LIVE:
        return getattr(import_module("anneal.examples.live"), name)
    raise AttributeError(f"module 'anneal.examples' has no attribute {name!r}")
