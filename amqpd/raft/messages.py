"""The values that go in and out of a group: entries, messages, snapshots, writes, and what is ready.

Only data: no rule of Raft stands here, and no encoding (`codec.py`). Indexes and terms are positive; 0 means "none", as
does member 0. A member is one replica of one group in one incarnation: whoever comes back with an empty disk comes back
as another member.

Invariants: an Entry, a HardState, a Members and a Snapshot are never changed after they were made, so messages and logs
share them. A Message is filled in by the group that sends it and not touched afterwards. A list that a group hands out
is the receiver's to read, not to change.
"""

from __future__ import annotations

from typing import Final

NOBODY: Final = 0

# Kinds of entries.
NORMAL: Final = 0
CHANGE: Final = 1
VERSION: Final = 2

ENTRY_NAMES: Final[tuple[str, ...]] = ("normal", "change", "version")

# Kinds of messages. The numbers are the wire's (`codec.py`): never reused.
APPEND: Final = 1
APPEND_REPLY: Final = 2
VOTE: Final = 3
VOTE_REPLY: Final = 4
PRE_VOTE: Final = 5
PRE_VOTE_REPLY: Final = 6
HEARTBEAT: Final = 7
HEARTBEAT_REPLY: Final = 8
SNAPSHOT: Final = 9
TIMEOUT_NOW: Final = 10
TRANSFER: Final = 11
PROPOSE: Final = 12
READ: Final = 13
READ_REPLY: Final = 14

MESSAGE_NAMES: Final[dict[int, str]] = {
    APPEND: "append",
    APPEND_REPLY: "append-reply",
    VOTE: "vote",
    VOTE_REPLY: "vote-reply",
    PRE_VOTE: "pre-vote",
    PRE_VOTE_REPLY: "pre-vote-reply",
    HEARTBEAT: "heartbeat",
    HEARTBEAT_REPLY: "heartbeat-reply",
    SNAPSHOT: "snapshot",
    TIMEOUT_NOW: "timeout-now",
    TRANSFER: "transfer",
    PROPOSE: "propose",
    READ: "read",
    READ_REPLY: "read-reply",
}

ENTRY_OVERHEAD_BYTES: Final = 24
"""What an entry weighs besides its payload, wherever a limit counts bytes of entries sent to members."""


class Entry:
    """One place in the log. `kind` is NORMAL (`payload` is the machine's; empty: a new leader's first entry), CHANGE
    (an encoded Change, see `codec.decode_change`) or VERSION (from here on the machine runs at this version, u32)."""

    __slots__ = ("index", "kind", "payload", "term")

    def __init__(self, term: int, index: int, kind: int, payload: bytes) -> None:
        self.term: Final = term
        self.index: Final = index
        self.kind: Final = kind
        self.payload: Final = payload

    def __repr__(self) -> str:
        return f"<{self.term}/{self.index} {ENTRY_NAMES[self.kind]} {self.payload!r}>"


class HardState:
    """What must survive a crash besides entries: the term, whom this member voted for in it (0: nobody), and a hint how
    far the log is committed."""

    __slots__ = ("commit", "term", "vote")

    def __init__(self, term: int = 0, vote: int = 0, commit: int = 0) -> None:
        self.term: Final = term
        self.vote: Final = vote
        self.commit: Final = commit

    def same(self, other: HardState) -> bool:
        """Whether `other` says the same."""
        return self.term == other.term and self.vote == other.vote and self.commit == other.commit

    def __repr__(self) -> str:
        return f"<term {self.term} vote {self.vote} commit {self.commit}>"


