"""What our core says, in the notation of the scenario files.

Every field that a scenario's line shows comes from the value that our core made, so comparing lines compares all their
fields. Two things are not told apart, because our core does not have both: EntryConfChange and EntryConfChangeV2 (two
encodings of a change) read EntryConfChangeV2.
"""

from __future__ import annotations

from amqpd.raft import messages as m
from amqpd.raft.codec import decode_change
from amqpd.raft.messages import Append, Entry, HardState, Members, Message, Snapshot
from amqpd.raft.progress import Progress

KINDS = {
    m.APPEND: "MsgApp",
    m.APPEND_REPLY: "MsgAppResp",
    m.VOTE: "MsgVote",
    m.VOTE_REPLY: "MsgVoteResp",
    m.PRE_VOTE: "MsgPreVote",
    m.PRE_VOTE_REPLY: "MsgPreVoteResp",
    m.HEARTBEAT: "MsgHeartbeat",
    m.HEARTBEAT_REPLY: "MsgHeartbeatResp",
    m.SNAPSHOT: "MsgSnap",
    m.TIMEOUT_NOW: "MsgTimeoutNow",
    m.TRANSFER: "MsgTransferLeader",
    m.PROPOSE: "MsgProp",
    m.READ: "MsgReadIndex",
    m.READ_REPLY: "MsgReadIndexResp",
}
REPLIES = {m.APPEND_REPLY, m.VOTE_REPLY, m.PRE_VOTE_REPLY, m.HEARTBEAT_REPLY, m.READ_REPLY}
STORAGE_APPEND = "MsgStorageAppend"
STORAGE_APPEND_REPLY = "MsgStorageAppendResp"
STORAGE_APPLY = "MsgStorageApply"
STORAGE_APPLY_REPLY = "MsgStorageApplyResp"

ROLES = ("StateFollower", "StatePreCandidate", "StateCandidate", "StateLeader")
PROGRESS_STATES = ("StateProbe", "StateReplicate", "StateSnapshot")
STEPS = {"v": m.ADD_VOTER, "l": m.ADD_LEARNER, "r": m.REMOVE, "u": m.UPDATE}
LETTERS = {kind: letter for letter, kind in STEPS.items()}


def parse_steps(text: str) -> list[tuple[int, int]]:
    """`v1 l2 r3 u4`: make voter, make learner, remove, update. Raises ValueError, KeyError."""
    return [(STEPS[word[0]], int(word[1:])) for word in text.split()]


def change(payload: bytes) -> str:
    """The steps of an encoded change."""
    return " ".join(f"{LETTERS[kind]}{member}" for kind, member in decode_change(payload).steps)


def quoted(payload: bytes) -> str:
    """Payload in double quotes, quotes and backslashes escaped, as Go's %q prints it."""
    text = payload.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def unquoted(text: str) -> bytes:
    """A proposal's payload as a directive gives it: one word, quotes included."""
    return text.encode("ascii")


def entry(value: Entry) -> str:
    """`term/index kind data`."""
    if value.kind == m.CHANGE:
        return f"{value.term}/{value.index} EntryConfChangeV2 {change(value.payload)}".rstrip()
    return f"{value.term}/{value.index} EntryNormal {quoted(value.payload)}"


def entries(values: list[Entry]) -> list[str]:
    """A line for each."""
    return [entry(value) for value in values]


def _with_entries(head: str, values: list[Entry]) -> list[str]:
    if not values:
        return [head]
    if len(values) == 1:
        return [f"{head} Entries:[{entry(values[0])}]"]
    return [f"{head} Entries:[", *(f"  {line}" for line in entries(values)), "]"]


def ids(values: tuple[int, ...]) -> str:
    """A set of members, without its brackets."""
    return " ".join(str(value) for value in values)


