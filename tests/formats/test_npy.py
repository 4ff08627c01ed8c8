"""`.npy` files: read as NumPy reads them and written byte for byte as it writes them; nothing believed that a header only claims."""

from __future__ import annotations

import io
import os
import re
import struct
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from malformed import MAGIC, npy, refused, said

from anneal import DTypeError, FileError, ParseError, Tensor, UsageError, dtypes
from anneal.formats import npy as files


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


def saved(array: Any, version: tuple[int, int] | None = None) -> bytes:
    """What NumPy writes."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), version)
    return file.getvalue()


def written(tensor: Tensor) -> bytes:
    file = io.BytesIO()
    files.save(file, tensor)
    return file.getvalue()


KINDS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
VALUES = {"b": [[False, True, True], [True, False, False]], "i": [[-128, -1, 0], [5, 10, 127]], "u": [[0, 1, 2], [200, 254, 255]]}
FLOATS = [[0.5, -0.0, 1e-7], [65504.0, float("inf"), -2.0]]


def sample(kind: str) -> Any:
    return np.array(VALUES.get(np.dtype(kind).kind, FLOATS), kind)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_type_version_and_order(kind: str, version: tuple[int, int]) -> None:
    array = sample(kind)
    with np.errstate(over="ignore"):
        wanted = array.astype(np.float32).tolist() if kind == "float64" else array.tolist()
    for order in "<", ">":
        swapped = array.astype(array.dtype.newbyteorder(order))
        for laid in (swapped, np.asfortranarray(swapped), swapped[:, ::-1][:, ::-1]):
            loaded = files.load(saved(laid, version))
            assert (loaded.tolist(), loaded.shape) == (wanted, (2, 3))
    assert loaded.dtype.name == kind.replace("64", "32")


def test_known_values() -> None:
    assert files.load(saved(np.array([1, 2, 3, 4], ">f4"))).tolist() == [1, 2, 3, 4]
    assert files.load(saved(np.asfortranarray(np.arange(6).reshape(2, 3)))).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert files.load(saved(42)).item() == 42
    assert files.load(saved(np.array([-5, 0, 10, 127], np.int8))).tolist() == [-5, 0, 10, 127]
    assert files.load(saved(np.array([1, 0, 1, 1], bool))).tolist() == [True, False, True, True]


SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (7,), (3, 0, 2), (2, 3), (3, 2, 4), (1, 5, 1, 2), (2,) * 7, (300, 2), (2, 300)]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_in_both_orders_and_the_bytes_that_numpy_writes(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    for laid in (array, np.array(array, order="F")):
        loaded = files.load(saved(laid))
        assert loaded.shape == shape
        assert np.array_equal(loaded.numpy(), array)
    assert written(files.load(saved(array))) == saved(array)


@pytest.mark.parametrize("kind", ["bool", "int32", "uint32", "float16", "float32", "int8", "uint8", "int16", "uint16"])
def test_bytes_are_those_that_numpy_writes(kind: str, tmp_path: Path) -> None:
    array = sample(kind)
    tensor = Tensor(array.tolist(), dtype=getattr(dtypes, kind))
    assert written(tensor) == saved(array)
    np.save(tmp_path / "theirs.npy", array)
    files.save(tmp_path / "ours.npy", tensor)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()
    assert np.load(tmp_path / "ours.npy").dtype == array.dtype
    assert files.load(tmp_path / "theirs.npy").tolist() == array.tolist()
    assert sorted(os.listdir(tmp_path)) == ["ours.npy", "theirs.npy"]


def test_types_that_numpy_lacks() -> None:
    values = [1.0, -1.0, 0.5, 3.0]
    for dtype in (dtypes.bfloat16, dtypes.float8_e4m3, dtypes.float8_e5m2):
        tensor = Tensor(values, dtype=dtype)
        assert written(tensor) == saved(np.array(values, np.float32))
        loaded = files.load(written(tensor), dtype)
        assert (loaded.dtype, loaded.tolist()) == (dtype, values)
    raw = npy(said("'|V1'", shape="(2,)"), b"\x3c\xbc")
    assert files.load(raw, dtypes.float8_e5m2).tolist() == [1.0, -1.0]
    raw = npy(said("'<V2'", shape="(4,)"), bytes.fromhex("803f80bf003f4040"))
    assert files.load(raw, dtypes.bfloat16).tolist() == values
    with pytest.raises(ParseError, match=r"raw bytes of no known type \(<V2\); bfloat16 or float8, perhaps"):
        files.load(raw)
    swapped = npy(said("'>V2'", shape="(4,)"), bytes.fromhex("3f80bf803f004040"))
    assert files.load(swapped, dtypes.bfloat16).tolist() == values
    assert written(Tensor([1.0, 2.0]) + 1) == saved(np.array([2, 3], np.float32))
    file = io.BytesIO()
    files.save(file, [[1, 2], [3, 4]])
    assert file.getvalue() == saved(np.array([[1, 2], [3, 4]], np.int32))


@pytest.mark.parametrize(
    ("kind", "dtype", "values", "wanted"),
    [
        ("int64", "float32", [2**40, -3], [2.0**40, -3.0]),
        ("float64", "float16", [1.00048828125 + 1e-12, 1e30], [1.0009765625, float("inf")]),
        ("float64", "int32", [1.9, -1.9], [1, -1]),
        ("float32", "int32", [1.9, -1.9], [1, -1]),
        ("int32", "uint32", [7, 2**31 - 1], [7, 2**31 - 1]),
        ("uint32", "int32", [7, 8], [7, 8]),
        ("int8", "float32", [-5, 7], [-5.0, 7.0]),
        ("int16", "bool", [0, 3], [False, True]),
        ("bool", "float32", [True, False], [1.0, 0.0]),
        ("bool", "int32", [True, False], [1, 0]),
        ("float16", "float32", [0.5, -2.0], [0.5, -2.0]),
        ("float32", "float16", [0.1, 70000.0], [0.0999755859375, float("inf")]),
        ("uint64", "int32", [5, 6], [5, 6]),
    ],
)
def test_the_type_that_was_asked_for(kind: str, dtype: str, values: list[Any], wanted: list[Any]) -> None:
    loaded = files.load(saved(np.array(values, kind)), getattr(dtypes, dtype))
    assert (loaded.dtype.name, loaded.tolist()) == (dtype, wanted)


@pytest.mark.parametrize(
    ("kind", "dtype", "value", "fits"),
    [
        ("int64", None, 2**31, "int32"),
        ("int64", None, -(2**63), "int32"),
        ("uint64", None, 2**32, "uint32"),
        ("uint32", "int32", 2**31, "int32"),
        ("int8", "uint32", -1, "uint32"),
    ],
)
def test_an_integer_that_does_not_fit_is_told_with_value_and_index(kind: str, dtype: str | None, value: int, fits: str) -> None:
    array = np.zeros((5, 70_000), kind)
    array[4, 69_999] = value
    for laid in (array, array.astype(array.dtype.newbyteorder(">"))):
        with pytest.raises(ParseError, match=rf"the file holds {value} at \[4, 69999\], which does not fit {fits} "):
            files.load(saved(laid), getattr(dtypes, dtype) if dtype else None)


def test_64_bits_on_request_are_refused() -> None:
    for dtype in (dtypes.int64, dtypes.float64):
        with pytest.raises(DTypeError, match="64"):
            files.load(saved(np.zeros(2)), dtype)


GOOD = said()
BAD: list[tuple[bytes, str]] = [
    (b"", "no .npy file"),
    (b"\x93NUMPY", "no .npy file"),
    (b"\x93NUMPX\x01\x00" + bytes(100), "no .npy file"),
    (b"PK\3\4" + bytes(100), "looks like an archive of arrays: use load_npz"),
    (b"some text that is no array", "no .npy file"),
    (npy(GOOD, bytes(8), (0, 0)), "version 0.0"),
    (npy(GOOD, bytes(8), (1, 1)), "version 1.1"),
    (npy(GOOD, bytes(8), (4, 0)), "version 4.0"),
    (npy(GOOD, bytes(8), (255, 255)), "version 255.255"),
    (npy(GOOD, bytes(8), size=60000), "cut off or damaged"),
    (npy(GOOD, bytes(8), (2, 0), size=99_999_999), "cut off or damaged"),
    (npy(GOOD, bytes(8), (2, 0), size=100_000_001), "has 100,000,001 bytes, and 100,000,000 are the most"),
    (npy(GOOD, bytes(8), (3, 0), size=2**32 - 1), "are the most"),
    (npy(GOOD, bytes(8), size=3), "no dictionary"),
    (npy("", bytes(2)), "no dictionary"),
    (npy("()", bytes(8)), "no dictionary"),
    (npy("{}", bytes(8)), "says nothing of descr, fortran_order, shape"),
    (npy("{" * 60_000 + "}", bytes(8)), "damaged"),
    (npy("{'descr': " + "(" * 60_000 + "}", bytes(8)), "damaged|records"),
    (npy(b"\xff{'descr'", bytes(8), (3, 0)), "no text in UTF-8"),
    (npy("{'descr': '<f4', 'fortran_order': False}", bytes(8)), "says nothing of shape"),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", bytes(8)), "each once"),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'shape': (2,)}", bytes(8)), "each once"),
    (npy("{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}", bytes(8)), "each once"),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} or __import__('os')", bytes(8)), "no dictionary"),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os').abort(), }", bytes(8)), "each once"),
    (npy(said(order="1"), bytes(8)), "each once"),
    (npy(said(order="'False'"), bytes(8)), "must be a text"),
    (npy(said(order="None"), bytes(8)), "each once"),
    (npy(said("<f4"), bytes(8)), "each once"),
    (npy(said("True"), bytes(8)), "must be a text"),
    (npy(said("b'<f4'"), bytes(8)), "each once"),
    (npy(said(shape="2"), bytes(8)), "each once"),
    (npy(said(shape="(02,)"), bytes(8)), "its shape"),
    (npy(said(shape="(\u0662,)"), bytes(8), (3, 0)), "each once"),
    (npy(b"{'descr': '<f4',\xa0'fortran_order': False, 'shape': (2,)}", bytes(8)), "each once"),
    (npy(said(shape="(2)"), bytes(8)), r"its shape is \(2\)"),
    (npy(said(shape="[2]"), bytes(8)), "each once"),
    (npy(said(shape="(-2,)"), bytes(8)), "each once"),
    (npy(said(shape="(2.0,)"), bytes(8)), "each once"),
    (npy(said(shape="(True,)"), bytes(8)), "each once"),
    (npy(said(shape="(2,,)"), bytes(8)), "its shape"),
    (npy(said(shape="(,)"), bytes(8)), "its shape"),
    (npy(said(shape="(2 3,)"), bytes(8)), "its shape"),
    (npy(said(shape="((2,),)"), bytes(8)), "each once"),
    (npy(said(shape="(" + "9" * 5000 + ",)"), bytes(8)), "its shape"),
    (npy(said(shape="(" + "1, " * 65 + ")"), bytes(4)), "has more than 64 axes"),
    (npy(said(shape="(" + "1, " * 300_000 + ")"), bytes(4), (2, 0)), "has more than 64 axes"),
    (npy(said(shape="(" + "1, " * 64 + ")"), bytes(3)), "takes 4 bytes, and 3 follow"),
    (npy(said(shape="(9223372036854775807, 4)"), bytes(8)), "no array is so large"),
    (npy(said(shape="(0, 9223372036854775807)")), "no array is so large"),
    (npy(said(shape="(4294967296, 4294967296)")), "no array is so large"),
    (npy(said("'|O'"), bytes(16)), "pickled Python objects, which are never loaded: they can run any program"),
    (npy(said("'O'"), bytes(16)), "pickled Python objects"),
    (npy(said("'<U5'"), bytes(40)), "texts"),
    (npy(said("'|S3'"), bytes(6)), "texts"),
    (npy(said("'|V8'"), bytes(16)), "raw bytes of no known type"),
    (npy(said("'<c8'"), bytes(16)), "complex numbers"),
    (npy(said("'<f16'"), bytes(32)), "floats of more than 64 bits"),
    (npy(said("'<M8[ns]'"), bytes(16)), "dates"),
    (npy(said("'<m8[s]'"), bytes(16)), "spans of time"),
    (npy(said("'<f3'"), bytes(6)), "holds"),
    (npy(said("'<i16'"), bytes(32)), "unknown type"),
    (npy(said("''"), bytes(8)), "'' is no element type"),
    (npy(said("'<'"), bytes(8)), "no element type"),
    (npy(said("'<f4,<f4'"), bytes(16)), "holds"),
    (npy(said("'(2,)<f4'"), bytes(16)), "no element type"),
    (npy(said("[('a', '<f4'), ('b', '<i4')]"), bytes(16)), "records of several fields: save each field"),
    (npy(said("{'names': ['a'], 'formats': ['<f4']}"), bytes(8)), "records of several fields"),
    (npy(said("('<f4', (2,))"), bytes(16)), "each once|records"),
    (npy(GOOD), r"float32 \(2,\) takes 8 bytes, and 0 follow"),
    (npy(GOOD, bytes(7)), "takes 8 bytes, and 7 follow"),
    (npy(GOOD, bytes(9)), "takes 8 bytes, and 9 follow"),
]


@pytest.mark.parametrize(("data", "words"), BAD, ids=range(len(BAD)))
def test_bad_files(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    for file in (data, tmp_path / "x.npy"):
        with pytest.raises(ParseError, match=words):
            files.load(file)
    if "9 follow" not in words:  # of an open file, what follows is left there
        with pytest.raises(ParseError):
            files.load(io.BytesIO(data))


def test_a_file_of_128_bytes_that_announces_32_gib() -> None:
    data = npy(said("'<f8'", shape="(4294967296,)"))
    data = npy(said("'<f8'", shape="(4294967296,)").rstrip().ljust(117) + "\n")
    assert len(data) == 128
    for file in (data, io.BytesIO(data), Pipe(data)):
        why, most = refused(files.load, file)
        assert re.search(r"float64 \(4294967296,\) takes? 34,359,738,368 bytes, and (there are )?0", why)
        assert most < 20_000


class Pipe:
    """A stream that gives a few bytes at a time, and can neither seek nor tell where it is."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def read(self, count: int) -> bytes:
        part, self.rest = self.rest[: min(count, 7)], self.rest[min(count, 7) :]
        return part


