"""Every method of the surface agrees with PyTorch's CPU: values, shapes, dtypes, gradients; on the reference device and on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from surface import EDGES, MODULES, Case, cases, several

from anneal import Tensor, dtypes
from anneal.ir.dtype import DType

TORCH = {
    dtypes.float32: torch.float32,
    dtypes.float16: torch.float16,
    dtypes.bfloat16: torch.bfloat16,
    dtypes.int32: torch.int32,
    dtypes.int16: torch.int16,
    dtypes.int8: torch.int8,
    dtypes.uint8: torch.uint8,
    dtypes.bool: torch.bool,
}
NARROW = {dtypes.float16: 2e-3, dtypes.bfloat16: 2e-2}
"""Relative tolerance of the narrow floats: two units in the last place."""
ALL = list(cases())


def theirs(case: Case, dtype: DType, seed: int = 0, *, requires_grad: bool = False) -> list[torch.Tensor]:
    """The inputs as PyTorch's tensors."""
    found = []
    for i, one in enumerate(case.inputs):
        kind = one.dtype or dtype
        tensor = torch.tensor(one.made(dtype, seed + i), dtype=TORCH[kind]).reshape(one.shape if one.values is None else torch.Size(np.shape(one.values)))
        found.append(tensor.requires_grad_(requires_grad and one.dtype is None and kind.is_float))
    return found


def agree(ours: Any, wanted: Any, case: Case, dtype: DType) -> None:
    """The same shape and values, NaN where PyTorch has NaN; whole numbers exactly."""
    assert ours.shape == tuple(wanted.shape), (ours.shape, tuple(wanted.shape))
    kind = ours.dtype
    assert TORCH.get(kind) is wanted.dtype or (wanted.dtype is torch.int64 and kind is dtypes.int32), (kind, wanted.dtype)
    found, expected = np.asarray(ours.numpy()), wanted.detach().float().numpy() if wanted.dtype is torch.bfloat16 else wanted.detach().numpy()
    if not kind.is_float:
        np.testing.assert_array_equal(found, expected)
        return
    rtol = max(case.rtol, NARROW.get(dtype, 0), NARROW.get(kind, 0))
    np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), rtol=rtol, atol=max(case.atol, rtol / 10))


def test_there_are_cases_for_every_part() -> None:
    assert len({case.name for case in ALL}) == len(ALL), "two cases have one name"
    assert {type(case) for case in ALL} == {Case}
    assert len(MODULES) == len(set(MODULES))


@pytest.mark.parametrize("device", ["reference", "webgpu"])
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_it_agrees(case: Case, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    call = case.theirs or case.ours
    for dtype in case.dtypes:
        follows = case.gradient and dtype.is_float
        mine, others = case.tensors(dtype, requires_grad=follows), theirs(case, dtype, requires_grad=follows)
        found, wanted = several(case.ours(*mine)), several(call(*others))
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            agree(a, b, case, dtype)
        if not follows:
            continue
        total, other = Tensor([0.0]).sum(), torch.zeros(())
        for number, (a, b) in enumerate(zip(found, wanted, strict=True)):
            if a.dtype.is_float:
                weights = np.random.default_rng(number).uniform(0.5, 1.5, a.shape).astype(np.float32)
                total = total + (a.float() * Tensor(weights)).sum()
                other = other + (b.float() * torch.from_numpy(weights)).sum()
        total.backward()
        other.backward()
        for a, b in zip(mine, others, strict=True):
            if b.requires_grad and b.grad is not None:
                assert a.grad is not None
                agree(a.grad, b.grad, case, dtype)


@pytest.mark.parametrize("device", ["reference", "webgpu"])
@pytest.mark.parametrize("case", [case for case in ALL if case.edges], ids=lambda case: case.name)
def test_edges(case: Case, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", device)
    mine, others = Tensor(list(EDGES)), torch.tensor(EDGES)
    found, wanted = case.ours(mine), (case.theirs or case.ours)(others)
    assert found.shape == tuple(wanted.shape)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=max(case.rtol, 1e-5), atol=case.atol)


@pytest.mark.parametrize("case", [case for case in ALL if case.kernels is not None], ids=lambda case: case.name)
def test_kernels(case: Case) -> None:
    assert case.kernels is not None
    assert case.count() <= case.kernels
