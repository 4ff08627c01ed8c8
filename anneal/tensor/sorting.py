"""Order: sorting and what follows from it.

>>> from anneal import Tensor
>>> Tensor([1, 2, 3]).shape
(3,)
"""

from __future__ import annotations

from anneal.tensor.resizing import Resizing


class Sorting(Resizing):
    """Elements by their size."""

    __slots__ = ()
