"""From the protocol header to connection.open, and the methods of channel 0 (behaviour 2)."""

import pytest
from harness import METHOD, PROTOCOL_HEADER, World, frame, ids, longstr, m, plain

LOGIN_REFUSED = (
    "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
)


def started(**limits):
    client = World(**limits).connect()
    client >> PROTOCOL_HEADER
    client.expect("connection.start")
    return client


def tuned(**limits):
    client = started(**limits)
    client.start_ok()
    client.expect("connection.tune")
    return client


def opening(**limits):
    client = tuned(**limits)
    client >> m("connection.tune-ok", channel_max=2047, frame_max=131072)
    client.quiet()
    return client


def assert_dropped_after_a_pause(client):
    """Nothing is said, and the socket goes away after three seconds (against guessing)."""
    client.quiet()
    assert client.wire.ended == ""
    client.world.pass_ms(2999)
    assert client.wire.ended == ""
    client.world.pass_ms(1)
    client.quiet()
    assert client.wire.ended == "abort"


# -- header and start


@pytest.mark.parametrize("header", [PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09"])
def test_a_header_of_0_9_is_answered_with_start_0_9(header):
    """2.1"""
    client = World().connect()
    client >> header
    client.expect("connection.start", version_major=0, version_minor=9)
    client.quiet()


@pytest.mark.parametrize(
    "header",
    [
        b"AMQP\x00\x00\x09\x02",
        b"AMQP\x00\x00\x09\x00",
        b"AMQP\x00\x00\x0a\x00",
        b"AMQP\x00\x00\x08\x00",
        b"AMQP\x01\x01\x08\x00",
        b"AMQP\x03\x01\x00\x00",
        b"GET / HT",
        b"amqp\x00\x00\x09\x01",
        bytes(8),
    ],
)
def test_any_other_header_is_answered_with_the_one_that_is_spoken_and_the_end(header):
    """2.1: as RabbitMQ does for 0 0 m r with m >= 9; for others it offers AMQP 1.0."""
    client = World().connect()
    client >> header
    assert client.next().header == PROTOCOL_HEADER
    client.quiet()
    assert client.wire.ended == "close"


def test_nothing_is_said_before_the_header_is_complete():
    client = World().connect()
    for octet in PROTOCOL_HEADER[:-1]:
        client >> bytes([octet])
        client.quiet()
    client >> PROTOCOL_HEADER[-1:]
    client.expect("connection.start")


def test_start_says_what_clients_switch_on():
    """2.2, 2.11: product and version are RabbitMQ's, capabilities come first, in RabbitMQ's order."""
    client = World().connect()
    client >> PROTOCOL_HEADER
    start = client.next()
    assert start.mechanisms == b"AMQPLAIN ANONYMOUS PLAIN"
    assert start.locales == b"en_US"
    assert start.server_properties[0][0] == "capabilities"
    properties = plain(start.server_properties)
    assert properties["product"] == "RabbitMQ"
    assert properties["version"].startswith("4.")
    assert properties["cluster_name"] == "rabbit@test"
    assert {"copyright", "information", "platform"} <= set(properties)
    assert list(properties["capabilities"].items()) == [
        ("publisher_confirms", True),
        ("exchange_exchange_bindings", True),
        ("basic.nack", True),
        ("consumer_cancel_notify", True),
        ("connection.blocked", True),
        ("consumer_priorities", True),
        ("authentication_failure_close", True),
        ("per_consumer_qos", True),
        ("direct_reply_to", True),
    ]


# -- start-ok


def test_tune_offers_rabbitmqs_numbers():
    """2.4"""
    client = started()
    client.start_ok()
    client.expect("connection.tune", channel_max=2047, frame_max=131072, heartbeat=60)
    client.quiet()


@pytest.mark.parametrize("fields", [{"mechanism": "ANONYMOUS", "response": "x"}, {"locale": "de_DE"}])
def test_other_mechanisms_and_any_locale_are_accepted(fields):
    """2.2"""
    client = started()
    client.start_ok(**fields)
    client.expect("connection.tune")


def test_a_failed_login_is_answered_for_who_can_take_it():
    """1.1: 403, class and method 0."""
    client = started()
    client.start_ok(response="\0guest\0wrong")
    client.connection_closed(403, LOGIN_REFUSED, None)


def test_a_failed_login_just_ends_for_who_cannot():
    """1.1: without the capability authentication_failure_close."""
    client = started()
    client.start_ok(response="\0guest\0wrong", capabilities=())
    assert_dropped_after_a_pause(client)


def test_guest_may_only_come_from_loopback():
    """2.3"""
    client = World().connect(loopback=False)
    client >> PROTOCOL_HEADER
    client.expect("connection.start")
    client.start_ok()
    client.connection_closed(403, LOGIN_REFUSED, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"mechanism": "PLAINER"},
        {"mechanism": ""},
        {"mechanism": "plain"},
        {"response": "someone\0guest\0guest"},
        {"response": ""},
    ],
    ids=str,
)
def test_a_handshake_that_makes_no_sense_hears_nothing(fields):
    """1: a failed handshake step waits, then drops the socket with no close."""
    client = started()
    client.start_ok(**fields)
    assert_dropped_after_a_pause(client)


