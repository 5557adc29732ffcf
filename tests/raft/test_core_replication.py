"""How entries get from a leader to a majority, what counts as there, and what a follower believes."""

import pytest
from rafting import Node, SlowLog, Team, entries, message

from amqpd.raft.config import NO_LIMIT
from amqpd.raft.faults import InvariantError
from amqpd.raft.messages import (
    ADD_LEARNER,
    APPEND,
    APPEND_REPLY,
    AUTO,
    HEARTBEAT,
    HEARTBEAT_REPLY,
    PROPOSE,
    SNAPSHOT,
    VOTE_REPLY,
    Change,
    Members,
    Snapshot,
)
from amqpd.raft.progress import PROBE, REPLICATE
from amqpd.raft.refusals import TOO_MUCH

THREE = Members((1, 2, 3))


def follower(*terms, term=None, commit=0):
    """Member 2 with a durable log of these terms, in the last one."""
    node = Node(2, THREE)
    if terms:
        node.group.step(
            message(APPEND, 1, 2, term or terms[-1], entries=entries(*terms), commit=commit)
        )
        node.run()
        node.out.clear()
    return node


def answers(node):
    node.run()
    return [(each.index, each.rejected, each.hint, each.log_term) for each in node.out]


def test_what_a_majority_has_is_committed_and_applied_everywhere():
    team = Team(5)
    leader = team.elect(1)
    assert leader.propose([b"a", b"b"]) == 2
    team.settle()
    assert {tuple(node.payloads()) for node in team.nodes.values()} == {(b"a", b"b")}
    assert {node.group.commit for node in team.nodes.values()} == {3}


def test_a_minority_commits_nothing():
    team = Team(5)
    leader = team.elect(1)
    leader.propose([b"x"])
    team.settle(1, 2)
    assert leader.commit == 1
    team.settle(1, 2, 3)
    assert leader.commit == 2


def test_a_leader_counts_itself_only_when_its_write_is_durable():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"x"])
    team.nodes[1].take()
    team.settle(2)
    team.deliver(2)
    team.settle(2)
    team.deliver(1)
    assert leader.tracker.progress[2].match == 2
    assert leader.commit == 1
    team.nodes[1].sync()
    assert leader.commit == 2


def test_entries_are_sent_while_the_leader_still_writes_them():
    team = Team()
    team.elect(1).propose([b"x"])
    team.nodes[1].take()
    assert [each.kind for each in team.nodes[1].out] == [APPEND, APPEND]


def test_followers_alone_can_commit():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"x"])
    team.nodes[1].take()
    team.deliver()
    for member in (2, 3):
        team.nodes[member].run()
    team.deliver()
    assert leader.commit == 2
    team.nodes[1].take()
    assert team.nodes[1].payloads() == []
    team.nodes[1].run()
    assert team.nodes[1].payloads() == [b"x"]


def test_an_acknowledgement_waits_for_the_write():
    node = follower(1)
    node.group.step(message(APPEND, 1, 2, 1, index=1, log_term=1, entries=entries(1, start=2)))
    node.take()
    assert node.out == []
    node.sync()
    assert [(each.kind, each.index) for each in node.out] == [(APPEND_REPLY, 2)]


def test_a_repeated_append_is_acknowledged_behind_the_pending_write():
    node = follower(1)
    append = message(APPEND, 1, 2, 1, index=1, log_term=1, entries=entries(1, start=2))
    node.group.step(append)
    node.take()
    node.group.step(append)
    node.take()
    assert node.out == []
    assert [write.sync for write in node.unsynced] == [True, False]
    node.sync(1)
    assert [each.index for each in node.out] == [2]
    node.sync()
    assert [each.index for each in node.out] == [2, 2]


def test_entries_of_older_terms_are_not_committed_by_counting():
    """Figure 8 of the paper."""
    team = Team(pre_vote=False, check_quorum=False)
    team.elect(1).propose([b"old"])
    team.nodes[1].run()
    team.nodes[1].out.clear()
    team[1].become_follower(1, 0)
    team[1].campaign()
    team.nodes[1].run()
    leader = team[1]
    leader.step(message(VOTE_REPLY, 2, 1, 2))
    assert (leader.role, leader.last_index()) == (3, 3)
    leader.step(message(APPEND_REPLY, 2, 1, 2, index=2))
    leader.step(message(APPEND_REPLY, 3, 1, 2, index=2))
    assert leader.commit == 1
    team.nodes[1].run()
    assert leader.commit == 1
    leader.step(message(APPEND_REPLY, 3, 1, 2, index=3))
    assert leader.commit == 3


