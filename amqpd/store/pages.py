"""Pages on disk: what segments and page files have in common; and page files.

Everything is called from the broker's thread, takes effect at once, and does not block, but for `read`; the disk gets
to know later, through jobs of the worker. A page has its place (file, offset, length) from the moment in which it is
taken, and its payload stays in memory until it is written there, so that it can be read at any time.

Where jobs are not run in the order of their submission (a worker may put back one that finds the disk full), nothing
depends on it: whatever needs written pages writes what was taken itself, and leaves files alone that are gone.

Page files (`TransientPages`) are for messages that need not outlive the node: never synced, and emptied when the node
starts. Segments: `amqpd.store.segments`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from amqpd import pageindex
from amqpd.broker.ports import Job, Page, Pages, Worker
from amqpd.store import blocks
from amqpd.store.cipher import Cipher
from amqpd.store.compaction import Compaction
from amqpd.store.files import Files
from amqpd.store.format import PAGES, number_in
from amqpd.store.pagefiles import PageFile, PageFiles, StoredPage, read_page
from amqpd.store.pagewriter import PageWriter, Taken

if TYPE_CHECKING:
    from amqpd.ranges import Ranges

SUFFIX: Final = ".pag"

_WRITE_MOST: Final = 32 << 20  # bytes in one job, about
_EXAMINED_AT_ONCE: Final = 2000  # pages


class PageOptions:
    """Sizes in bytes. Files have `size_max`, and `open_max` of them are open that nobody writes.

    Space is won back from files at least half of which is dead, once `dead_min` bytes are dead in all (-1: a quarter of
    a file); a job for that reads `step_max`.
    """

    def __init__(
        self, size_max: int = 64 << 20, open_max: int = 64, dead_min: int = -1, step_max: int = 8 << 20
    ) -> None:
        self.size_max: Final = size_max
        self.open_max: Final = open_max
        self.dead_min: Final = dead_min if dead_min >= 0 else size_max // 4
        self.step_max: Final = step_max


class StoredPages(Pages):
    """The base of both."""

    def __init__(
        self,
        files: Files,
        magic: bytes,
        suffix: str,
        node_id: bytes,
        random: Callable[[int], bytes],
        cipher: Cipher | None,
        options: PageOptions,
        worker: Worker,
    ) -> None:
        super().__init__()
        self.make_room: Callable[[], None] = nothing  # asked for when the disk is full
        self.worker: Final = worker
        self.options: Final = options
        self.files: Final = PageFiles(
            files, self, magic, suffix, node_id, random, cipher, options.size_max, options.open_max
        )
        self.writer: Final = PageWriter(self.files)
        self.moving: Final[dict[Page, Ranges]] = {}  # pages that are being rewritten, and what was settled meanwhile
        self._unwritten: Final[dict[Page, Taken]] = {}
        self._writing = False
        self._compaction: Compaction | None = None
        self._examined = 0  # the number of the file that was looked at last
        self._examined_below = 0  # files with this number and higher ones came since `tidy` was called

    # -- pages come

    def write(self, page: Page, identity: bytes, level: int, label: bytes, index: bytes, payload: bytes) -> None:
        """Take a page. Does not block."""
        page.length = blocks.page_length(label, index, payload, self.files.sealed())
        file = self.files.place(page.length)
        page.file = file.number
        page.offset = file.size - page.length
        page.payload = payload
        self.files.put(file, page)
        self.files.pin(file)
        taken = Taken(page, file, identity, level, label, index, payload)
        self._unwritten[page] = taken
        self.pending += page.length
        self.writer.accept(taken)
        self.placed(file)
        if not self._writing:
            self._writing = True
            self.worker.submit(WriteJob(self))

    def placed(self, file: PageFile) -> None:
        """A page was put into `file`. For those who need to know."""

    def put_down_written(self) -> None:
        """What was written need not be in memory."""
        written = self.writer.written
        while written:
            taken = written.popleft()
            page = taken.page
            self.pending -= taken.length
            self.files.unpin(taken.file)
            if self._unwritten.get(page) is taken:
                del self._unwritten[page]
                if not taken.wanted:
                    page.payload = None
        self.files.close_some()

    def write_job_done(self) -> None:
        """A WriteJob was; if there is more to write, another follows."""
        self.put_down_written()
        self._writing = len(self.writer.taken) > 0
        if self._writing:
            self.worker.submit(WriteJob(self))

    # -- pages are read

    def read(self, page: Page) -> bytes:
        """The payload, handed over: where it was read ahead, it is not kept. Blocks where it is not in memory."""
        taken = self._unwritten.get(page)
        if taken is not None:
            taken.wanted = False
            return taken.payload
        payload = page.payload
        if payload is not None:
            page.payload = None
            return payload
        file = self.files.table[page.file]
        handle = self.files.open(file)
        return read_page(file, handle, page.offset, page.length, page.first, page.last).payload

    def fetch(self, page: Page) -> None:
        """Read a page ahead, into its payload, where it stays until it is read or dropped."""
        taken = self._unwritten.get(page)
        if taken is not None:
            taken.wanted = True
        elif page.file and page.payload is None:
            file = self.files.table[page.file]
            self.files.open(file)
            self.files.pin(file)
            self.worker.submit(FetchJob(self, file, page))

    # -- pages go

    def settle(self, page: Page, first: int, last: int, count: int) -> None:
        raise NotImplementedError

    def drop(self, page: Page) -> None:
        """All of a page is gone. Again does nothing."""
        if not page.file:
            return
        file = self.files.table[page.file]
        self.files.take(file, page)
        self.taken_away(file, page)
        taken = self._unwritten.pop(page, None)
        if taken is not None:
            taken.dropped = True
        self.moving.pop(page, None)
        page.payload = None
        page.file = 0

    def taken_away(self, file: PageFile, page: Page) -> None:
        """`page` is no longer in `file`, because it is gone or somewhere else."""
        raise NotImplementedError

    # -- space is won back

    def tidy(self) -> None:
        """Look for files to rewrite, and begin with the first, unless that is going on. Does not block."""
        if self._compaction is None:
            self._examined_below = self.files.next_number
            self._compact(True)

    def compacted(self) -> None:
        """A file has been rewritten; the next one follows, as long as there are files that were there before."""
        self._compaction = None
        self._compact(False)

    def _compact(self, around: bool) -> None:
        file = self._worn(around)
        if file is not None:
            if file is self.files.current:
                self.files.leave()
            self._compaction = Compaction(self, file)
            self._compaction.go_on()

    def move(self, page: Page, stored: StoredPage, index: bytes, payload: bytes, settled: Ranges) -> None:
        """A page gets another place, and other contents. Whoever reads it from now on gets these.

        `stored` is what it was; `settled` is what is gone of the new contents.
        """
        found = pageindex.decode(index)
        wanted = page.payload is not None
        file = self.files.table[page.file]
        self.files.take(file, page)
        self.taken_away(file, page)
        page.first = found.first
        page.last = found.last
        page.count = found.count
        page.size = found.size
        page.persistent = found.persistent_count
        page.settled = settled if settled.firsts else None
        self.write(page, stored.identity, stored.level, stored.label, index, payload)
        self._unwritten[page].wanted = wanted

    def _worn(self, around: bool) -> PageFile | None:
        """A file at least half of which is dead. The search takes a step only, and goes on where the last one ended.

        `around`: begins anew after the last file.
        """
        table = self.files.table
        numbers = sorted([number for number in table if number < self._examined_below])
        later = [number for number in numbers if number > self._examined]
        if around:
            later += numbers[: len(numbers) - len(later)]
        seen = 0
        for number in later:
            file = table[number]
            self._examined = number
            seen += len(file.pages)
            for page in self.files.examine(file):
                self.drop(page)
            if file.pages and file.begun and file.live * 2 <= file.size and self.dead >= self.options.dead_min:
                return file
            if seen > _EXAMINED_AT_ONCE:
                break
        return None

    def close(self) -> None:
        """Close all files. Blocks. Only when no job is left."""
        self.files.close()


class TransientPages(StoredPages):
    """Pages of messages that a restart takes. A page is there until it is dropped, whatever was settled of it."""

    def __init__(
        self,
        files: Files,
        node_id: bytes,
        random: Callable[[int], bytes],
        cipher: Cipher | None,
        options: PageOptions,
        worker: Worker,
    ) -> None:
        """Empties the directory, which blocks. Raises StorageError."""
        for name in files.names():
            if number_in(name, SUFFIX):
                files.remove(name)
        super().__init__(files, PAGES, SUFFIX, node_id, random, cipher, options, worker)

    def settle(self, page: Page, first: int, last: int, count: int) -> None:
        """Does nothing: what is gone of a page is no news to the queue that will read it."""

    def taken_away(self, file: PageFile, page: Page) -> None:
        if file.pages:
            return
        if file is not self.files.current or file.size * 8 >= self.options.size_max:
            self.files.discard(file)
            self.worker.submit(Task(self.files.remove_unused, nothing))

    def sync(self, done: Callable[[], None]) -> None:
        """`done` in a later round. There is nothing to wait for: these pages are never needed after a crash."""
        self.worker.submit(Task(nothing, done))


class WriteJob(Job):
    """Writes what was taken."""

    def __init__(self, pages: StoredPages) -> None:
        self._pages: Final = pages

    def run(self) -> None:
        self._pages.writer.run(_WRITE_MOST)

    def finish(self) -> None:
        self._pages.write_job_done()

    def found_no_room(self) -> None:
        self._pages.make_room()


class Task(Job):
    """A job that is one call, and another when it is done."""

    def __init__(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        self._work: Final = work
        self._done: Final = done

    def run(self) -> None:
        self._work()

    def finish(self) -> None:
        self._done()


class FetchJob(Job):
    """Reads a page ahead."""

    def __init__(self, pages: StoredPages, file: PageFile, page: Page) -> None:
        self._pages: Final = pages
        self._file: Final = file
        self._page: Final = page
        self._offset: Final = page.offset
        self._length: Final = page.length
        self._first: Final = page.first
        self._last: Final = page.last
        self._payload: bytes | None = None

    def run(self) -> None:
        handle = self._file.handle
        if handle is not None and not self._file.gone:
            stored = read_page(self._file, handle, self._offset, self._length, self._first, self._last)
            self._payload = stored.payload

    def finish(self) -> None:
        page = self._page
        self._pages.files.unpin(self._file)
        # It may be gone by now, or have been moved, or read meanwhile by somebody who could not wait.
        if self._file.pages.get(self._offset) is page and page.payload is None:
            page.payload = self._payload


def nothing() -> None:
    """What is done where nothing is to be done."""
