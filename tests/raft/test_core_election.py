"""Who becomes a leader, who may vote, and what has to be durable for that."""

import pytest
from rafting import GROUP, Node, SlowLog, Team, entries, message

from amqpd.raft.config import Config
from amqpd.raft.faults import InvariantError, RaftError
from amqpd.raft.messages import (
    ADD_VOTER,
    APPEND,
    APPEND_REPLY,
    AUTO,
    CHANGE,
    HEARTBEAT,
    HEARTBEAT_REPLY,
    PRE_VOTE,
    PRE_VOTE_REPLY,
    PROPOSE,
    TIMEOUT_NOW,
    VERSION,
    VOTE,
    VOTE_REPLY,
    Change,
    Entry,
    HardState,
    Members,
)
from amqpd.raft.refusals import DAMAGED, NO_LEADER, TRANSFERRING
from amqpd.raft.states import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE

PLAIN = {"pre_vote": False, "check_quorum": False}


def kinds(messages):
    return [each.kind for each in messages]


def test_a_silent_group_elects_somebody():
    team = Team()
    for _ in range(40):
        for member in team.nodes:
            team.tick(member, 1)
        team.settle()
    leaders = [node.group for node in team.nodes.values() if node.group.role == LEADER]
    assert len(leaders) == 1
    assert {node.group.lead for node in team.nodes.values()} == {leaders[0].member}


def test_the_timeout_is_between_one_and_two_election_timeouts():
    node = Node(1, Members((1, 2, 3)), election_ticks=10)
    for _ in range(50):
        assert 10 <= node.group.randomized_election_ticks < 20
        node.group.become_follower(node.group.term + 1, 0)


def test_the_only_voter_leads_when_its_own_vote_is_durable():
    node = Node(1, Members((1,)))
    node.group.campaign()
    node.take()
    assert node.group.role == PRE_CANDIDATE
    node.run()
    assert node.group.role == LEADER
    assert node.group.commit == node.group.applied == 1


def test_a_vote_request_and_the_own_vote_wait_for_the_write():
    node = Node(1, Members((1, 2, 3)), **PLAIN)
    node.group.campaign()
    node.take()
    assert node.group.role == CANDIDATE
    assert node.out == []
    assert node.group.tracker.votes == {}
    write = node.unsynced[0]
    assert write.sync
    assert (write.hard_state.term, write.hard_state.vote) == (1, 1)
    node.sync()
    assert kinds(node.out) == [VOTE, VOTE]
    assert node.group.tracker.votes == {1: True}


def test_the_answer_to_a_vote_request_waits_for_the_write():
    node = Node(2, Members((1, 2, 3)))
    node.group.step(message(VOTE, 1, 2, 1))
    node.take()
    assert node.out == []
    assert (node.unsynced[0].hard_state.term, node.unsynced[0].hard_state.vote) == (1, 1)
    node.sync()
    assert kinds(node.out) == [VOTE_REPLY]
    assert not node.out[0].rejected


def test_one_vote_in_a_term_also_across_a_crash():
    node = Node(2, Members((1, 2, 3)))
    node.group.step(message(VOTE, 1, 2, 1))
    node.run()
    node = node.crash()
    node.group.step(message(VOTE, 3, 2, 1))
    node.group.step(message(VOTE, 1, 2, 1))
    node.run()
    assert [(each.to, each.rejected) for each in node.out] == [(3, True), (1, False)]


def test_a_new_term_forgets_the_vote():
    node = Node(2, Members((1, 2, 3)))
    node.group.step(message(VOTE, 1, 2, 1))
    node.group.step(message(HEARTBEAT, 3, 2, 2))
    assert (node.group.term, node.group.vote, node.group.lead) == (2, 0, 3)


@pytest.mark.parametrize("kind", [VOTE, PRE_VOTE])
def test_nobody_gets_a_vote_in_a_term_that_has_a_leader(kind):
    """Also not of a member that has not voted in it, and does not protect its leader."""
    node = Node(2, Members((1, 2, 3)), **PLAIN)
    node.group.step(message(HEARTBEAT, 1, 2, 2))
    node.run()
    node.out.clear()
    node.group.step(message(kind, 3, 2, 2))
    node.run()
    assert [(each.to, each.rejected) for each in node.out] == [(3, True)]
    assert node.group.vote == 0


def test_a_log_that_is_behind_gets_no_vote():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"x"])
    team.settle(1, 2)
    team.deliver(3, lose=lambda each: True)
    team[2].forget_leader()
    team[3].campaign()
    team.settle(2, 3)
    assert team[3].role == PRE_CANDIDATE
    assert team[3].tracker.votes == {3: True, 2: False}
    assert (team[2].vote, team[2].term) == (1, 1)


