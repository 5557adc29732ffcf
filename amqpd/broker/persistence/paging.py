"""Pages of one level of a queue: messages that wait become bytes, and come back as messages.

In a page each message stands with its position before it, so that what is left of a page after compaction still says
where it belongs. Pages of a durable queue are in segment files and are the home of its persistent messages; those of
any other queue are in page files, which a restart empties.

A page is `kept` from the moment in which it is written for a ready list until that has delivered what is on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd import pageindex
from amqpd.broker.message import Message
from amqpd.broker.persistence import encoding
from amqpd.broker.ports import Page, Pages
from amqpd.wire.primitives import BytesWriter, read_i32_be, read_i64_be, write_i64_be, write_u32

if TYPE_CHECKING:
    from amqpd.broker.persistence.keeper import Keeper
    from amqpd.broker.persistence.log import Log

PAGE_BYTES: Final = 262_144  # of contents
PAGE_MESSAGES: Final = 2048

_NO_IDENTITY: Final = bytes(16)


def fills_page(count: int, size: int) -> bool:
    """Whether so many messages, with `size` bytes of contents, are enough for a page."""
    return count >= PAGE_MESSAGES or size >= PAGE_BYTES


class Pager:
    """Writes to and reads from `pages`; with a `log` what is persistent is at home there."""

    def __init__(self, keeper: Keeper, pages: Pages, log: Log | None, label: bytes) -> None:
        self._keeper: Final = keeper
        self._pages: Final = pages
        self._log: Final = log
        self._label: Final = label

    def write(self, positions: list[int], messages: list[Message], kept: bool) -> Page:
        """Write messages, at least one; `kept` when a ready list will read them again. Does not block."""
        log = self._log
        offset_ms = self._keeper.broker.offset_ms
        out = BytesWriter()
        lasting: list[bool] = []
        size = 0
        for at, message in enumerate(messages):
            annotations = encoding.annotations_of(message)
            write_u32(out, 8 + encoding.size_of(message, annotations))
            write_i64_be(out, positions[at])
            encoding.write(out, message, annotations, offset_ms)
            lasting.append(message.persistent and log is not None)
            size += message.size
        persistent = lasting.count(True)
        page = Page(positions[0], positions[-1], len(messages), size, persistent)
        page.kept = kept
        page.offset_ms = offset_ms
        index = pageindex.encode(positions, lasting, size)
        if log is None:
            self._pages.write(page, _NO_IDENTITY, 0, self._label, index, out.getvalue())
        else:
            self._pages.write(page, log.identity, log.level, self._label, index, out.getvalue())
            if persistent:
                log.add_page(page)
        return page

    def read(self, page: Page, start: int) -> tuple[list[int], list[Message]]:
        """What is not gone of a page, from position `start` on. Blocks where it was not read ahead."""
        data = self._pages.read(page)
        settled = page.settled
        decoder = encoding.Decoder(self._keeper.broker.now_ms)
        positions: list[int] = []
        messages: list[Message] = []
        pos = 0
        end = len(data)
        while pos < end:
            size: int = read_i32_be(data, pos)
            position: int = read_i64_be(data, pos + 4)
            pos += 4
            if position >= start and (settled is None or not settled.contains(position)):
                message = decoder.decode(data, pos + 8, pos + size, page.offset_ms)
                if message.persistent or not page.earlier:
                    positions.append(position)
                    messages.append(message)
            pos += size
        return positions, messages

    def fetch(self, page: Page) -> None:
        """Read a page ahead."""
        self._pages.fetch(page)

    def forget(self, page: Page) -> None:
        """No ready list will read a page again; what is persistent on it is lent, settled, or will be settled."""
        page.kept = False
        if page.live:
            self._pages.settle(page, 1, 0, 0)  # nothing new, but what is transient on it is of no use any more
            return
        if self._log is not None:
            self._log.remove_page(page)
        self._keeper.drop(self._pages, page)
