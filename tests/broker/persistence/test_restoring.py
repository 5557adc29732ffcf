"""What a restart gives back: order, levels, marks, times; and what it drops."""

import pytest
from harness import m, publish
from keeping import Kept, bodies, lasting

from amqpd.broker.queues.ready import OVERHEAD


@pytest.fixture
def kept():
    kept = Kept()
    kept.client = kept.world.client(channels=(1, 2))
    kept.client.declare("q", durable=True)
    return kept


def fetched(kept, queue="q"):
    """Body and redelivered of all that is there, in order."""
    client = kept.world.client()
    found = []
    while True:
        client >> m("basic.get", queue=queue, no_ack=True)
        event = client.next()
        if event.name == "basic.get-empty":
            return found
        found.append((event.body, event.redelivered))


def test_everything_persistent_comes_back_in_its_order(kept):
    kept.client.send(*[publish(b"%d" % number, "q", delivery_mode=1 + number % 2) for number in range(10)])
    kept.rest()
    assert [body for body, _redelivered in fetched(kept.restart())] == [b"1", b"3", b"5", b"7", b"9"]


def test_after_a_crash_everything_counts_as_redelivered(kept):
    kept.client.send(lasting(b"1"), lasting(b"2"))
    kept.rest()
    assert fetched(kept.restart()) == [(b"1", True), (b"2", True)]


def test_after_an_orderly_stop_only_what_was_delivered(kept):
    kept.client.send(*[lasting(b"%d" % number) for number in range(4)])
    kept.client >> m("basic.get", queue="q")
    kept.client >> m("basic.get", queue="q")
    kept.client.heard()
    kept.client.send(m("basic.nack", delivery_tag=1, requeue=True))
    kept.client.lose()
    kept.stop()
    after = kept.restart()
    after.stop()
    assert fetched(after.restart()) == [(b"0", True), (b"1", True), (b"2", False), (b"3", False)]


def test_positions_are_not_used_twice_while_anything_speaks_of_them(kept):
    """All is settled and its file is free; but the record that settles it is in the next one."""
    kept.journal.in_a_file, kept.journal.files_max = 1, 2
    kept.client.send(*[lasting() for _ in range(5)])
    kept.rest()
    assert bodies(kept.client, 5, no_ack=True) == [b"x"] * 5
    kept.rest()
    kept.client.declare("other", durable=True)
    kept.client >> lasting(queue="other")
    kept.rest()
    assert [record.kind for record in kept.journal.written()] == ["settle", "entry"]
    kept = kept.restart()
    client = kept.world.client()
    client.send(lasting(b"new"), lasting(b"newer"))
    kept.rest()
    assert fetched(kept.restart()) == [(b"new", True), (b"newer", True)]


def test_pages_and_the_journal_may_have_the_same_messages(kept):
    """The file of the journal is not free yet when the node crashes, and the pages are on disk already."""
    kept.client.send(*[lasting(b"%d" % number) for number in range(6)])
    assert bodies(kept.client, 2) == [b"0", b"1"]
    kept.rest()
    kept.queue().ready.page_out(0, 10_000_000)
    kept.client.send(lasting(b"6"))
    kept.segments.sync(lambda: None)
    kept.rest()
    assert [copy.label for copy in kept.segments.disk] == [b"//q"]
    kept.client >> m("basic.ack", delivery_tag=2)
    assert bodies(kept.client, 3, no_ack=True) == [b"2", b"3", b"4"]
    kept.commit()
    kept.commit()
    assert [body for body, _ in fetched(kept.restart())] == [b"0", b"5", b"6"]


def test_a_sparse_page_has_what_it_has(kept):
    """Gaps in a page are messages that are settled, or have their home elsewhere: they are not on it."""
    kept.client.send(*[lasting(b"%d" % number) for number in range(8)])
    assert bodies(kept.client, 8) == [b"%d" % number for number in range(8)]
    kept.client.send(*[m("basic.ack", delivery_tag=tag) for tag in (2, 3, 7)])
    kept.rest()
    log = kept.queue().ready.log
    log.begin_move_lent(8)
    assert log.move_lent()
    kept.segments.sync(lambda: None)
    kept.rest()
    (page,) = log.pages
    assert (page.first, page.last, page.count) == (0, 7, 5)
    kept.segments.compact()
    after = kept.restart()
    assert [body for body, _ in fetched(after)] == [b"0", b"3", b"4", b"5", b"7"]
    after.rest()
    assert not after.segments.table


def test_priorities_come_back(kept):
    kept.client.declare("p", {"x-max-priority": 5}, durable=True)
    for priority in (1, 5, 0, 9, 1):
        kept.client >> lasting(b"%d" % priority, "p", priority=priority)
    kept.rest()
    assert [body for body, _ in fetched(kept.restart(), "p")] == [b"5", b"9", b"1", b"1", b"0"]


@pytest.mark.parametrize(("jump_ms", "left_ms"), [(0, 600), (400, 200), (600, 0), (10_000_000, 0), (-5000, 1000)])
def test_a_time_to_live_goes_on_while_the_node_is_down(kept, jump_ms, left_ms):
    """By the time of day; where that was set back, a message is never younger than at its arrival."""
    kept.client.declare("ttl", {"x-message-ttl": 1000}, durable=True)
    kept.client >> lasting(queue="ttl")
    kept.client >> lasting(queue="q", expiration="1000")
    kept.world.pass_ms(400)
    kept.rest()
    after = kept.restart(jump_ms=jump_ms)
    for queue in ("ttl", "q"):
        assert after.queue(queue).ready_count() == int(left_ms > 0)
    if left_ms:
        after.world.pass_ms(left_ms - 1)
        assert (after.queue("ttl").ready_count(), after.queue("q").ready_count()) == (1, 1)
        after.world.pass_ms(1)
        assert (after.queue("ttl").ready_count(), after.queue("q").ready_count()) == (0, 0)


