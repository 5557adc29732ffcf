"""The files that pages are in: where the next page goes, what is in each file, and how much of that is of use.

A file is filled from its front to its end and then left alone, but for the blocks that say what is gone of its pages.
None is recycled: recovery never sees bytes of an earlier use. A page never spans files; one that is larger than a file
should be makes a larger file.

Threads: tables and numbers belong to the broker's thread. A worker creates files (`PageFiles.begin_on_disk`), writes,
and removes them; apart from that it uses only handles that were pinned for it, and a pinned file stays open. Files that
are not pinned are closed when too many are open.

How much of a page is of use is an estimate, in proportion to the number of messages; what it drifts by (`Page.kept`
changes without a word) `PageFiles.examine` puts right.

Invariants: `used` and `dead` of the pages count all files in the table; 0 <= live <= size of each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from amqpd.broker.ports import Page, Pages
from amqpd.errors import DamagedError, MalformedError, StorageError
from amqpd.ranges import Ranges
from amqpd.store import blocks
from amqpd.store.cipher import PLAIN, SALT_SIZE, Cipher, Lock, missing
from amqpd.store.files import File, Files
from amqpd.store.format import PAGES, SECTOR, FileHeader

_FIRST_READ: Final = 4096


class PageFile:
    """One file. `size` is up to where it is assigned, `live` an estimate of the bytes in it that are of use.

    `pages` by their offsets, ascending. `unsaid` is what is gone of pages, by their offsets, and not said in the file
    (None: all of a page). `begun`: it is there. `listed`: its name is known to be on disk. `gone`: out of the table, to
    be removed.
    """

    __slots__ = (
        "begun",
        "dirty",
        "gone",
        "handle",
        "header",
        "listed",
        "live",
        "lock",
        "name",
        "number",
        "pages",
        "path",
        "pins",
        "seed",
        "size",
        "unsaid",
    )

    def __init__(self, name: str, path: str, header: FileHeader, lock: Lock | None) -> None:
        self.name: Final = name
        self.path: Final = path
        self.number: Final = header.number
        self.header: Final = header
        self.seed: Final = blocks.seed_of(header.node_id, header.number)
        self.lock: Final = lock
        self.size = 0
        self.live = 0
        self.pages: Final[dict[int, Page]] = {}
        self.unsaid: dict[int, Ranges | None] = {}
        self.pins = 0
        self.handle: File | None = None
        self.begun = False
        self.listed = False
        self.dirty = False
        self.gone = False

    def damaged(self, offset: int, who: str, what: str) -> StorageError:
        """What to raise where the block at `offset` is not what was written; `who`: whose messages."""
        return DamagedError(f"{self.path}: damaged at offset {offset}, {who}: {what}")


class StoredPage:
    """A page as it was read from a file."""

    __slots__ = ("identity", "index", "label", "level", "payload")

    def __init__(self, identity: bytes, level: int, label: bytes, index: bytes, payload: bytes) -> None:
        self.identity: Final = identity
        self.level: Final = level
        self.label: Final = label
        self.index: Final = index
        self.payload: Final = payload


def messages_text(label: bytes, first: int, last: int) -> str:
    """Whose messages, and which: for an operator."""
    return f"messages {first} to {last} of queue {label.decode('utf-8', 'replace')}"


def read_page(file: PageFile, handle: File, offset: int, length: int, first: int, last: int) -> StoredPage:
    """The page at `offset`, with messages `first` to `last`. Blocks. Raises DamagedError.

    Reads twice at most, so that nothing of a large payload is copied.
    """
    data = handle.read(offset, min(length, _FIRST_READ))
    who = f"messages {first} to {last} of a queue whose name cannot be read"
    if not blocks.plausible(data, 0):
        raise file.damaged(offset, who, "no block begins there")
    block = blocks.Block(data, 0, offset)
    sealed = file.lock is not None
    names_end = blocks.HEAD_SIZE + block.names_size(sealed)
    if block.kind != blocks.PAGE or block.length(sealed) != length:
        raise file.damaged(offset, who, "the head of a page with other sizes is there")
    if names_end > len(data):
        data += handle.read(offset + len(data), names_end - len(data))
    fixed = data[: blocks.HEAD_SIZE - 4]
    names = data[blocks.HEAD_SIZE : names_end]
    if blocks.head_crc(file.seed, offset, fixed, names) != block.crc:
        raise file.damaged(offset, who, "the checksum of its head is wrong")
    try:
        label, index = blocks.open_names(block, fixed, names, file.lock)
        who = messages_text(label, first, last)
        if names_end + block.payload_size <= len(data):
            payload = data[names_end : names_end + block.payload_size]
        else:
            payload = handle.read(offset + names_end, block.payload_size)
        payload = blocks.open_payload(block, payload, file.lock)
    except MalformedError as error:
        raise file.damaged(offset, who, str(error)) from error
    return StoredPage(block.identity, block.level, label, index, payload)


class PageFiles:
    """All files of one kind, by number, which grows. `counts` are the pages whose `used` and `dead` are kept here."""

    def __init__(
        self,
        files: Files,
        counts: Pages,
        magic: bytes,
        suffix: str,
        node_id: bytes,
        random: Callable[[int], bytes],
        cipher: Cipher | None,
        size_max: int,
        open_max: int,
    ) -> None:
        self.files: Final = files
        self.table: Final[dict[int, PageFile]] = {}
        self.current: PageFile | None = None
        self.next_number = 1
        self.transient: Final = magic == PAGES
        self.filled = False  # a file was filled since somebody looked
        self._counts: Final = counts
        self._magic: Final = magic
        self._suffix: Final = suffix
        self._node_id: Final = node_id
        self._random: Final = random
        self._cipher: Final = cipher
        self._size_max: Final = size_max
        self._open_max: Final = open_max
        self._unused: Final[deque[PageFile]] = deque()  # for a worker to remove
        self._open: Final[dict[int, PageFile]] = {}  # those that are open, or will be: least recently used first

    def sealed(self) -> bool:
        """Whether new files are encrypted."""
        return self._cipher is not None

    # -- places

    def place(self, length: int) -> PageFile:
        """The file for a block of `length` bytes: its last ones, now."""
        file = self.current
        if file is not None and file.size + length > self._size_max and file.size > SECTOR:
            self.leave()
            self.filled = True
            file = None
        if file is None:
            file = self._begin()
        self.grow(file, length)
        return file

    def grow(self, file: PageFile, length: int) -> None:
        """Assign `length` bytes more, which are of no use as far as nobody says so."""
        file.size += length
        self._counts.used += length
        self._counts.dead += length

    def leave(self) -> None:
        """Put nothing more into the current file."""
        file = self.current
        if file is not None:
            self.current = None
            self.unpin(file)

    def _begin(self) -> PageFile:
        number = self.next_number
        self.next_number = number + 1
        key_id = PLAIN if self._cipher is None else self._cipher.current
        header = FileHeader(self._magic, self._node_id, number, key_id=key_id, salt=self._random(SALT_SIZE))
        file = self.adopt(header, SECTOR)
        file.pins = 1
        self._open[number] = file
        self.current = file
        self.close_some()
        return file

    def adopt(self, header: FileHeader, size: int) -> PageFile:
        """A file of `size` bytes that is there, or will be. Raises KeyMissingError."""
        name = self.name_of(header.number)
        path = f"{self.files.path}/{name}"
        lock = lock_of(header, self._cipher, path)
        file = PageFile(name, path, header, lock)
        self.table[header.number] = file
        self.next_number = max(self.next_number, header.number + 1)
        self.grow(file, size)
        return file

    def name_of(self, number: int) -> str:
        """What the file with that number is called."""
        return f"{number:020}{self._suffix}"

    # -- what is in them

    def share(self, page: Page) -> int:
        """About how many bytes of a page are of use."""
        if self.transient:
            return page.length
        live = page.live
        if page.kept and not page.earlier:
            live += page.count - page.persistent
        return page.length * max(0, min(live, page.count)) // page.count

    def put(self, file: PageFile, page: Page) -> None:
        """A page stands in `file` now; file, offset and length of it are set."""
        file.pages[page.offset] = page
        self.set_live(file, file.live + self.share(page))

    def take(self, file: PageFile, page: Page) -> None:
        """A page is of no use any more, or not there."""
        live = file.live - self.share(page)
        del file.pages[page.offset]
        self.set_live(file, live if file.pages else 0)

    def set_live(self, file: PageFile, live: int) -> None:
        """So many bytes of `file` are of use, as far as it is known."""
        live = max(0, min(live, file.size - SECTOR))
        self._counts.dead += file.live - live
        file.live = live

    def examine(self, file: PageFile) -> list[Page]:
        """Estimate anew what is of use in `file`. Returns the pages of which nothing is."""
        live = 0
        idle = []
        for page in file.pages.values():
            live += self.share(page)
            if page.live <= 0 and not page.kept and not self.transient:
                idle.append(page)
        self.set_live(file, live)
        return idle

    def discard(self, file: PageFile) -> None:
        """Remove a file that nothing on disk speaks of: the worker does it when it comes to it."""
        self.remove(file)
        self._unused.append(file)

    def remove(self, file: PageFile) -> None:
        """Out of the table; the file itself is for a worker to remove (`remove_on_disk`)."""
        if file is self.current:
            self.leave()
        file.gone = True
        del self.table[file.number]
        self._open.pop(file.number, None)
        self._counts.used -= file.size
        self._counts.dead -= file.size - file.live

    # -- descriptors

    def open(self, file: PageFile) -> File:
        """A file that is on disk. Blocks where it is not open yet."""
        self._open.pop(file.number, None)
        self._open[file.number] = file
        handle = file.handle
        if handle is None:
            handle = self.files.open(file.name)
            file.handle = handle
            self.close_some()
        return handle

    def pin(self, file: PageFile) -> None:
        """Keep `file` open."""
        file.pins += 1

    def unpin(self, file: PageFile) -> None:
        """The counterpart of `pin`."""
        file.pins -= 1

    def close_some(self) -> None:
        """Close files that nobody uses, where more are open than should be."""
        if len(self._open) <= self._open_max:
            return
        for file in list(self._open.values())[:-1]:  # but the last, which somebody is about to use
            handle = file.handle
            if file.pins == 0 and handle is not None:
                del self._open[file.number]
                file.handle = None
                handle.close()
                if len(self._open) <= self._open_max:
                    return

    def close(self) -> None:
        """Close all. Blocks. Only when no worker uses any."""
        for file in self._open.values():
            if file.handle is not None:
                file.handle.close()
                file.handle = None
        self._open.clear()

    # -- in a worker's thread

    def begin_on_disk(self, file: PageFile) -> File:
        """The handle of a file that is pinned; makes the file where it is new. Can be done again."""
        handle = file.handle
        if handle is None:
            handle = self.files.create(file.name)
            file.handle = handle
        if not file.begun:
            handle.write(0, [file.header.encode()])
            file.begun = True
        return handle

    def remove_unused(self) -> None:
        """Remove what was discarded."""
        while self._unused:
            self.remove_on_disk(self._unused[0])
            self._unused.popleft()

    def remove_on_disk(self, file: PageFile) -> None:
        """Remove a file that is out of the table, if it came to be at all. Can be done again."""
        handle = file.handle
        file.handle = None
        if handle is not None:
            handle.close()
            file.begun = True
        if file.begun:
            self.files.remove(file.name)
            file.begun = False


def lock_of(header: FileHeader, cipher: Cipher | None, path: str) -> Lock | None:
    """What opens the blocks of the file at `path`; None where it is not encrypted. Raises KeyMissingError."""
    if header.key_id == PLAIN:
        return None
    if cipher is None:
        raise missing(header.key_id, path)
    return cipher.lock(header.key_id, header.salt, path)