@pytest.mark.parametrize("name", ["connection.tune-ok", "connection.open", "connection.close", "connection.secure-ok"])
def test_any_other_method_before_start_ok_hears_nothing(name):
    """1"""
    client = started()
    client >> m(name)
    assert_dropped_after_a_pause(client)


def test_a_truncated_start_ok_hears_nothing():
    client = started()
    class_id, method_id = ids("connection.start-ok")
    client >> frame(METHOD, 0, bytes([0, class_id, 0, method_id]) + longstr(b"\x05abc"))
    assert_dropped_after_a_pause(client)


def test_a_frame_on_another_channel_before_start_ok_hears_nothing():
    client = started()
    client >> m("channel.open")
    assert_dropped_after_a_pause(client)


def test_an_oversize_frame_before_tune_ok_hears_nothing():
    """2.7: initial_frame_max is 8192."""
    client = started()
    client.start_ok(locale="x" * 100, client_properties={"long": "x" * 8200})
    assert_dropped_after_a_pause(client)


def test_a_frame_of_initial_frame_max_is_taken():
    """2.7"""
    client = started()
    client.start_ok(client_properties={"long": "x" * 8000})
    client.expect("connection.tune")


def test_what_comes_after_a_failed_handshake_is_ignored():
    client = started()
    client.start_ok(mechanism="NONE")
    client.start_ok()
    client >> m("connection.close")
    assert_dropped_after_a_pause(client)


# -- tune-ok


@pytest.mark.parametrize("frame_max", [4096, 8191, 8192, 131072])
@pytest.mark.parametrize("channel_max", [1, 2047])
def test_tune_ok_within_the_limits_is_accepted(frame_max, channel_max):
    """2.4, and 23: 4096 to 8191 are accepted for the sake of old clients."""
    client = tuned()
    client >> m("connection.tune-ok", channel_max=channel_max, frame_max=frame_max)
    client >> m("connection.open", virtual_host="/")
    client.expect("connection.open-ok", reserved_1="")
    client.quiet()


