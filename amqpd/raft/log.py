"""A member's log: entries that are not yet durable, above a view of the ones that are.

The unstable part hides what storage has at the same indexes: a write that replaces entries may still be under way. So
entries leave it only when a finished write proves that storage has exactly them (`stable_to`, rule C4).

Not here: when to append or commit what; only what must never happen (rule C7: nothing committed is replaced).

Invariants, in indexes: applied <= applying <= committed <= last. `unstable[i]` has index `offset + i`; entries below
`offset_handed` were handed out for writing. A snapshot to be installed stands right before `offset`.
"""

from __future__ import annotations

from typing import Final

from amqpd.raft.faults import InvariantError
from amqpd.raft.messages import CHANGE, ENTRY_OVERHEAD_BYTES, Entry, Snapshot
from amqpd.raft.view import LogView

UNKNOWN: Final = -1
"""The term of an entry that is not in the log, or no longer."""


def size_of(entries: list[Entry]) -> int:
    """Bytes of `entries`, as limits count them."""
    size = ENTRY_OVERHEAD_BYTES * len(entries)
    for entry in entries:
        size += len(entry.payload)
    return size


def payload_bytes(entries: list[Entry]) -> int:
    """Bytes of the payloads alone."""
    size = 0
    for entry in entries:
        size += len(entry.payload)
    return size


class Batch:
    """Entries handed out for applying: up to which index, what they count, and the changes of members in them."""

    __slots__ = ("bytes", "changes", "last_index", "payload_bytes")

    def __init__(self, entries: list[Entry]) -> None:
        self.last_index: Final = entries[-1].index
        self.bytes: Final = size_of(entries)
        self.payload_bytes: Final = payload_bytes(entries)
        self.changes: Final = [entry for entry in entries if entry.kind == CHANGE]


