"""The index of a page: which messages it has. Stands before the bodies on disk, so that recovery reads no bodies.

    flags u8, first u64, count u32, size u64, [positions of all but the first: u64 each], [bitmap of persistent ones]

The positions are left out where they are consecutive; the bitmap (lowest bit first) where all messages are persistent,
or none is. Whoever writes pages makes an index (`encode`), and the store makes one when it compacts.

Invariants: a page has a message at least; positions ascend. Nothing here knows files, or checksums.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from amqpd.errors import MalformedError
from amqpd.wire.primitives import BytesWriter, Reader, write_u32, write_u64

_POSITIONS: Final = 1
_BITMAP: Final = 2
_TRANSIENT: Final = 4  # with _BITMAP unset: none is persistent


def encode(positions: list[int], persistent: list[bool], size: int) -> bytes:
    """The index of a page with messages at `positions`, with `size` bytes of bodies in all."""
    count = len(positions)
    kept = sum(persistent)
    consecutive = positions[-1] - positions[0] == count - 1
    flags = 0 if consecutive else _POSITIONS
    if kept == 0:
        flags |= _TRANSIENT
    elif kept < count:
        flags |= _BITMAP
    out = BytesWriter()
    out.append(flags)
    write_u64(out, positions[0])
    write_u32(out, count)
    write_u64(out, size)
    if not consecutive:
        for place in range(1, count):
            write_u64(out, positions[place])
    if flags & _BITMAP:
        _write_bitmap(out, persistent)
    return out.getvalue()


def _write_bitmap(out: BytesWriter, persistent: list[bool]) -> None:
    octet = 0
    place = 0
    for bit in persistent:
        if bit:
            octet |= 1 << (place & 7)
        place += 1
        if place & 7 == 0:
            out.append(octet)
            octet = 0
    if place & 7:
        out.append(octet)


class PageIndex:
    """What `decode` found. `size` is of the bodies; `persistent_count` messages are persistent."""

    __slots__ = ("_bitmap", "_rest", "consecutive", "count", "first", "last", "persistent_count", "size")

    def __init__(self, first: int, count: int, size: int, rest: bytes, bitmap: bytes, transient: bool) -> None:
        self.first: Final = first
        self.count: Final = count
        self.size: Final = size
        self._rest: Final = rest
        self._bitmap: Final = bitmap
        self.consecutive: Final = not rest
        self.last: Final = int.from_bytes(rest[-8:], "big") if rest else first + count - 1
        if transient:
            self.persistent_count = 0
        else:
            self.persistent_count = int.from_bytes(bitmap, "big").bit_count() if bitmap else count

    def positions(self) -> list[int]:
        """The positions, in order."""
        if self.consecutive:
            return list(range(self.first, self.last + 1))
        found = [self.first]
        reader = Reader(self._rest, 0, len(self._rest))
        for _ in range(self.count - 1):
            found.append(reader.longlong())
        return found

    def persistent_at(self, place: int) -> bool:
        """Whether the message at that place, counted from 0, is persistent."""
        if self._bitmap:
            return self._bitmap[place >> 3] & (1 << (place & 7)) != 0
        return self.persistent_count > 0


def decode(data: bytes) -> PageIndex:
    """The index that `encode` made. Raises MalformedError."""
    reader = Reader(data, 0, len(data))
    flags = reader.octet()
    first = reader.longlong()
    count = reader.long()
    size = reader.longlong()
    if count == 0 or flags > (_POSITIONS | _BITMAP | _TRANSIENT):
        raise MalformedError(f"the index of a page has {count} messages and flags {flags}")
    rest = _take(reader, (count - 1) * 8) if flags & _POSITIONS else b""
    bitmap = _take(reader, (count + 7) // 8) if flags & _BITMAP else b""
    reader.finish()
    index = PageIndex(first, count, size, rest, bitmap, flags & _TRANSIENT != 0)
    if index.last - first < count - 1:
        raise MalformedError(f"the index of a page has {count} messages from {first} to {index.last}")
    return index


def _take(reader: Reader, size: int) -> bytes:
    start = reader.pos
    reader.skip(size)
    return reader.data[start : reader.pos]


class Homes:
    """Which messages of one log are on pages: add the index of each, then `sort`, then ask."""

    def __init__(self) -> None:
        self._pages: Final[list[PageIndex]] = []
        self._firsts: list[int] = []
        self._known: set[int] = set()  # the positions on the page with gaps that was asked for last
        self._known_first = -1

    def add(self, index: PageIndex) -> None:
        """Another page."""
        self._pages.append(index)

    def sort(self) -> None:
        """All pages are known."""
        self._pages.sort(key=_first)
        self._firsts = [page.first for page in self._pages]

    def has(self, position: int) -> bool:
        """Whether the message is on a page."""
        at = bisect_right(self._firsts, position) - 1
        if at < 0:
            return False
        page = self._pages[at]
        if position > page.last or page.consecutive:
            return position <= page.last
        if self._known_first != page.first:
            self._known_first = page.first
            self._known = set(page.positions())
        return position in self._known

    def begins_between(self, low: int, high: int) -> bool:
        """Whether a page begins behind `low`, and at `high` at the latest."""
        return bisect_right(self._firsts, low) != bisect_right(self._firsts, high)


def _first(page: PageIndex) -> int:
    return page.first
