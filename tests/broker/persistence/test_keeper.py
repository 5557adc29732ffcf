"""What is written to the journal, in which batch, and who is told when."""

import gc

import pytest
from harness import SlowCatalogue, deliver, m, publish
from keeping import Kept, bodies, lasting

from amqpd.errors import StorageError
from amqpd.protocol.connection import Connection


@pytest.fixture
def kept():
    kept = Kept()
    kept.client = kept.world.client(channels=(1, 2))
    kept.client.declare("q", durable=True)
    return kept


def kinds(kept):
    """The kinds of records on disk, batch by batch."""
    return [
        [record.kind for record in batch if record.kind != "group"]
        for file in sorted(kept.journal.disk)
        for batch in kept.journal.disk[file]
    ]


def every_kind(kept):
    return [record.kind for record in kept.journal.written()]


# -- what is written


def test_a_round_is_a_batch(kept):
    kept.client.send(lasting(), lasting(), lasting())
    kept.commit()
    assert kinds(kept) == [["entry", "entry", "entry"]]


def test_the_next_batch_gathers_while_one_is_written(kept):
    for _ in range(4):
        kept.client >> lasting()
    assert len(kept.committer.jobs) == 1
    kept.commit()
    kept.commit()
    assert kinds(kept) == [["entry"], ["entry", "entry", "entry"]]


def test_much_is_not_held_back_for_a_batch_that_is_being_written(kept):
    kept.client >> lasting()
    kept.client >> lasting(bytes(5_000_000))
    assert len(kept.committer.jobs) == 2


def test_transient_messages_cost_no_write(kept):
    kept.client.declare("t")
    kept.client.send(publish(b"x", "q"), lasting(queue="t"))
    kept.client >> m("basic.get", queue="t", no_ack=True)
    kept.client >> m("queue.purge", queue="q")
    assert not kept.committer.jobs
    assert not kept.journal.disk


def test_a_message_that_goes_to_many_queues_is_written_once(kept):
    kept.client.declare("p", durable=True)
    kept.client.declare("t")
    for queue in ("q", "p", "t"):
        kept.client.bind(queue, "amq.fanout")
    kept.client >> lasting()
    kept.client >> publish(b"all", "", "amq.fanout", delivery_mode=2)
    kept.commit()
    kept.commit()
    first, second = kept.journal.written()
    assert first.indexes == [0]
    assert sorted(second.indexes) == [0, 1]
    assert len(set(second.refs)) == 2
    after = kept.restart(queues=["q", "p"])
    client = after.world.client()
    for queue, waiting in (("q", [b"x", b"all"]), ("p", [b"all"])):
        for body in waiting:
            client >> m("basic.get", queue=queue)
            assert client.expect("basic.get-ok").body == body


def test_a_delivery_without_acknowledgement_needs_no_disk(kept):
    kept.client.on(2).consume("q", "c", no_ack=True)
    kept.client.call("confirm.select")
    kept.client >> lasting()
    kept.client.on(2) << deliver(b"x")
    kept.client << m("basic.ack", delivery_tag=1)
    assert not kept.committer.jobs


def test_a_delivery_with_acknowledgement_is_on_disk_until_that_comes(kept):
    kept.client.on(2).consume("q", "c")
    kept.client >> lasting()
    tag = kept.client.on(2).expect("basic.deliver").delivery_tag
    kept.commit()
    assert kept.restart().queue().ready_count() == 1
    kept.client.on(2) >> m("basic.ack", delivery_tag=tag)
    kept.commit()
    assert kept.restart().queue().ready_count() == 0


def test_settles_of_a_batch_are_ranges(kept):
    kept.client.send(*[lasting() for _ in range(10)])
    kept.commit()
    for _ in range(10):
        kept.client >> m("basic.get", queue="q")
    kept.client.heard()
    kept.client.send(*[m("basic.ack", delivery_tag=tag) for tag in (7, 1, 2, 3, 9, 8)])
    kept.commit()
    assert kept.journal.written()[-1].indexes == [0, 2, 6, 8]