class Log:
    """The log of one member."""

    def __init__(self, view: LogView, applied: int, max_applying_bytes: int) -> None:
        """`applied` is where the machine stands. Raises InvariantError if storage has a gap between the two."""
        first = view.first_index()
        last = view.last_index()
        if applied < first - 1 or applied > last:
            raise InvariantError(f"applied up to {applied}, but storage has the log from {first} to {last}")
        self._view: Final = view
        self._max_applying_bytes: Final = max_applying_bytes
        self.unstable: list[Entry] = []
        self.snapshot: Snapshot | None = None
        self.snapshot_handed = False
        self.offset = last + 1
        self.offset_handed = last + 1
        self.committed = applied
        self.applying = applied
        self.applied = applied
        self._applying_bytes = 0
        self._applying_paused = False

    # What is there.

    def first_index(self) -> int:
        """The index of the first entry that can be read."""
        if self.snapshot is not None:
            return self.snapshot.index + 1
        return self._view.first_index()

    def last_index(self) -> int:
        """The index of the last entry."""
        return self.offset + len(self.unstable) - 1

    def durable_index(self) -> int:
        """The last index up to where storage is known to have this log."""
        return 0 if self.snapshot is not None else self.offset - 1

    def term_at(self, index: int) -> int:
        """The term of the entry at `index`, or UNKNOWN if it is compacted or was never there."""
        place = index - self.offset
        if place >= 0:
            return self.unstable[place].term if place < len(self.unstable) else UNKNOWN
        if self.snapshot is not None:
            return self.snapshot.term if index == self.snapshot.index else UNKNOWN
        return self._view.term(index) if index >= 0 else UNKNOWN

    def last_term(self) -> int:
        """The term of the last entry."""
        return self.unstable[-1].term if self.unstable else self.term_at(self.last_index())

    def matches(self, index: int, term: int) -> bool:
        """Whether the entry at `index` has `term`; then everything before it is the same, too (log matching)."""
        return self.term_at(index) == term

    def up_to_date(self, index: int, term: int) -> bool:
        """Whether a log that ends so has everything that this one can have committed (paper, 5.4.1)."""
        mine = self.last_term()
        return term > mine or (term == mine and index >= self.last_index())

    def agreement_hint(self, index: int, term: int) -> int:
        """The highest index, up to `index`, at which the term is not above `term`: whoever has `term` at `index` cannot
        agree beyond it. Ends at compacted entries, whose terms are not known."""
        while index > 0 and self.term_at(index) > term:
            index -= 1
        return index

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """Entries from `low` up to, without, `high`: at least the first, then as many as fit into `max_bytes`.

        All of them must be in the log. Empty if storage has to read them first.
        """
        if low >= high:
            return []
        found: list[Entry] = []
        size = 0
        if low < self.offset:
            cut = min(high, self.offset)
            found = self._fitting(self._view.entries(low, cut, max_bytes), 0, cut - low, max_bytes)
            if len(found) < cut - low or cut == high:
                return found
            size = size_of(found)
            if size >= max_bytes:
                return found
            low = cut
        place = low - self.offset
        more = self._fitting(self.unstable, place, high - self.offset, max_bytes - size)
        if not found:
            return more
        if len(more) == 1 and size + size_of(more) > max_bytes:
            return found
        found.extend(more)
        return found

    def _fitting(self, entries: list[Entry], start: int, stop: int, max_bytes: int) -> list[Entry]:
        stop = min(stop, len(entries))
        size = 0
        end = start
        while end < stop:
            size += len(entries[end].payload) + ENTRY_OVERHEAD_BYTES
            if size > max_bytes and end > start:
                break
            end += 1
        return entries[start:end]

    # What changes it.

    def append(self, entries: list[Entry]) -> None:
        """Put `entries`, consecutive and not empty, at their indexes; what was there and behind goes.

        Raises InvariantError if that would replace something committed.
        """
        first = entries[0].index
        if first <= self.committed:
            raise InvariantError(f"entry {first} would be replaced, but the log is committed up to {self.committed}")
        end = self.offset + len(self.unstable)
        if first == end:
            self.unstable.extend(entries)
        elif first > end:
            raise InvariantError(f"entry {first} would leave a gap: the log ends before {end}")
        elif first <= self.offset:
            self.unstable = list(entries)
            self.offset = first
            self.offset_handed = first
        else:
            self.unstable = self.unstable[: first - self.offset]
            self.unstable.extend(entries)
            self.offset_handed = min(self.offset_handed, first)

    def conflict(self, entries: list[Entry]) -> int:
        """The place in `entries` of the first one that this log does not have; their number if it has all."""
        place = 0
        for entry in entries:
            if self.term_at(entry.index) != entry.term:
                break
            place += 1
        return place

    def commit_to(self, index: int) -> bool:
        """Move the commit index forward. Raises InvariantError beyond the log's end. Returns whether it moved."""
        if index <= self.committed:
            return False
        if index > self.last_index():
            raise InvariantError(f"commit index {index} is beyond the log's end at {self.last_index()}")
        self.committed = index
        return True

    def commit_if(self, index: int, term: int) -> bool:
        """Take over that another member knows the entry at `index` with `term` to be committed, if this log has that
        entry: then all before it is the same, too, and what is committed once is so for ever. Returns whether the
        commit index moved."""
        return index > self.committed and self.matches(index, term) and self.commit_to(index)

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the whole log by `snapshot`, which is to be installed."""
        self.snapshot = snapshot
        self.snapshot_handed = False
        self.unstable = []
        self.offset = snapshot.index + 1
        self.offset_handed = self.offset
        self.committed = snapshot.index
        # What the machine has not applied yet of the old log, it need not any more.
        self._applying_bytes = 0
        self._applying_paused = False

    # Storage.

    def has_unhanded(self) -> bool:
        """Whether there is something to write that was not handed out yet."""
        return self.offset_handed < self.offset + len(self.unstable) or (
            self.snapshot is not None and not self.snapshot_handed
        )

    def hand_out(self) -> list[Entry]:
        """The entries to be written next; they (and a snapshot) count as handed out from now on."""
        entries = self.unstable[self.offset_handed - self.offset :]
        self.offset_handed = self.offset + len(self.unstable)
        if self.snapshot is not None:
            self.snapshot_handed = True
        return entries

    def stable_to(self, index: int, term: int) -> None:
        """A finished write proves that storage had the entry at `index` with `term`, and all before it.

        Nothing happens if the unstable entries are others by now (rule C4): another write is on its way then. The
        caller vouches that no write handed out since replaces them, which holds within one term.
        """
        place = index - self.offset
        if place < 0 or place >= len(self.unstable) or self.unstable[place].term != term:
            return
        del self.unstable[: place + 1]
        self.offset = index + 1
        self.offset_handed = max(self.offset_handed, self.offset)

    def stable_snapshot(self, index: int) -> None:
        """The snapshot at `index` is durable, and the machine was restored from it."""
        if self.snapshot is not None and self.snapshot.index == index:
            self.snapshot = None
            self.snapshot_handed = False
            self.applied = max(self.applied, index)
            self.applying = max(self.applying, index)

    # Applying.

    def _appliable(self, unstable_too: bool) -> int:
        return self.committed if unstable_too else min(self.committed, self.offset - 1)

    def has_appliable(self, unstable_too: bool) -> bool:
        """Whether there is something to apply, and room for it."""
        return (
            self.applying < self._appliable(unstable_too)
            and not self._applying_paused
            and self.snapshot is None
        )

    def take_appliable(self, unstable_too: bool) -> list[Entry]:
        """The entries to be applied next, within the limit of bytes. They count as handed out until `applied_to`."""
        room = self._max_applying_bytes - self._applying_bytes
        last = self._appliable(unstable_too)
        entries = self.entries(self.applying + 1, last + 1, room)
        if entries:
            self.applying = entries[-1].index
            self._applying_bytes += size_of(entries)
            self._applying_paused = self._applying_bytes >= self._max_applying_bytes or self.applying < last
        return entries

    def applied_to(self, index: int, freed_bytes: int) -> None:
        """The machine has applied all up to `index`. Raises InvariantError if that was not handed out."""
        if index <= self.applied:
            return
        if index > self.applying:
            raise InvariantError(f"applied up to {index}, but entries were handed out up to {self.applying}")
        self.applied = index
        self._applying_bytes -= freed_bytes
        self._applying_paused = self._applying_bytes >= self._max_applying_bytes
