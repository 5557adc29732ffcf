"""Publishing: what goes through untouched, mandatory, sizes, CC and BCC (behaviour 2 Content, 5.3, 6)."""

import pytest
from harness import Event, World, content_header, deliver, frame, m, publish
from harness import Typed as T

ALL_PROPERTIES = {
    "content_type": "text/plain",
    "content_encoding": "utf-8",
    "delivery_mode": 2,
    "priority": 200,
    "correlation_id": "c",
    "reply_to": "somebody",
    "message_id": "m",
    "timestamp": 2**64 - 1,
    "type": "t",
    "user_id": "guest",
    "app_id": "a",
    "cluster_id": "",
}
EVERY_TYPE = [
    T("t", True),
    T("b", -1),
    T("B", 255),
    T("s", -2),
    T("u", 65535),
    T("I", -3),
    T("i", 2**32 - 1),
    T("l", -4),
    T("f", 0.5),
    T("d", 0.25),
    T("D", (2, 314)),
    T("S", "text"),
    T("x", b"\0\xff"),
    T("T", 1),
    T("V", None),
    T("A", [T("I", 1), T("A", []), T("F", [("in", T("S", "side"))])]),
    T("F", [("z", T("I", 1)), ("a", T("I", 2))]),
]


def passed(client, said: object) -> Event:
    client >> said
    return client.get("q")


def ready():
    client = World().client()
    client.declare("q")
    return client


@pytest.mark.parametrize("names", [[name] for name in ALL_PROPERTIES] + [list(ALL_PROPERTIES), []], ids=str)
def test_properties_arrive_as_they_were_sent(names):
    properties = {name: ALL_PROPERTIES[name] for name in names}
    assert passed(ready(), publish(b"x", **properties)).properties == properties


def test_headers_of_every_type_arrive_as_they_were_sent():
    headers = [(str(-index), value) for index, value in enumerate(EVERY_TYPE)]
    assert passed(ready(), publish(b"x", headers=headers)).properties["headers"] == headers


def test_an_empty_headers_table_stays_one():
    assert passed(ready(), publish(b"x", headers={})).properties == {"headers": []}


def test_properties_that_are_no_utf8_pass_through():
    client = ready()
    message = passed(client, publish(b"x", message_id=b"\xff", correlation_id=b"\xfe"))
    assert message.properties == {"message_id": "\udcff", "correlation_id": "\udcfe"}


def test_the_unused_flag_bit_is_ignored():
    client = ready()
    payload = content_header(0)[:12] + b"\0\x02"
    client >> m("basic.publish", routing_key="q").frames(1) + frame(2, 1, payload)
    assert client.get("q").properties == {}