class Members:
    """A configuration as it is stored: sorted tuples of member ids.

    `outgoing` are the voters of the old half while the configuration is joint, else empty. `learners_next` are voters
    of the old half that become learners when the joint configuration is left; `auto_leave` tells that the leader
    leaves it by itself.
    """

    __slots__ = ("auto_leave", "learners", "learners_next", "outgoing", "voters")

    def __init__(
        self,
        voters: tuple[int, ...] = (),
        outgoing: tuple[int, ...] = (),
        learners: tuple[int, ...] = (),
        learners_next: tuple[int, ...] = (),
        auto_leave: bool = False,
    ) -> None:
        self.voters: Final = tuple(sorted(voters))
        self.outgoing: Final = tuple(sorted(outgoing))
        self.learners: Final = tuple(sorted(learners))
        self.learners_next: Final = tuple(sorted(learners_next))
        self.auto_leave: Final = auto_leave

    def same(self, other: Members) -> bool:
        """Whether `other` is the same configuration."""
        return (
            self.voters == other.voters
            and self.outgoing == other.outgoing
            and self.learners == other.learners
            and self.learners_next == other.learners_next
            and self.auto_leave == other.auto_leave
        )

    def __repr__(self) -> str:
        parts = [f"voters {self.voters}"]
        if self.outgoing:
            parts.append(f"outgoing {self.outgoing}")
        if self.learners:
            parts.append(f"learners {self.learners}")
        if self.learners_next:
            parts.append(f"learners next {self.learners_next}")
        if self.auto_leave:
            parts.append("auto-leave")
        return f"<{', '.join(parts)}>"


class Snapshot:
    """The machine's state after the entry at `index`, which had `term`, with the configuration of that moment.

    `data` is the machine's image, or whatever the host takes for a reference to one; the group does not look into it.
    """

    __slots__ = ("data", "index", "members", "term")

    def __init__(self, index: int, term: int, members: Members, data: bytes = b"") -> None:
        self.index: Final = index
        self.term: Final = term
        self.members: Final = members
        self.data: Final = data

    def __repr__(self) -> str:
        return f"<snapshot {self.term}/{self.index} {self.members!r}, {len(self.data)} bytes>"


# What a change can do with a member.
ADD_VOTER: Final = 1
ADD_LEARNER: Final = 2
REMOVE: Final = 3
UPDATE: Final = 4

# How a change gets to the configuration after it.
AUTO: Final = 0
IMPLICIT: Final = 1
EXPLICIT: Final = 2


class Change:
    """A proposed change of members: `steps` are pairs of what to do (ADD_VOTER, also of a learner; ADD_LEARNER, also of
    a voter; REMOVE; UPDATE, which changes nothing) and a member. Without steps it leaves a joint configuration.

    `transition`: IMPLICIT goes through a joint configuration that the leader leaves by itself, EXPLICIT through one
    that is left by a change without steps; AUTO is IMPLICIT, but a single step changes the configuration directly.
    `context` is the proposer's.
    """

    __slots__ = ("context", "steps", "transition")

    def __init__(self, steps: list[tuple[int, int]], transition: int = IMPLICIT, context: bytes = b"") -> None:
        self.steps: Final = steps
        self.transition: Final = transition
        self.context: Final = context

    def __repr__(self) -> str:
        return f"<change {self.steps} transition {self.transition} {self.context!r}>"


NO_ENTRIES: Final[list[Entry]] = []
"""Shared by all messages without entries; never filled."""


