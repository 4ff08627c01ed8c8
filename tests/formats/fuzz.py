"""Files changed at random, and files made of the words of a format: each is loaded, or refused with a ParseError, and nothing else happens.

    python tests/formats/fuzz.py --inputs 1000000 [--format npy] [--seed 0]

What loads is read to the end. One input in so many is loaded with every allocation counted, which may take no more than files of that
size can; and where it loads, the format's own package must load the same numbers. The same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))  # where this file is run as a program
sys.path.insert(1, str(Path(__file__).parent.parent.parent))

import numpy as np
from malformed import archive, entry, member, npy, said, tensors
from safetensors import SafetensorError, deserialize

from anneal import ParseError, Tensor
from anneal.formats import npy as npy_files
from anneal.formats import safetensors

COUNTED: Final = 100
"""One input in so many is loaded with its allocations counted."""
INTERESTING: Final = (0, 1, 2, 7, 8, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


@dataclass(frozen=True)
class Format:
    """How files of one format are made, loaded, and loaded by others."""

    load: Callable[[bytes], Mapping[str, Tensor]]
    theirs: Callable[[bytes], Mapping[str, Any]]
    corpus: Sequence[bytes]
    """Good files."""
    words: Sequence[bytes]
    """What files of the format are made of."""
    generate: Callable[[Random, Sequence[bytes]], bytes]
    """A file made of words."""
    expansion: int
    """Bytes that may be in use for each byte of a file."""


@dataclass
class Counts:
    """What became of the inputs."""

    loaded: int = 0
    refused: int = 0
    compared: int = 0
    largest: int = 0
    """The most bytes in use for one input."""


class FoundError(Exception):
    """An input that does what none may."""


def mutated(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """A file with a few of its bytes changed, left out, doubled, or replaced by numbers and words."""
    made, roll = bytearray(data), random.random
    for _ in range(1 + int(roll() * roll() * 5)):
        size = len(made)
        at, way = int(roll() * (size + 1)), int(roll() * 9)
        if way < 3 and at < size:
            made[at] = int(roll() * 256) if way else made[at] ^ 1 << int(roll() * 8)
        elif way == 3:
            del made[at : size if roll() < 0.3 else at + int(roll() * 9)]
        elif way == 4:
            made[at:at] = made[at : at + int(roll() * 40)]
        elif way == 5:
            width = 4 if roll() < 0.5 else 8
            number = INTERESTING[int(roll() * len(INTERESTING))] & (1 << 8 * width) - 1
            made[at : at + width] = number.to_bytes(width, "little")
        elif way == 6:
            word = words[int(roll() * len(words))]
            made[at : at + (len(word) if roll() < 0.5 else 0)] = word
        elif way == 7:
            other = int(roll() * (size + 1))
            made[at : at + 8] = made[other : other + 8]
        else:
            made += bytes(int(roll() * 9))
    return bytes(made)


def strung(random: Random, words: Sequence[bytes], most: int) -> bytes:
    """Words one after the other."""
    return b"".join(random.choices(words, k=1 + int(random.random() * most)))


NPY_WORDS: Final = [
    *(b"{", b"}", b"'descr': ", b"'fortran_order': ", b"'shape': ", b", ", b"True", b"False", b"()", b"(2,)", b"(2, 3)", b"(", b")", b"[", b"]", b" ", b"\n"),
    *(b"'<f4'", b"'>f8'", b"'|b1'", b"'<i8'", b"'|O'", b"'<U4'", b"'|V2'", b"'<f2'", b"'>u2'", b"[('a', '<f4')]", b"'", b'"', b"\\", b"\0", b"\xff", b"L"),
    *(b"0", b"1", b"-1", b"4294967296", b"9223372036854775807", b"99999999999999999999", b"1e9", b"None", b"__import__('os')", b"\x93NUMPY"),
]
NPY: Final = [
    npy(said(descr, order, shape).rstrip().ljust(117) + "\n", bytes(range(1, 49))[:size])
    for descr, order, shape, size in (
        ("'<f4'", "False", "(2, 3)", 24),
        ("'>f8'", "True", "(2, 3)", 48),
        ("'|b1'", "False", "(5,)", 5),
        ("'<i8'", "False", "(0, 4)", 0),
        ("'<f2'", "True", "()", 2),
        ("'>u2'", "True", "(2, 1, 3)", 12),
        ("'|i1'", "False", "(3,)", 3),
    )
] + [npy(said(), bytes(8), (2, 0)), npy(said(), bytes(8), (3, 0))]
FIELDS: Final = [word for word in NPY_WORDS if word[:1] not in b"{}"]
WIDTHS: Final = {b"'<f4'": 4, b"'>f8'": 8, b"'|b1'": 1, b"'<i8'": 8, b"'<f2'": 2, b"'>u2'": 2, b"'|O'": 8, b"'<U4'": 16, b"'f4'": 4, b"'|i1'": 1}
SIZES: Final = {b"()": 1, b"(2,)": 2, b"(2, 3)": 6, b"(0,)": 0, b"(3, 1, 2)": 6, b"(1,)": 1, b"(4294967296,)": 3}


def generate_npy(random: Random, words: Sequence[bytes]) -> bytes:
    """A header of the right keys, most of them, with values and a body at random."""
    if random.random() < 0.2:
        return npy(strung(random, words, 12), bytes(int(random.random() * 30)))
    descr, shape = random.choice(list(WIDTHS)), random.choice(list(SIZES))
    size = WIDTHS[descr] * SIZES[shape] + (random.random() < 0.1)
    values = {b"'descr': ": descr, b"'fortran_order': ": random.choice((b"True", b"False")), b"'shape': ": shape}
    fields = [key + (value if random.random() < 0.95 else strung(random, FIELDS, 3)) for key, value in values.items()]
    random.shuffle(fields)
    return npy(b"{" + b", ".join(fields) + b", }", bytes(size), random.choice(((1, 0), (2, 0), (3, 0))))


KINDS: Final = [b'"F32"', b'"F16"', b'"BF16"', b'"F64"', b'"I64"', b'"U8"', b'"I8"', b'"BOOL"', b'"F8_E4M3"', b'"F4"', b'"U64"']
TENSOR_WORDS: Final = [
    *(b"{", b"}", b"[", b"]", b":", b",", b" ", b'"a":', b'"b":', b'"dtype":', b'"shape":', b'"data_offsets":', b'"__metadata__":', b'"', b"\\ud800", b"\xff"),
    *KINDS,
    *(b"0", b"1", b"2", b"4", b"8", b"-1", b"1.0", b"true", b"null", b"NaN", b"4294967296", b"18446744073709551615", b"99999999999999999999", b"[0,4]", b"[1]"),
]
TENSORS: Final = [
    tensors({"a": entry(shape=(2, 1), span=(0, 8)), "b": entry("I8", (3,), (8, 11))}, bytes(range(11))),
    tensors({"__metadata__": {"k": "v"}, "a": entry("F16", (), (0, 2)), "b": entry("F64", (2,), (2, 18))}, bytes(range(18))),
    tensors({"a": entry("I64", (2,), (0, 16)), "e": entry("BOOL", (0, 7), (16, 16))}, b"\1" + bytes(15)),
    tensors({"b": entry("BF16", (3,), (0, 6)), "u": entry("U16", (1,), (6, 8))}, bytes(range(8))),
]


def generate_tensors(random: Random, words: Sequence[bytes]) -> bytes:
    """A header of one or two tensors that mostly fit their bytes."""
    if random.random() < 0.2:
        return tensors(strung(random, words, 14), bytes(int(random.random() * 9)))
    parts, at = [], 0
    for name in (b"a", b"b")[: 1 + int(random.random() * 2)]:
        kind, size = random.choice(KINDS), int(random.random() * 4)
        end = at + size * int(random.choice((4, 4, 2, 1, 8)))
        shape = b"[%d]" % size if random.random() < 0.9 else strung(random, words, 3)
        parts.append(b'"%s":{"dtype":%s,"shape":%s,"data_offsets":[%d,%d]}' % (name, kind, shape, at, end))
        at = end
    return tensors(b"{" + b",".join(parts) + b"}", bytes(at + int(random.random() < 0.1)))


ARRAY: Final = npy(said("'|b1'", shape="(6,)"), bytes(6))
SECOND: Final = len(member(body=ARRAY)[0])
NPZ: Final = [
    archive(member(body=ARRAY)),
    archive(member(body=ARRAY), member(b"b.npy", ARRAY, deflate=True, at=SECOND)),
    archive(member(body=NPY[0], deflate=True)),
    archive(),
]
NPZ_WORDS: Final = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"a.npy", b"../", b"/", b"\\", *NPY_WORDS, b"\1\0\x18\0" + b"\xff" * 24]


def generate_npz(random: Random, words: Sequence[bytes]) -> bytes:
    """An archive of arrays that are not all good, with claims about them that are not all true."""
    made, at = [], 0
    for name in (b"a.npy", b"b.npy")[: 1 + int(random.random() * 2)]:
        body = mutated(random, random.choice(NPY), NPY_WORDS) if random.random() < 0.5 else ARRAY
        claimed = {random.choice(("packed", "size", "check")): random.choice(INTERESTING) & 0xFFFFFFFF} if random.random() < 0.3 else {}
        title = name if random.random() < 0.9 else strung(random, words, 2)
        made.append(member(title, body, deflate=random.random() < 0.5, at=at, **claimed))
        at += len(made[-1][0])
    if random.random() < 0.2:  # a member whose own header agrees with what the directory says, and whose data do not
        body = mutated(random, zlib.compress(ARRAY, wbits=-15), words)
        facts = zlib.crc32(ARRAY), len(body), random.choice((len(ARRAY), len(ARRAY) + 1, 5000, 0))
        local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, *facts, 5, 0) + b"a.npy"
        made = [(local + body, struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, *facts, 5, 0, 0, 0, 0, 0, 0) + b"a.npy")]
    return archive(*made)


def numpys(data: bytes) -> dict[str, Any]:
    """What NumPy loads."""
    found = np.load(io.BytesIO(data), allow_pickle=False)
    return {"x": found} if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}


NUMPYS: Final = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "u2", "F16": "f2", "F32": "f4", "F64": "f8", "I64": "i8", "U64": "u8"}


def packages(data: bytes) -> dict[str, Any]:
    """What the safetensors package loads."""
    found = {}
    for name, facts in deserialize(data):  # type: ignore[no-untyped-call]
        kind, raw = facts["dtype"], bytes(facts["data"])
        values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4") if kind == "BF16" else np.frombuffer(raw, NUMPYS[kind])
        found[name] = values.reshape(facts["shape"])
    return found


FORMATS: Final = {
    "npy": Format(lambda data: {"x": npy_files.load(data)}, numpys, NPY, NPY_WORDS, generate_npy, 40),
    "safetensors": Format(safetensors.load, packages, TENSORS, TENSOR_WORDS, generate_tensors, 100),
    "npz": Format(npy_files.load_npz, numpys, NPZ, NPZ_WORDS, generate_npz, 1100),
}
SLACK: Final = 64 << 10
"""Bytes that may be in use whatever the size of a file."""


def run(name: str, inputs: int, seed: int = 0) -> Counts:
    """Load so many inputs of a format; raises FoundError, with the input, for one that does what none may."""
    random, chosen, counts = Random(f"{name} {seed}"), FORMATS[name], Counts()
    for number in range(inputs):
        if random.random() < 0.7:
            data = mutated(random, chosen.corpus[int(random.random() * len(chosen.corpus))], chosen.words)
        else:
            data = chosen.generate(random, chosen.words)
        try:
            if number % COUNTED:
                loaded = _load(chosen, data)
            else:
                loaded = _counted(chosen, data, counts)
                if loaded:
                    _compare(chosen, data, loaded)
                    counts.compared += 1
        except Exception as error:
            raise FoundError(f"{name}, input {number} of seed {seed}: {type(error).__name__}: {error}\n{data!r}") from error
        counts.loaded += loaded is not None
        counts.refused += loaded is None
    return counts


def _load(chosen: Format, data: bytes) -> Mapping[str, Tensor] | None:
    """What an input loads as, read to the end; None where it is refused."""
    try:
        loaded = chosen.load(data)
    except ParseError:
        return None
    for tensor in loaded.values():
        tensor.data()
    return loaded


def _counted(chosen: Format, data: bytes, counts: Counts) -> Mapping[str, Tensor] | None:
    """As `_load`, within the memory that a file of its size may take."""
    tracemalloc.start()
    loaded = _load(chosen, data)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most <= SLACK + chosen.expansion * len(data), f"{most:,} bytes were in use for a file of {len(data):,}"
    counts.largest = max(counts.largest, most)
    return loaded


def _compare(chosen: Format, data: bytes, loaded: Mapping[str, Tensor]) -> None:
    """The format's own package loads the same numbers, where NumPy, which it gives them in, has their types."""
    if any(tensor.dtype.is_float and tensor.dtype.bits == 8 for tensor in loaded.values()):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = chosen.theirs(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise AssertionError(f"the format's own package refuses it: {error}") from error
    assert theirs.keys() == loaded.keys()
    for name, tensor in loaded.items():
        assert tensor.shape == theirs[name].shape
        with np.errstate(over="ignore", invalid="ignore"):
            wanted = theirs[name].astype(tensor.numpy().dtype)
        assert np.array_equal(tensor.numpy(), wanted, equal_nan=wanted.dtype.kind == "f")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all, shared by the formats")
    parser.add_argument("--format", choices=FORMATS, help="one format alone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = [options.format] if options.format else list(FORMATS)
    for name in names:
        start = time.process_time()
        counts = run(name, options.inputs // len(names), options.seed)
        seconds = time.process_time() - start
        print(f"{name:12} {counts} {seconds:.1f} s, {seconds / (counts.loaded + counts.refused) * 1e6:.1f} µs each")


if __name__ == "__main__":
    main()
