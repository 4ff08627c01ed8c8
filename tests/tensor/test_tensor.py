"""Laziness, storage and gradients of tensors: what is realised when, what an assign means, and what goes stale."""

from __future__ import annotations

import asyncio
import gc
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import anneal
from anneal import DTypeError, GradientError, ShapeError, StaleTensorError, Target, Tensor, dtypes, no_grad
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA
from anneal.tensor import realize


def test_host_data_needs_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realize, "open_device", lambda name: pytest.fail("a device was opened"))
    x = Tensor([[1.0, 2.0]])
    assert x.tolist() == [[1, 2]]
    assert x.numpy().shape == (1, 2)
    assert x.write([[3, 4]]).tolist() == [[3, 4]]


def test_values_can_be_awaited() -> None:
    async def ask(device: str) -> list[Any]:
        x = Tensor([[1.0, 2.0], [3.0, 4.0]], device=device)
        with pytest.raises(ShapeError, match=r"item\(\) needs one element, and shape \(2, 2\) has 4"):
            await (x + 1).item_async()
        return [await x.tolist_async(), await (x * 2).tolist_async(), await x.sum().item_async(), await (x > 2).tolist_async()]

    for device in ("reference", "webgpu"):
        assert asyncio.run(ask(device)) == [[[1, 2], [3, 4]], [[2, 4], [6, 8]], 10, [[False, False], [True, True]]]


def test_realised_values_are_kept(interp: Any) -> None:
    x = Tensor([1.0, 2.0])
    y = x * 3
    assert not y.is_realized
    assert y.tolist() == [3, 6]
    runs = interp.runs
    assert y.tolist() == [3, 6]
    assert y.realize() is y
    assert interp.runs == runs
    assert y.uop.op is Ops.BUFFER


def test_values_are_computed_once_for_later_graphs(interp: Any) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    z = y + 1
    y.realize()
    program = realize.trace([z.uop])
    assert [u.op for u in toposort(program.sink)] == [Ops.PARAM, Ops.CONST, Ops.ADD, Ops.SINK]
    assert z.tolist() == pytest.approx([math.e + 1, math.e**2 + 1])
    z.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([math.e, math.e**2]), "the history is still there"


def test_several_at_once_in_the_order_asked(device: Any) -> None:
    x = Tensor([1.0, 2.0])
    y = x + 1
    z = y * 2
    Tensor.realize(z, x, y, z)
    assert z.tolist() == [4, 6]
    assert y.tolist() == [2, 3]
    assert x.tolist() == [1, 2]
    assert all(t.is_realized for t in (x, y, z))


def test_several_outputs_run_once(interp: Any) -> None:
    x = Tensor([1.0])
    Tensor.realize(x + 1, x + 2, (x + 1) * 2)
    assert interp.runs == 1


def test_reshaped_buffers(device: Any) -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    y = x.reshape(4).realize()
    assert y.tolist() == [1, 2, 3, 4]
    assert (y + 1).tolist() == [2, 3, 4, 5]


def test_assign(device: Any) -> None:
    x = Tensor([1.0, 2.0]).realize()
    x.assign(x + 1)
    assert x.tolist() == [2, 3]
    assert x.tolist() == [2, 3], "once"
    x.assign(x * 2)
    x.assign(x + 1)
    assert x.tolist() == [5, 7]
    x.assign([0.5, 0.25])
    x.assign(x * 2)
    y = x + 1
    assert y.tolist() == [2, 1.5]
    assert x.tolist() == [1, 0.5]
    assert x.assign(4).tolist() == [4, 4]


def test_results_after_an_assign(device: Any) -> None:
    x = Tensor([1.0]).realize()
    before = x * 10
    x.assign(x + 1)
    after, later = x * 10, x * 100
    Tensor.realize(before, x)
    assert before.tolist() == [10], "realised together with the assign, it sees the old value"
    assert after.tolist() == [20]
    assert later.tolist() == [200]


def test_realising_a_reader_runs_the_assign_once(device: Any) -> None:
    x = Tensor([1.0]).realize()
    x.assign(x + 1)
    first, second = x * 10, x * 100
    assert first.tolist() == [20]
    assert second.tolist() == [200]
    assert x.tolist() == [2]


def test_stale_results_raise(device: Any) -> None:
    x = Tensor([1.0]).realize()
    y = x + 1
    x.assign(x * 5).realize()
    assert x.tolist() == [5]
    with pytest.raises(StaleTensorError, match="before that was overwritten by an assign: realise the result before"):
        y.tolist()
    z = x + 1
    x.write([7.0])
    assert x.tolist() == [7]
    with pytest.raises(StaleTensorError):
        z.tolist()


def test_the_same_expression_again_after_its_result_was_overwritten(device: Any) -> None:
    x = Tensor([1.0]).realize()
    y = (x + 1).realize()
    y.assign(y * 10).realize()
    assert (x + 1).tolist() == [2]
    assert y.tolist() == [20]


