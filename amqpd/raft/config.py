"""The knobs of one member of one group.

Ticks are the host's: how long one lasts is not known here. Every limit of a group stands here.
"""

from __future__ import annotations

from typing import Final

from amqpd.raft.faults import RaftError

GROUP_ID_BYTES: Final = 16
NO_LIMIT: Final = 0x7FFF_FFFF_FFFF_FFFF


class Config:
    """`group` is the group's UUID (16 bytes), `member` this replica's id (positive, never used by another incarnation).

    election_ticks, heartbeat_ticks   a follower campaigns after election_ticks to 2 * election_ticks - 1 of silence
    max_message_bytes                 entries in one append; a single larger entry still goes, alone
    max_inflight_messages, _bytes     appends on their way to one follower that it has not answered
    max_committed_bytes               entries handed out for applying and not yet applied
    max_uncommitted_bytes             payloads proposed and not yet committed: beyond, proposals are refused
    max_pending_reads                 reads that wait for a majority, and reads that wait for a leader's first commit
    pre_vote, check_quorum            both on, always, except in tests
    step_down_on_removal              a leader that is no voter any more stops leading
    strict_changes                    rule C11: a voter is added only where a learner was, voters change only through a
                                      joint configuration, and only once an entry of the leader's own term is committed;
                                      and voters tell candidates what is committed (`election.py`). Off, in tests only:
                                      what is safe where configurations change on apply, and messages, as in etcd
    validate_changes                  one change at a time. Off in one test only
    forward_proposals                 followers send proposals on to the leader
    async_storage                     only what is durable here is applied here. Off: a host that completes each write
                                      before it applies may get entries to apply together with their write
    machine_version                   newest version of the state machine that this node can run
    damaged                           storage has lost or falsified what this member acknowledged: it takes no part
    Raises RaftError where a value makes no sense.
    """

    def __init__(
        self,
        group: bytes,
        member: int,
        *,
        election_ticks: int = 10,
        heartbeat_ticks: int = 1,
        max_message_bytes: int = 1024 * 1024,
        max_inflight_messages: int = 256,
        max_inflight_bytes: int = 8 * 1024 * 1024,
        max_committed_bytes: int = 8 * 1024 * 1024,
        max_uncommitted_bytes: int = 64 * 1024 * 1024,
        max_pending_reads: int = 1024,
        pre_vote: bool = True,
        check_quorum: bool = True,
        step_down_on_removal: bool = True,
        strict_changes: bool = True,
        validate_changes: bool = True,
        forward_proposals: bool = True,
        async_storage: bool = True,
        machine_version: int = 0,
        damaged: bool = False,
    ) -> None:
        if len(group) != GROUP_ID_BYTES:
            raise RaftError(f"group: a UUID of {GROUP_ID_BYTES} bytes is expected, not {len(group)}")
        if member <= 0:
            raise RaftError(f"member: a positive id is expected, not {member}")
        if heartbeat_ticks <= 0 or election_ticks <= heartbeat_ticks:
            raise RaftError(f"election_ticks: more than {heartbeat_ticks} is expected, not {election_ticks}")
        if max_inflight_messages <= 0:
            raise RaftError(f"max_inflight_messages: at least 1 is expected, not {max_inflight_messages}")
        if max_inflight_bytes < max_message_bytes:
            raise RaftError(f"max_inflight_bytes: at least max_message_bytes ({max_message_bytes}) is expected")
        if max_pending_reads <= 0:
            raise RaftError(f"max_pending_reads: at least 1 is expected, not {max_pending_reads}")
        self.group: Final = group
        self.member: Final = member
        self.election_ticks: Final = election_ticks
        self.heartbeat_ticks: Final = heartbeat_ticks
        self.max_message_bytes: Final = max_message_bytes
        self.max_inflight_messages: Final = max_inflight_messages
        self.max_inflight_bytes: Final = max_inflight_bytes
        self.max_committed_bytes: Final = max_committed_bytes
        self.max_uncommitted_bytes: Final = max_uncommitted_bytes
        self.max_pending_reads: Final = max_pending_reads
        self.pre_vote: Final = pre_vote
        self.check_quorum: Final = check_quorum
        self.step_down_on_removal: Final = step_down_on_removal
        self.strict_changes: Final = strict_changes
        self.validate_changes: Final = validate_changes
        self.forward_proposals: Final = forward_proposals
        self.async_storage: Final = async_storage
        self.machine_version: Final = machine_version
        self.damaged: Final = damaged
