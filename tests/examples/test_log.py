"""The log of a training: what is written is read, what is cut is read up to there, what is damaged is told, a full disk costs the rest of it only."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anneal.errors import AnnealError, UsageError
from anneal.examples import log
from anneal.examples.log import Log, parse, read
from anneal.examples.monitor import Facts, Record
from anneal.export.schema.check import check
from anneal.export.schema.log import Header, Step

FACTS = Facts("mlp", "webgpu", "a GPU", batch=8, optimizer="sgd", seed=3, rows=64, held=16, parameters=10, phases={"forward": 2})
RECORDS = [Record(step, 2.0 / step, 0.5, 0.25, 0.125 if step % 2 else None, 0.9 if step == 4 else None) for step in range(1, 7)]


def written(*documents: Any) -> bytes:
    return log.text([log.header(FACTS, 6), *documents])


WHOLE = written(*map(asdict, RECORDS))


def quiet(message: str) -> None:
    pytest.fail(message)


def test_lines_have_their_schemas_and_are_read_as_they_were() -> None:
    first, *rest = WHOLE.decode().splitlines()
    check(json.loads(first), Header)
    for line in rest:
        check(json.loads(line), Step)
        assert json.loads(line).keys() == Step.__annotations__.keys()
    curve = parse(WHOLE)
    assert curve.records == RECORDS
    assert (curve.header["model"], curve.header["phases"], curve.cut, curve.whole) == ("mlp", {"forward": 2}, False, len(WHOLE))


def test_cut_anywhere_a_log_has_its_whole_lines() -> None:
    """Every length that a killed training can leave."""
    ends = [at for at, byte in enumerate(WHOLE, 1) if byte == ord("\n")]
    for length in range(len(WHOLE)):
        lines = sum(end <= length for end in ends)
        if not lines:
            with pytest.raises(UsageError, match=r"is no log of a training: (its first line is cut off|it is empty)"):
                parse(WHOLE[:length])
            continue
        curve = parse(WHOLE[:length])
        assert curve.records == RECORDS[: lines - 1]
        assert (curve.cut, curve.whole) == (length not in ends, ends[lines - 1])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"step": 2, "lo', "Unterminated"),
        (b"[1, 2]", "TypeError|indices"),
        (b"7", "not iterable"),
        (b'{"step": 2}', "seconds|host_seconds"),
        (b'{"step": 0, "loss": 1.0, "seconds": 1.0, "host_seconds": 1.0}', "expected a number from 1 on, found 0"),
        (b'{"step": true, "loss": 1.0, "seconds": 1.0, "host_seconds": 1.0}', "expected a number from 1 on, found True"),
        (b'{"step": 2, "loss": "low", "seconds": 1.0, "host_seconds": 1.0}', "expected a number, found 'low'"),
        (b'{"step": 2, "loss": 1%s, "seconds": 1.0, "host_seconds": 1.0}' % (b"0" * 400), "too large"),
        (b"\xff\xfe\x00", "codec|decode|Expecting"),
        (b"[" * 100_000, "RecursionError|recursion"),
        (b'{"schema": "anneal.log", "version": 1}', "lacks backend, batch"),
        (b'{"schema": "other"}', "lacks"),
    ],
)
def test_a_damaged_line_is_named(line: bytes, reason: str) -> None:
    lines = WHOLE.splitlines()
    lines[3:3] = [line]
    with pytest.raises(UsageError, match=r"run\.jsonl is damaged: line 4 is ") as raised:
        parse(b"\n".join(lines) + b"\n", "run.jsonl")
    assert any(part in str(raised.value) for part in reason.split("|"))
    assert len(str(raised.value)) < 400


def test_a_later_version_is_told() -> None:
    heading = {**log.header(FACTS, 6), "version": 2}
    with pytest.raises(UsageError, match="version 2, and this anneal reads 1"):
        parse(log.text([heading]))


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3))
def test_whatever_is_changed_is_read_or_told(at: int, put: bytes) -> None:
    try:
        curve = parse(WHOLE[:at] + put + WHOLE[at + 1 :])
    except AnnealError as error:
        assert "line " in str(error) or "cut off" in str(error)
    else:
        assert len(curve.records) <= len(RECORDS) + 1


def test_numbers_that_json_lacks_are_text() -> None:
    strange = [replace(RECORDS[0], loss=math.inf, accuracy=-math.inf), replace(RECORDS[1], accuracy=math.nan)]
    data = written(*map(asdict, strange))
    for line in data.splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    first, second = parse(data).records
    assert (first.loss, first.accuracy) == (math.inf, -math.inf)
    assert second.accuracy is not None
    assert math.isnan(second.accuracy)


def test_a_step_made_again_counts_as_it_was_made_last() -> None:
    again = log.header(replace(FACTS, start=2), 6)
    curve = parse(WHOLE + log.text([again, asdict(replace(RECORDS[2], loss=9.0))]))
    assert [(r.step, r.loss) for r in curve.records] == [(1, 2.0), (2, 1.0), (3, 9.0)]


# Writing.


def test_windows_are_there_as_soon_as_they_are_made(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    out = Log(str(path), FACTS, 6, quiet)
    assert not path.exists()
    out(RECORDS[:1])
    assert read(str(path)).records == RECORDS[:1]
    out(RECORDS[1:5])
    assert read(str(path)).records == RECORDS[:5]
    out(RECORDS[5:])
    assert path.read_bytes() == WHOLE
    assert [p.name for p in tmp_path.iterdir()] == ["run.jsonl"]


def test_an_old_log_is_replaced_only_when_there_is_a_new_window(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(WHOLE)
    out = Log(str(path), replace(FACTS, seed=9), 6, quiet)
    assert path.read_bytes() == WHOLE
    out(RECORDS[:1])
    assert read(str(path)).header["seed"] == 9
    assert read(str(path)).records == RECORDS[:1]


@pytest.mark.parametrize("left", [len(WHOLE), len(WHOLE) - 5])
def test_a_resumed_training_adds_to_its_log(left: int, tmp_path: Path) -> None:
    """Also to one whose last line is half a line."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(WHOLE[:left])
    out = Log(str(path), replace(FACTS, start=4), 8, quiet)
    out([replace(RECORDS[0], step=5, loss=7.0)])
    out([replace(RECORDS[0], step=6, loss=8.0)])
    curve = read(str(path))
    assert [r.loss for r in curve.records] == [r.loss for r in RECORDS[:4]] + [7.0, 8.0]
    assert (curve.header["start"], curve.header["steps"], curve.cut) == (4, 8, False)
    assert path.read_bytes().startswith(WHOLE[: WHOLE[:left].rindex(b"\n") + 1])


