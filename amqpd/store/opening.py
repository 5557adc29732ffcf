"""Opening the message store of a node: made where there is none, recovered where there is one.

    node        which node's it is; made last, so where it is everything else was there once
    node.new    it is being made: whatever is there is not in use yet, and made again
    journal/    amqpd.store.journal
    segments/   amqpd.store.segments: pages of messages in durable queues
    pages/      amqpd.store.pages: pages of messages that need not outlive the node; emptied at each start

First everything is read, and nothing changed, until it is clear that nothing is damaged. Then the journal is made safe:
what was read may never have been synced, where only the process ended and not the machine; so it is now. And a new
file is begun, with a record that says so: what was cut off stays cut off, and no earlier stop passes for this run's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.broker.ports import Worker
from amqpd.errors import DamagedError
from amqpd.store.bounds import BOUNDS, make_bounds, write_bound
from amqpd.store.files import Files
from amqpd.store.format import NODE, SECTOR, FileHeader, check_version, decode_header
from amqpd.store.journal import Journal
from amqpd.store.options import StoreOptions
from amqpd.store.pages import PageOptions, TransientPages
from amqpd.store.place import Place, spare_name
from amqpd.store.recovered import Recovered
from amqpd.store.scan import Scan
from amqpd.store.segments import Segments, open_segments
from amqpd.store.segmentscan import Found
from amqpd.store.survey import go_on, read_journal

NODE_NAME: Final = "node"
NEW_NODE_NAME: Final = "node.new"
NODE_ID_SIZE: Final = 16

JOURNAL_DIRECTORY: Final = "journal"
SEGMENT_DIRECTORY: Final = "segments"
PAGE_DIRECTORY: Final = "pages"


class Store:
    """A node's messages. `recovered` is None where the store was made just now.

    Where the disk is full a spare file of the journal makes room for pages: the place of those that are consumed can
    only be won back once what is to be written is there.
    """

    def __init__(
        self,
        node_id: bytes,
        journal: Journal,
        segments: Segments,
        pages: TransientPages,
        recovered: Recovered | None,
        background: Worker,
    ) -> None:
        self.node_id: Final = node_id
        self.journal: Final = journal
        self.segments: Final = segments
        self.pages: Final = pages
        self.recovered = recovered
        self._background: Final = background
        segments.make_room = pages.make_room = self._make_room

    def _make_room(self) -> None:
        job = self.journal.give_up_spare()
        if job is not None:
            self._background.submit(job)

    def close(self) -> None:
        """Close all files, when no job is left. Blocks."""
        self.journal.close()
        self.segments.close()
        self.pages.close()


def open_store(
    files: Files,
    random: Callable[[int], bytes],
    options: StoreOptions,
    background: Worker,
) -> Store:
    """Open the store in `files`, whose pages are written by `background`. Blocks.

    Raises DamagedError, KeyMissingError, VersionError, and StorageError for files of another node and failures of the
    disk; with the first three nothing was changed.
    """
    names = files.names()
    if NODE_NAME in names:
        for directory in (JOURNAL_DIRECTORY, SEGMENT_DIRECTORY):
            if directory not in names:
                raise DamagedError(f"{files.path}/{directory} is missing. {go_on(files.path)}")
        return _Opening(files, random, options, background, read_node_id(files)).recover()
    if NEW_NODE_NAME not in names and (JOURNAL_DIRECTORY in names or SEGMENT_DIRECTORY in names):
        raise DamagedError(
            f"{files.path}/{NODE_NAME} is missing, and the store it belongs to is there. {go_on(files.path)}"
        )
    if NEW_NODE_NAME in names:
        files.remove(NEW_NODE_NAME)
    node_id = random(NODE_ID_SIZE)
    file = files.create(NEW_NODE_NAME)
    file.write(0, [FileHeader(NODE, node_id, 0).encode()])
    file.sync()
    file.close()
    files.sync()
    return _Opening(files, random, options, background, node_id).make()


def read_node_id(files: Files) -> bytes:
    """Which node the store in `files` belongs to. Blocks. Raises DamagedError, VersionError, StorageError."""
    file = files.open(NODE_NAME, False)
    data = file.read(0, SECTOR)
    file.close()
    header = decode_header(data, NODE)
    if header is None:
        raise DamagedError(f"{file.path} is damaged; it says which node this is. {go_on(files.path)}")
    check_version(header, file.path)
    return header.node_id


class _Opening:
    """What the two ways to open a store have in common."""

    def __init__(
        self,
        files: Files,
        random: Callable[[int], bytes],
        options: StoreOptions,
        background: Worker,
        node_id: bytes,
    ) -> None:
        self._files: Final = files
        self._random: Final = random
        self._options: Final = options
        self._background: Final = background
        self._node_id: Final = node_id
        self._journal_files: Final = files.directory(JOURNAL_DIRECTORY)
        self._segment_files: Final = files.directory(SEGMENT_DIRECTORY)
        files.sync()

    def make(self) -> Store:
        """A new store."""
        for directory in (self._journal_files, self._segment_files):
            for name in directory.names():
                directory.remove(name)
        make_bounds(self._journal_files, self._node_id)
        segments, _found = self._segments(True)
        journal = self._journal(0, 0, [], None, [])
        self._begin(journal)
        self._files.rename(NEW_NODE_NAME, NODE_NAME)
        self._files.sync()
        return Store(self._node_id, journal, segments, self._pages(), None, self._background)

    def recover(self) -> Store:
        """A store that is there."""
        files = self._journal_files
        scan, contents, torn = read_journal(files, self._node_id, self._options.cipher, self._files.path)
        try:
            segments, found = self._segments(False)
        except DamagedError as error:
            raise DamagedError(f"{error}. {go_on(self._files.path)}") from None
        used = scan.used()
        for name in (used[-1].name, *BOUNDS):
            last = files.open(name)
            last.sync()
            last.close()
        files.sync()
        for name, number in scan.torn_bounds:
            write_bound(files, name, self._node_id, number)
        recovered = Recovered(contents, found.pages, found.highest, found.labels, files, used, torn)
        places: list[Place] = []
        for one in used:
            places.append(Place(files, self._node_id, one.number, one.size))
        journal = self._journal(scan.sequence, scan.chain, places, self._prepared(scan), self._spares(scan))
        self._begin(journal)
        return Store(self._node_id, journal, segments, self._pages(), recovered, self._background)

    def _journal(
        self, sequence: int, chain: int, places: list[Place], prepared: Place | None, spares: list[int]
    ) -> Journal:
        return Journal(
            self._journal_files, self._node_id, self._random, self._options, sequence, chain, places, prepared, spares
        )

    def _segments(self, new: bool) -> tuple[Segments, Found]:
        return open_segments(
            self._segment_files,
            new,
            self._node_id,
            self._random,
            self._options.cipher,
            PageOptions(self._options.segment_size),
            self._background,
        )

    def _pages(self) -> TransientPages:
        return TransientPages(
            self._files.directory(PAGE_DIRECTORY),
            self._node_id,
            self._random,
            self._options.cipher,
            PageOptions(self._options.segment_size),
            self._background,
        )

    def _begin(self, journal: Journal) -> None:
        journal.begin()
        journal.start()
        batch = journal.seal()
        assert batch is not None
        batch.run()
        batch.finish()

    def _prepared(self, scan: Scan) -> Place | None:
        """The next file, if it is there already."""
        unused = scan.unused()
        if not unused:
            return None
        place = Place(self._journal_files, self._node_id, unused[0].number, unused[0].size // SECTOR * SECTOR)
        place.count()  # the node may have ended before it did
        return place

    def _spares(self, scan: Scan) -> list[int]:
        """The spares that are of use, by number. The others go, and so does what was left behind."""
        files = self._journal_files
        for name in scan.leftover:
            files.remove(name)
        kept: list[int] = []
        for spare in sorted(scan.spares):
            file = files.open(spare_name(spare), False)
            size = file.size()
            file.close()
            if size >= self._options.file_size and len(kept) < self._options.spares:
                kept.append(spare)
            else:
                files.remove(spare_name(spare))
        return kept