def test_a_follower_cuts_off_only_what_conflicts():
    node = follower(1, 1, 1, 1)
    node.group.step(message(APPEND, 1, 2, 1, index=1, log_term=1, entries=entries(1, start=2)))
    assert node.group.last_index() == 4
    node.group.step(message(APPEND, 3, 2, 2, index=2, log_term=1, entries=entries(2, start=3)))
    assert node.group.last_index() == 3
    node.take()
    assert node.unsynced[-1].truncate_from == 3


def test_replacing_what_is_committed_stops_the_node():
    node = follower(1, 1, 1, commit=3)
    with pytest.raises(InvariantError, match="committed up to 3"):
        node.group.step(message(APPEND, 3, 2, 2, index=3, log_term=1, entries=entries(2, start=3)))


def test_a_follower_commits_no_more_than_the_message_has_shown():
    node = follower(1, 1, 1)
    node.group.step(message(APPEND, 1, 2, 2, index=1, log_term=1, commit=3))
    assert node.group.commit == 1
    node.group.step(message(APPEND, 1, 2, 2, index=1, log_term=1, commit=3, entries=entries(1, start=2)))
    assert node.group.commit == 2


def test_heartbeats_carry_no_more_than_was_acknowledged():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"x"])
    team.settle(1, 2)
    team.nodes[1].out.clear()
    leader.tick()
    team.nodes[1].take()
    beats = {each.to: each.commit for each in team.nodes[1].out if each.kind == HEARTBEAT}
    assert beats == {2: 2, 3: 1}


def test_a_heartbeat_beyond_the_log_shows_that_storage_lost_something():
    node = follower(1)
    node.group.step(message(HEARTBEAT, 1, 2, 1, commit=2))
    assert node.group.damaged
    node.run()
    assert node.out == []


@pytest.mark.parametrize(
    ("terms", "index", "log_term", "answer"),
    [
        ((1,), 4, 2, (4, True, 1, 1)),
        ((1, 1, 2, 2, 2), 5, 1, (5, True, 2, 1)),
        ((1, 1), 2, 1, (2, False, 0, 0)),
        ((3, 3), 2, 1, (2, True, 0, 0)),
    ],
)
def test_a_refusal_says_where_the_logs_may_agree(terms, index, log_term, answer):
    node = follower(*terms, term=9)
    node.group.step(message(APPEND, 1, 2, 9, index=index, log_term=log_term))
    assert answers(node) == [answer]


def test_an_append_before_the_commit_index_is_answered_with_that():
    node = follower(1, 1, 1, commit=3)
    node.group.step(message(APPEND, 1, 2, 1, index=1, log_term=1, entries=entries(1, start=2)))
    assert answers(node) == [(3, False, 0, 0)]


def test_a_leader_skips_the_terms_that_a_follower_cannot_have():
    node = Node(1, THREE, pre_vote=False)
    node.group.step(message(APPEND, 2, 1, 5, entries=entries(1, 1, 1, 5, 5, 5)))
    node.run()
    node.group.campaign()
    node.run()
    node.group.step(message(VOTE_REPLY, 2, 1, 6))
    node.out.clear()
    node.group.step(message(APPEND_REPLY, 3, 1, 6, index=6, rejected=True, hint=6, log_term=3))
    node.take()
    assert [(each.index, each.log_term) for each in node.out if each.to == 3][-1] == (3, 1)


def test_a_probe_waits_for_an_answer_and_a_stream_does_not():
    team = Team()
    leader = team.elect(1)
    for payload in (b"a", b"b", b"c"):
        leader.propose([payload])
    node = team.nodes[1]
    node.take()
    assert len([each for each in node.out if each.to == 2]) == 3
    leader.report_unreachable(2)
    assert leader.tracker.progress[2].state == PROBE
    node.out.clear()
    leader.propose([b"d"])
    leader.propose([b"e"])
    node.take()
    assert len([each for each in node.out if each.to == 2]) == 1
    team.settle()
    assert leader.tracker.progress[2].state == REPLICATE