def test_arrays_that_follow_one_another_in_an_open_file(tmp_path: Path) -> None:
    data = saved(np.arange(3)) + saved(np.float32(2.5)) + b"rest"
    for file in (io.BytesIO(data), Pipe(data)):
        assert files.load(cast("Any", file)).tolist() == [0, 1, 2]
        assert files.load(cast("Any", file)).item() == 2.5
        assert file.read(4) == b"rest"
    with (tmp_path / "x").open("wb") as made:
        files.save(made, Tensor([1.0]))
        files.save(made, Tensor([2, 3]))
    with (tmp_path / "x").open("rb") as opened:
        assert np.load(opened).tolist() == [1.0]
        assert files.load(opened).tolist() == [2, 3]


def test_headers_as_others_write_them() -> None:
    body = struct.pack("<2f", 1, 2)
    for header in (
        '{"descr":"<f4","fortran_order":False,"shape":(2,)}',
        "{'shape': (2L,), 'fortran_order': True, 'descr': 'f4'}",
        " {  'fortran_order'  :\tFalse ,\n'shape' : ( 2 , ) , 'descr' : '=f4' , } \n",
    ):
        assert files.load(npy(header, body)).tolist() == [1.0, 2.0]
    assert files.load(npy(said("'<?'"), b"\x00\x02")).tolist() == [False, True]
    assert files.load(npy(said(shape="()"), body[:4])).item() == 1.0
    assert files.load(npy(said(shape="( )"), body[:4])).item() == 1.0
    assert files.load(npy(said(shape="(2, 0,)"))).shape == (2, 0)
    assert files.load(npy(GOOD + " " * 70_000 + "\n", body, (2, 0))).tolist() == [1.0, 2.0]
    assert np.load(io.BytesIO(npy(said(shape="(1, 2)"), body))).tolist() == [[1.0, 2.0]]


