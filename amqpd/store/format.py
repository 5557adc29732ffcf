"""The bytes of the store's files: headers of files and batches, records. In tables: docs/storage-format.md.

All integers are big-endian and unsigned. Nothing here reads or writes a file.

A file header is one sector (512 bytes). A batch begins at a multiple of that, so its header is within one, too: it is
there wholly or not at all, whatever else of a write a crash leaves.
"""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import Final

from amqpd.errors import VersionError
from amqpd.wire.primitives import BytesWriter, read_i32_be, read_i64_be, write_u32, write_u64

VERSION: Final = 1
"""The format that this version of amqpd writes, and the only one it reads."""

SECTOR: Final = 512

JOURNAL: Final = b"AMQPDJRN"
SEGMENT: Final = b"AMQPDSEG"
PAGES: Final = b"AMQPDPAG"
NODE: Final = b"AMQPDNOD"
FIRST: Final = b"AMQPDFST"
LAST: Final = b"AMQPDLST"

BATCH_MAGIC: Final = b"BTCH"
BATCH_HEAD_SIZE: Final = 40
PREVIOUS_AT: Final = 32
"""In a batch's header: the crc of the batch before it, and then its own."""

RECORD_HEAD_SIZE: Final = 26

GROUP: Final = 1
ENTRY: Final = 2
SETTLE: Final = 3
FORGET: Final = 4
MARK: Final = 5
STOP: Final = 6
START: Final = 7

MORE: Final = 1
"""A flag of an entry: it is in other logs, too."""

_U32: Final = 0xFFFF_FFFF
_U64: Final = 0xFFFF_FFFF_FFFF_FFFF


HIGHEST: Final = (1 << 63) - 1
"""No file has a higher number."""


def number_in(name: str, suffix: str) -> int:
    """The number in the name of a file whose kind has that suffix; 0 where it is no such name."""
    digits = name.removesuffix(suffix)
    if len(digits) != 20 or not digits.isascii() or not digits.isdigit() or digits == name:
        return 0
    number = int(digits)
    return number if number <= HIGHEST else 0


class FileHeader:
    """The first sector of a file.

    `number` is the file's; `size` how long the file was, at least, before its first use. Of a journal's file,
    `sequence` is the number of its first batch and `chain` the crc of the batch before it. `key_id` is all zeros where
    the file is not encrypted. `crc` is the header's own, which the first batch goes on from.
    """

    def __init__(
        self,
        magic: bytes,
        node_id: bytes,
        number: int,
        sequence: int = 0,
        chain: int = 0,
        size: int = 0,
        key_id: bytes = bytes(16),
        salt: bytes = bytes(16),
        version: int = VERSION,
    ) -> None:
        self.magic: Final = magic
        self.version: Final = version
        self.node_id: Final = node_id
        self.number: Final = number
        self.sequence: Final = sequence
        self.chain: Final = chain
        self.size: Final = size
        self.key_id: Final = key_id
        self.salt: Final = salt
        self.crc = 0

    def encode(self) -> bytes:
        """The sector. Sets `crc`."""
        out = BytesWriter()
        out.write(self.magic)
        write_u32(out, self.version)
        write_u32(out, self.chain)
        out.write(self.node_id)
        write_u64(out, self.number)
        write_u64(out, self.sequence)
        write_u64(out, self.size)
        out.write(self.key_id)
        out.write(self.salt)
        out.write(bytes(SECTOR - 4 - 88))
        self.crc = zlib.crc32(out.getvalue())
        write_u32(out, self.crc)
        return out.getvalue()


def decode_header(data: bytes, magic: bytes) -> FileHeader | None:
    """The header that `data` begins with; None where that is none with this magic, or a damaged one."""
    if len(data) < SECTOR or data[:8] != magic:
        return None
    crc = zlib.crc32(data[: SECTOR - 4])
    if crc != u32_at(data, SECTOR - 4):
        return None
    header = FileHeader(
        magic,
        data[16:32],
        u64_at(data, 32),
        u64_at(data, 40),
        u32_at(data, 12),
        u64_at(data, 48),
        data[56:72],
        data[72:88],
        u32_at(data, 8),
    )
    header.crc = crc
    return header


def check_version(header: FileHeader, path: str) -> None:
    """Raise VersionError where the file at `path` is of another format than this version reads."""
    if header.version != VERSION:
        raise VersionError(
            f"{path} has format version {header.version}, and this amqpd knows version {VERSION}: start the node with "
            "the version of amqpd that wrote it, or a newer one"
        )


def mark_of(node_id: bytes, number: int) -> bytes:
    """What batches of that file begin with, 12 bytes.

    It tells them from those of the file's earlier uses, and from bytes that a client put into a message to look like a
    batch: no client knows the node's id.
    """
    return BATCH_MAGIC + sha256(node_id + number.to_bytes(8, "big")).digest()[:8]


def padded(size: int) -> int:
    """`size`, filled up to whole sectors."""
    return (size + SECTOR - 1) & -SECTOR


def batch_head(mark: bytes, sequence: int, size: int, records: int, previous: int) -> bytes:
    """The header of a batch but for its crc: mark 12, sequence 8, size of what follows 8, records 4, previous 4."""
    out = BytesWriter()
    out.write(mark)
    write_u64(out, sequence)
    write_u64(out, size)
    write_u32(out, records)
    write_u32(out, previous)
    return out.getvalue()


class BatchHead:
    """The header of a batch as it was read, at `offset` of a file."""

    __slots__ = ("crc", "offset", "previous", "records", "sequence", "size")

    def __init__(self, data: bytes, at: int, offset: int) -> None:
        self.offset: Final = offset
        self.sequence: Final = u64_at(data, at + 12)
        self.size: Final = u64_at(data, at + 20)
        self.records: Final = u32_at(data, at + 28)
        self.previous: Final = u32_at(data, at + PREVIOUS_AT)
        self.crc: Final = u32_at(data, at + PREVIOUS_AT + 4)


class Record:
    """The head of a record: what it is, and that its payload of `size` bytes begins at `start`."""

    __slots__ = ("flags", "index", "kind", "ref", "size", "start", "term")

    def __init__(self, data: bytes, at: int) -> None:
        """`data` must have a whole head at `at`."""
        self.size: Final = u32_at(data, at)
        self.kind: Final = data[at + 4]
        self.flags: Final = data[at + 5]
        self.ref: Final = u32_at(data, at + 6)
        self.index: Final = u64_at(data, at + 10)
        self.term: Final = u64_at(data, at + 18)
        self.start: Final = at + RECORD_HEAD_SIZE


def write_record(out: BytesWriter, kind: int, flags: int, ref: int, index: int, term: int, size: int) -> None:
    """The head of a record; its payload of `size` bytes is to follow."""
    write_u32(out, size)
    out.append(kind)
    out.append(flags)
    write_u32(out, ref)
    write_u64(out, index)
    write_u64(out, term)


def u32_at(data: bytes, at: int) -> int:
    """An unsigned integer of four bytes."""
    value: int = read_i32_be(data, at)
    return value & _U32


def u64_at(data: bytes, at: int) -> int:
    """An unsigned integer of eight bytes."""
    value: int = read_i64_be(data, at)
    return value & _U64
