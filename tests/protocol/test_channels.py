"""How channels open, close, and what counts while they do (behaviour 1, 2.9, 2.10)."""

import pytest
from harness import BODY, HEADER, World, content_header, deliver, frame, m, publish

MISSING = "NOT_FOUND - no queue 'nope' in vhost '/'"


def refused(client):
    """The server has closed the channel; the client has not agreed yet."""
    client >> m("queue.purge", queue="nope")
    client.expect("channel.close", reply_text=MISSING)
    return client


def test_a_method_before_open_is_504():
    """1.1"""
    client = World().client()
    client.on(2) >> m("queue.declare", queue="q")
    client.connection_closed(504, "CHANNEL_ERROR - expected 'channel.open'", "queue.declare")


def test_a_second_open_is_504():
    """1.1"""
    client = World().client()
    client >> m("channel.open")
    client.connection_closed(504, "CHANNEL_ERROR - second 'channel.open' seen", "channel.open")


@pytest.mark.parametrize("name", ["channel.close", "channel.close-ok"])
def test_closing_what_was_never_open_is_504(name):
    """As RabbitMQ 4.3.6 answers."""
    client = World().client()
    client.on(9) >> m(name)
    client.connection_closed(504, "CHANNEL_ERROR - expected 'channel.open'", name)


@pytest.mark.parametrize(
    "name", ["channel.close-ok", "channel.open-ok", "connection.close", "connection.tune-ok", "basic.cancel-ok"]
)
def test_methods_that_are_not_for_this_side_are_503(name):
    """1.1: stray close-ok, connection.* on a channel, anything unhandled."""
    client = World().client()
    client >> m(name).frames(1)
    client.connection_closed(503, "COMMAND_INVALID - unimplemented method", name)


def test_the_number_of_channels_is_limited_not_the_numbers():
    """2.9, 1.1: channel 500 opens with channel_max 2; the third does not. Class and method are 0."""
    client = World().client(channel_max=2, channels=(1, 500))
    client.on(3) >> m("channel.open")
    text = "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)"
    client.connection_closed(530, text, None)


def test_a_closed_channel_no_longer_counts():
    client = World().client(channel_max=1)
    client.call("channel.close")
    client.on(2).call("channel.open")


def test_close_is_answered_and_the_number_is_free():
    client = World().client()
    client.call("channel.close", reply_code=200)
    client.call("channel.open")


def test_tags_begin_anew_on_a_reopened_channel():
    """7"""
    client = World().client()
    client.declare("q")
    client.send(publish(b"1"), publish(b"2"))
    assert client.get("q").delivery_tag == 1
    client.call("channel.close")
    client.reopen()
    assert client.get("q").delivery_tag == 1


def test_prefetch_and_modes_do_not_outlive_a_channel():
    client = World().client()
    client.call("confirm.select")
    client.qos(1)
    client.qos(1, shared=True)
    client.call("channel.close")
    client.reopen()
    client.call("tx.select")
    client.call("channel.close")
    client.reopen()
    client.declare("q")
    client.send(publish(b"1"), publish(b"2"), publish(b"3"))
    client.consume("q")
    assert client.bodies() == [b"1", b"2", b"3"]


def test_close_gives_back_what_was_not_acknowledged():
    """7, 8"""
    client = World().client(channels=(1, 2))
    client.declare("q")
    client.send(publish(b"1"), publish(b"2"))
    client.consume("q")
    assert client.bodies() == [b"1", b"2"]
    client.call("channel.close")
    second = client.on(2)
    assert second.counts("q") == (2, 0)
    first = second.get("q")
    assert (first.body, first.redelivered) == (b"1", True)


def test_a_publish_that_was_not_complete_is_dropped_with_its_channel():
    client = World().client(channels=(1, 2))
    client.on(2).declare("q")
    client >> m("basic.publish", routing_key="q").frames(1) + frame(HEADER, 1, content_header(5))
    client >> frame(BODY, 1, b"x")
    client.on(2) >> publish(b"whole")
    client >> frame(BODY, 1, b"y")
    assert client.on(2).drain("q") == [b"whole"]


# -- after the server closed it


def test_after_a_soft_error_everything_on_the_channel_is_discarded():
    """1: all but channel.close and close-ok."""
    client = refused(World().client(channels=(1, 2)))
    client.on(2).declare("q")
    client.send(m("queue.declare", queue="never"), publish(b"never"), m("basic.consume", queue="q"))
    client >> frame(HEADER, 1, content_header(5)) + frame(BODY, 1, b"x")
    client.quiet()
    client >> m("channel.close-ok")
    client.quiet()
    assert not client.exists("never")
    assert client.on(2).counts("q") == (0, 0)