def test_assign_to_a_computed_tensor(device: Any) -> None:
    x = Tensor.zeros(2) + 1
    x.assign(x + Tensor([1.0, 2.0]))
    assert x.tolist() == [2, 3]


def test_tensors_of_one_buffer_are_assigned_apart(device: Any) -> None:
    x = Tensor([1.0]).realize()
    copy = Tensor(x)
    a, b = x + 1, x + 1
    Tensor.realize(a, b)
    c = x + 1
    c.assign(c * 10).realize()
    b.assign(b * 100)
    x.assign(x + 1).realize()
    assert [t.tolist() for t in (x, copy, a, b, c)] == [[2], [1], [2], [200], [20]]


def test_constants_are_not_remembered(interp: Any) -> None:
    one = (Tensor.ones(3) * 2).realize()
    program = realize.trace([(Tensor.ones(3) * 2 + 1).uop])
    assert program.buffers == ()
    assert one.tolist() == [2, 2, 2]


def test_empty_tensors(device: Any) -> None:
    x = Tensor.zeros(0, 3, requires_grad=True)
    assert (x + 1).tolist() == []
    assert x.assign(x.detach() * 2).tolist() == []
    assert x.sum().item() == 0


def test_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert Tensor([1.0, 2.0]).tolist() == [1, 2]
    with pytest.raises(anneal.UsageError, match="use tolist"):
        Tensor([1.0]).numpy()


def test_wrong_assigns() -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(DTypeError, match="cannot assign int32 to a float32 tensor"):
        x.assign(Tensor([1, 2]))
    with pytest.raises(ShapeError, match="cannot broadcast"):
        x.assign(Tensor([1.0, 2.0, 3.0]))
    with pytest.raises(ShapeError, match="two values that know nothing of each other"):
        Tensor.realize(x.assigned(x + 1), x.assigned(x + 2))
    with pytest.raises(ShapeError, match="cannot write data of shape"):
        x.write([1.0])


def test_a_failed_realise_changes_nothing(interp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = Tensor([1.0, 2.0]).realize()
    y = x + 1
    x.assign(x * 2)
    node = x.uop

    def fail(*_: object) -> None:
        raise anneal.DeviceError("lost")

    with monkeypatch.context() as patch:
        patch.setattr(interp, "execute", fail)
        with pytest.raises(anneal.DeviceError):
            Tensor.realize(x, y)
    assert x.uop is node
    assert not y.is_realized
    Tensor.realize(x, y)
    assert (x.tolist(), y.tolist()) == ([2, 4], [2, 3])


def test_contiguous_and_detach(device: Any) -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.T.contiguous()
    assert y.tolist() == [[1, 3], [2, 4]]
    (y * y.detach()).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1, 2], [3, 4]], "the gradient passes contiguous and stops at detach"
    assert not x.detach().requires_grad


def test_moving_between_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x.to("reference")
    assert y.device == "reference"
    assert y.requires_grad
    assert (y * 2).device == "reference"
    assert (y * 2).tolist() == [2, 4]
    assert y.to("reference") is y
    with pytest.raises(anneal.DeviceError, match="operands are on reference and webgpu"):
        y + Tensor([1.0, 2.0], device="webgpu")


# Gradients.


def test_gradients_accumulate(device: Any) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [5, 7]
    x.zero_grad()
    assert x.grad is None


