"""A broker that keeps messages, with a disk that does what the test says, when the test says it.

    kept = Kept()                     # kept.world plays with it, as in `harness`
    kept.commit()                     # the batch that is being written is on disk
    kept.work()                       # the next other job is done
    kept.rest()                       # all of them, until there are none
    after = kept.restart()            # the power fails; another node finds what was on disk

The doubles implement the ports of the message store strictly: they refuse what a store could not carry out, such as a
page that is told of a message which it does not have, or was told of before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness import EPOCH_MS, Method, World, m, publish

from amqpd import pageindex
from amqpd.broker.persistence.keeper import Keeper
from amqpd.broker.persistence.restoring import Restored, Restorer
from amqpd.broker.ports import Batch, Catalogue, Job, Journal, Page, Pages, Worker
from amqpd.ranges import Ranges

Key = tuple[bytes, int]


class Hand(Worker):
    """Runs a job when it is told to."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def work(self) -> bool:
        """Run and finish the next job; False where there is none."""
        if not self.jobs:
            return False
        job = self.jobs.popleft()
        job.run()
        job.finish()
        return True


# -- the journal


@dataclass
class Record:
    """`kind` is start, group, entry, settle, forget, mark or stop."""

    kind: str
    refs: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)  # of settle: first, last, first, last, ...
    identity: bytes = b""
    level: int = 0
    label: bytes = b""
    start: int = 0  # an entry's data in the writer
    size: int = 0
    data: bytes = b""


class MemoryBatch(Batch):
    def __init__(self, journal: MemoryJournal, sequence: int, size: int, file: int, records: list[Record]) -> None:
        super().__init__(sequence, size)
        self.journal, self.file, self.contents = journal, file, records

    def run(self) -> None:
        self.journal.disk.setdefault(self.file, []).append(self.contents)

    def finish(self) -> None:
        pass


class Freeing(Job):
    def __init__(self, journal: MemoryJournal, file: int) -> None:
        self.journal, self.file = journal, file

    def run(self) -> None:
        self.journal.disk.pop(self.file, None)

    def finish(self) -> None:
        pass


class MemoryJournal(Journal):
    """A file has `in_a_file` batches; more than `files_max` files are too many. `disk` is what is written, by file."""

    def __init__(self, disk: dict[int, list[list[Record]]] | None = None) -> None:
        super().__init__()
        self.disk = disk or {}
        self.files = sorted(self.disk)
        self.in_a_file, self.files_max = 4, 1000
        self.file = 0
        self.sequence = 1 + sum(len(batches) for batches in self.disk.values())
        self.gathered: list[Record] = []
        self._in_file = 0
        self._next = max(self.files, default=0) + 1
        self._known: set[int] = set()  # refs that the present file knows

    def begin(self) -> None:
        assert self.records == 0
        assert len(self.out) == 0
        if self.file == 0 or self._in_file >= self.in_a_file:
            self.file = self._next
            self._next += 1
            self._in_file = 0
            self._known = set()
            self.files.append(self.file)

    def _add(self, record: Record) -> None:
        assert self.file, "no file was begun"
        self._end()
        assert record.kind in ("group", "stop") or self._known.issuperset(record.refs)
        self.gathered.append(record)
        self.records += 1

    def _end(self) -> None:
        """What was written into `out` is as long as was announced."""
        last = self.gathered[-1] if self.gathered else Record("none")
        assert len(self.out) == last.start + last.size

    def group(self, ref: int, identity: bytes, level: int, label: bytes) -> None:
        assert len(identity) == 16
        self._add(Record("group", [ref], [], identity, level, label, start=len(self.out)))
        self._known.add(ref)

    def entry(self, ref: int, index: int, term: int, size: int) -> None:
        self._add(Record("entry", [ref], [index], start=len(self.out), size=size))

    def entry_in_many(self, refs: list[int], indexes: list[int], term: int, size: int) -> None:
        assert len(refs) == len(indexes) > 1
        self._add(Record("entry", list(refs), list(indexes), start=len(self.out), size=size))

    def settle(self, ref: int, ranges: list[int]) -> None:
        assert ranges
        assert len(ranges) % 2 == 0
        self._add(Record("settle", [ref], list(ranges), start=len(self.out)))

    def forget(self, ref: int) -> None:
        self._add(Record("forget", [ref], start=len(self.out)))

    def mark(self, ref: int, index: int) -> None:
        self._add(Record("mark", [ref], [index], start=len(self.out)))

    def stop(self) -> None:
        self._add(Record("stop", start=len(self.out)))

    def start(self) -> None:
        """As the store does when it was opened: what stood last is not the end any more."""
        self.begin()
        self.disk[self.file] = [[Record("start")]]

    def seal(self) -> MemoryBatch | None:
        if not self.records:
            return None
        self._end()
        data = self.out.getvalue()
        for record in self.gathered:
            record.data = data[record.start : record.start + record.size]
            record.start = 0
        batch = MemoryBatch(self, self.sequence, len(data) + 40, self.file, self.gathered)
        self.sequence += 1
        self.gathered = []
        self.records = 0
        self._in_file += 1
        self.out.truncate(0)
        return batch

    def oldest(self) -> int:
        return self.files[0] if self.files else 0

    def surplus(self) -> bool:
        return len(self.files) > max(1, self.files_max) and self.files[0] != self.file

    def free(self, file: int) -> Job:
        assert file == self.files.pop(0) != self.file
        return Freeing(self, file)

    def prepare(self) -> Job | None:
        return None

    def written(self) -> list[Record]:
        """All records on disk, in order, but those that only say what a ref means."""
        return [record for file in sorted(self.disk) for batch in self.disk[file] for record in batch
                if record.kind not in ("group", "start")]  # fmt: skip


