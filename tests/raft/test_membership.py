"""From one configuration to the next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.raft import membership
from amqpd.raft.config import Config
from amqpd.raft.faults import ChangeError
from amqpd.raft.membership import Tracker, after, check_strictly, enter_joint, leave_joint, simple
from amqpd.raft.messages import (
    ADD_LEARNER,
    ADD_VOTER,
    AUTO,
    EXPLICIT,
    IMPLICIT,
    REMOVE,
    UPDATE,
    Change,
    Members,
)

CONFIG = Config(b"a group of tests", 1)
THREE = Members((1, 2, 3))
STEPS = st.lists(st.tuples(st.sampled_from((ADD_VOTER, ADD_LEARNER, REMOVE, UPDATE)), st.integers(0, 6)), max_size=6)
STARTS = st.builds(
    lambda voters, learners: Members(tuple(voters), (), tuple(learners - voters)),
    st.frozensets(st.integers(1, 6), min_size=1),
    st.frozensets(st.integers(1, 6)),
)


def test_a_simple_change_adds_one_voter_and_any_learners():
    assert simple(THREE, [(ADD_VOTER, 4), (ADD_LEARNER, 5), (ADD_LEARNER, 6)]).same(Members((1, 2, 3, 4), (), (5, 6)))


@pytest.mark.parametrize(
    ("members", "steps", "reason"),
    [
        (THREE, [(ADD_VOTER, 4), (REMOVE, 1)], membership.MANY_VOTERS),
        (THREE, [(ADD_LEARNER, 1), (ADD_LEARNER, 2)], membership.MANY_VOTERS),
        (THREE, [(REMOVE, 1), (REMOVE, 2), (REMOVE, 3)], membership.LAST_VOTER),
        (Members((1,)), [(ADD_LEARNER, 1)], membership.LAST_VOTER),
        (Members((1,), (2,)), [(ADD_LEARNER, 5)], membership.SIMPLE_IN_JOINT),
    ],
)
def test_what_a_simple_change_cannot_do(members, steps, reason):
    with pytest.raises(ChangeError, match=reason):
        simple(members, steps)


def test_a_voter_that_becomes_a_learner_votes_in_the_old_half_until_the_end():
    joint = enter_joint(THREE, [(ADD_LEARNER, 3), (ADD_VOTER, 4)], True)
    assert joint.same(Members((1, 2, 4), (1, 2, 3), (), (3,), True))
    assert leave_joint(joint).same(Members((1, 2, 4), (), (3,)))


def test_a_joint_configuration_is_entered_once_and_left_once():
    joint = enter_joint(THREE, [], False)
    with pytest.raises(ChangeError, match=membership.ALREADY_JOINT):
        enter_joint(joint, [], False)
    with pytest.raises(ChangeError, match=membership.NOT_JOINT):
        leave_joint(leave_joint(joint))
    with pytest.raises(ChangeError, match=membership.NO_VOTERS):
        enter_joint(Members(), [(ADD_VOTER, 1)], False)


def test_the_transition_decides_on_the_way():
    assert not after(THREE, Change([(ADD_VOTER, 4)], AUTO)).outgoing
    assert after(THREE, Change([(ADD_VOTER, 4), (ADD_VOTER, 5)], AUTO)).auto_leave
    assert after(THREE, Change([(ADD_VOTER, 4)], IMPLICIT)).auto_leave
    joint = after(THREE, Change([(ADD_VOTER, 4)], EXPLICIT))
    assert joint.outgoing == (1, 2, 3)
    assert not joint.auto_leave
    assert after(joint, Change([], AUTO)).same(Members((1, 2, 3, 4)))


def test_strictly_a_voter_was_a_learner_and_voters_change_jointly():
    with pytest.raises(ChangeError, match=membership.SKIPS_LEARNING):
        check_strictly(THREE, Change([(ADD_VOTER, 4)]))
    learning = Members((1, 2, 3), (), (4,))
    with pytest.raises(ChangeError, match=membership.NEEDS_JOINT):
        check_strictly(learning, Change([(ADD_VOTER, 4)], AUTO))
    check_strictly(learning, Change([(ADD_VOTER, 4)]))
    check_strictly(THREE, Change([(ADD_LEARNER, 4)], AUTO))


@given(STARTS, STEPS)
def test_quorums_before_and_after_a_change_always_meet(start, steps):
    try:
        joint = enter_joint(start, steps, False)
    except ChangeError:
        return
    final = leave_joint(joint)
    assert joint.outgoing == start.voters
    assert joint.voters == final.voters
    assert final.voters
    assert not set(final.voters) & set(final.learners)
    assert set(joint.learners_next) <= set(joint.outgoing) - set(joint.voters)


@given(STARTS, STEPS)
def test_a_change_made_simply_or_jointly_ends_the_same(start, steps):
    try:
        assert simple(start, steps).same(leave_joint(enter_joint(start, steps, False)))
    except ChangeError:
        pass


@given(STARTS, STEPS)
def test_the_tracker_keeps_the_progress_of_who_stays(start, steps):
    tracker = Tracker(CONFIG, start, 7)
    before = dict(tracker.progress)
    try:
        tracker.switch(enter_joint(start, steps, False), 9)
    except ChangeError:
        return
    members = tracker.members
    assert tracker.ids == sorted({*members.voters, *members.outgoing, *members.learners})
    for member, progress in tracker.progress.items():
        assert progress is before.get(member, progress)
        assert progress.learner == (member in members.learners)
        assert progress.next == (7 if member in before else 9)
