"""The log of a training: a JSON document a line, the first of them about the training, each other about a step.

What is written is only ever added to, in whole windows, so a training that is killed leaves a log that lacks its last window at most. A
training that goes on from a checkpoint adds a heading of its own and its steps; a reader takes each step as it was made last.

>>> facts = Facts("mlp", "reference", "NumPy", batch=8, optimizer="sgd", seed=0, rows=64, held=16, parameters=10)
>>> header(facts, steps=300)["model"]
'mlp'
>>> parse(text([header(facts, 300), asdict(Record(1, 2.5, 0.5, 0.1, None, None))]) + b'{"step": 2, "lo').records
[Record(step=1, loss=2.5, seconds=0.5, host_seconds=0.1, device_seconds=None, accuracy=None)]
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from anneal.errors import ParseError, UsageError
from anneal.examples.monitor import Facts, Record
from anneal.export.plain import plain
from anneal.export.schema.check import check
from anneal.export.schema.log import VERSION, Header
from anneal.formats import atomic

_KEPT: Final = ("model", "batch", "optimizer", "seed")
"""What a training keeps when it is resumed."""
_WORDS: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_LONGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Curve:
    """What a log says."""

    header: Header
    """The last heading."""
    records: list[Record]
    """Each step once, in order."""
    cut: bool
    """The last line is half a line, which is left out."""
    whole: int
    """Bytes of whole lines."""


def header(facts: Facts, steps: int) -> Header:
    """The heading of a log, for a training up to step `steps`."""
    known = {k: v for k, v in asdict(facts).items() if k != "compile_seconds"}
    return cast("Header", {"schema": "anneal.log", "version": VERSION, "steps": steps, **known})


def text(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """Documents as lines."""
    return "".join(json.dumps(plain(dict(d)), separators=(",", ":")) + "\n" for d in documents).encode()


# Reading.


def read(path: str) -> Curve:
    """What the log at `path` says; raises UsageError, naming the line, for what is no log or damaged before its last line."""
    try:
        return parse(Path(path).read_bytes(), path)
    except OSError as error:
        raise UsageError(f"cannot read the log {path}: {error.strerror or error}") from error


def parse(data: bytes, path: str = "the log") -> Curve:
    """What the bytes of a log say; raises UsageError as `read` does."""
    heading: Header | None = None
    found: dict[int, Record] = {}
    lines = data.split(b"\n")
    whole = len(data) - len(lines[-1])
    for number, line in enumerate(lines[:-1], 1):
        try:
            document = json.loads(line)
            if number == 1 or "schema" in document:
                heading = _heading(document)
                found = {step: record for step, record in found.items() if step <= heading["start"]}
            else:
                record = _record(document)
                found[record.step] = record
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            what = "is no log of a training" if number == 1 else "is damaged"
            raise UsageError(f"{path} {what}: line {number} is {_short(line)} ({error if str(error) else type(error).__name__})") from error
    if heading is None:
        raise UsageError(f"{path} is no log of a training: " + ("its first line is cut off" if data else "it is empty"))
    return Curve(heading, [found[step] for step in sorted(found)], cut=bool(lines[-1]), whole=whole)


def _heading(document: Any) -> Header:
    check(document, Header)
    if document["version"] != VERSION:
        raise ParseError(f"version {document['version']}, and this anneal reads {VERSION}")
    return cast("Header", document)


def _record(document: Mapping[str, Any]) -> Record:
    """The step that a line tells; raises where it does not."""
    step = document["step"]
    if type(step) is not int or step < 1:
        raise ParseError(f"step: expected a number from 1 on, found {step!r}")
    host, device, accuracy = (document.get(name) for name in ("host_seconds", "device_seconds", "accuracy"))
    times = (_number(document["seconds"]), _number(host), None if device is None else _number(device))
    return Record(step, _number(document["loss"]), *times, None if accuracy is None else _number(accuracy))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not (isinstance(value, int | float) or (isinstance(value, str) and value in _WORDS)):
        raise ParseError(f"expected a number, found {value!r}")
    return float(value)


def _short(line: bytes, most: int = 40) -> str:
    shown = line.decode("utf-8", "replace")
    return repr(shown if len(shown) <= most else shown[:most] + "…")


# Writing.


def check_writable(path: str) -> None:
    """Raise UsageError for a path where no log can be written, or where something is that is no log; leaves nothing behind."""
    place = Path(path).absolute()
    if place.is_dir():
        raise UsageError(f"cannot write the log {path}: it is a folder; name a file in it")
    try:
        start = _probe(place)
    except OSError as error:
        raise UsageError(f"cannot write the log {path}: {error.strerror or error}") from error
    try:
        if start:
            _heading(json.loads(start))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is there and is no log of a training: name another file, or move it away") from error


def _probe(place: Path) -> bytes:
    """The first line of a file that is there; raises OSError where none can be written."""
    if not place.exists():
        with tempfile.TemporaryFile(dir=place.parent):
            return b""
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only")
    if not place.is_file():
        return b""
    with place.open("rb") as file:
        return file.readline(_LONGEST)


class Log:
    """Writes the log of a training, as an observer of its monitor.

    The log of an earlier training is replaced when the first window is there, or added to by a training that is resumed. When the disk is
    full, the log ends with a whole line and `warn` is told; the training goes on.
    """

    def __init__(self, path: str, facts: Facts, steps: int, warn: Callable[[str], None]) -> None:
        """Raises UsageError where the training is resumed and the log that is there is of another."""
        check_writable(path)
        self.path, self._warn = Path(path), warn
        self._heading: Header | None = header(facts, steps)
        self._last: int | None = facts.start
        self._added = not self.path.is_file() and self.path.exists()
        """The file is added to as it is: it has been begun, or is no regular file."""
        if facts.start and self.path.is_file() and self.path.stat().st_size:
            self._continue(read(path), self._heading)

    def _continue(self, before: Curve, heading: Header) -> None:
        for what in _KEPT:
            there, here = before.header[what], heading[what]
            if there != here:
                raise UsageError(f"the log {self.path} is of another training, with {what} {there} and not {here}: name another file")
        if before.cut:
            os.truncate(self.path, before.whole)
        self._added = True

    def __call__(self, records: Sequence[Record]) -> None:
        """Add a window."""
        if self._last is None:
            return
        data = text([*([self._heading] if self._heading else []), *map(asdict, records)])
        try:
            if self._added:
                self._add(data)
            else:
                atomic.write(self.path, data)
        except OSError as error:
            self._warn(f"the log {self.path} ends at step {self._last}: {error.strerror or error}; the training goes on")
            self._last = None
            return
        self._added, self._heading, self._last = True, None, records[-1].step

    def _add(self, data: bytes) -> None:
        """Add whole lines, or none."""
        with self.path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