# -- confirms


def test_a_confirm_comes_when_its_batch_is_on_disk(kept):
    kept.client.call("confirm.select")
    kept.client.send(lasting(), lasting())
    kept.client >> lasting()
    kept.client.quiet()
    kept.commit()
    kept.client << m("basic.ack", delivery_tag=2, multiple=True)
    kept.client.quiet()
    kept.commit()
    kept.client << m("basic.ack", delivery_tag=3, multiple=False)
    kept.client.quiet()


def test_what_needs_no_disk_is_confirmed_before_what_does(kept):
    kept.client.call("confirm.select")
    kept.client.send(lasting(), publish(b"transient", "q"), publish(b"nowhere", "none"), lasting())
    assert [(event.delivery_tag, event.multiple) for event in kept.client.heard()] == [(2, False), (3, False)]
    kept.commit()
    answers = [(event.name, event.delivery_tag, event.multiple) for event in kept.client.heard()]
    assert answers[-1][1] == 4
    assert {name for name, _tag, _multiple in answers} == {"basic.ack"}


def test_a_refusal_does_not_wait(kept):
    kept.client.declare("full", {"x-max-length": 0, "x-overflow": "reject-publish"}, durable=True)
    for queue in ("q", "full"):
        kept.client.bind(queue, "amq.fanout")
    kept.client.call("confirm.select")
    kept.client.send(lasting(), publish(b"x", "", "amq.fanout", delivery_mode=2), lasting())
    kept.client << m("basic.nack", delivery_tag=2)
    kept.client.quiet()
    kept.commit()
    tags = [(event.name, event.delivery_tag) for event in kept.client.heard()]
    assert tags in ([("basic.ack", 1), ("basic.ack", 3)], [("basic.ack", 3)])


def test_each_channel_gets_its_own_confirms(kept):
    first, second = kept.client.on(1), kept.client.on(2)
    first.call("confirm.select")
    second.call("confirm.select")
    for _ in range(2):
        first >> lasting()
        second >> lasting()
    kept.commit()
    kept.commit()
    answers = [(event.channel, event.delivery_tag) for event in kept.client.heard()]
    assert {channel: max(tag for number, tag in answers if number == channel) for channel in (1, 2)} == {1: 2, 2: 2}


@pytest.mark.parametrize("how", ["channel", "connection", "lost"])
def test_a_publisher_may_be_gone_when_its_batch_is_on_disk(kept, how):
    kept.client.call("confirm.select")
    kept.client >> lasting()
    if how == "channel":
        kept.client.call("channel.close")
    elif how == "connection":
        kept.client.call("connection.close")
    else:
        kept.client.lose()
    kept.commit()
    assert kept.queue().ready_count() == 1
    if how == "channel":
        kept.client.quiet()


def test_a_channel_of_the_same_number_gets_nothing_of_the_one_before(kept):
    kept.client.call("confirm.select")
    kept.client >> lasting()
    kept.client.call("channel.close")
    kept.client.reopen()
    kept.client.call("confirm.select")
    kept.commit()
    kept.client.quiet()


# -- definitions


def slow_world():
    catalogue = SlowCatalogue()
    kept = Kept(catalogue=catalogue)
    kept.client = kept.world.client()
    kept.other = kept.world.client()
    kept.client >> m("queue.declare", queue="q", durable=True)
    return kept, catalogue


def test_no_message_is_confirmed_before_its_queue_is_stored():
    """Whoever declares waits for that; others can publish meanwhile, in any number of batches."""
    kept, catalogue = slow_world()
    kept.other.call("confirm.select")
    for _ in range(3):
        kept.other >> lasting()
        kept.commit()
    kept.other.quiet()
    catalogue.store()
    kept.world.settle()
    kept.client.expect("queue.declare-ok")
    assert kept.other.heard()[-1].delivery_tag == 3


