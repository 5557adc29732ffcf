"""Consumers: who gets what, in which order, and how consumers end (behaviour 3, 7, 8)."""

import pytest
from harness import World, deliver, m, publish


def ready(messages=0, capabilities=None, **kwargs):
    client = World().client(channels=(1, 2), **({} if capabilities is None else {"capabilities": capabilities}))
    client.declare("q", **kwargs)
    for number in range(messages):
        client >> publish(b"%d" % number)
    return client


def test_consume_ok_comes_before_the_first_delivery():
    """7"""
    client = ready(2)
    client >> m("basic.consume", queue="q", consumer_tag="t")
    client.expect("basic.consume-ok", consumer_tag="t")
    client << deliver(b"0", consumer_tag="t", delivery_tag=1, redelivered=False, exchange="", routing_key="q")
    client << deliver(b"1", consumer_tag="t", delivery_tag=2)
    client.quiet()


def test_nowait_has_no_consume_ok():
    """7"""
    client = ready(1)
    client >> m("basic.consume", queue="q", consumer_tag="t", nowait=True)
    client << deliver(b"0", consumer_tag="t")


def test_a_consumer_without_a_tag_is_given_one():
    """3: amq.ctag- and 22 characters."""
    client = ready()
    tag = client.consume("q", "").consumer_tag
    assert tag.startswith("amq.ctag-")
    assert len(tag) == len("amq.ctag-") + 22
    assert client.consume("q", "").consumer_tag != tag


def test_the_queue_declared_last_is_consumed_without_a_name():
    """3"""
    client = ready(1)
    client.consume("")
    client << deliver(b"0")


def test_a_tag_may_not_be_used_twice_on_a_channel():
    """1.1"""
    client = ready()
    client.consume("q", "t")
    client.on(2).consume("q", "t")
    client >> m("basic.consume", queue="q", consumer_tag="t")
    client.connection_closed(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", "basic.consume")


def test_a_tag_that_is_in_use_is_refused_before_anything_else():
    """RabbitMQ 4.3.6: even if the queue is missing."""
    client = ready()
    client.consume("q", "t")
    client >> m("basic.consume", queue="nope", consumer_tag="t")
    client.connection_closed(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", "basic.consume")


def test_a_tag_is_free_again_after_cancel():
    client = ready()
    client.consume("q", "t")
    client.call("basic.cancel", consumer_tag="t")
    client.consume("q", "t")


def test_consumers_of_a_channel_are_limited_where_the_node_says_so():
    """1.1"""
    client = World(consumers_per_channel=1).client()
    client.declare("q")
    client.consume("q", "a")
    client >> m("basic.consume", queue="q", consumer_tag="b")
    text = "NOT_ALLOWED - reached maximum (1) of consumers per channel"
    client.connection_closed(530, text, "basic.consume")


def test_equal_consumers_take_turns():
    """7: 0,3,6 / 1,4,7 / 2,5,8"""
    client = ready()
    for tag in "abc":
        client.consume("q", tag)
    client.send(*(publish(b"%d" % number) for number in range(9)))
    got = {"a": [], "b": [], "c": []}
    for event in client.heard():
        got[event.consumer_tag].append(int(event.body))
    assert got == {"a": [0, 3, 6], "b": [1, 4, 7], "c": [2, 5, 8]}


def test_a_consumer_that_comes_or_goes_does_not_upset_the_turns():
    client = ready()
    client.consume("q", "a")
    client.consume("q", "b")
    client.consume("q", "c")
    client >> publish(b"0")
    assert client.next().consumer_tag == "a"
    client.call("basic.cancel", consumer_tag="a")
    client.send(*(publish(b"%d" % number) for number in range(4)))
    assert [event.consumer_tag for event in client.heard()] == ["b", "c", "b", "c"]


def test_the_higher_priority_comes_first_while_it_has_room():
    """7: hi 0,1 then lo 2,3"""
    client = ready()
    client.qos(2)
    client.consume("q", "lo")
    client.consume("q", "hi", {"x-priority": 10})
    client.send(*(publish(b"%d" % number) for number in range(5)))
    assert [(event.consumer_tag, event.body) for event in client.heard()] == [
        ("hi", b"0"),
        ("hi", b"1"),
        ("lo", b"2"),
        ("lo", b"3"),
    ]
    client >> m("basic.ack", delivery_tag=1)
    assert client.next().consumer_tag == "hi"


def test_a_negative_priority_comes_after_none():
    client = ready()
    client.consume("q", "lo", {"x-priority": -1})
    client.consume("q", "none")
    client.send(publish(b"0"), publish(b"1"))
    assert [event.consumer_tag for event in client.heard()] == ["none", "none"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"x-priority": True}, ': "expected integer, got bool"'),
        ({"x-priority": "1"}, ': "expected integer, got longstr"'),
        ({"x-stream-offset": "first"}, " of queue type rabbit_classic_queue"),
        ({"x-consumer-timeout": 1000}, " of queue type rabbit_classic_queue"),
    ],
    ids=str,
)
def test_consumer_arguments_are_checked(arguments, reason):
    """7, 4.1"""
    client = ready()
    client >> m("basic.consume", queue="q", arguments=arguments)
    name = next(iter(arguments))
    text = f"PRECONDITION_FAILED - invalid arg '{name}' for queue 'q' in vhost '/'{reason}"
    client.channel_closed(406, text, "basic.consume")


