"""Changes of members on their way through the log."""

import pytest
from rafting import Node, Team, message

from amqpd.raft.codec import encode_change
from amqpd.raft.faults import InvariantError
from amqpd.raft.messages import (
    ADD_LEARNER,
    ADD_VOTER,
    APPEND,
    APPEND_REPLY,
    AUTO,
    CHANGE,
    EXPLICIT,
    PRE_VOTE_REPLY,
    REMOVE,
    VOTE,
    VOTE_REPLY,
    Change,
    Entry,
    Members,
)
from amqpd.raft.refusals import CHANGE_INVALID, CHANGE_PENDING, REMOVED
from amqpd.raft.states import FOLLOWER, LEADER, PRE_CANDIDATE


def test_a_learner_catches_up_and_becomes_a_voter():
    team = Team(strict_changes=True)
    leader = team.elect(1)
    leader.propose([b"a"])
    team.settle()
    node = team.add(4)
    assert leader.propose_change(Change([(ADD_LEARNER, 4)])) > 0
    team.settle()
    assert node.payloads() == [b"a"]
    assert not node.group.promotable()
    assert leader.propose_change(Change([(ADD_VOTER, 4)])) > 0
    team.settle()
    for member in (1, 2, 3, 4):
        assert team[member].members().same(Members((1, 2, 3, 4)))
    assert node.group.promotable()


def test_a_change_takes_effect_when_it_is_applied_not_before():
    team = Team()
    leader = team.elect(1)
    leader.propose_change(Change([(REMOVE, 3)], AUTO))
    team.nodes[1].run()
    assert leader.members().voters == (1, 2, 3)
    team.settle()
    assert team[2].members().voters == (1, 2)


def test_a_learner_does_not_count():
    team = Team(members=Members((1, 2), (), (3,)))
    leader = team.elect(1)
    leader.propose([b"a"])
    team.settle(1, 3)
    assert leader.commit == 1
    team.settle()
    assert leader.commit == 2


def test_a_joint_configuration_needs_both_halves():
    team = Team(members=Members((1, 2, 3), (), (4, 5)))
    leader = team.elect(1)
    leader.propose_change(Change([(ADD_VOTER, 4), (ADD_VOTER, 5), (REMOVE, 2), (REMOVE, 3)], EXPLICIT))
    team.settle()
    assert leader.members().outgoing == (1, 2, 3)
    leader.propose([b"a"])
    team.settle(1, 4, 5)
    assert leader.commit == 2
    team.settle()
    leader.propose([b"b"])
    team.settle(1, 2, 3)
    assert leader.commit == 3
    team.settle()
    assert leader.propose_change(Change([])) > 0
    team.settle()
    assert leader.members().same(Members((1, 4, 5)))


def test_one_change_at_a_time():
    team = Team()
    leader = team.elect(1)
    assert leader.propose_change(Change([(REMOVE, 3)], AUTO)) > 0
    assert leader.propose_change(Change([(REMOVE, 2)], AUTO)) == CHANGE_PENDING
    team.settle()
    assert leader.propose_change(Change([(REMOVE, 2)], AUTO)) > 0


def test_no_change_before_an_entry_of_the_own_term_is_committed():
    """The bug of single-server changes (Ongaro, 2015)."""
    node = Node(1, Members((1, 2, 3)), strict_changes=True, pre_vote=False)
    node.group.campaign()
    node.run()
    node.group.step(message(VOTE_REPLY, 2, 1, 1))
    assert node.group.role == LEADER
    assert node.group.propose_change(Change([(ADD_LEARNER, 4)])) == CHANGE_PENDING
    node.run()
    node.group.step(message(APPEND_REPLY, 2, 1, 1, index=1))
    node.run()
    assert node.group.propose_change(Change([(ADD_LEARNER, 4)])) == 2


@pytest.mark.parametrize(
    "change",
    [
        Change([(ADD_VOTER, 4)]),
        Change([(REMOVE, 3)], AUTO),
        Change([]),
        Change([(REMOVE, 1), (REMOVE, 2), (REMOVE, 3)]),
    ],
)
def test_what_breaks_the_rules_is_refused_and_leaves_nothing_behind(change):
    team = Team(strict_changes=True)
    leader = team.elect(1)
    assert leader.propose_change(change) == CHANGE_INVALID
    assert leader.last_index() == 1


