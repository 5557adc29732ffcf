"""Heartbeats both ways (behaviour 2.8)."""

import pytest
from harness import HEARTBEAT, PROTOCOL_HEADER, World, frame, m, publish

BEAT = frame(HEARTBEAT, 0, b"")


def test_one_is_sent_after_every_half_interval_without_other_traffic():
    """2.8"""
    client = World().client(heartbeat=10)
    client.world.pass_ms(10_000)
    assert {event.name for event in client.heard()} == {"heartbeat"}
    for _ in range(4):
        client >> BEAT
        client.world.pass_ms(4999)
        client.quiet()
        client.world.pass_ms(1)
        assert client.next().name == "heartbeat"
        client.quiet()


def test_none_is_sent_where_something_else_was():
    """2.8"""
    client = World().client(heartbeat=10)
    client.world.pass_ms(10_000)
    client.heard()
    for _ in range(5):
        client.world.pass_ms(4000)
        client.call("access.request")
        client.world.pass_ms(1000)
        client.quiet()


def test_heartbeat_0_is_off():
    """2.4: as the client says."""
    client = World().client(heartbeat=0)
    client.world.pass_ms(10_000_000)
    client.quiet()
    assert client.wire.ended == ""


def test_the_clients_interval_counts_even_if_longer_than_the_servers():
    """2.4: it is not the lesser of the two."""
    client = World().client(heartbeat=600)
    client.world.pass_ms(299_999)
    client.quiet()
    client.world.pass_ms(300_001)
    assert client.next().name == "heartbeat"


def test_a_silent_client_is_dropped_after_two_to_three_intervals():
    """2.8: closed without a close method."""
    client = World().client(heartbeat=10)
    client.world.pass_ms(19_999)
    assert client.wire.ended == ""
    client.world.pass_ms(10_001)
    assert client.wire.ended == "abort"
    assert {event.name for event in client.heard()} == {"heartbeat"}


def test_a_dropped_clients_deliveries_return():
    """2.8"""
    world = World()
    client, other = world.client(heartbeat=10), world.client()
    client.declare("q")
    other.send(m("basic.qos"))
    other.expect("basic.qos-ok")
    client.consume("q")
    other >> publish(b"1")
    assert client.bodies() == [b"1"]
    assert other.counts("q") == (0, 1)
    world.pass_ms(40_000)
    assert other.counts("q") == (1, 0)


@pytest.mark.parametrize("traffic", [BEAT, BEAT[:1], m("access.request").frames(1)], ids=["beat", "a byte", "method"])
def test_any_byte_counts_as_a_sign_of_life(traffic):
    """2.8"""
    client = World().client(heartbeat=10)
    rest = traffic
    for turn in range(20):
        client.world.pass_ms(9000)
        assert client.wire.ended == "", turn
        client >> rest
        rest = BEAT[1:] + traffic if len(traffic) == 1 else traffic


def test_a_blocked_connection_is_not_dropped_but_still_hears_heartbeats():
    """2.8, 18: the receiving check is paused while blocked."""
    world = World()
    client = world.client(heartbeat=10)
    world.alarm()
    client.declare("q")
    client.send(m("basic.publish"))
    client >> frame(2, 1, bytes([0, 60, 0, 0]) + bytes(10))
    assert client.connection.blocked
    client.heard()
    world.pass_ms(100_000)
    assert client.wire.ended == ""
    assert len(client.heard()) >= 19


def test_heartbeats_are_due_again_once_unblocked():
    """18"""
    world = World()
    client = world.client(heartbeat=10)
    world.alarm()
    client.send(m("basic.publish"))
    client >> frame(2, 1, bytes([0, 60, 0, 0]) + bytes(10))
    world.pass_ms(100_000)
    world.all_clear()
    world.pass_ms(19_999)
    assert client.wire.ended == ""
    world.pass_ms(15_001)
    assert client.wire.ended == "abort"


def test_heartbeats_begin_with_tune_ok():
    client = World().connect()
    client >> PROTOCOL_HEADER
    client.expect("connection.start")
    client.start_ok()
    client.expect("connection.tune")
    client >> m("connection.tune-ok", channel_max=1, frame_max=8192, heartbeat=2)
    client.world.pass_ms(2000)
    assert client.next().name == "heartbeat"


def test_a_closed_connection_sends_none():
    client = World().client(heartbeat=2)
    client.call("connection.close")
    client.world.pass_ms(60_000)
    client.quiet()
