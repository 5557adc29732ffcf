"""What a group sees of stable storage: a view that it reads and never changes.

Writes go the other way, through `Ready.append`. Storage holds a snapshot (or none), and entries with consecutive
indexes behind it. It may drop entries from the front (compaction) once they are applied and a snapshot covers them.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from amqpd.raft.messages import Entry, Snapshot


@mypyc_attr(allow_interpreted_subclasses=True)
class LogView:
    """The contract; every method answers at once, from memory or a cache. Subclass and override all of it."""

    def first_index(self) -> int:
        """The index of the first entry that is there; last_index() + 1 if none is."""
        raise NotImplementedError

    def last_index(self) -> int:
        """The index of the last durable entry, or the snapshot's if there are no entries, or 0."""
        raise NotImplementedError

    def term(self, index: int) -> int:
        """The term of the entry at `index`, from first_index() - 1 (whose term outlives the entry) to last_index(), or
        -1 outside that range."""
        raise NotImplementedError

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """Entries from `low` up to, without, `high`: at least one, then as many as fit into `max_bytes` of payloads.

        Both bounds are within the log. May return fewer, or none at all, if they have to be read first: the host
        reads them and calls `Group.entries_loaded()`.
        """
        raise NotImplementedError

    def snapshot(self) -> Snapshot | None:
        """The newest durable snapshot, or None if there is none or it is not ready to be sent: it is asked again."""
        raise NotImplementedError