def test_a_clock_that_jumps_while_the_node_runs_ages_nothing(kept):
    kept.client.declare("ttl", {"x-message-ttl": 1000}, durable=True)
    kept.client >> lasting(queue="ttl")
    kept.rest()
    kept.queue("ttl").ready.page_out(0, 10_000_000)
    kept.broker.offset_ms += 1_000_000
    assert kept.queue("ttl").ready.peek().arrived_ms == kept.world.now_ms
    kept.world.pass_ms(999)
    assert kept.queue("ttl").ready_count() == 1


def test_what_expired_while_the_node_was_down_is_dead_lettered(kept):
    kept.client.declare(
        "source", {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}, durable=True
    )
    kept.client >> lasting(b"late", "source")
    kept.rest()
    after = kept.restart(jump_ms=5000)
    after.rest()
    assert (after.queue("source").ready_count(), after.queue("q").ready_count()) == (0, 1)
    client = after.world.client()
    client >> m("basic.get", queue="q")
    assert client.expect("basic.get-ok").headers["x-first-death-reason"] == "expired"
    assert [body for body, _ in fetched(after.restart())] == [b"late"]


def test_limits_hold_after_a_restart(kept):
    kept.client.declare("limited", {"x-max-length": 3, "x-max-length-bytes": 1000}, durable=True)
    kept.client.send(*[lasting(b"%d" % number, "limited") for number in range(5)])
    kept.rest()
    after = kept.restart()
    assert (after.queue("limited").ready_count(), after.queue("limited").ready_bytes) == (3, 3)
    client = after.world.client()
    client >> lasting(b"5", "limited")
    assert [body for body, _ in fetched(after, "limited")] == [b"3", b"4", b"5"]


def test_what_belongs_to_no_queue_is_dropped_and_named(kept, caplog):
    for number in range(14):
        kept.client.declare(f"gone{number:02}", durable=True)
        kept.client >> lasting(queue=f"gone{number:02}")
    kept.rest()
    kept.queue("gone00").ready.page_out(0, 10_000_000)
    kept.segments.sync(lambda: None)
    kept.rest()
    after = kept.restart(queues=["q"])
    assert after.restored.dropped == 14
    named = [record.message for record in caplog.records if "no such queue" in record.message]
    assert len(named) == 10
    assert named[0].startswith("dropped what was stored for //gone00")
    assert "... and for 4 more queues" in [record.message for record in caplog.records]
    after.rest()
    assert not after.segments.table


def test_a_deletion_is_not_told_of_again(kept, caplog):
    kept.client >> lasting()
    kept.client.call("queue.delete", queue="q")
    kept.rest()
    kept.restart(queues=[])
    assert not [record for record in caplog.records if "no such queue" in record.message]


def test_definitions_decide_whether_a_queue_is_gone(kept):
    """Where they say that it is there, it keeps what was stored for it, then and later."""
    kept.client >> lasting(b"old")
    kept.rest()
    log = kept.queue().ready.log
    kept.keeper.forgotten(log)
    kept.rest()
    after = kept.restart()
    client = after.world.client()
    client >> lasting(b"new")
    after.rest()
    assert [body for body, _ in fetched(after.restart())] == [b"old", b"new"]


@pytest.mark.parametrize("queues", [1, 40])
def test_memory_is_bounded_while_a_journal_is_read(kept, queues):
    names = [f"q{number}" for number in range(queues)]
    for name in names:
        kept.client.declare(name, durable=True)
    for number in range(120):
        kept.client >> lasting(bytes(10_000), names[number % queues])
    kept.rest()
    after = kept.restart(message_memory=200_000)
    assert after.broker.footprint.bytes <= 200_000
    assert sum(after.queue(name).ready_count() for name in names) == 120
    assert sum(len(after.queue(name).ready.messages()) for name in names) < 20
    for name in names:
        assert after.queue(name).ready_bytes == 120 // queues * 10_000
        assert len(fetched(after, name)) == 120 // queues
    after.rest()
    assert after.broker.footprint.bytes == 0
    assert not after.segments.table


def test_no_page_is_read_while_a_node_starts(kept):
    """There may be a page for each of very many queues: they are read one after the other, when time passes."""
    for name in ("a", "b"):
        kept.client.declare(name, durable=True)
        kept.client >> lasting(queue=name)
        kept.client >> lasting(queue=name, expiration="1000")
        kept.rest()
        kept.queue(name).ready.page_out(0, 10_000_000)
    kept.segments.sync(lambda: None)
    kept.rest()
    after = kept.restart()
    assert after.broker.footprint.bytes == 0
    after.world.pass_ms(100)
    assert after.broker.footprint.bytes > 0
    assert [after.queue(name).ready_count() for name in ("a", "b")] == [2, 2]


def test_what_fits_stays_in_memory(kept):
    kept.client.send(*[lasting(bytes(100)) for _ in range(50)])
    kept.rest()
    after = kept.restart()
    assert not after.segments.table
    assert after.broker.footprint.bytes > 50 * (100 + OVERHEAD)


def test_an_empty_disk_is_restored_too(kept):
    after = kept.restart()
    assert (after.restored.messages, after.restored.queues, after.restored.dropped) == (0, 0, 0)