@pytest.mark.parametrize("what", ["model", "batch", "optimizer", "seed"])
def test_a_resumed_training_leaves_anothers_log_alone(what: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(WHOLE)
    other: Any = {"model": "conv", "batch": 9, "optimizer": "adam", "seed": 4}[what]
    changes: dict[str, Any] = {what: other, "start": 6}
    with pytest.raises(UsageError, match=f"is of another training, with {what} .* and not {other}: name another file"):
        Log(str(path), replace(FACTS, **changes), 8, quiet)
    assert path.read_bytes() == WHOLE


@pytest.mark.parametrize("there", [b"my thesis", b"{}\n", b'{"step": 1}\n', b"\x00" * 100, b"\n"])
def test_what_is_no_log_is_left_alone(there: bytes, tmp_path: Path) -> None:
    path = tmp_path / "thesis"
    path.write_bytes(there)
    with pytest.raises(UsageError, match="thesis is there and is no log of a training: name another file, or move it away"):
        log.check_writable(str(path))
    assert path.read_bytes() == there


def test_places_where_no_log_can_be(tmp_path: Path) -> None:
    for place, said in ((tmp_path, "it is a folder"), (tmp_path / "missing" / "x", "No such file"), (Path("/dev/null/x"), "Not a directory")):
        with pytest.raises(UsageError, match=said):
            log.check_writable(str(place))
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").touch()
    log.check_writable(str(tmp_path / "empty"))


@contextmanager
def file_size_limit(nbytes: int) -> Iterator[None]:
    """Inside, no file of this process grows beyond that: what a full disk does."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_the_log_with_a_whole_line(tmp_path: Path) -> None:
    path, told = tmp_path / "run.jsonl", list[str]()
    out = Log(str(path), FACTS, 6, told.append)
    out(RECORDS[:2])
    before = path.read_bytes()
    with file_size_limit(len(before) + 40):
        out(RECORDS[2:4])
    out(RECORDS[4:])
    assert told == [f"the log {path} ends at step 2: File too large; the training goes on"]
    assert path.read_bytes() == before


def test_a_full_disk_at_the_first_window_leaves_the_old_log(tmp_path: Path) -> None:
    path, told = tmp_path / "run.jsonl", list[str]()
    path.write_bytes(WHOLE)
    out = Log(str(path), FACTS, 6, told.append)
    with file_size_limit(100):
        out(RECORDS[:2])
    assert told == [f"the log {path} ends at step 0: File too large; the training goes on"]
    assert path.read_bytes() == WHOLE
    assert [p.name for p in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_pipe_or_a_device_is_written_as_it_stands() -> None:
    told = list[str]()
    out = Log("/dev/full", FACTS, 6, told.append)
    out(RECORDS)
    assert told == ["the log /dev/full ends at step 0: No space left on device; the training goes on"]
    Log(os.devnull, FACTS, 6, quiet)(RECORDS)
