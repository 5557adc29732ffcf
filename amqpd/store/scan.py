"""Reading a whole journal back: which files there are, every batch in order, and what is damaged.

For recovery as well as for tools, on a running node's files too. Nothing is changed. `Scan.events` follows the chain of
batches over all files and gives, in order,

    FoundBatch   a valid batch
    Torn         the end: something was being written there when the node ended; nobody was told that it is stored
    Damage       batches that had been synced, and cannot be read; what follows is read nevertheless

How the two are told apart: a batch is written when the one before it has been synced, and a file is begun when the one
before it has. So whatever cannot be read and has anything behind it was synced. Only a batch with nothing behind it can
be torn; damage to the very last one looks the same.

A file may end with a torn batch and the next one continue before that: then a recovery went on there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd.errors import StorageError
from amqpd.store import cipher as ciphers
from amqpd.store.bounds import FIRST_NAME, LAST_NAME, read_bound
from amqpd.store.cipher import PLAIN, Cipher, Lock
from amqpd.store.files import Files
from amqpd.store.format import (
    BATCH_HEAD_SIZE,
    JOURNAL,
    SECTOR,
    FileHeader,
    check_version,
    decode_header,
    mark_of,
)
from amqpd.store.place import TEMPORARY, name_of, number_of, spare_number
from amqpd.store.reading import BatchReader, FoundBatch

SHORTEST: Final = 2 * SECTOR
"""No file with a number is shorter than this."""

MOST_LOST: Final = 64 << 20
"""So many bytes of a damaged place are looked at for what they may have been."""


_MEANING: Final = {
    FIRST_NAME: "it says which file is the oldest in use",
    LAST_NAME: "it says which is the last file there is",
}


class JournalFile:
    """A file as it was found. `header` is there when it is in use and sound; `first_sector` is what it is read from.

    Where it is not `there`, neither are those that follow, up to and with number `until`.
    """

    def __init__(self, path: str, number: int, there: bool) -> None:
        self.path: Final = path
        self.number: Final = number
        self.name: Final = name_of(number)
        self.there: Final = there
        self.until = number
        self.size = 0
        self.first_sector = b""
        self.header: FileHeader | None = None
        self.lock: Lock | None = None
        self.end = SECTOR
        """Behind the last valid batch."""
        self.next_sequence = -1
        """The number that the batch there would have."""

    def reader(self, directory: Files) -> BatchReader:
        """Reads it from its first batch on. Only with a header."""
        header = self.header
        assert header is not None
        mark = mark_of(header.node_id, self.number)
        file = directory.open(self.name, False)
        return BatchReader(file, self.number, mark, self.lock, header.sequence, header.crc)


class Torn:
    """From `offset` on there is something that was never finished."""

    def __init__(self, path: str, offset: int) -> None:
        self.path: Final = path
        self.offset: Final = offset


class Damage:
    """At `offset` of a file: the batches `first` to `last` (-1: nobody knows), of which `lost` may be what is left."""

    def __init__(self, file: JournalFile, offset: int, reason: str, first: int, last: int, lost: bytes = b"") -> None:
        self.path: Final = file.path
        self.number: Final = file.number
        self.offset: Final = offset
        self.reason: Final = reason
        self.first: Final = first
        self.last: Final = last
        self.lost: Final = lost

    def __str__(self) -> str:
        return f"{self.path}, byte {self.offset}: {self.reason}"


class Scan:
    """What a directory of a journal has. `files` are those from the oldest in use on, up to `last_used` in use.

    `spares` are by number, `leftover` the names of what was given up, or never finished. After `events` has come to its
    end, `sequence` and `chain` are what the next batch would have. `torn_bounds` are what is to be written to `first`
    and `last`, so that both of their sectors are valid again.
    """

    def __init__(self, directory: Files, node_id: bytes, cipher: Cipher | None) -> None:
        """Reads the names and the headers. Raises KeyMissingError, VersionError, StorageError. Blocks."""
        self._directory: Final = directory
        self._node_id: Final = node_id
        self._cipher: Final = cipher
        self._bounds_damage: Final[list[Damage]] = []
        self.files: Final[list[JournalFile]] = []
        self.spares: Final[list[int]] = []
        self.leftover: Final[list[str]] = []
        self.torn_bounds: Final[list[tuple[str, int]]] = []
        self.last_used = 0
        self.sequence = -1
        self.chain = 0
        numbers: set[int] = set()
        names = directory.names()
        for name in names:
            if number_of(name):
                numbers.add(number_of(name))
            elif spare_number(name):
                self.spares.append(spare_number(name))
            elif name.endswith(TEMPORARY):
                self.leftover.append(name)
        present = sorted(numbers)
        oldest = self._oldest(FIRST_NAME in names, present)
        self.leftover.extend(name_of(number) for number in present if number < oldest)
        self._look_at_all(oldest, [number for number in present if number >= oldest])
        newest = self._newest(LAST_NAME in names, present)
        due = self.files[-1].until + 1 if self.files else oldest
        if newest >= due:
            self._miss(due, newest)

    def used(self) -> list[JournalFile]:
        """The files in use, oldest first."""
        return [found for found in self.files if found.number <= self.last_used]

    def unused(self) -> list[JournalFile]:
        """The files that are prepared."""
        return [found for found in self.files if found.number > self.last_used]

    # What is there.

    def _path(self, name: str) -> str:
        return f"{self._directory.path}/{name}"

    def _oldest(self, there: bool, present: list[int]) -> int:
        """The number of the oldest file in use, where `present` are those that are there."""
        lowest = present[0] if present else 1
        number, doubtful = self._bound(FIRST_NAME, there)
        if number < 0:
            return lowest
        # The newer sector was torn, or damaged: then the file may be gone already that the other one speaks of.
        oldest = number + 1 if doubtful and lowest == number + 1 else max(number, 1)
        if doubtful:
            self.torn_bounds.append((FIRST_NAME, oldest if oldest > number else number - 1))
        return oldest

    def _newest(self, there: bool, present: list[int]) -> int:
        """The number of the last file there should be; 0: nobody knows."""
        number, doubtful = self._bound(LAST_NAME, there)
        if number < 0:
            return 0
        highest = present[-1] if present else 0
        if doubtful and highest <= number:
            # Were it the newer sector that is torn, the file that it was to speak of would be there.
            self._bounds_damage.append(self._bad_bound(LAST_NAME, f"is damaged; {_MEANING[LAST_NAME]}"))
        elif self.last_used > number + doubtful:
            reason = f"says that file {number} is the last one, and there is something in file {self.last_used}"
            self._bounds_damage.append(self._bad_bound(LAST_NAME, reason))
        elif doubtful:
            self.torn_bounds.append((LAST_NAME, number + 1))
        return number

    def _bound(self, name: str, there: bool) -> tuple[int, bool]:
        """What `first` or `last` says, -1 where it says nothing; and whether it may mean the number after that."""
        if not there:
            self._bounds_damage.append(self._bad_bound(name, f"is missing; {_MEANING[name]}"))
            return -1, False
        headers = read_bound(self._directory, name)
        for header in headers:
            check_version(header, self._path(name))
            self._check_node(header, self._path(name))
        if not headers:
            self._bounds_damage.append(self._bad_bound(name, f"is damaged; {_MEANING[name]}"))
            return -1, False
        return headers[-1].number, len(headers) < 2

    def _bad_bound(self, name: str, reason: str) -> Damage:
        return Damage(JournalFile(self._path(name), 0, False), 0, reason, -1, -1)

    def _look_at_all(self, oldest: int, numbers: list[int]) -> None:
        due = oldest
        for number in numbers:
            if number > due:
                self._miss(due, number - 1)
            self.files.append(self._look(number))
            due = number + 1

    def _miss(self, first: int, last: int) -> None:
        """These are not there. Together, because a name that is not ours may make them very many."""
        found = JournalFile(self._path(name_of(first)), first, False)
        found.until = last
        self.files.append(found)

    def _look(self, number: int) -> JournalFile:
        name = name_of(number)
        found = JournalFile(self._path(name), number, True)
        file = self._directory.open(name, False)
        found.size = file.size()
        found.first_sector = file.read(0, SECTOR)
        file.close()
        header = decode_header(found.first_sector, JOURNAL)
        if header is None or header.number != number:
            return found
        check_version(header, found.path)
        self._check_node(header, found.path)
        found.header = header
        found.lock = self._lock(header.key_id, header.salt, found.path)
        self.last_used = number
        return found

    def _check_node(self, header: FileHeader, path: str) -> None:
        if header.node_id != self._node_id:
            raise StorageError(
                f"{path} belongs to node {header.node_id.hex()}, and this is node {self._node_id.hex()}: files of two "
                "nodes were mixed; put each node's directory back as a whole, nothing was changed"
            )

    def _lock(self, key_id: bytes, salt: bytes, path: str) -> Lock | None:
        if key_id == PLAIN:
            return None
        if self._cipher is None:
            raise ciphers.missing(key_id, path)
        return self._cipher.lock(key_id, salt, path)

    # What is in it.

    def events(self) -> Iterator[FoundBatch | Damage | Torn]:
        """Every batch, and what is wrong, in order. Once. Blocks. Raises StorageError where a file cannot be read."""
        yield from self._bounds_damage
        used = self.used()
        for place in range(len(used)):
            found = used[place]
            if found.header is None:
                yield from self._headless(found)
            else:
                yield from self._file(found, found.header, used[place + 1] if place + 1 < len(used) else None)
        for found in self.unused():
            yield from self._prepared(found)
        if not used:
            missing = JournalFile(self._directory.path, 0, False)
            yield Damage(missing, 0, "no file of the journal is in use, although there was one from the start", -1, -1)

    def _file(
        self, found: JournalFile, header: FileHeader, following: JournalFile | None
    ) -> Iterator[FoundBatch | Damage | Torn]:
        after = following.header if following is not None else None
        if found.size < header.size:
            reason = f"the file was cut: it has {found.size} bytes, and had {header.size} when it was begun"
            yield Damage(found, found.size, reason, -1, -1)
        reader = found.reader(self._directory)
        ended = False  # by a batch of this file: the stop of an earlier run is no end where a file was begun behind it
        while True:
            batch = reader.next()
            if batch is not None:
                ended = batch.ends_run()
                yield batch
                continue
            found.end, found.next_sequence = reader.offset, reader.sequence
            if after is not None and after.sequence == reader.sequence and after.chain == reader.crc:
                break
            if following is None and ended:
                break
            offset, sequence = reader.offset, reader.sequence
            head = reader.search(offset + SECTOR, sequence)
            if head is not None:
                lost = reader.bytes_at(offset, min(head.offset - offset, MOST_LOST))
                yield Damage(found, offset, _unreadable(sequence, head.sequence - 1), sequence, head.sequence - 1, lost)
                reader.resume(head)
                continue
            if after is not None:
                last = after.sequence - 1
                lost = reader.bytes_at(offset, MOST_LOST)
                reason = _unreadable(sequence, last) if last >= sequence else "the next file does not continue this one"
                yield Damage(found, offset, reason, sequence, last, lost)
            elif following is None and any(reader.bytes_at(offset, BATCH_HEAD_SIZE)):
                yield Torn(found.path, offset)
            break
        self.sequence, self.chain = reader.sequence, reader.crc
        reader.close()

    def _headless(self, found: JournalFile) -> Iterator[FoundBatch | Damage | Torn]:
        """A file that is missing or has no header, although a later one is in use."""
        if not found.there:
            yield Damage(found, 0, _missing(found), self.sequence, -1)
            return
        yield Damage(found, 0, "the file's header is damaged", self.sequence, -1)
        yield from self._salvage(found)

    def _salvage(self, found: JournalFile) -> Iterator[FoundBatch | Damage | Torn]:
        """What can be read of a file without a header, if its batches are not encrypted."""
        sector = found.first_sector
        if len(sector) < SECTOR or sector[56:72] != PLAIN:
            return
        file = self._directory.open(found.name, False)
        reader = BatchReader(file, found.number, mark_of(self._node_id, found.number), None, -1, 0)
        head = reader.search(SECTOR, -1)
        while head is not None:
            reader.resume(head)
            batch = reader.next()
            while batch is not None:
                yield batch
                batch = reader.next()
            self.sequence, self.chain = reader.sequence, reader.crc
            head = reader.search(reader.offset + SECTOR, reader.sequence)
            if head is not None:
                yield Damage(found, reader.offset, _unreadable(reader.sequence, head.sequence - 1), reader.sequence, -1)
        reader.close()

    def _prepared(self, found: JournalFile) -> Iterator[FoundBatch | Damage | Torn]:
        """A file behind the last one in use, which has nothing in it, or what was never finished."""
        if not found.there:
            yield Damage(found, 0, _missing(found), self.sequence, -1)
            return
        if found.size < SHORTEST:
            yield Damage(found, found.size, f"the file was cut: it has {found.size} bytes", self.sequence, -1)
            return
        file = self._directory.open(found.name, False)
        reader = BatchReader(file, found.number, mark_of(self._node_id, found.number), None, -1, 0)
        first = reader.head_at(SECTOR)
        suspicious = decode_header(found.first_sector, JOURNAL) is None and any(found.first_sector)
        if suspicious or (first is not None and first.sequence >= self.sequence):
            # One batch may have been written with a header that did not reach the disk; a second one never.
            if reader.search(SECTOR, self.sequence) is not None:
                yield Damage(found, 0, "the file's header is damaged", self.sequence, -1)
                yield from self._salvage(found)
            else:
                yield Torn(found.path, 0)
        reader.close()


def _missing(found: JournalFile) -> str:
    return "the file is missing" if found.until == found.number else f"all files from here to {found.until} are missing"


def _unreadable(first: int, last: int) -> str:
    if first == last:
        return f"batch {first} cannot be read, or is not what was written"
    return f"batches {first} to {last} cannot be read, or are not what was written"
