"""safetensors files: exact bytes, and nothing believed that a file only claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anneal import CheckpointError
from anneal.formats.safetensors import Entry, pack, read, unpack, write


def file(header: Any, body: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + body


def test_bytes() -> None:
    data = pack({"b": Entry("F16", (4,), bytes.fromhex("003c004000380044")), "a": Entry("BF16", (2,), bytes.fromhex("803f80bf"))}, {"k": "v"})
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0
    assert json.loads(data[8 : 8 + size]) == {
        "__metadata__": {"k": "v"},
        "a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "b": {"dtype": "F16", "shape": [4], "data_offsets": [4, 12]},
    }
    assert data[8 + size :] == bytes.fromhex("803f80bf003c004000380044")
    entries, metadata = unpack(data)
    assert metadata == {"k": "v"}
    assert entries["b"] == Entry("F16", (4,), bytes.fromhex("003c004000380044"))


def facts(dtype: Any = "F32", shape: Any = (1,), span: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": list(span) if isinstance(span, tuple) else span}


HOSTILE: list[tuple[bytes, str]] = [
    (b"", "does not fit"),
    (b"\x01\x02", "does not fit"),
    (file({}, size=2**63), "a header of 9223372036854775808 bytes does not fit"),
    (file({}, size=3), "does not fit"),
    (file(b"{"), "not JSON"),
    (file(b"\xff\xfe"), "not JSON"),
    (file(b"[]"), "no JSON object"),
    (file(b"[" * 100_000), "not JSON"),
    (file(b'{"a":1,"a":2}'), "twice"),
    (file({"a": 5}), "must have dtype"),
    (file({"a": {"dtype": "F32"}}), "must have dtype"),
    (file({"a": facts("Q7")}, bytes(4)), "has dtype 'Q7'"),
    (file({"a": facts(["F32"])}, bytes(4)), "has dtype"),
    (file({"a": facts(shape=(-1,))}, bytes(4)), "not lists of sizes"),
    (file({"a": facts(shape=(1.0,))}, bytes(4)), "not lists of sizes"),
    (file({"a": facts(shape=(True,))}, bytes(4)), "not lists of sizes"),
    (file({"a": facts(shape="1")}, bytes(4)), "not lists of sizes"),
    (file({"a": facts(span=(0,))}, bytes(4)), "not lists of sizes"),
    (file({"a": facts(span=(4, 0))}, bytes(4)), "takes 4 bytes"),
    (file({"a": facts(shape=(2**62,), span=(0, 2**64))}, bytes(4)), "cut off or damaged"),
    (file({"a": facts(shape=(2**70, 2**70))}, bytes(4)), "takes"),
    (file({"a": facts()}, bytes(3)), "cut off or damaged"),
    (file({"a": facts()}, bytes(5)), "belong to none"),
    (file({"a": facts(span=(4, 8))}, bytes(8)), "starts at 4"),
    (file({"a": facts(), "b": facts()}, bytes(4)), "starts at 0 where the one before it ends at 4"),
    (file({"a": facts(), "b": facts(span=(2, 6))}, bytes(6)), "starts at 2"),
    (file({"__metadata__": {"a": 1}}), "text to text"),
    (file({"__metadata__": []}), "text to text"),
]


@pytest.mark.parametrize(("data", "words"), HOSTILE)
def test_hostile_files(data: bytes, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        unpack(data)


GOOD = pack({"a": Entry("F32", (2,), bytes(8)), "b": Entry("I8", (3,), b"abc")}, {"x": "y"})


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=3), st.integers(0, len(GOOD)))
def test_damaged_files_raise_or_read(changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    for candidate in (bytes(data), bytes(data[:end])):
        try:
            entries, _ = unpack(candidate)
        except CheckpointError:
            continue
        assert sum(len(e.data) for e in entries.values()) <= len(candidate)


names = st.text(max_size=8).filter(lambda n: n != "__metadata__" and not any(0xD800 <= ord(c) < 0xE000 for c in n))


@given(st.dictionaries(names, st.binary(max_size=9), max_size=4))
def test_round_trip(arrays: dict[str, bytes]) -> None:
    entries = {name: Entry("U8", (len(data),), data) for name, data in arrays.items()}
    assert unpack(pack(entries))[0] == entries


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    write(path, {"a": Entry("U8", (1,), b"1")})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(CheckpointError, match="No space left"):
            write(path, {"a": Entry("U8", (1,), b"2")})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            write(path, {"a": Entry("U8", (1,), b"3")})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert read(path)[0]["a"].data == b"1"