def test_gradient_of_a_tensor_that_is_no_number(device: Any) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    with pytest.raises(GradientError, match="reduce it to one element first"):
        y.backward()
    y.backward(Tensor([1.0, 10.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [2, 40]
    with pytest.raises(GradientError, match="has shape"):
        y.backward(Tensor([1.0]))


def test_second_derivatives(device: Any) -> None:
    x = Tensor([2.0], requires_grad=True)
    (first,) = (x**3).sum().gradient(x)
    (second,) = first.sum().gradient(x)
    (third,) = second.sum().gradient(x)
    assert [first.item(), second.item(), third.item()] == [12, 12, 6]
    (x**3).sum().backward(create_graph=True)
    assert x.grad is not None
    (x.grad * x.grad).sum().gradient(x)[0].item()


def test_a_gradient_is_a_constant_of_later_losses(device: Any) -> None:
    x = Tensor([2.0], requires_grad=True)
    (x * x).sum().backward()
    grad = x.grad
    assert grad is not None
    x.zero_grad()
    (grad * x).sum().backward()
    found = x.grad
    assert found is not None
    assert found.tolist() == [4]


def test_no_path_to_a_tensor() -> None:
    x, y = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    with pytest.raises(GradientError, match="does not depend"):
        x.sum().gradient(y)
    (x * 1).sum().backward()
    assert y.grad is None
    with pytest.raises(GradientError, match="nothing here requires a gradient"):
        Tensor([1.0]).sum().backward()
    with pytest.raises(GradientError, match="int32 tensor has no gradient"):
        Tensor([1], requires_grad=True)


def test_no_grad(device: Any) -> None:
    w = Tensor([2.0], requires_grad=True)
    with no_grad():
        y = w * 3
    assert not y.requires_grad
    (y * w).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [6], "y is a constant"

    @no_grad()
    def inside() -> Tensor:
        return w * 2

    assert not inside().requires_grad
    assert (w * 2).requires_grad


def test_requires_grad_spreads() -> None:
    w, x = Tensor([2.0], requires_grad=True), Tensor([1.0])
    assert (x + w).requires_grad
    assert not (x + 1).requires_grad
    assert not (w > 1).requires_grad
    assert not w.argmax().requires_grad
    assert (x > 0).where(w, 0).requires_grad
    w.requires_grad = False
    assert not (x + w).requires_grad


def test_a_gradient_has_its_tensors_dtype(device: Any) -> None:
    x = Tensor([1.0, 2.0], dtype=dtypes.float16, requires_grad=True)
    (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype is dtypes.float16
    assert x.grad.tolist() == [2, 4]


def test_gradient_descent(device: Any) -> None:
    p = Tensor([3.0], requires_grad=True)
    seen = []
    for _ in range(3):
        p.zero_grad()
        ((p - 1) ** 2).sum().backward()
        assert p.grad is not None
        p.assign(p - p.grad * 0.1)
        seen.append(p.item())
    assert seen == pytest.approx([2.6, 2.28, 2.024])
    assert p.requires_grad


def test_a_gradient_through_an_assigned_state(device: Any) -> None:
    state, w = Tensor([0.0]).realize(), Tensor([3.0], requires_grad=True)
    state.assign(state + w * 2)
    (state * state).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [24]


# Compiling.


def test_compile_needs_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realize, "open_device", lambda name: pytest.fail("a device was opened"))
    w = Tensor.rand(3, 2, requires_grad=True)
    x = Tensor([[1.0, 2.0, 3.0]])
    loss = (x @ w).sum()
    loss.backward()
    assert w.grad is not None
    plan = anneal.compile(loss, w.assigned(w.detach() - w.grad * 0.1), target=Target.portable())
    assert [b.shape for b in plan.inputs] == [(1, 3), (3, 2)], "a parameter is an input, however it is initialised"
    assert plan.assigned == (1,)
    assert plan.fingerprint == anneal.compile(loss, w.assigned(w.detach() - w.grad * 0.1), target=Target.portable()).fingerprint


def test_plans_know_nothing_of_tensors() -> None:
    def program() -> Any:
        a, b = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
        return realize.trace([((a * b) + a).uop]).sink

    assert program() is program()


def test_running_a_program_again(device: Any) -> None:
    x, w = Tensor([1.0, 2.0]), Tensor([1.0], requires_grad=True)
    run = realize.Executable(realize.trace([(x * w).sum().uop, w.assigned(w.detach() * 2).uop]), realize.open_device(None))
    assert list(run.program.outputs)[1].op is Ops.ASSIGN
    for data in ([1.0, 2.0], [3.0, 4.0]):
        x.write(data)
        run.run()
        scale = w.item() / 2
        assert np.frombuffer(run.read(0), np.float32)[0] == sum(data) * scale
    assert w.item() == 4
    assert w.is_realized


# Bookkeeping.


def test_nodes_know_the_users_line() -> None:
    x = Tensor([1.0])
    y = x.softmax()
    line = sys._getframe().f_lineno - 1
    assert {u.origin for u in toposort(y.uop) if u.op is not Ops.BUFFER} >= {(__file__, line)}
    assert ARENA.origin is None


def test_memory_stays_flat(device: Any) -> None:
    p = Tensor([1.0, 2.0], requires_grad=True)

    def turn() -> None:
        p.zero_grad()
        loss = (p * Tensor.rand(2)).sum()
        loss.backward()
        assert p.grad is not None
        p.assign(p.detach() - p.grad * 0.01)
        loss.item()
        p.tolist()

    for _ in range(3):
        turn()
    gc.collect()
    nodes = len(ARENA)
    for _ in range(10):
        turn()
    gc.collect()
    assert len(ARENA) == nodes


def test_import_is_light() -> None:
    code = "import sys, anneal; print(*sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'wgpu', 'torch'}), 'anneal.schedule' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_descriptions() -> None:
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    assert repr(x) == "<Tensor (1, 2) float32, realised, requires_grad=True: [[1.0, 2.0]]>"
    assert repr((x + 1).detach()) == "<Tensor (1, 2) float32, lazy>"
    assert (x.ndim, x.numel(), len(x)) == (2, 2, 1)
    with pytest.raises(ShapeError, match="item\\(\\) needs one element"):
        x.item()
    with pytest.raises(ShapeError, match="ambiguous"):
        bool(x)
    assert bool(Tensor([2]))
    assert float(Tensor(1.5)) == 1.5
    assert int(Tensor([7])) == 7
    assert torch.tensor(x.tolist()).shape == (1, 2)
