"""Reading one file of the journal, batch by batch, and finding batches behind what cannot be read.

Reads only. Memory is bounded by a window and the largest batch, which is read whole.
"""

from __future__ import annotations

import zlib
from typing import Final

from amqpd.errors import DamagedError
from amqpd.store.cipher import Lock
from amqpd.store.files import File
from amqpd.store.format import (
    BATCH_HEAD_SIZE,
    PREVIOUS_AT,
    RECORD_HEAD_SIZE,
    SECTOR,
    STOP,
    BatchHead,
    padded,
)

WINDOW: Final = 1 << 20
"""Bytes that are read at once."""


class FoundBatch:
    """A valid batch at `offset` of file `number`, with its records in `payload`, decrypted."""

    __slots__ = ("number", "offset", "payload", "records", "sequence")

    def __init__(self, number: int, head: BatchHead, payload: bytes) -> None:
        self.number: Final = number
        self.offset: Final = head.offset
        self.sequence: Final = head.sequence
        self.records: Final = head.records
        self.payload: Final = payload

    def ends_run(self) -> bool:
        """Whether this is the last batch of an orderly stop."""
        at = len(self.payload) - RECORD_HEAD_SIZE
        return at >= 0 and self.payload[at : at + 5] == b"\0\0\0\0" + bytes([STOP])


class BatchReader:
    """Follows the chain through one file: the next batch stands at `offset`, is number `sequence` and follows `crc`."""

    def __init__(self, file: File, number: int, mark: bytes, lock: Lock | None, sequence: int, crc: int) -> None:
        self._file: Final = file
        self._number: Final = number
        self._mark: Final = mark
        self._lock: Final = lock
        self._data = b""
        self._base = 0
        self.offset = SECTOR
        self.sequence = sequence
        self.crc = crc

    def next(self) -> FoundBatch | None:
        """The next batch; None where there is none that continues the chain. Blocks. Raises StorageError.

        DamagedError: the batch is what was written, and its key does not open it.
        """
        head = self._head(self.offset)
        if head is None or head.sequence != self.sequence or head.previous != self.crc:
            return None
        at = self._have(head.offset, BATCH_HEAD_SIZE + head.size)
        if at < 0:
            return None
        associated = self._data[at : at + PREVIOUS_AT + 4]
        payload = self._data[at + BATCH_HEAD_SIZE : at + BATCH_HEAD_SIZE + head.size]
        if zlib.crc32(payload, zlib.crc32(associated, head.previous)) != head.crc:
            return None
        if self._lock is not None:
            opened = self._lock.open(head.sequence, payload, associated)
            if opened is None:
                raise DamagedError(
                    f"{self._file.path} cannot be decrypted at byte {head.offset}, although its checksum is right: the "
                    "key file has another key under the id that was used; nothing was changed"
                )
            payload = opened
        self.offset += padded(BATCH_HEAD_SIZE + head.size)
        self.sequence += 1
        self.crc = head.crc
        return FoundBatch(self._number, head, payload)

    def search(self, offset: int, sequence: int) -> BatchHead | None:
        """The first batch of this use of the file from `offset` on that has a higher number than `sequence`.

        That a header is there is enough: it was written after everything before it had been synced.
        """
        while True:
            at = self._have(offset, BATCH_HEAD_SIZE)
            if at < 0:
                return None
            found = self._data.find(self._mark, at)
            if found < 0:
                offset = padded(self._base + len(self._data))  # windows end with a sector, or with the file
                continue
            offset = self._base + found
            if offset % SECTOR == 0:
                head = self._head(offset)
                if head is not None and head.sequence > sequence:
                    return head
            offset = padded(offset + 1)

    def resume(self, head: BatchHead) -> None:
        """Go on at a batch that was found behind others which cannot be read."""
        self.offset = head.offset
        self.sequence = head.sequence
        self.crc = head.previous

    def head_at(self, offset: int) -> BatchHead | None:
        """The header of a batch at `offset`, if there is one of this use of the file."""
        return self._head(offset)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def bytes_at(self, offset: int, size: int) -> bytes:
        """What stands there, as far as the file goes."""
        return self._file.read(offset, size)

    def _head(self, offset: int) -> BatchHead | None:
        at = self._have(offset, BATCH_HEAD_SIZE)
        if at < 0 or self._data[at : at + len(self._mark)] != self._mark:
            return None
        return BatchHead(self._data, at, offset)

    def _have(self, offset: int, size: int) -> int:
        """Where in the window the `size` bytes from `offset` begin; -1 where the file ends before they do."""
        at = offset - self._base
        if at >= 0 and at + size <= len(self._data):
            return at
        if size > WINDOW and offset + size > self._file.size():
            return -1  # a size that is damaged must not make us read, or ask for, so much
        self._data = self._file.read(offset, padded(max(size, WINDOW)))
        self._base = offset
        return 0 if size <= len(self._data) else -1
