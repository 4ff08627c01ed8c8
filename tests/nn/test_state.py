"""State of models: names, saving, loading, and that nothing is half done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from anneal import CheckpointError, Tensor, UsageError, dtypes, nn


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


class Model:
    def __init__(self) -> None:
        self.first = nn.Linear(2, 3)
        self.blocks = [nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)]
        self.named = {"head": nn.Linear(3, 1)}
        self.scale = Tensor.ones(1)
        self.name = "model"
        self.again = self.first


def test_names() -> None:
    model = Model()
    names = ["first.weight", "first.bias", "blocks.0.weight", "blocks.1.weight", "named.head.weight", "named.head.bias", "scale"]
    assert list(nn.state.get_state_dict(model)) == names
    assert list(nn.state.get_state_dict(model.first, "x")) == ["x.weight", "x.bias"]
    assert nn.state.get_parameters(model) == [nn.state.get_state_dict(model)[n] for n in names[:-1]] or len(nn.state.get_parameters(model)) == 6


def test_a_ring_of_objects_ends() -> None:
    model = Model()
    model.blocks.append(model)  # type: ignore[arg-type]
    assert len(nn.state.get_state_dict(model)) == 7


def test_save_and_load(tmp_path: Path) -> None:
    tensors = {
        "f32": Tensor([[1.5, -2.0]]),
        "f16": Tensor([1.0, 2.0, 0.5], dtype=dtypes.float16),
        "bf16": Tensor([1.0, -1.0, 0.5, 2.0], dtype=dtypes.bfloat16),
        "i32": Tensor([-(2**31), 5]),
        "u32": Tensor([2**32 - 1], dtype=dtypes.uint32),
        "bool": Tensor([True, False, True]),
        "computed": Tensor([1.0]) + 1,
        "number": Tensor(3.0),
        "empty": Tensor([]),
    }
    path = tmp_path / "state.safetensors"
    nn.state.safe_save(tensors, path, {"step": "7"})
    loaded = nn.state.safe_load(path)
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert (loaded[name].shape, loaded[name].dtype, loaded[name].tolist()) == (tensor.shape, tensor.dtype, tensor.tolist()), name
    assert nn.state.safe_load_metadata(path) == {"step": "7"}
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_other_types_are_widened(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    arrays = {"i16": np.array([-32768, 0, 32767], np.int16), "i64": np.array([-5, 2**31 - 1]), "u8": np.array([0, 255], np.uint8), "f64": np.array([0.5])}
    save_file(arrays, path)
    loaded = nn.state.safe_load(path)
    assert {name: loaded[name].tolist() for name in arrays} == {name: array.tolist() for name, array in arrays.items()}
    save_file({"big": np.array([2**40])}, path)
    with pytest.raises(CheckpointError, match=r"big holds 1099511627776 at \[0\], which does not fit int32"):
        nn.state.safe_load(path)


def test_the_ending_of_a_name_says_how_a_file_is_written(tmp_path: Path) -> None:
    tensors = {"w": Tensor([[1.5, -2.0]]), "n": Tensor(7)}
    for name, at, mark in (("a.npz", 0, b"PK"), ("a.safetensors", 8, b"{")):
        nn.state.save(tensors, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(mark, at)
        assert {k: v.tolist() for k, v in nn.state.load(tmp_path / name).items()} == {"w": [[1.5, -2.0]], "n": 7}
    (tmp_path / "shards").mkdir()
    nn.state.save(tensors, tmp_path / "shards" / "model.safetensors")
    assert nn.state.load(tmp_path / "shards")["n"].item() == 7
    for call in (lambda: nn.state.load(tmp_path / "a.pt"), lambda: nn.state.save(tensors, tmp_path / "a.pt")):
        with pytest.raises(UsageError, match=r"a.pt should end in .npz or .safetensors"):
            call()
    (tmp_path / "b.npz").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="no archive"):
        nn.state.load(tmp_path / "b.npz")


def test_loading_into_a_model(tmp_path: Path) -> None:
    Tensor.manual_seed(1)
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    x = Tensor.ones(1, 2)
    assert model(x).tolist() != other(x).tolist()
    nn.state.safe_save(nn.state.get_state_dict(model), tmp_path / "m")
    nn.state.load_state_dict(other, nn.state.safe_load(tmp_path / "m"))
    assert model(x).tolist() == other(x).tolist()
    assert other.weight.requires_grad


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    model = nn.Linear(2, 3)
    before = model.weight.tolist()
    good = {"weight": Tensor.ones(3, 2), "bias": Tensor.ones(3)}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"weight": good["weight"]}, "it lacks bias"),
        ({**good, "more": Tensor.ones(1)}, "it has beside them more"),
        ({**good, "bias": Tensor.ones(4)}, r"bias is float32 \(3,\) in the model and float32 \(4,\) in the state"),
        ({**good, "bias": Tensor.ones(3, dtype=dtypes.int32)}, r"int32 \(3,\) in the state: cast the value with .cast\(dtypes.float32\)"),
        ({"weights": good["weight"], "bias": Tensor.ones(4)}, r"it lacks weight \(did you mean 'weights'\?\); it has beside them weights .*; bias is float32"),
    ]
    for state, words in cases:
        with pytest.raises(CheckpointError, match=words) as error:
            nn.state.load_state_dict(model, state)
        assert isinstance(error.value, RuntimeError), "as PyTorch's"
        assert model.weight.tolist() == before
    with pytest.raises(CheckpointError, match=r"weight is float32 \(3, 2\) in the model and float32 \(3,\)"):
        nn.state.load_state_dict(model, {"bias": good["bias"] * 5, "weight": good["bias"]}, strict=False)
    assert model.bias.tolist() != [5, 5, 5]  # type: ignore[union-attr]
    many = {f"n{i}": Tensor.ones(1) for i in range(12)}
    with pytest.raises(CheckpointError, match=r"n7 and 4 more$"):
        nn.state.load_state_dict(model, {**good, **many})
    found = nn.state.load_state_dict(model, {"weight": good["weight"], "more": Tensor.ones(1)}, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (["bias"], ["more"])
    assert model.weight.tolist() == [[1, 1]] * 3


def test_errors_of_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot read"):
        nn.state.safe_load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="cannot write"):
        nn.state.safe_save({"x": Tensor([1.0])}, tmp_path / "no" / "such" / "folder")
