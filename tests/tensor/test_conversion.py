"""Values on the host: numbers, arrays, DLPack, text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch.utils.dlpack

from anneal import DTypeError, ShapeError, Tensor, dtypes
from anneal.tensor import realize


def test_numbers() -> None:
    assert (int(Tensor(3.9)), float(Tensor([2])), bool(Tensor([[0.0]])), bool(Tensor(math.nan))) == (3, 2.0, False, True)
    assert (len(Tensor.zeros(3, 2)), len(Tensor.zeros(0, 2))) == (3, 0)
    assert [row.tolist() for row in Tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    assert (Tensor([5]).item(), Tensor([[True]]).item(), Tensor(2.5).tolist()) == (5, True, 2.5)


def test_numbers_that_are_not_there() -> None:
    for several in (Tensor([1, 2]), Tensor.zeros(0)):
        for act in (bool, int, float, lambda x: x.item()):
            with pytest.raises(ShapeError):
                act(several)
            with pytest.raises(RuntimeError):  # what PyTorch raises
                act(several)
    with pytest.raises(TypeError, match="no length"):
        len(Tensor(1.0))
    with pytest.raises(TypeError, match="iterated"):
        iter(Tensor(1.0))


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float16, dtypes.int32, dtypes.bool])
def test_arrays(dtype: Any) -> None:
    x = Tensor([[0, 1, 2], [3, 0, 5]], dtype=dtype)
    values = np.asarray(x)
    assert values.dtype.name == dtype.name
    assert values.tolist() == x.tolist()
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.array(x, copy=True).flags.owndata
    assert np.from_dlpack(x).tolist() == x.tolist()
    assert torch.utils.dlpack.from_dlpack(x).tolist() == x.tolist()
    with pytest.raises(ValueError, match="copied"):
        np.asarray(x, copy=False)


def test_arrays_of_what_is_computed(device: Any) -> None:
    x = Tensor([1.0, 2.0]) * 2
    np.testing.assert_array_equal(x, [2, 4])
    np.testing.assert_array_equal(np.asarray(Tensor.zeros(0, 3)), np.zeros((0, 3)))
    assert np.asarray(Tensor(2.5)).shape == ()
    assert torch.utils.dlpack.from_dlpack(x + 1).tolist() == [3, 5]


def test_numpy_has_no_bfloat16() -> None:
    x = Tensor([1.5], dtype=dtypes.bfloat16)
    assert np.asarray(x).dtype == np.float32
    with pytest.raises(DTypeError, match="no bfloat16 to hand over"):
        np.from_dlpack(x)


def test_text(device: Any) -> None:
    x = Tensor([[1.0, 2.5], [math.inf, -0.0]]).realize()
    assert repr(x) == f"<Tensor (2, 2) float32 on {device.name}, realised:\n[[1.0, 2.5],\n [inf, -0.0]]>"
    assert repr(Tensor(3)) == "<Tensor () int32, realised: 3>"
    assert repr(Tensor([True, False])) == "<Tensor (2,) bool, realised: [True, False]>"
    assert repr(Tensor([1 / 3, 1e10, math.nan])) == "<Tensor (3,) float32, realised: [0.333333, 1e+10, nan]>"
    assert repr(Tensor(list(range(100)))) == "<Tensor (100,) int32, realised: [0, 1, 2, …, 97, 98, 99]>"
    assert repr(Tensor([[[1], [2]], [[3], [4]]])) == "<Tensor (2, 2, 1) int32, realised:\n[[[1],\n  [2]],\n\n [[3],\n  [4]]]>"
    assert repr(Tensor([])) == "<Tensor (0,) float32, realised>"


def test_text_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pending = (Tensor([1.0, 2.0]) + 1).requires_grad_()
    lazy = pending * 2
    stale = Tensor([1.0])
    known = stale.realize() + 0
    known.realize()

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing may be computed")

    monkeypatch.setattr(realize, "realize", refuse)
    monkeypatch.setattr(realize, "Executable", refuse)
    assert repr(lazy) == "<Tensor (2,) float32, lazy, requires_grad=True>"
    assert repr(pending) == "<Tensor (2,) float32, realised, requires_grad=True>", "its buffer waits for a graph"
    assert ": [1.0]>" in repr(known)


def test_none_is_no_operand() -> None:
    x = Tensor([1.0])
    same, other = bool(x == None), bool(x != None)  # noqa: E711
    assert (same, other) == (False, True)
    with pytest.raises(DTypeError, match="numbers, not NoneType"):
        x + None


def test_to_a_dtype() -> None:
    x = Tensor([1.5, 2.5])
    assert x.to(dtypes.int32).tolist() == [1, 2]
    assert x.to(dtypes.float32) is x
    assert x.type_as(Tensor([True])).dtype is dtypes.bool
