"""Frames: built as pamqp reads them, and moved to other channels and frame sizes without harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body as pamqp_body
from pamqp import frame as pamqp_frame
from pamqp import header as pamqp_header

from amqpd.wire import content, frames
from amqpd.wire.frames import BODY, HEADER, OVERHEAD, build_content, write_content
from amqpd.wire.primitives import BytesWriter

HEADER_PAYLOAD = content.join(10, {content.CONTENT_TYPE: b"\x01a"})
LARGE = 131_072


def parsed(data: bytes) -> list[tuple[int, int, bytes]]:
    """(type, channel, payload) of every frame."""
    found = []
    while data:
        size = int.from_bytes(data[3:7], "big")
        assert data[7 + size] == 0xCE
        found.append((data[0], int.from_bytes(data[1:3], "big"), data[7 : 7 + size]))
        data = data[8 + size :]
    return found


def moved(raw: bytes, origin: int, channel: int, frame_max: int, before: bytes = b"") -> bytes:
    out = BytesWriter()
    out.write(before)
    write_content(out, raw, origin, channel, frame_max)
    assert out.getvalue()[: len(before)] == before
    return out.getvalue()[len(before) :]


@pytest.mark.parametrize("channel", [0, 1, 255, 256, 32_767, 32_768, 65_535])
def test_a_frame_as_pamqp_reads_it(channel):
    out = BytesWriter()
    frames.write_frame(out, BODY, channel, b"abc")
    size, number, found = pamqp_frame.unmarshal(out.getvalue())
    assert (size, number) == (len(out), channel)
    assert isinstance(found, pamqp_body.ContentBody)
    assert found.value == b"abc"


def test_the_constants():
    assert pamqp_frame.unmarshal(frames.HEARTBEAT_FRAME)[2].name == "Heartbeat"
    assert pamqp_frame.unmarshal(frames.PROTOCOL_HEADER)[2].marshal() == frames.PROTOCOL_HEADER


@pytest.mark.parametrize(
    ("size", "frame_max", "sizes"),
    [
        (0, 4096, []),
        (1, 4096, [1]),
        (4088, 4096, [4088]),
        (4089, 4096, [4088, 1]),
        (8176, 4096, [4088, 4088]),
        (10_000, 4096, [4088, 4088, 1824]),
        (10_000, LARGE, [10_000]),
    ],
)
def test_a_body_is_split_where_it_must_be(size, frame_max, sizes):
    built = parsed(build_content(3, HEADER_PAYLOAD, bytes(size), frame_max))
    assert built[0] == (HEADER, 3, HEADER_PAYLOAD)
    assert [(kind, channel, len(payload)) for kind, channel, payload in built[1:]] == [
        (BODY, 3, part) for part in sizes
    ]


def test_the_same_channel_and_room_enough_is_a_plain_copy():
    raw = build_content(5, HEADER_PAYLOAD, b"x" * 10_000, 4096)
    assert moved(raw, 5, 5, 4096) == raw
    assert moved(raw, 5, 5, LARGE) == raw


@pytest.mark.parametrize("channel", [1, 255, 256, 32_768, 65_535])
def test_another_channel_is_written_into_every_frame(channel):
    raw = build_content(5, HEADER_PAYLOAD, b"x" * 10_000, 4096)
    assert moved(raw, 5, channel, 4096, b"before") == build_content(channel, HEADER_PAYLOAD, b"x" * 10_000, 4096)


def test_a_smaller_frame_max_splits_again():
    body = bytes(range(256)) * 100
    raw = build_content(5, HEADER_PAYLOAD, body, LARGE)
    assert moved(raw, 5, 6, 4096) == build_content(6, HEADER_PAYLOAD, body, 4096)


def test_an_empty_body_has_no_frame():
    raw = build_content(5, HEADER_PAYLOAD, b"", 4096)
    assert len(parsed(raw)) == 1
    assert frames.body_of(raw) == b""
    assert moved(raw, 5, 6, 4096) == build_content(6, HEADER_PAYLOAD, b"", 4096)


def test_empty_body_frames_in_between_do_no_harm():
    out = BytesWriter()
    for kind, payload in ((HEADER, HEADER_PAYLOAD), (BODY, b""), (BODY, b"abc"), (BODY, b""), (BODY, b"de")):
        frames.write_frame(out, kind, 5, payload)
    raw = out.getvalue()
    assert frames.body_of(raw) == b"abcde"
    assert [channel for _kind, channel, _payload in parsed(moved(raw, 5, 9, 4096))] == [9] * 5


def test_the_parts_of_a_content():
    raw = build_content(40_000, HEADER_PAYLOAD, b"0123456789", 4096)
    assert frames.header_of(raw) == HEADER_PAYLOAD
    assert frames.header_size(raw) == len(HEADER_PAYLOAD) + OVERHEAD
    assert frames.body_of(raw) == b"0123456789"


@given(
    body=st.binary(max_size=300),
    origin=st.integers(1, 65_535),
    channel=st.integers(1, 65_535),
    first_max=st.integers(len(HEADER_PAYLOAD) + OVERHEAD, 400),
    second_max=st.integers(len(HEADER_PAYLOAD) + OVERHEAD, 400),
)
def test_a_content_survives_any_channel_and_frame_max(body, origin, channel, first_max, second_max):
    raw = build_content(origin, HEADER_PAYLOAD, body, first_max)
    gone = moved(raw, origin, channel, second_max, b"....")
    assert frames.header_of(gone) == HEADER_PAYLOAD
    assert frames.body_of(gone) == body
    for kind, number, payload in parsed(gone):
        assert number == channel
        assert kind in (HEADER, BODY)
        assert len(payload) + OVERHEAD <= second_max
    assert moved(gone, channel, origin, first_max) in (raw, build_content(origin, HEADER_PAYLOAD, body, second_max))


def test_pamqp_reads_a_content():
    data = build_content(7, HEADER_PAYLOAD, b"0123456789", 4096)
    size, channel, header = pamqp_frame.unmarshal(data)
    assert channel == 7
    assert isinstance(header, pamqp_header.ContentHeader)
    assert (header.body_size, header.properties.content_type) == (10, "a")
    _size, _channel, body = pamqp_frame.unmarshal(data[size:])
    assert body.value == b"0123456789"
