"""Checkpoints of several files: an index says which tensor is in which, and is believed no more than a header."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from malformed import entry, tensors
from safetensors.numpy import load_file, save_file

from anneal import FileError, ParseError, Tensor, UsageError, dtypes
from anneal.formats import safetensors

INDEX = "model.safetensors.index.json"


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


def write_index(folder: Path, places: Any, **more: Any) -> Path:
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 16}, "weight_map": places, **more}))
    return folder / INDEX


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    save_file({"a": np.array([1.0], np.float32), "extra": np.zeros(1, np.float32)}, tmp_path / "one.safetensors")
    save_file({"b": np.array([2, 3], np.int32), "c": np.array([[0.5]], np.float16)}, tmp_path / "two.safetensors")
    write_index(tmp_path, {"b": "two.safetensors", "a": "one.safetensors", "c": "two.safetensors"})
    return tmp_path


def test_the_index_or_its_folder(shards: Path) -> None:
    for path in (shards, shards / INDEX, str(shards)):
        loaded = safetensors.load(path)
        assert {k: v.tolist() for k, v in loaded.items()} == {"b": [2, 3], "a": [1.0], "c": [[0.5]]}
        assert list(loaded) == ["b", "a", "c"]
        assert safetensors.metadata(path) == {"total_size": "16"}


def test_a_folder_with_one_file(tmp_path: Path) -> None:
    safetensors.save(tmp_path / "any.safetensors", {"x": Tensor(1)}, {"a": "b"})
    assert safetensors.load(tmp_path)["x"].item() == 1
    assert safetensors.metadata(tmp_path) == {"a": "b"}
    safetensors.save(tmp_path / "model.safetensors", {"x": Tensor(2)})
    assert safetensors.load(tmp_path)["x"].item() == 2
    (tmp_path / "model.safetensors").rename(tmp_path / "other.safetensors")
    with pytest.raises(FileError, match=r"is a folder with any.safetensors, other.safetensors: name the file"):
        safetensors.load(tmp_path)


@pytest.mark.parametrize("name", ["../one.safetensors", "/etc/passwd", "", ".", "..", "a/b", "a\\b", "C:one", "one\0"])
def test_a_shard_is_beside_its_index(shards: Path, name: str) -> None:
    with pytest.raises(ParseError, match="which is no file beside the index"):
        safetensors.load(write_index(shards, {"a": name}))


def test_what_an_index_says_and_shards_do_not_have(shards: Path) -> None:
    with pytest.raises(FileError, match="a shard is missing: cannot read .*three.safetensors"):
        safetensors.load(write_index(shards, {"a": "three.safetensors"}))
    with pytest.raises(ParseError, match="'a' is said to be in two.safetensors, which has no tensor of that name"):
        safetensors.load(write_index(shards, {"a": "two.safetensors"}))
    (shards / "two.safetensors").write_bytes(tensors({"b": entry()}, bytes(3)))
    with pytest.raises(ParseError, match=r"two.safetensors: tensor 'b' ends at .* cut off or damaged"):
        safetensors.load(write_index(shards, {"b": "two.safetensors"}))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "x", "a": "y"}}', "[" * 100_000, "\xff", '{"weight_map": NaN}'],
)
def test_an_index_that_is_none(shards: Path, text: str) -> None:
    (shards / INDEX).write_text(text, encoding="latin-1")
    with pytest.raises(ParseError, match="no index of shards"):
        safetensors.load(shards)


def state() -> dict[str, Tensor]:
    return {f"layer.{i}": Tensor([float(i)] * 10) for i in range(5)} | {"n": Tensor(7), "half": Tensor([0.5] * 3, dtype=dtypes.float16)}


@pytest.mark.parametrize(("largest", "files"), [(80, 3), (50, 5), (1, 7), (1000, 1)])
def test_saving_shards(tmp_path: Path, largest: int, files: int) -> None:
    wanted = {k: v.tolist() for k, v in state().items()}
    path = safetensors.save_sharded(tmp_path, state(), {"by": "me"}, largest)
    for place in (path, tmp_path):
        assert {k: v.tolist() for k, v in safetensors.load(place).items()} == wanted
        assert safetensors.metadata(place)["by"] == "me"
    shards = sorted(p for p in tmp_path.iterdir() if p.suffix == ".safetensors")
    assert len(shards) == files
    loaded = {k: v for shard in shards for k, v in load_file(shard).items()}
    assert {k: v.tolist() for k, v in loaded.items()} == wanted
    if files > 1:
        assert json.loads(path.read_text())["metadata"]["total_size"] == 5 * 40 + 4 + 6
        assert shards[0].name == f"model-00001-of-{files:05}.safetensors"
    safetensors.save_sharded(tmp_path, {"x": Tensor(1)})
    assert list(safetensors.load(tmp_path)) == ["x"], "no index of what was there before is left"


def test_saving_over_what_is_still_to_be_read(tmp_path: Path) -> None:
    safetensors.save_sharded(tmp_path, state(), largest=80)
    loaded = safetensors.load(tmp_path)
    safetensors.save_sharded(tmp_path, {k: v * 2 for k, v in loaded.items()}, largest=80)
    assert safetensors.load(tmp_path)["layer.3"].tolist() == [6.0] * 10
    assert loaded["layer.3"].tolist() == [3.0] * 10


def test_shards_take_their_places_when_all_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors.save_sharded(tmp_path, state(), largest=80)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    written: list[int] = []

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("anneal.formats.atomic.os.fsync", full)
    with pytest.raises(FileError, match="cannot write .*model-.*No space left"):
        safetensors.save_sharded(tmp_path, {k: v * 2 for k, v in state().items()}, largest=80)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_saving_where_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot write"):
        safetensors.save_sharded(tmp_path / "no", state())
    with pytest.raises(UsageError, match="are texts"):
        safetensors.save_sharded(tmp_path, {1: Tensor(1)})  # type: ignore[dict-item]
    assert os.listdir(tmp_path) == []