def snapshot(value: Snapshot) -> str:
    """Index, term and configuration; the image itself is not shown."""
    who = value.members
    leave = "true" if who.auto_leave else "false"
    return (
        f"Index:{value.index} Term:{value.term} ConfState:Voters:[{ids(who.voters)}] "
        f"VotersOutgoing:[{ids(who.outgoing)}] Learners:[{ids(who.learners)}] "
        f"LearnersNext:[{ids(who.learners_next)}] AutoLeave:{leave}"
    )


def message(value: Message) -> list[str]:
    """All lines of a message."""
    head = f"{value.sender}->{value.to} {KINDS[value.kind]} Term:{value.term} Log:{value.log_term}/{value.index}"
    if value.rejected:
        head += f" Rejected (Hint: {value.hint})"
    if value.commit:
        head += f" Commit:{value.commit}"
    lines = _with_entries(head, value.entries)
    if value.snapshot is not None:
        lines.append(f"  Snapshot: {snapshot(value.snapshot)}")
    return lines


def hard_state(value: HardState) -> str:
    """Without the vote where there is none."""
    vote = f" Vote:{value.vote}" if value.vote else ""
    return f"Term:{value.term}{vote} Commit:{value.commit}"


def storage_append(member: int, write: Append) -> list[str]:
    """The request to the append thread, without its responses."""
    state = write.hard_state or HardState()
    head = f"{member}->AppendThread {STORAGE_APPEND} Term:{state.term} Log:0/0"
    if state.commit:
        head += f" Commit:{state.commit}"
    if state.vote:
        head += f" Vote:{state.vote}"
    lines = _with_entries(head, write.entries)
    if write.snapshot is not None:
        lines.append(f"  Snapshot: {snapshot(write.snapshot)}")
    return lines


def storage_append_reply(member: int, write: Append) -> list[str]:
    """The append thread's answer, with what guards it (rule C4)."""
    log = f"{write.last_term}/{write.last_index}"
    lines = [f"AppendThread->{member} {STORAGE_APPEND_REPLY} Term:{write.term} Log:{log}"]
    if write.snapshot is not None:
        lines.append(f"  Snapshot: {snapshot(write.snapshot)}")
    return lines


def storage_apply(member: int, values: list[Entry]) -> list[str]:
    """The request to the apply thread, without its response."""
    return _with_entries(f"{member}->ApplyThread {STORAGE_APPLY} Term:0 Log:0/0", values)


def storage_apply_reply(member: int, values: list[Entry]) -> list[str]:
    """The apply thread's answer."""
    return _with_entries(f"ApplyThread->{member} {STORAGE_APPLY_REPLY} Term:0 Log:0/0", values)


def with_responses(lines: list[str], responses: list[list[str]]) -> list[str]:
    """A request to a thread, with the messages that it sends when it is done."""
    if not responses:
        return lines
    inner = [f"  {line}" for response in responses for line in response]
    return [*lines[:-1], f"{lines[-1]} Responses:[", *inner, "]"]


def configuration(value: Members) -> str:
    """As `switched to configuration` shows it."""
    parts = [f"voters=({ids(value.voters)})"]
    if value.outgoing:
        parts[0] += f"&&({ids(value.outgoing)})"
    if value.learners:
        parts.append(f"learners=({ids(value.learners)})")
    if value.learners_next:
        parts.append(f"learners_next=({ids(value.learners_next)})")
    if value.auto_leave:
        parts.append("autoleave")
    return " ".join(parts)


def progress(value: Progress) -> str:
    """What a leader knows of one member."""
    parts = [f"{PROGRESS_STATES[value.state]} match={value.match} next={value.next}"]
    if value.learner:
        parts.append("learner")
    if value.paused():
        parts.append("paused")
    if value.pending_snapshot:
        parts.append(f"pendingSnap={value.pending_snapshot}")
    if not value.active:
        parts.append("inactive")
    if value.inflights.count:
        parts.append(f"inflight={value.inflights.count}" + ("[full]" if value.inflights.full() else ""))
    return " ".join(parts)