# -- pages


@dataclass
class Copy:
    """A page as it is on disk."""

    identity: bytes
    level: int
    label: bytes
    index: bytes
    payload: bytes
    settled: list[tuple[int, int]]


class WriteJob(Job):
    def __init__(self, pages: MemoryPages, page: Page) -> None:
        self.pages, self.page = pages, page

    def run(self) -> None:
        pass

    def finish(self) -> None:
        self.pages.pending -= self.page.length
        if self.page not in self.pages.wanted:
            self.page.payload = None


class SyncJob(Job):
    def __init__(self, pages: MemoryPages, copies: list[Copy], done: Callable[[], None]) -> None:
        self.pages, self.copies, self.done = pages, copies, done

    def run(self) -> None:
        self.pages.disk = self.copies

    def finish(self) -> None:
        self.pages.syncs += 1
        self.done()


class MemoryPages(Pages):
    """`table` are the pages that are there, `disk` those of the last sync. `reads` counts those that had to wait."""

    def __init__(self, worker: Hand, durable: bool) -> None:
        super().__init__()
        self.worker, self.durable = worker, durable
        self.table: dict[Page, Copy] = {}
        self.disk: list[Copy] = []
        self.wanted: set[Page] = set()
        self.reads = self.syncs = self.tidied = 0
        self.forgotten: Callable[[bytes], bool] = lambda identity: False

    def write(self, page: Page, identity: bytes, level: int, label: bytes, index: bytes, payload: bytes) -> None:
        found = pageindex.decode(index)
        assert (found.first, found.last, found.count) == (page.first, page.last, page.count)
        assert found.persistent_count == page.persistent == page.live
        for other, copy in self.table.items():
            if self.durable and (copy.identity, copy.level) == (identity, level):
                assert other.last < page.first or page.last < other.first, "pages overlap"
        page.length = len(payload)
        page.payload = payload
        page.file = 1
        self.pending += page.length
        self.table[page] = Copy(identity, level, label, index, payload, [])
        self.worker.submit(WriteJob(self, page))

    def read(self, page: Page) -> bytes:
        if page.payload is None:
            self.reads += 1
        elif page in self.wanted:
            self.wanted.discard(page)
            page.payload = None
        return self.table[page].payload

    def fetch(self, page: Page) -> None:
        self.wanted.add(page)
        page.payload = self.table[page].payload

    def settle(self, page: Page, first: int, last: int, count: int) -> None:
        if not self.durable or page not in self.table:
            assert count == 0 or not self.durable, "a page that is gone has nothing to settle"
            return
        if first <= last:
            assert count == self._alive(page, first, last), "it has not so many of them, or was told of some before"
            page.live -= count
            page.settled = page.settled or Ranges()
            page.settled.add(first, last)
        if page.live <= 0 and not page.kept:
            self.drop(page)

    def _alive(self, page: Page, first: int, last: int) -> int:
        index = pageindex.decode(self.table[page].index)
        return sum(
            first <= position <= last and index.persistent_at(place) and not (page.settled and position in page.settled)
            for place, position in enumerate(index.positions())
        )

    def drop(self, page: Page) -> None:
        copy = self.table.pop(page, None)
        if copy is not None:
            assert page.live == 0 or self.forgotten(copy.identity), "something on it is alive"
        self.wanted.discard(page)
        page.payload = None
        page.file = 0

    def sync(self, done: Callable[[], None]) -> None:
        copies = [
            Copy(copy.identity, copy.level, copy.label, copy.index, copy.payload,
                 page.settled.spans() if page.settled else [])
            for page, copy in self.table.items()
        ]  # fmt: skip
        self.worker.submit(SyncJob(self, copies, done))

    def tidy(self) -> None:
        self.tidied += 1

    def compact(self) -> None:
        """Rewrite every page, as a store may at any time: what is settled goes; what nobody will read again goes."""
        for page, copy in list(self.table.items()):
            index = pageindex.decode(copy.index)
            everything = not self.durable or (page.kept and not page.earlier)
            positions, lasting, parts = [], [], []
            pos = 0
            for place, position in enumerate(index.positions()):
                end = pos + 4 + int.from_bytes(copy.payload[pos : pos + 4], "big")
                gone = self.durable and page.settled is not None and position in page.settled
                if not gone and (everything or index.persistent_at(place)):
                    positions.append(position)
                    lasting.append(index.persistent_at(place))
                    parts.append(copy.payload[pos:end])
                pos = end
            if not positions:
                continue
            copy.payload = b"".join(parts)
            copy.index = pageindex.encode(positions, lasting, len(copy.payload))
            page.first, page.last, page.count = positions[0], positions[-1], len(positions)
            page.size, page.persistent, page.settled = len(copy.payload), sum(lasting), None
            if page.payload is not None:
                page.payload = copy.payload


