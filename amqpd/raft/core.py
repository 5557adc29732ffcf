"""The state of one member of a group, and the few acts that all rules share: sending, and changing roles.

The rules themselves are functions over a Core, by theme: `election.py`, `replication.py`, `leading.py`, `following.py`,
`reads.py`, `changes.py`. `group.py` is what a host calls.

Invariants: `term` never decreases, and `vote` changes only from nobody to somebody within a term. Whatever promises
something about this member's disk (a vote, a candidacy, an acknowledgement) goes to `after_durable` or `own`, and so
leaves only behind the write that makes it true (rules C1, C2, C3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.raft.config import Config
from amqpd.raft.faults import InvariantError
from amqpd.raft.log import Batch, Log, payload_bytes
from amqpd.raft.membership import Tracker
from amqpd.raft.messages import (
    APPEND_REPLY,
    NOBODY,
    PRE_VOTE_REPLY,
    VOTE,
    VOTE_REPLY,
    Append,
    Entry,
    HardState,
    Members,
    Message,
    ReadState,
)
from amqpd.raft.states import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE, ROLE_NAMES, TRANSITIONS
from amqpd.raft.view import LogView


class PendingRead:
    """A read that a leader has to confirm: the number in its heartbeats, the commit index when it came, who asks
    (this member, or a follower), and who has answered the heartbeats since."""

    __slots__ = ("acks", "context", "index", "number", "sender")

    def __init__(self, number: int, index: int, sender: int, context: bytes) -> None:
        self.number: Final = number
        self.index: Final = index
        self.sender: Final = sender
        self.context: Final = context
        self.acks: Final[dict[int, bool]] = {}


class Core:
    """One member's state. `dirty` tells that `ready()` may have something to say."""

    def __init__(
        self,
        config: Config,
        hard_state: HardState,
        members: Members,
        view: LogView,
        applied: int,
        rng: Callable[[int], int],
    ) -> None:
        self.config: Final = config
        self.member: Final = config.member
        self.group_id: Final = config.group
        self.rng: Final = rng
        self.view: Final = view
        self.log: Final = Log(view, applied, config.max_committed_bytes)
        if hard_state.commit > self.log.last_index():
            raise InvariantError(
                f"storage committed up to {hard_state.commit}, but its log ends at {self.log.last_index()}"
            )
        self.log.commit_to(hard_state.commit)
        self.tracker: Final = Tracker(config, members, self.log.last_index())
        self.damaged = config.damaged
        self.dropped = 0

        self.role = FOLLOWER
        self.term = hard_state.term
        self.vote = hard_state.vote
        self.lead = NOBODY
        self.transferring_to = NOBODY
        self.required_version = 0

        self.elapsed_ticks = 0
        self.heartbeat_elapsed_ticks = 0
        self.transfer_elapsed_ticks = 0
        self.randomized_election_ticks = 0

        # Only on leaders: the last change of members in the log (or a bound for it), what is proposed and not applied.
        self.pending_change_index = 0
        self.uncommitted_bytes = 0
        self.read_number = 0
        self.reads_pending: list[PendingRead] = []
        self.reads_postponed: list[PendingRead] = []

        # What `ready()` hands out next, and what it handed out and was not answered yet.
        self.dirty = True
        self.messages: list[Message] = []
        self.after_durable: list[Message] = []
        self.own: list[Message] = []
        self.reads: list[ReadState] = []
        self.writes: list[Append] = []
        self.batches: list[Batch] = []
        self.told_hard_state = hard_state
        self.told_lead = NOBODY
        self.told_role = FOLLOWER
        self._reset(self.term)

    # Sending.

    def message(self, kind: int, to: int) -> Message:
        """A message of the present term, to be filled in and sent."""
        return Message(kind, self.group_id, self.member, to, self.term)

    def send(self, message: Message) -> None:
        """Send: to others at once or behind the next write, to this member itself behind the next write."""
        kind = message.kind
        if message.to == self.member:
            self.own.append(message)
        elif kind == APPEND_REPLY or kind == VOTE or kind == VOTE_REPLY or kind == PRE_VOTE_REPLY:
            self.after_durable.append(message)
        else:
            self.messages.append(message)

    # Roles.

    def _become(self, role: int) -> None:
        if role not in TRANSITIONS[self.role]:
            raise InvariantError(f"a {ROLE_NAMES[self.role]} cannot become {ROLE_NAMES[role]}")
        self.role = role

    def _reset(self, term: int) -> None:
        if self.term != term:
            self.term = term
            self.vote = NOBODY
        self.lead = NOBODY
        self.elapsed_ticks = 0
        self.heartbeat_elapsed_ticks = 0
        self.randomized_election_ticks = self.config.election_ticks + self.rng(self.config.election_ticks)
        self.transferring_to = NOBODY
        self.tracker.votes = {}
        last_index = self.log.last_index()
        for member in self.tracker.ids:
            # Its own entries count only as far as they are durable (rule C3).
            match = self.log.durable_index() if member == self.member else 0
            self.tracker.progress[member].reset(match, last_index + 1)
        self.pending_change_index = 0
        self.uncommitted_bytes = 0
        self.reads_pending = []
        self.reads_postponed = []

    def become_follower(self, term: int, lead: int) -> None:
        """Follow `lead` (NOBODY: not known yet) in `term`, which is not lower than the present one."""
        self._become(FOLLOWER)
        self._reset(term)
        self.lead = lead

    def become_pre_candidate(self) -> None:
        """Ask who would vote. Neither the term nor the vote changes (rule C9)."""
        self._become(PRE_CANDIDATE)
        self.tracker.votes = {}
        self.lead = NOBODY

    def become_candidate(self) -> None:
        """Stand for election in the next term, with the own vote."""
        self._become(CANDIDATE)
        self._reset(self.term + 1)
        self.vote = self.member

    def become_leader(self) -> None:
        """Lead the present term; its first entry is empty, and commits what earlier terms left (rule C5)."""
        self._become(LEADER)
        self._reset(self.term)
        self.lead = self.member
        own = self.tracker.progress.get(self.member)
        if own is not None:
            own.become_replicate()
            own.active = True
        # A change of members may be among the entries that are not committed yet.
        self.pending_change_index = self.log.last_index()
        self.append([Entry(self.term, self.log.last_index() + 1, 0, b"")])

    # The leader's log.

    def append(self, entries: list[Entry]) -> None:
        """Append to the log that this member leads. It counts itself when they are durable, not now (rule C3)."""
        self.log.append(entries)
        self.uncommitted_bytes += payload_bytes(entries)
        reply = self.message(APPEND_REPLY, self.member)
        reply.index = entries[-1].index
        self.send(reply)

    def maybe_commit(self) -> bool:
        """Commit what a quorum has, if that ends with an entry of the present term (rule C5). Returns whether it moved
        the commit index."""
        index = self.tracker.committed()
        if index <= self.log.committed or not self.log.matches(index, self.term):
            return False
        return self.log.commit_to(index)

    def committed_in_term(self) -> bool:
        """Whether an entry of the present term is committed."""
        return self.log.term_at(self.log.committed) == self.term

    def promotable(self) -> bool:
        """Whether this member may campaign."""
        own = self.tracker.progress.get(self.member)
        return own is not None and not own.learner and self.log.snapshot is None and not self.damaged
