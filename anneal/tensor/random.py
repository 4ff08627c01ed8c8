"""Random numbers: a counter-based generator in the graph, with the same bits on every device.

Threefry2x32 with 20 rounds (Salmon and others, Parallel random numbers: as easy as 1, 2, 3, SC 2011). Each call has a key of its own:
call number c of seed s has the key threefry(s, c). Element i of a call is made of block (i, 0) under that key. The key is a buffer of two
words, not a constant, so all calls of one shape share one plan.

>>> from anneal import Tensor
>>> [hex(word) for word in threefry((0, 0), (0, 0))]
['0x6b200159', '0x99ba4efe']
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final, Self

from anneal.errors import DTypeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.shape import product, show
from anneal.tensor import host, shapes
from anneal.tensor.losses import Losses
from anneal.tensor.storage import Buffer

_ROTATIONS: Final = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY: Final = 0x1BD11BDA
_WORD: Final = 0xFFFFFFFF
_SHORTEST: Final = 1e-30
"""A wait that is taken for none."""
_ROUNDS: Final = 5
"""Groups of four rounds."""


def threefry(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """One block of two words, from Python integers."""
    x, y = _mix(key, counter, key[0] ^ key[1] ^ _PARITY, _rotated)
    return x & _WORD, y & _WORD


def _rotated(word: int, by: int) -> int:
    word &= _WORD
    return (word << by | word >> (32 - by)) & _WORD


def _mix(key: tuple[Any, Any], counter: tuple[Any, Any], parity: Any, rotate: Callable[[Any, int], Any]) -> tuple[Any, Any]:
    """The rounds, for any words with + and ^ modulo 2**32."""
    keys = (*key, parity)
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(_ROUNDS):
        for by in _ROTATIONS[group % 2]:
            x = x + y
            y = rotate(y, by) ^ x
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + (group + 1)
    return x, y


def _before(value: Scalar, dtype: DType) -> float:
    """The largest normal number of a float type below a number."""
    found = float(dtype.round(value))
    unit = math.ldexp(1.0, max(math.frexp(found)[1] - dtype.digits, dtype.lowest))
    for step in (0.0, unit / 2, unit, unit * 2):
        if (lower := float(dtype.round(found - step))) < value:
            return lower
    return found


class _State:
    """Where the program's stream of random numbers is."""

    seed: ClassVar[int] = time.time_ns() & _WORD
    calls: ClassVar[int] = 0


