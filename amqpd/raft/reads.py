"""Read index: which index a linearizable read has to wait for (dissertation, 6.4).

A leader notes its commit index, makes sure by one round of heartbeats that it still led when the read came, and
answers. It does so only once an entry of its own term is committed: before, it does not know what is. There are no
lease reads: they trust clocks.

The heartbeats of a round carry a number of the leader's, so one round also confirms all reads before it.
"""

from __future__ import annotations

from typing import Final

from amqpd.raft import quorum, replication
from amqpd.raft.core import Core, PendingRead
from amqpd.raft.messages import READ_REPLY, Message, ReadState
from amqpd.raft.refusals import TOO_MUCH

NUMBER_BYTES: Final = 8


def ask(core: Core, sender: int, context: bytes) -> int:
    """On a leader: take in a read of this member's or a follower's. Returns 0 or a refusal."""
    if len(core.reads_pending) + len(core.reads_postponed) >= core.config.max_pending_reads:
        return TOO_MUCH
    if not core.committed_in_term():
        core.reads_postponed.append(PendingRead(0, 0, sender, context))
        return 0
    _begin(core, sender, context)
    return 0


def _begin(core: Core, sender: int, context: bytes) -> None:
    core.read_number += 1
    read = PendingRead(core.read_number, core.log.committed, sender, context)
    if core.tracker.sole_voter(core.member):
        _answer(core, read)
        return
    read.acks[core.member] = True
    core.reads_pending.append(read)
    replication.broadcast_heartbeat(core, core.read_number.to_bytes(NUMBER_BYTES, "big"))


def release(core: Core) -> None:
    """Begin with the reads that waited for a first commit of this term, if there is one now."""
    if core.reads_postponed and core.committed_in_term():
        postponed = core.reads_postponed
        core.reads_postponed = []
        for read in postponed:
            _begin(core, read.sender, read.context)


def last_context(core: Core) -> bytes:
    """What a regular heartbeat carries: the latest read's number, so that a lost round is repeated."""
    if not core.reads_pending:
        return b""
    return core.reads_pending[-1].number.to_bytes(NUMBER_BYTES, "big")


def acknowledged(core: Core, sender: int, context: bytes) -> None:
    """A follower answered the heartbeat of a read."""
    number = int.from_bytes(context, "big")
    for place, read in enumerate(core.reads_pending):
        if read.number == number:
            read.acks[sender] = True
            if core.tracker.decide(read.acks) == quorum.WON:
                _answer_to(core, place)
            return


def reconsider(core: Core) -> None:
    """The members have changed: those that are left may have confirmed more reads, or committed a first entry."""
    for place in range(len(core.reads_pending) - 1, -1, -1):
        if core.tracker.decide(core.reads_pending[place].acks) == quorum.WON:
            _answer_to(core, place)
            break
    release(core)


def _answer_to(core: Core, place: int) -> None:
    """Answer the read at `place`, which a quorum has confirmed, and all before it."""
    done = core.reads_pending[: place + 1]
    core.reads_pending = core.reads_pending[place + 1 :]
    for read in done:
        _answer(core, read)


def _answer(core: Core, read: PendingRead) -> None:
    if read.sender == core.member:
        core.reads.append(ReadState(read.index, read.context))
        return
    message: Message = core.message(READ_REPLY, read.sender)
    message.index = read.index
    message.context = read.context
    core.send(message)
