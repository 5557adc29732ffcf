"""How a leader sends its log: appends, snapshots and heartbeats, each follower at its own pace (`progress.py`)."""

from __future__ import annotations

from amqpd.raft.core import Core
from amqpd.raft.log import UNKNOWN, size_of
from amqpd.raft.messages import APPEND, HEARTBEAT, NO_ENTRIES, SNAPSHOT
from amqpd.raft.progress import REPLICATE, Progress


def send_append(core: Core, to: int, even_empty: bool) -> bool:
    """Send `to` what comes next in its log, if it may get something now; without entries only if `even_empty`. Where
    the entries are gone, a snapshot. Returns whether something was sent."""
    progress = core.tracker.progress[to]
    if progress.paused():
        return False
    log = core.log
    before = progress.next - 1
    before_term = log.term_at(before)
    if before_term == UNKNOWN:
        return _send_snapshot(core, to, progress)
    entries = NO_ENTRIES
    # With a full window only empty appends go out, which tell whether all of the window was lost.
    if progress.state != REPLICATE or not progress.inflights.full():
        last = log.last_index()
        if progress.next <= last:
            entries = log.entries(progress.next, last + 1, core.config.max_message_bytes)
    if not entries and not even_empty:
        return False
    message = core.message(APPEND, to)
    message.index = before
    message.log_term = before_term
    message.entries = entries
    message.commit = log.committed
    core.send(message)
    progress.sent(len(entries), size_of(entries), log.committed)
    return True


def _send_snapshot(core: Core, to: int, progress: Progress) -> bool:
    """Send the newest snapshot, if there is one and the member lives: it is too much to send into the blue."""
    if not progress.active:
        return False
    snapshot = core.view.snapshot()
    if snapshot is None:
        return False
    message = core.message(SNAPSHOT, to)
    message.snapshot = snapshot
    core.send(message)
    progress.become_snapshotting(snapshot.index)
    return True


def stream(core: Core, to: int) -> None:
    """Send `to` all that its window allows."""
    while send_append(core, to, False):
        pass


def broadcast(core: Core) -> None:
    """Send everybody what comes next, or an empty append with the commit index."""
    for to in core.tracker.ids:
        if to != core.member:
            send_append(core, to, True)


def broadcast_heartbeat(core: Core, context: bytes) -> None:
    """Send everybody a heartbeat, for the read with `context` if it is not empty."""
    for to in core.tracker.ids:
        if to == core.member:
            continue
        progress = core.tracker.progress[to]
        message = core.message(HEARTBEAT, to)
        # What the member has not acknowledged may not be what it has there (rule C6).
        message.commit = min(progress.match, core.log.committed)
        message.context = context
        core.send(message)
        progress.sent_commit = message.commit
