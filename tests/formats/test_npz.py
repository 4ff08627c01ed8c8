"""`.npz` files: archives as NumPy reads and writes them; no member is believed, unpacked further than announced, or a way out of a folder."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import ARRAY, archive, member, npy, refused, said

from anneal import FileError, ParseError, Tensor, UsageError, dtypes
from anneal.formats import npy as files


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


def theirs(arrays: dict[str, Any], *, deflate: bool = False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if deflate else np.savez)(file, **arrays)
    return file.getvalue()


def written(tensors: dict[str, Any], *, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    files.save_npz(file, tensors, compressed)
    return file.getvalue()


ARRAYS: dict[str, Any] = {
    "weight": np.array([[1.5, -2.0], [0.0, 4.0]], np.float32),
    "half": np.array([1, 2, 0.5], np.float16),
    "count": np.array(42, np.int32),
    "mask": np.array([True, False]),
    "none": np.zeros((0, 3), np.float32),
    "long": np.arange(50_000, dtype=np.int32),
}


@pytest.mark.parametrize("deflate", [False, True])
def test_both_read_what_the_other_writes_and_write_the_same(deflate: bool, tmp_path: Path) -> None:
    data = theirs(ARRAYS, deflate=deflate)
    loaded = files.load_npz(data)
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (loaded[name].numpy().dtype, loaded[name].tolist()) == (array.dtype, array.tolist())
    assert written(loaded, compressed=deflate) == data
    files.save_npz(tmp_path / "x.npz", loaded, compressed=deflate)
    assert (tmp_path / "x.npz").read_bytes() == data
    with np.load(tmp_path / "x.npz") as opened:
        assert {name: opened[name].tolist() for name in opened.files} == {name: array.tolist() for name, array in ARRAYS.items()}
    assert {name: t.shape for name, t in files.load_npz(tmp_path / "x.npz").items()} == {name: a.shape for name, a in ARRAYS.items()}


def test_names() -> None:
    tensors = {"": Tensor(1), "a": Tensor(2), "a.npy": Tensor(3), "layer/weight": Tensor(4), "ünïcödé 🙂": Tensor(5), "x:0": Tensor(6)}
    loaded = files.load_npz(written(tensors))
    assert {name: t.item() for name, t in loaded.items()} == {name: t.item() for name, t in tensors.items()}
    assert files.load_npz(theirs({"layer/weight": np.float32(7)}))["layer/weight"].item() == 7
    for name in ("../a", "/a", "a//b", "a\\b", "./a", "a/../b", "C:/a", "a\0"):
        with pytest.raises(UsageError, match="no array can be called"):
            files.save_npz(io.BytesIO(), {name: Tensor(1)})
    with pytest.raises(UsageError, match="a name is a text"):
        files.save_npz(io.BytesIO(), {1: Tensor(1)})  # type: ignore[dict-item]


def test_archives_of_other_programs(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.comment = b"made by hand PK\5\6 and so on" + bytes(30)
        made.writestr(zipfile.ZipInfo("a.npy"), ARRAY)
    assert files.load_npz(file.getvalue())["a"].tolist() == [0.0, 0.0]

    class Stream(io.RawIOBase):
        """What cannot seek: sizes follow the members."""

        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, part: Any) -> int:
            self.data += bytes(part)
            return len(part)

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("a.npy", "b.npy"):
            with made.open(name, "w", force_zip64=name == "b.npy") as opened:
                opened.write(ARRAY)
    assert {name: t.tolist() for name, t in files.load_npz(stream.data).items()} == {"a": [0.0, 0.0], "b": [0.0, 0.0]}
    assert files.load_npz(archive()) == {}


def test_a_directory_of_64_bits() -> None:
    packed, listed = member()
    wide = struct.pack("<HHQQQ", 1, 24, len(ARRAY), len(ARRAY), 0)
    entry = bytearray(listed + wide)
    struct.pack_into("<LL", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, len(wide))
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(entry), len(packed))
    place = struct.pack("<4sLQL", b"PK\6\7", 0, len(packed) + len(entry), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    data = packed + bytes(entry) + end64 + place + end
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.read("a.npy") == ARRAY
    assert files.load_npz(data)["a"].tolist() == [0.0, 0.0]
    for wrong, words in (
        (packed + bytes(entry) + end64 + end, "not where it should be"),
        (packed + bytes(entry) + end64.replace(b"PK\6\6", b"PK\0\0") + place + end, "not where it should be"),
        (end, "no room for it"),
        (packed + bytes(entry[:30]) + b"\0\0" + bytes(entry[32:-28]) + end64 + place + end, "directory"),
    ):
        with pytest.raises(ParseError, match=words):
            files.load_npz(wrong)


TWO = member(), member(b"b.npy", at=len(member()[0]))
BAD: list[tuple[bytes, str]] = [
    (b"", "no archive"),
    (ARRAY, "no archive"),
    (b"PK\5\6", "no archive"),
    (archive(*TWO)[:-1], "no archive"),
    (archive(*TWO) + b"x", "no archive"),
    (b"x" + archive(*TWO), "does not end at"),
    (archive(*TWO, start=5), "does not end at"),
    (archive(*TWO, count=1), "too long"),
    (archive(*TWO, count=3), "does not end at|too short"),
    (archive(*TWO, count=60_000), "does not end at"),
    (archive(member(), member()), "two members called 'a.npy'"),
    (archive(member(), member(b"b.npy")), "described twice, and not alike"),
    (archive(member(at=10)), "not where the directory has it|behind"),
    (archive(member(at=2**31)), "behind the members"),
    (archive(member(b"../a.npy")), r"is called '../a.npy': a name has no empty parts, dots"),
    (archive(member(b"/etc/a.npy")), "no empty parts"),
    (archive(member(b"a/")), "no empty parts"),
    (archive(member(b"C:/a.npy")), "no backslashes, drives"),
    (archive(member(b"a\\b.npy")), "no backslashes"),
    (archive(member(b"a\0.npy")), "or zeros"),
    (archive(member(b"\xff.npy", flags=1 << 11)), "no text in UTF-8"),
    (archive(member(b"a.txt")), "a member 'a.txt', which is no array"),
    (archive(member(flags=1)), "'a.npy' is encrypted"),
    (archive(member(flags=1 << 5)), "stored and deflated members can be read"),
    (archive(member(method=12)), "packed by method 12"),
    (archive(member(method=99)), "packed by method 99"),
    (archive(member(check=5)), "described twice"),
    (archive(member(size=9)), "cannot have 9 bytes when unpacked"),
    (archive(member(size=9, packed=9)), "described twice|not where"),
    (archive(member(size=2**31, packed=2**31)), "not where the directory has it"),
    (archive(member(size=2**32 - 1, packed=2**32 - 1)), "its size is not there"),
    (archive(member(deflate=True, size=2**31)), "cannot have 2,147,483,648 bytes when unpacked"),
    (archive(member(body=b"")), "no .npy file"),
    (archive(member(body=b"\x93NUMPY")), "no .npy file"),
    (archive(member(body=npy(said(), bytes(7)))), r"a.npy in .*: float32 \(2,\) takes 8 bytes, and 7 follow"),
    (archive(member(body=npy(said(), bytes(9)))), "takes 8 bytes, and 9 follow"),
    (archive(member(body=npy(said(), size=50_000))), "its header takes 50,010 bytes"),
    (archive(member(body=npy(said("'|O'"), bytes(16)))), "never loaded"),
    (archive(member(body=npy(said("'<f8'", shape="(4294967296,)")), deflate=True)), "takes 34,359,738,368 bytes, and 0 follow"),
]


@pytest.mark.parametrize(("data", "words"), BAD, ids=range(len(BAD)))
def test_bad_archives(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(data)
    for file in (data, tmp_path / "x.npz", io.BytesIO(data)):
        with pytest.raises(ParseError, match=words):
            files.load_npz(file)


def described(packed: bytes, size: int, check: int) -> bytes:
    """An archive of one deflated member, whose header and directory say the same of it."""
    facts = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, check, len(packed), size, 5, 0) + b"a.npy"
    listed = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, check, len(packed), size, 5, 0, 0, 0, 0, 0, 0) + b"a.npy"
    return archive((facts + packed, listed))


def test_deflated_data_that_are_others_than_announced() -> None:
    packed, check = zlib.compress(ARRAY, wbits=-15), zlib.crc32(ARRAY)
    assert files.load_npz(described(packed, len(ARRAY), check))["a"].tolist() == [0.0, 0.0]
    for data, words in (
        (described(packed, len(ARRAY) - 1, check), "unpacks to more"),
        (described(packed, len(ARRAY) + 1, check), "bytes, and 9 follow|unpacks to"),
        (described(packed, len(ARRAY), check ^ 1), "is damaged: its checksum"),
        (described(packed[:-3], len(ARRAY), check), "another length|to have"),
        (described(packed + b"more", len(ARRAY), check), "another length"),
        (described(b"\xff" * 50, len(ARRAY), check), "cannot be unpacked"),
        (described(b"", 0, 0), "another length"),
        (described(zlib.compress(ARRAY + bytes(9000), wbits=-15), len(ARRAY), check), "unpacks to more"),
        (described(zlib.compress(ARRAY[:-1], wbits=-15), len(ARRAY), check), "unpacks to 75"),
    ):
        with pytest.raises(ParseError, match=words):
            files.load_npz(data)


def test_a_bomb_is_no_larger_than_it_says() -> None:
    size = 64 << 20
    header = npy(said("'|b1'", shape=f"({size},)"))
    packed = zlib.compress(header + bytes(size), 9, wbits=-15)
    short = npy(said("'|b1'", shape="(8,)")) + bytes(8)
    assert len(packed) < 100_000
    lying = zlib.compress(short + bytes(size), 9, wbits=-15)
    for data, announced, words in (
        (packed, len(short), "unpacks to more"),
        (packed, len(header) + size // 2, "takes 67,108,864 bytes, and 33,554,432 follow"),
        (packed, len(header) + 2 * size, "cannot have"),
        (lying, len(short), "unpacks to more"),
        (lying, len(short) + size, r"takes 8 bytes, and 67,108,872 follow"),
    ):
        why, most = refused(files.load_npz, described(data, announced, 0))
        assert re.search(words, why)
        assert most < 4 << 20


def test_members_that_overlap_or_leave_holes() -> None:
    packed, listed = member()
    for data, words in (
        (archive((packed + b"hole", listed), member(b"b.npy", at=len(packed) + 4)), "'b.npy' begins at"),
        (archive((packed, listed), (b"", member(b"b.npy", at=0)[1])), "described twice"),
        (archive((packed + bytes(16), listed)), "the directory"),
        (archive((b"hole" + packed, member(at=4)[1])), "'a.npy' begins at 4 where what is before it ends at 0"),
    ):
        with pytest.raises(ParseError, match=words):
            files.load_npz(data)


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    files.save_npz(tmp_path / "x.npz", {"a": Tensor(1)})
    old = (tmp_path / "x.npz").read_bytes()
    with pytest.raises(FileError, match="cannot write"):
        files.save_npz(tmp_path / "no" / "x.npz", {"a": Tensor(1)})
    source = tmp_path / "s.npy"
    np.save(source, np.zeros(3))
    with pytest.raises(Exception, match=r"float64|ragged|numbers"):
        files.save_npz(tmp_path / "x.npz", {"a": Tensor(2), "b": [[1], [2, 3]]})
    assert (tmp_path / "x.npz").read_bytes() == old
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.npy", "x.npz"]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text("abc/.ü_", min_size=1, max_size=6).filter(lambda n: all(p not in ("", ".", "..") for p in (n + ".npy").split("/"))),
        st.lists(st.integers(-9, 9), max_size=4),
        max_size=4,
    ),
    st.booleans(),
)
def test_round_trip(values: dict[str, list[int]], compressed: bool) -> None:
    data = written({name: Tensor(v, dtype=dtypes.int32) for name, v in values.items()}, compressed=compressed)
    assert {name: t.tolist() for name, t in files.load_npz(data).items()} == values
    with np.load(io.BytesIO(data)) as opened:
        assert {name: opened[name].tolist() for name in opened.files} == values
