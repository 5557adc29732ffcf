"""A sealed batch: header, checksum, encryption, write and sync.

`run` is the whole price of a lone publisher's confirm, so it does what must be done and no more.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from amqpd.broker.ports import Batch
from amqpd.store.cipher import TAG_SIZE
from amqpd.store.format import BATCH_HEAD_SIZE, SECTOR, batch_head

if TYPE_CHECKING:
    from amqpd.store.journal import Journal
    from amqpd.store.place import Place

PADDING: Final = [bytes(size) for size in range(SECTOR)]


class Tail:
    """The end of the chain: the crc of the last batch that was written, and the file it is in."""

    __slots__ = ("crc", "place")

    def __init__(self, crc: int) -> None:
        self.crc = crc
        self.place: Place | None = None


class JournalBatch(Batch):
    """Records that stand, or will stand, at `offset` of `place`."""

    def __init__(
        self,
        journal: Journal,
        sequence: int,
        size: int,
        place: Place,
        tail: Tail,
        payload: bytes,
        records: int,
        offset: int,
        extended: int,
    ) -> None:
        """`extended`: the size to which the file must be made longer first, or 0."""
        super().__init__(sequence, size)
        self.place: Final = place
        self._journal: Final = journal
        self._tail: Final = tail
        self._payload: Final = payload
        self._records: Final = records
        self._offset: Final = offset
        self._extended: Final = extended

    def run(self) -> None:
        place = self.place
        tail = self._tail
        file = place.file
        if file is None:
            file = place.make()
        if self._extended:
            file.extend(self._extended)
        previous = tail.crc
        offset = self._offset
        payload = self._payload
        begins = tail.place is not place
        parts: list[bytes] = []
        if begins:
            header = place.header(self.sequence, previous)
            parts.append(header.encode())
            previous = header.crc
            offset -= SECTOR
        lock = place.lock
        size = len(payload) if lock is None else len(payload) + TAG_SIZE
        head = batch_head(place.mark, self.sequence, size, self._records, previous)
        if lock is not None:
            payload = lock.seal(self.sequence, payload, head)
        crc = zlib.crc32(payload, zlib.crc32(head, previous))
        parts.append(head + crc.to_bytes(4, "big"))
        parts.append(payload)
        parts.append(PADDING[-(BATCH_HEAD_SIZE + size) % SECTOR])
        file.write(offset, parts)
        file.sync()
        tail.crc = crc
        if begins:
            if tail.place is not None:
                tail.place.close()
            tail.place = place

    def finish(self) -> None:
        self._journal.written(self)
