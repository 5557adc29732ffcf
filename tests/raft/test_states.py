"""The tables of roles and of progress: every way in them is gone here, and no code gets from one to another past them.

`Core._become` and `Progress._enter` refuse what is not in the tables; that nothing else sets a role or a state is read
from the source.
"""

import ast
from pathlib import Path

import pytest
from rafting import Node, Team, message

from amqpd.raft import progress, states
from amqpd.raft.faults import InvariantError
from amqpd.raft.messages import APPEND, APPEND_REPLY, HEARTBEAT, PRE_VOTE_REPLY, TIMEOUT_NOW, VOTE_REPLY, Members
from amqpd.raft.progress import PROBE, REPLICATE, SNAPSHOTTING, Inflights, Progress
from amqpd.raft.states import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE

CORE = Path(__file__).resolve().parents[2] / "amqpd/raft"
THREE = Members((1, 2, 3))


def in_role(role, pre_vote=True):
    """Member 1 of three, alone, in a first term that had another leader, and brought to a role."""
    node = Node(1, THREE, pre_vote=pre_vote)
    group = node.group
    hear_leader(node, 1)
    if role != FOLLOWER:
        group.campaign()
    if role in (CANDIDATE, LEADER) and pre_vote:
        node.run()
        group.step(message(PRE_VOTE_REPLY, 2, 1, group.term + 1))
    if role == LEADER:
        node.run()
        group.step(message(VOTE_REPLY, 2, 1, group.term))
    node.run()
    assert group.role == role
    return node


def run_out(node):
    for _ in range(node.group.randomized_election_ticks):
        node.group.tick()


def hear_leader(node, later=0):
    node.group.step(message(HEARTBEAT, 3, 1, node.group.term + later))


def be_refused(node):
    kind = PRE_VOTE_REPLY if node.group.role == PRE_CANDIDATE else VOTE_REPLY
    node.run()
    for member in (2, 3):
        node.group.step(message(kind, member, 1, node.group.term, rejected=True))


def be_granted(node):
    pre_vote = node.group.role == PRE_CANDIDATE
    node.run()
    kind = PRE_VOTE_REPLY if pre_vote else VOTE_REPLY
    node.group.step(message(kind, 2, 1, node.group.term + pre_vote))


def hear_term(node):
    node.group.step(message(APPEND, 2, 1, node.group.term + 1))


def be_asked(node):
    hear_term(node)
    node.group.step(message(TIMEOUT_NOW, 2, 1, node.group.term))


def lose_contact(node):
    # A leader counts who answered since the last look, and all are new.
    for _ in range(2 * node.group.config.election_ticks):
        node.group.tick()


# By from and to: with pre-vote or without, and what brings it about. The table has a reason for each.
ROLES = [
    (FOLLOWER, FOLLOWER, True, hear_term),
    (FOLLOWER, PRE_CANDIDATE, True, run_out),
    (FOLLOWER, CANDIDATE, False, run_out),
    (FOLLOWER, CANDIDATE, True, be_asked),
    (PRE_CANDIDATE, FOLLOWER, True, be_refused),
    (PRE_CANDIDATE, FOLLOWER, True, hear_leader),
    (PRE_CANDIDATE, FOLLOWER, True, hear_term),
    (PRE_CANDIDATE, PRE_CANDIDATE, True, run_out),
    (PRE_CANDIDATE, CANDIDATE, True, be_granted),
    (CANDIDATE, FOLLOWER, True, be_refused),
    (CANDIDATE, FOLLOWER, True, hear_leader),
    (CANDIDATE, FOLLOWER, True, hear_term),
    (CANDIDATE, PRE_CANDIDATE, True, run_out),
    (CANDIDATE, CANDIDATE, False, run_out),
    (CANDIDATE, LEADER, True, be_granted),
    (LEADER, FOLLOWER, True, hear_term),
    (LEADER, FOLLOWER, True, lose_contact),
]


@pytest.mark.parametrize(("before", "after", "pre_vote", "act"), ROLES)
def test_role_changes(before, after, pre_vote, act):
    node = in_role(before, pre_vote)
    was = node.group.term, dict(node.group.tracker.votes)
    act(node)
    assert node.group.role == after
    if before == after:
        # Something begins anew: a term, or a count of votes.
        assert was != (node.group.term, node.group.tracker.votes)


def test_the_table_of_roles_has_nothing_else():
    table = {(before, after) for before, ways in states.TRANSITIONS.items() for after in ways}
    assert table == {(before, after) for before, after, *_ in ROLES}


def leading_team():
    """Member 1 of three leads."""
    team = Team(3)
    team.elect(1)
    return team


def test_a_probe_becomes_a_stream_and_the_other_way_round():
    leader = leading_team()[1]
    sent = leader.tracker.progress[2]
    assert sent.state == REPLICATE
    leader.report_unreachable(2)
    assert sent.state == PROBE
    leader.step(message(APPEND_REPLY, 2, 1, leader.term, index=leader.last_index()))
    assert sent.state == REPLICATE
    leader.step(message(HEARTBEAT, 3, 1, leader.term + 1))
    assert (leader.role, sent.state) == (FOLLOWER, PROBE)


@pytest.mark.parametrize("state", [PROBE, REPLICATE])
def test_who_needs_what_is_gone_gets_a_snapshot_and_then_a_stream(state):
    team = leading_team()
    leader = team[1]
    team.nodes[2].out.clear()
    for _ in range(3):
        leader.propose([b"x"])
        team.settle(1, 3)
    team.snapshot(1)
    sent = leader.tracker.progress[2]
    if state == PROBE:
        leader.report_unreachable(2)
    sent.next = 2
    sent.probe_sent = False
    assert sent.state == state
    leader.propose([b"y"])
    assert sent.state == SNAPSHOTTING
    leader.step(message(APPEND_REPLY, 2, 1, leader.term, index=leader.last_index() - 1))
    assert sent.state == REPLICATE


@pytest.mark.parametrize("ok", [True, False])
def test_a_snapshot_that_was_sent_or_failed_is_followed_by_a_probe(ok):
    leader = leading_team()[1]
    sent = leader.tracker.progress[2]
    sent.become_snapshotting(1)
    leader.report_snapshot(2, ok)
    assert sent.state == PROBE


def test_progress_begins_anew_in_a_term():
    for state in progress.TRANSITIONS:
        one = Progress(0, 1, False, Inflights(1, 1))
        if state == REPLICATE:
            one.become_replicate()
        elif state == SNAPSHOTTING:
            one.become_snapshotting(5)
        one.reset(0, 1)
        assert one.state == PROBE


def test_progress_changes_by_the_table_only():
    one = Progress(0, 1, False, Inflights(1, 1))
    one.become_replicate()
    with pytest.raises(InvariantError, match="in replicate cannot get to replicate"):
        one.become_replicate()


@pytest.mark.parametrize(("attribute", "setters"), [("role", {"_become"}), ("state", {"_enter"})])
def test_nothing_else_sets_it(attribute, setters):
    found = set()
    for file in CORE.glob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                if any(isinstance(each, ast.Attribute) and each.attr == attribute for each in targets):
                    found.add(function.name)
    assert found - {"__init__"} == setters
