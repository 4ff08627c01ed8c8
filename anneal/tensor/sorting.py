"""Order: sorting and what follows from it.

>>> from anneal import Tensor
>>> Tensor([1, 2, 3]).shape
(3,)
"""

from __future__ import annotations

from anneal.tensor.indexing import Indexing


class Sorting(Indexing):
    """Elements by their size."""

    __slots__ = ()