@pytest.mark.parametrize("knobs", [{"max_inflight_messages": 2}, {"max_inflight_bytes": 60, "max_message_bytes": 30}])
def test_the_window_stops_a_stream_until_answers_come(knobs):
    team = Team(**knobs)
    leader = team.elect(1)
    for _ in range(5):
        leader.propose([b"12345"])
    team.nodes[1].take()
    progress = leader.tracker.progress[2]
    assert len([each for each in team.nodes[1].out if each.to == 2 and each.entries]) < 5
    assert progress.paused()
    assert progress.inflights.full()
    team.settle()
    assert progress.match == 6
    assert progress.inflights.count == progress.inflights.bytes == 0
    assert len(team.nodes[2].payloads()) == 5


def test_a_full_window_that_was_lost_is_found_out_by_heartbeats():
    team = Team(max_inflight_messages=2)
    leader = team.elect(1)
    for _ in range(5):
        leader.propose([b"x"])
    team.nodes[1].run()
    team.deliver(2, 3, lose=lambda each: True)
    leader.tick()
    team.settle()
    assert leader.tracker.progress[3].match == 6


def test_large_messages_are_cut_at_the_limit():
    team = Team(max_message_bytes=70, max_inflight_bytes=NO_LIMIT)
    leader = team.elect(1)
    leader.propose([b"x" * 10] * 5)
    team.nodes[1].take()
    sizes = [len(each.entries) for each in team.nodes[1].out if each.to == 2]
    assert sizes == [2]
    team.settle()
    assert len(team.nodes[3].payloads()) == 5


def test_proposals_are_refused_when_too_much_is_uncommitted():
    team = Team(max_uncommitted_bytes=10)
    leader = team.elect(1)
    assert leader.propose([b"x" * 50]) > 0
    assert leader.propose([b"y"]) == TOO_MUCH
    assert leader.propose([b""]) > 0
    team.settle()
    assert leader.propose([b"y"]) > 0


def test_a_follower_sends_proposals_on_once():
    team = Team()
    team.elect(1)
    assert team[2].propose([b"x"]) == 0
    assert team[3].propose_change(Change([(ADD_LEARNER, 4)], AUTO)) == 0
    team.settle(lose=lambda each: each.to == 4)
    assert team.nodes[3].payloads() == [b"x"]
    assert team[2].members().learners == (4,)
    team[3].step(message(PROPOSE, 2, 3, 0, entries=entries(0)))
    team.nodes[3].take()
    assert not [each for each in team.nodes[3].out if each.kind == PROPOSE]


def test_a_late_write_does_not_vouch_for_entries_that_replaced_its_own():
    """Ra #516, #637, and etcd's ABA race: terms 1, 2, 3 write the same index, and the completions come late."""
    node = Node(1, THREE)
    for term, leader in ((1, 2), (2, 3), (3, 2)):
        node.group.step(message(APPEND, leader, 1, term, entries=entries(term)))
        node.take()
    assert len(node.unsynced) == 3
    node.sync(1)
    assert node.group.log.durable_index() == 0
    node.sync(1)
    assert node.group.log.durable_index() == 0
    node.sync(1)
    assert node.group.log.durable_index() == 1
    assert node.log.term(1) == 3


def test_a_late_write_does_not_vouch_for_the_same_entry_that_came_again():
    """Rule C4: term 2 replaced the entry of term 1, and term 3 brought it back. What is on the disk is still the one in
    between, when the first write is said to be done."""
    node = Node(1, THREE)
    for term, leader, written in ((1, 2, 1), (2, 3, 2), (3, 2, 1)):
        node.group.step(message(APPEND, leader, 1, term, entries=entries(written)))
        node.take()
    node.sync(1)
    assert node.group.log.durable_index() == 0
    node.sync(1)
    assert (node.log.term(1), node.group.log.durable_index()) == (2, 0)
    node.sync(1)
    assert (node.log.term(1), node.group.log.durable_index()) == (1, 1)


def test_a_commit_index_that_was_lost_on_the_way_is_told_again():
    """Without waiting for a heartbeat: what was sent last may not have arrived when a member is unreachable."""
    team = Team()
    leader = team.elect(1)
    leader.propose([b"x"])
    team.settle(1, 2)
    team.deliver(3, lose=lambda each: each.commit == 2)
    leader.report_unreachable(3)
    team.settle()
    assert team[3].commit == 2


def test_a_token_that_was_not_given_is_a_mistake():
    node = follower(1)
    with pytest.raises(InvariantError, match="write 99"):
        node.group.storage_done(99)
    with pytest.raises(InvariantError, match="applied up to 99"):
        node.group.applied_to(99)