def test_unknown_consumer_arguments_and_no_local_are_ignored():
    """7"""
    client = ready()
    client.consume("q", "t", {"x-whatever": "yes"}, no_local=True)
    client >> publish(b"own")
    client << deliver(b"own")


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
def test_exclusive_consumers_are_alone(first, second):
    """1.1, 7: either way."""
    client = ready()
    client.consume("q", "a", exclusive=first)
    client >> m("basic.consume", queue="q", consumer_tag="b", exclusive=second)
    client.channel_closed(403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", "basic.consume")


def test_exclusive_use_ends_with_its_consumer():
    client = ready()
    client.consume("q", "a", exclusive=True)
    client.call("basic.cancel", consumer_tag="a")
    client.consume("q", "b", exclusive=True)


def test_get_is_allowed_beside_an_exclusive_consumer():
    client = ready(0)
    client.qos(1)
    client.consume("q", "a", exclusive=True)
    client.send(publish(b"1"), publish(b"2"))
    client << deliver(b"1")
    assert client.on(2).get("q").body == b"2"


# -- cancel


def test_cancel_leaves_what_is_not_acknowledged_outstanding():
    """7: it can still be acknowledged."""
    client = ready(2)
    client.consume("q")
    assert client.bodies() == [b"0", b"1"]
    client.call("basic.cancel", consumer_tag="t")
    assert client.on(2).counts("q") == (0, 0)
    client >> m("basic.ack", delivery_tag=1)
    client.quiet()
    client.call("channel.close")
    assert client.on(2).drain("q") == [b"1"]


def test_cancel_ok_comes_after_the_last_delivery():
    """7"""
    client = ready()
    client.consume("q")
    client.send(publish(b"1"), m("basic.cancel", consumer_tag="t"), publish(b"2"))
    client << deliver(b"1")
    client.expect("basic.cancel-ok", consumer_tag="t")
    client.quiet()


def test_cancel_with_nowait_is_silent():
    client = ready()
    client.consume("q")
    client.send(m("basic.cancel", consumer_tag="t", nowait=True), publish(b"1"))
    client.quiet()
    assert client.counts("q") == (1, 0)


def test_a_cancelled_consumers_messages_go_to_the_others():
    client = ready()
    client.qos(1)
    client.consume("q", "a")
    client.consume("q", "b")
    client.send(publish(b"0"), publish(b"1"), publish(b"2"))
    assert client.bodies() == [b"0", b"1"]
    client.call("basic.cancel", consumer_tag="a")
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    client.quiet()
    client >> m("basic.ack", delivery_tag=2)
    client << deliver(b"0", consumer_tag="b", redelivered=True)


@pytest.mark.parametrize("how", ["delete", "owner"])
def test_the_server_cancels_the_consumers_of_a_queue_that_goes(how):
    """7: with nowait, for who announced consumer_cancel_notify."""
    world = World()
    client, other = world.client(), world.client()
    client.declare("q")
    client.consume("q", "a")
    client.consume("q", "b")
    if how == "delete":
        other.call("queue.delete", queue="q")
    else:
        world.vhost.remove_queue(world.vhost.queues["q"])
        world.settle()
    client.expect("basic.cancel", consumer_tag="a", nowait=True)
    client.expect("basic.cancel", consumer_tag="b", nowait=True)
    client.quiet()


def test_who_did_not_announce_it_is_not_told():
    """7"""
    client = ready(capabilities=())
    client.consume("q")
    client.on(2).call("queue.delete", queue="q")
    client.quiet()
    client.call("basic.cancel", consumer_tag="t")


def test_the_channel_that_deletes_is_told_as_well():
    client = ready()
    client.consume("q")
    client >> m("queue.delete", queue="q")
    assert sorted(event.name for event in client.heard()) == ["basic.cancel", "queue.delete-ok"]


def test_a_tag_is_free_after_the_servers_cancel():
    client = ready()
    client.consume("q", "t")
    client.on(2) >> m("queue.delete", queue="q", nowait=True)
    client.expect("basic.cancel")
    client.declare("q")
    client.consume("q", "t")


def test_deliveries_of_a_deleted_queue_may_still_be_settled():
    """1: no error, nothing returns."""
    client = ready(3)
    client.consume("q")
    assert client.bodies() == [b"0", b"1", b"2"]
    client.on(2) >> m("queue.delete", queue="q", nowait=True)
    client.expect("basic.cancel")
    client.declare("q")
    client.send(m("basic.ack", delivery_tag=1), m("basic.reject", delivery_tag=2, requeue=True))
    client.call("basic.recover", requeue=True)
    assert client.drain("q") == []


# -- deliveries


def test_delivery_tags_count_over_consumers_gets_and_no_ack():
    """7: one sequence for a channel."""
    client = ready(0)
    client.declare("p")
    client.consume("q", "a")
    client.consume("q", "b", no_ack=True)
    client.send(publish(b"1"), publish(b"2"), publish(b"3", routing_key="p"))
    assert [event.delivery_tag for event in client.heard()] == [1, 2]
    assert client.get("p").delivery_tag == 3
    client >> publish(b"4")
    assert client.next().delivery_tag == 4


def test_no_ack_deliveries_are_settled_at_once():
    client = ready(2)
    client.consume("q", no_ack=True)
    assert client.bodies() == [b"0", b"1"]
    client >> m("basic.ack", delivery_tag=1)
    client.channel_closed(406, "PRECONDITION_FAILED - unknown delivery tag 1", "basic.ack")
    assert client.on(2).counts("q") == (0, 0)


def test_exchange_and_key_are_those_of_the_publish():
    """7"""
    client = ready()
    client.bind("q", "amq.topic", "#")
    client.consume("q")
    for key in ("a.b", "a.bc", "", "x" * 255, "a.b"):
        client >> publish(b"1", exchange="amq.topic", routing_key=key)
        client << deliver(b"1", exchange="amq.topic", routing_key=key)
    client >> publish(b"1")
    client << deliver(b"1", exchange="", routing_key="q")


@pytest.mark.parametrize("tag", ["", "t", "é", "x" * 255])
def test_tags_of_any_length_come_back(tag):
    client = ready()
    given = client.consume("q", tag).consumer_tag
    client >> publish(b"1")
    client << deliver(b"1", consumer_tag=given)


def test_a_consumer_on_another_connection_gets_the_messages_in_order():
    """8"""
    world = World()
    client, other = world.client(), world.client(channels=(9,)).on(9)
    client.declare("q")
    other.consume("q", no_ack=True)
    client.send(*(publish(b"%d" % number) for number in range(100)))
    assert other.bodies() == [b"%d" % number for number in range(100)]


def test_a_lost_connections_deliveries_come_first_in_order_and_redelivered():
    """8: connection drop: 0,1,2 redelivered first."""
    world = World()
    client, other = world.client(), world.client()
    client.declare("q")
    client.qos(3)
    client.consume("q")
    client.send(*(publish(b"%d" % number) for number in range(5)))
    assert client.bodies() == [b"0", b"1", b"2"]
    client.lose()
    other.consume("q")
    assert [(event.body, event.redelivered) for event in other.heard()] == [
        (b"0", True),
        (b"1", True),
        (b"2", True),
        (b"3", False),
        (b"4", False),
    ]


def test_what_a_dying_channel_gives_back_does_not_go_to_its_own_consumers():
    client = ready(0)
    client.consume("q", "a")
    client.consume("q", "b")
    client.send(publish(b"1"), publish(b"2"))
    client.heard()
    client.call("channel.close")
    assert client.on(2).counts("q") == (2, 0)
