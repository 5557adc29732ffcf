"""One member of one group, as its host drives it.

A host calls `tick` as time passes, `step` for each message that arrives, and the `propose` family for its clients.
After any of them it asks `ready()` and does what that says:

1. hand `append` to storage (batched with other groups', in the order of tokens) and `messages` to the transport;
2. apply `committed` to the machine, then call `applied_to(index of the last)`;
3. when a write is durable, send its `after_durable` and call `storage_done(token)`.

Nothing blocks. No method raises for what a peer or a client does; InvariantError means that this node must stop.
`ready()` may be asked again before earlier writes are durable or earlier entries are applied. All methods are for one
thread.

Two traps for hosts:

* While a leader's snapshot is being installed (`installing`: from the `step` that brings it to the `storage_done` of
  its write), `members()` is the snapshot's already, but `applied` and the machine are older. A host must not take a
  snapshot of its own then, and must drop entries that it got before and has not applied: neither apply them nor call
  `applied_to`. The machine is restored from the snapshot instead.
* A member that was removed can be the only one that knows it, and tells it when it is asked for its vote. So its
  replica must not be deleted before a majority of the voters that are left has applied the change.

Not here: what entries mean (`machine.py`), their storage, the transport of messages, and any clock.
"""

from __future__ import annotations

from collections.abc import Callable

from amqpd.errors import MalformedError
from amqpd.raft import changes, election, following, leading, reads
from amqpd.raft.codec import decode_change, encode_change
from amqpd.raft.config import Config
from amqpd.raft.core import Core
from amqpd.raft.faults import InvariantError, RaftError
from amqpd.raft.log import Batch
from amqpd.raft.messages import (
    APPEND,
    APPEND_REPLY,
    CHANGE,
    HEARTBEAT,
    HEARTBEAT_REPLY,
    NOBODY,
    NORMAL,
    PRE_VOTE,
    PRE_VOTE_REPLY,
    PROPOSE,
    READ,
    READ_REPLY,
    SNAPSHOT,
    TIMEOUT_NOW,
    TRANSFER,
    VERSION,
    VOTE,
    Append,
    Change,
    Entry,
    HardState,
    Members,
    Message,
    ReadState,
    Ready,
    SoftState,
)
from amqpd.raft.refusals import DAMAGED, NO_LEADER, VERSION_TOO_NEW
from amqpd.raft.states import FOLLOWER, LEADER, PRE_CANDIDATE
from amqpd.raft.view import LogView


