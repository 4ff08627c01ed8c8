"""safetensors files: read and written as the format's own package does, values read when needed, nothing believed that a file only claims."""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors as package
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import entry, tensors
from safetensors.numpy import load as package_load
from safetensors.numpy import save as package_save
from safetensors.torch import load as torch_load
from safetensors.torch import save as torch_save

from anneal import DTypeError, FileError, ParseError, Tensor, UsageError, dtypes
from anneal.formats import safetensors, sources
from anneal.tensor import storage


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


def written(state: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    safetensors.save(file, state, metadata)
    return file.getvalue()


HALVES, BRAINS, SHORTS = [1.0, 2.0, 0.5, 4.0], [1.0, -1.0, 0.5, 2.0], [-32768, 0, 32767]


def test_known_bytes() -> None:
    halves, brains = Tensor(HALVES, dtype=dtypes.float16), Tensor(BRAINS, dtype=dtypes.bfloat16)
    data = written({"b": halves, "a": brains}, {"k": "v"})
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0
    assert json.loads(data[8 : 8 + size]) == {
        "__metadata__": {"k": "v"},
        "a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
        "b": {"dtype": "F16", "shape": [4], "data_offsets": [8, 16]},
    }
    assert data[8 + size :] == bytes.fromhex("803f80bf003f0040") + bytes.fromhex("003c004000380044")
    assert data == written({"a": brains, "b": halves}, {"k": "v"})
    assert {k: v.tolist() for k, v in safetensors.load(data).items()} == {"a": BRAINS, "b": HALVES}
    assert safetensors.metadata(data) == {"k": "v"}
    assert safetensors.load(package_save({"s": np.array(SHORTS, np.int16)}))["s"].tolist() == SHORTS


STATE: dict[str, tuple[Any, str]] = {
    "f32": ([[1.5, -2.0, 2.0**127], [float("inf"), -0.0, 2.0**-149]], "float32"),
    "f16": (HALVES[:3], "float16"),
    "bf16": (BRAINS, "bfloat16"),
    "i32": ([-(2**31), 5, 2**31 - 1], "int32"),
    "u32": ([2**32 - 1, 0], "uint32"),
    "bool": ([True, False, True], "bool"),
    "e4m3": ([1.0, -448.0, 0.5], "float8_e4m3"),
    "e5m2": ([1.0, -2.0, 57344.0], "float8_e5m2"),
    "i8": ([-128, 127], "int8"),
    "u8": ([0, 255, 7], "uint8"),
    "i16": (SHORTS, "int16"),
    "u16": ([0, 65535], "uint16"),
    "number": (3.0, "float32"),
    "empty": ([[], []], "float32"),
    "ünïcödé 🙂": ([1.0], "float32"),
}


def torch_state() -> dict[str, torch.Tensor]:
    names = {"float8_e4m3": "float8_e4m3fn"}
    return {name: torch.tensor(values, dtype=getattr(torch, names.get(dtype, dtype))) for name, (values, dtype) in STATE.items()}


def our_state() -> dict[str, Tensor]:
    return {name: Tensor(values, dtype=getattr(dtypes, dtype)) for name, (values, dtype) in STATE.items()}


def test_the_formats_own_package_writes_the_same_bytes() -> None:
    state = torch_state()
    assert written(our_state()) == torch_save(state)
    assert written(our_state(), {"one": "text"}) == torch_save(state, {"one": "text"})
    assert written({}) == package_save({})


def test_both_read_what_the_other_writes(tmp_path: Path) -> None:
    theirs = torch_load(written(our_state()))
    for name, tensor in torch_state().items():
        assert theirs[name].dtype is tensor.dtype
        assert theirs[name].tolist() == tensor.tolist()
    path = tmp_path / "x.safetensors"
    path.write_bytes(torch_save(torch_state(), {"by": "torch"}))
    for ours in (safetensors.load(path), safetensors.load(path.read_bytes()), safetensors.load(io.BytesIO(path.read_bytes()))):
        assert set(ours) == set(STATE)
        for name, (values, dtype) in STATE.items():
            assert (ours[name].tolist(), ours[name].dtype.name) == (values, dtype), name
    with package.safe_open(path, "np") as opened:
        assert opened.metadata() == safetensors.metadata(path) == {"by": "torch"}


WIDE: list[tuple[str, list[Any]]] = [
    ("int64", [-(2**31), 2**31 - 1]),
    ("uint64", [0, 2**32 - 1]),
    ("float64", [0.5, -1e300, float("inf"), 1e-50]),
]


@pytest.mark.parametrize(("kind", "values"), WIDE, ids=[k for k, _ in WIDE])
def test_types_of_64_bits_become_the_32_bit_one_of_their_kind(kind: str, values: list[Any]) -> None:
    loaded = safetensors.load(package_save({"x": np.array(values, kind)}))["x"]
    assert loaded.dtype.name == kind.replace("64", "32")
    with np.errstate(over="ignore"):
        assert loaded.tolist() == np.array(values).astype(loaded.dtype.name).tolist()


@pytest.mark.parametrize(("kind", "value"), [("int64", 2**31), ("int64", -(2**31) - 1), ("uint64", 2**32), ("uint64", 2**63)])
def test_a_64_bit_integer_that_does_not_fit_is_told_with_value_and_index_at_once(kind: str, value: int) -> None:
    many = np.zeros((3, 100_000), kind)
    many[2, 7] = value
    with pytest.raises(ParseError, match=rf"the file: x holds {value} at \[2, 7\], which does not fit u?int32"):
        safetensors.load(package_save({"x": many}))
    with pytest.raises(ParseError, match=rf"x holds {value}, which"):
        safetensors.load(package_save({"x": np.array(value, kind)}))


HOSTILE: list[tuple[bytes, str]] = [
    (b"", "does not fit"),
    (b"\x01\x02", "does not fit"),
    (tensors({}, size=2**63), "a header of 9223372036854775808 bytes does not fit"),
    (tensors({}, size=3), "does not fit|not JSON"),
    (tensors(b""), "not JSON"),
    (tensors(b"{"), "not JSON"),
    (tensors(b"\xff\xfe"), "not JSON"),
    (tensors(b"\xef\xbb\xbf{}"), "not JSON"),
    (tensors(b"[]"), "no JSON object"),
    (tensors(b" {}"), "no JSON object"),
    (tensors(b"{}x"), "not JSON"),
    (tensors(b"{}\0"), "not JSON"),
    (tensors(b"[" * 100_000), "not JSON"),
    (tensors(b'{"a":' * 100_000), "nested too deeply"),
    (tensors(b"[" * 60 + b"]" * 60), "nested too deeply"),
    (tensors(b"[" * 49 + b"]" * 49), "no JSON object"),
    (tensors(b'{"a":' + b"[[]," * 100 + b"0" + b"]" * 100 + b"}"), "nested too deeply"),
    (tensors(b'{"a":"' + b'\\\\\\"[{' * 100 + b'"}'), "must have dtype"),
    (tensors(b'{"a":1,"a":2}'), "twice"),
    (tensors(b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)), "twice"),
    (tensors(b'{"__metadata__":{"a":"b","a":"c"}}'), "twice"),
    (tensors(b'{"\\ud800":1}'), "not JSON"),
    (tensors(b'{"a":NaN}'), "not JSON"),
    (tensors(b'{"a":' + b"9" * 5000 + b"}"), "not JSON"),
    (tensors({"a": 5}), "must have dtype"),
    (tensors({"a": None}), "must have dtype"),
    (tensors({"a": {"dtype": "F32"}}), "must have dtype"),
    (tensors({"a": {**entry(), "more": 1}}, bytes(4)), "must have dtype"),
    (tensors({"a": entry("Q7")}, bytes(4)), "has dtype 'Q7'"),
    (tensors({"a": entry("f32")}, bytes(4)), "has dtype 'f32'"),
    (tensors({"a": entry(["F32"])}, bytes(4)), "has dtype"),
    (tensors({"a": entry(shape=(-1,))}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(shape=(1.0,))}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(shape=(True,))}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(shape=([1],))}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(shape="1")}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(shape=None)}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(shape={})}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(shape=(1,) * 65)}, bytes(4)), "has 65 axes: 64 are the most"),
    (tensors({"a": entry(span=(0,))}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(span=(0, 4, 8))}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(span=(-4, 0))}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(span=(0, 4.0))}, bytes(4)), "not lists of sizes"),
    (tensors({"a": entry(span=(4, 0))}, bytes(4)), "takes 4 bytes"),
    (tensors({"a": entry(span=(0, 8))}, bytes(8)), "takes 4 bytes, and its offsets give it 8"),
    (tensors({"a": entry(shape=(2**60,), span=(0, 2**62))}, bytes(4)), "cut off or damaged"),
    (tensors({"a": entry(shape=(2**31, 2**31))}, bytes(4)), "no array is so large"),
    (tensors({"a": entry(shape=(2**62,), span=(0, 2**64))}, bytes(4)), "no array is so large"),
    (tensors({"a": entry(shape=(0, 2**64), span=(0, 0))}), "no array is so large"),
    (tensors({"a": entry()}, bytes(3)), "cut off or damaged"),
    (tensors({"a": entry()}, bytes(5)), "belong to none"),
    (tensors({}, bytes(1)), "belong to none"),
    (tensors({"a": entry(span=(4, 8))}, bytes(8)), "starts at 4"),
    (tensors({"a": entry(), "b": entry()}, bytes(4)), "starts at 0 where the one before it ends at 4"),
    (tensors({"a": entry(), "b": entry(span=(2, 6))}, bytes(6)), "starts at 2"),
    (tensors({"a": entry(), "b": entry(span=(5, 9))}, bytes(9)), "starts at 5"),
    (tensors({"a": entry(), "b": entry(shape=(0,), span=(2, 2))}, bytes(4)), "starts at 2"),
    (tensors({"__metadata__": {"a": 1}}), "text to text"),
    (tensors({"__metadata__": []}), "text to text"),
    (tensors({"__metadata__": None}), "text to text"),
]