# -- what a restart finds


@dataclass
class FoundPage:
    identity: bytes
    level: int
    label: bytes
    page: Page
    index: pageindex.PageIndex


class Found:
    """What the doubles have on disk."""

    def __init__(self, journal: MemoryJournal, pages: MemoryPages) -> None:
        self.settled: dict[Key, Ranges] = {}
        self.forgotten: set[Key] = set()
        self.marks: dict[Key, int] = {}
        self.highest: dict[Key, int] = {}
        self.labels: dict[Key, bytes] = {}
        self.pages: list[FoundPage] = []
        self._entries: list[tuple[list[tuple[bytes, int, int]], bytes]] = []
        self.clean = False
        for file in sorted(journal.disk):
            groups: dict[int, Key] = {}
            for batch in journal.disk[file]:
                for record in batch:
                    self._take(record, groups)
        for copy in pages.disk:
            self._take_page(copy)

    def _take(self, record: Record, groups: dict[int, Key]) -> None:
        self.clean = record.kind == "stop"
        if record.kind == "group":
            groups[record.refs[0]] = (record.identity, record.level)
            self.labels[record.identity, record.level] = record.label
            return
        keys = [groups[ref] for ref in record.refs]
        for at, key in enumerate(keys):
            highest = max(record.indexes) if record.kind == "settle" else record.indexes[at] if record.indexes else -1
            self.highest[key] = max(self.highest.get(key, -1), highest)
        if record.kind == "entry":
            targets = [(key[0], key[1], index) for key, index in zip(keys, record.indexes, strict=True)]
            self._entries.append((targets, record.data))
        elif record.kind == "settle":
            ranges = self.settled.setdefault(keys[0], Ranges())
            for at in range(0, len(record.indexes), 2):
                ranges.add(record.indexes[at], record.indexes[at + 1])
        elif record.kind == "forget":
            self.forgotten.add(keys[0])
        elif record.kind == "mark":
            self.marks[keys[0]] = record.indexes[0]

    def _take_page(self, copy: Copy) -> None:
        index = pageindex.decode(copy.index)
        key = (copy.identity, copy.level)
        page = Page(index.first, index.last, index.count, index.size, index.persistent_count)
        page.earlier = True
        page.file = 1
        page.length = len(copy.payload)
        if copy.settled:
            page.settled = Ranges()
            for first, last in copy.settled:
                page.settled.add(first, last)
        page.live = sum(
            index.persistent_at(place) and not (page.settled is not None and position in page.settled)
            for place, position in enumerate(index.positions())
        )
        self.pages.append(FoundPage(*key, copy.label, page, index))
        self.highest[key] = max(self.highest.get(key, -1), index.last)
        self.labels.setdefault(key, copy.label)

    def entries(self) -> Iterator[tuple[list[tuple[bytes, int, int]], bytes]]:
        return iter(self._entries)


