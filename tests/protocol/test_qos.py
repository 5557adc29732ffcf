"""Prefetch, per consumer and for the channel (behaviour 7.1)."""

import pytest
from harness import World, m, publish


def holding(count, *names):
    client = World().client(channels=(1, 2))
    for name in names or ("q",):
        client.declare(name)
        for number in range(1, count + 1):
            client.on(2) >> publish(b"%d" % number, routing_key=name)
    return client


def subscribe(client, queue, tag):
    """Consume, whatever else comes meanwhile."""
    client >> m("basic.consume", queue=queue, consumer_tag=tag)


def counted(client):
    """How many deliveries each consumer got."""
    counts: dict[str, int] = {}
    for event in client.heard():
        if event.name == "basic.consume-ok":
            continue
        counts[event.consumer_tag] = counts.get(event.consumer_tag, 0) + 1
    return counts


@pytest.mark.parametrize(("limit", "delivered"), [(0, 5), (1, 1), (3, 3), (65535, 5)])
def test_prefetch_limits_what_is_outstanding(limit, delivered):
    """7.1: 0 is unlimited."""
    client = holding(5)
    client.qos(limit)
    client.consume("q")
    assert len(client.bodies()) == delivered


def test_an_ack_makes_room():
    client = holding(5)
    client.qos(2)
    client.consume("q")
    assert client.bodies() == [b"1", b"2"]
    client >> m("basic.ack", delivery_tag=1)
    assert client.bodies() == [b"3"]
    client >> m("basic.ack", delivery_tag=3, multiple=True)
    assert client.bodies() == [b"4", b"5"]


@pytest.mark.parametrize("name", ["basic.nack", "basic.reject"])
def test_a_rejection_makes_room(name):
    client = holding(3)
    client.qos(1)
    client.consume("q")
    assert client.bodies() == [b"1"]
    client >> m(name, delivery_tag=1)
    assert client.bodies() == [b"2"]


def test_each_consumer_has_its_own_limit():
    """7.1: per consumer, not per channel."""
    client = holding(6)
    client.qos(2)
    subscribe(client, "q", "a")
    subscribe(client, "q", "b")
    assert counted(client) == {"a": 2, "b": 2}


def test_a_limit_is_for_consumers_to_come():
    """7.1: that of a running consumer cannot be changed."""
    client = holding(5)
    client.qos(1)
    subscribe(client, "q", "a")
    assert counted(client) == {"a": 1}
    client.qos(3)
    client.quiet()
    subscribe(client, "q", "b")
    assert counted(client) == {"b": 3}


def test_no_ack_consumers_have_no_limit():
    client = holding(6)
    client.qos(1)
    client.consume("q", no_ack=True)
    assert len(client.bodies()) == 6


def test_get_is_never_limited():
    """7.1"""
    client = holding(3)
    client.qos(1)
    client.qos(1, shared=True)
    assert [client.get("q", no_ack=False).body for _ in range(3)] == [b"1", b"2", b"3"]


def test_global_is_one_limit_for_the_channel():
    """7.1: consumer a took 3 of 3, b none."""
    client = holding(4, "q", "r")
    client.qos(3, shared=True)
    subscribe(client, "q", "a")
    subscribe(client, "r", "b")
    assert counted(client) == {"a": 3}
    client >> m("basic.ack", delivery_tag=3, multiple=True)
    assert sum(counted(client).values()) == 3


def test_what_was_got_before_counts_against_the_global_limit():
    """7.1: what is outstanding when the limit is set."""
    client = holding(5)
    client.get("q", no_ack=False)
    client.qos(2, shared=True)
    client.consume("q")
    assert client.bodies() == [b"2"]
    client >> m("basic.ack", delivery_tag=1)
    assert client.bodies() == [b"3"]


def test_what_is_got_later_does_not_count():
    client = holding(5)
    client.qos(2, shared=True)
    client.get("q", no_ack=False)
    client.consume("q")
    assert client.bodies() == [b"2", b"3"]


def test_the_shared_limit_holds_back_who_takes_without_acknowledging_too():
    client = holding(2, "q", "r")
    client.qos(1, shared=True)
    subscribe(client, "q", "a")
    client >> m("basic.consume", queue="r", consumer_tag="b", no_ack=True)
    assert counted(client) == {"a": 1}
    client >> m("basic.ack", delivery_tag=1)
    assert counted(client) == {"a": 1}


def test_the_global_limit_may_be_raised_and_lifted_at_any_time():
    client = holding(8)
    client.qos(1, shared=True)
    client.consume("q")
    assert client.bodies() == [b"1"]
    client >> m("basic.qos", prefetch_count=3, global_=True)
    assert [event.name for event in client.heard()].count("basic.deliver") == 2
    client >> m("basic.qos", prefetch_count=0, global_=True)
    assert [event.name for event in client.heard()].count("basic.deliver") == 5


def test_a_global_limit_below_what_is_outstanding_waits_until_it_is_less():
    client = holding(6)
    client.consume("q")
    assert len(client.bodies()) == 6
    client.qos(2, shared=True)
    client.on(2) >> publish(b"7")
    for tag in range(1, 5):
        client >> m("basic.ack", delivery_tag=tag)
        client.quiet()
    client >> m("basic.ack", delivery_tag=5)
    assert client.bodies() == [b"7"]


def test_of_both_limits_the_smaller_counts():
    client = holding(6)
    client.qos(2)
    client.qos(3, shared=True)
    subscribe(client, "q", "a")
    subscribe(client, "q", "b")
    assert counted(client) == {"a": 2, "b": 1}


def test_a_limit_per_consumer_ends_the_one_they_share():
    client = holding(6)
    client.qos(1, shared=True)
    subscribe(client, "q", "a")
    assert counted(client) == {"a": 1}
    client >> m("basic.qos", prefetch_count=5)
    assert [event.name for event in client.heard()] == ["basic.qos-ok"] + ["basic.deliver"] * 5


def test_of_consumers_that_get_credit_at_once_the_higher_priority_comes_first():
    client = holding(3)
    client.qos(1)
    subscribe(client, "q", "lo")
    client >> m("basic.consume", queue="q", consumer_tag="hi", arguments={"x-priority": 5})
    assert sorted(counted(client)) == ["hi", "lo"]
    client >> m("basic.ack", delivery_tag=2, multiple=True)
    assert counted(client) == {"hi": 1}


def test_global_is_the_channels_own():
    client = holding(6)
    client.qos(1, shared=True)
    subscribe(client, "q", "a")
    subscribe(client.on(2), "q", "b")
    assert counted(client) == {"a": 1, "b": 5}


def test_closing_a_limited_channel_frees_its_messages():
    client = holding(3)
    client.qos(2)
    client.consume("q")
    client.heard()
    subscribe(client.on(2), "q", "b")
    assert counted(client) == {"b": 1}
    client >> m("channel.close")
    assert [event.body for event in client.heard() if event.name == "basic.deliver"] == [b"1", b"2"]


def test_a_busy_consumer_does_not_hold_up_the_others():
    client = holding(0)
    client.qos(1)
    client.consume("q", "a")
    client.qos(0)
    client.consume("q", "b")
    client.send(*(publish(b"%d" % number) for number in range(5)))
    assert counted(client) == {"a": 1, "b": 4}


def test_a_requeue_to_a_single_consumer_with_prefetch_1_comes_back():
    client = holding(1)
    client.qos(1)
    client.consume("q")
    for tag in range(1, 6):
        event = client.next()
        assert (event.delivery_tag, event.redelivered) == (tag, tag > 1)
        client >> m("basic.nack", delivery_tag=tag, requeue=True)
