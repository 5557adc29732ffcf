"""Read index: nobody reads what might be old."""

from rafting import Node, Team, message

from amqpd.raft.messages import (
    APPEND_REPLY,
    AUTO,
    HEARTBEAT,
    HEARTBEAT_REPLY,
    READ,
    REMOVE,
    VOTE_REPLY,
    Change,
    Members,
)
from amqpd.raft.refusals import TOO_MUCH


def taken(node):
    return [(read.index, read.context) for read in node.reads]


def test_a_leader_answers_after_a_round_of_heartbeats():
    team = Team()
    leader = team.elect(1)
    assert leader.read_index(b"r") == 0
    team.nodes[1].run()
    assert taken(team.nodes[1]) == []
    team.settle()
    assert taken(team.nodes[1]) == [(1, b"r")]


def test_a_follower_asks_its_leader():
    team = Team()
    team.elect(1)
    assert team[2].read_index(b"r") == 0
    assert team[3].read_index(b"r") == 0
    team.settle()
    assert taken(team.nodes[2]) == taken(team.nodes[3]) == [(1, b"r")]
    assert taken(team.nodes[1]) == []


def test_a_leader_that_lost_its_followers_answers_nothing():
    team = Team()
    leader = team.elect(1)
    leader.read_index(b"r")
    team.nodes[1].run()
    team.nodes[1].out.clear()
    for member in (2, 3):
        team[member].forget_leader()
    team[2].campaign()
    team.settle(2, 3)
    team.settle()
    assert taken(team.nodes[1]) == []
    assert leader.reads_pending == []


def test_a_read_waits_for_the_first_commit_of_the_term():
    node = Node(1, Members((1, 2, 3)), pre_vote=False)
    node.group.campaign()
    node.run()
    node.group.step(message(VOTE_REPLY, 2, 1, 1))
    node.group.read_index(b"r")
    node.run()
    assert not [each for each in node.out if each.kind == HEARTBEAT]
    node.group.step(message(APPEND_REPLY, 2, 1, 1, index=1))
    node.run()
    beat = next(each for each in node.out if each.kind == HEARTBEAT and each.to == 2)
    assert beat.context
    node.group.step(message(HEARTBEAT_REPLY, 2, 1, 1, context=beat.context))
    node.run()
    assert taken(node) == [(1, b"r")]


def test_one_round_confirms_all_reads_before_it():
    team = Team()
    leader = team.elect(1)
    leader.read_index(b"first")
    leader.propose([b"x"])
    team.nodes[1].run()
    team.nodes[1].out.clear()
    leader.read_index(b"second")
    team.settle()
    assert taken(team.nodes[1]) == [(1, b"first"), (1, b"second")]


def test_a_lost_round_is_repeated_with_the_next_heartbeat():
    team = Team()
    leader = team.elect(1)
    leader.read_index(b"r")
    team.nodes[1].run()
    team.nodes[1].out.clear()
    leader.tick()
    team.settle()
    assert taken(team.nodes[1]) == [(1, b"r")]


def test_answers_to_other_heartbeats_and_of_learners_confirm_nothing():
    team = Team(members=Members((1, 2), (), (3,)))
    leader = team.elect(1)
    leader.read_index(b"r")
    team.nodes[1].run()
    context = team.nodes[1].out[0].context
    leader.step(message(HEARTBEAT_REPLY, 2, 1, 1, context=b"\0" * 8))
    leader.step(message(HEARTBEAT_REPLY, 2, 1, 1))
    leader.step(message(HEARTBEAT_REPLY, 3, 1, 1, context=context))
    team.nodes[1].take()
    assert taken(team.nodes[1]) == []


def test_a_read_does_not_wait_for_members_that_are_gone():
    team = Team(2)
    leader = team.elect(1)
    leader.propose_change(Change([(REMOVE, 2)], AUTO))
    team.settle(1)
    team.deliver(2)
    team.nodes[2].run()
    leader.read_index(b"r")
    team.deliver(1)
    team.nodes[2].out.clear()
    team.nodes[1].run()
    assert leader.members().voters == (1,)
    assert taken(team.nodes[1]) == [(1, b"r")]


def test_who_decides_alone_answers_at_once():
    node = Node(1, Members((1,)))
    node.group.campaign()
    node.run()
    node.group.read_index(b"r")
    node.take()
    assert taken(node) == [(1, b"r")]


def test_the_number_of_waiting_reads_is_limited():
    team = Team(max_pending_reads=2)
    leader = team.elect(1)
    assert [leader.read_index(b"r") for _ in range(3)] == [0, 0, TOO_MUCH]


def test_a_read_at_somebody_who_does_not_lead_is_dropped():
    team = Team()
    team.elect(1)
    team[2].step(message(READ, 3, 2, 0, context=b"r"))
    team.nodes[2].take()
    assert team.nodes[2].out == []
