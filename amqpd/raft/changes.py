"""Changes of members in the log: which may be proposed, and what happens when one is applied.

A configuration takes effect when its entry is applied, never when it is appended (as in etcd): so whatever holds is
committed, and nothing has to be undone. Rule C11 keeps that safe: one change at a time, and nobody campaigns with one
that is committed and not applied (`election.py`).
"""

from __future__ import annotations

from amqpd.errors import MalformedError
from amqpd.raft import membership, reads, replication
from amqpd.raft.codec import decode_change, encode_change
from amqpd.raft.core import Core
from amqpd.raft.faults import ChangeError, InvariantError
from amqpd.raft.messages import AUTO, CHANGE, NOBODY, Change, Entry, Members
from amqpd.raft.refusals import CHANGE_INVALID, CHANGE_PENDING
from amqpd.raft.states import LEADER


def propose(core: Core, change: Change) -> int:
    """On a leader: append the change. Returns its index, or a refusal."""
    if core.config.validate_changes:
        if core.pending_change_index > core.log.applied:
            return CHANGE_PENDING
        if core.config.strict_changes and not core.committed_in_term():
            return CHANGE_PENDING
        try:
            if core.config.strict_changes:
                membership.check_strictly(core.tracker.members, change)
            else:
                membership.after(core.tracker.members, change)
        except ChangeError:
            return CHANGE_INVALID
    entry = Entry(core.term, core.log.last_index() + 1, CHANGE, encode_change(change))
    core.pending_change_index = entry.index
    core.append([entry])
    replication.broadcast(core)
    return entry.index


def leave_if_due(core: Core) -> None:
    """On a leader: leave a joint configuration that is to be left by itself, once all before that is applied.

    Called whenever something was applied, and when a transfer of leadership has come to nothing.
    """
    if (
        core.role == LEADER
        and core.tracker.members.auto_leave
        and core.log.applied >= core.pending_change_index
        and core.transferring_to == NOBODY
        and core.member in core.tracker.progress
    ):
        propose(core, Change([], AUTO))


def apply(core: Core, entry: Entry) -> None:
    """Let the change in `entry` take effect.

    One that is not possible from here changes nothing, on every member alike. Raises InvariantError if it cannot be
    read, which the leader could, or if this member does not know the configuration before: it was made with none, and
    the log does not tell the first one.
    """
    try:
        change = decode_change(entry.payload)
    except MalformedError as error:
        raise InvariantError(f"entry {entry.index} is no change of members: {error}") from None
    try:
        members = membership.after(core.tracker.members, change)
    except ChangeError as error:
        if not core.tracker.members.voters:
            raise InvariantError(f"entry {entry.index} changes members that this one does not know: {error}") from None
        return
    switch(core, members)


def switch(core: Core, members: Members) -> None:
    """Let `members` hold from now on."""
    tracker = core.tracker
    tracker.switch(members, core.log.last_index())
    if core.role != LEADER:
        return
    own = tracker.progress.get(core.member)
    if own is None or own.learner:
        if core.config.step_down_on_removal:
            core.become_follower(core.term, NOBODY)
        return
    if core.maybe_commit():
        # A smaller quorum may have what the larger one had not.
        replication.broadcast(core)
    else:
        for member in tracker.ids:
            if member != core.member:
                replication.send_append(core, member, False)
    reads.reconsider(core)
    if core.transferring_to != NOBODY and not tracker.is_voter(core.transferring_to):
        core.transferring_to = NOBODY
