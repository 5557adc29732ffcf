"""Consensus: a Raft group as a pure state machine, and what its parts say to each other.

Synchronous and pure: no clock, socket, file, thread or randomness. Ticks, messages and finished writes come in by
calls; what has to be written, sent and applied comes out of `Group.ready()`. How to drive a group: `group.py`.

    group.py         what a host calls: one member of one group
    core.py          the state that all rules share, sending, changing roles, applying configurations
    election.py      campaigns, votes and pre-votes, transfer of leadership
    replication.py   append, heartbeat, snapshot and their answers; what is committed; changes of members
    reads.py         read index
    log.py           entries that are not yet durable, above a view of the ones that are
    progress.py      what a leader knows of one member, and the window of messages in flight
    membership.py    configurations, and the rules by which one becomes the next
    quorum.py        majorities, of one set of voters or of two
    messages.py      values: entries, messages, hard state, snapshots, what `ready()` returns
    codec.py         their form as bytes
    config.py        the knobs
    view.py          what a group sees of stable storage
    refusals.py      why a proposal was refused
    faults.py        what must not happen
    states.py        the table of roles
    machine.py       the contract of what is replicated
    memory.py        a host in memory, for tests and measurements
"""