def test_a_change_that_is_not_possible_any_more_changes_nothing():
    team = Team(validate_changes=False)
    leader = team.elect(1)
    leader.propose_change(Change([]))
    team.settle()
    assert [team[member].members().voters for member in (1, 2, 3)] == [(1, 2, 3)] * 3
    assert leader.applied == 2


def test_a_change_that_cannot_be_read_stops_the_node():
    node = Node(2, Members((1, 2, 3)))
    node.group.step(message(APPEND, 1, 2, 1, entries=[Entry(1, 1, CHANGE, b"?")], commit=1))
    node.take()
    with pytest.raises(InvariantError, match="entry 1 is no change"):
        node.sync()
        node.take()


def test_a_member_that_does_not_know_how_the_group_began_stops_at_a_change():
    team = Team()
    leader = team.elect(1)
    team.add(4, Members())
    leader.propose_change(Change([(ADD_LEARNER, 4)]))
    with pytest.raises(InvariantError, match="members that this one does not know"):
        team.settle()


def test_a_member_without_a_configuration_gets_it_with_a_snapshot():
    team = Team()
    leader = team.elect(1)
    team.snapshot(1)
    team.add(4, Members())
    leader.propose_change(Change([(ADD_LEARNER, 4)]))
    team.settle(1, 2, 3)
    team.snapshot(1)
    team.settle()
    assert team[4].members().same(leader.members())


def test_a_removed_leader_steps_down_when_that_is_applied():
    team = Team()
    leader = team.elect(1)
    leader.propose_change(Change([(REMOVE, 1)], AUTO))
    assert leader.role == LEADER
    team.settle()
    assert (leader.role, leader.lead) == (FOLLOWER, 0)
    leader.campaign()
    assert leader.role == FOLLOWER
    team[3].forget_leader()
    team.elect(2)
    assert team[3].lead == 2


def test_a_removed_leader_that_stays_takes_nothing_and_does_not_count_itself():
    team = Team(step_down_on_removal=False)
    leader = team.elect(1)
    leader.propose_change(Change([(REMOVE, 1)], AUTO))
    team.settle()
    assert leader.role == LEADER
    assert leader.propose([b"x"]) == REMOVED
    assert 1 not in leader.tracker.progress


def test_a_smaller_quorum_commits_what_the_larger_one_had_not():
    team = Team()
    leader = team.elect(1)
    leader.propose_change(Change([(REMOVE, 3)], AUTO))
    leader.propose([b"x"])
    team.settle(1)
    leader.step(message(APPEND_REPLY, 2, 1, 1, index=2))
    leader.step(message(APPEND_REPLY, 2, 1, 1, index=3))
    team.nodes[1].run()
    assert leader.commit == 3
    assert leader.members().voters == (1, 2)


def test_a_transfer_to_who_is_removed_is_given_up():
    team = Team()
    leader = team.elect(1)
    leader.propose_change(Change([(REMOVE, 3)], AUTO))
    leader.transfer(3)
    assert leader.transferring_to == 3
    team.settle(1, 2)
    assert leader.transferring_to == 0


def test_a_joint_configuration_is_left_by_the_next_leader():
    team = Team()
    leader = team.elect(1)
    leader.propose_change(Change([(REMOVE, 3)]))
    team.nodes[1].run()
    team.deliver()
    team.settle(2)
    team.deliver(1)
    team.nodes[1].take()
    assert leader.members().auto_leave
    team.nodes[1].out.clear()
    team.nodes[2].out.clear()
    team[2].forget_leader()
    team[3].forget_leader()
    team[2].campaign()
    team.settle(2, 3)
    assert team[2].role == LEADER
    team.settle()
    assert team[2].members().same(Members((1, 2)))
    assert team[1].members().same(Members((1, 2)))


def test_a_joint_configuration_is_left_after_a_transfer_came_to_nothing():
    team = Team()
    leader = team.elect(1)
    leader.propose_change(Change([(REMOVE, 3)]))
    leader.transfer(3)
    team.settle(1, 2)
    assert leader.members().auto_leave
    for _ in range(10):
        leader.tick()
        team.settle(1, 2)
    assert leader.members().same(Members((1, 2)))