def test_a_pre_vote_changes_nothing_and_asks_at_once():
    team = Team()
    node = team.nodes[1]
    node.group.campaign()
    node.take()
    assert kinds(node.out) == [PRE_VOTE, PRE_VOTE]
    assert {each.term for each in node.out} == {1}
    assert node.group.term == 0
    voter = team.nodes[2]
    voter.group.step(node.out[0])
    voter.run()
    assert (voter.group.term, voter.group.vote) == (0, 0)
    assert kinds(voter.out) == [PRE_VOTE_REPLY]


def test_a_pre_candidate_whom_nobody_would_elect_follows_again():
    team = Team()
    node = team.nodes[1]
    node.group.campaign()
    node.run()
    for sender in (2, 3):
        node.group.step(message(PRE_VOTE_REPLY, sender, 1, 1, rejected=True))
    assert (node.group.role, node.group.term) == (FOLLOWER, 1)


def test_nobody_gets_a_vote_while_a_leader_is_heard_of():
    team = Team()
    team.elect(1)
    team[3].campaign()
    team.settle(2, 3)
    assert team[3].role == PRE_CANDIDATE
    team.tick(2, 10)
    team[3].campaign()
    team.settle(2, 3)
    assert team[3].role == LEADER


def test_a_vote_request_of_a_higher_term_is_not_looked_at_while_a_leader_is_heard_of():
    team = Team()
    team.elect(1)
    team[2].step(message(VOTE, 3, 2, 9, index=99, log_term=8))
    assert team[2].term == 1
    team[2].step(message(VOTE, 3, 2, 9, index=99, log_term=8, forced=True))
    assert (team[2].term, team[2].vote) == (9, 3)


def test_a_leader_without_contact_steps_down():
    team = Team()
    team.elect(1)
    team.tick(1, 10)
    assert team[1].role == LEADER
    team.tick(1, 10)
    assert (team[1].role, team[1].lead, team[1].term) == (FOLLOWER, 0, 1)


def test_a_leader_with_contact_to_a_majority_stays():
    team = Team()
    team.elect(1)
    for _ in range(50):
        team.tick(1, 1)
        team.settle(1, 2)
    assert team[1].role == LEADER


def test_a_higher_term_in_any_answer_deposes_a_leader():
    team = Team()
    team.elect(1)
    team[1].step(message(HEARTBEAT_REPLY, 2, 1, 5))
    assert (team[1].role, team[1].term, team[1].lead) == (FOLLOWER, 5, 0)


def test_answers_of_older_terms_do_not_count():
    team = Team(**PLAIN)
    node = team.nodes[1]
    node.group.campaign()
    node.run()
    node.group.campaign()
    node.group.step(message(VOTE_REPLY, 2, 1, 1))
    assert (node.group.role, node.group.term) == (CANDIDATE, 2)
    assert 2 not in node.group.tracker.votes


def test_a_leader_that_was_left_behind_hears_of_the_term():
    team = Team()
    node = team.nodes[2]
    node.group.become_follower(5, 0)
    node.group.step(message(HEARTBEAT, 1, 2, 3))
    node.run()
    assert [(each.kind, each.to, each.term, each.index) for each in node.out] == [(APPEND_REPLY, 1, 5, 0)]


def test_a_member_with_a_committed_change_that_is_not_applied_does_not_campaign():
    node = Node(1, Members((1, 2, 3)), **PLAIN)
    team = Team(**PLAIN)
    leader = team.elect(1)
    index = leader.propose_change(Change([(ADD_VOTER, 4)], AUTO))
    team.settle(1, 2, lose=lambda each: each.to == 4)
    node = team.nodes[2]
    before = node.group
    assert before.commit == index
    # The same member after a crash: the machine has to apply the log again.
    again = Node(2, Members((1, 2, 3)), node.log, 0, **PLAIN)
    again.group.campaign()
    assert again.group.role == FOLLOWER
    again.run()
    again.group.campaign()
    assert again.group.role == CANDIDATE


def test_learners_do_not_campaign_but_vote_when_asked():
    node = Node(3, Members((1, 2), (), (3,)))
    node.group.campaign()
    team_tick = node.group.randomized_election_ticks + 1
    for _ in range(team_tick):
        node.group.tick()
    assert node.group.role == FOLLOWER
    node.group.step(message(VOTE, 1, 3, 1))
    node.run()
    assert not node.out[0].rejected


