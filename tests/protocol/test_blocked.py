"""Connections that publish while an alarm is on (behaviour 18)."""

import pytest
from harness import CAPABILITIES, World, content_header, deliver, frame, m, publish


def alarmed(resource="memory", **kwargs):
    world = World()
    client, other = world.client(**kwargs), world.client()
    other.declare("q")
    world.alarm(resource)
    return world, client, other


def test_an_idle_connection_hears_nothing():
    """18"""
    world, client, _other = alarmed()
    client.quiet()
    world.all_clear()
    client.quiet()


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        (("memory",), "low on memory"),
        (("disk",), "low on disk"),
        (("disk", "memory"), "low on memory & disk"),
    ],
)
def test_who_publishes_is_told_why(resources, reason):
    """18"""
    world = World()
    client = world.client()
    for resource in resources:
        world.alarm(resource)
    client >> publish(b"1")
    client.expect("connection.blocked", reason=reason)
    client.quiet()


def test_a_content_header_alone_is_publishing():
    """18: header or body frame."""
    _world, client, _other = alarmed()
    client >> m("basic.publish", routing_key="q").frames(1) + frame(2, 1, content_header(5))
    client.expect("connection.blocked")


def test_a_body_frame_is_publishing():
    """18: the alarm was raised in the middle of a content."""
    world = World()
    client = world.client()
    client >> m("basic.publish", routing_key="q").frames(1) + frame(2, 1, content_header(5))
    world.alarm()
    client.quiet()
    client >> frame(3, 1, b"ab")
    client.expect("connection.blocked")


def test_nothing_more_is_read_until_the_alarm_is_off():
    """18: unblocked first, then the waiting replies; in order."""
    world, client, other = alarmed()
    client >> publish(b"1")
    client.expect("connection.blocked")
    client >> m("queue.declare", queue="mine")
    client.send(publish(b"2"), m("basic.qos"))
    client.quiet()
    assert not other.exists("mine")
    world.all_clear()
    client.expect("connection.unblocked")
    client.expect("queue.declare-ok", queue="mine")
    client.expect("basic.qos-ok")
    client.quiet()
    assert other.drain("q") == [b"1", b"2"]


def test_what_came_in_the_same_read_waits_too():
    """18"""
    world, client, other = alarmed()
    client.send(publish(b"1"), m("queue.declare", queue="mine"), publish(b"2"))
    client.expect("connection.blocked")
    client.quiet()
    world.all_clear()
    client.expect("connection.unblocked")
    client.expect("queue.declare-ok")
    assert other.drain("q") == [b"1", b"2"]


def test_others_go_on_declaring_and_consuming():
    """18: what brought the block about is in no queue before the alarm is off."""
    world, client, other = alarmed()
    client >> publish(b"1")
    other.declare("more")
    other.consume("q")
    other.quiet()
    world.all_clear()
    other << deliver(b"1")


def test_a_blocked_connections_consumers_are_still_served():
    world = World()
    client, other = world.client(), world.client()
    other.declare("q")
    other >> publish(b"1")
    other.get("q", no_ack=False)
    client.consume("q")
    world.alarm()
    client >> publish(b"2", routing_key="nobody")
    client.expect("connection.blocked")
    other >> m("basic.nack", delivery_tag=1, requeue=True)
    client << deliver(b"1")


def test_who_did_not_announce_the_capability_is_blocked_silently():
    """18"""
    world, client, _other = alarmed(capabilities=tuple(name for name in CAPABILITIES if name != "connection.blocked"))
    client.send(publish(b"1"), m("basic.qos"))
    client.quiet()
    world.all_clear()
    client.expect("basic.qos-ok")
    client.quiet()


def test_it_stays_blocked_until_the_last_alarm_is_off():
    world, client, _other = alarmed()
    client >> publish(b"1")
    client.expect("connection.blocked", reason="low on memory")
    world.alarm("memory", "another node")
    client.quiet()
    world.all_clear()
    client.quiet()
    world.all_clear("memory", "another node")
    client.expect("connection.unblocked")


def test_confirms_of_what_was_taken_come_though_it_is_blocked():
    world, client, _other = alarmed()
    client.call("confirm.select")
    client >> publish(b"1")
    names = {event.name for event in client.heard()}
    world.all_clear()
    names |= {event.name for event in client.heard()}
    assert names == {"connection.blocked", "basic.ack", "connection.unblocked"}


def test_a_blocked_client_that_goes_away_leaves_nothing():
    world, client, other = alarmed()
    client.send(m("queue.declare", queue="mine", exclusive=True), publish(b"1"))
    client.lose()
    assert not other.exists("mine")
    world.all_clear()
    assert len(world.broker.connections) == 1


def test_an_operator_can_close_a_blocked_connection():
    world, client, _other = alarmed()
    client >> publish(b"1")
    client.expect("connection.blocked")
    client.connection.force_close("enough")
    world.settle()
    client.connection_closed(320, "CONNECTION_FORCED - enough", None)


def test_one_connections_block_ends_with_the_alarm_for_all():
    world = World()
    clients = [world.client() for _ in range(3)]
    world.alarm()
    for client in clients:
        client >> publish(b"1")
        client.expect("connection.blocked")
    world.all_clear()
    for client in clients:
        client.expect("connection.unblocked")
        client.call("access.request")