def test_a_deleted_queue_is_forgotten_when_its_deletion_is_stored():
    """Else it could come back, with its identity, and what it gets then would be forgotten as well."""
    kept, catalogue = slow_world()
    catalogue.store()
    kept.world.settle()
    kept.client.expect("queue.declare-ok")
    kept.client >> lasting()
    kept.client >> m("queue.delete", queue="q")
    kept.rest()
    assert "forget" not in every_kind(kept)
    catalogue.store()
    kept.rest()
    assert kinds(kept)[-1] == ["forget"]
    kept.client.expect("queue.delete-ok", message_count=1)


def test_what_is_settled_of_a_deleted_queue_counts_until_the_deletion_is_stored():
    """A crash may bring the queue back, but not what a transaction has acknowledged: before the deletion, or after."""
    kept, catalogue = slow_world()
    catalogue.store()
    kept.world.settle()
    kept.other.send(lasting(b"1"), lasting(b"2"), lasting(b"3"))
    kept.rest()
    kept.other.call("tx.select")
    assert bodies(kept.other, 2) == [b"1", b"2"]
    kept.other >> lasting(b"busy")
    kept.other.send(m("basic.ack", delivery_tag=1), m("tx.commit"))
    kept.client.heard()
    kept.client >> m("queue.delete", queue="q")
    kept.rest()
    kept.other << m("tx.commit-ok")
    kept.other.send(m("basic.ack", delivery_tag=2), m("tx.commit"))
    kept.other.quiet()
    kept.rest()
    kept.other << m("tx.commit-ok")
    settled = [record.indexes for record in kept.journal.written() if record.kind == "settle"]
    assert settled == [[0, 0], [1, 1]]
    catalogue.store()
    kept.rest()
    assert every_kind(kept)[-1] == "forget"
    kept.client.expect("queue.delete-ok")


LETTERS = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}


def rejecting(count):
    """A world in which a queue `source` is to be deleted whose messages have just been refused: they go to `q`."""
    kept, catalogue = slow_world()
    for _ in range(2):
        catalogue.store()
        kept.world.settle()
        kept.client >> m("queue.declare", queue="source", durable=True, arguments=LETTERS)
    kept.other.send(*[lasting(b"%d" % number, "source") for number in range(count)])
    kept.other.consume("source", "c")
    kept.other.heard()
    kept.rest()
    kept.client.heard()
    kept.other >> m("basic.nack", delivery_tag=0, multiple=True, requeue=False)
    return kept, catalogue


@pytest.mark.parametrize("count", [1, 2000])
def test_a_deletion_is_not_stored_before_the_dead_letters_of_the_queue_are_on_disk(count):
    """Else a crash in between would leave them nowhere: 2000 are published in four rounds."""
    kept, catalogue = rejecting(count)
    kept.client >> m("queue.delete", queue="source")
    for _ in range(10):
        catalogue.store()
        if catalogue.stored == catalogue.recorded:
            break
        kept.commit()
        kept.world.pass_ms(0)
    assert kept.restart().queue("q").ready_count() == count
    kept.rest()
    kept.client.expect("queue.delete-ok", message_count=0)
    assert every_kind(kept)[-1] == "forget"


def test_a_deletion_waits_for_the_batch_that_is_being_written_and_for_nothing_else():
    kept, catalogue = rejecting(1)
    other = kept.world.client()
    other >> m("queue.declare", queue="before", durable=True)
    kept.client >> m("queue.delete", queue="source")
    other.heard()
    catalogue.store()
    kept.world.settle()
    other.expect("queue.declare-ok")
    kept.client.quiet()
    kept.commit()
    catalogue.store()
    kept.world.settle()
    kept.client.expect("queue.delete-ok")


def test_a_deletion_of_what_is_on_disk_is_stored_at_once():
    kept, catalogue = slow_world()
    catalogue.store()
    kept.world.settle()
    kept.other >> lasting()
    kept.rest()
    kept.client.heard()
    kept.client >> m("queue.delete", queue="q")
    assert catalogue.storable() == catalogue.recorded
    catalogue.store()
    kept.world.settle()
    kept.client.expect("queue.delete-ok", message_count=1)


