"""Large contents: cut at any place on the way in, and not copied on the way out."""

import itertools

import pytest
from harness import BODY, World, content_header, deliver, frame, m, publish
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpd.protocol.passage import PASSED_ON, add_piece

BIG = bytes(range(256)) * 200  # 51,200 bytes
PUBLISH = m("basic.publish", routing_key="q").frames(1)


def cut(data, places):
    """`data` in pieces."""
    edges = [0, *sorted({place % len(data) for place in places} - {0}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 20_000), min_size=1, max_size=5),
    st.integers(100, 9000),
    st.lists(st.integers(0, 100_000), max_size=12),
)
def test_contents_are_whole_wherever_reads_and_frames_end(sizes, step, places):
    world = World()
    client, other = world.client(), world.client()
    client.declare("q")
    other.consume("q", no_ack=True)
    bodies = [BIG[:size] for size in sizes]
    said = b""
    for body in bodies:
        method = publish(body)
        method.step = step
        said += method.frames(1)
    client.feed(*cut(said, places))
    assert other.bodies() == bodies
    client.call("access.request")


def test_a_body_that_comes_octet_by_octet_is_whole():
    client = World().client()
    client.declare("q")
    said = publish(BIG[:300]).frames(1)
    client.feed(*[said[at : at + 1] for at in range(len(said))])
    assert client.drain() == [BIG[:300]]


def test_tiny_pieces_are_joined_as_they_come():
    pieces = []
    for _ in range(10_000):
        add_piece(pieces, b"x")
    assert len(pieces) <= 3
    add_piece(pieces, b"y" * 5000)
    add_piece(pieces, b"z")
    assert b"".join(pieces) == b"x" * 10_000 + b"y" * 5000 + b"z"


def test_tiny_frames_become_the_fewest():
    world = World()
    client = world.client()
    client.declare("q")
    method = publish(BIG[:2000])
    method.step = 1
    client >> method
    assert client.drain() == [BIG[:2000]]
    assert max(client.wire.decoder.sizes) >= 2000


def begun(world=None, **options):
    """A client of whose 50 KiB body 2000 bytes have arrived; and the rest."""
    client = (world or World()).client(**options)
    client.declare("q")
    said = publish(BIG).frames(1)
    client >> said[:2000]
    client.quiet()
    return client, said[2000:]


def test_a_bad_end_is_501_in_the_same_words():
    client, rest = begun()
    client.feed(rest[:3000], rest[3000:-1] + b"\0")
    octets = "<<0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15>>"
    text = f"FRAME_ERROR - type 3, first 16 octets = {octets}: {{invalid_frame_end_marker,0}}"
    client.connection_closed(501, text, None)


def test_a_body_that_is_too_long_is_waited_for_and_refused():
    client = World().client()
    long = frame(BODY, 1, BIG)
    client.feed(PUBLISH + frame(2, 1, content_header(100)) + long[:500], long[500:])
    assert client.expect("connection.close").reply_code == 501


def test_a_body_out_of_turn_is_refused_when_it_is_whole():
    client = World().client()
    long = frame(BODY, 1, BIG)
    client >> long[:-1]
    client.quiet()
    client >> long[-1:]
    assert client.expect("connection.close").reply_code == 505


def test_what_was_published_with_an_unknown_exchange_closes_its_own_channel():
    client = World().client(channels=(1, 2))
    said = publish(BIG, exchange="none").frames(2)
    client.feed(said[:1000], said[1000:] + m("access.request").frames(1))
    assert client.next().channel == 2
    client.expect("access.request-ok")


