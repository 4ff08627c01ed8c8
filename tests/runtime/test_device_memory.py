"""Memory stays flat, blocks come back, and what is in flight keeps its contents."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from kernel_cases import F32, add_kernel, buffer, make_plan, with_temporaries

from anneal.errors import DeviceError
from anneal.runtime.base import Storage
from anneal.runtime.device import get_device
from anneal.runtime.pool import Pool, capacity
from anneal.runtime.webgpu import WebGPUDevice


@pytest.fixture
def gpu() -> WebGPUDevice:
    device = get_device("webgpu")
    assert isinstance(device, WebGPUDevice)
    return device


def resident() -> int:
    """Resident kilobytes of this process."""
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmRSS"))
    return int(line.split()[1])


def test_a_thousand_executes_hold_memory_flat(gpu: WebGPUDevice) -> None:
    case = with_temporaries()

    def turn() -> None:
        storages = [gpu.allocate(400), gpu.allocate(400)]
        gpu.write(storages[0], case.inputs[0].tobytes())
        gpu.execute(case.plan, storages)
        assert len(gpu.read(storages[1], 400)) == 400

    for _ in range(50):
        turn()
    gc.collect()
    tracemalloc.start()
    before, pages = tracemalloc.get_traced_memory()[0], resident()
    for _ in range(1000):
        turn()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 100_000
    assert resident() - pages < 8_000


def test_new_plans_each_turn_hold_memory_flat(gpu: WebGPUDevice) -> None:
    for n in range(1, 600):
        plan = make_plan([buffer("input", F32, 8), buffer("output", F32, 8)], [add_kernel("add", n % 7 + 1, [(0, False), (1, True)])])
        gpu.execute(plan, [gpu.allocate(32), gpu.allocate(32)])
    assert len(gpu._plans) <= 256
    assert len(gpu._pipelines) <= 2048


def test_a_freed_block_is_used_again_in_order(gpu: WebGPUDevice) -> None:
    """A storage freed while its work is in flight may be handed out at once: the queue keeps the order."""
    n = 4096
    plan = make_plan([buffer("input", F32, n), buffer("output", F32, n)], [add_kernel("add", n, [(0, False), (1, True)])])
    kept: list[Storage] = []
    for turn in range(40):
        source, result = gpu.allocate(4 * n), gpu.allocate(4 * n)
        gpu.write(source, np.full(n, turn, np.float32).tobytes())
        gpu.execute(plan, [source, result])
        kept.append(result)
        del source
    found = gpu.read_many([(s, 4 * n) for s in kept])
    for turn, data in enumerate(found):
        assert (np.frombuffer(data, np.float32) == turn + 1).all()


def test_plans_share_their_temporaries(gpu: WebGPUDevice) -> None:
    """Two plans in turn, of which the second needs larger temporaries than the first had."""
    plans = []
    for n in (64, 5000, 300):
        kernels = [add_kernel("a", n, [(0, False), (2, True)]), add_kernel("b", n, [(2, False), (1, True)], 2.0)]
        plans.append((n, make_plan([buffer("input", F32, n), buffer("output", F32, n), buffer("temporary", F32, n)], kernels)))
    for _ in range(2):
        for n, plan in plans:
            storages = [gpu.allocate(4 * n), gpu.allocate(4 * n)]
            gpu.write(storages[0], np.arange(n, dtype=np.float32).tobytes())
            gpu.execute(plan, storages)
            np.testing.assert_array_equal(np.frombuffer(gpu.read(storages[1], 4 * n), np.float32), np.arange(n) + 3)


def test_capacities_waste_an_eighth_at_most() -> None:
    for nbytes in [0, 1, 255, 256, 257, 65536, 65537, 100_000, (1 << 27) - 4, 1 << 27, (1 << 27) + 4]:
        room = capacity(nbytes)
        assert nbytes <= room
        assert room % 256 == 0
        assert room <= max(nbytes * 9 // 8, nbytes + 256)


def test_the_pool_drops_what_it_may_not_keep() -> None:
    dropped: list[bytearray] = []
    pool = Pool(make=bytearray, drop=dropped.append, limit=512)
    blocks = [pool.take(256) for _ in range(3)]
    for block in blocks:
        pool.give(256, block)
    assert pool.take(256) is blocks[1]
    assert dropped == [blocks[2]]
    assert pool.free_bytes == 256
    pool.clear()
    assert pool.free_bytes == 0
    assert len(dropped) == 2


def test_out_of_memory_lets_go_of_what_is_only_kept(gpu: WebGPUDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool, the temporaries and the recordings are given up before an allocation fails, and plans run on afterwards."""
    case = with_temporaries()
    storages = [gpu.allocate(400), gpu.allocate(400)]
    gpu.write(storages[0], case.inputs[0].tobytes())
    gpu.execute(case.plan, storages)
    make, tries = gpu._pool._make, []

    def fails_once(room: int) -> object:
        tries.append(room)
        if len(tries) == 1:
            raise DeviceError("out of memory")
        return make(room)

    monkeypatch.setattr(gpu._pool, "_make", fails_once)
    large = gpu.allocate(3_333_333)
    assert len(tries) == 2
    assert gpu._scratch == []
    assert gpu._pool.free_bytes == 0
    gpu.execute(case.plan, storages)
    np.testing.assert_array_equal(np.frombuffer(gpu.read(storages[1], 400), np.float32), case.expected[0])
    assert large.nbytes == 3_333_336
