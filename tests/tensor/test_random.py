"""The random generator agrees with published vectors and a plain-Python oracle, and its numbers look random."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from anneal import DTypeError, Tensor, UsageError, dtypes
from anneal.runtime.pipeline import compile_graph
from anneal.tensor import realize
from anneal.tensor.random import threefry


def test_published_vectors() -> None:
    """From the kat_vectors file of Random123, for Threefry2x32 with 20 rounds."""
    ones = 0xFFFFFFFF
    assert threefry((0, 0), (0, 0)) == (0x6B200159, 0x99BA4EFE)
    assert threefry((ones, ones), (ones, ones)) == (0x1CB996FC, 0xBB002BE7)
    assert threefry((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3)) == (0xC4923A9C, 0x483DF7A0)


def words(seed: int, call: int, count: int) -> list[tuple[int, int]]:
    key = threefry((seed & 0xFFFFFFFF, seed >> 32), (call, 0))
    return [threefry(key, (i, 0)) for i in range(count)]


@pytest.mark.parametrize("seed", [0, 7, 2**40 + 3])
def test_graph_and_oracle_agree(device: Any, seed: int) -> None:
    Tensor.manual_seed(seed)
    first, second, third, fourth = Tensor.rand(2, 3), Tensor.randint(4, low=-3, high=10), Tensor.rand(3, dtype=dtypes.float16), Tensor.randn(5)
    assert first.flatten().tolist() == [(a >> 8) / 2**24 for a, _ in words(seed, 0, 6)]
    assert second.tolist() == [a % 13 - 3 for a, _ in words(seed, 1, 4)]
    assert third.tolist() == [(a >> 21) / 2**11 for a, _ in words(seed, 2, 3)]
    normal = [math.sqrt(-2 * math.log(1 - (a >> 8) / 2**24)) * math.cos(2 * math.pi * (b >> 8) / 2**24) for a, b in words(seed, 3, 5)]
    assert fourth.tolist() == pytest.approx(normal, rel=1e-4, abs=1e-5)


def test_seeds_repeat_and_calls_differ(device: Any) -> None:
    Tensor.manual_seed(5)
    a, b = Tensor.rand(8).tolist(), Tensor.rand(8).tolist()
    Tensor.manual_seed(5)
    assert Tensor.rand(8).tolist() == a
    assert Tensor.rand(8).tolist() == b
    assert a != b


def test_a_lazy_tensor_has_its_own_numbers(device: Any) -> None:
    x = Tensor.rand(4)
    assert x.tolist() == x.tolist()
    assert (x - x).tolist() == [0] * 4


def test_calls_share_one_plan() -> None:
    programs = [realize.trace([Tensor.rand(16).uop]) for _ in range(2)]
    assert programs[0].sink is programs[1].sink
    assert compile_graph is not None


def test_distributions(interp: Any) -> None:
    Tensor.manual_seed(1)
    uniform = np.array(Tensor.uniform(2000, low=-2, high=4).tolist())
    assert uniform.min() >= -2
    assert uniform.max() < 4
    assert uniform.mean() == pytest.approx(1, abs=0.15)
    normal = np.array(Tensor.normal(2000, mean=3, std=2).tolist())
    assert normal.mean() == pytest.approx(3, abs=0.2)
    assert normal.std() == pytest.approx(2, abs=0.15)
    counts = np.bincount(Tensor.randint(2000, high=4).tolist())
    assert counts.min() > 400
    kaiming = np.array(Tensor.kaiming_uniform(10, 50, a=math.sqrt(5)).tolist())
    assert np.abs(kaiming).max() <= 1 / math.sqrt(50)
    glorot = np.array(Tensor.glorot_uniform(10, 5, 3, 3).tolist())
    assert np.abs(glorot).max() <= math.sqrt(6 / (15 * 9))


def test_permutations(device: Any) -> None:
    Tensor.manual_seed(2)
    values = Tensor.randperm(50).tolist()
    assert sorted(values) == list(range(50))
    assert values != list(range(50))


def test_wrong_calls() -> None:
    with pytest.raises(DTypeError, match="cannot be int32"):
        Tensor.rand(3, dtype=dtypes.int32)
    with pytest.raises(UsageError, match="is empty"):
        Tensor.randint(3, low=5, high=5)
    with pytest.raises(UsageError, match="does not fit uint32"):
        Tensor.randint(3, low=-1, high=5, dtype=dtypes.uint32)
    with pytest.raises(UsageError, match="a seed is"):
        Tensor.manual_seed(-1)
