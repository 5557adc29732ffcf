"""What a leader knows of one member's log, and how much it may send to it.

A member is in one of three states. PROBE: where its log ends is not known, so one append at a time is sent until one is
accepted. REPLICATE: its log is known, so appends follow each other without waiting, as far as the window of messages in
flight allows (rule C13). SNAPSHOTTING: it needs entries that are gone, so it gets a snapshot and nothing else.

Invariant: match < next. `match` is what the member acknowledged as durable; entries from `next` on were not sent yet.
"""

from __future__ import annotations

from typing import Final

from amqpd.raft.faults import InvariantError

PROBE: Final = 0
REPLICATE: Final = 1
SNAPSHOTTING: Final = 2

STATE_NAMES: Final[tuple[str, ...]] = ("probe", "replicate", "snapshot")

TRANSITIONS: Final[dict[int, dict[int, str]]] = {
    PROBE: {
        PROBE: "a new term",
        REPLICATE: "accepts an append",
        SNAPSHOTTING: "needs entries that are gone",
    },
    REPLICATE: {
        PROBE: "refuses an append, was not reached, or a new term",
        SNAPSHOTTING: "needs entries that are gone",
    },
    SNAPSHOTTING: {
        PROBE: "the snapshot went out or failed, or a new term",
        REPLICATE: "acknowledges what meets the log",
    },
}
"""From state to state, and what makes it happen. The diagram in docs/raft.md is made from it."""


class Inflights:
    """The appends that one member has not answered: the last index of each, and its bytes, oldest first."""

    __slots__ = ("bytes", "indexes", "max_bytes", "max_messages", "sizes")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.max_messages: Final = max_messages
        self.max_bytes: Final = max_bytes
        self.indexes: list[int] = []
        self.sizes: list[int] = []
        self.bytes = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.indexes)

    def full(self) -> bool:
        """Whether no more may be sent. The last one may have gone beyond the limit of bytes."""
        return len(self.indexes) >= self.max_messages or self.bytes >= self.max_bytes

    def add(self, index: int, size: int) -> None:
        """Remember an append that ends with `index`."""
        self.indexes.append(index)
        self.sizes.append(size)
        self.bytes += size

    def free_to(self, index: int) -> None:
        """Forget those that `index` acknowledges."""
        done = 0
        for last in self.indexes:
            if last > index:
                break
            self.bytes -= self.sizes[done]
            done += 1
        if done:
            del self.indexes[:done]
            del self.sizes[:done]

    def clear(self) -> None:
        """Forget all."""
        if self.indexes:
            self.indexes.clear()
            self.sizes.clear()
            self.bytes = 0


class Progress:
    """One member, as its leader sees it.

    `probe_sent`: nothing more is sent until the member answers anything. `pending_snapshot`: index of the snapshot on
    its way. `active`: heard of since the last check of the quorum. `sent_commit`: the commit index that was sent last.
    `version`: newest version of the machine that it knows, -1 while unknown.
    """

    __slots__ = (
        "active",
        "inflights",
        "learner",
        "match",
        "next",
        "pending_snapshot",
        "probe_sent",
        "sent_commit",
        "state",
        "version",
    )

    def __init__(self, match: int, following: int, learner: bool, inflights: Inflights) -> None:
        self.match = match
        self.next = following
        self.learner = learner
        self.inflights: Final = inflights
        self.state = PROBE
        self.probe_sent = False
        self.pending_snapshot = 0
        self.active = False
        self.sent_commit = 0
        self.version = -1

    def reset(self, match: int, following: int) -> None:
        """Begin anew, as in a new term."""
        self._enter(PROBE)
        self.match = match
        self.next = following
        self.sent_commit = 0
        self.active = False

    def _enter(self, state: int) -> None:
        if state not in TRANSITIONS[self.state]:
            raise InvariantError(f"a member in {STATE_NAMES[self.state]} cannot get to {STATE_NAMES[state]}")
        self.state = state
        self.probe_sent = False
        self.pending_snapshot = 0
        self.inflights.clear()

    def become_probe(self) -> None:
        """Find out where the log ends: behind `match`, or behind the snapshot that was on its way."""
        following = max(self.match, self.pending_snapshot) + 1
        self._enter(PROBE)
        self.next = following
        self.sent_commit = min(self.sent_commit, following - 1)

    def become_replicate(self) -> None:
        """The log is known to agree up to `match`: stream what follows."""
        self._enter(REPLICATE)
        self.next = self.match + 1

    def become_snapshotting(self, index: int) -> None:
        """A snapshot at `index` is on its way."""
        self._enter(SNAPSHOTTING)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def paused(self) -> bool:
        """Whether nothing may be sent before an answer comes."""
        return self.state == SNAPSHOTTING or self.probe_sent

    def sent(self, entries: int, size: int, commit: int) -> None:
        """An append of so many entries and bytes was sent, with this commit index."""
        if self.state == REPLICATE:
            if entries:
                self.next += entries
                self.inflights.add(self.next - 1, size)
            self.probe_sent = self.inflights.full()
        elif entries:
            self.probe_sent = True
        self.sent_commit = commit

    def commit_is_news(self, commit: int) -> bool:
        """Whether an append could tell the member more about the commit index than it was told."""
        return commit > self.sent_commit and self.sent_commit < self.next - 1

    def acknowledge(self, index: int) -> bool:
        """The member has everything up to `index`. Returns whether that is news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.probe_sent = False
        return True

    def refuse(self, refused: int, hint: int) -> bool:
        """The member refused an append behind `refused`; its log may agree up to `hint`. Returns False if that is an
        old answer, overtaken by others."""
        if self.state == REPLICATE:
            if refused <= self.match:
                return False
            self.next = self.match + 1
        else:
            if self.next - 1 != refused:
                return False
            self.next = max(min(refused, hint + 1), self.match + 1)
            self.probe_sent = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True
