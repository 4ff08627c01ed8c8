"""ZIP archives, as far as `.npz` files need them, read without trust.

The directory at the end says where each member is; it is compared with the header before each member, members may neither overlap nor
leave holes, and what unpacks to another size than announced, or to more than any deflated data could, is refused. Names may say no
path that leads out of a folder.

>>> import io, zipfile
>>> from anneal.formats import sources
>>> file = io.BytesIO()
>>> with zipfile.ZipFile(file, "w") as made:
...     made.writestr("a.npy", "some bytes")
>>> source = sources.opened(file.getvalue())
>>> [member] = members(source)
>>> member.name, b"".join(unpacked(source, member))
('a.npy', b'some bytes')
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn

from anneal.errors import ParseError, UsageError
from anneal.formats.sources import Source

_END: Final = struct.Struct("<4s4H2LH")
_END64_PLACE: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_COMMENT: Final = 0xFFFF
_FULL: Final = 0xFFFFFFFF
"""A size of 32 bits that says: look at the one of 64 bits."""
_ENCRYPTED: Final = 1 | 1 << 5 | 1 << 6 | 1 << 13
"""Flags of members that are encrypted, or only the difference to others."""
_DESCRIBED: Final = 1 << 3
"""Flag of members whose sizes follow them."""
_UTF8: Final = 1 << 11
_DESCRIPTORS: Final = (12, 16, 20, 24)
_NEWEST: Final = 63
"""Version of the format, times ten, that readers are expected to know."""
_EXPANSION: Final = 1032
"""Bytes that one byte of deflated data can make at most."""
_PIECE: Final = 1 << 20
STORED: Final = 0
DEFLATED: Final = 8


class Member(NamedTuple):
    """One file of an archive."""

    name: str
    at: int
    """Where its bytes begin in the archive."""
    packed: int
    """Its bytes in the archive."""
    size: int
    """Its bytes when unpacked, as announced."""
    check: int
    """CRC-32 of the unpacked bytes."""
    deflated: bool


def members(source: Source) -> list[Member]:
    """The members of an archive in the order of its directory; raises ParseError for what is not exactly an archive of stored or deflated files."""
    count, start, end = _directory(source)
    data, at = bytes(source.read(start, end - start)), 0
    found: dict[str, Member] = {}
    spans: list[tuple[int, int, int, str]] = []
    for _ in range(count):
        if len(data) - at < _ENTRY.size:
            _damaged(source, "its directory is too short")
        (mark, _, version, flags, method, _, _, check, packed, size, named, more, comment, _, _, _, place) = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        rest = data[at : at + named + more]
        at += named + more + comment
        if mark != b"PK\1\2" or at > len(data):
            _damaged(source, "its directory is damaged")
        name = _name(source, rest[:named], flags)
        if name in found:
            raise ParseError(f"{source.name} has two members called {name!r}")
        size, packed, place = _wide(source, rest[named:], (size, packed, place))
        if flags & _ENCRYPTED or method not in (STORED, DEFLATED) or version & 0xFF > _NEWEST:
            what = "encrypted" if flags & _ENCRYPTED else f"packed by method {method} of version {(version & 0xFF) / 10}"
            raise ParseError(f"{source.name}: {name!r} is {what}: stored and deflated members can be read")
        if (method == STORED and packed != size) or size > packed * _EXPANSION:
            raise ParseError(f"{source.name}: {name!r} cannot have {size:,} bytes when unpacked: there are {packed:,}")
        begin = _begin(source, name, rest[:named], place, start, (flags, method, check, packed, size))
        found[name] = Member(name, begin, packed, size, check, method == DEFLATED)
        spans.append((place, begin + packed, flags & _DESCRIBED, name))
    if at != len(data):
        _damaged(source, "its directory is too long")
    _check_spans(source, spans, start)
    return list(found.values())


def _damaged(source: Source, what: str) -> NoReturn:
    raise ParseError(f"{source.name} is no archive such as .npz, or damaged: {what}")


def _directory(source: Source) -> tuple[int, int, int]:
    """Number of members, and where the directory begins and ends."""
    tail = bytes(source.read(max(0, source.size - _END.size - _COMMENT), min(source.size, _END.size + _COMMENT)))
    at = len(tail) - _END.size
    while True:
        at = tail.rfind(b"PK\5\6", 0, at + 4) if at >= 0 else -1
        if at < 0:
            _damaged(source, "it has no directory at its end")
        _, disk, first, here, count, size, start, comment = _END.unpack_from(tail, at)
        if at + _END.size + comment == len(tail):
            break
        at -= 1
    end = source.size - len(tail) + at
    if _COMMENT in (here, count) or _FULL in (size, start):
        end, disk, first, here, count, size, start = _directory64(source, end)
    if disk or first or here != count:
        raise ParseError(f"{source.name} is a part of an archive: put the parts together first")
    if start + size != end or count * _ENTRY.size > size:
        _damaged(source, f"a directory of {count:,} members in {size:,} bytes from {start:,} on does not end at {end:,}")
    return count, start, end


def _directory64(source: Source, end: int) -> tuple[int, int, int, int, int, int, int]:
    place = end - _END64_PLACE.size
    if place < _END64.size:
        _damaged(source, "its directory is said to be large, and there is no room for it")
    mark, _, at, _ = _END64_PLACE.unpack(source.read(place, _END64_PLACE.size))
    if mark != b"PK\6\7" or at > place - _END64.size:
        _damaged(source, "its directory is not where it should be")
    mark, length, _, _, disk, first, here, count, size, start = _END64.unpack(source.read(at, _END64.size))
    if mark != b"PK\6\6" or at + 12 + length != place:
        _damaged(source, "its directory is not where it should be")
    return at, disk, first, here, count, size, start


def _name(source: Source, raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise ParseError(f"{source.name}: a member's name {raw!r} is no text in UTF-8") from error
    if (wrong := misnamed(name)) is not None:
        raise ParseError(f"{source.name}: a member is called {name!r}: {wrong}")
    return name


def misnamed(name: str) -> str | None:
    """What is wrong with the name of a member; None where nothing is. Parts between slashes are names, never ways to other folders."""
    if not all(part not in ("", ".", "..") for part in name.split("/")):
        return "a name has no empty parts, dots, or slashes at its ends"
    if "\\" in name or "\0" in name or name[1:3] == ":/":
        return "a name has no backslashes, drives or zeros"
    return "a name may have 65,535 bytes" if len(name) > _COMMENT // 4 and len(name.encode("utf-8", "replace")) > _COMMENT else None


def _wide(source: Source, extra: bytes, sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Sizes of which those that are full are taken from the field of 64-bit sizes."""
    if _FULL not in sizes:
        return sizes
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        values = [value for (value,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8])]
        if kind == 1 and len(values) >= sizes.count(_FULL):
            size, packed, place = (values.pop(0) if n == _FULL else n for n in sizes)
            return size, packed, place
        at += 4 + length
    _damaged(source, "a member is said to be large, and its size is not there")