def test_the_configuration_survives_a_crash_with_what_was_applied():
    team = Team()
    leader = team.elect(1)
    leader.propose_change(Change([(ADD_LEARNER, 4)], AUTO))
    team.settle(1, 2, 3, lose=lambda each: each.to == 4)
    again = Node(2, Members((1, 2, 3)), team.nodes[2].log)
    again.run()
    assert again.group.members().same(Members((1, 2, 3), (), (4,)))


def test_who_did_not_hear_that_its_leader_is_gone_learns_it_when_it_asks_for_votes():
    """The old leader has the longer log, so it gives no vote, and is no voter any more, so it does not campaign."""
    team = Team(2, strict_changes=True)
    leader = team.elect(2)
    leader.propose_change(Change([(REMOVE, 2)]))
    team.nodes[2].run()
    team.deliver(1)
    team.nodes[1].run()
    team.deliver(2)
    team.nodes[2].run()
    leader.propose([b"x"])
    team.settle(lose=lambda each: each.to == 1 and (each.index >= 3 or each.commit >= 3))
    assert (leader.role, leader.commit, leader.last_index()) == (FOLLOWER, 3, 4)
    assert (team[1].commit, team[1].last_index(), team[1].members().outgoing) == (2, 3, (1, 2))
    team[1].campaign()
    team.settle()
    assert team[1].members().same(Members((1,)))
    team.elect(1)


def leaving_joint():
    """Member 1 asks for pre-votes, and has not heard that leaving the joint configuration is committed."""
    node = Node(1, Members((1, 2), (1, 3)), strict_changes=True)
    node.group.step(message(APPEND, 3, 1, 1, entries=[Entry(1, 1, CHANGE, encode_change(Change([])))]))
    node.run()
    node.group.campaign()
    node.run()
    assert node.group.role == PRE_CANDIDATE
    return node


@pytest.mark.parametrize("rejected", [False, True])
def test_an_answer_that_tells_of_a_committed_change_ends_the_campaign(rejected):
    """Also a yes: all others of the old half may be gone for good."""
    node = leaving_joint()
    term = node.group.term + (not rejected)
    node.group.step(message(PRE_VOTE_REPLY, 2, 1, term, rejected=rejected, commit=1, log_term=1))
    assert (node.group.role, node.group.commit) == (FOLLOWER, 1)
    node.run()
    assert node.group.members().same(Members((1, 2)))


@pytest.mark.parametrize(("commit", "log_term"), [(0, 0), (1, 2), (2, 1), (1, 0)])
def test_an_answer_that_tells_of_another_log_commits_nothing(commit, log_term):
    node = leaving_joint()
    node.group.step(message(PRE_VOTE_REPLY, 2, 1, 2, commit=commit, log_term=log_term))
    assert (node.group.role, node.group.commit) == (PRE_CANDIDATE, 0)


def test_a_candidate_goes_on_when_it_learns_that_plain_entries_are_committed():
    node = Node(1, Members((1, 2, 3)), strict_changes=True, pre_vote=False)
    node.group.step(message(APPEND, 2, 1, 1, entries=[Entry(1, 1, 0, b"x")]))
    node.run()
    node.group.campaign()
    node.run()
    node.group.step(message(VOTE_REPLY, 3, 1, 2, commit=1, log_term=1))
    assert (node.group.role, node.group.commit) == (LEADER, 1)


@pytest.mark.parametrize(("strict", "told"), [(True, (1, 1)), (False, (0, 0))])
@pytest.mark.parametrize("granted", [True, False])
def test_voters_tell_what_is_committed(strict, told, granted):
    node = Node(2, Members((1, 2, 3)), strict_changes=strict, check_quorum=False)
    node.group.step(message(APPEND, 1, 2, 1, entries=[Entry(1, 1, 0, b"x"), Entry(1, 2, 0, b"y")], commit=1))
    node.run()
    node.out.clear()
    node.group.step(message(VOTE, 3, 2, 2, index=2 if granted else 0, log_term=1))
    node.run()
    assert [(each.rejected, each.commit, each.log_term) for each in node.out] == [(not granted, *told)]
