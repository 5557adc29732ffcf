"""A message comes back from its stored form as it was, but for time that passed meanwhile."""

from harness import content_header, frame
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.deadletter import Death
from amqpd.broker.message import NEVER, Annotations, Message, address_of
from amqpd.broker.persistence import encoding
from amqpd.wire.primitives import BytesWriter

NAMES = st.text(max_size=20)
DEATHS = st.builds(
    Death,
    NAMES,
    st.sampled_from(["expired", "rejected", "maxlen"]),
    st.integers(1, 2**40),
    st.integers(0, 2**40),
    NAMES,
    st.lists(NAMES, max_size=3),
    st.none() | st.binary(max_size=10),
)
ANNOTATIONS = st.builds(
    Annotations,
    st.lists(NAMES, max_size=3),
    st.lists(NAMES, max_size=3),
    st.lists(DEATHS, max_size=3),
    st.none() | DEATHS,
    st.booleans(),
)
NOW_MS = 1_000_000


@st.composite
def messages(draw):
    body = draw(st.binary(max_size=50))
    return Message(
        address_of(draw(NAMES), draw(NAMES)),
        frame(2, 65_535, content_header(len(body))) + frame(3, 65_535, body),
        draw(st.sampled_from([1, 0x7FFF, 0x8000, 0xFFFF])),
        draw(st.sampled_from([len(body), 0x2000_0000])),
        draw(st.booleans()),
        draw(st.sampled_from([-1, 0, 1, 255])),
        draw(st.sampled_from([NEVER, 0, 1, 4_294_967_295])),
        draw(st.integers(-NOW_MS, NOW_MS)),
        draw(st.none() | ANNOTATIONS),
    )


def death_facts(death):
    return death and (
        death.queue, death.reason, death.count, death.time_s, death.exchange, list(death.keys), death.expiration
    )  # fmt: skip


def facts(message):
    notes = message.annotations
    return (
        message.address, message.content, message.origin, message.size, message.persistent, message.priority,
        message.expiration_ms, message.arrived_ms,
        notes and (
            list(notes.keys), list(notes.hidden), [death_facts(death) for death in notes.deaths],
            death_facts(notes.first), notes.redelivered,
        ),
    )  # fmt: skip


def stored(message, offset_ms):
    annotations = encoding.annotations_of(message)
    out = BytesWriter()
    encoding.write(out, message, annotations, offset_ms)
    data = out.getvalue()
    assert len(data) == encoding.size_of(message, annotations)
    return data


@given(st.lists(messages(), min_size=1, max_size=4), st.integers(0, 2**45), st.binary(max_size=9))
def test_what_is_stored_comes_back(several, offset_ms, before):
    """One decoder reads neighbours, each in the middle of other bytes."""
    decoder = encoding.Decoder(NOW_MS)
    for message in several:
        data = before + stored(message, offset_ms)
        decoded = decoder.decode(data + b"after", len(before), len(data), offset_ms)
        assert facts(decoded) == facts(message)


@given(messages(), st.integers(0, 2**45), st.integers(-NOW_MS * 10, NOW_MS * 10))
def test_time_goes_on_while_a_node_is_down(message, offset_ms, jump_ms):
    """Another start of a node, with another clock of its own: what counts is the time of day, but never the future."""
    data = stored(message, offset_ms)
    decoded = encoding.Decoder(NOW_MS).decode(data, 0, len(data), offset_ms + jump_ms)
    assert decoded.arrived_ms == min(message.arrived_ms - jump_ms, NOW_MS)


def test_neighbours_share_their_address():
    """A backlog has one routing key as a rule, and must not have it a million times."""
    message = Message(address_of("x", "key"), b"", 1, 0, True, -1, NEVER, 0, None)
    data = stored(message, 0)
    decoder = encoding.Decoder(0)
    first, second = decoder.decode(data, 0, len(data), 0), decoder.decode(data, 0, len(data), 0)
    assert first.address == message.address
    assert first.address is second.address