class Random(Losses):
    """Tensors of random numbers."""

    __slots__ = ()

    @classmethod
    def manual_seed(cls, seed: int = 0) -> None:
        """Start the stream of random numbers that belongs to `seed`."""
        if not 0 <= seed < 1 << 64:
            raise UsageError(f"a seed is an integer from 0 to 2**64 - 1, not {seed}")
        _State.seed, _State.calls = seed, 0

    @classmethod
    def _words(cls, shape: tuple[Any, ...], device: str | None) -> tuple[Self, Self]:
        """Two uint32 tensors of random bits; advances the stream."""
        seed = (_State.seed & _WORD, _State.seed >> 32)
        key = threefry(seed, (_State.calls & _WORD, _State.calls >> 32))
        _State.calls += 1
        buffer = Buffer((2,), dtypes.uint32, pending=host.pack(key, dtypes.uint32), device=device)
        keys = cls._wrap(buffer.uop, device)
        counter = cls._wrap(build.iota(product(shape), dtypes.uint32), device)
        k0, k1 = keys[0:1], keys[1:2]
        x, y = _mix((k0, k1), (counter, counter.zeros_like()), k0 ^ k1 ^ _PARITY, lambda w, by: (w << by) | (w >> (32 - by)))
        return x.reshape(shape), y.reshape(shape)

    def _fraction(self, dtype: DType = dtypes.float32) -> Self:
        """Bits as floats in [0, 1), as fine as the dtype has them."""
        bits = min(dtype.digits, dtypes.float32.digits)
        return ((self >> (32 - bits)).cast(dtypes.float32) * 2.0**-bits).cast(dtype)

    @classmethod
    def _checked(cls, shape: tuple[Any, ...], dtype: DType) -> tuple[Any, ...]:
        if not dtype.is_float:
            raise DTypeError(f"random floats cannot be {dtype.name}: use randint, or float32 and a cast")
        build.check_storable(dtype)
        return shapes.sizes(shape)

    def _grad(self, requires_grad: bool) -> Self:
        return self.requires_grad_() if requires_grad else self

    @classmethod
    def rand(cls, *shape: Any, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """Uniform in [0, 1)."""
        return cls._words(cls._checked(shape, dtype), device)[0]._fraction(dtype)._grad(requires_grad)

    @classmethod
    def uniform(
        cls, *shape: Any, low: Scalar = 0.0, high: Scalar = 1.0, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False
    ) -> Self:
        """Uniform in [low, high): where rounding would give `high`, it is the number of `dtype` below that."""
        if not low <= high:
            raise UsageError(f"uniform: no numbers lie from {low} to {high}")
        bits = cls._words(cls._checked(shape, dtype), device)[0]
        found = (bits._fraction() * (high - low) + low).cast(dtype)
        return (found.minimum(_before(high, dtype)) if low < high else found)._grad(requires_grad)

    @classmethod
    def randn(cls, *shape: Any, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """Normal with mean 0 and deviation 1, by Box and Muller's method from the two words of each block."""
        first, second = cls._words(cls._checked(shape, dtype), device)
        radius = ((1 - first._fraction()).log() * -2).sqrt()
        return (radius * (second._fraction() * (2 * math.pi)).cos()).cast(dtype)._grad(requires_grad)

    @classmethod
    def normal(
        cls, *shape: Any, mean: Scalar = 0.0, std: Scalar = 1.0, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False
    ) -> Self:
        """Normal with the given mean and deviation."""
        return (cls.randn(*shape, device=device) * std + mean).cast(dtype)._grad(requires_grad)

    def rand_like(self, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> Self:
        """This shape, dtype and device, uniform in [0, 1)."""
        return self.rand(self.shape, dtype=dtype or self.dtype, device=device or self._device, requires_grad=requires_grad)

    def randn_like(self, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> Self:
        """This shape, dtype and device, normal with mean 0 and deviation 1."""
        return self.randn(self.shape, dtype=dtype or self.dtype, device=device or self._device, requires_grad=requires_grad)

    def uniform_(self, low: Scalar = 0.0, high: Scalar = 1.0) -> Self:
        """Uniform in [low, high), in place; returns the tensor."""
        return self._overwrite(self.uniform(self.shape, low=low, high=high, dtype=self.dtype, device=self._device))

    def normal_(self, mean: Scalar = 0.0, std: Scalar = 1.0) -> Self:
        """Normal with the given mean and deviation, in place; returns the tensor."""
        return self._overwrite(self.normal(self.shape, mean=mean, std=std, dtype=self.dtype, device=self._device))

    @classmethod
    def randint(cls, *shape: Any, low: int = 0, high: int = 10, dtype: DType = dtypes.int32, device: str | None = None) -> Self:
        """Integers in [low, high), each as likely as the others to within (high - low) / 2**32."""
        if not low < high or high - low > _WORD or not dtype.is_int or low < dtype.min or high - 1 > dtype.max:
            raise UsageError(f"randint: [{low}, {high}) is empty, or does not fit {dtype.name}")
        bits = cls._words(shapes.sizes(shape), device)[0]
        return (bits % (high - low)).cast(dtypes.int32).cast(dtype) + low

    @classmethod
    def randperm(cls, count: int, device: str | None = None) -> Self:
        """The numbers below `count` in random order: how many of `count` random words are smaller than each; count**2 comparisons."""
        words = cls._words(shapes.sizes((count,)), device)[0]
        at = cls._iota(count)
        mine, mine_at = words.unsqueeze(1), at.unsqueeze(1)
        return ((words < mine) | ((words == mine) & (at < mine_at))).sum(1)

    def multinomial(self, num_samples: int, replacement: bool = False) -> Self:
        """Positions along the last axis, drawn as likely as these weights, 0 or more, say; int32. Of a matrix, `num_samples` for each row.

        Without `replacement` a position is drawn once, and those of weight 0 after all others; with it, they are not drawn.
        """
        if not self.dtype.is_float or self.ndim not in (1, 2):
            raise ShapeError(f"multinomial takes one or two axes of floats, not {show(self.shape)} of {self.dtype.name}")
        count = self.shape[-1]
        if num_samples < 1 or (isinstance(count, int) and (not count or (num_samples > count and not replacement))):
            raise UsageError(f"multinomial: cannot draw {num_samples} of {show((count,))[1:-2]}{'' if replacement else ' without replacement'}")
        weights = self.detach().float()
        if replacement:
            sums = weights.cumsum(-1)
            drawn = self._words((*self.shape[:-1], num_samples), self._device)[0]._fraction() * sums[..., -1:]
            return (sums.unsqueeze(-2) <= drawn.unsqueeze(-1)).sum(-1).minimum(count - 1)
        # The order in which exponential clocks of these rates ring.
        waits = -(1 - self._words(self.shape, self._device)[0]._fraction()).log()
        return (weights / waits.maximum(_SHORTEST)).topk(num_samples, -1)[1]

    @classmethod
    def kaiming_uniform(cls, *shape: Any, a: float = 0.01, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """He's uniform initialisation for a weight (out, in, ...) before a leaky ReLU of slope `a`."""
        bound = math.sqrt(6 / (1 + a * a)) / math.sqrt(max(1, cls._fans(shape)[0]))
        return cls.uniform(*shape, low=-bound, high=bound, dtype=dtype, device=device, requires_grad=requires_grad)

    @classmethod
    def kaiming_normal(cls, *shape: Any, a: float = 0.01, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """He's normal initialisation for a weight (out, in, ...) before a leaky ReLU of slope `a`."""
        std = math.sqrt(2 / (1 + a * a)) / math.sqrt(max(1, cls._fans(shape)[0]))
        return cls.normal(*shape, std=std, dtype=dtype, device=device, requires_grad=requires_grad)

    @classmethod
    def scaled_uniform(cls, *shape: Any, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """Uniform in [-1, 1), divided by the square root of the number of elements."""
        count = math.prod(d for d in shapes.sizes(shape) if isinstance(d, int))
        bound = max(1, count) ** -0.5
        return cls.uniform(*shape, low=-bound, high=bound, dtype=dtype, device=device, requires_grad=requires_grad)

    @classmethod
    def glorot_uniform(cls, *shape: Any, dtype: DType = dtypes.float32, device: str | None = None, requires_grad: bool = False) -> Self:
        """Glorot's uniform initialisation for a weight (out, in, ...)."""
        bound = math.sqrt(6 / max(1, sum(cls._fans(shape))))
        return cls.uniform(*shape, low=-bound, high=bound, dtype=dtype, device=device, requires_grad=requires_grad)

    @classmethod
    def _fans(cls, shape: tuple[Any, ...]) -> tuple[int, int]:
        """How many inputs an output has, and outputs an input."""
        sizes = [d for d in shapes.sizes(shape) if isinstance(d, int)]
        if len(sizes) < 2:
            raise ShapeError(f"an initialisation by fan needs a weight of at least 2 axes, not shape {show(tuple(sizes))}")
        field = math.prod(sizes[2:])
        return sizes[1] * field, sizes[0] * field

    def dropout(self, p: float = 0.5) -> Self:
        """In training, elements set to 0 with probability `p` and the others divided by 1 - p; otherwise the tensor itself."""
        if not 0 <= p <= 1:
            raise UsageError(f"dropout: a probability is from 0 to 1, not {p}")
        if not type(self).training or p == 0:
            return self
        if p == 1:
            return self.zeros_like()
        kept = self._words(self.shape, self._device)[0]._fraction() >= p
        return kept.where(self / (1 - p), 0)
