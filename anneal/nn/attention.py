"""Attention with several heads. Names, shapes, arguments and initialisation are PyTorch's.

>>> from anneal import Tensor
>>> x = Tensor.ones(5, 2, 8)
>>> out, weights = MultiheadAttention(8, num_heads=2)(x, x, x)
>>> out.shape, weights.shape
((5, 2, 8), (2, 5, 5))
"""

from __future__ import annotations

import math

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir.dtype import dtypes
from anneal.ir.shape import show
from anneal.nn.layers import Linear
from anneal.tensor import realize
from anneal.tensor.tensor import Tensor


def _glorot(*shape: int) -> Tensor:
    """A parameter, uniform as Glorot has it."""
    return Tensor.glorot_uniform(*shape, requires_grad=True)


class MultiheadAttention:
    """Queries look at keys in several subspaces, and values are mixed accordingly (Vaswani and others, 2017)."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        """Parameters `in_proj_weight` (3 * embed, embed), or one for each of q, k, v where their widths differ, `in_proj_bias`, `out_proj`.

        `add_bias_kv` learns a key and a value that are added to the sequence, `add_zero_attn` adds zeros.
        """
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise UsageError(f"embed_dim {embed_dim} does not divide into {num_heads} heads")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.add_zero_attn = add_zero_attn
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight: Tensor | None = _glorot(3 * embed_dim, embed_dim)
        else:
            self.in_proj_weight = None
            self.q_proj_weight = _glorot(embed_dim, embed_dim)
            self.k_proj_weight = _glorot(embed_dim, self.kdim)
            self.v_proj_weight = _glorot(embed_dim, self.vdim)
        self.in_proj_bias = Tensor.zeros(3 * embed_dim, requires_grad=True) if bias else None
        std = math.sqrt(2 / (embed_dim + embed_dim))  # PyTorch's xavier_normal_ of shape (1, 1, embed)
        self.bias_k, self.bias_v = (Tensor.normal(1, 1, embed_dim, std=std, requires_grad=True) if add_bias_kv else None for _ in range(2))
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if bias:
            self.out_proj.bias = Tensor.zeros(embed_dim, requires_grad=True)

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The result, of the query's shape, and the weights (batch, queries, keys), a mean over heads unless told otherwise; None if not needed.

        Tensors are (length, batch, width), or (batch, length, width) with `batch_first`; the batch may be missing. In masks, True means "not
        there", and floats are added: `key_padding_mask` (batch, keys), `attn_mask` (queries, keys) or (batch * heads, queries, keys).
        `is_causal` without a mask makes one. A query that may look nowhere gives 0 before the last layer.
        """
        self._check(query, key, value)
        if query.ndim == 2:
            mask = key_padding_mask if key_padding_mask is None else key_padding_mask.unsqueeze(0)
            one, two, three = (t.unsqueeze(0) for t in (query, key, value))
            out, weights = self._attend(one, two, three, self._mask(mask, attn_mask, query, key, causal=is_causal))
            out, weights = out.squeeze(0), weights.squeeze(0)
        else:
            first = self.batch_first
            q, k, v = (query, key, value) if first else tuple(t.transpose(0, 1) for t in (query, key, value))
            if query is key is value:
                k = v = q
            out, weights = self._attend(q, k, v, self._mask(key_padding_mask, attn_mask, q, k, causal=is_causal))
            out = out if first else out.transpose(0, 1)
        if average_attn_weights:
            weights = weights.mean(-3)
        return out, weights if need_weights else None

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Raise ShapeError unless the three fit one another and the layer."""
        widths = (self.embed_dim, self.kdim, self.vdim)
        batch = 0 if self.batch_first else 1
        fit = query.ndim in (2, 3) and query.ndim == key.ndim == value.ndim and key.shape[:-1] == value.shape[:-1]
        fit = fit and tuple(t.shape[-1] for t in (query, key, value)) == widths
        if not fit or (query.ndim == 3 and query.shape[batch] != key.shape[batch]):
            order = "(batch, length, width)" if self.batch_first else "(length, batch, width)"
            found = ", ".join(show(t.shape) for t in (query, key, value))
            raise ShapeError(f"attention needs query, key and value {order}, of widths {widths} and one batch, not shapes {found}")

    def _mask(self, padding: Tensor | None, mask: Tensor | None, query: Tensor, key: Tensor, *, causal: bool) -> Tensor | None:
        """Both masks as one that broadcasts to (batch, heads, queries, keys): bool, True where a query may look, or floats to add."""
        queries, keys = realize.sizes(query.uop)[-2], realize.sizes(key.uop)[-2]
        batch = realize.sizes(query.uop)[0] if query.ndim == 3 else 1
        parts = []
        if mask is None and causal:
            mask = Tensor.ones(queries, keys, dtype=dtypes.bool).triu(1)
        if mask is not None:
            if mask.shape == (queries, keys):
                parts.append(mask)
            elif mask.shape == (batch * self.num_heads, queries, keys):
                parts.append(mask.reshape(batch, self.num_heads, queries, keys))
            else:
                wanted = f"{(queries, keys)} or {(batch * self.num_heads, queries, keys)}"
                raise ShapeError(f"attn_mask has shape {wanted}, not {show(mask.shape)}")
        if padding is not None:
            if padding.shape != (batch, keys):
                raise ShapeError(f"key_padding_mask has a row of {keys} for each of {batch} in the batch, not shape {show(padding.shape)}")
            parts.append(padding.reshape(batch, 1, 1, keys))
        for part in parts:
            if part.dtype is not dtypes.bool and not part.dtype.is_float:
                raise DTypeError(f"an attention mask is bool or floats, not {part.dtype.name}: compare, or cast it")
        return _joined(parts)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Queries, keys and values of all heads."""
        size, bias = self.embed_dim, self.in_proj_bias
        if self.in_proj_weight is not None and query is key is value:
            whole = query.linear(self.in_proj_weight, bias)
            return [whole[..., i * size : (i + 1) * size] for i in range(3)]
        if self.in_proj_weight is not None:
            weights = [self.in_proj_weight[i * size : (i + 1) * size] for i in range(3)]
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [None if bias is None else bias[i * size : (i + 1) * size] for i in range(3)]
        return [x.linear(w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """(batch, length, width) of each to the result and the weights of each head."""
        batch, length, _ = realize.sizes(query.uop)
        q, k, v = self._projected(query, key, value)
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (Tensor.cat(t, b.expand(batch, 1, self.embed_dim), dim=1) for t, b in ((k, self.bias_k), (v, self.bias_v)))
        if self.add_zero_attn:
            k, v = (t.pad(((0, 0), (0, 1), (0, 0))) for t in (k, v))
        added = (self.bias_k is not None) + self.add_zero_attn
        if mask is not None and added:
            around: list[tuple[int, int] | None] = [None] * (mask.ndim - 1)
            mask = mask.pad([*around, (0, added)], value=mask.dtype is dtypes.bool)
        width = self.embed_dim // self.num_heads
        q, k, v = (t.reshape(batch, -1, self.num_heads, width).transpose(1, 2) for t in (q, k, v))
        scores = (q.float() * (1 / math.sqrt(width))).matmul(k.float().transpose(-1, -2))
        weights = scores.softmax(-1) if mask is None else scores._masked_softmax(mask)
        weights = weights.dropout(self.dropout)
        mixed = weights.matmul(v.float()).cast(v.dtype).transpose(1, 2).reshape(batch, length, self.embed_dim)
        return self.out_proj(mixed), weights.cast(v.dtype)


def _joined(masks: list[Tensor]) -> Tensor | None:
    """Masks in which True means "not there" as one in which it means "there", or as floats to add where there are any."""
    if not masks:
        return None
    if all(mask.dtype is dtypes.bool for mask in masks):
        hidden = masks[0] if len(masks) == 1 else masks[0] | masks[1]
        return ~hidden
    floats = [mask.where(-math.inf, 0.0) if mask.dtype is dtypes.bool else mask.float() for mask in masks]
    return floats[0] if len(floats) == 1 else floats[0] + floats[1]