@pytest.mark.parametrize(("data", "words"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_files(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    for file in (data, tmp_path / "file"):
        for read in (safetensors.load, safetensors.metadata):
            with pytest.raises(ParseError, match=words):
                read(file)
    with pytest.raises(ParseError, match=words):
        safetensors.load(io.BytesIO(data))


def test_a_header_may_have_100_000_000_bytes(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    for size, words in ((100_000_000, "not JSON"), (100_000_001, "has 100,000,001 bytes, and 100,000,000 are the most")):
        with path.open("wb") as file:
            file.write(struct.pack("<Q", size))
            file.truncate(8 + size)
        with pytest.raises(ParseError, match=words):
            safetensors.load(path)


def test_odd_and_legal() -> None:
    assert safetensors.load(tensors(b"{}")) == {}
    assert safetensors.load(tensors(b"{}" + b" " * 6)) == {}
    assert safetensors.load(tensors({"a": entry(shape=(0, 5), span=(0, 0)), "b": entry()}, bytes(4)))["a"].shape == (0, 5)
    mixed = safetensors.load(tensors({"b": entry(span=(4, 8)), "a": entry(shape=(), span=(0, 4))}, struct.pack("<2f", 1, 2)))
    assert {k: v.tolist() for k, v in mixed.items()} == {"b": [2.0], "a": 1.0}
    assert safetensors.load(tensors({"a": entry("BOOL", (3,), (0, 3))}, b"\x00\x01\x02"))["a"].tolist() == [False, True, True]


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "large"
    state = {"small": np.arange(8, dtype=np.float32), "large": np.zeros(8 << 20, np.float32)}
    path.write_bytes(package_save(state))
    tracemalloc.start()
    loaded = safetensors.load(path)
    assert (loaded["small"] + 1).tolist() == list(range(1, 9))
    assert loaded["large"].is_realized
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


class Recorder:
    """A device that keeps what is written to it."""

    name = "recorder"

    def allocate(self, nbytes: int) -> int:
        self.allocated = nbytes
        return 1

    def write(self, storage: int, data: bytes | memoryview) -> None:
        self.written = data


def test_values_go_to_the_device_from_where_the_file_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(package_save({"x": np.arange(6, dtype=np.float32), "odd": np.ones(3, np.float16)}))
    device = Recorder()
    for name, here in (("x", True), ("odd", False)):  # an odd number of halves has to be filled up
        storage.buffer_of(safetensors.load(path)[name].uop).place(device)  # type: ignore[arg-type]
        assert isinstance(device.written, memoryview) == here
        assert len(device.written) == device.allocated
    assert bytes(device.written) == np.ones(3, np.float16).tobytes() + bytes(2)


def test_values_of_every_type_on_a_gpu(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(torch_save(torch_state()))
    loaded = safetensors.load(path, device="webgpu")
    Tensor.realize(*(tensor for tensor in loaded.values() if tensor.numel()))
    for name, (values, dtype) in STATE.items():
        assert (loaded[name].tolist(), loaded[name].dtype.name, loaded[name].device) == (values, dtype, "webgpu"), name
    assert (loaded["f32"][0] * 2).tolist() == [3.0, -4.0, float("inf")]


@pytest.mark.parametrize("mapped", [True, False])
def test_a_file_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool) -> None:
    if not mapped:
        monkeypatch.setattr(sources, "_mapped", lambda handle: None)
    path, data = tmp_path / "file", package_save({"x": np.arange(1000, dtype=np.float32), "y": np.ones(2, np.int8)})

    def fresh() -> dict[str, Tensor]:
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        os.utime(path, (1, 1))
        return safetensors.load(path)

    cut = fresh()
    os.truncate(path, 500)
    with pytest.raises(FileError, match="file has changed since it was loaded.*load it again"):
        cut["x"].tolist()
    with pytest.raises(FileError, match="has changed"):
        (cut["x"] * 2).realize()
    grown = fresh()
    path.write_bytes(data + b"more")
    with pytest.raises(FileError, match="has changed"):
        grown["y"].tolist()
    touched = fresh()
    path.write_bytes(data)
    with pytest.raises(FileError, match="has changed"):
        touched["y"].numpy()
    gone, replaced = fresh(), fresh()
    path.unlink()
    assert gone["x"].tolist() == list(range(1000))
    safetensors.save(path, {"x": Tensor([1.0])})
    assert replaced["x"].tolist() == list(range(1000)), "the old file, which this tensor is of"
    again = safetensors.load(path)
    safetensors.save(path, {"x": again["x"], "more": again["x"] + 1})
    assert {k: v.tolist() for k, v in safetensors.load(path).items()} == {"x": [1.0], "more": [2.0]}


def test_a_file_is_closed_when_nobody_wants_anything_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    safetensors.save(path, {"x": Tensor([1.0, 2.0])})
    before = len(os.listdir("/proc/self/fd"))
    loaded = safetensors.load(path)
    assert len(os.listdir("/proc/self/fd")) > before
    loaded["x"].realize()
    assert len(os.listdir("/proc/self/fd")) == before
    assert loaded["x"].tolist() == [1.0, 2.0]


def test_the_device_that_was_asked_for(tmp_path: Path) -> None:
    data = written({"x": Tensor([1.0])})
    loaded = safetensors.load(data, device="reference")["x"]
    assert loaded.device == "reference"
    assert (loaded + 1).tolist() == [2.0]
    with pytest.raises(Exception, match="no device|unknown|nowhere"):
        safetensors.load(data, device="nowhere")["x"].realize()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    x = Tensor([1.0])
    for state, metadata, words in (
        ({1: x}, None, "names and metadata are texts"),
        ({"\ud800": x}, None, "surrogate"),
        ({"__metadata__": x}, None, "__metadata__"),
        ({"x": x}, {"a": 1}, "names and metadata are texts"),
    ):
        with pytest.raises(UsageError, match=words):
            safetensors.save(tmp_path / "file", state, metadata)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a path or an open binary file, not int"):
        safetensors.save(5, {"x": x})  # type: ignore[arg-type]
    with pytest.raises(FileError, match="cannot write .*: No such file"):
        safetensors.save(tmp_path / "no" / "folder", {"x": x})
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read .*absent: No such file"):
        safetensors.load(tmp_path / "absent")
    with pytest.raises(FileError, match=r"is a folder with no .safetensors file"):
        safetensors.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/null", tmp_path / "pipe"):
        with pytest.raises(FileError, match="no regular file"):
            safetensors.load(path)
    with pytest.raises(UsageError, match="not bytes: open it with mode 'rb'"):
        safetensors.load(io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a file is a path, bytes, or an open binary file, not int"):
        safetensors.load(5)  # type: ignore[arg-type]
    with pytest.raises((UsageError, DTypeError)):
        safetensors.load([1, 2])  # type: ignore[arg-type]


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    safetensors.save(path, {"a": Tensor([1.0])})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(FileError, match="No space left"):
            safetensors.save(path, {"a": Tensor([2.0])})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            safetensors.save(path, {"a": Tensor([3.0])})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert safetensors.load(path)["a"].item() == 1.0


NAMES = st.text(max_size=8).filter(lambda n: n != "__metadata__" and not any(0xD800 <= ord(c) < 0xE000 for c in n))
ARRAYS = st.one_of(
    st.lists(st.floats(width=32, allow_nan=False), max_size=5).map(lambda v: (v, dtypes.float32)),
    st.lists(st.floats(width=16, allow_nan=False), max_size=5).map(lambda v: (v, dtypes.float16)),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5).map(lambda v: (v, dtypes.int32)),
    st.lists(st.booleans(), max_size=5).map(lambda v: (v, dtypes.bool)),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, ARRAYS, max_size=4), st.dictionaries(NAMES, NAMES, max_size=3))
def test_round_trip(arrays: dict[str, tuple[list[Any], Any]], metadata: dict[str, str]) -> None:
    data = written({name: Tensor(values, dtype=dtype) for name, (values, dtype) in arrays.items()}, metadata)
    assert safetensors.metadata(data) == metadata
    loaded = safetensors.load(data)
    assert {k: (v.tolist(), v.dtype) for k, v in loaded.items()} == arrays
    assert {k: v.tolist() for k, v in package_load(data).items()} == {k: v for k, (v, _) in arrays.items()}