class Message:
    """One message between two members of a group. Which fields count depends on the kind; the others are 0 or empty.

        append           index and log_term of the entry before `entries`; commit
        append-reply     index: what is durable up to there. Rejected: index as in the append, hint and log_term: an
                         index, and its term, beyond which the log cannot agree with the leader's
        vote, pre-vote   index and log_term of the candidate's last entry; forced: a leader asked for this election;
                         version: the newest version of the machine that the candidate knows. A pre-vote's term is the
                         one that the candidate would campaign in
        their replies    rejected; commit, and log_term: the term of the entry there (both 0: not told)
        heartbeat        commit (never beyond what the follower acknowledged); context: of a read
        heartbeat-reply  context; version: as above, the follower's
        snapshot         snapshot
        timeout-now      nothing: campaign at once
        transfer         hint: the member that shall lead
        propose          entries, without term and index
        read             context; answered by read-reply with index and context

    Every one carries the group's UUID, both members and the sender's term (`propose` and `read`, which hold in any
    term, carry 0).
    """

    __slots__ = (
        "commit",
        "context",
        "entries",
        "forced",
        "group",
        "hint",
        "index",
        "kind",
        "log_term",
        "rejected",
        "sender",
        "snapshot",
        "term",
        "to",
        "version",
    )

    def __init__(self, kind: int, group: bytes, sender: int, to: int, term: int) -> None:
        self.kind: Final = kind
        self.group: Final = group
        self.sender: Final = sender
        self.to: Final = to
        self.term: Final = term
        self.index = 0
        self.log_term = 0
        self.commit = 0
        self.hint = 0
        self.version = 0
        self.rejected = False
        self.forced = False
        self.entries: list[Entry] = NO_ENTRIES
        self.snapshot: Snapshot | None = None
        self.context = b""

    def __repr__(self) -> str:
        parts = [f"{self.sender}->{self.to} {MESSAGE_NAMES.get(self.kind, str(self.kind))} term {self.term}"]
        if self.index or self.log_term:
            parts.append(f"log {self.log_term}/{self.index}")
        if self.commit:
            parts.append(f"commit {self.commit}")
        if self.rejected:
            parts.append(f"rejected (hint {self.hint})")
        elif self.hint:
            parts.append(f"hint {self.hint}")
        if self.forced:
            parts.append("forced")
        if self.entries:
            parts.append(repr(self.entries))
        if self.snapshot is not None:
            parts.append(repr(self.snapshot))
        if self.context:
            parts.append(f"context {self.context!r}")
        return f"<{' '.join(parts)}>"


class Append:
    """One write to stable storage, and what may happen only when it is durable.

    The host writes `snapshot`, then `entries`, then `hard_state`, all or nothing: an entry at an index that storage
    already has replaces it and everything behind it (`truncate_from` is that index, else 0). A snapshot also replaces
    the whole log, and the machine is to be restored from it. Writes are made in the order of their tokens. When this
    one (and so all before it) is durable, the host sends `after_durable` and calls `Group.storage_done(token)`.

    `sync` false: nothing here needs to be forced to the disk (a commit index that moved, messages that only wait for
    earlier writes). It still completes in order. `own` are the answers that the member gives to itself: they take
    effect in `storage_done`, are not for sending, and stand here for who wants to see them.
    """

    __slots__ = (
        "after_durable",
        "entries",
        "hard_state",
        "last_index",
        "last_term",
        "own",
        "snapshot",
        "sync",
        "term",
        "token",
        "truncate_from",
    )

    def __init__(self, token: int, hard_state: HardState | None, entries: list[Entry], sync: bool) -> None:
        self.token: Final = token
        self.hard_state: Final = hard_state
        self.entries: Final = entries
        self.sync: Final = sync
        self.truncate_from = 0
        self.snapshot: Snapshot | None = None
        self.after_durable: list[Message] = []
        self.own: list[Message] = []
        # What the log's tail was when this was handed out: the guard of `Log.stable_to` (rule C4).
        self.term = 0
        self.last_index = 0
        self.last_term = 0

    def __repr__(self) -> str:
        return (
            f"<write {self.token}: {self.hard_state!r} {self.entries!r} {self.snapshot!r} "
            f"then {self.after_durable!r}, own {self.own!r}>"
        )


class ReadState:
    """A read may be answered from the machine once it has applied `index`. `context` is what `read_index` was given."""

    __slots__ = ("context", "index")

    def __init__(self, index: int, context: bytes) -> None:
        self.index: Final = index
        self.context: Final = context


class SoftState:
    """Who leads (0: unknown) and this member's role (`states.py`): worth telling others, not worth storing."""

    __slots__ = ("lead", "role")

    def __init__(self, lead: int, role: int) -> None:
        self.lead: Final = lead
        self.role: Final = role


class Ready:
    """What a group wants done. `messages` can go out at once, `append` is to be written (None: nothing), `committed` to
    be applied in order and acknowledged by `Group.applied_to`; `soft_state` is None unless it changed."""

    __slots__ = ("append", "committed", "messages", "reads", "soft_state")

    def __init__(
        self,
        append: Append | None,
        messages: list[Message],
        committed: list[Entry],
        reads: list[ReadState],
        soft_state: SoftState | None,
    ) -> None:
        self.append: Final = append
        self.messages: Final = messages
        self.committed: Final = committed
        self.reads: Final = reads
        self.soft_state: Final = soft_state
