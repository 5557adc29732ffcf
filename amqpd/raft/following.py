"""What a follower does with what its leader sends: appends, heartbeats and snapshots.

Acknowledgements leave behind the pending write, also when what they acknowledge is already in memory (rule C2). The
commit index moves only as far as this very message has shown the log to agree (rule C6).
"""

from __future__ import annotations

from amqpd.raft.core import Core
from amqpd.raft.messages import APPEND_REPLY, HEARTBEAT_REPLY, NOBODY, Message, Snapshot


def on_append(core: Core, message: Message) -> None:
    """Append the entries if the log agrees with the leader's right before them; else tell where it may agree."""
    log = core.log
    reply = core.message(APPEND_REPLY, message.sender)
    if message.index < log.committed:
        # Old news: what is committed agrees in any case.
        reply.index = log.committed
        core.send(reply)
        return
    if not log.matches(message.index, message.log_term):
        hint = log.agreement_hint(min(message.index, log.last_index()), message.log_term)
        reply.index = message.index
        reply.rejected = True
        reply.hint = hint
        reply.log_term = max(log.term_at(hint), 0)
        core.send(reply)
        return
    entries = message.entries
    last = message.index + len(entries)
    if entries:
        # Rule C7: only what conflicts is replaced; a repeated or delayed message must not cut off what came after it.
        start = log.conflict(entries)
        if start == 0:
            log.append(entries)
        elif start < len(entries):
            log.append(entries[start:])
    log.commit_to(min(message.commit, last))
    reply.index = last
    core.send(reply)


def on_heartbeat(core: Core, message: Message) -> None:
    """Note the commit index, which is never beyond what this member acknowledged. Where it is beyond its log, storage
    has lost what it acknowledged: from now on the member takes no part."""
    if message.commit > core.log.last_index():
        damage(core)
        return
    core.log.commit_to(message.commit)
    reply = core.message(HEARTBEAT_REPLY, message.sender)
    reply.context = message.context
    reply.version = core.config.machine_version
    core.send(reply)


def on_snapshot(core: Core, message: Message) -> None:
    """Install the snapshot if it is ahead (rule C12), and say how far this member is then."""
    snapshot = message.snapshot
    if snapshot is None:
        core.dropped += 1
        return
    reply = core.message(APPEND_REPLY, message.sender)
    reply.index = core.log.last_index() if _restore(core, snapshot) else core.log.committed
    core.send(reply)


def _restore(core: Core, snapshot: Snapshot) -> bool:
    """Replace log and configuration by the snapshot's. Returns whether that was called for."""
    log = core.log
    if snapshot.index <= log.committed:
        return False
    members = snapshot.members
    if core.member not in members.voters + members.learners + members.outgoing:
        # A mistake of the sender's: this member could never know that it belongs to the group.
        return False
    if log.matches(snapshot.index, snapshot.term):
        # All of it is here, only the commit index is not.
        log.commit_to(snapshot.index)
        return False
    log.restore(snapshot)
    core.batches = []
    core.tracker.switch(members, log.last_index())
    return True


def damage(core: Core) -> None:
    """Take no part any more: storage has lost or falsified what this member acknowledged (invariant S7)."""
    core.become_follower(core.term, NOBODY)
    core.damaged = True
    core.messages = []
    core.after_durable = []
    core.own = []
    core.reads = []
    # What waits for writes that were handed out already must not go out either.
    for write in core.writes:
        write.after_durable.clear()
        write.own.clear()
