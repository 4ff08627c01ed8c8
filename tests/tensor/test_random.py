"""The random generator agrees with published vectors and a plain-Python oracle, and its numbers look random."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anneal import DTypeError, ShapeError, Tensor, UsageError, dtypes
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


def drawn(device: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A few numbers of each kind on a device, from one seed."""
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    Tensor.manual_seed(11)
    weights = Tensor([[0.5, 0.0, 0.25, 0.25], [0.0, 1.0, 1.0, 2.0]])
    found = {
        "rand": Tensor.rand(33),
        "rand_like": weights.rand_like(),
        "uniform": Tensor.uniform(33, low=-3, high=5),
        "randint": Tensor.randint(33, low=-9, high=99),
        "scaled_uniform": Tensor.scaled_uniform(4, 4),
        "kaiming_uniform": Tensor.kaiming_uniform(4, 4),
        "glorot_uniform": Tensor.glorot_uniform(4, 4),
        "randperm": Tensor.randperm(20),
        "multinomial": weights.multinomial(16, replacement=True),
        "uniform_": Tensor.zeros(5).uniform_(2, 3),
    }
    close = {
        "randn": Tensor.randn(33),
        "normal": Tensor.normal(8, mean=2, std=3),
        "kaiming_normal": Tensor.kaiming_normal(4, 4),
        "randn_like": weights.randn_like(),
    }
    Tensor.realize(*found.values(), *close.values())
    return {name: values.numpy() for name, values in (found | close).items()}


def test_equal_numbers_on_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = drawn("reference", monkeypatch), drawn("webgpu", monkeypatch)
    for name, values in first.items():
        if name in ("randn", "normal", "kaiming_normal", "randn_like"):  # logarithms and sines differ in the last place
            np.testing.assert_allclose(values, second[name], atol=2e-4, err_msg=name)
        else:
            np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    Tensor.manual_seed(4)
    count = 40_000
    for values, mean, deviation in [
        (Tensor.rand(count), 0.5, math.sqrt(1 / 12)),
        (Tensor.randn(count), 0, 1),
        (Tensor.uniform(count, low=-4, high=2), -1, math.sqrt(3)),
        (Tensor.normal(count, mean=-2, std=0.5), -2, 0.5),
        (Tensor.scaled_uniform(200, 200), 0, math.sqrt(1 / 3) / 200),
        (Tensor.glorot_uniform(100, 300, 1), 0, math.sqrt(2 / 400)),
        (Tensor.kaiming_uniform(100, 400, a=0), 0, math.sqrt(2 / 400)),
        (Tensor.kaiming_normal(100, 400, a=1), 0, math.sqrt(1 / 400)),
        (Tensor.zeros(count).normal_(3, 2), 3, 2),
        (Tensor.zeros(count).uniform_(), 0.5, math.sqrt(1 / 12)),
        (Tensor.zeros(count).rand_like(), 0.5, math.sqrt(1 / 12)),
        (Tensor.zeros(count).randn_like(), 0, 1),
        (Tensor.randint(count, low=0, high=100).float(), 49.5, math.sqrt((100**2 - 1) / 12)),
    ]:
        found = values.numpy().astype(np.float64)
        assert found.mean() == pytest.approx(mean, abs=5 * deviation / math.sqrt(count))
        assert found.std() == pytest.approx(deviation, rel=0.02)
    normal = np.sort(Tensor.randn(count).numpy())
    wanted = 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in normal]))
    assert np.abs(wanted - np.arange(count) / count).max() < 1.95 / math.sqrt(count), "Kolmogorov and Smirnov's test at 0.1 %"


def test_weighted_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    Tensor.manual_seed(6)
    weights = Tensor([0.0, 3.0, 0.0, 1.0, 4.0, 0.0])
    many = weights.multinomial(8000, replacement=True)
    assert (many.shape, many.dtype) == ((8000,), dtypes.int32)
    assert np.bincount(many.numpy(), minlength=6) / 8000 == pytest.approx([0, 3 / 8, 0, 1 / 8, 1 / 2, 0], abs=0.03)
    rows = Tensor([[1.0, 2.0, 0.0, 5.0]] * 3000)
    each = rows.multinomial(3).numpy()
    assert each.shape == (3000, 3)
    assert all(len(set(row)) == 3 and 2 not in row for row in each.tolist()), "each once, and what has no weight last"
    assert np.bincount(each[:, 0], minlength=4) / 3000 == pytest.approx([1 / 8, 2 / 8, 0, 5 / 8], abs=0.04)
    assert sorted(weights.multinomial(6).tolist()) == list(range(6))


def test_draws_stay_below_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    for low, high, dtype in [
        (1, 1.5, dtypes.float16),
        (1000, 1001, dtypes.float16),
        (0, 1, dtypes.bfloat16),
        (-1, 0, dtypes.float16),
        (2**24, 2**24 + 2, dtypes.float32),
    ]:
        values = Tensor.uniform(3000, low=low, high=high, dtype=dtype)
        assert values.dtype is dtype
        assert low <= values.float().numpy().min()
        assert values.float().numpy().max() < high
    assert Tensor.uniform(2, low=3, high=3).tolist() == [3, 3]


def test_shapes_and_dtypes_of_draws() -> None:
    x = Tensor.zeros(2, 3, dtype=dtypes.float16)
    assert (x.rand_like().shape, x.rand_like().dtype) == ((2, 3), dtypes.float16)
    assert x.randn_like(dtype=dtypes.float32).dtype is dtypes.float32
    assert Tensor.rand().shape == ()
    assert Tensor.rand(0, 3).tolist() == []
    assert Tensor.randperm(0).tolist() == []
    assert Tensor.randn((2, 1), requires_grad=True).requires_grad


def test_draws_that_cannot_be() -> None:
    weights = Tensor([0.5, 0.5])
    refused: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: weights.multinomial(3), UsageError, "cannot draw 3 of 2 without"),
        (lambda: weights.multinomial(0, replacement=True), UsageError, "cannot draw 0"),
        (lambda: Tensor([1, 2]).multinomial(1), ShapeError, "of int32"),
        (lambda: Tensor.zeros(2, 2, 2).multinomial(1), ShapeError, "one or two axes"),
        (lambda: Tensor.uniform(2, low=1, high=0), UsageError, "no numbers"),
        (lambda: Tensor.kaiming_normal(3), ShapeError, "at least 2 axes"),
        (lambda: Tensor([1]).rand_like(), DTypeError, "cannot be int32"),
    ]
    for act, error, words in refused:
        with pytest.raises(error, match=words):
            act()
