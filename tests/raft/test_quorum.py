"""Majorities, checked against the definition: what more than half of each set of voters has."""

from hypothesis import given
from hypothesis import strategies as st

from amqpd.raft.config import NO_LIMIT
from amqpd.raft.quorum import LOST, PENDING, WON, joint_committed, joint_vote, majority_committed, majority_vote

VOTERS = st.frozensets(st.integers(1, 9), max_size=7)
MATCH = st.dictionaries(st.integers(1, 9), st.integers(0, 12))
VOTES = st.dictionaries(st.integers(1, 9), st.booleans())


@given(VOTERS.filter(bool), MATCH)
def test_committed_is_the_highest_index_that_more_than_half_have(voters, match):
    index = majority_committed(voters, match)
    assert 2 * sum(match.get(voter, 0) >= index for voter in voters) > len(voters)
    assert 2 * sum(match.get(voter, 0) > index for voter in voters) <= len(voters)


def test_without_voters_nothing_holds_the_commit_index_up():
    assert majority_committed((), {1: 5}) == NO_LIMIT
    assert joint_committed((1,), (), {1: 5}) == 5


@given(VOTERS, VOTERS, MATCH)
def test_a_joint_index_needs_both_halves_and_does_not_know_old_from_new(first, second, match):
    index = joint_committed(first, second, match)
    assert index == joint_committed(second, first, match)
    assert index == min(majority_committed(first, match), majority_committed(second, match))


@given(VOTERS.filter(bool), VOTES)
def test_a_vote_is_decided_when_missing_votes_cannot_change_it(voters, votes):
    granted = sum(votes.get(voter, False) for voter in voters)
    hopeful = sum(votes.get(voter, True) for voter in voters)
    expected = WON if 2 * granted > len(voters) else PENDING if 2 * hopeful > len(voters) else LOST
    assert majority_vote(voters, votes) == expected


@given(VOTERS, VOTERS, VOTES)
def test_a_joint_vote_is_won_twice_or_lost_once(first, second, votes):
    halves = {majority_vote(first, votes), majority_vote(second, votes)}
    expected = LOST if LOST in halves else PENDING if PENDING in halves else WON
    assert joint_vote(first, second, votes) == expected


def test_without_voters_a_vote_is_won():
    assert majority_vote((), {}) == WON