@pytest.mark.parametrize(
    ("channel_max", "frame_max", "text"),
    [
        (0, 131072, "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
        (2048, 131072, "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"),
        (65535, 131072, "negotiated channel_max = 65535 is higher than the maximum allowed value (2047)"),
        (2047, 0, "negotiated frame_max = 0 (no limit) is higher than the maximum allowed value (131072)"),
        (2047, 100, "negotiated frame_max = 100 is lower than the minimum allowed value (4096)"),
        (2047, 4095, "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
        (2047, 131073, "negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"),
    ],
)
def test_tune_ok_beyond_the_limits_is_refused(channel_max, frame_max, text):
    """2.4. RabbitMQ 4.3.6 only logs the text and drops the socket; a close says the same sooner."""
    client = tuned()
    client >> m("connection.tune-ok", channel_max=channel_max, frame_max=frame_max)
    close = client.next()
    assert (close.name, close.reply_code, close.reply_text) == ("connection.close", 530, f"NOT_ALLOWED - {text}")
    client.quiet()


@pytest.mark.parametrize("name", ["connection.start-ok", "connection.open", "connection.close"])
def test_any_other_method_before_tune_ok_hears_nothing(name):
    client = tuned()
    client >> m(name)
    assert_dropped_after_a_pause(client)


# -- open


@pytest.mark.parametrize(
    "name", ["connection.close", "connection.tune-ok", "connection.start-ok", "connection.close-ok"]
)
def test_any_other_method_before_open_is_504(name):
    """1.1, as RabbitMQ 4.3.6 answers."""
    client = opening()
    client >> m(name)
    client.connection_closed(504, "CHANNEL_ERROR - unexpected method in connection state opening", name)


def test_a_channel_before_open_is_505():
    client = opening()
    client >> m("channel.open")
    client.connection_closed(505, "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>", None)


def test_an_unknown_vhost_is_530():
    """1.1"""
    client = opening()
    client >> m("connection.open", virtual_host="nope")
    client.connection_closed(530, "NOT_ALLOWED - vhost nope not found", "connection.open")


def test_the_nodes_connection_limit_is_530_and_freed_by_a_close():
    """1.1, 2.5: checked at open."""
    world = World(connection_max=1)
    first = world.client()
    second = world.connect()
    second >> PROTOCOL_HEADER
    second.expect("connection.start")
    second.start_ok()
    second.expect("connection.tune")
    second >> m("connection.tune-ok", channel_max=1, frame_max=8192)
    second >> m("connection.open", virtual_host="nope")
    text = "NOT_ALLOWED - connection refused: node connection limit (1) is reached"
    second.connection_closed(530, text, "connection.open")
    first.call("connection.close")
    world.client()


def test_the_handshake_takes_ten_seconds_at_most():
    """2.6"""
    client = opening()
    client.world.pass_ms(9999)
    assert client.wire.ended == ""
    client.world.pass_ms(1)
    assert client.wire.ended == "abort"
    client.quiet()


def test_an_open_connection_has_no_such_limit():
    """2.6"""
    client = World().client()
    client.world.pass_ms(1_000_000)
    assert client.wire.ended == ""
    client.quiet()


def test_a_whole_handshake_in_one_read_works():
    """Clients need not wait for what they know."""
    world = World()
    client = world.connect()
    said = [
        m("connection.start-ok", mechanism="PLAIN", response="\0guest\0guest", locale="en_US"),
        m("connection.tune-ok", channel_max=2047, frame_max=131072),
        m("connection.open", virtual_host="/"),
    ]
    client >> PROTOCOL_HEADER + b"".join(method.frames(0) for method in said) + m("channel.open").frames(1)
    names = [event.name for event in client.heard()]
    assert names == ["connection.start", "connection.tune", "connection.open-ok", "channel.open-ok"]


# -- channel 0 while running


@pytest.mark.parametrize(
    "name",
    [
        "connection.start",
        "connection.start-ok",
        "connection.tune-ok",
        "connection.secure-ok",
        "connection.open",
        "connection.open-ok",
        "connection.close-ok",
        "connection.blocked",
        "connection.unblocked",
    ],
)
def test_a_method_out_of_place_on_channel_0_is_504(name):
    """1.1"""
    client = World().client()
    client >> m(name)
    client.connection_closed(504, "CHANNEL_ERROR - unexpected method in connection state running", name)


@pytest.mark.parametrize("name", ["channel.open", "queue.declare", "basic.qos"])
def test_a_channels_method_on_channel_0_is_504(name):
    """1.1"""
    client = World().client()
    client.on(0) >> m(name)
    client.connection_closed(504, "CHANNEL_ERROR - unexpected method in connection state running", name)


@pytest.mark.parametrize("secret", ["new", ""])
def test_update_secret_is_answered(secret):
    """2.12"""
    client = World().client()
    client.call("connection.update-secret", new_secret=secret, reason="expired")


def test_an_update_secret_that_is_refused_is_530():
    """1.1"""
    client = World().client()
    client >> m("connection.update-secret", new_secret="bad")
    text = "NOT_ALLOWED - New secret was refused by one of the backends"
    client.connection_closed(530, text, "connection.update-secret")


def test_close_releases_everything_before_close_ok():
    """2.13, 4: exclusive queues are deleted before close-ok."""
    world = World()
    client, other = world.client(), world.client()
    client.declare("mine", exclusive=True)
    client.declare("shared")
    client.call("connection.close", reply_code=200)
    assert client.wire.ended == "close"
    assert not client.exists("mine")
    assert other.counts("shared") == (0, 0)


def test_an_operators_close_is_320_with_the_reason():
    """1.1"""
    client = World().client()
    client.connection.force_close("broker forced connection closure with reason 'shutdown'")
    client.world.settle()
    text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    client.connection_closed(320, text, None)


def test_an_operators_close_during_the_handshake_just_ends_it():
    client = tuned()
    client.connection.force_close("shutdown")
    client.quiet()
    assert client.wire.ended == "abort"


def test_a_lost_connection_leaves_nothing_behind():
    world = World()
    client, other = world.client(), world.client()
    client.declare("mine", exclusive=True)
    client.declare("q")
    client >> m("basic.consume", queue="q")
    client.lose()
    assert not other.exists("mine")
    assert other.counts("q") == (0, 0)
    assert len(world.broker.connections) == 1