def _begin(source: Source, name: str, raw: bytes, place: int, limit: int, said: tuple[int, int, int, int, int]) -> int:
    """Where a member's bytes begin; its own header must agree with the directory."""
    flags, method, check, packed, size = said
    if place + _LOCAL.size > limit:
        _damaged(source, f"{name!r} begins at {place:,}, behind the members")
    mark, _, own, by, _, _, crc, small, large, named, more = _LOCAL.unpack(source.read(place, _LOCAL.size))
    begin: int = place + _LOCAL.size + named + more
    if mark != b"PK\3\4" or begin + packed > limit:
        _damaged(source, f"{name!r} of {packed:,} bytes is not where the directory has it")
    extra = bytes(source.read(place + _LOCAL.size, named + more))
    same = extra[:named] == raw and by == method and (own ^ flags) & (_ENCRYPTED | _DESCRIBED) == 0
    if same and not flags & _DESCRIBED:
        large, small, _ = _wide(source, extra[named:], (large, small, 0))
        same = (crc, small, large) == (check, packed, size)
    if not same:
        _damaged(source, f"{name!r} is described twice, and not alike")
    return begin


def _check_spans(source: Source, spans: list[tuple[int, int, int, str]], limit: int) -> None:
    """Raise unless members lie one after the other, all through."""
    end, described = 0, 0
    for place, after, follows, name in [*sorted(spans), (limit, limit, 0, "the directory")]:
        gap = place - end
        if gap and not (described and gap in _DESCRIPTORS):
            _damaged(source, f"{name!r} begins at {place:,} where what is before it ends at {end:,}")
        end, described = after, follows


def unpacked(source: Source, member: Member) -> Iterator[bytes]:
    """A member's bytes, piece by piece; raises ParseError where they are others than announced."""
    import zlib

    total = check = 0
    for piece in _inflated(source, member) if member.deflated else _stored(source, member):
        total += len(piece)
        if total > member.size:
            break
        check = zlib.crc32(piece, check)
        yield piece
    if total != member.size:
        raise ParseError(f"{source.name}: {member.name!r} was to have {member.size:,} bytes and unpacks to {'more' if total > member.size else f'{total:,}'}")
    if check != member.check:
        raise ParseError(f"{source.name}: {member.name!r} is damaged: its checksum is {check:#010x}, and {member.check:#010x} was announced")


def _stored(source: Source, member: Member) -> Iterator[bytes]:
    for at in range(0, member.packed, _PIECE):
        yield bytes(source.read(member.at + at, min(_PIECE, member.packed - at)))


def _inflated(source: Source, member: Member) -> Iterator[bytes]:
    try:
        import zlib
    except ImportError as error:
        raise UsageError(f"{member.name!r} is deflated, and this Python has no zlib: save it with save_npz(path, tensors, compressed=False)") from error
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for packed in _stored(source, member):
            rest = packed
            while rest:
                yield machine.decompress(rest, _PIECE)
                rest = machine.unconsumed_tail
            if machine.eof:
                break
        while not machine.eof and (piece := machine.decompress(b"", _PIECE)):
            yield piece
    except zlib.error as error:
        raise ParseError(f"{source.name}: {member.name!r} cannot be unpacked: {error}") from error
    if not machine.eof or machine.unused_data:
        raise ParseError(f"{source.name}: {member.name!r} has another length than its packed data")
