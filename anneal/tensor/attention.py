"""Attention: what keys a query looks at, and the mean of their values.

Scores, the softmax and sums are float32, whatever the operands are; a matrix product, a softmax and a product are three kernels.

>>> from anneal import Tensor
>>> query, key, value = Tensor.ones(2, 3, 4), Tensor.ones(2, 5, 4), Tensor.ones(2, 5, 6)
>>> query.scaled_dot_product_attention(key, value).shape
(2, 3, 6)
"""

from __future__ import annotations

import math
from typing import Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir.dtype import dtypes
from anneal.ir.shape import Dim, show
from anneal.tensor.random import Random


class Attention(Random):
    """Queries, keys and values."""

    __slots__ = ()

    def scaled_dot_product_attention(
        self,
        key: Self,
        value: Self,
        attn_mask: Self | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Self:
        """softmax(query @ key.T * scale + mask) @ value, for queries (..., L, E), keys (..., S, E) and values (..., S, V): (..., L, V).

        `attn_mask` broadcasts to (..., L, S): bool is True where a query may look, floats are added; a query that may look nowhere gives 0.
        `is_causal` lets query i look at keys up to i. `scale` is 1/sqrt(E) unless given. Dropout works in training only. `enable_gqa` lets
        several heads of queries share a head of keys and values. Raises ShapeError, DTypeError or UsageError for what does not fit.
        """
        key, value = self._attended(key, value, enable_gqa=enable_gqa)
        if is_causal and attn_mask is not None:
            raise UsageError("attention has a mask or is causal, not both: put the causal part into the mask")
        width = self.shape[-1]
        if scale is None:
            if not isinstance(width, int):
                raise ShapeError(f"attention over an axis of unknown size needs scale=, for shape {show(self.shape)}")
            scale = 1 / math.sqrt(width or 1)
        scores = self._wide().matmul(key._wide().transpose(-1, -2)) * scale
        if is_causal:
            rows, columns = self._iota(scores.shape[-2], 2, 0), self._iota(scores.shape[-1], 2, 1)
            scores = (columns <= rows).where(scores, -math.inf)
        weights = scores.softmax(-1) if attn_mask is None else scores._masked_softmax(attn_mask)
        return weights.dropout(dropout_p).matmul(value._wide()).cast(self.dtype)

    def _attended(self, key: Self, value: Self, *, enable_gqa: bool) -> tuple[Self, Self]:
        """Keys and values, checked, with a head for each head of the queries."""
        if any(not t.dtype.is_float or t.dtype is not self.dtype for t in (self, key, value)):
            names = ", ".join(t.dtype.name for t in (self, key, value))
            raise DTypeError(f"attention needs queries, keys and values of one float dtype, not {names}: cast them")
        fits = min(self.ndim, key.ndim, value.ndim) > 1 and self.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2]
        if not fits:
            found = ", ".join(show(t.shape) for t in (self, key, value))
            raise ShapeError(f"attention needs queries (..., L, E), keys (..., S, E) and values (..., S, V), not shapes {found}")
        if not enable_gqa:
            return key, value
        return key._shared_heads(self), value._shared_heads(self)

    def _shared_heads(self, query: Self) -> Self:
        """Each head repeated, so that there are as many as the queries have."""
        if self.ndim < 3 or query.ndim < 3:
            raise ShapeError(f"grouped attention needs (..., heads, length, width), not shapes {show(query.shape)} and {show(self.shape)}")
        heads, wanted = self.shape[-3], query.shape[-3]
        if not isinstance(heads, int) or not isinstance(wanted, int) or not heads or wanted % heads:
            raise ShapeError(f"grouped attention: the heads of shape {show(query.shape)} are no multiple of those of shape {show(self.shape)}")
        before: tuple[Dim, ...] = self.shape[:-3]
        wide = self.unsqueeze(-3).expand(*before, heads, wanted // heads, *self.shape[-2:])
        return wide.reshape(*before, wanted, *self.shape[-2:])

    def _masked_softmax(self, mask: Self) -> Self:
        """Softmax of scores where a mask is True, or with a mask of floats added; a row of nothing but -inf gives zeros."""
        if mask.dtype is dtypes.bool:
            scores = mask.where(self, -math.inf)
        elif mask.dtype.is_float:
            scores = self + mask._wide()
        else:
            raise DTypeError(f"an attention mask is bool or floats, not {mask.dtype.name}: compare, or cast it")
        if scores.shape != self.shape:
            raise ShapeError(f"an attention mask of shape {show(mask.shape)} does not broadcast to scores of shape {show(self.shape)}")
        largest = scores.max(-1, keepdim=True).detach()
        raised = (scores - largest.eq(-math.inf).where(0, largest)).exp()
        total = raised.sum(-1, keepdim=True)
        return raised / total.eq(0).where(1, total)
