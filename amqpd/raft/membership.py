"""Who belongs to a group, and by which steps that may change.

First the pure part: from one configuration (`Members`) to the next, in one of three ways. `simple` changes at most one
voter. `enter_joint` goes to a configuration in which the old and the new voters both have to agree, and `leave_joint`
from there to the new voters alone. A voter that becomes a learner stays a voter of the old half until then
(`learners_next`): the old majority counts on it.

Then `Tracker`: the configuration that holds, with what a leader knows of each member.

Invariants: a member is a voter or a learner, never both; learners_next are voters of the old half. A configuration that
has voters never loses the last one.
"""

from __future__ import annotations

from typing import Final

from amqpd.raft import quorum
from amqpd.raft.config import Config
from amqpd.raft.faults import ChangeError
from amqpd.raft.messages import ADD_LEARNER, ADD_VOTER, AUTO, EXPLICIT, NOBODY, REMOVE, Change, Members
from amqpd.raft.progress import Inflights, Progress

ALREADY_JOINT: Final = "the configuration is joint already: leave it first"
NOT_JOINT: Final = "the configuration is not joint: there is nothing to leave"
NO_VOTERS: Final = "a configuration without voters cannot become joint"
SIMPLE_IN_JOINT: Final = "members cannot change while the configuration is joint"
LAST_VOTER: Final = "no voter would be left"
MANY_VOTERS: Final = "more than one voter changes: that needs a joint configuration"
SKIPS_LEARNING: Final = "a member has to be a learner before it becomes a voter"
NEEDS_JOINT: Final = "voters change through a joint configuration only"


def _apply(members: Members, outgoing: tuple[int, ...], auto_leave: bool, steps: list[tuple[int, int]]) -> Members:
    """`members` after `steps`, with `outgoing` as the old half. Raises ChangeError(LAST_VOTER)."""
    voters = set(members.voters)
    learners = set(members.learners)
    learners_next = set(members.learners_next)
    for kind, member in steps:
        if member == NOBODY:
            continue
        if kind == ADD_VOTER:
            learners.discard(member)
            learners_next.discard(member)
            voters.add(member)
        elif kind == ADD_LEARNER:
            voters.discard(member)
            if member in outgoing:
                learners_next.add(member)
            else:
                learners.add(member)
        elif kind == REMOVE:
            voters.discard(member)
            learners.discard(member)
            learners_next.discard(member)
    if not voters:
        raise ChangeError(LAST_VOTER)
    return Members(tuple(voters), outgoing, tuple(learners), tuple(learners_next), auto_leave)


def simple(members: Members, steps: list[tuple[int, int]]) -> Members:
    """The configuration after `steps`, of which at most one may change a voter. Raises ChangeError."""
    if members.outgoing:
        raise ChangeError(SIMPLE_IN_JOINT)
    after = _apply(members, (), False, steps)
    if len(set(members.voters) ^ set(after.voters)) > 1:
        raise ChangeError(MANY_VOTERS)
    return after


def enter_joint(members: Members, steps: list[tuple[int, int]], auto_leave: bool) -> Members:
    """The joint configuration on the way to what `steps` lead to. Raises ChangeError."""
    if members.outgoing:
        raise ChangeError(ALREADY_JOINT)
    if not members.voters:
        raise ChangeError(NO_VOTERS)
    return _apply(members, members.voters, auto_leave, steps)


def leave_joint(members: Members) -> Members:
    """The configuration behind a joint one. Raises ChangeError."""
    if not members.outgoing:
        raise ChangeError(NOT_JOINT)
    return Members(members.voters, (), members.learners + members.learners_next)


def after(members: Members, change: Change) -> Members:
    """The configuration that `change` leads to. Raises ChangeError."""
    if not change.steps:
        return leave_joint(members)
    if change.transition != AUTO or len(change.steps) > 1:
        return enter_joint(members, change.steps, change.transition != EXPLICIT)
    return simple(members, change.steps)


def check_strictly(members: Members, change: Change) -> None:
    """Raise ChangeError where rule C11 asks for more than `after` does: learners first, and joint for voters."""
    result = after(members, change)
    if not change.steps:
        return
    for member in result.voters:
        if member not in members.voters and member not in members.learners:
            raise ChangeError(SKIPS_LEARNING)
    if not result.outgoing and result.voters != members.voters:
        raise ChangeError(NEEDS_JOINT)


class Tracker:
    """The configuration in force, with the progress of each of its members and the votes of the present election.

    `ids` are all members, sorted: whoever sends to all goes by it, so the order is the same in every run.
    """

    def __init__(self, config: Config, members: Members, last_index: int) -> None:
        self._config: Final = config
        self.members = members
        self.progress: dict[int, Progress] = {}
        self.ids: list[int] = []
        self.votes: dict[int, bool] = {}
        self.switch(members, last_index)

    def switch(self, members: Members, last_index: int) -> None:
        """Let `members` hold from now on. Who stays keeps its progress; who is new is probed from the log's end."""
        progress: dict[int, Progress] = {}
        for member in sorted({*members.voters, *members.outgoing, *members.learners}):
            known = self.progress.get(member)
            if known is None:
                inflights = Inflights(self._config.max_inflight_messages, self._config.max_inflight_bytes)
                known = Progress(0, max(last_index, 1), False, inflights)
                # Else the check of the quorum could depose a leader before a new member had the time to answer.
                known.active = True
            known.learner = member in members.learners
            progress[member] = known
        self.members = members
        self.progress = progress
        self.ids = list(progress)

    def is_voter(self, member: int) -> bool:
        """Whether `member` votes, in either half."""
        return member in self.members.voters or member in self.members.outgoing

    def sole_voter(self, member: int) -> bool:
        """Whether `member` decides alone."""
        return self.members.voters == (member,) and not self.members.outgoing

    def committed(self) -> int:
        """The highest index that a quorum has acknowledged as durable."""
        match = {member: progress.match for member, progress in self.progress.items()}
        return quorum.joint_committed(self.members.voters, self.members.outgoing, match)

    def decide(self, votes: dict[int, bool]) -> int:
        """PENDING, LOST or WON (`quorum.py`), by the configuration in force."""
        return quorum.joint_vote(self.members.voters, self.members.outgoing, votes)

    def quorum_active(self) -> bool:
        """Whether a quorum was heard of since the last check."""
        active = {member: progress.active for member, progress in self.progress.items()}
        return self.decide(active) == quorum.WON