class Group(Core):
    """A member of a group. Its fields (`core.py`) are for looking, not for changing."""

    def __init__(
        self,
        config: Config,
        hard_state: HardState,
        members: Members,
        view: LogView,
        applied: int,
        rng: Callable[[int], int],
    ) -> None:
        """`members` is the configuration at `applied`, up to where the machine has already applied the log; `rng(n)`
        returns an integer from 0 to n - 1.

        A member that joins later begins with the configuration that the group began with, which need not contain it;
        with an empty one, only if its leader can do nothing but send it a snapshot. Raises InvariantError if storage
        contradicts itself.
        """
        super().__init__(config, hard_state, members, view, applied, rng)
        self.last_token = 0
        self.written_index = view.last_index()

    # What can be looked at, besides the fields.

    @property
    def commit(self) -> int:
        """The index up to which the log is known to be committed."""
        return self.log.committed

    @property
    def applied(self) -> int:
        """The index up to which the machine has applied the log."""
        return self.log.applied

    @property
    def applying(self) -> int:
        """The index up to which entries were handed out for applying."""
        return self.log.applying

    @property
    def installing(self) -> bool:
        """Whether a leader's snapshot has come that the machine is not restored from yet: take none of your own now."""
        return self.log.snapshot is not None

    def first_index(self) -> int:
        """The index of the first entry that is not compacted."""
        return self.log.first_index()

    def last_index(self) -> int:
        """The index of the last entry, durable or not."""
        return self.log.last_index()

    def term_at(self, index: int) -> int:
        """The term of the entry at `index`, or -1 if it is compacted or was never there."""
        return self.log.term_at(index)

    def entries_between(self, low: int, high: int) -> list[Entry]:
        """Entries from `low` to `high`, both included, as far as they can be read."""
        low = max(low, self.log.first_index())
        return self.log.entries(low, min(high, self.log.last_index()) + 1, 1 << 62)

    def members(self) -> Members:
        """The configuration in force: the one at `applied`, or at the snapshot that is being installed."""
        return self.tracker.members

    def common_version(self) -> int:
        """On a leader: the newest version of the machine that every member is known to run; 0 while one is unknown."""
        version = self.config.machine_version
        for member in self.tracker.ids:
            if member != self.member:
                version = min(version, max(self.tracker.progress[member].version, 0))
        return version

    # Time and messages.

    def tick(self) -> None:
        """Let one tick pass."""
        if self.damaged:
            return
        if self.role == LEADER:
            leading.on_tick(self)
        else:
            election.on_tick(self)

    def step(self, message: Message) -> None:
        """Take in a message. One that is not for this group and member, or makes no sense, is dropped and counted in
        `dropped` (rule C8)."""
        sender = message.sender
        kind = message.kind
        # A member that has seen no term yet can refuse a pre-vote.
        refusal = kind == PRE_VOTE_REPLY and message.rejected
        known_term = message.term > 0 or kind == PROPOSE or kind == READ or refusal
        if (
            message.to != self.member
            or message.group != self.group_id
            or sender == self.member
            or sender <= NOBODY
            or not known_term
        ):
            self.dropped += 1
            return
        self.dirty = True
        if self.damaged:
            self._note_leader(message)
        else:
            self._take(message)

    def _note_leader(self, message: Message) -> None:
        """A damaged replica does nothing with messages but remember who leads, for whoever replaces it."""
        kind = message.kind
        if message.term >= self.term and (kind == APPEND or kind == HEARTBEAT or kind == SNAPSHOT):
            self.lead = message.sender

    def _take(self, message: Message) -> None:
        """Compare terms first (paper, 5.1), then act by role. Own answers come here, too."""
        term = message.term
        if term > self.term:
            if not self._adopt_term(message):
                return
        elif term < self.term and term:
            self._answer_older(message)
            return
        kind = message.kind
        if kind == VOTE or kind == PRE_VOTE:
            election.on_request(self, message)
        elif self.role == LEADER:
            self._take_as_leader(message)
        elif kind == APPEND or kind == HEARTBEAT or kind == SNAPSHOT:
            self._take_from_leader(message)
        elif self.role == FOLLOWER:
            self._take_as_follower(message)
        else:
            election.on_reply(self, message)

    def _adopt_term(self, message: Message) -> bool:
        """Take over the higher term of a message, if its kind tells of one that holds. False: do not look at it."""
        kind = message.kind
        if (kind == VOTE or kind == PRE_VOTE) and not message.forced and election.leader_protected(self):
            return False
        # Pre-votes, and the answer yes to one, carry a term that nobody has begun yet (rule C9).
        if kind == PRE_VOTE or (kind == PRE_VOTE_REPLY and not message.rejected):
            return True
        from_leader = kind == APPEND or kind == HEARTBEAT or kind == SNAPSHOT
        self.become_follower(message.term, message.sender if from_leader else NOBODY)
        return True

    def _answer_older(self, message: Message) -> None:
        """Drop a message of an older term, but let a sender know that cannot go on without knowing the present one: a
        leader that this member's pre-vote has left behind, and a pre-candidate.

        A refusal of a pre-vote counts all the same: it promises nothing, comes from a voter that is behind in terms,
        and may tell what is committed, without which this member might campaign in vain for ever (`election.py`).
        """
        kind = message.kind
        if (kind == HEARTBEAT or kind == APPEND) and (self.config.check_quorum or self.config.pre_vote):
            self.send(self.message(APPEND_REPLY, message.sender))
        elif kind == PRE_VOTE:
            reply = self.message(PRE_VOTE_REPLY, message.sender)
            reply.rejected = True
            self.send(reply)
        elif kind == PRE_VOTE_REPLY and message.rejected and self.role == PRE_CANDIDATE:
            election.on_reply(self, message)

    def _take_as_leader(self, message: Message) -> None:
        kind = message.kind
        if kind == APPEND_REPLY:
            leading.on_append_reply(self, message)
        elif kind == HEARTBEAT_REPLY:
            leading.on_heartbeat_reply(self, message)
        elif kind == PROPOSE:
            self._take_proposal(message.entries)
        elif kind == READ:
            reads.ask(self, message.sender, message.context)
        elif kind == TRANSFER:
            leading.on_transfer(self, message.hint)

    def _take_proposal(self, entries: list[Entry]) -> None:
        """Propose what a follower has sent on. Whoever proposed there does not learn of a refusal, and asks again."""
        payloads: list[bytes] = []
        for entry in entries:
            if entry.kind == NORMAL:
                payloads.append(entry.payload)
                continue
            if entry.kind != CHANGE:
                self.dropped += 1
                continue
            try:
                self.propose_change(decode_change(entry.payload))
            except MalformedError:
                self.dropped += 1
        if payloads:
            leading.propose(self, NORMAL, payloads)

    def _take_from_leader(self, message: Message) -> None:
        """A follower or candidate hears the leader of its term."""
        if self.role == FOLLOWER:
            self.elapsed_ticks = 0
            self.lead = message.sender
        else:
            self.become_follower(message.term, message.sender)
        if message.kind == APPEND:
            following.on_append(self, message)
        elif message.kind == HEARTBEAT:
            following.on_heartbeat(self, message)
        else:
            following.on_snapshot(self, message)

    def _take_as_follower(self, message: Message) -> None:
        # What was sent on to a leader that is none any more is dropped, lest it circles.
        kind = message.kind
        if kind == TIMEOUT_NOW:
            election.hup(self, True)
        elif kind == READ_REPLY:
            self.reads.append(ReadState(message.index, message.context))

    # Orders of this member's host.

    def propose(self, payloads: list[bytes]) -> int:
        """Append an entry for each payload: the index of the first one (they are consecutive, of the present term), or
        0 if they were sent on to the leader, or a refusal (negative, `refusals.py`)."""
        if not payloads:
            raise RaftError("nothing to propose")
        if self.damaged:
            return DAMAGED
        self.dirty = True
        if self.role == LEADER:
            return leading.propose(self, NORMAL, payloads)
        if not self._can_forward():
            return NO_LEADER
        self._forward(PROPOSE, [Entry(0, 0, NORMAL, payload) for payload in payloads], b"")
        return 0

    def propose_change(self, change: Change) -> int:
        """Propose a change of members; answers as `propose`. It takes effect when its entry is applied."""
        if self.damaged:
            return DAMAGED
        self.dirty = True
        if self.role == LEADER:
            refused = leading.refusal(self)
            return refused if refused else changes.propose(self, change)
        if not self._can_forward():
            return NO_LEADER
        self._forward(PROPOSE, [Entry(0, 0, CHANGE, encode_change(change))], b"")
        return 0

    def propose_version(self, version: int) -> int:
        """On a leader: let the machine run at `version` from this entry on. Answers as `propose`, but is never sent on;
        refused unless every member is known to run that version."""
        if self.damaged:
            return DAMAGED
        if self.role != LEADER:
            return NO_LEADER
        if not 0 <= version <= self.common_version():
            return VERSION_TOO_NEW
        self.dirty = True
        return leading.propose(self, VERSION, [version.to_bytes(4, "big")])

    def _can_forward(self) -> bool:
        return self.role == FOLLOWER and self.lead != NOBODY and self.config.forward_proposals

    def _forward(self, kind: int, entries: list[Entry], context: bytes) -> None:
        message = Message(kind, self.group_id, self.member, self.lead, 0)
        message.entries = entries
        message.context = context
        self.send(message)

    def transfer(self, to: int) -> None:
        """Ask the leader (this member, or by a message) to hand over to `to` within an election timeout."""
        self.dirty = True
        if self.role == LEADER:
            leading.on_transfer(self, to)
        elif self.role == FOLLOWER and self.lead != NOBODY and not self.damaged:
            message = self.message(TRANSFER, self.lead)
            message.hint = to
            self.send(message)

    def read_index(self, context: bytes) -> int:
        """Ask for an index that a linearizable read has to wait for; `Ready.reads` answers with `context`, or nothing
        does, if the leader changes: ask again after a while. Returns 0, or a refusal (negative)."""
        if self.damaged:
            return DAMAGED
        self.dirty = True
        if self.role == LEADER:
            return reads.ask(self, self.member, context)
        if self.role != FOLLOWER or self.lead == NOBODY:
            return NO_LEADER
        self._forward(READ, [], context)
        return 0

    def report_unreachable(self, peer: int) -> None:
        """Tell a leader that messages to `peer` were lost on the way: it probes instead of streaming."""
        if self.role == LEADER:
            leading.on_unreachable(self, peer)

    def report_snapshot(self, peer: int, ok: bool) -> None:
        """Tell a leader that a snapshot was handed to `peer` in full (its answer is still to come), or was not."""
        if self.role == LEADER:
            leading.on_snapshot_sent(self, peer, ok)

    def entries_loaded(self) -> None:
        """Tell that entries that the view could not give are there now."""
        self.dirty = True
        if self.role == LEADER:
            leading.on_loaded(self)

    def campaign(self) -> None:
        """Start an election now (with pre-vote, if configured)."""
        self.dirty = True
        election.hup(self, False)

    def forget_leader(self) -> None:
        """Stop protecting the present leader: a follower will vote at once. Only followers can."""
        if self.role == FOLLOWER and not self.damaged:
            self.dirty = True
            self.lead = NOBODY

    def damage(self) -> None:
        """Tell that storage lost or falsified what this member acknowledged: from now on it takes no part."""
        self.dirty = True
        following.damage(self)

    def require_version(self, version: int) -> None:
        """Tell that the machine runs at `version` from now on: no vote for candidates that cannot run it."""
        self.required_version = version

    # What is to be done, and what was done.

    def ready(self) -> Ready | None:
        """What is to be done, or None. Costs next to nothing if nothing happened."""
        if not self.dirty:
            return None
        self.dirty = False
        append: Append | None = None
        committed: list[Entry] = []
        if not self.damaged:
            append = self._next_write()
            if self.log.has_appliable(not self.config.async_storage):
                committed = self.log.take_appliable(not self.config.async_storage)
                if committed:
                    self.batches.append(Batch(committed))
        soft_state: SoftState | None = None
        if self.lead != self.told_lead or self.role != self.told_role:
            self.told_lead = self.lead
            self.told_role = self.role
            soft_state = SoftState(self.lead, self.role)
        if append is None and not committed and soft_state is None and not self.messages and not self.reads:
            return None
        ready = Ready(append, self.messages, committed, self.reads, soft_state)
        self.messages = []
        self.reads = []
        return ready

    def _next_write(self) -> Append | None:
        """The write that is due: what is not handed out of the log, a changed hard state, or only messages that have to
        wait for the writes before."""
        log = self.log
        told = self.told_hard_state
        voted = self.term != told.term or self.vote != told.vote
        changed = voted or log.committed != told.commit
        unhanded = log.has_unhanded()
        if not changed and not unhanded and not self.after_durable and not self.own:
            return None
        snapshot = None if log.snapshot_handed else log.snapshot
        entries = log.hand_out() if unhanded else []
        if changed:
            self.told_hard_state = HardState(self.term, self.vote, log.committed)
        self.last_token += 1
        append = Append(
            self.last_token,
            self.told_hard_state if changed else None,
            entries,
            voted or unhanded,
        )
        append.snapshot = snapshot
        append.after_durable = self.after_durable
        append.own = self.own
        self.after_durable = []
        self.own = []
        if snapshot is not None:
            self.written_index = snapshot.index
        if entries:
            if entries[0].index <= self.written_index:
                append.truncate_from = entries[0].index
            self.written_index = entries[-1].index
        append.term = self.term
        if log.unstable:
            append.last_index = log.last_index()
            append.last_term = log.last_term()
        self.writes.append(append)
        return append

    def storage_done(self, token: int) -> None:
        """The write with this token, and all before it, are durable. If it had a snapshot, the machine is restored.

        Raises InvariantError for a token that was not handed out.
        """
        if token > self.last_token:
            raise InvariantError(f"write {token} cannot be done: {self.last_token} was the last")
        while self.writes and self.writes[0].token <= token:
            write = self.writes.pop(0)
            self.dirty = True
            for message in write.own:
                if not self.damaged:
                    self._take(message)
            # Rule C4: in a later term, another leader may have replaced the entries by now, and a write with that may
            # be under way. A write of the later term will vouch for what is there.
            if write.last_index and write.term == self.term:
                self.log.stable_to(write.last_index, write.last_term)
            if write.snapshot is not None:
                self.log.stable_snapshot(write.snapshot.index)

    def applied_to(self, index: int) -> None:
        """All entries up to `index` are applied. Configurations in them take effect now.

        Raises InvariantError if they were not handed out.
        """
        if index > self.log.applying:
            raise InvariantError(f"applied up to {index}, but entries were handed out up to {self.log.applying}")
        self.dirty = True
        done = 0
        freed_bytes = 0
        for batch in self.batches:
            while batch.changes and batch.changes[0].index <= index:
                changes.apply(self, batch.changes.pop(0))
            if batch.last_index > index:
                break
            done += 1
            freed_bytes += batch.bytes
            self.uncommitted_bytes = max(self.uncommitted_bytes - batch.payload_bytes, 0)
        del self.batches[:done]
        self.log.applied_to(index, freed_bytes)
        changes.leave_if_due(self)
