"""Scans: what reductions give up to each element.

>>> from anneal import Tensor
>>> Tensor([1, 2, 3]).cumsum().tolist()
[1, 3, 6]
"""

from __future__ import annotations

from anneal.tensor.reduce import Reduce


class Scans(Reduce):
    """Reductions up to each element of an axis."""

    __slots__ = ()