def test_a_deletion_does_not_wait_for_what_waits_for_it():
    """A queue that is declared after it is in the same batch: confirms wait for its definition, and that one for the
    deletion."""
    kept, catalogue = rejecting(1)
    kept.other.call("confirm.select")
    kept.client >> m("queue.delete", queue="source")
    third = kept.world.client()
    third >> m("queue.declare", queue="new", durable=True)
    kept.other >> lasting(b"x", "new")
    for _ in range(3):
        kept.commit()
        catalogue.store()
        kept.world.settle()
    assert [event.name for event in kept.other.heard()] == ["basic.cancel", "basic.ack"]
    assert kept.queue("new").ready_count() == 1


def test_nothing_is_written_for_a_queue_that_had_nothing(kept):
    kept.client.call("queue.delete", queue="q")
    kept.rest()
    assert not kept.journal.disk


def test_a_message_for_a_queue_that_is_deleted_in_its_round(kept):
    kept.client.send(lasting(), m("queue.delete", queue="q"))
    kept.rest()
    assert every_kind(kept) == ["entry", "forget"]


def test_what_was_delivered_of_a_deleted_queue_can_be_acknowledged(kept):
    kept.client.send(lasting(), lasting(), lasting())
    for _ in range(3):
        kept.client >> m("basic.get", queue="q")
    kept.client.heard()
    kept.client.call("queue.delete", queue="q")
    kept.client.send(
        m("basic.ack", delivery_tag=1), m("basic.nack", delivery_tag=2, requeue=True), m("basic.reject", delivery_tag=3)
    )
    kept.rest()
    kept.client.quiet()
    assert every_kind(kept) == ["entry"] * 3 + ["forget"]
    assert kept.broker.footprint.bytes == 0


# -- transactions, purges


def test_a_transaction_is_a_batch_and_is_answered_when_that_is_on_disk(kept):
    kept.client.send(lasting(b"old"))
    kept.client >> m("basic.get", queue="q")
    kept.client.expect("basic.get-ok")
    kept.rest()
    kept.client.call("tx.select")
    kept.client >> lasting(b"1")
    kept.client >> lasting(b"2")
    kept.client >> m("basic.ack", delivery_tag=1)
    assert not kept.committer.jobs
    kept.client >> m("tx.commit")
    kept.client.quiet()
    kept.commit()
    kept.client << m("tx.commit-ok")
    assert kinds(kept)[-1] == ["entry", "entry", "settle"]


def test_a_transaction_waits_for_acknowledgements_that_join_others(kept):
    """Another channel has settled something of the same queue already, in the batch that is gathered."""
    kept.client.send(lasting(), lasting(), lasting())
    kept.rest()
    first, second = kept.client.on(1), kept.client.on(2)
    second.call("tx.select")
    for channel in (first, second):
        channel >> m("basic.get", queue="q")
        channel.expect("basic.get-ok")
    first >> lasting()  # keeps the disk busy
    first >> m("basic.ack", delivery_tag=1)
    second >> m("basic.ack", delivery_tag=1)
    second >> m("tx.commit")
    kept.client.quiet()
    kept.commit()
    kept.client.quiet()
    kept.commit()
    second << m("tx.commit-ok")


def test_a_transaction_waits_for_the_dead_letters_that_it_makes(kept):
    """They are published, and settled in their queue, at the end of the round: after the commit was read."""
    kept.client.declare("source", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}, durable=True)
    kept.client.send(lasting(queue="source"))
    kept.rest()
    kept.client >> m("basic.get", queue="source")
    kept.client.expect("basic.get-ok")
    kept.client.call("tx.select")
    kept.client.send(m("basic.reject", delivery_tag=1), m("tx.commit"))
    kept.client.quiet()
    kept.commit()
    kept.client << m("tx.commit-ok")
    assert kinds(kept)[-1] == ["entry", "settle"]