def test_what_numpy_pickles_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}, None], object), allow_pickle=True)
    with pytest.raises(ParseError, match="never loaded"):
        files.load(tmp_path / "x.npy")


def test_files_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read .*absent.npy: No such file"):
        files.load(tmp_path / "absent.npy")
    with pytest.raises(OSError, match="it is a folder"):
        files.load(tmp_path)
    with pytest.raises(FileError, match="cannot write"):
        files.save(tmp_path / "no" / "x.npy", Tensor([1.0]))
    with pytest.raises(UsageError, match="mode 'rb'"):
        files.load(cast("Any", io.StringIO("text")))
    closed = io.BytesIO(saved(1))
    closed.close()
    with pytest.raises(FileError, match="closed"):
        files.load(closed)


ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.dtype(k).newbyteorder(o) for k in ("bool", "int32", "uint32", "float16", "float32") for o in ORDERS]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    st.booleans(),
)
def test_round_trip(array: Any, fortran: bool) -> None:
    data = saved(np.array(array, order="F" if fortran else "C"))
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).reshape(array.shape)
    loaded = files.load(data)
    assert np.array_equal(loaded.numpy(), plain, equal_nan=plain.dtype.kind == "f")
    assert written(loaded) == saved(plain)


def test_a_magic_of_its_own() -> None:
    assert np.lib.format.MAGIC_PREFIX == MAGIC
