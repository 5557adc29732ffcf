"""The bytes of segment files and page files: blocks, one behind the other, after the file header.

    magic 4, kind u8, level u8, label size u16, index size u32, payload size u64, payload crc u32, identity 16, crc u32,
    label, index (both sealed as one where the file is encrypted), payload (sealed)

A PAGE block has messages of one log: `amqpd.pageindex` says which, the payload has them (u32 size before each). A
SETTLED block says which messages of pages in the same file are gone for good. A VOID block says that what stands there
was given up by an operator's order.

The crc at the end of the head covers the head, label and index, and goes on from a number that differs for every place
of every file (`seed`): a block is valid only where it was written. Sizes are of what is stored, so that checksums can
be verified without a key. The index of a page can be read without its payload.

Pure: bytes in, bytes out. All integers are big-endian and unsigned.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from amqpd.errors import MalformedError
from amqpd.ranges import Ranges
from amqpd.store.cipher import TAG_SIZE
from amqpd.store.format import u32_at, u64_at
from amqpd.wire.primitives import BytesWriter, Reader, write_u16, write_u32, write_u64

if TYPE_CHECKING:
    from amqpd.store.cipher import Lock

PAGE: Final = 1
SETTLED: Final = 2
VOID: Final = 3

MAGIC: Final = b"PGBK"
HEAD_SIZE: Final = 44

ALL: Final = 0
"""Where a SETTLED block counts ranges of a page: all of the page is gone."""

_SEEDED: Final = 40  # the head up to its crc
_NO_IDENTITY: Final = bytes(16)
_U32: Final = 0xFFFF_FFFF


def seed_of(node_id: bytes, number: int) -> int:
    """What the checksums of file `number` begin with, but for the offset of each block."""
    return zlib.crc32(node_id + number.to_bytes(8, "big"))


class Block:
    """The head of a block as it was read at `offset`. `names` are label and index as they are stored."""

    __slots__ = (
        "crc",
        "identity",
        "index_size",
        "kind",
        "label_size",
        "level",
        "offset",
        "payload_crc",
        "payload_size",
    )

    def __init__(self, data: bytes, at: int, offset: int) -> None:
        """`data` must have a whole head at `at`."""
        self.offset: Final = offset
        self.kind: Final = data[at + 4]
        self.level: Final = data[at + 5]
        self.label_size: Final = (data[at + 6] << 8) | data[at + 7]
        self.index_size: Final = u32_at(data, at + 8)
        self.payload_size: Final = u64_at(data, at + 12)
        self.payload_crc: Final = u32_at(data, at + 20)
        self.identity: Final = data[at + 24 : at + _SEEDED]
        self.crc: Final = u32_at(data, at + _SEEDED)

    def names_size(self, sealed: bool) -> int:
        """How many bytes label and index take."""
        return self.label_size + self.index_size + (TAG_SIZE if sealed and self.kind == PAGE else 0)

    def length(self, sealed: bool) -> int:
        """Of the whole block, in bytes."""
        return HEAD_SIZE + self.names_size(sealed) + self.payload_size


def plausible(data: bytes, at: int) -> bool:
    """Whether a head may begin at `at`, so that it is worth while to look at it."""
    return len(data) - at >= HEAD_SIZE and data[at : at + 4] == MAGIC and data[at + 12] == 0


def head_crc(seed: int, offset: int, head: bytes, names: bytes) -> int:
    """The checksum of a head, whose first bytes `head` are, and of what follows it."""
    return zlib.crc32(names, zlib.crc32(head, (seed + offset) & _U32))


def page_length(label: bytes, index: bytes, payload: bytes, sealed: bool) -> int:
    """How long the block of a page will be."""
    return HEAD_SIZE + len(label) + len(index) + len(payload) + (2 * TAG_SIZE if sealed else 0)


def _head(kind: int, level: int, label: int, index: int, payload: int, crc: int, identity: bytes) -> bytes:
    out = BytesWriter()
    out.write(MAGIC)
    out.append(kind)
    out.append(level)
    write_u16(out, label)
    write_u32(out, index)
    write_u64(out, payload)
    write_u32(out, crc)
    out.write(identity)
    return out.getvalue()


class PageBytes:
    """A page as it is stored: `head`, which includes label and index, and `payload`. Costs time: for a worker."""

    __slots__ = ("head", "payload")

    def __init__(
        self,
        seed: int,
        offset: int,
        identity: bytes,
        level: int,
        label: bytes,
        index: bytes,
        payload: bytes,
        lock: Lock | None,
    ) -> None:
        names = label + index
        if lock is not None:
            # Offsets are the numbers that come once only: the names' own, and the payload's.
            at = offset + HEAD_SIZE
            payload = lock.seal(at + len(names) + TAG_SIZE, payload, b"")
        fixed = _head(PAGE, level, len(label), len(index), len(payload), zlib.crc32(payload), identity)
        if lock is not None:
            names = lock.seal(offset + HEAD_SIZE, names, fixed)
        self.head: Final = fixed + head_crc(seed, offset, fixed, names).to_bytes(4, "big") + names
        self.payload: Final = payload


def settled_block(seed: int, offset: int, settled: dict[int, Ranges | None]) -> bytes:
    """What is gone of the pages at these offsets; None: all of it. Never encrypted: it has numbers only."""
    out = BytesWriter()
    for page, ranges in settled.items():
        write_u64(out, page)
        if ranges is None:
            write_u32(out, ALL)
            continue
        firsts = ranges.firsts
        lasts = ranges.lasts
        write_u32(out, len(firsts))
        for place in range(len(firsts)):
            write_u64(out, firsts[place])
            write_u64(out, lasts[place])
    payload = out.getvalue()
    fixed = _head(SETTLED, 0, 0, 0, len(payload), zlib.crc32(payload), _NO_IDENTITY)
    return fixed + head_crc(seed, offset, fixed, b"").to_bytes(4, "big") + payload


def parse_settled(payload: bytes) -> list[tuple[int, list[tuple[int, int]] | None]]:
    """The inverse: offset of a page, and what is gone of it; None: all. Raises MalformedError."""
    found: list[tuple[int, list[tuple[int, int]] | None]] = []
    reader = Reader(payload, 0, len(payload))
    while reader.pos < reader.end:
        offset = reader.longlong()
        count = reader.long()
        if count == ALL:
            found.append((offset, None))
            continue
        ranges = []
        for _ in range(count):
            first = reader.longlong()
            last = reader.longlong()
            if last < first:
                raise MalformedError(f"a range from {first} to {last}")
            ranges.append((first, last))
        found.append((offset, ranges))
    return found


def void_head(seed: int, offset: int, length: int) -> bytes:
    """What makes `length` bytes (at least HEAD_SIZE) at `offset` a VOID block, written over their beginning."""
    fixed = _head(VOID, 0, 0, 0, length - HEAD_SIZE, 0, _NO_IDENTITY)
    return fixed + head_crc(seed, offset, fixed, b"").to_bytes(4, "big")


def open_names(block: Block, fixed: bytes, names: bytes, lock: Lock | None) -> tuple[bytes, bytes]:
    """Label and index of a page. Raises MalformedError where they are not those that were sealed."""
    if lock is not None:
        plain = lock.open(block.offset + HEAD_SIZE, names, fixed)
        if plain is None:
            raise MalformedError("label and index were not sealed with this key")
        names = plain
    return names[: block.label_size], names[block.label_size :]


def open_payload(block: Block, payload: bytes, lock: Lock | None) -> bytes:
    """The payload of a page. Raises MalformedError where it is not the one that was written."""
    if len(payload) != block.payload_size or zlib.crc32(payload) != block.payload_crc:
        raise MalformedError("the checksum of the messages is wrong")
    if lock is None:
        return payload
    plain = lock.open(block.offset + HEAD_SIZE + block.names_size(True), payload, b"")
    if plain is None:
        raise MalformedError("the messages were not sealed with this key")
    return plain


def messages_of(payload: bytes) -> list[tuple[int, int]]:
    """Where the messages of a page stand in its payload, their sizes included: start and end of each.

    Raises MalformedError where they do not fill it.
    """
    found = []
    reader = Reader(payload, 0, len(payload))
    while reader.pos < reader.end:
        start = reader.pos
        reader.skip(reader.long())
        found.append((start, reader.pos))
    return found
