"""ack, nack, reject, recover (behaviour 7, 8)."""

import pytest
from harness import World, deliver, m, publish

from amqpd.protocol.consuming import SETTLED_AT_ONCE

UNKNOWN = "PRECONDITION_FAILED - unknown delivery tag {}"


def got(count=5, queue="q", **declared):
    """A client that got `count` messages, numbered from 1, and has not settled them."""
    client = World().client(channels=(1, 2))
    client.declare(queue, **declared)
    for number in range(1, count + 1):
        client >> publish(b"%d" % number, routing_key=queue)
        client.get(queue, no_ack=False)
    return client


def left(client):
    """What is in the queue once the channel is closed."""
    client.call("channel.close")
    return client.on(2).drain("q")


def test_ack_settles_one():
    """7"""
    client = got()
    client >> m("basic.ack", delivery_tag=2)
    client.quiet()
    assert left(client) == [b"1", b"3", b"4", b"5"]


def test_ack_multiple_settles_all_up_to_it():
    """7"""
    client = got()
    client >> m("basic.ack", delivery_tag=3, multiple=True)
    assert left(client) == [b"4", b"5"]


def test_multiple_with_tag_0_means_all():
    """7"""
    client = got()
    client >> m("basic.ack", delivery_tag=0, multiple=True)
    assert left(client) == []


def test_multiple_with_tag_0_is_fine_even_if_there_is_nothing():
    """7"""
    client = got(0)
    client.send(m("basic.ack", multiple=True), m("basic.nack", multiple=True, requeue=True))
    client.quiet()


@pytest.mark.parametrize("name", ["basic.ack", "basic.nack", "basic.reject"])
@pytest.mark.parametrize("settled_by", [{"delivery_tag": 2}, {"delivery_tag": 2, "multiple": True}])
def test_a_tag_can_be_settled_once(name, settled_by):
    """7: already settled is unknown, and the channel dies."""
    client = got()
    client.send(m("basic.ack", **settled_by), m(name, delivery_tag=2))
    client.channel_closed(406, UNKNOWN.format(2), name)


@pytest.mark.parametrize("name", ["basic.ack", "basic.nack"])
@pytest.mark.parametrize("tag", [2, 99])
def test_multiple_up_to_a_tag_that_is_not_outstanding_is_refused(name, tag):
    """7: unknown or already settled tag -> 406."""
    client = got(3)
    client >> m("basic.ack", delivery_tag=2)
    client >> m(name, delivery_tag=tag, multiple=True)
    client.channel_closed(406, UNKNOWN.format(tag), name)


def test_tags_are_the_channels_own():
    client = got(1)
    client.on(2) >> m("basic.ack", delivery_tag=1)
    client.on(2).channel_closed(406, UNKNOWN.format(1), "basic.ack")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("basic.nack", {"requeue": True}),
        ("basic.reject", {"requeue": True}),
    ],
)
def test_requeue_puts_a_message_back_in_its_place(name, fields):
    """8: 2 of 1,2,3 comes back: the next get is 2; redelivered."""
    client = got(3)
    client >> m(name, delivery_tag=2, **fields)
    again = client.get("q", no_ack=False)
    assert (again.body, again.redelivered, again.delivery_tag) == (b"2", True, 4)


@pytest.mark.parametrize("order", [(5, 4, 3, 2, 1), (1, 2, 3, 4, 5), (3, 1, 5, 2, 4)])
def test_requeued_in_any_order_they_come_out_in_the_original_one(order):
    """8"""
    client = got(5)
    client >> publish(b"6")
    for tag in order:
        client >> m("basic.nack", delivery_tag=tag, requeue=True)
    assert client.drain("q") == [b"1", b"2", b"3", b"4", b"5", b"6"]


def test_nack_multiple_requeues_all_up_to_it():
    """7"""
    client = got(5)
    client >> m("basic.nack", delivery_tag=3, multiple=True, requeue=True)
    assert client.drain("q") == [b"1", b"2", b"3"]


def test_nack_multiple_with_tag_0_means_all():
    client = got(3)
    client >> m("basic.nack", multiple=True, requeue=True)
    assert client.drain("q") == [b"1", b"2", b"3"]


@pytest.mark.parametrize("said", [m("basic.nack", delivery_tag=1), m("basic.reject", delivery_tag=1)], ids=str)
def test_without_requeue_and_dead_letter_exchange_it_is_gone(said):
    """7"""
    client = got(2)
    client >> said
    assert left(client) == [b"2"]


def test_a_fresh_message_is_not_redelivered():
    """8"""
    client = got(0)
    client >> publish(b"1")
    assert client.get("q").redelivered is False


@pytest.mark.parametrize(("name", "answered"), [("basic.recover", True), ("basic.recover-async", False)])
def test_recover_redelivers_everything_with_new_tags(name, answered):
    """7: recover-ok comes first."""
    client = World().client()
    client.declare("q")
    client.send(publish(b"1"), publish(b"2"))
    client.consume("q")
    assert client.bodies() == [b"1", b"2"]
    client >> m(name, requeue=True)
    events = client.heard()
    assert [event.name for event in events][: len(events) - 2] == ["basic.recover-ok"] * answered
    again = [(event.body, event.delivery_tag, event.redelivered) for event in events if event.name == "basic.deliver"]
    assert again == [(b"1", 3, True), (b"2", 4, True)]
    client >> m("basic.ack", delivery_tag=1)
    client.channel_closed(406, UNKNOWN.format(1), "basic.ack")


