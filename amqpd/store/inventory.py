"""Which segment files are in use, and up to where they are safe: `segments/inventory`.

A file of its own, replaced as a whole: written beside the old one, synced, renamed, the directory synced. That is the
moment in which everything that a sync of segments comprises becomes durable, all at once (`amqpd.store.segments`). What
stands in a segment file beyond the size that is listed, or in a file that is not, does not count.

    file header (magic AMQPDINV, `sequence`: how many files are listed), then number u64 and size u64 of each, crc u32

The crc goes on from the header's. Everything here blocks.
"""

from __future__ import annotations

import zlib
from typing import Final

from amqpd.errors import DamagedError, StorageError
from amqpd.store.files import File, Files
from amqpd.store.format import SECTOR, FileHeader, check_version, decode_header
from amqpd.wire.primitives import BytesWriter, Reader, write_u64

NAME: Final = "inventory"
NEW_NAME: Final = "inventory.new"
INVENTORY: Final = b"AMQPDINV"

_ENTRY_SIZE: Final = 16
_LARGEST: Final = SECTOR + 4 + _ENTRY_SIZE * 0x100_0000


def encode(node_id: bytes, entries: list[tuple[int, int]]) -> bytes:
    """The file's contents. `entries` are numbers and sizes of segment files."""
    header = FileHeader(INVENTORY, node_id, 0, len(entries))
    out = BytesWriter()
    for number, size in entries:
        write_u64(out, number)
        write_u64(out, size)
    head = header.encode()
    body = out.getvalue()
    return head + body + zlib.crc32(body, header.crc).to_bytes(4, "big")


def replace(files: Files, data: bytes) -> None:
    """Have `data` on disk in the place of what was listed. Raises StorageError; can be done again after any."""
    if NEW_NAME in files.names():
        files.remove(NEW_NAME)
    file = files.create(NEW_NAME)
    try:
        file.write(0, [data])
        file.sync()
    finally:
        file.close()
    files.rename(NEW_NAME, NAME)
    files.sync()


def load(files: Files) -> tuple[bytes, dict[int, int]] | None:
    """The node's id, and sizes by number; None where there is no such file. Raises DamagedError, VersionError."""
    if NAME not in files.names():
        return None
    file = files.open(NAME, writable=False)
    try:
        return _parse(file)
    finally:
        file.close()


def _parse(file: File) -> tuple[bytes, dict[int, int]]:
    data = file.read(0, min(file.size(), _LARGEST))
    header = decode_header(data, INVENTORY)
    if header is None:
        raise _damaged(file, "its header is not one")
    check_version(header, file.path)
    size = header.sequence * _ENTRY_SIZE
    body = data[SECTOR : SECTOR + size]
    end = SECTOR + size
    if len(data) != end + 4 or data[end:] != zlib.crc32(body, header.crc).to_bytes(4, "big"):
        raise _damaged(file, "its checksum is wrong")
    reader = Reader(body, 0, len(body))
    found: dict[int, int] = {}
    while reader.pos < reader.end:
        number = reader.longlong()
        found[number] = reader.longlong()
    return header.node_id, found


def _damaged(file: File, what: str) -> StorageError:
    return DamagedError(
        f"{file.path}: {what}. It says which segment files are in use; without it nobody knows whether any are missing"
    )
