"""Frames that are broken, out of turn, or cut at any place (behaviour 1.1, 2.7, 2.9)."""

import itertools
import struct

import pytest
from harness import (
    BODY,
    HEADER,
    HEARTBEAT,
    METHOD,
    PROTOCOL_HEADER,
    SPEC,
    World,
    content_header,
    deliver,
    frame,
    ids,
    m,
    publish,
    short,
)
from hypothesis import given
from hypothesis import strategies as st

PUBLISH = m("basic.publish", routing_key="q").frames(1)


def method(name, arguments):
    return frame(METHOD, 1, struct.pack(">HH", *ids(name)) + arguments)


def header(payload):
    return frame(HEADER, 1, payload)


def body(payload):
    return frame(BODY, 1, payload)


# -- the frame itself


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (frame(METHOD, 1, b"\0\x14\0\x0a", end=0), "type 1, all octets = <<0,20,0,10>>: {invalid_frame_end_marker,0}"),
        (frame(BODY, 1, b"abc", end=205), 'type 3, all octets = <<"abc">>: {invalid_frame_end_marker,205}'),
        (frame(9, 1, b"abcd"), 'type 9, all octets = <<"abcd">>: unknown_frame'),
        (frame(0, 0, b""), "type 0, all octets = <<>>: unknown_frame"),
        (frame(9, 1, b"0123456789abcdef"), 'type 9, all octets = <<"0123456789abcdef">>: unknown_frame'),
        (frame(9, 1, b"0123456789abcdefg"), 'type 9, first 16 octets = <<"0123456789abcdef">>: unknown_frame'),
        (frame(9, 1, b'a"b\\\n'), 'type 9, all octets = <<"a\\"b\\\\\\n">>: unknown_frame'),
        (frame(HEARTBEAT, 0, b"abc"), 'type 8, all octets = <<"abc">>: unknown_frame'),
        (frame(METHOD, 1, b"\0\x32\0"), "type 1, all octets = <<0,50,0>>: unknown_frame"),
        (frame(METHOD, 0, b"\0\x0a"), "type 1, all octets = <<0,10>>: unknown_frame"),
        (frame(METHOD, 2, b""), "type 1, all octets = <<>>: unknown_frame"),
        (struct.pack(">BHI", 3, 1, 131073), "type 3, all octets = <<>>: {frame_too_large,131073,131064}"),
        (struct.pack(">BHI", 1, 1, 0xFFFF_FFFF), "type 1, all octets = <<>>: {frame_too_large,4294967295,131064}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_frame_is_501_and_shown_as_erlang_prints_it(broken, text):
    """1.1: class and method are 0."""
    client = World().client()
    client >> broken + b"\0" * (8 if len(broken) == 7 else 0)
    client.connection_closed(501, f"FRAME_ERROR - {text}", None)


@pytest.mark.parametrize(("size", "accepted"), [(4088, True), (4089, True), (4096, True), (4097, False)])
def test_a_payload_may_exceed_frame_max_minus_8_by_8(size, accepted):
    """2.7: tolerance of 8 bytes; what was taken goes out in frames as agreed."""
    client = World().client(frame_max=4096)
    client.declare("q")
    client >> PUBLISH + header(content_header(size)) + body(b"x" * size)
    if accepted:
        assert client.get("q").body == b"x" * size
        assert max(client.wire.decoder.sizes) <= 4088
    else:
        client.connection_closed(501, f"FRAME_ERROR - type 3, all octets = <<>>: {{frame_too_large,{size},4088}}", None)


@pytest.mark.parametrize(
    ("strange", "text"),
    [
        (frame(HEARTBEAT, 1, b""), "type 8, all octets = <<>>"),
        (frame(HEARTBEAT, 7, b""), "type 8, all octets = <<>>"),
        (frame(HEADER, 0, bytes(14)), "type 2, all octets = <<0,0,0,0,0,0,0,0,0,0,0,0,0,0>>"),
        (frame(BODY, 0, b"x"), 'type 3, all octets = <<"x">>'),
        (frame(HEADER, 7, content_header(0)), "expected method frame, got non method frame instead"),
        (frame(BODY, 7, b"x"), "expected method frame, got non method frame instead"),
        (frame(HEADER, 1, content_header(0)), "expected method frame, got non method frame instead"),
        (frame(BODY, 1, b"x"), "expected method frame, got non method frame instead"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_frame_where_it_does_not_belong_is_505(strange, text):
    """1.1: class and method are 0."""
    client = World().client()
    client >> strange
    client.connection_closed(505, f"UNEXPECTED_FRAME - {text}", None)


def test_a_heartbeat_inside_a_content_on_its_channel_is_505():
    client = World().client()
    client >> PUBLISH + header(content_header(1)) + frame(HEARTBEAT, 1, b"")
    client.connection_closed(505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", None)


def test_a_heartbeat_on_channel_0_may_come_inside_a_content():
    """2.8"""
    client = World().client()
    client.declare("q")
    client >> PUBLISH + frame(HEARTBEAT, 0, b"") + header(content_header(1)) + frame(HEARTBEAT, 0, b"") + body(b"x")
    assert client.drain("q") == [b"x"]


# -- contents


@pytest.mark.parametrize(
    ("after", "text"),
    [
        (PUBLISH, "expected content header for class 60, got non content header frame instead"),
        (m("basic.qos").frames(1), "expected content header for class 60, got non content header frame instead"),
        (body(b"x"), "expected content header for class 60, got non content header frame instead"),
        (header(content_header(0, class_id=50)), "expected content header for class 60, got one for class 50 instead"),
        (
            header(content_header(0, weight=1)),
            "expected content header for class 60, got non content header frame instead",
        ),
        (header(content_header(1)) + PUBLISH, "expected content body, got non content body frame instead"),
        (
            header(content_header(1)) + header(content_header(1)),
            "expected content body, got non content body frame instead",
        ),
    ],
    ids=range(7),
)
def test_a_content_out_of_sequence_is_505(after, text):
    """1.1: named by the publish."""
    client = World().client()
    client.feed(PUBLISH, after)
    client.connection_closed(505, f"UNEXPECTED_FRAME - {text}", "basic.publish")


def test_a_body_longer_than_announced_is_501():
    """1.1"""
    client = World().client()
    client >> PUBLISH + header(content_header(2)) + body(b"abc")
    text = "FRAME_ERROR - content body frame exceeds remaining content size"
    client.connection_closed(501, text, "basic.publish")


def test_a_body_longer_than_announced_in_its_second_frame_is_501():
    client = World().client()
    client >> PUBLISH + header(content_header(3)) + body(b"ab") + body(b"cd")
    text = "FRAME_ERROR - content body frame exceeds remaining content size"
    client.connection_closed(501, text, "basic.publish")


def test_more_than_512_mib_announced_is_501():
    """1.1"""
    client = World().client()
    client >> PUBLISH + header(content_header(536870913))
    text = "FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912"
    client.connection_closed(501, text, "basic.publish")


@pytest.mark.parametrize("size", [2**63, 2**64 - 1])
def test_a_size_beyond_63_bits_is_501_too(size):
    client = World().client()
    client >> PUBLISH + header(content_header(size))
    text = f"FRAME_ERROR - content body size {size} exceeds maximum allowed size 536870912"
    client.connection_closed(501, text, "basic.publish")


def test_a_body_frame_after_an_empty_content_is_505():
    client = World().client()
    client >> PUBLISH + header(content_header(0)) + body(b"")
    text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead"
    client.connection_closed(505, text, None)


def test_empty_body_frames_in_the_middle_are_fine():
    client = World().client()
    client.declare("q")
    client >> PUBLISH + header(content_header(2)) + body(b"") + body(b"a") + body(b"") + body(b"b")
    assert client.drain("q") == [b"ab"]


@pytest.mark.parametrize("size", [2, 11])
def test_a_content_header_too_short_to_be_one_is_501(size):
    client = World().client()
    payload = content_header(0)[:size]
    client >> PUBLISH + header(payload)
    shown = ",".join(str(octet) for octet in payload)
    client.connection_closed(501, f"FRAME_ERROR - type 2, all octets = <<{shown}>>: unknown_frame", None)


@pytest.mark.parametrize(
    "payload",
    [
        content_header(0)[:12],
        content_header(0)[:13],
        content_header(0, {"priority": 1})[:-1],
        content_header(0, {"type": "long"})[:-1],
        content_header(0) + b"x",
        content_header(0)[:12] + b"\x20\x00" + b"\0\0\0\x02\x01a",
    ],
    ids=["no flags", "half of the flags", "cut octet", "cut string", "left over", "bad table"],
)
def test_a_content_header_that_cannot_be_decoded_ends_the_connection(payload):
    """501 (RabbitMQ crashes with 541), and nothing of it is routed."""
    world = World()
    client, other = world.client(), world.client()
    client.declare("q")
    client >> PUBLISH + header(payload)
    client.expect("connection.close", reply_code=501)
    client.quiet()
    assert other.counts("q") == (0, 0)


# -- methods


@pytest.mark.parametrize(
    ("name", "arguments", "shown"),
    [
        ("queue.declare", b"\0\0\x05ab", "0,0,5,97,98"),
        ("queue.declare", b"", ""),
        ("basic.publish", b"\0\0\x05ab", "0,0,5,97,98"),
        ("basic.publish", b"\0\0\0\0\0x", "0,0,0,0,0,120"),
        ("basic.qos", b"\0\0\0\0\0\0\0\0", "0,0,0,0,0,0,0,0"),
        ("basic.ack", b"\0" * 8, "0,0,0,0,0,0,0,0"),
        ("tx.select", b"x", "120"),
    ],
)
def test_arguments_that_are_cut_or_left_over_are_501_with_the_bytes(name, arguments, shown):
    client = World().client()
    client >> method(name, arguments) + b""
    if name == "basic.publish":
        client >> header(content_header(0))
    client.connection_closed(501, f"FRAME_ERROR - cannot decode <<{shown}>>", name)


def test_a_queues_name_that_is_not_utf8_is_501():
    client = World().client()
    client >> m("queue.declare", queue=b"\xff")
    client.connection_closed(501, "FRAME_ERROR - Malformed UTF-8 in shortstr", None)


def test_a_binding_key_that_is_not_utf8_is_501():
    client = World().client()
    client.declare("q")
    client >> m("queue.bind", queue="q", exchange="amq.direct", routing_key=b"\xff")
    client.connection_closed(501, "FRAME_ERROR - Malformed UTF-8 in shortstr", None)


def test_a_routing_key_that_is_not_utf8_is_published_and_returned_as_it_was_sent():
    client = World().client()
    client >> publish(b"x", routing_key=b"\xff\xfe", mandatory=True)
    assert client.expect("basic.return").routing_key == "\udcff\udcfe"


@pytest.mark.parametrize("class_and_method", [(50, 99), (99, 1), (85, 11), (60, 31), (60, 72), (65535, 65535)])
def test_a_method_that_is_unknown_or_the_servers_own_ends_the_connection(class_and_method):
    """1.1: COMMAND_INVALID for known ones; RabbitMQ drops or crashes for the others."""
    client = World().client()
    client >> frame(METHOD, 1, struct.pack(">HH", *class_and_method))
    close = client.next()
    assert (close.name, close.reply_code) == ("connection.close", 503)
    assert close.reply_text == "COMMAND_INVALID - unimplemented method"


@pytest.mark.parametrize("table", [b"\x01a?", b"\x01aS\0\0\0\x09x", b"\x01aA\0\0\0\x09x", b"\x05a", b"\x01aI\0"])
def test_a_broken_table_in_the_arguments_is_501(table):
    """RabbitMQ drops the socket; saying so is kinder."""
    client = World().client()
    client >> method("queue.declare", b"\0\0" + short("q") + b"\0" + struct.pack(">I", len(table)) + table)
    close = client.expect("connection.close", reply_code=501, class_id=50, method_id=10)
    assert close.reply_text.startswith("FRAME_ERROR - cannot decode <<0,0,1,113,0,")
    assert not client.exists("q")


def test_undefined_bits_are_ignored():
    client = World().client()
    client >> method("confirm.select", b"\xfe")
    client.expect("confirm.select-ok")
    client >> method("queue.declare", b"\0\0" + short("q") + b"\xe0" + bytes(4))
    client.expect("queue.declare-ok", queue="q")


def test_of_a_key_that_comes_twice_the_first_counts():
    client = World().client()
    client.declare("q", [("x-max-length", 1), ("x-max-length", 5)])
    client.send(publish(b"1"), publish(b"2"))
    assert client.drain("q") == [b"2"]


# -- the stream of frames


@pytest.mark.parametrize("number", [1, 500, 2048, 65535])
def test_any_channel_number_may_be_used(number):
    """2.9"""
    client = World().client(channels=(number,)).on(number)
    client.declare("q")
    client >> publish(b"x")
    client.consume("q")
    client << deliver(b"x")


PLAY = b"".join(
    [
        m("queue.declare", queue="q").frames(1),
        m("confirm.select").frames(1),
        publish(b"").frames(1),
        publish(b"hello").frames(1),
        publish(b"x" * 700, priority=3, headers={"a": 1}).frames(1),
        frame(HEARTBEAT, 0, b""),
        m("basic.consume", queue="q", consumer_tag="t").frames(1),
        m("basic.ack", delivery_tag=2, multiple=True).frames(1),
        m("queue.delete", queue="nope").frames(1),
        publish(b"nobody", routing_key="z", mandatory=True).frames(1),
        m("basic.get", queue="q").frames(1),
    ]
)


def answers(chunks):
    """What a play brings, with every confirm as its own number: how they are joined depends on the reads."""
    client = World().client()
    for chunk in chunks:
        client >> chunk
    out, confirmed = [], []
    for event in client.heard():
        if event.name == "basic.ack":
            first = max(confirmed, default=0) + 1 if event.multiple else event.delivery_tag
            confirmed += range(first, event.delivery_tag + 1)
        else:
            out.append((event.name, event.fields, event.body, event.properties))
    return out, confirmed


@given(st.lists(st.integers(0, len(PLAY)), max_size=6))
def test_where_the_stream_is_cut_makes_no_difference(cuts):
    edges = [0, *sorted(cuts), len(PLAY)]
    assert answers([PLAY[a:b] for a, b in itertools.pairwise(edges)]) == answers([PLAY])


def test_nor_does_a_read_for_every_byte():
    out, confirmed = answers([bytes([octet]) for octet in PLAY])
    assert (out, confirmed) == answers([PLAY])
    assert confirmed == [1, 2, 3, 4]
    names = [event[0] for event in out]
    assert names == [
        "queue.declare-ok",
        "confirm.select-ok",
        "basic.consume-ok",
        "basic.deliver",
        "basic.deliver",
        "basic.deliver",
        "queue.delete-ok",
        "basic.return",
        "basic.get-empty",
    ]


@given(st.binary(max_size=200))
def test_nonsense_never_raises(data):
    """Whatever comes, the broker goes on and others are served."""
    world = World()
    fresh, client, other = world.connect(), world.client(), world.client()
    fresh >> data
    client >> data
    other.call("access.request")
    fresh = world.connect()
    fresh >> PROTOCOL_HEADER + data
    world.pass_ms(60_000)
    assert fresh.wire.ended == "abort"


@given(st.sampled_from(sorted(SPEC)), st.binary(max_size=60))
def test_methods_with_nonsense_for_arguments_never_raise(name, arguments):
    world = World()
    client, other = world.client(), world.client()
    client >> frame(METHOD, 0 if name.startswith("connection.") else 1, struct.pack(">HH", *ids(name)) + arguments)
    other.call("access.request")


@given(st.binary(max_size=60))
def test_content_headers_of_nonsense_never_raise(payload):
    world = World()
    client, other = world.client(), world.client()
    client >> PUBLISH + header(content_header(0)[:12] + payload)
    other.call("access.request")
