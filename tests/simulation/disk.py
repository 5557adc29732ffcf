"""A model disk of one member: what is written and what is synced are two images.

Writes are records in the order of their tokens, as in a write-ahead log. A write is visible in `written` at once; it
gets into `synced` when a later sync completes. A crash leaves `synced` and, of the records behind it, those up to the
first one that is missing or torn: which ones survive is the caller's choice, and what stands behind a hole is found by
recovery and thrown away, as by a log with checksums.

Not here: when anything completes or fails (`world.py`), and what a host makes of an identity (`host.py`).
"""

from collections import deque

from amqpd.raft.messages import Append, Entry, HardState, Snapshot
from amqpd.raft.view import LogView


class DiskError(Exception):
    """A write that no storage could carry out: it would leave a gap."""


class Image(LogView):
    """What a disk holds: a snapshot, entries from `start + 1` on, and the hard state."""

    def __init__(self) -> None:
        self.start = 0
        self.start_term = 0
        self.log: list[Entry] = []
        self.hard = HardState()
        self.image: Snapshot | None = None

    def copy(self) -> "Image":
        other = Image()
        other.start = self.start
        other.start_term = self.start_term
        other.log = self.log.copy()
        other.hard = self.hard
        other.image = self.image
        return other

    # What a group reads.

    def first_index(self) -> int:
        return self.start + 1

    def last_index(self) -> int:
        return self.start + len(self.log)

    def term(self, index: int) -> int:
        place = index - self.start
        if place == 0:
            return self.start_term
        return self.log[place - 1].term if 0 < place <= len(self.log) else -1

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        found = self.log[low - self.start - 1 : high - self.start - 1]
        size = 0
        for place, entry in enumerate(found):
            size += len(entry.payload)
            if size > max_bytes and place:
                return found[:place]
        return found

    def snapshot(self) -> Snapshot | None:
        return self.image

    # What a host writes.

    def write(self, append: Append) -> None:
        """Carry out one record."""
        if append.snapshot is not None:
            self.image = append.snapshot
            self.start = append.snapshot.index
            self.start_term = append.snapshot.term
            self.log = []
        if append.entries:
            place = append.entries[0].index - self.start - 1
            if place < 0 or place > len(self.log):
                first = append.entries[0].index
                raise DiskError(f"entries from {first} do not fit a log that ends at {self.last_index()}")
            del self.log[place:]
            self.log.extend(append.entries)
        if append.hard_state is not None:
            self.hard = append.hard_state

    def compact(self, snapshot: Snapshot, keep: int) -> None:
        """Hold `snapshot`, and drop the entries that it covers but for the last `keep`."""
        self.image = snapshot
        cut = snapshot.index - keep
        if cut > self.start:
            self.start_term = self.term(cut)
            del self.log[: cut - self.start]
            self.start = cut

    def rot(self, index: int) -> None:
        """Lose the entry at `index`, whose checksum is wrong, and with it all behind it."""
        del self.log[max(index - self.start - 1, 0) :]
        if self.image is not None and self.last_index() < self.image.index:
            self.start, self.start_term, self.log = self.image.index, self.image.term, []  # the snapshot is whole
        if self.hard.commit > self.last_index():
            self.hard = HardState(self.hard.term, self.hard.vote, self.last_index())


class Disk:
    """Both images of one member, and the records between them."""

    __slots__ = ("loose", "pending", "position", "synced", "written")

    def __init__(self) -> None:
        self.written = Image()
        self.synced = Image()
        # Written and not complete; complete, but nobody had to sync them.
        self.pending: deque[Append] = deque()
        self.loose: list[Append] = []
        # How many records were synced: what tells an older copy from the disk that it was made of.
        self.position = 0

    def submit(self, append: Append) -> None:
        self.written.write(append)
        self.pending.append(append)

    def complete(self) -> Append:
        """The oldest record is complete; it is synced, and all before it, if it asks for that."""
        append = self.pending.popleft()
        if append.sync:
            for earlier in self.loose:
                self.synced.write(earlier)
            self.loose.clear()
            self.synced.write(append)
            self.position += 1
        else:
            self.loose.append(append)
        return append

    def crash(self, survivors: int) -> None:
        """Lose what is not synced, but for the first `survivors` records of it."""
        for place, append in enumerate([*self.loose, *self.pending]):
            if place >= survivors:
                break
            self.synced.write(append)
        self.loose.clear()
        self.pending.clear()
        self.written = self.synced.copy()

    def at_risk(self) -> int:
        """How many records a crash may lose."""
        return len(self.loose) + len(self.pending)

    def compact(self, snapshot: Snapshot, keep: int) -> None:
        """A snapshot of the host's own: written and synced at once."""
        self.written.compact(snapshot, keep)
        self.synced.compact(snapshot, keep)

    def backup(self) -> "Disk":
        """A copy of what is synced now."""
        other = Disk()
        other.synced = self.synced.copy()
        other.written = self.synced.copy()
        other.position = self.position
        return other