def test_who_needs_what_is_compacted_gets_a_snapshot():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"a", b"b"])
    team.settle(1, 2)
    team.deliver(3, lose=lambda each: True)
    team.snapshot(1)
    leader.tick()
    team.settle()
    third = team.nodes[3]
    assert third.log.snapshot().index == 3
    assert (third.group.applied, third.group.last_index(), third.group.first_index()) == (3, 3, 4)
    leader.propose([b"c"])
    team.settle()
    assert third.payloads() == [b"c"]


def test_no_snapshot_is_sent_into_the_blue():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"a"])
    team.settle(1, 2)
    team.snapshot(1)
    progress = leader.tracker.progress[3]
    progress.become_probe()
    progress.active = False
    progress.next = 1
    leader.propose([b"b"])
    assert progress.state == PROBE


def test_a_snapshot_is_acknowledged_and_applied_when_it_is_durable():
    node = follower(1)
    snapshot = Snapshot(5, 1, THREE, b"image")
    node.group.step(message(SNAPSHOT, 1, 2, 1, snapshot=snapshot))
    node.take()
    assert node.out == []
    assert (node.group.commit, node.group.applied) == (5, 0)
    assert node.unsynced[0].snapshot is snapshot
    assert not node.group.promotable()
    node.sync()
    assert [(each.kind, each.index) for each in node.out] == [(APPEND_REPLY, 5)]
    assert node.group.applied == 5


@pytest.mark.parametrize(
    ("snapshot", "commit"),
    [
        (Snapshot(2, 1, THREE), 2),
        (Snapshot(3, 1, THREE), 3),
        (Snapshot(9, 1, Members((1, 3))), 2),
    ],
)
def test_snapshots_that_are_behind_known_or_for_others_are_not_installed(snapshot, commit):
    node = follower(1, 1, 1, commit=2)
    node.group.step(message(SNAPSHOT, 1, 2, 1, snapshot=snapshot))
    node.group.step(message(SNAPSHOT, 1, 2, 1))
    node.run()
    assert node.out[0].index == node.group.commit == commit
    assert node.log.snapshot() is None
    assert node.group.dropped == 1


def test_an_older_snapshot_than_expected_serves_if_it_meets_the_log():
    team = Team()
    leader = team.elect(1)
    leader.propose([b"a", b"b", b"c"])
    team.settle(1, 2)
    progress = leader.tracker.progress[3]
    progress.become_snapshotting(4)
    leader.step(message(APPEND_REPLY, 3, 1, 1, index=2))
    assert (progress.state, progress.match) == (REPLICATE, 2)


@pytest.mark.parametrize(("ok", "following"), [(True, 5), (False, 2)])
def test_the_fate_of_a_snapshot_decides_where_to_probe(ok, following):
    team = Team()
    leader = team.elect(1)
    progress = leader.tracker.progress[3]
    progress.become_snapshotting(4)
    leader.report_snapshot(2, True)
    leader.report_snapshot(3, ok)
    assert (progress.state, progress.next, progress.probe_sent) == (PROBE, following, True)
    leader.step(message(HEARTBEAT_REPLY, 3, 1, 1))
    assert not progress.inflights.full()


def test_an_idle_group_has_nothing_ready():
    team = Team()
    leader = team.elect(1)
    assert not leader.dirty
    assert leader.ready() is None
    team[2].tick()
    assert not team[2].dirty


def test_entries_that_storage_had_to_read_are_sent_when_they_are_there():
    team = Team()
    log = SlowLog()
    team.nodes[1] = Node(1, THREE, log)
    log.loaded = True
    leader = team.elect(1)
    leader.propose([b"a"])
    team.settle(1, 2)
    team.deliver(3, lose=lambda each: True)
    log.loaded = False
    leader.tick()
    team.settle()
    assert team.nodes[3].payloads() == []
    log.loaded = True
    leader.entries_loaded()
    team.settle()
    assert team.nodes[3].payloads() == [b"a"]


def test_acknowledgements_beyond_the_log_are_dropped():
    team = Team()
    leader = team.elect(1)
    leader.step(message(APPEND_REPLY, 2, 1, 1, index=50))
    assert leader.dropped == 1
    assert leader.tracker.progress[2].match == 1


def test_a_follower_writes_only_what_it_does_not_have():
    node = follower(1, 1)
    node.group.step(message(APPEND, 1, 2, 1, index=1, log_term=1, entries=entries(1, 1, start=2)))
    node.take()
    assert [entry.index for entry in node.unsynced[0].entries] == [3]
    assert node.unsynced[0].truncate_from == 0
    node.run()
    assert node.out[0].index == 3