def test_the_rest_is_discarded_after_the_channel_was_closed_meanwhile():
    """The acknowledgement of an older delivery took too long; this side closes the channel in the middle of a body."""
    world = World()
    client = world.client(capabilities=())
    client.declare("q", {"x-consumer-timeout": 60_000})
    client.consume("q")
    client >> publish(b"old")
    client << deliver(b"old")
    said = publish(BIG, routing_key="none").frames(1)
    client >> said[:2000]
    world.pass_ms(120_001)
    client.expect("channel.close", reply_code=406)
    client.feed(said[2000:9000], said[9000:])
    client.quiet()
    client >> m("channel.close-ok")
    client.reopen()
    assert client.drain() == [b"old"]


def test_a_connection_that_is_closed_meanwhile_hears_the_close_ok():
    world = World()
    client, rest = begun(world)
    client.connection.force_close("enough")
    world.settle()
    client.expect("connection.close", reply_code=320)
    client >> rest + m("connection.close-ok").frames(0)
    assert client.wire.ended == "close"


def test_an_alarm_stops_it_at_the_frames_end():
    world = World()
    client, rest = begun(world)
    world.alarm()
    client >> rest[:100]
    client.quiet()
    client >> rest[100:]
    client.expect("connection.blocked")
    world.all_clear()
    client.expect("connection.unblocked")
    assert client.drain() == [BIG]


def test_a_client_that_is_lost_meanwhile_leaves_nothing():
    world = World()
    client, _rest = begun(world)
    client.lose()
    assert world.client().drain() == []


# -- out


def deliveries(world, bodies, **options):
    """A consumer that is about to be sent `bodies`."""
    publisher, consumer = world.client(), world.client(**options)
    publisher.declare("q")
    consumer.consume("q", no_ack=True)
    for body in bodies:
        publisher.wire.connection.feed(publish(body).frames(1), world.now_ms)
    return consumer


def test_large_contents_are_chunks_of_their_own_in_order():
    large, small = b"L" * PASSED_ON, b"s" * 10
    consumer = deliveries(World(), [small, large, small, small, large, large])
    connection = consumer.connection
    chunks = connection.take_chunks()
    assert [large in chunk for chunk in chunks] == [False, True, False, True, False, True]
    assert connection.take_chunks() == []
    consumer.wire.decoder.feed(b"".join(chunks))
    assert consumer.bodies() == [small, large, small, small, large, large]


def test_a_content_for_several_consumers_is_one_object():
    world = World()
    clients = [world.client(), world.client()]
    for number, client in enumerate(clients):
        client.declare(f"q{number}")
        client.bind(f"q{number}", "amq.fanout")
        client.consume(f"q{number}", no_ack=True)
    world.client().connection.feed(publish(BIG, exchange="amq.fanout").frames(1), world.now_ms)
    first, second = (client.connection.take_chunks() for client in clients)
    assert BIG in first[1]
    assert first[1] is second[1]


def test_chunks_count_as_unsent_until_they_are_taken():
    consumer = deliveries(World(), [BIG])
    connection = consumer.connection
    before = connection.bytes_sent
    assert connection.unsent > len(BIG)
    size = sum(map(len, connection.take_chunks()))
    assert connection.unsent == 0
    assert connection.bytes_sent == before + size


def test_large_contents_hold_back_more_of_them():
    world = World(unsent_max=100_000)
    consumer = deliveries(world, [BIG] * 10)
    assert consumer.connection.congested
    assert sum(map(len, consumer.connection.chunks)) < 3 * len(BIG)
    world.settle()
    assert consumer.bodies() == [BIG] * 10


@pytest.mark.parametrize(("channel", "frame_max"), [(7, 131_072), (1, 4096), (7, 4096)])
def test_large_contents_are_renumbered_and_cut_to_fit(channel, frame_max):
    world = World()
    publisher = world.client()
    publisher.declare("q")
    consumer = world.client(channels=(channel,), frame_max=frame_max).on(channel)
    consumer.consume("q", no_ack=True)
    publisher >> publish(BIG)
    assert [event.channel for event in consumer.wire.decoder.events] == [channel]
    assert consumer.bodies() == [BIG]
    assert max(consumer.wire.decoder.sizes) <= frame_max - 8
