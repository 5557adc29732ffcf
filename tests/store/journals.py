"""What the tests of the store share: a journal that does its jobs at once, and a reader of what it left."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from crash.disk import Crash, Disk

from amqpd.broker.ports import Job, Worker
from amqpd.errors import DamagedError
from amqpd.store.journal import Journal
from amqpd.store.opening import Store, open_store
from amqpd.store.options import StoreOptions

SMALL = 8192
QUEUE = b"q" * 16
OTHER = b"o" * 16


class Now(Worker):
    """Does each job when it is submitted. `submitted` counts."""

    def __init__(self) -> None:
        self.submitted = 0

    def submit(self, job: Job) -> None:
        self.submitted += 1
        do(job)


def do(job: Job) -> None:
    """What a worker does with a job."""
    job.run()
    job.finish()


def options(**given) -> StoreOptions:
    return StoreOptions(**{"file_size": SMALL, "size_max": 4 * SMALL, "segment_size": 1 << 16, **given})


def opened(files, seed: int = 1, **given) -> Store:
    return open_store(files, random.Random(seed).randbytes, options(**given), Now())


class Writer:
    """Writes records as a keeper would: logs are introduced once in each file."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._introduced: set[tuple[int, int]] = set()

    def _prepare(self, *logs: tuple[int, bytes]) -> None:
        journal = self.journal
        if journal.records == 0:
            journal.begin()
        for ref, identity in logs:
            if (journal.file, ref) not in self._introduced:
                self._introduced.add((journal.file, ref))
                journal.group(ref, identity, 0, b"/" + identity[:1])

    def entry(self, index: int, message: bytes, ref: int = 1, identity: bytes = QUEUE) -> None:
        self._prepare((ref, identity))
        self.journal.entry(ref, index, 0, len(message))
        self.journal.out.write(message)

    def entry_in_both(self, indexes: list[int], message: bytes) -> None:
        self._prepare((1, QUEUE), (2, OTHER))
        self.journal.entry_in_many([1, 2], indexes, 0, len(message))
        self.journal.out.write(message)

    def settle(self, *ranges: int) -> None:
        self._prepare((1, QUEUE))
        self.journal.settle(1, list(ranges))

    def forget(self) -> None:
        self._prepare((1, QUEUE))
        self.journal.forget(1)

    def mark(self, index: int) -> None:
        self._prepare((1, QUEUE))
        self.journal.mark(1, index)

    def stop(self) -> None:
        self._prepare()
        self.journal.stop()
        self.commit()

    def commit(self) -> None:
        """Have what was gathered on disk, as a worker would."""
        batch = self.journal.seal()
        assert batch is not None
        do(batch)

    def commit_each(self, messages: dict[int, bytes]) -> None:
        """A batch for each message, by index."""
        for index, message in messages.items():
            self.entry(index, message)
            self.commit()


def messages_of(store: Store) -> list[tuple[int, bytes]]:
    """Index and message of all that was recovered for QUEUE, settled or not."""
    assert store.recovered is not None
    return [
        (index, message)
        for homes, message in store.recovered.entries()
        for identity, _level, index in homes
        if identity == QUEUE
    ]


def file_of(disk_files, name: str) -> Callable[[], bytes]:
    """Reads a whole file."""

    def read() -> bytes:
        file = disk_files.open(name, writable=False)
        data = file.read(0, file.size())
        file.close()
        return data

    return read


def filled(files, count: int = 30, size: int = 400) -> Writer:
    """A new store with so many messages, each in a batch."""
    writer = Writer(opened(files).journal)
    writer.commit_each({index: b"%03d" % index + bytes(size - 3) for index in range(count)})
    return writer


def overwrite(files, name: str, offset: int, data: bytes) -> None:
    """Damage a file of the journal."""
    directory = files.directory("journal")
    file = directory.open(name)
    file.write(offset, [data])
    file.sync()


def refused(files, **given) -> str:
    """What is said; nothing may be changed by that."""
    before = files.disk.state()
    with pytest.raises(DamagedError) as caught:
        opened(files, 9, **given)
    assert files.disk.state() == before
    text = str(caught.value)
    assert "Nothing was changed" in text
    assert "`amqpd store repair disk`" in text
    return text


def crash_at(machine: Disk, step: int):
    """What stops the machine with that operation: for its `before`."""
    def before(_kind: str, _path: str) -> None:
        if machine.operations >= step - 1:
            raise Crash

    return before
