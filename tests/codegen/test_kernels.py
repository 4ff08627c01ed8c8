"""The code that comes out: affine inner loops, vectors, masks before loads, dispatches that fit, uniform barriers, stable names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from schedule_samples import PORTABLE, SAMPLES, given, plan_of

import anneal
from anneal import CompileError, Plan, Target, Tensor
from anneal.codegen.types import literal, wgsl_type
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.text import parse_program
from anneal.ir.uop import UOp
from anneal.runtime.device import get_device
from anneal.runtime.plan import Kernel

SOFTWARE: Final = Target(local_memory=False)


def plan(*outputs: Tensor, target: Target = PORTABLE) -> Plan:
    return anneal.compile(*outputs, target=target)


def program(kernel: Kernel) -> list[UOp]:
    return list(parse_program(kernel.program))


def loops(kernel: Kernel) -> list[tuple[int, UOp]]:
    """Each instruction with the number of loops around it."""
    depth, found = 0, []
    for u in program(kernel):
        depth -= u.op is Ops.ENDLOOP
        found.append((depth, u))
        depth += u.op is Ops.LOOP
    return found


def inner_lines(kernel: Kernel) -> list[str]:
    """The lines of WGSL inside of loops."""
    depth, found = 0, []
    for line in kernel.wgsl.splitlines():
        if line.strip() == "}" and depth:
            depth -= 1
        elif depth or line.strip().startswith("for ("):
            found.append(line)
            depth += line.rstrip().endswith("{")
    return found


# Inner loops.


@pytest.mark.parametrize("target", [PORTABLE, SOFTWARE], ids=["gpu", "software"])
@pytest.mark.parametrize(("m", "k", "n"), [(16, 32, 8), (64, 64, 64), (63, 65, 67), (1, 300, 5), (256, 256, 256), (1024, 1024, 1024)])
def test_the_inner_loop_of_a_product_divides_nothing(m: int, k: int, n: int, target: Target) -> None:
    (kernel,) = plan(given(m, k) @ given(k, n), target=target).kernels
    inside = [u for depth, u in loops(kernel) if depth]
    assert any(u.op is Ops.SET for u in inside)
    if "tile0" not in kernel.wgsl:  # a tile's places are found once for many products
        assert not [u for u in inside if u.op in (Ops.IDIV, Ops.MOD)]


def test_the_inner_loop_of_a_product_reads_affinely() -> None:
    (kernel,) = plan(given(7, 11) @ given(11, 3)).kernels
    lines = inner_lines(kernel)
    assert len(lines) > 2
    assert not [line for line in lines if "%" in line or "/" in line]
    reads = re.findall(r"data\d\[([^\]]*)\]", "\n".join(lines))
    assert reads
    assert all(re.fullmatch(r"[\w+*() ]+", read) for read in reads)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_inner_loop_of_a_convolution_divides_nothing(stride: int) -> None:
    (kernel,) = plan(given(2, 3, 9, 9).conv2d(given(4, 3, 3, 3), stride=stride)).kernels
    inside = [u for depth, u in loops(kernel) if depth]
    assert any(u.op is Ops.LOAD for u in inside)
    assert not [u for u in inside if u.op in (Ops.IDIV, Ops.MOD)]


def test_what_does_not_depend_on_a_loop_stands_before_it() -> None:
    scale = given(1)
    (kernel,) = plan((given(8, 64) * scale.exp()).sum(1)).kernels
    assert [depth for depth, u in loops(kernel) if u.op is Ops.EXP2] == [0]


# Vectors.


def vectors(kernel: Kernel) -> set[int]:
    return {int(n) for n in re.findall(r"data(\d): array<vec4<", kernel.wgsl)}


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((4096,), {0, 1, 2}), ((64, 64), {0, 1, 2}), ((4097,), set()), ((63, 65), set()), ((64, 66), set())],
)
def test_neighbours_are_loaded_and_stored_together_where_aligned(size: tuple[int, ...], wanted: set[int]) -> None:
    (kernel,) = plan(given(*size) + given(*size)).kernels
    assert vectors(kernel) == wanted


def test_shifted_reads_are_not_vectors() -> None:
    (kernel,) = plan(given(4100)[1:4097] + given(4096)).kernels
    assert 0 in vectors(kernel)
    shifted = [b for b in range(3) if b not in vectors(kernel)]
    assert len(shifted) == 1


def test_an_index_read_from_a_vector() -> None:
    table, places = np.arange(4096, dtype=np.float32), (np.arange(4096) * 7 % 4096).astype(np.int32)
    for device in ("webgpu", "reference"):
        assert np.array_equal(Tensor(table, device=device)[Tensor(places, device=device)].numpy(), table[places])


# Edges and dispatches.


@pytest.mark.parametrize("size", [1, 31, 32, 33, 1000, 1021, 65_537])
def test_invocations_beyond_the_edge_do_nothing(size: int) -> None:
    (kernel,) = plan(given(size) * 2).kernels
    instructions = program(kernel)
    total = int(np.prod([int(n) for n in kernel.workgroups])) * int(np.prod(kernel.workgroup_size))
    assert total >= size
    if total == size:
        assert not any(u.op is Ops.IF for u in instructions)
        return
    first = next(i for i, u in enumerate(instructions) if u.op is Ops.IF)
    assert all(i > first for i, u in enumerate(instructions) if u.op in (Ops.LOAD, Ops.STORE, Ops.VLOAD))


@pytest.mark.parametrize(("size", "limit"), [(1000, 7), (64 * 100, 31), (5000, 65_535), (64 * 12, 12)])
def test_dispatches_keep_within_the_limit(size: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    device = get_device("reference")
    monkeypatch.setattr(device, "target", Target(workgroups=limit, float16=True))
    data = np.arange(size, dtype=np.int32)
    found = (Tensor(data, device="reference") * 3).numpy()
    assert np.array_equal(found, data * 3)
    for kernel in plan(Tensor(data) * 3, target=device.target).kernels:
        assert max(int(n) for n in kernel.workgroups) <= limit


def test_rows_over_two_dimensions_of_workgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    device = get_device("reference")
    monkeypatch.setattr(device, "target", Target(workgroups=7))
    data = np.random.default_rng(0).integers(-5, 6, (40, 300)).astype(np.float32)
    x = Tensor(data, device="reference")
    result = x - x.max(1, keepdim=True)
    (kernel,) = plan(result, target=device.target).kernels
    assert int(kernel.workgroups[1]) > 1
    assert np.array_equal(result.numpy(), data - data.max(1, keepdims=True))


def test_a_dispatch_that_no_dimensions_hold_is_an_error() -> None:
    with pytest.raises(CompileError, match="split the tensor"):
        plan(given(100_000) + 1, target=Target(workgroups=3))


def test_small_targets_get_small_workgroups() -> None:
    target = Target(invocations=16, workgroup_bytes=256)
    for name in ("softmax", "mlp_sgd", "two_axes", "large_sum"):
        for kernel in plan_of(name, target).kernels:
            assert int(np.prod(kernel.workgroup_size)) <= 16
            assert sum(u.arg[1] * 4 for u in program(kernel) if u.op is Ops.LOCAL) <= 256


def test_an_index_beyond_32_bits_is_an_error() -> None:
    with pytest.raises(CompileError, match="32 bits"):
        plan(Tensor.arange(65_536).reshape(65_536, 1) * Tensor.arange(65_536), target=replace(PORTABLE, binding_bytes=1 << 40))


# Guarded reads.


@pytest.mark.parametrize("device", ["webgpu", "reference"])
def test_reads_under_a_gate_stay_inside(device: str) -> None:
    data = np.arange(1, 8, dtype=np.float32)
    x = Tensor(data, device=device)
    assert np.array_equal(x.pad([(100, 50)]).numpy(), np.pad(data, (100, 50)))
    framed = np.pad(np.pad(data, (3, 2), constant_values=9)[::-1], 1, constant_values=-1)
    assert np.array_equal(x.pad([(3, 2)], 9.0).flip(0).pad([(1, 1)], -1.0).numpy(), framed)
    windows = x.pad([(2, 2)]).unfold(0, 3, 2)
    assert np.array_equal(windows.numpy(), np.lib.stride_tricks.sliding_window_view(np.pad(data, 2), 3)[::2])
    places = Tensor(np.array([-100, -7, 0, 6, 7, 2**31 - 1, -(2**31)], np.int32), device=device)
    gathered = Tensor(build.gather(x.uop, places.uop), device=device).tolist()
    assert gathered == [0.0, 0.0, 1.0, 7.0, 0.0, 0.0, 0.0]


def test_a_gate_chooses_the_index_before_the_load() -> None:
    (kernel,) = plan(given(7).pad([(3, 3)])).kernels
    gated = [u for u in program(kernel) if u.op is Ops.LOAD]
    assert len(gated) == 1
    assert len(gated[0].src) == 3
    assert re.search(r"data1\[select\(0, ", kernel.wgsl)


# Barriers.


@pytest.mark.parametrize("name", ["softmax", "two_axes", "large_sum", "mlp_sgd", "attention"])
def test_workgroup_memory_is_written_and_read_across_barriers(name: str) -> None:
    """What one invocation writes is read after a barrier; `verify` has seen that no invocation misses one."""
    barriers = 0
    for kernel in plan_of(name).kernels:
        written: set[UOp] = set()
        for u in program(kernel):
            if u.op is Ops.STORE and u.src[0].op is Ops.LOCAL:
                written.add(u.src[0])
            elif u.op is Ops.BARRIER:
                barriers += 1
                written.clear()
            elif u.op is Ops.LOAD and u.src[0].op is Ops.LOCAL:
                assert u.src[0] not in written
    assert barriers or name in ("two_axes", "mlp_sgd", "attention")


# Text.


@pytest.mark.parametrize("name", SAMPLES)
def test_text_is_stable_and_readable(name: str) -> None:
    first, second = plan_of(name), anneal.compile(*SAMPLES[name](), target=replace(PORTABLE, workgroup_z=63))
    assert first.target != second.target
    assert [k.name for k in first.kernels] == [k.name for k in second.kernels]
    assert [k.wgsl for k in first.kernels] == [k.wgsl for k in second.kernels]
    assert len({k.name for k in first.kernels}) == len(first.kernels)
    for kernel in first.kernels:
        assert kernel.name.isidentifier()
        assert re.search(r"^  // ", kernel.wgsl, re.MULTILINE)
        assert [int(n) for n in re.findall(r"@binding\((\d+)\)", kernel.wgsl)] == list(range(len(kernel.bindings)))
        for number, binding in enumerate(kernel.bindings):
            assert (f"var<storage, {'read_write' if binding.writes else 'read'}> data{number}:" in kernel.wgsl) is True
        assert max(map(len, kernel.wgsl.splitlines())) < 400


def test_kernels_that_differ_only_in_their_buffers_are_generated_once() -> None:
    x = given(16, 16)
    for i in range(4):
        x = (x @ given(16, 16)).relu() if i % 2 else x @ given(16, 16)
    plans = plan(x)
    assert len(plans.kernels) == 4
    assert len({k.wgsl for k in plans.kernels}) == 2


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (1.0, dtypes.float32, "1.0"),
        (-0.0, dtypes.float32, "-0.0"),
        (1e30, dtypes.float32, "1e+30f"),
        (65504.0, dtypes.float16, "f16(65504.0)"),
        (-(2**31), dtypes.int32, "i32(-2147483647 - 1)"),
        (2**32 - 1, dtypes.uint32, "4294967295u"),
        (True, dtypes.bool, "true"),
        (7, dtypes.index, "7"),
        (-7, dtypes.int32, "-7"),
    ],
)
def test_literals(value: Any, dtype: Any, text: str) -> None:
    assert literal(value, dtype) == text


def test_types() -> None:
    assert [wgsl_type(d) for d in (dtypes.float32, dtypes.bfloat16, dtypes.float16, dtypes.bool, dtypes.index)] == ["f32", "f32", "f16", "bool", "i32"]
    with pytest.raises(CompileError, match="WGSL has no float64"):
        wgsl_type(dtypes.float64)
