"""Large products in tiles of workgroup memory, with all that may be fused into them, on both devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

import anneal
from anneal import Plan, Target, Tensor, dtypes
from anneal.ir.ops import Ops
from anneal.ir.text import parse_program
from anneal.ir.verify import verify
from anneal.runtime.device import get_device
from anneal.runtime.plan import Kernel

Array = NDArray[Any]
GPU: Final = Target(float16=True)


@pytest.fixture(params=["webgpu", "reference"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each device, with the kernels of a GPU whose workgroup memory is fast."""
    name = str(request.param)
    found = get_device(name)
    monkeypatch.setattr(found, "target", replace(found.target, local_memory=True))
    return name


def whole(*dims: int, seed: int = 0) -> Array:
    """Small whole numbers: sums of their products are exact."""
    return np.random.default_rng(seed).integers(-3, 4, dims).astype(np.float32)


def tiled(kernel: Kernel) -> bool:
    return "tile0" in kernel.wgsl


def plan(*outputs: Tensor) -> Plan:
    return anneal.compile(*outputs, target=GPU)


Build = Callable[[Tensor, Tensor, Tensor], Tensor]
CASES: Final[dict[str, tuple[Build, Callable[[Array, Array, Array], Array]]]] = {
    "plain": (lambda a, b, c: a @ b, lambda a, b, c: a @ b),
    "transposed left": (lambda a, b, c: a.T @ b, lambda a, b, c: a.T @ b),
    "transposed right": (lambda a, b, c: a @ b.T, lambda a, b, c: a @ b.T),
    "both transposed": (lambda a, b, c: a.T @ b.T, lambda a, b, c: a.T @ b.T),
    "bias and relu": (lambda a, b, c: (a @ b + c[0]).relu(), lambda a, b, c: np.maximum(a @ b + c[0], 0)),
    "relu of an operand": (lambda a, b, c: a.relu() @ (b * 2 + 1), lambda a, b, c: np.maximum(a, 0) @ (b * 2 + 1)),
    "mask of an operand": (lambda a, b, c: (c > 0).where(a, 0) @ b, lambda a, b, c: np.where(c > 0, a, 0) @ b),
    "result with another": (lambda a, b, c: (a @ b) * c - c.T, lambda a, b, c: (a @ b) * c - c.T),
    "transposed result": (lambda a, b, c: (a @ b).T.contiguous(), lambda a, b, c: (a @ b).T),
    "padded operand": (lambda a, b, c: a[:, 3:].pad([(0, 0), (1, 2)]) @ b, lambda a, b, c: np.pad(a[:, 3:], [(0, 0), (1, 2)]) @ b),
    "flipped operand": (lambda a, b, c: a.flip(1) @ b.flip(0, 1), lambda a, b, c: a[:, ::-1] @ b[::-1, ::-1]),
    "one matrix": (lambda a, b, c: a @ a, lambda a, b, c: a @ a),
    "whole numbers": (lambda a, b, c: (a.int() @ b.int()).float(), lambda a, b, c: a @ b),
}


@pytest.mark.parametrize("name", CASES)
def test_a_tiled_product(name: str, device: str) -> None:
    make, wanted = CASES[name]
    arrays = [whole(256, 256, seed=i) for i in range(3)]
    result = make(*(Tensor(x, device=device) for x in arrays))
    kernels = plan(result).kernels
    if name not in ("padded operand", "transposed result"):
        assert any(tiled(k) for k in kernels), [k.name for k in kernels]
    assert np.array_equal(result.numpy(), wanted(*arrays))


@pytest.mark.parametrize("dims", [(4, 128, 256, 128), (2, 2, 128, 128, 256)])
def test_a_tiled_batch(dims: tuple[int, ...], device: str) -> None:
    *batch, m, k, n = dims
    a, b = whole(*batch, m, k), whole(*batch, k, n, seed=1)
    result = Tensor(a, device=device) @ Tensor(b, device=device)
    assert np.array_equal(result.numpy(), a @ b)
    shared = Tensor(a, device=device) @ Tensor(b[(0,) * len(batch)], device=device)
    assert np.array_equal(shared.numpy(), a @ b[(0,) * len(batch)])


def test_a_tiled_product_in_half_precision(device: str) -> None:
    a, b = whole(256, 256), whole(256, 256, seed=1)
    result = Tensor(a, device=device).half() @ Tensor(b, device=device).half()
    np.testing.assert_allclose(result.numpy().astype(np.float32), a @ b, rtol=2e-3, atol=1)
    assert result.dtype is dtypes.float16


def test_an_assigned_product_is_not_read_while_written(device: str) -> None:
    a, b, c = (whole(256, 256, seed=i) for i in range(3))
    w, x, y = (Tensor(v, device=device) for v in (a, b, c))
    w.assign(w - x @ y)
    assert np.array_equal(w.numpy(), a - b @ c)
    w.assign(w.clamp(-2, 2) @ x)
    assert np.array_equal(w.numpy(), np.clip(a - b @ c, -2, 2) @ b)


def test_the_instructions_of_a_tiled_product() -> None:
    (kernel,) = plan(Tensor.zeros(1024, 1024).own() @ Tensor.zeros(1024, 1024).own()).kernels
    program = parse_program(kernel.program)
    verify(program, "program")
    assert tiled(kernel)
    assert sum(u.op is Ops.BARRIER for u in program) == 2
    assert sum(u.op is Ops.REGISTER for u in program) == 64
    loops = 0
    for u in program:
        loops += (u.op is Ops.LOOP) - (u.op is Ops.ENDLOOP)
        if u.op in (Ops.LOAD, Ops.VLOAD) and u.src[0].op is Ops.PARAM:
            assert loops == 1
    shared = sum(u.arg[1] * 4 for u in program if u.op is Ops.LOCAL)
    assert 0 < shared <= GPU.workgroup_bytes