@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_is_one_batch_however_many_dead_letters_it_makes(kept, commit):
    """More than are published in a round, and they do not wait for those of others."""
    kept.client.declare("source", LETTERS, durable=True)
    kept.client.declare("others", LETTERS, durable=True)
    kept.client.send(*[lasting(b"%d" % number, "source") for number in range(700)])
    kept.client.send(*[lasting(b"other", "others") for _ in range(700)])
    kept.rest()
    other = kept.world.client()
    other.consume("others", "c")
    other.heard()
    kept.client.call("tx.select")
    kept.client.consume("source", "c")
    kept.client.heard()
    kept.client.send(lasting(b"mine"), m("basic.nack", delivery_tag=0, multiple=True, requeue=False))
    other >> m("basic.nack", delivery_tag=0, multiple=True, requeue=False)
    kept.client >> m("tx.commit")
    kept.client.quiet()
    kept.commit()
    if commit:
        kept.commit()
        kept.client << m("tx.commit-ok")
    after = kept.restart()
    after.rest()
    mine = 701 if commit else 0
    assert after.queue("source").ready_count() == (0 if commit else 700)
    assert after.queue("q").ready_count() + after.queue("others").ready_count() == 700 + mine


def test_a_transaction_of_what_needs_no_disk_is_answered_at_once(kept):
    kept.client.call("tx.select")
    kept.client >> publish(b"x", "q")
    kept.client.call("tx.commit")


def test_nothing_is_read_of_a_connection_that_waits_for_its_commit(kept):
    kept.client.call("tx.select")
    kept.client.send(lasting(), m("tx.commit"), m("basic.get", queue="q"), m("tx.commit"))
    kept.client.quiet()
    kept.commit()
    assert [event.name for event in kept.client.heard()] == ["tx.commit-ok", "basic.get-ok", "tx.commit-ok"]


def test_a_purge_is_answered_when_it_is_on_disk(kept):
    kept.client.send(lasting(), lasting())
    kept.rest()
    kept.client >> m("queue.purge", queue="q")
    kept.client.quiet()
    kept.commit()
    kept.client << m("queue.purge-ok", message_count=2)
    assert kept.restart().queue().ready_count() == 0


def test_a_purge_of_what_is_not_on_disk_is_answered_at_once(kept):
    kept.client >> publish(b"x", "q")
    assert kept.client.call("queue.purge", queue="q").message_count == 1


# -- dead letters


@pytest.mark.parametrize("way", ["rejected", "expired", "maxlen"])
def test_a_dead_letter_leaves_its_queue_in_the_batch_in_which_it_arrives(kept, way):
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
    arguments |= {"expired": {"x-message-ttl": 100}, "maxlen": {"x-max-length": 1}, "rejected": {}}[way]
    kept.client.declare("source", arguments, durable=True)
    kept.client >> lasting(queue="source")
    kept.rest()
    if way == "rejected":
        kept.client >> m("basic.get", queue="source")
        kept.client.expect("basic.get-ok")
        kept.client >> m("basic.reject", delivery_tag=1)
    elif way == "expired":
        kept.world.pass_ms(100)
    else:
        kept.client >> lasting(queue="source")
    kept.rest()
    expected = ["entry", "entry", "settle"] if way == "maxlen" else ["entry", "settle"]
    assert kinds(kept)[-1] == expected
    after = kept.restart()
    assert (after.queue("source").ready_count(), after.queue("q").ready_count()) == (int(way == "maxlen"), 1)


def test_a_dead_letter_that_nobody_wants_is_gone_for_good(kept):
    kept.client.declare("source", {"x-dead-letter-exchange": "none", "x-message-ttl": 10}, durable=True)
    kept.client >> lasting(queue="source")
    kept.world.pass_ms(10)
    kept.rest()
    assert kept.restart().queue("source").ready_count() == 0


