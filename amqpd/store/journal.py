"""The journal: gathers records, seals them as batches, and decides in which file and where each batch stands.

Everything here is called from one thread and does not block; what blocks is a `Job` (`amqpd.store.batch`,
`amqpd.store.upkeep`) for a worker. What they share with this module, a file's handle and the crc of the last batch, is
touched by the committer's thread alone.

A batch never spans files. One that finds too little room makes the file longer before anything of it is written.
Moving on to the next file needs nothing but what was prepared: the file is there under its number, zeroed and synced.
Where there is none the batch makes one itself, a small one, which takes a moment.

Not here: what records mean, and when a batch is sealed (`amqpd.broker.persistence`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.broker.ports import Batch, Job
from amqpd.broker.ports import Journal as JournalPort
from amqpd.store.batch import JournalBatch, Tail
from amqpd.store.cipher import SALT_SIZE, TAG_SIZE
from amqpd.store.files import Files
from amqpd.store.format import (
    BATCH_HEAD_SIZE,
    ENTRY,
    FORGET,
    GROUP,
    MARK,
    MORE,
    SECTOR,
    SETTLE,
    START,
    STOP,
    padded,
    write_record,
)
from amqpd.store.options import StoreOptions
from amqpd.store.place import Place, spare_name, spare_number
from amqpd.store.upkeep import Free, MakeSpare, Prepare, RemoveSpare
from amqpd.wire.primitives import BytesWriter, write_u32, write_u64

START_SIZE: Final = 4 << 20
"""Of a file that somebody waits for: it is zeroed in a moment."""

ROOM_LEFT: Final = 8 << 20
"""The next file is begun when the present one has less left, or less than a quarter where files are small."""

LARGEST_BUFFER: Final = 4 << 20
"""A buffer that had to grow beyond this for one batch is not kept."""

OTHER_SIZE: Final = 12
"""Of each further log of an entry: its ref and the index there."""


class Journal(JournalPort):
    """See `amqpd.broker.ports.Journal`. Counters since the start: `batches`, `bytes` and `syncs`.

    `files` are in use, with `size` bytes; `spares` are at hand, and the next file where it is prepared.
    """

    def __init__(
        self,
        files: Files,
        node_id: bytes,
        random: Callable[[int], bytes],
        options: StoreOptions,
        sequence: int,
        chain: int,
        places: list[Place],
        prepared: Place | None,
        spares: list[int],
    ) -> None:
        """`sequence` is the next batch's, `chain` the last one's crc; `places` the files in use, `spares` by number."""
        super().__init__()
        self._files: Final = files
        self._node_id: Final = node_id
        self._random: Final = random
        self._options: Final = options
        self._sequence = sequence
        self._tail: Final = Tail(chain)
        self._places: Final = places
        self._place: Place | None = None
        self._prepared = prepared
        self._preparing = False
        self._unmade: Place | None = None  # a file that is to be made of nothing, for want of a spare
        self._spares: Final = spares
        self._sparing = False
        self._coming = 0
        self._wanted = options.spares
        self._last_spare = max(spares, default=0)
        self._rotating = False
        self._numbers = prepared.number if prepared is not None else places[-1].number if places else 0
        self.file = 0
        self.batches = 0
        self.bytes = 0
        self.syncs = 0
        self.files = len(places)
        self.spares = len(spares)
        self.size = 0
        for place in places:
            self.size += place.size

    # Records.

    def begin(self) -> None:
        place = self._place
        if place is None or self._rotating or place.size - place.end < min(ROOM_LEFT, place.size >> 2):
            self._move_on()

    def group(self, ref: int, identity: bytes, level: int, label: bytes) -> None:
        out = self.out
        write_record(out, GROUP, 0, ref, 0, 0, len(identity) + 1 + len(label))
        out.write(identity)
        out.append(level)
        out.write(label)
        self.records += 1

    def entry(self, ref: int, index: int, term: int, size: int) -> None:
        write_record(self.out, ENTRY, 0, ref, index, term, size)
        self.records += 1

    def entry_in_many(self, refs: list[int], indexes: list[int], term: int, size: int) -> None:
        others = len(refs) - 1
        out = self.out
        write_record(out, ENTRY, MORE, refs[0], indexes[0], term, 4 + OTHER_SIZE * others + size)
        write_u32(out, others)
        for place in range(1, others + 1):
            write_u32(out, refs[place])
            write_u64(out, indexes[place])
        self.records += 1

    def settle(self, ref: int, ranges: list[int]) -> None:
        out = self.out
        write_record(out, SETTLE, 0, ref, 0, 0, 8 * len(ranges))
        for index in ranges:
            write_u64(out, index)
        self.records += 1

    def forget(self, ref: int) -> None:
        write_record(self.out, FORGET, 0, ref, 0, 0, 0)
        self.records += 1

    def mark(self, ref: int, index: int) -> None:
        write_record(self.out, MARK, 0, ref, index, 0, 0)
        self.records += 1

    def stop(self) -> None:
        write_record(self.out, STOP, 0, 0, 0, 0, 0)
        self.records += 1

    def start(self) -> None:
        """The first record of a run: whatever stood before it was not the end, however orderly that looks."""
        write_record(self.out, START, 0, 0, 0, 0, 0)
        self.records += 1

    # Batches.

    def seal(self) -> Batch | None:
        place = self._place
        if self.records == 0 or place is None:
            return None
        payload = self.out.getvalue()
        size = padded(BATCH_HEAD_SIZE + len(payload) + (TAG_SIZE if place.lock is not None else 0))
        first = place.end == 0
        offset = SECTOR if first else place.end
        place.end = offset + size
        extended = 0
        if place.end > place.size:
            # In steps, so that small batches behind the file's end do not each make it a little longer.
            step = max(place.zeroed >> 2, SECTOR)
            extended = -(-place.end // step) * step
            self.size += extended - place.size
            place.size = extended
        batch = JournalBatch(self, self._sequence, size, place, self._tail, payload, self.records, offset, extended)
        self._sequence += 1
        self.records = 0
        if len(payload) > LARGEST_BUFFER:
            self.out = BytesWriter()
        else:
            self.out.truncate(0)
        return batch

    def written(self, batch: JournalBatch) -> None:
        """A batch is on disk."""
        self.batches += 1
        self.bytes += batch.size
        self.syncs += 1
        batch.place.begun = True
        if batch.place is self._unmade:
            self._made(batch.place)

    def rotate(self) -> None:
        """Begin a new file with the next batch: there is another key."""
        self._rotating = True

    # Files.

    def _move_on(self) -> None:
        place = self._prepared
        if place is None:
            if self._preparing and self._place is not None:
                return  # the next file is being made: go on behind the end of this one until it is there
            place = self._next(START_SIZE)
        place.key(self._options.cipher, self._random(SALT_SIZE))
        self._prepared = None
        self._rotating = False
        self._place = place
        self._places.append(place)
        self.file = place.number
        self.files = len(self._places)
        self.size += place.size

    def _next(self, size: int) -> Place:
        """The file of the next number, to be made of a spare, or else of nothing."""
        self._numbers += 1
        if not self._spares:
            size = min(size, self._options.file_size)
            self._unmade = Place(self._files, self._node_id, self._numbers, size)
            return self._unmade
        source = spare_name(self._spares.pop())
        self.spares = len(self._spares)
        return Place(self._files, self._node_id, self._numbers, self._options.file_size, source)

    def oldest(self) -> int:
        return self._places[0].number if self._places else 0

    def standing(self) -> list[tuple[str, int]]:
        """The files in use, oldest first, and up to where there is something in each; 0: nobody knows, so all of it.

        What was sealed counts as being there.
        """
        return [(place.name, place.end) for place in self._places if place.end or place is not self._place]

    def surplus(self) -> bool:
        return self.size > self._options.size_max and len(self._places) > 1

    def free(self, file: int) -> Job:
        """Raises ValueError where `file` is not the oldest, or is the present one."""
        if len(self._places) < 2 or self._places[0].number != file:
            raise ValueError(f"file {file} cannot be freed: {self.files} in use, from {self.oldest()}")
        place = self._places.pop(0)
        self.files = len(self._places)
        self.size -= place.size
        spare = 0
        if place.size >= self._options.file_size and len(self._spares) + self._coming < self._wanted:
            self._coming += 1
            self._last_spare += 1
            spare = self._last_spare
        return Free(self, self._files, self._node_id, place, spare, self._options.file_size)

    def prepare(self) -> Job | None:
        """One job at a time, due once the present file is half full: a small journal needs no spares."""
        place = self._place
        if place is None or not place.begun or 2 * place.end < place.size:
            return None
        if self._prepared is None and not self._preparing:
            self._preparing = True
            return Prepare(self, self._next(self._options.file_size))
        if len(self._spares) + self._coming < self._wanted and not self._sparing:
            self._sparing = True
            self._coming += 1
            self._last_spare += 1
            return MakeSpare(self, self._files, self._last_spare, self._options.file_size)
        return None

    def prepared(self, place: Place) -> None:
        """The next file is there."""
        self._prepared = place
        self._preparing = False
        if place is self._unmade:
            self._made(place)

    def _made(self, place: Place) -> None:
        """What had to be made is there. Perhaps without the spare that was offered."""
        self._unmade = None
        if place.offered and place.source != place.offered:
            self._add_spare(spare_number(place.offered))

    def spare_made(self, spare: int) -> None:
        """A spare is there that had to be made; 0: it need not be made any more."""
        self._sparing = False
        self._coming -= 1
        if spare:
            self._add_spare(spare)

    def spare_freed(self, spare: int) -> None:
        """A file that was in use is a spare now."""
        self._coming -= 1
        place = self._unmade
        if place is not None and not place.offered:
            place.offered = spare_name(spare)  # where the disk is full this is what the next file can be made of
        else:
            self._add_spare(spare)

    def _add_spare(self, spare: int) -> None:
        self._spares.append(spare)
        self.spares = len(self._spares)

    def give_up_spare(self) -> Job | None:
        """On a full disk: a spare goes, so that others find room, and none is made until `room_again`.

        None where there is none. The journal itself needs little then: nobody publishes.
        """
        self._wanted = 0
        if not self._spares:
            return None
        self.spares -= 1
        return RemoveSpare(self._files, self._spares.pop())

    def room_again(self) -> None:
        """The disk is full no more."""
        self._wanted = self._options.spares

    def enough_spares(self) -> bool:
        """Whether none has to be made. Also asked in a worker's thread."""
        return self.spares >= self._wanted

    def close(self) -> None:
        """Close the files. Blocks; no job of this journal may be under way."""
        for place in self._places:
            place.close()
        if self._prepared is not None:
            self._prepared.close()
