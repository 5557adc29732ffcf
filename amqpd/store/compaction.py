"""Compaction: what is alive in a file that is half dead moves to a new one, a few pages at a time.

A job reads some pages and picks the messages that are alive; then, in the broker's thread, these become the page: it
gets a new place as if it had just been taken, so that it is in memory until it is there. Since the next job comes after
that, what a compaction has in memory is limited.

Alive is what is persistent and not settled; of a page that a queue will read again, everything not settled; in page
files, everything.

What happens meanwhile: messages settled after the job was made are remembered apart (`StoredPages.moving`) and are what
is settled of the page in its new place. A page that was dropped stays dropped. One that became `kept` after transient
messages had been left out stays where it was, for another time.

Invariant: the order of messages in a page never changes.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from amqpd import pageindex
from amqpd.broker.ports import Job, Page
from amqpd.errors import MalformedError
from amqpd.ranges import Ranges
from amqpd.store import blocks
from amqpd.store.pagefiles import PageFile, StoredPage, messages_text, read_page

if TYPE_CHECKING:
    from amqpd.store.pages import StoredPages

_PAGES_AT_ONCE: Final = 2000


class Rest:
    """What is left of a page."""

    __slots__ = ("index", "payload", "stored")

    def __init__(self, stored: StoredPage, index: bytes, payload: bytes) -> None:
        self.stored: Final = stored
        self.index: Final = index
        self.payload: Final = payload


class Moving:
    """A page as it was when a job was made for it."""

    __slots__ = ("everything", "first", "firsts", "last", "lasts", "length", "offset", "page", "rest")

    def __init__(self, page: Page, everything: bool) -> None:
        settled = page.settled
        self.page: Final = page
        self.offset: Final = page.offset
        self.length: Final = page.length
        self.first: Final = page.first
        self.last: Final = page.last
        self.everything: Final = everything  # transient messages, too
        self.firsts: Final = list(settled.firsts) if settled is not None else []
        self.lasts: Final = list(settled.lasts) if settled is not None else []
        self.rest: Rest | None = None  # None where nothing is left

    def pick(self, file: PageFile, stored: StoredPage) -> None:
        """Find the rest. Raises DamagedError."""
        try:
            index = pageindex.decode(stored.index)
            if self.everything and not self.firsts:
                self.rest = Rest(stored, stored.index, stored.payload)
            else:
                self.rest = self._picked(index, stored)
        except MalformedError as error:
            who = messages_text(stored.label, self.first, self.last)
            raise file.damaged(self.offset, who, str(error)) from error

    def _picked(self, index: pageindex.PageIndex, stored: StoredPage) -> Rest | None:
        places = blocks.messages_of(stored.payload)
        if len(places) != index.count:
            raise MalformedError(f"{len(places)} messages are there, and {index.count} are said to be")
        positions: list[int] = []
        persistent: list[bool] = []
        parts: list[bytes] = []
        for at, position in enumerate(index.positions()):
            lasting = index.persistent_at(at)
            if (lasting or self.everything) and not self._settled(position):
                positions.append(position)
                persistent.append(lasting)
                start, end = places[at]
                parts.append(stored.payload[start:end])
        if not positions:
            return None
        payload = b"".join(parts)
        size = index.size * len(payload) // max(1, len(stored.payload))
        return Rest(stored, pageindex.encode(positions, persistent, size), payload)

    def _settled(self, position: int) -> bool:
        place = bisect_right(self.firsts, position) - 1
        return place >= 0 and position <= self.lasts[place]


class Compaction:
    """Of one file."""

    def __init__(self, pages: StoredPages, file: PageFile) -> None:
        self.pages: Final = pages
        self.file: Final = file
        self._last = 0  # the offset of the last page that was tried

    def go_on(self) -> None:
        """Have some more pages moved; or end."""
        tasks: list[Moving] = []
        size = 0
        step = self.pages.options.step_max
        transient = self.pages.files.transient
        for offset, page in self.file.pages.items():
            if size >= step or len(tasks) >= _PAGES_AT_ONCE:
                break
            if offset > self._last:
                self._last = offset
                tasks.append(Moving(page, transient or (page.kept and not page.earlier)))
                self.pages.moving[page] = Ranges()
                size += page.length
        if not tasks:
            self.pages.compacted()
            return
        self.pages.files.open(self.file)
        self.pages.files.pin(self.file)
        self.pages.worker.submit(CompactJob(self, tasks))

    def moved(self, tasks: list[Moving]) -> None:
        """A job has been done: put its pages into their new places."""
        self.pages.put_down_written()
        self.pages.files.unpin(self.file)
        for task in tasks:
            page = task.page
            meanwhile = self.pages.moving.pop(page, None)
            rest = task.rest
            if meanwhile is None or rest is None:
                continue
            if page.kept and not page.earlier and not task.everything:
                continue
            self.pages.move(page, rest.stored, rest.index, rest.payload, meanwhile)
        self.go_on()


class CompactJob(Job):
    """Reads pages and picks what is alive in them."""

    def __init__(self, compaction: Compaction, tasks: list[Moving]) -> None:
        self._compaction: Final = compaction
        self._tasks: Final = tasks
        self._goal: Final = compaction.pages.writer.accepted  # these pages are among what was taken before

    def run(self) -> None:
        self._compaction.pages.writer.run_to(self._goal)
        file = self._compaction.file
        handle = file.handle
        if handle is None or file.gone:
            return
        for task in self._tasks:
            stored = read_page(file, handle, task.offset, task.length, task.first, task.last)
            task.pick(file, stored)

    def finish(self) -> None:
        self._compaction.moved(self._tasks)

    def found_no_room(self) -> None:
        self._compaction.pages.make_room()