def test_dead_letters_that_wait_for_their_round_are_not_lost(kept):
    """More than are published in a round: a crash finds the rest where they were."""
    kept.client.declare("source", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}, durable=True)
    kept.client.send(*[lasting(b"%d" % number, "source") for number in range(700)])
    kept.rest()
    kept.client.on(2).call("basic.qos", prefetch_count=0)
    kept.client.on(2).consume("source", "c")
    kept.client.heard()
    kept.client.on(2) >> m("basic.nack", delivery_tag=0, multiple=True, requeue=False)
    kept.commit()
    after = kept.restart()
    after.rest()
    left, arrived = after.queue("source").ready_count(), after.queue("q").ready_count()
    assert (left, arrived) == (200, 500)
    kept.rest()
    after = kept.restart()
    assert (after.queue("source").ready_count(), after.queue("q").ready_count()) == (0, 700)


# -- back-pressure, the end


def test_a_publisher_that_outruns_the_disk_waits_for_it():
    kept = Kept(unsynced_max=1000)
    client = kept.world.client()
    client.declare("q", durable=True)
    client.call("confirm.select")
    client >> lasting(bytes(2000))
    client >> lasting(b"notes that the disk is behind")
    assert kept.keeper.slow
    client >> lasting(b"waits")
    assert kept.queue().ready_count() == 2
    kept.rest()
    assert not kept.keeper.slow
    assert client.heard()[-1].delivery_tag == 3


def test_nothing_is_kept_of_a_publisher_that_goes_away_while_it_waits():
    """A full disk may have publishers wait for hours, and they may come and go all the time."""
    kept = Kept(unsynced_max=1000)
    client = kept.world.client()
    client.declare("q", durable=True)
    client >> lasting(bytes(2000))
    client >> lasting(b"notes that the disk is behind")
    client.lose()
    kept.world.wires.clear()
    del client
    kept.world.pass_ms(60_000)  # timers that were cancelled are forgotten when they would have been due
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Connection) and each.broker is kept.broker]
    assert kept.keeper.slow


def test_pages_hold_up_publishers_no_longer_than_until_they_are_written():
    """Where all is transient no batch is ever written, and the last word is a page's."""
    kept = Kept(unsynced_max=100_000, message_memory=100_000)
    client = kept.world.client()
    client.declare("q")
    for _ in range(10):
        client >> publish(bytes(60_000), "q")
    assert kept.keeper.slow
    assert kept.queue().ready_count() < 10
    assert not kept.committer.jobs
    kept.rest()
    assert not kept.keeper.slow
    assert kept.queue().ready_count() == 10


def test_space_is_won_back_without_batches_too(kept):
    kept.world.pass_ms(5000)
    kept.client >> publish(b"transient", "q")
    assert kept.pages.tidied > 0


def test_the_last_record_of_an_orderly_stop_follows_what_was_still_to_be_settled(kept):
    kept.client.send(lasting(), lasting())
    kept.client >> m("basic.get", queue="q")
    kept.client.heard()
    kept.rest()
    kept.client.connection.feed(m("basic.ack", delivery_tag=1).frames(1), kept.world.now_ms)
    kept.keeper.stop()
    kept.rest()
    assert kinds(kept)[-1] == ["settle", "mark", "stop"]
    assert kept.keeper.gathered() == kept.keeper.committed_to
    assert kept.restart().queue().ready_count() == 1


def test_a_node_that_had_nothing_to_do_stops_in_order_too(kept):
    kept.stop()
    assert kinds(kept) == [["stop"]]


def test_a_mistake_while_a_batch_is_gathered_ends_the_node(kept, monkeypatch):
    """What is half gathered must not be written."""

    def seal():
        raise KeyError("mistake")

    monkeypatch.setattr(kept.journal, "seal", seal)
    kept.client.connection.feed(lasting().frames(1), kept.world.now_ms)
    with pytest.raises(StorageError, match="internal error"):
        kept.broker.flush()
