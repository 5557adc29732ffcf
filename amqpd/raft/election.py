"""Elections: campaigns, votes and pre-votes, and who may have either.

A pre-vote asks whether a vote would be given, and binds nobody (rule C9). A vote request of a higher term is not even
looked at while a leader is heard of, unless that leader itself asked for the election (`forced`).

Answers, yes or no, tell how far the voter knows the log to be committed. Else a group could stay without a leader for
ever: a leader that is removed stops as soon as it has applied that, and whoever has not heard that the change is
committed would still need votes of members that are gone, or whose longer log forbids them to give one.
"""

from __future__ import annotations

from amqpd.raft import quorum, replication
from amqpd.raft.core import Core
from amqpd.raft.messages import CHANGE, NOBODY, PRE_VOTE, PRE_VOTE_REPLY, VOTE, VOTE_REPLY, Message
from amqpd.raft.states import LEADER, PRE_CANDIDATE


def hup(core: Core, forced: bool) -> None:
    """Campaign if that is allowed; `forced` by a leader that hands over: at once, without pre-vote."""
    if core.role == LEADER or not core.promotable() or _unapplied_changes(core):
        return
    if core.config.pre_vote and not forced:
        core.become_pre_candidate()
        _ask(core, PRE_VOTE, core.term + 1, False)
    else:
        _stand(core, forced)


def _stand(core: Core, forced: bool) -> None:
    core.become_candidate()
    _ask(core, VOTE, core.term, forced)


def _ask(core: Core, kind: int, term: int, forced: bool) -> None:
    """Ask all voters, oneself included: that answer comes when the write is durable."""
    log = core.log
    for voter in core.tracker.ids:
        if not core.tracker.is_voter(voter):
            continue
        if voter == core.member:
            own = VOTE_REPLY if kind == VOTE else PRE_VOTE_REPLY
            core.send(Message(own, core.group_id, core.member, core.member, term))
            continue
        message = Message(kind, core.group_id, core.member, voter, term)
        message.index = log.last_index()
        message.log_term = log.last_term()
        message.forced = forced
        message.version = core.config.machine_version
        core.send(message)


def _unapplied_changes(core: Core) -> bool:
    """Whether a change of members is committed but not applied here (rule C11). Entries that storage has to read first
    count as such."""
    for batch in core.batches:
        if batch.changes:
            return True
    log = core.log
    index = log.applying + 1
    while index <= log.committed:
        entries = log.entries(index, log.committed + 1, core.config.max_message_bytes)
        if not entries:
            return True
        for entry in entries:
            if entry.kind == CHANGE:
                return True
        index = entries[-1].index + 1
    return False


def leader_protected(core: Core) -> bool:
    """Whether a leader was heard of within an election timeout, so that nobody else gets a vote (rule C9)."""
    return core.config.check_quorum and core.lead != NOBODY and core.elapsed_ticks < core.config.election_ticks


def on_request(core: Core, message: Message) -> None:
    """Answer a request for a vote or a pre-vote.

    A learner answers, too: the candidate may know of a configuration in which it votes already.
    """
    pre_vote = message.kind == PRE_VOTE
    free = (
        core.vote == message.sender
        or (core.vote == NOBODY and core.lead == NOBODY)
        or (pre_vote and message.term > core.term)
    )
    granted = (
        free
        and message.version >= core.required_version
        and core.log.up_to_date(message.index, message.log_term)
    )
    kind = PRE_VOTE_REPLY if pre_vote else VOTE_REPLY
    term = message.term if granted else core.term
    reply = Message(kind, core.group_id, core.member, message.sender, term)
    reply.rejected = not granted
    if core.config.strict_changes:
        reply.commit = core.log.committed
        reply.log_term = max(core.log.term_at(reply.commit), 0)
    core.send(reply)
    if granted and not pre_vote:
        core.elapsed_ticks = 0
        core.vote = message.sender


def on_reply(core: Core, message: Message) -> None:
    """Count an answer to this candidate's requests; the first one of each member counts.

    What it tells to be committed may be a change of members. Then the candidate asked the wrong ones: it gives up, and
    campaigns again when the change is applied (rule C11).
    """
    pre_vote = core.role == PRE_CANDIDATE
    if message.kind != (PRE_VOTE_REPLY if pre_vote else VOTE_REPLY):
        return
    if core.log.commit_if(message.commit, message.log_term) and _unapplied_changes(core):
        core.become_follower(core.term, NOBODY)
        return
    votes = core.tracker.votes
    if message.sender not in votes:
        votes[message.sender] = not message.rejected
    result = core.tracker.decide(votes)
    if result == quorum.WON:
        if pre_vote:
            _stand(core, False)
        else:
            core.become_leader()
            replication.broadcast(core)
    elif result == quorum.LOST:
        core.become_follower(core.term, NOBODY)


def on_tick(core: Core) -> None:
    """Let a tick pass without a leader: campaign when the timeout, different each time, is over."""
    core.elapsed_ticks += 1
    if core.elapsed_ticks >= core.randomized_election_ticks and core.promotable():
        core.elapsed_ticks = 0
        hup(core, False)
        core.dirty = True
