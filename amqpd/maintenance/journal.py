"""The journal for tools: every batch, also behind damaged places, and what each record says.

`read` is the first pass: it verifies everything, and knows afterwards what is damaged, settled and forgotten. `batches`
reads once more what was sound. Memory is bounded by the number of logs and of settled ranges, and the largest batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd.errors import DamagedError, MalformedError
from amqpd.maintenance.damage import Damage
from amqpd.store import scan as scanning
from amqpd.store.cipher import Cipher
from amqpd.store.contents import IDENTITY_SIZE, Contents, LogKey, others_of
from amqpd.store.files import Files
from amqpd.store.format import (
    BATCH_HEAD_SIZE,
    ENTRY,
    GROUP,
    MORE,
    RECORD_HEAD_SIZE,
    SECTOR,
    SETTLE,
    START,
    Record,
    padded,
    u32_at,
    u64_at,
)
from amqpd.store.place import name_of
from amqpd.store.reading import FoundBatch
from amqpd.store.scan import Scan, Torn

OTHER_SIZE: Final = 12

_MOST_WRONG: Final = 4  # bytes of an identity that may be damaged, where the name is right


class JournalRead:
    """What a journal has. `bad` are the sequence numbers of batches that are sound, and make no sense."""

    def __init__(self, directory: Files, scan: Scan) -> None:
        self.directory: Final = directory
        self.scan: Final = scan
        self.contents: Final = Contents()
        self.damages: Final[list[Damage]] = []
        self.torn: Final[list[Torn]] = []
        self.bad: Final[set[int]] = set()
        self.batches = 0
        self.first = -1
        self.last = -1
        self.bytes = 0

    def keys(self) -> dict[bytes, int]:
        """How many files in use have which key."""
        found: dict[bytes, int] = {}
        for file in self.scan.used():
            if file.header is not None:
                found[file.header.key_id] = found.get(file.header.key_id, 0) + 1
        return found


def read(directory: Files, node_id: bytes, cipher: Cipher | None) -> JournalRead:
    """Read all of it. Blocks. Raises KeyMissingError, VersionError, StorageError; damage is in the result."""
    scan = Scan(directory, node_id, cipher)
    found = JournalRead(directory, scan)
    contents = found.contents
    for event in scan.events():
        if isinstance(event, Torn):
            found.torn.append(event)
        elif isinstance(event, scanning.Damage):
            _close_last(found)
            messages = contents.concerned(event)
            found.damages.append(Damage(event.path, event.offset, event.reason, messages))
        else:
            _take(found, event)
    _close_last(found)
    return found


def _take(found: JournalRead, batch: FoundBatch) -> None:
    if found.first < 0:
        found.first = batch.sequence
    found.last = batch.sequence
    found.batches += 1
    found.bytes += padded(BATCH_HEAD_SIZE + len(batch.payload))
    path = f"{found.directory.path}/{name_of(batch.number)}"
    try:
        found.contents.add(batch, path)
    except DamagedError:
        _close_last(found)
        found.bad.add(batch.sequence)
        found.damages.append(
            Damage(path, batch.offset, f"batch {batch.sequence} makes no sense, although its checksum is right")
        )
        found.contents.note()


def _close_last(found: JournalRead) -> None:
    """Another damaged place begins, or the end: what is missing between the last one and here is known now."""
    if found.damages:
        found.damages[-1].merge(found.contents.gaps())


def batches(found: JournalRead, node_id: bytes, cipher: Cipher | None) -> Iterator[FoundBatch]:
    """Every sound batch, in order: the second pass. Blocks. Raises StorageError."""
    for event in Scan(found.directory, node_id, cipher).events():
        if isinstance(event, FoundBatch) and event.sequence not in found.bad:
            yield event


class Item:
    """A record. `homes`: which logs, by identity and level (None: nobody knows which), at which index.

    `data` is an entry's message as it was stored, or a group's label; `ranges` are those of a settle record.
    """

    __slots__ = ("data", "homes", "kind", "ranges", "term")

    def __init__(self, kind: int, homes: list[tuple[LogKey | None, int]], term: int, data: bytes) -> None:
        self.kind: Final = kind
        self.homes: Final = homes
        self.term: Final = term
        self.data: Final = data
        self.ranges: list[int] = []


class Runs:
    """Which log a ref means in each run of the node: it is the same all through a run, and not beyond.

    A run begins with a START record, in a new file. Where the beginning of a file cannot be read nobody knows whether
    one began there, so that counts as one, too.
    """

    def __init__(self) -> None:
        self.refs: Final[list[dict[int, LogKey | None]]] = [{}]

    def learn(self, run: int, ref: int, key: LogKey) -> None:
        """In that run `ref` means `key`; nothing, where it was said to mean another one."""
        while len(self.refs) <= run:
            self.refs.append({})
        known = self.refs[run].setdefault(ref, key)
        if known != key:
            self.refs[run][ref] = None

    def find(self, run: int, ref: int) -> LogKey | None:
        """What `ref` means in that run."""
        return self.refs[run].get(ref) if run < len(self.refs) else None


def learn_runs(found: JournalRead, node_id: bytes, cipher: Cipher | None, queues: dict[bytes, str]) -> Runs:
    """What refs mean in each run, also those of which only a damaged place says it. Blocks. Raises StorageError.

    `queues` are names by identity: what is left of a damaged record is believed where it has nearly both of a queue.
    """
    runs = Runs()
    reader = RecordReader(runs)
    for event in Scan(found.directory, node_id, cipher).events():
        if isinstance(event, scanning.Damage):
            reader.guess(event, queues)
        elif isinstance(event, FoundBatch) and event.sequence not in found.bad:
            for _item in reader.items(event):
                pass
    return runs


class RecordReader:
    """Knows what refs mean while batches pass. With `runs` also where the record that says it was lost."""

    def __init__(self, runs: Runs | None = None) -> None:
        self.labels: Final[dict[LogKey, bytes]] = {}
        self.run = 0
        self._runs: Final = runs
        self._file = -1
        self._refs: dict[int, LogKey] = {}

    def items(self, batch: FoundBatch) -> Iterator[Item]:
        """Its records. Raises MalformedError."""
        if batch.number != self._file:
            self._file = batch.number
            self._refs = {}
            if batch.offset != SECTOR:
                self.run += 1
        data = batch.payload
        at = 0
        while at < len(data):
            if at + RECORD_HEAD_SIZE > len(data):
                raise MalformedError("a record's head is cut")
            record = Record(data, at)
            at = record.start + record.size
            if at > len(data):
                raise MalformedError("a record is cut")
            yield self._item(data, record)

    def _item(self, data: bytes, record: Record) -> Item:
        kind, start, end = record.kind, record.start, record.start + record.size
        if kind == GROUP:
            key = self._group(data, record)
            return Item(kind, [(key, 0)], 0, self.labels[key])
        if kind == START:
            self.run += 1
            return Item(kind, [], 0, b"")
        homes: list[tuple[LogKey | None, int]] = [(self.key(record.ref), record.index)] if record.ref else []
        if kind == ENTRY and record.flags & MORE:
            count = others_of(data, record)
            if count < 0:
                raise MalformedError("an entry has no room for its logs")
            for at in range(start + 4, start + 4 + OTHER_SIZE * count, OTHER_SIZE):
                homes.append((self.key(u32_at(data, at)), u64_at(data, at + 4)))
            start += 4 + OTHER_SIZE * count
        item = Item(kind, homes, record.term, data[start:end])
        if kind == SETTLE:
            item.ranges = [u64_at(data, at) for at in range(start, end, 8)]
        return item

    def guess(self, damage: scanning.Damage, queues: dict[bytes, str]) -> None:
        """Learn what the remains of damaged batches say of refs, as far as it can be believed."""
        data = damage.lost
        run = self.run if damage.number == self._file else self.run + 1
        at = BATCH_HEAD_SIZE
        while self._runs is not None and at + RECORD_HEAD_SIZE <= len(data):
            record = Record(data, at)
            start = record.start
            at = start + record.size
            if not GROUP <= record.kind <= START or at > len(data):
                return
            if record.kind == GROUP and record.size > IDENTITY_SIZE:
                identity = data[start : start + IDENTITY_SIZE]
                label = data[start + IDENTITY_SIZE + 1 : at]
                believed = _believed(identity, label, queues)
                if believed:
                    self._runs.learn(run, record.ref, (believed, data[start + IDENTITY_SIZE]))

    def key(self, ref: int) -> LogKey | None:
        """Which log it means here."""
        found = self._refs.get(ref)
        if found is None and self._runs is not None:
            found = self._runs.find(self.run, ref)
        return found

    def _group(self, data: bytes, record: Record) -> LogKey:
        if record.size <= IDENTITY_SIZE:
            raise MalformedError("a group's record is too short")
        start = record.start
        key = (data[start : start + IDENTITY_SIZE], data[start + IDENTITY_SIZE])
        self._refs[record.ref] = key
        self.labels[key] = data[start + IDENTITY_SIZE + 1 : start + record.size]
        if self._runs is not None:
            self._runs.learn(self.run, record.ref, key)
        return key


def _believed(identity: bytes, label: bytes, queues: dict[bytes, str]) -> bytes:
    """The identity of the queue that a damaged record means; b"" where that is not clear."""
    if identity in queues:
        return identity
    for known, name in queues.items():
        same = sum(one == other for one, other in zip(identity, known, strict=True))
        if name.encode() == label and same >= IDENTITY_SIZE - _MOST_WRONG:
            return known
    return b""