@pytest.mark.parametrize("size", [0, 1, 131_063, 131_064, 131_065, 400_000])
def test_bodies_of_any_size_come_back_in_frames_of_frame_max(size):
    """2: 131064 bytes of body at a time; an empty body has no frame at all."""
    client = ready()
    body = bytes(range(256)) * (size // 256 + 1)
    assert passed(client, publish(body[:size])).body == body[:size]
    sizes = client.wire.decoder.sizes
    assert len(sizes) == -(-size // 131_064)
    assert all(part == 131_064 for part in sizes[:-1])


@pytest.mark.parametrize("step", [1, 1000, 4088])
def test_however_a_body_was_cut_it_comes_whole(step):
    client = ready()
    said = publish(b"0123456789" * 500)
    said.step = step
    assert passed(client, said).body == b"0123456789" * 500


@pytest.mark.parametrize(("giver", "taker"), [(131_072, 4096), (4096, 131_072), (4096, 8192), (4096, 4096)])
def test_each_connection_has_its_own_frame_max(giver, taker):
    world = World()
    client, other = world.client(frame_max=giver), world.client(frame_max=taker, channels=(300,)).on(300)
    client.declare("q")
    said = publish(b"x" * 10_000, headers={"h": "y" * 900})
    said.step = giver - 8
    client >> said
    message = other.get("q")
    assert message.body == b"x" * 10_000
    assert max(other.wire.decoder.sizes) <= taker - 8
    client >> said
    other.consume("q")
    other << deliver(b"x" * 10_000)


def test_contents_of_several_channels_may_be_interleaved():
    client = World().client(channels=(1, 2))
    client.declare("q")
    first, second = (m("basic.publish", routing_key="q").frames(n) for n in (1, 2))
    head, tail = (frame(2, n, content_header(2)) for n in (1, 2))
    bodies = [frame(3, 2, b"b"), frame(3, 1, b"a"), frame(3, 2, b"B"), frame(3, 1, b"A")]
    client >> first + second + head + tail + b"".join(bodies)
    assert client.drain("q") == [b"bB", b"aA"]


def test_the_largest_message_is_accepted():
    """1.1, 2: 16 MiB."""
    world = World(max_message_size=1000)
    client = world.client()
    client.declare("q")
    client >> publish(b"x" * 1000)
    assert len(client.get("q").body) == 1000
    client >> publish(b"x" * 1001)
    text = "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000"
    client.channel_closed(406, text, "basic.publish")


def test_a_message_too_big_is_refused_by_its_header_alone():
    """Its body is discarded with the rest of the channel."""
    client = World().client()
    client >> m("basic.publish", routing_key="q").frames(1) + frame(2, 1, content_header(2**25))
    client.expect("channel.close", reply_code=406)
    client >> frame(3, 1, b"x")
    client.quiet()


# -- mandatory


def test_an_unroutable_mandatory_message_comes_back_whole():
    """6: NO_ROUTE bare, original exchange and key, header and body."""
    client = ready()
    client.exchange("x", "topic")
    client >> publish(b"body", exchange="x", routing_key="a.b", mandatory=True, headers={"h": 1}, priority=9)
    returned = client.expect("basic.return", reply_code=312, reply_text="NO_ROUTE", exchange="x", routing_key="a.b")
    assert (returned.body, returned.headers, returned.properties["priority"]) == (b"body", {"h": 1}, 9)
    client.quiet()


def test_what_finds_a_queue_is_not_returned_and_what_need_not_is_dropped():
    """6"""
    client = ready()
    client.send(publish(b"1", mandatory=True), publish(b"2", routing_key="nobody"))
    client.quiet()
    assert client.drain("q") == [b"1"]


def test_whether_it_is_routed_is_decided_at_each_publish():
    """Routes are cached by the broker; a change of topology counts at once."""
    client = ready()
    client.exchange("x", "fanout")
    client >> publish(b"1", exchange="x", mandatory=True)
    client.expect("basic.return")
    client.bind("q", "x")
    client >> publish(b"2", exchange="x", mandatory=True)
    client.quiet()
    client.call("queue.unbind", queue="q", exchange="x")
    client >> publish(b"3", exchange="x", mandatory=True)
    client.expect("basic.return")
    client.call("exchange.delete", exchange="x")
    client >> publish(b"4", exchange="x", mandatory=True)
    client.channel_closed(404, "NOT_FOUND - no exchange 'x' in vhost '/'", "basic.publish")
    client.reopen()
    assert client.drain("q") == [b"2"]


def test_a_queue_that_is_deleted_and_declared_again_is_another():
    client = ready()
    client >> publish(b"1")
    client.call("queue.delete", queue="q")
    client >> publish(b"2", mandatory=True)
    client.expect("basic.return")
    client.declare("q")
    client >> publish(b"3")
    assert client.drain("q") == [b"3"]


def test_more_routes_than_the_cache_holds_all_work():
    world = World(route_cache_size=3)
    client = world.client()
    client.exchange("x", "topic")
    client.declare("q")
    client.bind("q", "x", "#")
    for _ in range(2):
        client.send(*(publish(b"%d" % number, exchange="x", routing_key=str(number)) for number in range(10)))
    assert client.drain("q") == [b"%d" % number for number in range(10)] * 2


# -- CC and BCC


def copies():
    client = World().client()
    for name in "qabc":
        client.declare(name)
    return client


def test_cc_and_bcc_add_routing_keys():
    """5.3: through any exchange, the default one included."""
    client = copies()
    client >> publish(b"1", headers={"CC": ["a"], "BCC": ["b"]})
    assert [client.drain(name) for name in "qabc"] == [[b"1"], [b"1"], [b"1"], []]
    client.exchange("x", "direct")
    client.bind("c", "x", "key")
    client >> publish(b"2", exchange="x", routing_key="none", headers={"CC": ["key"]})
    assert client.drain("c") == [b"2"]


def test_a_copy_counts_once():
    """5: each destination queue gets a message once."""
    client = copies()
    client >> publish(b"1", headers={"CC": ["q", "a", "a"], "BCC": ["a", "q"]})
    assert [client.drain(name) for name in "qabc"] == [[b"1"], [b"1"], [], []]


def test_bcc_is_hidden_and_cc_stays_and_the_key_is_the_original_one():
    """5.3"""
    client = copies()
    client >> publish(b"1", headers={"CC": ["a"], "BCC": ["b"], "other": 5}, priority=3)
    for name in "qab":
        message = client.get(name)
        assert message.headers == {"CC": ["a"], "other": 5}
        assert (message.routing_key, message.properties["priority"]) == ("q", 3)


def test_bcc_is_hidden_in_a_return_too():
    client = copies()
    client >> publish(b"1", routing_key="no", mandatory=True, headers={"CC": ["nope"], "BCC": ["never"]})
    returned = client.expect("basic.return")
    assert returned.headers == {"CC": ["nope"]}


def test_headers_that_held_only_bcc_stay_as_an_empty_table():
    client = copies()
    client >> publish(b"1", headers={"BCC": ["b"]})
    assert client.get("b").properties == {"headers": []}


def test_a_message_that_is_routed_by_its_copies_alone_is_routed():
    """6"""
    client = copies()
    client >> publish(b"1", routing_key="no", mandatory=True, headers={"BCC": ["b"]})
    client.quiet()
    assert client.drain("b") == [b"1"]


def test_elements_that_are_no_strings_are_skipped_but_stay():
    """5.3"""
    client = copies()
    client >> publish(b"1", headers={"CC": [1, "a", None]})
    message = client.get("a")
    assert message.headers == {"CC": [1, "a", None]}


def test_an_empty_cc_changes_nothing():
    client = copies()
    client >> publish(b"1", headers={"CC": [], "BCC": []})
    assert client.get("q").headers == {"CC": []}


# -- order


def test_a_channels_messages_stay_in_order_whatever_they_carry():
    """8: FIFO for each (channel, exchange, queue)."""
    client = ready()
    kinds = [{}, {"delivery_mode": 2}, {"headers": {"a": 1}}, {"priority": 5}, {"headers": {"CC": ["z"]}}]
    client.send(*(publish(b"%d" % number, **kinds[number % 5]) for number in range(50)))
    assert client.drain("q") == [b"%d" % number for number in range(50)]
