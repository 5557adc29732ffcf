"""Facts that stand in log lines: what each kind of line says about the member that printed it.

A log line is a wording, and wordings are not compared; but most name a term, a role, a configuration or a progress.
CLAIMS has a pattern for each kind of line, with a check of all that it says against the member before and after the
step that printed it, and against the messages that the step brought. A line of no known kind is a disagreement: nothing
is passed over in silence.

And the other way round: a step that changes the role, the term or the configuration has to have a line that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from raft.etcd.member import Change
from raft.etcd.notation import KINDS

from amqpd.raft.messages import (
    ADD_LEARNER,
    ADD_VOTER,
    APPEND_REPLY,
    PRE_VOTE_REPLY,
    REMOVE,
    TIMEOUT_NOW,
    UPDATE,
    VOTE_REPLY,
)
from amqpd.raft.messages import Change as Proposal
from amqpd.raft.states import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE

LINE = re.compile(r"\s*(DEBUG|INFO|WARN|ERROR) (.*)")
INFO = 1
ROLES = {"follower": FOLLOWER, "pre-candidate": PRE_CANDIDATE, "candidate": CANDIDATE, "leader": LEADER}
VOTE_REPLIES = (PRE_VOTE_REPLY, VOTE_REPLY)
REQUESTS = {PRE_CANDIDATE: "MsgPreVote", CANDIDATE: "MsgVote"}
NUMBERS = {name: kind for kind, name in KINDS.items()}
PROGRESS = re.compile(r"(\w+) match=(\d+) next=(\d+)(?: learner)?(?: paused)?(?: pendingSnap=(\d+))?.*")

Check = Callable[[Change, tuple[str, ...]], bool]
CLAIMS: list[tuple[re.Pattern[str], Check]] = []


def claim(pattern: str) -> Callable[[Check], Check]:
    """The check behind it is for lines of this kind. The group `me` of the pattern is the member, if the line names it;
    the other groups are handed over."""

    def register(check: Check) -> Check:
        CLAIMS.append((re.compile(pattern), check))
        return check

    return register


class Printed(NamedTuple):
    """What is needed of a printed progress."""

    state: str = ""
    match: int = 0
    following: int = 0
    pending_snapshot: int = 0


def progress(text: str) -> Printed:
    """A printed progress, or that of a member that is not known."""
    found = PROGRESS.fullmatch(text)
    return Printed(found[1], int(found[2]), int(found[3]), int(found[4] or 0)) if found else Printed()


def first_difference(change: Change) -> int:
    """The first index at which the log has another entry than before; 0 if there is none."""
    before, after = change.before.terms, change.after.terms
    return min((index for index in after if before.get(index) != after[index]), default=0)


def votes(change: Change) -> dict[int, bool]:
    """The votes counted after a step. When they have decided, the count itself is gone."""
    if unchanged(change):
        return change.after.votes
    answers = {message.sender: not message.rejected for message in change.heard if message.kind in VOTE_REPLIES}
    return {**answers, **change.before.votes}


def heard(change: Change, sender: int, **fields: int) -> bool:
    """Whether the step brought a message of `sender` with these fields."""
    return any(
        message.sender == sender and all(getattr(message, name) == value for name, value in fields.items())
        for message in change.heard
    )


def unchanged(change: Change) -> bool:
    """Whether role and term are as they were."""
    before, after = change.before, change.after
    return (before.role, before.term) == (after.role, after.term)


@claim(r"(?P<me>\d+) became (follower|pre-candidate|candidate|leader) at term (\d+)")
def became(change, said):
    return (ROLES[said[0]], int(said[1])) in change.roles


@claim(r"(?P<me>\d+) switched to configuration (.*)")
def switched(change, said):
    return said[0] in [*change.configurations, change.after.configuration]


@claim(
    r"newRaft (?P<me>\d+) \[peers: \[(.*)\], term: (\d+), commit: (\d+), applied: (\d+), lastindex: (\d+), "
    r"lastterm: (\d+)\]"
)
def made(change, said):
    after = change.after
    voters = said[0].replace(",", " ")
    numbers = [after.term, after.commit, after.applied, after.last, after.terms[after.last]]
    in_force = after.configuration.split(")")[0] == f"voters=({voters}"
    return change.born and in_force and [int(n) for n in said[1:]] == numbers


@claim(r"(?P<me>\d+) is starting a new election at term (\d+)")
def starts_election(change, said):
    return change.before.term == int(said[0]) and change.after.role in (PRE_CANDIDATE, CANDIDATE)


@claim(r"(?P<me>\d+) \[logterm: (\d+), index: (\d+)\] sent (\w+) request to (\d+) at term (\d+)")
def asks(change, said):
    log_term, index, kind, who, term = int(said[0]), int(said[1]), said[2], int(said[3]), int(said[4])
    after = change.after
    place = [after.terms[after.last], after.last, after.term]
    others = after.voters - {change.member.id}
    return place == [log_term, index, term] and who in others and kind == REQUESTS.get(after.role)


@claim(r"(?P<me>\d+) is unpromotable and can not campaign")
def unpromotable(change, said):
    return not change.after.promotable and unchanged(change)


@claim(r"(?P<me>\d+) received (\w+?)Resp( rejection)? from (\d+) at term (\d+)")
def hears_vote(change, said):
    kind, who, term = REQUESTS.get(change.before.role), int(said[2]), change.before.term
    verdict = votes(change).get(who)
    return [said[0], int(said[3])] == [kind, term] and verdict == (not said[1]) and heard(change, who)


@claim(r"(?P<me>\d+) has received (\d+) (\w+)Resp votes and (\d+) vote rejections")
def counts_votes(change, said):
    counted = list(votes(change).values())
    numbers = [counted.count(True), counted.count(False)] == [int(said[0]), int(said[2])]
    return numbers and said[1] == REQUESTS.get(change.before.role)


@claim(r"(?P<me>\d+) \[term: (\d+)\] received a (\w+) message with higher term from (\d+) \[term: (\d+)\]")
def higher_term(change, said):
    mine, kind, who, theirs = int(said[0]), NUMBERS.get(said[1]), int(said[2]), int(said[3])
    return change.before.term == mine and change.after.term == theirs and heard(change, who, kind=kind, term=theirs)


@claim(r"(?P<me>\d+) \[term: (\d+)\] ignored a (\w+) message with lower term from (\d+) \[term: (\d+)\]")
def lower_term(change, said):
    mine, kind, who, theirs = int(said[0]), NUMBERS.get(said[1]), int(said[2]), int(said[3])
    return change.before.term == mine > theirs and unchanged(change) and heard(change, who, kind=kind, term=theirs)


@claim(
    r"(?P<me>\d+) \[logterm: (\d+), index: (\d+), vote: (\d+)\] (cast|rejected|ignored) Msg(Vote|PreVote) "
    r"(?:for|from) (\d+) \[logterm: (\d+), index: (\d+)\] at term (\d+)"
    r"(?:: lease is not expired \(remaining ticks: (\d+)\))?"
)
def judges_vote(change, said):
    before, after = change.before, change.after
    voter_term, voter_last, vote, verdict, kind, who = *map(int, said[:3]), said[3], said[4], int(said[5])
    if [voter_term, voter_last] != [after.terms[after.last], after.last]:
        return False
    cast_now = verdict == "cast" and kind == "Vote"
    earlier = before.vote if before.term == after.term else 0
    voted = after.vote == (who if cast_now else earlier) and earlier == vote
    offered = heard(change, who, kind=NUMBERS[f"Msg{kind}"], log_term=int(said[6]), index=int(said[7]))
    lease = said[9] is None or int(said[9]) == change.member.config.election_ticks - after.elapsed
    # What it answers waits for its disk; what it ignores, it does not answer.
    answers = after.answers[len(before.answers) :]
    answered = [answer.rejected for answer in answers] == {"cast": [False], "rejected": [True], "ignored": []}[verdict]
    return voted and offered and lease and answered and int(said[8]) == after.term


@claim(r"(?P<me>\d+) forgetting leader (\d+) at term (\d+)")
def forgets(change, said):
    return [change.before.lead, change.after.lead, change.after.term] == [int(said[0]), 0, int(said[1])]


@claim(r"ignoring MsgForgetLeader due to ReadOnlyLeaseBased")
def does_not_forget(change, said):
    return change.after.lead == change.before.lead


@claim(r"(?P<me>\d+) no leader at term (\d+); dropping proposal")
def leaderless(change, said):
    return change.after.lead == 0 and change.after.term == int(said[0]) and change.refused is not None


TYPES = {ADD_VOTER: "AddNode", ADD_LEARNER: "AddLearnerNode", REMOVE: "RemoveNode", UPDATE: "UpdateNode"}
TRANSITIONS = ("Auto", "JointImplicit", "JointExplicit")


@claim(r"(?P<me>\d+) ignoring conf change (.*) at config (.*): (?:must transition|not in joint|possible unapplied).*")
def refuses(change, said):
    proposal = change.refused
    if not isinstance(proposal, Proposal):
        return False
    steps = "".join(f" changes:{{type:ConfChange{TYPES[kind]} node_id:{who}}}" for kind, who in proposal.steps)
    meant = f"transition:ConfChangeTransition{TRANSITIONS[proposal.transition]}{steps}"
    return [meant, change.after.configuration] == list(said)


@claim(r"initiating automatic transition out of joint configuration (.*)")
def leaves_joint(change, said):
    return change.after.configuration == said[0] and change.after.last == change.before.last + 1


@claim(r"(?P<me>\d+) \[term (\d+)\] starts to transfer leadership to (\d+)")
def transfers(change, said):
    return [change.after.term, change.after.transferring_to] == [int(n) for n in said]


@claim(r"(?P<me>\d+) sends MsgTimeoutNow to (\d+) immediately as (\d+) already has up-to-date log")
def hands_over(change, said):
    who = change.after.transferring_to
    return [int(n) for n in said] == [who, who] and change.after.match[who] == change.after.last


@claim(r"(?P<me>\d+) \[term (\d+)\] received MsgTimeoutNow from (\d+) and starts an election to get leadership\.")
def takes_over(change, said):
    term, who = map(int, said)
    return change.before.term == term and heard(change, who, kind=TIMEOUT_NOW) and change.after.role == CANDIDATE


@claim(r"(?P<me>\d+) stepped down to follower since quorum is not active")
def steps_down(change, said):
    return change.before.role == LEADER and change.after.role == FOLLOWER


@claim(r"found conflict at index (\d+) \[existing term: (\d+), conflicting term: (\d+)\]")
def conflicts(change, said):
    index = first_difference(change)
    return [index, change.before.terms.get(index), change.after.terms.get(index)] == [int(n) for n in said]


@claim(r"replace the unstable entries from index (\d+)")
def replaces(change, said):
    return first_difference(change) == int(said[0]) and len(change.after.unstable) > 0


@claim(r"entry at index (\d+) missing from unstable log; ignoring")
def completes_in_vain(change, said):
    return change.kept_unstable and change.write.last_index == int(said[0])


@claim(r"entry at \(index,term\)=\((\d+),(\d+)\) mismatched with entry at \((\d+),(\d+)\) in unstable log; ignoring")
def completes_others(change, said):
    index, term, same_index, other_term = map(int, said)
    vouched = [change.write.last_index, change.write.last_term] if change.write else []
    return change.kept_unstable and vouched == [index, term] and (other_term, same_index) in change.after.unstable


@claim(
    r"(?P<me>\d+) \[term: (\d+)\] ignored entry appends from a MsgStorageAppendResp message "
    r"with lower term \[term: (\d+)\]"
)
def completes_late(change, said):
    write = change.write
    return change.kept_unstable and write and [change.after.term, write.term] == [int(n) for n in said]


@claim(r"(?P<me>\d+) received MsgAppResp\(rejected, hint: \(index (\d+), term (\d+)\)\) from (\d+) for index (\d+)")
def hears_rejection(change, said):
    hint, term, who, index = map(int, said)
    return heard(change, who, kind=APPEND_REPLY, rejected=True, hint=hint, log_term=term, index=index)


@claim(r"(?P<me>\d+) \[logterm: (\d+), index: (\d+)\] rejected MsgApp \[logterm: (\d+), index: (\d+)\] from (\d+)")
def rejects(change, said):
    has, index, offered, at, who = map(int, said)
    mine = change.after.terms.get(index, 0)
    return index == at and mine == has != offered and heard(change, who, index=index, log_term=offered)


def retreat(change: Change, who: int) -> int | None:
    """Where a leader goes on after a rejection: right behind where the logs can agree."""
    for message in change.heard:
        if message.sender == who and message.rejected:
            hint = message.hint
            while change.after.terms.get(hint, 0) > message.log_term:
                hint -= 1
            return max(min(message.index, hint + 1), change.after.match.get(who, 0) + 1)
    return None


@claim(r"(?P<me>\d+) decreased progress of (\d+) to \[(.*)\]")
def retreats(change, said):
    # In the middle of a step: a probe, or a snapshot follows.
    who = int(said[0])
    return said[1] == f"StateProbe match={change.after.match.get(who)} next={retreat(change, who)}"


@claim(r"(?P<me>\d+) \[firstindex: (\d+), commit: (\d+)\] sent snapshot\[index: (\d+), term: (\d+)\] to (\d+) \[(.*)\]")
def sends_snapshot(change, said):
    first, commit, index, term, who = map(int, said[:5])
    before, after = change.before, change.after
    now = progress(after.progress.get(who, ""))
    following = retreat(change, who) or progress(before.progress.get(who, "")).following
    place = [after.first, after.commit, now.pending_snapshot, after.terms.get(index)] == [first, commit, index, term]
    return place and now.state == "StateSnapshot" and said[5] == f"StateProbe match={now.match} next={following}"


@claim(r"(?P<me>\d+) paused sending replication messages to (\d+) \[(.*)\]")
@claim(r"(?P<me>\d+) failed to send message to (\d+) because it is unreachable \[(.*)\]")
def stands(change, said):
    return change.after.progress.get(int(said[0]), "") == said[1]


@claim(r"(?P<me>\d+) recovered from needing snapshot, resumed sending replication messages to (\d+) \[(.*)\]")
def recovers(change, said):
    # In the middle of a step: it has acknowledged, but does not replicate yet.
    who = int(said[0])
    before = progress(change.before.progress.get(who, ""))
    after = progress(change.after.progress.get(who, ""))
    following = max(before.following, after.match + 1)
    between = f"StateSnapshot match={after.match} next={following} paused pendingSnap={before.pending_snapshot}"
    return said[1] == between and before.state == "StateSnapshot" and after.state == "StateReplicate"


@claim(
    r"log \[committed=(\d+), applied=(\d+), applying=(\d+), unstable\.offset=(\d+), "
    r"unstable\.offsetInProgress=(\d+), len\(unstable\.Entries\)=(\d+)\] starts to restore snapshot "
    r"\[index: (\d+), term: (\d+)\]"
)
def restores(change, said):
    before, after = change.before, change.after
    stood = [before.commit, before.applied, before.applying, *before.offsets]
    return [int(n) for n in said] == [*stood, after.last, after.terms[after.last]]


@claim(
    r"(?P<me>\d+) \[commit: (\d+), lastindex: (\d+), lastterm: (\d+)\] restored snapshot \[index: (\d+), term: (\d+)\]"
)
def restored(change, said):
    after = change.after
    term = after.terms[after.last]
    return [int(n) for n in said] == [after.commit, after.last, term, after.last, term]


@claim(r"(?P<me>\d+) \[commit: (\d+)\] restored snapshot \[index: (\d+), term: (\d+)\]")
def restored_commit(change, said):
    after = change.after
    return [int(n) for n in said] == [after.commit, after.last, after.terms[after.last]]


def check(text: str, changes: list[Change]) -> str:
    """What is wrong with a log line that stands behind `changes`; empty if nothing is."""
    for pattern, holds in CLAIMS:
        found = pattern.fullmatch(text)
        if found is None:
            continue
        named = found.groupdict().get("me")
        said = found.groups()[1:] if named else found.groups()
        mine = [change for change in changes if not named or change.member.id == int(named)]
        if any(holds(change, said) for change in mine):
            return ""
        return f"not so: {text}"
    return f"a log line of no known kind: {text}"


def unsaid(texts: list[str], change: Change) -> list[str]:
    """Changes of role, term and configuration that no log line tells of."""
    me, before, after = change.member.id, change.before, change.after
    names = {role: name for name, role in ROLES.items()}
    told = []
    if change.born or (before.role, before.term) != (after.role, after.term):
        told.append(f"{me} became {names[after.role]} at term {after.term}")
    if change.born or before.configuration != after.configuration:
        told.append(f"{me} switched to configuration {after.configuration}")
    told += [f"{me} switched to configuration {one}" for one in change.configurations]
    return [f"nothing says: {line}" for line in dict.fromkeys(told) if line not in texts]