# -- the node


class Kept:
    """A world whose broker keeps messages."""

    def __init__(
        self,
        before: Kept | None = None,
        catalogue: Catalogue | None = None,
        wall_ms: int = EPOCH_MS,
        queues: list[str] | None = None,
        **limits: Any,
    ) -> None:
        """As a node that has been started on the disk of the one `before`, of whose queues only some may be defined."""
        self.limits = limits
        self.world = World(catalogue, **limits)
        self.broker = self.world.broker
        self.broker.offset_ms = wall_ms - self.world.now_ms
        if before is not None:
            self.world._random = before.world._random
        self.committer, self.background = Hand(), Hand()
        self.journal = MemoryJournal(before.journal.disk if before is not None else None)
        self.segments = MemoryPages(self.background, True)
        self.pages = MemoryPages(self.background, False)
        self.segments.forgotten = self._forgotten
        self.keeper = Keeper(
            self.broker, self.journal, self.segments, self.pages, self.committer, self.background
        )
        self.broker.keeper = self.keeper
        self.restored: Restored | None = None
        self.found: Found | None = None
        if before is not None:
            self.segments.disk = before.segments.disk
            self._restore(before, queues)

    def _restore(self, before: Kept, queues: list[str] | None) -> None:
        for name, queue in before.world.vhost.queues.items():
            if queue.durable and (queues is None or name in queues):
                self.world.vhost.restore_queue(
                    name, "classic", True, queue.auto_delete, queue.arguments, queue.identity
                )
        self.found = found = Found(self.journal, self.segments)
        self.journal.start()
        for entry, copy in zip(found.pages, before.segments.disk, strict=True):
            self.segments.table[entry.page] = Copy(
                entry.identity, entry.level, copy.label, copy.index, copy.payload, []
            )
        self.restored = Restorer(self.broker, self.keeper, found, self._work_off).run()
        self.world.settle()
        self.world.pass_ms(0)

    def _work_off(self) -> None:
        while self.background.work():
            pass

    def _forgotten(self, identity: bytes) -> bool:
        """Whether it is on disk that nothing of a queue is needed, or it was not defined at the start."""
        found = Found(self.journal, self.segments)
        known = {queue.identity for queue in self.world.vhost.queues.values()}
        return any(key[0] == identity for key in found.forgotten) or (self.restored is None and identity not in known)

    def commit(self) -> bool:
        """The batch that is being written is on disk."""
        worked = self.committer.work()
        self.world.settle()
        return worked

    def work(self) -> bool:
        """The next job of the other worker is done."""
        worked = self.background.work()
        self.world.settle()
        return worked

    def rest(self) -> None:
        """Everything is on disk."""
        for _ in range(10_000):
            self.world.settle()
            self.world.pass_ms(0)
            if not self.committer.work() | self.background.work():
                self.world.settle()
                if not self.committer.jobs and not self.background.jobs:
                    return
        raise AssertionError("it does not come to rest")

    def stop(self) -> None:
        """An orderly stop; nobody is connected any more."""
        self.rest()
        self.keeper.stop()
        self.rest()
        assert self.keeper.gathered() == self.keeper.committed_to

    def restart(self, *, jump_ms: int = 0, queues: list[str] | None = None, **limits: Any) -> Kept:
        """Another node on the same disk, after as much time."""
        wall_ms = self.broker.wall_ms() + jump_ms
        return Kept(self, wall_ms=wall_ms, queues=queues, **{**self.limits, **limits})

    def queue(self, name: str = "q") -> Any:
        return self.world.vhost.queues[name]


# -- what tests do all the time


def lasting(body: bytes = b"x", queue: str = "q", **properties: Any) -> Method:
    """A persistent publish."""
    return publish(body, queue, delivery_mode=2, **properties)


def bodies(client: Any, count: int, queue: str = "q", **fields: Any) -> list[bytes]:
    """What `count` basic.get bring."""
    found = []
    for _ in range(count):
        client >> m("basic.get", queue=queue, **fields)
        found.append(client.expect("basic.get-ok").body)
    return found