def test_an_error_in_the_middle_of_a_read_discards_what_follows_on_this_channel_only():
    """1"""
    client = World().client(channels=(1, 2))
    client.on(2).declare("q")
    said = m("queue.purge", queue="nope").frames(1) + publish(b"1").frames(1) + publish(b"2").frames(2)
    client >> said + m("basic.qos").frames(1) + m("basic.qos").frames(2)
    client.expect("channel.close", reply_code=404)
    client.on(2).expect("basic.qos-ok")
    assert client.on(2).drain("q") == [b"2"]


def test_a_publish_error_skips_its_content():
    """1: the header and body of a refused publish are discarded."""
    client = World().client()
    for step in (3, 131_064):
        said = publish(b"hello", exchange="nope")
        said.step = step
        client >> said
        client.channel_closed(404, "NOT_FOUND - no exchange 'nope' in vhost '/'", "basic.publish")
        client.reopen()


def test_both_sides_may_close_at_once():
    """1: a client's channel.close is still answered."""
    client = refused(World().client())
    client >> m("channel.close")
    client.expect("channel.close-ok")
    client >> m("channel.close-ok")
    client.quiet()
    client.reopen()


def test_close_ok_frees_the_number():
    """1"""
    client = refused(World().client())
    client >> m("channel.close-ok")
    client.reopen()


def test_open_instead_of_close_ok_is_504():
    client = refused(World().client())
    client >> m("channel.open")
    client.connection_closed(504, "CHANNEL_ERROR - second 'channel.open' seen", "channel.open")


def test_a_channel_that_waits_for_close_ok_still_counts():
    client = refused(World().client(channel_max=1))
    client.on(2) >> m("channel.open")
    client.expect("connection.close", reply_code=530)


def test_a_soft_error_gives_back_deliveries_and_ends_consumers():
    """1"""
    world = World()
    client, other = world.client(), world.client()
    client.declare("q")
    client.consume("q")
    other >> publish(b"1")
    client << deliver(b"1")
    refused(client)
    other >> publish(b"2")
    assert other.counts("q") == (2, 0)
    client.quiet()


# -- after the server closed the connection


def test_after_a_hard_error_everything_is_ignored_but_close_and_close_ok():
    """1"""
    world = World()
    client, other = world.client(), world.client()
    other.declare("q")
    client >> m("channel.open")
    client.expect("connection.close", reply_code=504)
    client.send(m("queue.declare", queue="never"), publish(b"never"))
    client >> frame(8, 0, b"")
    client.quiet()
    assert (client.exists("never"), other.counts("q")) == (False, (0, 0))
    client >> m("connection.close")
    client.expect("connection.close-ok")


def test_a_hard_error_releases_everything_before_the_close_is_sent():
    """1: channels are terminated and exclusive queues deleted first."""
    world = World()
    client, other = world.client(), world.client()
    client.declare("mine", exclusive=True)
    client.declare("q")
    client >> publish(b"1")
    client.consume("q")
    client << deliver(b"1")
    client >> m("channel.open")
    client.expect("connection.close")
    assert not other.exists("mine")
    assert other.counts("q") == (1, 0)


@pytest.mark.parametrize(("heartbeat", "wait_ms"), [(0, 30_000), (10, 10_000), (600, 30_000)])
def test_a_client_that_never_agrees_is_dropped(heartbeat, wait_ms):
    """1: after min(heartbeat, 30 s)."""
    client = World().client(heartbeat=heartbeat)
    client >> m("channel.open")
    client.expect("connection.close")
    client.world.pass_ms(wait_ms - 1)
    assert client.wire.ended == ""
    client.world.pass_ms(1)
    assert client.wire.ended == "abort"


def test_a_hard_error_on_one_channel_is_sent_on_channel_0():
    """1"""
    client = World().client(channels=(1, 7))
    client.on(7) >> m("basic.qos", prefetch_size=1)
    assert client.next().channel == 0


# -- what a channel answers besides


def test_access_request_gets_ticket_1():
    """2.10"""
    assert World().client().call("access.request", realm="/data", active=True).ticket == 1


def test_flow_may_be_turned_on_but_not_off():
    """7, 1.1"""
    client = World().client()
    assert client.call("channel.flow", active=True).active is True
    client >> m("channel.flow", active=False)
    client.connection_closed(540, "NOT_IMPLEMENTED - active=false", "channel.flow")
