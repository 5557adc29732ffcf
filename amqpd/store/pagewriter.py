"""Writes the pages that were taken: in a worker's thread, as many as there are with one write.

The broker's thread puts into `taken`, a worker takes out, writes, and puts into `written`; the broker's thread takes
out there. These two deques are all that both threads change. Each call on a deque is one step for the other thread, so
no lock is needed.

Invariant: pages of a file are written in the order of their offsets, without gaps where recovery is to read them.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from amqpd.broker.ports import Page
from amqpd.store import blocks
from amqpd.store.pagefiles import PageFile, PageFiles
from amqpd.wire.primitives import BytesWriter

_WRITE_BYTES: Final = 4 << 20  # written at once, about
_COPY_BYTES: Final = 64 << 10  # smaller payloads are copied together, larger ones written from where they are


class Taken:
    """A page that was taken. `dropped` as soon as nobody needs it; `wanted` if its payload is to stay in memory."""

    __slots__ = (
        "dropped",
        "file",
        "identity",
        "index",
        "label",
        "length",
        "level",
        "offset",
        "page",
        "payload",
        "wanted",
    )

    def __init__(
        self, page: Page, file: PageFile, identity: bytes, level: int, label: bytes, index: bytes, payload: bytes
    ) -> None:
        self.page: Final = page
        self.file: Final = file
        self.offset: Final = page.offset
        self.length: Final = page.length
        self.identity: Final = identity
        self.level: Final = level
        self.label: Final = label
        self.index: Final = index
        self.payload: Final = payload
        self.dropped = False
        self.wanted = False


class PageWriter:
    """What stands between `StoredPages.write` and the files."""

    def __init__(self, files: PageFiles) -> None:
        self.taken: Final[deque[Taken]] = deque()
        self.written: Final[deque[Taken]] = deque()
        self.accepted = 0  # how many were ever put into `taken`; the broker's thread counts
        self._handled = 0  # how many were ever put into `written`; the worker's thread counts
        self._files: Final = files
        self._hand: list[Taken] = []  # taken out of `taken`, and not known to be written

    def accept(self, item: Taken) -> None:
        """For the broker's thread: have `item` written."""
        self.accepted += 1
        self.taken.append(item)

    def run(self, most: int) -> None:
        """Write what was taken, about `most` bytes of it. Blocks. After a StorageError the next call goes on."""
        self._begin()
        done = 0
        while done < most and (self._hand or self.taken):
            done += self._step()

    def run_to(self, goal: int) -> None:
        """The same, until as many were written as were `accepted` when that was `goal`."""
        self._begin()
        while self._handled < goal:
            self._step()

    def _begin(self) -> None:
        # Files without use go first: on a full disk that may be the room which is missing.
        self._files.remove_unused()
        if self._hand and self._hand[0].file.gone and self._files.transient:
            self._put_down()

    def _step(self) -> int:
        if not self._hand:
            self._gather()
        if not self._hand:
            return 0
        size = self._write()
        self._put_down()
        return size

    def _put_down(self) -> None:
        self._handled += len(self._hand)
        self.written.extend(self._hand)
        self._hand = []

    def _gather(self) -> None:
        """Take neighbours in one file in hand, and put down what need not be written."""
        taken = self.taken
        hand = self._hand
        size = 0
        while taken and size < _WRITE_BYTES:
            item = taken[0]
            if self._needless(item):
                if hand:
                    return
                self._handled += 1
                self.written.append(taken.popleft())
                continue
            if hand and (item.file is not hand[0].file or item.offset != hand[-1].offset + hand[-1].length):
                return
            hand.append(taken.popleft())
            size += item.length

    def _needless(self, item: Taken) -> bool:
        """Whether `item` need not be written. Nobody reads page files from the front: there may be gaps there."""
        return item.dropped and (self._files.transient or item.file.gone)

    def _write(self) -> int:
        """Write what is in hand; returns how many bytes that were."""
        hand = self._hand
        file = hand[0].file
        handle = self._files.begin_on_disk(file)
        parts: list[bytes] = []
        small = BytesWriter()
        for item in hand:
            stored = blocks.PageBytes(
                file.seed, item.offset, item.identity, item.level, item.label, item.index, item.payload, file.lock
            )
            small.write(stored.head)
            if len(stored.payload) < _COPY_BYTES:
                small.write(stored.payload)
            else:
                parts.append(small.getvalue())
                parts.append(stored.payload)
                small = BytesWriter()
        parts.append(small.getvalue())
        handle.write(hand[0].offset, parts)
        return hand[-1].offset + hand[-1].length - hand[0].offset
