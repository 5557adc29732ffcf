"""What the records of a journal say, log by log: the first of recovery's two passes, and what its tools count.

Bounded by the number of logs and of settled ranges, never by that of messages. The second pass is `entries`.

The same module knows, for a place that cannot be read, which queues and messages that concerns: those that what is left
of it speaks of, and those whose indexes have a gap there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd.errors import DamagedError
from amqpd.ranges import Ranges
from amqpd.store.files import Files
from amqpd.store.format import (
    BATCH_HEAD_SIZE,
    ENTRY,
    FORGET,
    GROUP,
    MARK,
    MORE,
    RECORD_HEAD_SIZE,
    SETTLE,
    START,
    STOP,
    Record,
    u32_at,
    u64_at,
)
from amqpd.store.reading import FoundBatch
from amqpd.store.scan import Damage, JournalFile

IDENTITY_SIZE: Final = 16

LogKey = tuple[bytes, int]
"""A log: the identity of its queue, and the level."""


class Log:
    """What the journal says of one log. Indexes are -1 where there is none."""

    __slots__ = (
        "after", "before", "entries", "forgotten", "highest", "identity", "key", "label", "level", "mark", "settled"
    )  # fmt: skip

    def __init__(self, identity: bytes, level: int, label: bytes) -> None:
        self.identity: Final = identity
        self.level: Final = level
        self.key: Final = (identity, level)
        self.label = label
        self.entries = 0
        self.highest = -1
        self.mark = -1
        self.forgotten = False
        self.settled: Final = Ranges()
        self.before = -1  # the highest index before the damage that is being looked at
        self.after = -1  # the first new one behind it

    def name(self) -> str:
        """For people."""
        return queue_name(self.label, self.level)


def queue_name(label: bytes, level: int) -> str:
    """A log by its label and level: VHOST/QUEUE, with the priority where there is one."""
    text = label.decode("utf-8", "backslashreplace")
    return f"{text} (priority {level})" if level else text


class Contents:
    """Takes batches in their order. `logs` by identity and level."""

    def __init__(self) -> None:
        self.logs: Final[dict[LogKey, Log]] = {}
        self.records = 0
        self.clean = False
        self._file = -1
        self._holes = False  # something was lost: what a ref means may have been in there
        self._refs: dict[int, Log] = {}

    def add(self, batch: FoundBatch, path: str) -> None:
        """Take what a batch says. Raises DamagedError where that is not well-formed, although its checksum is right."""
        data = batch.payload
        end = len(data)
        self._enter(batch.number)
        at = 0
        count = 0
        while at < end:
            record = Record(data, at) if at + RECORD_HEAD_SIZE <= end else None
            if record is None or record.start + record.size > end or not self._take(data, record):
                raise malformed(path, batch)
            at = record.start + record.size
            count += 1
        if count != batch.records:
            raise malformed(path, batch)
        self.records += count
        self.clean = batch.ends_run()

    def _enter(self, file: int) -> None:
        if file != self._file:
            self._file = file
            self._refs = {}

    def _take(self, data: bytes, record: Record) -> bool:
        """Whether the record makes sense."""
        kind = record.kind
        if kind == GROUP:
            log = self._group(data, record)
            if log is not None:
                self._refs[record.ref] = log
            return log is not None
        if kind == STOP or kind == START:
            return True
        log = self._refs.get(record.ref)
        if log is None:
            return self._holes
        if kind == ENTRY:
            self._entry(log, record.index)
            return record.flags & MORE == 0 or self._others(data, record)
        if kind == SETTLE:
            return _settle(log, data, record)
        if kind == FORGET:
            log.forgotten = True
            return True
        if kind == MARK:
            log.mark = max(log.mark, record.index)
            log.highest = max(log.highest, record.index - 1)
            return True
        return False

    def _group(self, data: bytes, record: Record) -> Log | None:
        if record.size <= IDENTITY_SIZE:
            return None
        start = record.start
        identity = data[start : start + IDENTITY_SIZE]
        level = data[start + IDENTITY_SIZE]
        label = data[start + IDENTITY_SIZE + 1 : start + record.size]
        log = self.logs.get((identity, level))
        if log is None:
            log = Log(identity, level, label)
            self.logs[log.key] = log
        log.label = label
        return log

    def _entry(self, log: Log, index: int) -> None:
        log.entries += 1
        if index > log.highest:
            log.highest = index
        if log.after < 0 and index > log.before:
            log.after = index

    def _others(self, data: bytes, record: Record) -> bool:
        count = others_of(data, record)
        if count < 0:
            return False
        for at in range(record.start + 4, record.start + 4 + 12 * count, 12):
            log = self._refs.get(u32_at(data, at))
            if log is None:
                if not self._holes:
                    return False
                continue
            self._entry(log, u64_at(data, at + 4))
        return True

    # Damage.

    def concerned(self, damage: Damage) -> dict[str, Ranges]:
        """The logs, by name, and the indexes that what is left of a damaged place speaks of: as far as one can tell."""
        self._enter(damage.number)
        found: dict[str, Ranges] = {}
        data = damage.lost
        at = BATCH_HEAD_SIZE
        refs = dict(self._refs)
        while at + RECORD_HEAD_SIZE <= len(data):
            record = Record(data, at)
            if not GROUP <= record.kind <= START or record.start + record.size > len(data):
                break
            log = self._group(data, record) if record.kind == GROUP else refs.get(record.ref)
            if log is not None:
                refs[record.ref] = log
                indexes = found.setdefault(log.name(), Ranges())
                if record.kind == ENTRY:
                    indexes.add(record.index, record.index)
            at = record.start + record.size
        self._refs = refs
        self.note()
        return found

    def note(self) -> None:
        """There is damage at this point: remember what is known before it."""
        self._holes = True
        for log in self.logs.values():
            log.before = log.highest
            log.after = -1

    def gaps(self) -> dict[str, Ranges]:
        """The logs, by name, and the indexes that are missing between what stood before the last damage and after."""
        found: dict[str, Ranges] = {}
        for log in self.logs.values():
            if log.before >= 0 and log.after > log.before + 1:
                found.setdefault(log.name(), Ranges()).add(log.before + 1, log.after - 1)
        return found


def malformed(path: str, batch: FoundBatch) -> DamagedError:
    """A batch is what was written, and makes no sense."""
    return DamagedError(
        f"{path}, byte {batch.offset}: batch {batch.sequence} is not well-formed, although its checksum is right: it "
        "was written by another program, or there is a bug; nothing was changed"
    )


def others_of(data: bytes, record: Record) -> int:
    """How many further logs an entry with the flag MORE is in; -1 where the record has no room for them."""
    if record.size < 4:
        return -1
    count = u32_at(data, record.start)
    return count if 4 + 12 * count <= record.size else -1


def entries(directory: Files, files: list[JournalFile]) -> Iterator[tuple[list[tuple[bytes, int, int]], bytes]]:
    """Every message in order: in which logs (identity, level) it is at which index, and the message as it was stored.

    The second pass: one window and one batch are in memory at a time. Blocks. Raises StorageError.
    """
    for found in files:
        reader = found.reader(directory)
        refs: dict[int, LogKey] = {}
        while reader.sequence < found.next_sequence:
            batch = reader.next()
            if batch is None:
                reader.close()
                raise DamagedError(
                    f"{found.path}, byte {reader.offset}: what was read a moment ago reads differently now; look after "
                    "the disk (dmesg)"
                )
            yield from _messages(batch.payload, refs)
        reader.close()


def _messages(data: bytes, refs: dict[int, LogKey]) -> Iterator[tuple[list[tuple[bytes, int, int]], bytes]]:
    at = 0
    while at < len(data):
        record = Record(data, at)
        start = record.start
        at = start + record.size
        if record.kind == GROUP:
            refs[record.ref] = (data[start : start + IDENTITY_SIZE], data[start + IDENTITY_SIZE])
        elif record.kind == ENTRY:
            identity, level = refs[record.ref]
            homes = [(identity, level, record.index)]
            if record.flags & MORE:
                count = u32_at(data, start)
                start += 4
                for other in range(start, start + 12 * count, 12):
                    identity, level = refs[u32_at(data, other)]
                    homes.append((identity, level, u64_at(data, other + 4)))
                start += 12 * count
            yield homes, data[start:at]


def _settle(log: Log, data: bytes, record: Record) -> bool:
    if record.size % 16:
        return False
    for at in range(record.start, record.start + record.size, 16):
        first = u64_at(data, at)
        last = u64_at(data, at + 8)
        if first > last:
            return False
        log.settled.add(first, last)
        if last > log.highest:
            log.highest = last
    return True
