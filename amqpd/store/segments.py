"""Segments: pages of durable queues, which outlive the node.

`sync` makes durable what was taken and settled until then. One job does, in this order:

    1  what was taken is written; for each file of which something was settled, a block that says so is appended
    2  every file that was written is synced, then the directory, where a file is new
    3  the inventory is replaced: it lists the files that still have pages, with their sizes
    4  files that it does not list any more are removed

The commit is the rename in 3 (`amqpd.store.inventory`). A crash before it leaves the files that the old inventory
lists, none of which was removed, and each is on disk up to the size listed there; what is behind that, or in other
files, was not committed: recovery discards it. A crash after it leaves the new state, and perhaps files that are not
listed, which recovery removes. So pages and settles of one sync become durable together, or none of them does:

* A settle is never durable before the page that is the new home of a message: both were given before the same sync, or
  the page before an earlier one. The same holds for a page that compaction moved; its old place is settled in the sync
  that commits the new one.
* A file is removed only when an inventory without it is durable, hence after the pages that its messages moved to.
* Whoever waits for a sync to free a file of the journal loses nothing: until then all is in the journal as well.
* A crash in recovery finds what recovery found, since all that it does is discard, a second time.

In steps 1 and 2 only places are written that no inventory lists, and a retry after StorageFullError writes the same
bytes there. An earlier inventory is never reused, so any file that is shorter than listed, missing, or not what its
checksums say, is damage, and the node does not start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from amqpd.broker.ports import Job, Page, Worker
from amqpd.ranges import Ranges
from amqpd.store import blocks, inventory
from amqpd.store.cipher import Cipher
from amqpd.store.files import Files
from amqpd.store.format import SEGMENT, number_in
from amqpd.store.pagefiles import PageFile, StoredPage
from amqpd.store.pages import PageOptions, StoredPages, Task, nothing
from amqpd.store.segmentscan import SUFFIX, Found, ScannedFile, scan

if TYPE_CHECKING:
    from collections.abc import Iterable


class Segments(StoredPages):
    """Made by `open_segments`. `syncs` counts those that were carried out, for reports."""

    def __init__(
        self,
        files: Files,
        node_id: bytes,
        random: Callable[[int], bytes],
        cipher: Cipher | None,
        options: PageOptions,
        worker: Worker,
    ) -> None:
        super().__init__(files, SEGMENT, SUFFIX, node_id, random, cipher, options, worker)
        self.syncs = 0
        self.pins = 0  # while there are any, no file is removed; a worker looks at it, too
        self.left_over: Final[list[PageFile]] = []  # for a worker to remove then
        self._node_id: Final = node_id
        self._dirty: dict[int, PageFile] = {}  # written since the last sync, or about to be
        self._changed: dict[int, PageFile] = {}  # in which something is unsaid
        self._emptied = False  # a file has no pages any more
        self._syncing = False
        self._waiting: list[Callable[[], None]] = []  # for the sync after the one that is under way

    def adopt(self, scanned: ScannedFile) -> None:
        """A file that recovery found."""
        file = self.files.adopt(scanned.header, scanned.size)
        file.begun = True
        file.listed = True
        for recovered in scanned.found.values():
            if recovered.page.live:
                self.files.put(file, recovered.page)
        if scanned.unsaid:
            file.unsaid.update(scanned.unsaid)
            self._changed[file.number] = file
        if not file.pages:
            self._emptied = True

    # -- what happens to pages

    def placed(self, file: PageFile) -> None:
        self._touch(file)
        if self.files.filled:
            self.files.filled = False
            self.sync(nothing)  # so that there are never many files to be synced at once

    def _touch(self, file: PageFile) -> None:
        if not file.dirty:
            file.dirty = True
            self.files.pin(file)
            self._dirty[file.number] = file

    def settle(self, page: Page, first: int, last: int, count: int) -> None:
        """These are gone. `first` > `last`: none are, but the page may have ceased to be `kept`."""
        if not page.file:
            return
        file = self.files.table[page.file]
        if first <= last:
            before = self.files.share(page)
            page.live -= count
            self.files.set_live(file, file.live + self.files.share(page) - before)
            if page.settled is None:
                page.settled = Ranges()
            page.settled.add(first, last)
            self._leave_unsaid(file, page.offset, first, last)
            meanwhile = self.moving.get(page)
            if meanwhile is not None:
                meanwhile.add(first, last)
        if page.live <= 0 and not page.kept:
            self.drop(page)

    def _leave_unsaid(self, file: PageFile, offset: int, first: int, last: int) -> None:
        self._changed[file.number] = file
        ranges = file.unsaid.get(offset)
        if ranges is None:
            ranges = Ranges()
            file.unsaid[offset] = ranges
        ranges.add(first, last)

    def taken_away(self, file: PageFile, page: Page) -> None:
        self._changed[file.number] = file
        file.unsaid[page.offset] = None
        if not file.pages:
            self._emptied = True

    def move(self, page: Page, stored: StoredPage, index: bytes, payload: bytes, settled: Ranges) -> None:
        super().move(page, stored, index, payload, settled)
        file = self.files.table[page.file]
        for place in range(len(settled.firsts)):
            self._leave_unsaid(file, page.offset, settled.firsts[place], settled.lasts[place])

    def tidy(self) -> None:
        super().tidy()
        if self._emptied:
            self.sync(nothing)

    def compacted(self) -> None:
        super().compacted()
        self.sync(nothing)

    # -- sync

    def sync(self, done: Callable[[], None]) -> None:
        """Have all that was taken and settled until now on disk, then call `done`, in a round. Does not block."""
        self._waiting.append(done)
        if not self._syncing:
            self._begin_sync()

    def _begin_sync(self) -> None:
        waiting = self._waiting
        self._waiting = []
        self._syncing = True
        unused = self._remove_empty()
        appended = self._say_settled()
        dirty = [file for file in self._dirty.values() if not file.gone]
        listed = [(file.number, file.size) for file in self.files.table.values()]
        for file in self._dirty.values():
            file.dirty = False  # what comes from now on is for the next one
        self._dirty = {}
        self.worker.submit(SyncJob(self, appended, dirty, listed, unused, waiting, self._node_id))

    def _remove_empty(self) -> list[PageFile]:
        unused: list[PageFile] = []
        if self._emptied:
            self._emptied = False
            unused = [file for file in self.files.table.values() if not file.pages]
        for file in unused:
            self.files.remove(file)
            self._changed.pop(file.number, None)
        return unused

    def _say_settled(self) -> list[Appended]:
        appended: list[Appended] = []
        for file in self._changed.values():
            data = blocks.settled_block(file.seed, file.size, file.unsaid)
            file.unsaid = {}
            appended.append(Appended(file, file.size, data, file.dirty))
            self.files.grow(file, len(data))
        self._changed = {}
        return appended

    def unpin(self) -> None:
        """The counterpart of a count in `pins`."""
        self.pins -= 1
        if self.pins == 0:
            self.worker.submit(Task(self.remove_left_over, nothing))

    def remove_left_over(self) -> None:
        """Remove what no inventory lists any more, unless somebody reads it. For a worker. Can be done again."""
        while self.left_over and self.pins == 0:
            self.files.remove_on_disk(self.left_over[0])
            self.left_over.pop(0)

    def synced(self, synced: Iterable[PageFile], waiting: list[Callable[[], None]]) -> None:
        """A sync has been carried out, in which these files were written."""
        self.put_down_written()
        self.syncs += 1
        for file in synced:
            file.listed = True
            self.files.unpin(file)
        self.files.close_some()
        for done in waiting:
            done()
        self._syncing = False
        if self._waiting:
            self._begin_sync()


class Appended:
    """A block that says what is gone, to be written at `offset` of `file`; `dirty`: which is open and synced anyhow."""

    __slots__ = ("data", "dirty", "file", "offset")

    def __init__(self, file: PageFile, offset: int, data: bytes, dirty: bool) -> None:
        self.file: Final = file
        self.offset: Final = offset
        self.data: Final = data
        self.dirty: Final = dirty


class SyncJob(Job):
    """Steps 1 to 4. All of it can be done again."""

    def __init__(
        self,
        segments: Segments,
        appended: list[Appended],
        dirty: list[PageFile],
        listed: list[tuple[int, int]],
        unused: list[PageFile],
        waiting: list[Callable[[], None]],
        node_id: bytes,
    ) -> None:
        self._segments: Final = segments
        self._appended: Final = appended
        self._dirty: Final = dirty
        self._listed: Final = listed
        self._unused: Final = unused
        self._waiting: Final = waiting
        self._node_id: Final = node_id
        self._goal: Final = segments.writer.accepted

    def run(self) -> None:
        segments = self._segments
        files = segments.files
        segments.writer.run_to(self._goal)
        if not self._dirty and not self._unused and not self._appended:
            return
        for block in self._appended:
            self._append(block)
        new = False
        for file in self._dirty:
            files.begin_on_disk(file).sync()
            new = new or not file.listed
        if new:
            files.files.sync()
        inventory.replace(files.files, inventory.encode(self._node_id, self._listed))
        segments.left_over.extend(self._unused)
        segments.remove_left_over()

    def _append(self, block: Appended) -> None:
        files = self._segments.files
        if block.dirty:
            files.begin_on_disk(block.file).write(block.offset, [block.data])
            return
        # There may be many such files, so none stays open.
        handle = files.files.open(block.file.name)
        try:
            handle.write(block.offset, [block.data])
            handle.sync()
        finally:
            handle.close()

    def finish(self) -> None:
        self._segments.synced(self._dirty, self._waiting)

    def found_no_room(self) -> None:
        self._segments.make_room()


def open_segments(
    files: Files,
    new: bool,
    node_id: bytes,
    random: Callable[[int], bytes],
    cipher: Cipher | None,
    options: PageOptions,
    worker: Worker,
) -> tuple[Segments, Found]:
    """The segments in a directory, and what is in them. Blocks: reads heads, no messages.

    `new`: the node's directory is being made; an inventory is then made where it is missing. Raises DamagedError,
    KeyMissingError, VersionError, StorageError.
    """
    if new and inventory.load(files) is None:
        inventory.replace(files, inventory.encode(node_id, []))
    found = scan(files, node_id, cipher)
    # If only the process ended, a rename can be there which is not on disk: nothing may be removed on its word until
    # it is, or else a loss of power could bring back the inventory before it, without its files.
    files.sync()
    segments = Segments(files, node_id, random, cipher, options, worker)
    segments.files.next_number = _following(files)  # numbers of files that are removed now are not used again
    _clean(files, found)
    for scanned in found.files:
        segments.adopt(scanned)
    return segments, found


def _following(files: Files) -> int:
    return max((number_in(name, SUFFIX) for name in files.names()), default=0) + 1


def _clean(files: Files, found: Found) -> None:
    """Remove what was not committed."""
    sizes = {scanned.name: scanned.size for scanned in found.files}
    for name in files.names():
        if name == inventory.NEW_NAME or (number_in(name, SUFFIX) and name not in sizes):
            files.remove(name)
        elif name in sizes:
            file = files.open(name)
            try:
                if file.size() > sizes[name]:
                    file.truncate(sizes[name])
            finally:
                file.close()
