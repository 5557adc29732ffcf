"""Content headers, against pamqp's as an independent encoder."""

import datetime
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp import header as pamqp_header

from amqpd.errors import MalformedError
from amqpd.wire import content, tables
from amqpd.wire.content import PROPERTIES, PROPERTY_NAMES, inspect, join, split

WHEN = datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
VALUES = {
    "content_type": "text/plain",
    "content_encoding": "utf-8",
    "headers": {"a": "b"},
    "delivery_mode": 2,
    "priority": 7,
    "correlation_id": "c-1",
    "reply_to": "answers",
    "expiration": "60000",
    "message_id": "m-1",
    "timestamp": WHEN,
    "message_type": "event",
    "user_id": "guest",
    "app_id": "tests",
}
FLAGS = dict(zip(VALUES, PROPERTIES, strict=False))  # all but the last: pamqp refuses any cluster_id
RAW = {
    content.CONTENT_TYPE: b"\x0atext/plain",
    content.CONTENT_ENCODING: b"\x05utf-8",
    content.HEADERS: b"\0\0\0\x08\x01aS\0\0\0\x01b",
    content.DELIVERY_MODE: b"\x02",
    content.PRIORITY: b"\x07",
    content.CORRELATION_ID: b"\x03c-1",
    content.REPLY_TO: b"\x07answers",
    content.EXPIRATION: b"\x0560000",
    content.MESSAGE_ID: b"\x03m-1",
    content.TIMESTAMP: int(WHEN.timestamp()).to_bytes(8, "big"),
    content.TYPE: b"\x05event",
    content.USER_ID: b"\x05guest",
    content.APP_ID: b"\x05tests",
    content.CLUSTER_ID: b"\x04here",
}
FULL = join(5, RAW)


def pamqp_encodes(names, body_size: int = 5) -> bytes:
    properties = commands.Basic.Properties(**{name: VALUES[name] for name in names})
    return pamqp_header.ContentHeader(0, body_size, properties).marshal()


@pytest.mark.parametrize("half", range(128))
def test_every_subset_of_properties_against_pamqp(half):
    """128 times 64: all subsets of 13."""
    first = [name for bit, name in enumerate(list(VALUES)[:7]) if half >> bit & 1]
    for other in range(64):
        names = first + [name for bit, name in enumerate(list(VALUES)[7:]) if other >> bit & 1]
        payload = pamqp_encodes(names)
        expected = {FLAGS[name]: RAW[FLAGS[name]] for name in names}
        assert split(payload) == expected
        assert join(5, expected) == payload
        check_inspection(inspect(payload, 0, len(payload)), expected)


def check_inspection(seen, expected: dict[int, bytes]) -> None:
    assert seen.persistent == (expected.get(content.DELIVERY_MODE) == b"\x02")
    assert seen.priority == expected.get(content.PRIORITY, [-1])[0]
    assert seen.expiration == (b"60000" if content.EXPIRATION in expected else None)
    assert seen.reply_to == (b"answers" if content.REPLY_TO in expected else None)
    assert seen.user_id == (b"guest" if content.USER_ID in expected else None)
    assert seen.headers == (b"\x01aS\0\0\0\x01b" if content.HEADERS in expected else None)


def test_the_names_of_the_properties_are_pamqps():
    names = [PROPERTY_NAMES[bit] for bit in PROPERTIES]
    assert names == [*(name.replace("message_type", "type") for name in VALUES), "cluster_id"]
    assert list(PROPERTIES) == sorted(PROPERTIES, reverse=True)


def test_pamqp_reads_what_join_writes():
    found = pamqp_header.ContentHeader()
    found.unmarshal(FULL)
    assert found.body_size == 5
    assert {name: getattr(found.properties, name) for name in VALUES} == VALUES
    assert found.properties.cluster_id == "here"


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**32, 2**63, 2**64 - 1])
def test_a_body_size_is_64_bits(size):
    payload = join(size, {})
    assert payload == b"\0\x3c\0\0" + size.to_bytes(8, "big") + b"\0\0"


def test_a_header_cut_off_anywhere_is_malformed():
    inspect(FULL, 0, len(FULL))
    for size in range(len(FULL)):
        for data in (FULL[:size], FULL, FULL[:size] + b"\0" * 300):
            with pytest.raises(MalformedError):
                inspect(data, 0, size)
        with pytest.raises(MalformedError):
            split(FULL[:size])


@pytest.mark.parametrize("bit", PROPERTIES)
def test_each_property_cut_off_anywhere_is_malformed(bit):
    payload = join(0, {bit: RAW[bit]})
    for size in range(len(payload)):
        with pytest.raises(MalformedError):
            inspect(payload, 0, size)
        with pytest.raises(MalformedError):
            split(payload[:size])


def test_bytes_after_the_last_property_are_malformed():
    with pytest.raises(MalformedError, match="1 bytes too many"):
        inspect(FULL + b"\0", 0, len(FULL) + 1)


def with_flags(flags: int) -> bytes:
    return FULL[:12] + flags.to_bytes(2, "big") + FULL[14:]


def test_the_flag_without_a_property_is_ignored():
    payload = with_flags(0xFFFE)
    check_inspection(inspect(payload, 0, len(payload)), RAW)
    assert split(payload) == RAW


@pytest.mark.parametrize("flags", [0x0001, 0x0003, 0xFFFD, 0xFFFF])
def test_a_second_word_of_flags_is_malformed(flags):
    """There are not so many properties; RabbitMQ fails too."""
    with pytest.raises(MalformedError, match="second word of property flags"):
        inspect(with_flags(flags), 0, len(FULL))


