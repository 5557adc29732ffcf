"""What a leader does with the answers of its followers, and with reports on them."""

from __future__ import annotations

from amqpd.raft import changes, reads, replication
from amqpd.raft.core import Core
from amqpd.raft.messages import NOBODY, TIMEOUT_NOW, Entry, Message
from amqpd.raft.progress import PROBE, REPLICATE, SNAPSHOTTING, Progress
from amqpd.raft.refusals import REMOVED, TOO_MUCH, TRANSFERRING
from amqpd.raft.states import LEADER


def refusal(core: Core) -> int:
    """Why this leader takes no proposals now, or 0."""
    if core.member not in core.tracker.progress:
        return REMOVED
    return TRANSFERRING if core.transferring_to != NOBODY else 0


def propose(core: Core, kind: int, payloads: list[bytes]) -> int:
    """Append an entry for each payload. Returns the first one's index, or a refusal."""
    refused = refusal(core)
    if refused:
        return refused
    size = 0
    for payload in payloads:
        size += len(payload)
    # One proposal is always taken, however large; and an empty one.
    if core.uncommitted_bytes and size and core.uncommitted_bytes + size > core.config.max_uncommitted_bytes:
        return TOO_MUCH
    first = core.log.last_index() + 1
    index = first
    entries: list[Entry] = []
    for payload in payloads:
        entries.append(Entry(core.term, index, kind, payload))
        index += 1
    core.append(entries)
    replication.broadcast(core)
    return first


def on_append_reply(core: Core, message: Message) -> None:
    """A member (also this one itself) has acknowledged or refused an append, or a snapshot."""
    progress = core.tracker.progress.get(message.sender)
    if progress is None or message.index > core.log.last_index():
        core.dropped += 1
        return
    progress.active = True
    if message.rejected:
        hint = message.hint
        if message.log_term > 0:
            # Skip all entries of terms that the follower cannot have there.
            hint = core.log.agreement_hint(hint, message.log_term)
        if progress.refuse(message.index, hint):
            if progress.state == REPLICATE:
                progress.become_probe()
            replication.send_append(core, message.sender, True)
        return
    if progress.acknowledge(message.index) or (progress.match == message.index and progress.state == PROBE):
        _acknowledged(core, message.sender, progress)


def _acknowledged(core: Core, member: int, progress: Progress) -> None:
    if progress.state == PROBE:
        progress.become_replicate()
    elif progress.state == SNAPSHOTTING:
        # Rule C12: whichever snapshot it was, if it meets the log here, entries can follow.
        if progress.match + 1 >= core.log.first_index():
            progress.become_replicate()
    else:
        progress.inflights.free_to(progress.match)
    if core.maybe_commit():
        reads.release(core)
        replication.broadcast(core)
    elif member != core.member and progress.commit_is_news(core.log.committed):
        replication.send_append(core, member, True)
    if member != core.member:
        replication.stream(core, member)
    if member == core.transferring_to and progress.match == core.log.last_index():
        core.send(core.message(TIMEOUT_NOW, member))


def on_heartbeat_reply(core: Core, message: Message) -> None:
    """A follower lives, and can get something again; perhaps it confirms a read."""
    progress = core.tracker.progress.get(message.sender)
    if progress is None:
        core.dropped += 1
        return
    progress.active = True
    progress.version = message.version
    progress.probe_sent = False
    if progress.match < core.log.last_index() or progress.state == PROBE:
        replication.send_append(core, message.sender, True)
    if message.context:
        reads.acknowledged(core, message.sender, message.context)


def on_transfer(core: Core, to: int) -> None:
    """Hand over to `to` as soon as it has the whole log; the next request replaces this one."""
    progress = core.tracker.progress.get(to)
    if progress is None or progress.learner or to == core.transferring_to:
        return
    core.transferring_to = NOBODY
    if to == core.member:
        return
    # It has to be done within an election timeout. That has a count of its own: orders to hand over, however many, must
    # not put off the check of the quorum (rule C10).
    core.transfer_elapsed_ticks = 0
    core.transferring_to = to
    if progress.match == core.log.last_index():
        core.send(core.message(TIMEOUT_NOW, to))
    else:
        replication.send_append(core, to, True)


def on_unreachable(core: Core, peer: int) -> None:
    """Messages to `peer` were lost: what was streamed may be missing."""
    progress = core.tracker.progress.get(peer)
    if progress is not None and progress.state == REPLICATE:
        progress.become_probe()


def on_snapshot_sent(core: Core, peer: int, ok: bool) -> None:
    """A snapshot to `peer` went out in full, or failed. Either way the member is probed when it is next heard of."""
    progress = core.tracker.progress.get(peer)
    if progress is None or progress.state != SNAPSHOTTING:
        return
    if not ok:
        progress.pending_snapshot = 0
    progress.become_probe()
    progress.probe_sent = True


def check_quorum(core: Core) -> None:
    """Stop leading if no quorum was heard of since the last check (rule C10)."""
    own = core.tracker.progress.get(core.member)
    if own is not None:
        own.active = True
    if not core.tracker.quorum_active():
        core.become_follower(core.term, NOBODY)
        return
    for member in core.tracker.ids:
        if member != core.member:
            core.tracker.progress[member].active = False


def on_tick(core: Core) -> None:
    """Let a tick pass: check the quorum each election timeout, send heartbeats in between, and give up a transfer that
    takes longer than an election timeout."""
    core.elapsed_ticks += 1
    core.heartbeat_elapsed_ticks += 1
    if core.elapsed_ticks >= core.config.election_ticks:
        core.elapsed_ticks = 0
        if core.config.check_quorum:
            check_quorum(core)
            core.dirty = True
    if core.transferring_to != NOBODY:
        core.transfer_elapsed_ticks += 1
        if core.transfer_elapsed_ticks >= core.config.election_ticks:
            core.transferring_to = NOBODY
            changes.leave_if_due(core)
            core.dirty = True
    if core.role == LEADER and core.heartbeat_elapsed_ticks >= core.config.heartbeat_ticks:
        core.heartbeat_elapsed_ticks = 0
        replication.broadcast_heartbeat(core, reads.last_context(core))
        core.dirty = True


def on_loaded(core: Core) -> None:
    """Entries that had to be read from storage are there now: send them to who waits for them."""
    for member in core.tracker.ids:
        if member != core.member:
            replication.stream(core, member)
