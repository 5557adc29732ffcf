"""tx.select, commit, rollback (behaviour 13)."""

import pytest
from harness import World, deliver, m, publish


def selected(**declared):
    client = World().client(channels=(1, 2))
    client.declare("q", **declared)
    client.call("tx.select")
    return client


def test_publishes_appear_at_commit():
    client = selected()
    client.send(publish(b"1"), publish(b"2"))
    assert client.on(2).get("q") is None
    client.call("tx.commit")
    assert client.on(2).drain("q") == [b"1", b"2"]


def test_publishes_vanish_at_rollback():
    client = selected()
    client >> publish(b"1")
    client.call("tx.rollback")
    client >> publish(b"2")
    client.call("tx.commit")
    assert client.on(2).drain("q") == [b"2"]


def test_an_empty_commit_and_rollback_are_answered():
    client = selected()
    for name in ("tx.commit", "tx.rollback", "tx.commit"):
        client.call(name)


def test_select_again_keeps_what_was_begun():
    """13: idempotent."""
    client = selected()
    client >> publish(b"1")
    client.call("tx.select")
    client.call("tx.commit")
    assert client.drain("q") == [b"1"]


def test_acks_count_at_commit():
    client = selected()
    client.on(2) >> publish(b"1")
    client.get("q", no_ack=False)
    client >> m("basic.ack", delivery_tag=1)
    client.call("tx.commit")
    client.call("channel.close")
    assert client.on(2).drain("q") == []


def test_acks_that_were_not_committed_are_undone_when_the_channel_closes():
    """13: closing is a rollback."""
    client = selected()
    client.on(2) >> publish(b"1")
    client.get("q", no_ack=False)
    client.send(m("basic.ack", delivery_tag=1), publish(b"2"))
    client.call("channel.close")
    assert client.on(2).drain("q") == [b"1"]


def test_acks_rolled_back_are_outstanding_not_requeued():
    """13: they can be acked again."""
    client = selected()
    client.on(2) >> publish(b"1")
    client.get("q", no_ack=False)
    client >> m("basic.ack", delivery_tag=1)
    client.call("tx.rollback")
    assert client.on(2).get("q") is None
    client >> m("basic.ack", delivery_tag=1)
    client.call("tx.commit")
    client.call("channel.close")
    assert client.on(2).drain("q") == []


def test_an_ack_can_be_made_once_within_a_transaction():
    client = selected()
    client.on(2) >> publish(b"1")
    client.get("q", no_ack=False)
    client.send(m("basic.ack", delivery_tag=1), m("basic.ack", delivery_tag=1))
    client.channel_closed(406, "PRECONDITION_FAILED - unknown delivery tag 1", "basic.ack")


@pytest.mark.parametrize("name", ["basic.nack", "basic.reject"])
@pytest.mark.parametrize(("requeue", "left"), [(True, [b"1"]), (False, [])])
def test_rejections_count_at_commit(name, requeue, left):
    client = selected()
    client.on(2) >> publish(b"1")
    client.get("q", no_ack=False)
    client >> m(name, delivery_tag=1, requeue=requeue)
    assert client.on(2).get("q") is None
    client.call("tx.commit")
    assert client.on(2).drain("q") == left


def test_publishes_come_before_acks():
    """13: a queue with room for one is full when the publish arrives."""
    client = selected(arguments={"x-max-length": 1})
    client.on(2) >> publish(b"1")
    client.get("q", no_ack=False)
    client.send(m("basic.nack", delivery_tag=1, requeue=True), publish(b"2"))
    client.call("tx.commit")
    assert client.drain("q") == [b"2"]


def test_an_unknown_tag_is_refused_at_once():
    client = selected()
    client >> m("basic.ack", delivery_tag=9)
    client.channel_closed(406, "PRECONDITION_FAILED - unknown delivery tag 9", "basic.ack")


def test_a_publish_to_a_missing_exchange_fails_at_once():
    client = selected()
    client >> publish(b"1", exchange="x")
    client.channel_closed(404, "NOT_FOUND - no exchange 'x' in vhost '/'", "basic.publish")