def test_recover_covers_what_was_got_and_nothing_of_other_channels():
    client = got(1)
    client.on(2) >> publish(b"theirs")
    client.on(2).get("q", no_ack=False)
    client.call("basic.recover", requeue=True)
    assert client.drain("q") == [b"1"]


def test_recover_with_nothing_outstanding_is_answered():
    World().client().call("basic.recover", requeue=True)


def test_a_requeued_message_goes_to_whoever_has_room():
    """7"""
    world = World()
    client, other = world.client(), world.client()
    client.declare("q")
    client.qos(1)
    client.consume("q", "a")
    client >> publish(b"1")
    client << deliver(b"1")
    other.consume("q", "b")
    client.call("basic.cancel", consumer_tag="a")
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    other << deliver(b"1", redelivered=True)


def test_settling_of_several_queues_reaches_each():
    client = World().client(channels=(1, 2))
    for name in ("p", "q"):
        client.declare(name)
        client >> publish(name.encode(), routing_key=name)
        client.get(name, no_ack=False)
    client >> m("basic.nack", delivery_tag=2, multiple=True, requeue=True)
    assert (client.drain("p"), client.drain("q")) == ([b"p"], [b"q"])


def test_acks_need_not_be_in_order():
    client = got(100)
    for tag in [*range(100, 50, -1), *range(1, 51)]:
        client >> m("basic.ack", delivery_tag=tag)
    client.quiet()
    assert left(client) == []


def many_of(count, **options):
    """A world whose first client was given `count` messages and settled none; and a second client."""
    world = World()
    client = world.client()
    client.declare("q", **options)
    client.consume()
    for start in range(0, count, 500):
        some = range(start, min(count, start + 500))
        client.feed(b"".join(publish(b"%d" % number, routing_key="q").frames(1) for number in some))
        assert len(client.bodies()) == len(some)
    return world, client, world.client()


@pytest.mark.parametrize("end", ["lost", "nack", "recover"])
def test_very_many_return_in_parts_and_in_order(end):
    """7: nobody waits for all of them, and nothing overtakes those that are on their way."""
    count = 2 * SETTLED_AT_ONCE + 500
    world, client, other = many_of(count)
    if end == "lost":
        client.lose()
    else:
        client.call("basic.cancel", consumer_tag="t")
        nack = m("basic.nack", multiple=True, requeue=True)
        client >> (nack if end == "nack" else m("basic.recover-async", requeue=True))
    assert other.counts()[0] == SETTLED_AT_ONCE
    other >> publish(b"new", routing_key="q")
    other.consume()
    other.quiet()
    world.pass_ms(1)
    other.quiet()
    world.pass_ms(1)
    assert other.bodies() == [b"%d" % number for number in range(count)] + [b"new"]


def test_a_queue_may_go_while_very_many_return():
    """7"""
    world, client, other = many_of(SETTLED_AT_ONCE + 1)
    client.lose()
    assert other.call("queue.delete", queue="q").fields["message_count"] == SETTLED_AT_ONCE
    other.declare("q")
    world.pass_ms(1)
    assert other.counts() == (0, 0)


def test_a_consumer_gets_very_many_again_that_it_refused():
    """7"""
    world, client, _other = many_of(SETTLED_AT_ONCE + 1)
    client >> m("basic.nack", multiple=True, requeue=True)
    client.quiet()
    world.pass_ms(1)
    assert client.bodies() == [b"%d" % number for number in range(SETTLED_AT_ONCE + 1)]


def test_very_many_are_acknowledged_in_parts():
    """7"""
    world, client, other = many_of(2 * SETTLED_AT_ONCE + 1)
    queue = world.vhost.queues["q"]
    client >> m("basic.ack", multiple=True)
    assert queue.unacked_messages == SETTLED_AT_ONCE + 1
    client.lose()
    world.pass_ms(1)
    world.pass_ms(1)
    assert queue.unacked_messages == 0
    assert other.counts()[0] == 0


def test_very_many_refused_become_dead_letters_without_exceeding_their_limit():
    """7, 11: the next are refused when those that were refused before have been published."""
    world = World(dead_letters_max=SETTLED_AT_ONCE)
    client = world.client(channels=(1, 2))
    client.declare("dead")
    client.declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    client.consume()
    count = 3 * SETTLED_AT_ONCE
    for start in range(0, count, 500):
        some = range(start, start + 500)
        client.feed(b"".join(publish(b"%d" % number, routing_key="q").frames(1) for number in some))
    client.bodies()
    client >> m("basic.nack", multiple=True, requeue=False)
    for _ in range(20):
        world.pass_ms(1)
    assert client.on(2).drain("dead") == [b"%d" % number for number in range(count)]