def test_no_vote_for_who_cannot_run_the_machine():
    node = Node(2, Members((1, 2, 3)))
    node.group.require_version(3)
    node.group.step(message(PRE_VOTE, 1, 2, 1, version=2))
    node.group.step(message(PRE_VOTE, 3, 2, 1, version=3))
    node.run()
    assert [(each.to, each.rejected) for each in node.out] == [(1, True), (3, False)]


def test_leadership_is_handed_to_who_has_the_whole_log():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"x"])
    leader.transfer(3)
    assert leader.propose([b"y"]) == TRANSFERRING
    team.settle()
    assert (team[3].role, team[1].lead) == (LEADER, 3)
    assert team.nodes[1].payloads() == [b"x"]


def test_a_follower_asks_the_leader_to_hand_over():
    team = Team()
    team.elect(1)
    team[2].transfer(2)
    team.settle()
    assert team[2].role == LEADER


def test_a_transfer_that_does_not_succeed_is_given_up():
    team = Team()
    leader = team.elect(1)
    leader.transfer(3)
    team.nodes[1].run()
    assert TIMEOUT_NOW in kinds(team.nodes[1].out)
    team.deliver(lose=lambda each: each.kind == TIMEOUT_NOW)
    for _ in range(10):
        team.tick(1, 1)
        team.settle(1, 2)
    assert leader.transferring_to == 0
    assert leader.propose([b"x"]) > 0


def test_nothing_is_handed_to_learners_strangers_or_oneself():
    team = Team(members=Members((1, 2), (), (3,)))
    leader = team.elect(1)
    for to in (3, 9, 1):
        leader.transfer(to)
        assert leader.transferring_to == 0


def test_a_forgotten_leader_protects_no_more():
    team = Team()
    team.elect(1)
    team[2].forget_leader()
    assert (team[2].lead, team[2].term) == (0, 1)
    team[1].forget_leader()
    assert team[1].lead == 1
    team[3].campaign()
    team.settle(2, 3)
    assert team[3].role == LEADER


@pytest.mark.parametrize(
    "wrong",
    [
        message(VOTE, 1, 3, 9, forced=True),
        message(VOTE, 2, 2, 9, forced=True),
        message(VOTE, 0, 2, 9, forced=True),
        message(APPEND, 1, 2, 0),
    ],
)
def test_messages_for_others_or_of_nobody_are_dropped(wrong):
    node = Node(2, Members((1, 2, 3)))
    node.run()
    node.group.step(wrong)
    assert node.group.dropped == 1
    assert node.group.term == 0
    assert not node.group.dirty


def test_messages_of_another_incarnation_of_the_group_are_dropped():
    node = Node(2, Members((1, 2, 3)))
    other = message(VOTE, 1, 2, 9)
    other = type(other)(VOTE, b"another group of", 1, 2, 9)
    node.group.step(other)
    assert (node.group.dropped, node.group.term) == (1, 0)


def test_answers_of_strangers_do_not_count():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"x"])
    leader.step(message(APPEND_REPLY, 9, 1, 1, index=2))
    leader.step(message(HEARTBEAT_REPLY, 9, 1, 1))
    assert leader.dropped == 2
    assert leader.commit == 1


def test_a_damaged_replica_takes_no_part():
    team = Team()
    team.elect(1)
    team[3].damage()
    team[1].propose([b"x"])
    team.tick(3, 100)
    team[3].campaign()
    team[3].step(message(VOTE, 2, 3, 9, forced=True))
    team.settle()
    assert (team[3].role, team[3].term, team[3].last_index()) == (FOLLOWER, 1, 1)
    assert team[3].propose([b"y"]) == team[3].read_index(b"") == DAMAGED
    assert team[3].propose_change(Change([])) == team[3].propose_version(0) == DAMAGED
    assert team[3].lead == 1
    assert team.nodes[2].payloads() == [b"x"]


def test_what_a_damaged_replica_had_prepared_does_not_go_out():
    node = Node(2, Members((1, 2, 3)))
    node.group.step(message(VOTE, 1, 2, 1))
    node.take()
    node.group.damage()
    node.run()
    assert node.out == []


def test_a_replica_that_comes_back_damaged_takes_no_part():
    node = Node(2, Members((1, 2, 3)), damaged=True)
    node.group.step(message(VOTE, 1, 2, 1))
    node.group.campaign()
    node.run()
    assert node.out == []