@pytest.mark.parametrize(("mode", "persistent"), [(0, False), (1, False), (2, True), (3, False), (255, False)])
def test_only_mode_2_is_persistent_and_no_mode_is_refused(mode, persistent):
    payload = join(0, {content.DELIVERY_MODE: bytes([mode])})
    assert inspect(payload, 0, len(payload)).persistent is persistent


def test_properties_that_are_no_text_pass_through():
    raw = {content.CONTENT_TYPE: b"\x02\xff\xfe", content.EXPIRATION: b"\x00", content.HEADERS: b"\0\0\0\0"}
    payload = join(1, raw)
    assert split(payload) == raw
    seen = inspect(payload, 0, len(payload))
    assert seen.expiration == b""
    assert seen.headers == b""


def test_a_property_is_replaced_without_touching_the_others():
    table = tables.encode_table([("x", tables.long(1))])
    for bit in PROPERTIES:
        changed = split(FULL) | {content.HEADERS: table}
        changed.pop(bit)
        again = split(join(9, changed))
        assert again == {key: value for key, value in changed.items() if key != bit}


@given(st.binary(max_size=80), st.integers(0, 20))
def test_inspect_looks_at_nothing_outside_its_bounds(payload, before):
    """The same answer wherever the header stands in a read, whatever stands around it."""
    data = b"\xff" * before + payload + b"\xff" * 300

    def outcome(data: bytes, pos: int, end: int):
        try:
            seen = inspect(data, pos, end)
        except MalformedError:
            return None
        return [
            getattr(seen, name) for name in ("persistent", "priority", "expiration", "reply_to", "user_id", "headers")
        ]

    assert outcome(data, before, before + len(payload)) == outcome(payload, 0, len(payload))


@given(st.dictionaries(st.sampled_from(PROPERTIES), st.binary(max_size=255)))
def test_join_and_split_are_inverse_for_any_strings(strings):
    raw = {}
    for bit, value in strings.items():
        if bit in (content.DELIVERY_MODE, content.PRIORITY):
            raw[bit] = (value or b"\0")[:1]
        elif bit == content.TIMESTAMP:
            raw[bit] = value[:8].ljust(8, b"\0")
        else:
            raw[bit] = len(value).to_bytes(4 if bit == content.HEADERS else 1, "big") + value
    assert split(join(3, raw)) == raw


def test_neighbours_are_told_apart():
    """Every pair of properties on its own: a wrong width would shift the second."""
    for first, second in itertools.combinations(PROPERTIES, 2):
        raw = {first: RAW[first], second: RAW[second]}
        assert split(join(0, raw)) == raw


# -- a glance

PASSING = {bit: raw for bit, raw in RAW.items() if bit not in (content.REPLY_TO, content.EXPIRATION, content.USER_ID)}


def glanced(properties: dict[int, bytes]) -> int:
    """What a glance says, with other bytes around the header."""
    payload = join(5, properties)
    return content.glance(b"before" + payload + b"behind", 6, 6 + len(payload))


def test_a_glance_tells_priority_and_persistence_of_every_header_that_asks_for_nothing_else():
    for size in range(len(PASSING) + 1):
        for bits in itertools.combinations(PASSING, size):
            priority = 7 if content.PRIORITY in bits else -1
            assert glanced({bit: PASSING[bit] for bit in bits}) == 2 * (priority + 1) + (content.DELIVERY_MODE in bits)


@pytest.mark.parametrize("mode", [0, 1, 3, 255])
def test_a_glance_knows_no_persistence_but_mode_2(mode):
    assert glanced({content.DELIVERY_MODE: bytes([mode])}) == 0


@pytest.mark.parametrize("priority", [0, 1, 255])
def test_a_glance_tells_every_priority(priority):
    assert glanced({content.PRIORITY: bytes([priority])}) == 2 * priority + 2


@pytest.mark.parametrize("bit", [content.REPLY_TO, content.EXPIRATION, content.USER_ID])
def test_a_glance_leaves_to_others_what_a_broker_acts_on(bit):
    assert glanced({bit: RAW[bit]}) == -1
    assert glanced({**PASSING, bit: RAW[bit]}) == -1


@pytest.mark.parametrize("name", ["CC", "BCC"])
def test_a_glance_leaves_to_others_who_else_gets_the_message(name):
    headers = tables.encode_table([("a", tables.longstr("b")), (name, tables.array([tables.longstr("q")]))])
    assert glanced({content.HEADERS: headers}) == -1


@pytest.mark.parametrize("flag", [content.UNUSED_FLAG, content.MORE_FLAGS])
def test_a_glance_leaves_odd_flags_to_others(flag):
    payload = with_flags(flag)
    assert content.glance(payload, 0, len(payload)) == -1


def test_a_glance_finds_what_is_cut_off_or_too_long():
    payload = join(5, PASSING)
    for end in range(len(payload)):
        assert content.glance(payload, 0, end) == -1
    assert content.glance(payload + b"\0", 0, len(payload) + 1) == -1


@given(st.dictionaries(st.sampled_from(list(PASSING)), st.binary(max_size=40)))
def test_a_glance_says_what_inspect_says_of_any_bytes(strings):
    payload = join(5, strings)
    said = content.glance(payload, 0, len(payload))
    try:
        seen = inspect(payload, 0, len(payload))
        tables.validate(seen.headers or b"")
    except MalformedError:
        assert said == -1
        return
    asks = b"CC" in (seen.headers or b"")
    assert said == (-1 if asks else 2 * (seen.priority + 1) + seen.persistent)
