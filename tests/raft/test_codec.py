"""Messages as bytes: nothing is lost on the way, and no bytes do harm."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amqpd.errors import MalformedError
from amqpd.raft import codec
from amqpd.raft.messages import (
    APPEND,
    HEARTBEAT,
    MESSAGE_NAMES,
    PROPOSE,
    SNAPSHOT,
    Change,
    Entry,
    Members,
    Message,
    Snapshot,
)

NUMBERS = st.integers(0, (1 << 63) - 1)
SMALL = st.integers(1, 50)
IDS = st.frozensets(SMALL, max_size=5)
GROUP = bytes(range(16))


@st.composite
def memberships(draw):
    voters, outgoing, learners = draw(IDS), draw(IDS), draw(IDS)
    return Members(
        tuple(voters),
        tuple(outgoing),
        tuple(learners - voters - outgoing),
        tuple(outgoing - voters if draw(st.booleans()) else ()),
        draw(st.booleans()),
    )


@st.composite
def messages(draw):
    kind = draw(st.sampled_from(sorted(MESSAGE_NAMES)))
    message = Message(kind, GROUP, draw(NUMBERS), draw(NUMBERS), draw(st.integers(100, 200)))
    message.index, message.commit, message.hint = draw(SMALL), draw(NUMBERS), draw(NUMBERS)
    message.log_term = draw(st.integers(0, 100)) if kind == APPEND else draw(NUMBERS)
    message.version = draw(st.integers(0, 0xFFFF_FFFF))
    message.rejected, message.forced = draw(st.booleans()), draw(st.booleans())
    message.context = draw(st.binary(max_size=20))
    payloads = draw(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=20)), max_size=4))
    message.entries = [
        Entry(100 if kind == APPEND else 0, message.index + 1 + place if kind == APPEND else 0, what, payload)
        for place, (what, payload) in enumerate(payloads)
    ]
    if draw(st.booleans()):
        message.snapshot = Snapshot(draw(NUMBERS), draw(NUMBERS), draw(memberships()), draw(st.binary(max_size=20)))
    return message


def fields(message):
    plain = (message.group, message.kind, message.version, message.index, message.hint, message.forced)
    return [repr(message), *plain]


@given(messages())
def test_a_message_comes_back_as_it_was(message):
    assert fields(codec.decode_message(codec.encode_message(message))) == fields(message)


@given(messages(), st.data())
def test_a_message_cut_short_is_malformed(message, data):
    raw = codec.encode_message(message)
    size = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(MalformedError):
        codec.decode_message(raw[:size])
    with pytest.raises(MalformedError):
        codec.decode_message(raw + b"\0")


@given(messages(), st.data())
def test_a_damaged_message_is_malformed_or_another_message(message, data):
    raw = bytearray(codec.encode_message(message))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        other = codec.decode_message(bytes(raw))
    except MalformedError:
        return
    assert codec.encode_message(other) == bytes(raw)


@given(st.binary(max_size=200))
@example(b"\x01\x01\x00" + bytes(16 + 7 * 8 + 4 + 2) + b"\xff\xff\xff\xff")
def test_any_bytes_are_malformed_or_a_message(raw):
    for decode in (codec.decode_message, codec.decode_change, codec.decode_members):
        try:
            decode(raw)
        except MalformedError:
            pass


def test_entries_whose_terms_no_log_can_have_are_malformed():
    for terms in ((5, 4), (7,), (2,)):
        message = Message(APPEND, GROUP, 1, 2, 6)
        message.index, message.log_term = 10, 3
        message.entries = [Entry(term, 11 + place, 0, b"") for place, term in enumerate(terms)]
        with pytest.raises(MalformedError, match="term"):
            codec.decode_message(codec.encode_message(message))


@pytest.mark.parametrize(
    ("place", "value", "why"), [(0, 2, "version"), (1, 99, "kind"), (2, 128, "flags"), (19, 255, "too large")]
)
def test_what_this_version_does_not_know_is_malformed(place, value, why):
    raw = bytearray(codec.encode_message(Message(HEARTBEAT, GROUP, 1, 2, 3)))
    raw[place] = value
    with pytest.raises(MalformedError, match=why):
        codec.decode_message(bytes(raw))


def test_a_kind_of_entry_that_is_not_known_is_malformed():
    message = Message(PROPOSE, GROUP, 1, 2, 0)
    message.entries = [Entry(0, 0, 2, b"")]
    raw = bytearray(codec.encode_message(message))
    raw[-5] = 3
    with pytest.raises(MalformedError, match="kind"):
        codec.decode_message(bytes(raw))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (Members((1,), (), (1,)), "voter and a learner"),
        (Members((1,), (), (), (2,)), "becomes a learner"),
        (Members((1, 1)), "out of order"),
    ],
)
def test_a_configuration_that_cannot_be_is_malformed(members, why):
    message = Message(SNAPSHOT, GROUP, 1, 2, 3)
    message.snapshot = Snapshot(1, 1, members)
    with pytest.raises(MalformedError, match=why):
        codec.decode_message(codec.encode_message(message))


@given(memberships())
def test_a_configuration_comes_back_as_it_was(members):
    assert codec.decode_members(codec.encode_members(members)).same(members)


@given(st.integers(0, 2), st.lists(st.tuples(st.integers(1, 4), NUMBERS), max_size=5), st.binary(max_size=9))
def test_a_change_comes_back_as_it_was(transition, steps, context):
    change = Change(steps, transition, context)
    assert repr(codec.decode_change(codec.encode_change(change))) == repr(change)


def test_changes_of_unknown_kinds_are_malformed():
    for change in (Change([(9, 1)]), Change([], 9)):
        with pytest.raises(MalformedError):
            codec.decode_change(codec.encode_change(change))


def test_a_context_that_does_not_fit_is_refused():
    with pytest.raises(MalformedError, match="65535"):
        codec.encode_change(Change([], 0, bytes(65536)))
