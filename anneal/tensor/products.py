"""Products: matrices, tensors, and sums of products in Einstein's notation.

Operands meet in the least dtype that holds both. Products of 16-bit floats are added up in float32 and rounded at the end.

>>> from anneal import Tensor
>>> (Tensor.ones(4, 2, 3) @ Tensor.ones(3, 5)).shape
(4, 2, 5)
>>> Tensor.einsum("bij, bkj -> bik", Tensor.ones(4, 2, 3), Tensor.ones(4, 5, 3)).shape
(4, 2, 5)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from anneal.errors import ShapeError, UsageError
from anneal.ir.dtype import promote
from anneal.ir.shape import show
from anneal.tensor import einsum, shapes
from anneal.tensor.elementwise import Operand
from anneal.tensor.sorting import Sorting


class Products(Sorting):
    """Sums of products."""

    __slots__ = ()

    # Matrices.

    def matmul(self, other: Self) -> Self:
        """Matrix product of the last two axes, the axes before them broadcast; vectors count as one row or one column."""
        if not self.shape or not other.shape:
            raise ShapeError("matmul needs at least one axis on both sides: use * for numbers")
        if self.ndim == 1:
            return self.unsqueeze(0).matmul(other).squeeze(-2 if other.ndim > 1 else 0)
        if other.ndim == 1:
            return self.matmul(other.unsqueeze(1)).squeeze(-1)
        if self.shape[-1] != other.shape[-2]:
            columns, rows = show(self.shape[-1:])[1:-2], show(other.shape[-2:-1])[1:-2]
            raise ShapeError(f"cannot multiply {show(self.shape)} by {show(other.shape)}: {columns} columns meet {rows} rows")
        dtype = promote(self.dtype, other.dtype)
        left, right = self.cast(dtype).unsqueeze(-2), other.cast(dtype).transpose(-1, -2).unsqueeze(-3)
        return (left._wide() * right._wide()).sum(-1)._narrow_to(dtype)

    dot = matmul

    def __matmul__(self, other: Self) -> Self:
        return self.matmul(other)

    def __rmatmul__(self, other: Operand) -> Self:
        return type(self)(other, device=self._device).matmul(self)

    def mm(self, other: Self) -> Self:
        """Product of two matrices, nothing else; raises ShapeError for other ranks."""
        self._ranks("mm", 2, other, 2)
        return self.matmul(other)

    def bmm(self, other: Self) -> Self:
        """Products of two batches of matrices, (batch, n, k) by (batch, k, m); no axis is broadcast."""
        self._ranks("bmm", 3, other, 3)
        if self.shape[0] != other.shape[0]:
            raise ShapeError(f"bmm: batches of shapes {show(self.shape)} and {show(other.shape)} differ in size: matmul broadcasts an axis of size 1")
        return self.matmul(other)

    def mv(self, vector: Self) -> Self:
        """Product of a matrix (n, k) and a vector (k,)."""
        self._ranks("mv", 2, vector, 1)
        return self.matmul(vector)

    def outer(self, other: Self) -> Self:
        """All products of the elements of two vectors: (n,) and (m,) to (n, m)."""
        self._ranks("outer", 1, other, 1)
        return self.unsqueeze(1) * other

    def _ranks(self, what: str, rank: int, other: Self, wanted: int) -> None:
        if self.ndim != rank or other.ndim != wanted:
            raise ShapeError(f"{what} needs tensors of {rank} and {wanted} axes, not shapes {show(self.shape)} and {show(other.shape)}")

    def linear(self, weight: Self, bias: Self | None = None) -> Self:
        """x @ weight.T + bias, with weight of shape (out, in)."""
        turned = weight.transpose(-1, -2) if weight.ndim > 1 else weight
        if bias is None:
            return self.matmul(turned)
        product = self._wide().matmul(turned._wide()) + bias
        return product._narrow_to(promote(promote(self.dtype, weight.dtype), bias.dtype))

    def bilinear(self, other: Self, weight: Self, bias: Self | None = None) -> Self:
        """x @ weight[o] @ y for each o: (..., n) and (..., m) with weight (out, n, m) to (..., out)."""
        if weight.ndim != 3 or self.shape[-1:] != weight.shape[1:2] or other.shape[-1:] != weight.shape[2:]:
            fits = f"does not fit shapes {show(self.shape)} and {show(other.shape)}: it must be (out, n, m)"
            raise ShapeError(f"bilinear: weight {show(weight.shape)} {fits}")
        product = self.einsum("...n, onm, ...m -> ...o", self, weight, other)
        return product if bias is None else product + bias

    # Tensors.

    def tensordot(self, other: Self, dims: int | tuple[Sequence[int], Sequence[int]] = 2) -> Self:
        """Sum of products over the last `dims` axes of this and the first of the other, or over the two lists of axes; the rest stay in order."""
        if isinstance(dims, int):
            if not 0 <= dims <= min(self.ndim, other.ndim):
                raise ShapeError(f"tensordot: shapes {show(self.shape)} and {show(other.shape)} do not both have {dims} axes")
            mine, others = tuple(range(self.ndim - dims, self.ndim)), tuple(range(dims))
        else:
            if len(dims) != 2:
                raise ShapeError(f"tensordot: dims is a number, or a list of axes for each of the two tensors, not {dims}")
            mine, others = (tuple(shapes.axis(a, t.ndim) for a in listed) for t, listed in zip((self, other), dims, strict=True))
            if len({*mine}) < len(mine) or len({*others}) < len(others):
                raise ShapeError(f"tensordot: an axis is named twice in {dims}")
        if len(mine) != len(others) or any(self.shape[a] != other.shape[b] for a, b in zip(mine, others, strict=True)):
            raise ShapeError(f"tensordot: axes {mine} of shape {show(self.shape)} do not meet axes {others} of shape {show(other.shape)}: the sizes differ")
        right = [-1] * other.ndim
        for a, b in zip(mine, others, strict=True):
            right[b] = a
        free = iter(range(self.ndim, self.ndim + other.ndim))
        right = [next(free) if label < 0 else label for label in right]
        kept = [i for i in range(self.ndim) if i not in mine] + [label for label in right if label >= self.ndim]
        return self._contracted([self, other], [list(range(self.ndim)), right], kept)

    @classmethod
    def einsum(cls, formula: str, *operands: Self) -> Self:
        """The sum of products that a formula describes, as `torch.einsum`: "ij, jk -> ik", "...ij -> ...ji", "ii" for a trace.

        A letter is an axis; one that is repeated takes the diagonal; letters that the result does not name are summed over. Without `->` the
        result has the axes of `...` and then, sorted, the letters that occur once. Of several operands, the pair with the least result is
        multiplied first. Raises UsageError for a formula that cannot be read, ShapeError for sizes that differ.
        """
        if len(operands) == 1 and isinstance(operands[0], list | tuple):
            operands = tuple(operands[0])
        if not operands or not all(isinstance(o, Products) for o in operands):
            raise UsageError(f'einsum("{formula}", ...) needs at least one tensor, and nothing but tensors, after the formula')
        terms, wanted = einsum.parse(formula, [o.shape for o in operands])
        return operands[0]._contracted(list(operands), terms, wanted)

    def _contracted(self, operands: list[Self], terms: list[list[int]], wanted: list[int]) -> Self:
        """The sum of products of operands, whose axes are named by numbers; equal names meet, and those not wanted are summed over."""
        dtype = operands[0].dtype
        for other in operands[1:]:
            dtype = promote(dtype, other.dtype)
        sizes = einsum.sizes(terms, [o.shape for o in operands])
        left = []
        for i, (operand, term) in enumerate(zip(operands, terms, strict=True)):
            x, names = operand.cast(dtype)._wide()._named(term)
            left.append(x._summed(names, {*wanted, *(name for other in terms[:i] + terms[i + 1 :] for name in other)}))
        while len(left) > 1:
            a, b = einsum.cheapest([names for _, names in left], wanted, sizes)
            (x, first), (y, second) = left[a], left[b]
            rest = [one for i, one in enumerate(left) if i not in (a, b)]
            needed = {*wanted, *(name for _, names in rest for name in names)}
            names = [*first, *(n for n in second if n not in first)]
            # What is summed over comes last, as matmul has it: the same graph, so the same kernel.
            together = [n for n in names if n in needed] + [n for n in names if n not in needed]
            product = x._with_axes(first, together) * y._with_axes(second, together)
            left = [*rest, product._summed(together, needed)]
        result, names = left[0]
        return result.permute([names.index(n) for n in wanted])._narrow_to(dtype)

    def _named(self, names: list[int]) -> tuple[Self, list[int]]:
        """The diagonals of axes of one name; and the names that are left."""
        x, left = self, list(names)
        while repeated := [n for n in left if left.count(n) > 1]:
            name = repeated[0]
            a, b = [i for i, n in enumerate(left) if n == name][:2]
            x = x._diagonal_of(a, b)
            left = [n for i, n in enumerate(left) if i not in (a, b)] + [name]
        return x, left

    def _diagonal_of(self, a: int, b: int) -> Self:
        """The elements at equal places of two axes of one size, as a new last axis."""
        moved = self.permute(*(i for i in range(self.ndim) if i not in (a, b)), a, b)
        *before, size, _ = moved.shape
        if not isinstance(size, int):
            raise ShapeError(f"a diagonal needs axes of known size, not {show(self.shape)}")
        around: list[tuple[int, int] | None] = [None] * len(before)
        # Rows one element longer than the matrix's begin at its diagonal.
        rows = moved.reshape(*before, size * size).pad([*around, (0, size)]).reshape(*before, size, size + 1)
        return rows._narrow(rows.ndim - 1, 0, 1).squeeze(-1)

    def _with_axes(self, names: list[int], together: list[int]) -> Self:
        """With an axis for each name of `together`, of size 1 where it has none."""
        ordered = self.permute([names.index(n) for n in together if n in names])
        sizes = iter(ordered.shape)
        return ordered.reshape(tuple(next(sizes) if n in names else 1 for n in together))

    def _summed(self, names: list[int], needed: set[int]) -> tuple[Self, list[int]]:
        """Without the axes that nobody needs; and the names that are left."""
        gone = [i for i, n in enumerate(names) if n not in needed]
        return (self.sum(gone) if gone else self), [n for n in names if n in needed]