def test_mandatory_returns_come_before_commit_ok():
    client = selected()
    client.send(*(publish(body, routing_key="nobody", mandatory=True) for body in (b"1", b"2")))
    client.quiet()
    client >> m("tx.commit")
    assert [client.expect("basic.return").body for _ in range(2)] == [b"1", b"2"]
    client.expect("tx.commit-ok")
    client.quiet()


def test_mandatory_publishes_rolled_back_do_not_come_back():
    client = selected()
    client >> publish(b"1", routing_key="nobody", mandatory=True)
    client.call("tx.rollback")
    client.call("tx.commit")


def test_messages_are_routed_when_they_are_published():
    """13: a queue bound before the commit gets nothing."""
    client = selected()
    client >> publish(b"1", exchange="amq.fanout")
    client.bind("q", "amq.fanout")
    client.call("tx.commit")
    assert client.drain("q") == []


def test_a_queue_that_refuses_makes_the_commit_partial():
    """1.1: what could be done is done."""
    client = selected(arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    client.send(publish(b"1"), publish(b"2"))
    client >> m("tx.commit")
    client.channel_closed(406, "PRECONDITION_FAILED - partial tx completion", "tx.commit")
    assert client.on(2).drain("q") == [b"1"]


def test_a_queue_that_is_deleted_before_the_commit_counts_as_served():
    """4: as for every other publish. (RabbitMQ closes the connection with 506.)"""
    client = selected()
    client >> publish(b"1")
    client.on(2).call("queue.delete", queue="q")
    client.declare("q")
    client.call("tx.commit")
    assert client.drain("q") == []


def test_deliveries_go_on_and_come_before_commit_ok():
    client = selected()
    client.on(2).consume("q", "other")
    client >> publish(b"1")
    client.quiet()
    client >> m("tx.commit")
    client.on(2) << deliver(b"1")
    client.expect("tx.commit-ok")


def test_prefetch_room_returns_at_commit():
    client = selected()
    client.on(2).send(publish(b"1"), publish(b"2"))
    client.qos(1)
    client.consume("q")
    client << deliver(b"1")
    client >> m("basic.ack", delivery_tag=1)
    client.quiet()
    client >> m("tx.commit")
    assert sorted(event.name for event in client.heard()) == ["basic.deliver", "tx.commit-ok"]


def test_room_in_the_channels_limit_returns_at_commit_too():
    """7.1"""
    client = selected()
    client.qos(1, shared=True)
    client.consume("q")
    client.on(2).send(publish(b"1"), publish(b"2"))
    client << deliver(b"1")
    client >> m("basic.ack", delivery_tag=1)
    client.on(2) >> publish(b"3")
    client.quiet()
    client >> m("tx.commit")
    assert [event.body for event in client.heard() if event.name == "basic.deliver"] == [b"2"]


def test_a_rollback_keeps_the_prefetch_used_up():
    client = selected()
    client.on(2).send(publish(b"1"), publish(b"2"))
    client.qos(1)
    client.consume("q")
    client << deliver(b"1")
    client >> m("basic.ack", delivery_tag=1)
    client.call("tx.rollback")
    client >> m("basic.ack", delivery_tag=1)
    client >> m("tx.commit")
    assert sorted(event.name for event in client.heard()) == ["basic.deliver", "tx.commit-ok"]


def test_a_transaction_is_the_channels_own():
    client = selected()
    client.on(2) >> publish(b"1")
    assert client.on(2).drain("q") == [b"1"]
    client.on(2) >> m("tx.commit")
    client.on(2).channel_closed(406, "PRECONDITION_FAILED - channel is not transactional", "tx.commit")


def test_recover_does_not_touch_what_is_settled_within_the_transaction():
    client = selected()
    client.on(2).send(publish(b"1"), publish(b"2"))
    client.get("q", no_ack=False)
    client.get("q", no_ack=False)
    client >> m("basic.ack", delivery_tag=1)
    client.call("basic.recover", requeue=True)
    assert client.drain("q") == [b"2"]