def test_storage_that_lost_what_was_committed_is_not_used():
    node = Node(1, Members((1,)))
    node.log.hard_state = HardState(3, 0, 7)
    with pytest.raises(InvariantError, match="committed up to 7"):
        node.crash()


def test_without_a_leader_nothing_is_proposed():
    node = Node(1, Members((1, 2, 3)))
    assert node.group.propose([b"x"]) == NO_LEADER
    assert node.group.read_index(b"r") == NO_LEADER
    assert node.group.propose_change(Change([])) == NO_LEADER
    assert node.group.propose_version(0) == NO_LEADER
    with pytest.raises(RaftError, match="nothing"):
        node.group.propose([])


@pytest.mark.parametrize(
    "knobs",
    [
        {"member": 0},
        {"group": b"short"},
        {"heartbeat_ticks": 0},
        {"election_ticks": 1},
        {"max_inflight_messages": 0},
        {"max_inflight_bytes": 1},
        {"max_pending_reads": 0},
    ],
)
def test_knobs_that_make_no_sense_are_refused(knobs):
    with pytest.raises(RaftError):
        Config(**{"group": GROUP, "member": 1, **knobs})


def test_roles_change_by_the_table_only():
    node = Node(1, Members((1, 2, 3)))
    with pytest.raises(InvariantError, match="follower cannot become leader"):
        node.group.become_leader()


def test_a_pre_candidate_of_an_older_term_hears_of_the_present_one():
    node = Node(2, Members((1, 2, 3)))
    node.group.become_follower(5, 0)
    node.group.step(message(PRE_VOTE, 1, 2, 3, index=9, log_term=2))
    node.run()
    assert [(each.kind, each.term, each.rejected) for each in node.out] == [(PRE_VOTE_REPLY, 5, True)]


def test_a_pre_candidate_follows_a_leader_that_it_hears():
    node = Node(2, Members((1, 2, 3)))
    node.group.campaign()
    node.run()
    node.group.step(message(HEARTBEAT, 1, 2, 1))
    assert (node.group.role, node.group.lead, node.group.term) == (FOLLOWER, 1, 1)


def test_a_candidate_follows_the_leader_of_its_term():
    node = Node(2, Members((1, 2, 3)), **PLAIN)
    node.group.campaign()
    node.run()
    node.group.step(message(HEARTBEAT, 1, 2, 1))
    assert (node.group.role, node.group.lead, node.group.vote) == (FOLLOWER, 1, 2)


def test_answers_of_the_wrong_kind_and_second_answers_do_not_count():
    node = Node(1, Members((1, 2, 3, 4, 5)), **PLAIN)
    node.group.campaign()
    node.run()
    node.group.step(message(PRE_VOTE_REPLY, 2, 1, 1))
    node.group.step(message(VOTE_REPLY, 3, 1, 1, rejected=True))
    node.group.step(message(VOTE_REPLY, 3, 1, 1))
    assert node.group.tracker.votes == {1: True, 3: False}


def test_a_change_on_its_way_to_the_machine_holds_a_campaign_up():
    team = Team(**PLAIN)
    leader = team.elect(1)
    leader.propose_change(Change([(ADD_VOTER, 4)], AUTO))
    team.settle(1, 2, 3, lose=lambda each: each.to == 4)
    log = team.nodes[2].log
    again = Node(2, Members((1, 2, 3)), log, 0, **PLAIN)
    ready = again.group.ready()
    again.group.campaign()
    assert again.group.role == FOLLOWER
    again.group.applied_to(ready.committed[-1].index)
    again.group.campaign()
    assert again.group.role == CANDIDATE


def test_entries_that_storage_has_to_read_hold_a_campaign_up():
    team = Team(**PLAIN)
    team.elect(1).propose([b"x"])
    team.settle()
    log = SlowLog()
    node = Node(2, Members((1, 2, 3)), log, 0, **PLAIN)
    node.group.step(message(APPEND, 1, 2, 1, entries=entries(1, 1), commit=2))
    node.run()
    assert node.applied == []
    node.group.campaign()
    assert node.group.role == FOLLOWER
    log.loaded = True
    node.group.campaign()
    assert node.group.role == CANDIDATE


def test_what_a_follower_sends_on_is_checked_by_the_leader():
    team = Team()
    leader = team.elect(1)
    wrong = [Entry(0, 0, CHANGE, b"?"), Entry(0, 0, VERSION, bytes(4)), Entry(0, 0, 0, b"good")]
    leader.step(message(PROPOSE, 2, 1, 0, entries=wrong))
    team.settle()
    assert leader.dropped == 2
    assert team.nodes[3].payloads() == [b"good"]
