"""Hostile and broken handshakes: none is answered with more than it deserves, and none leaves anything behind."""

import pytest
from fuzz import codec, invariants
from fuzz.codec import PROTOCOL_HEADER
from fuzz.node import Node

from amqpd.wire import methods as m

START_OK = codec.method(0, m.CONNECTION_START_OK, b"", b"PLAIN", b"\0guest\0x", b"en_US")
TUNE_OK = codec.method(0, m.CONNECTION_TUNE_OK, 2047, 131_072, 0)
OPEN = codec.method(0, m.CONNECTION_OPEN, b"/", b"", 0)
DEEP = b""
for _ in range(1500):
    DEEP = b"\x01aF" + len(DEEP).to_bytes(4, "big") + DEEP

# What is sent after the protocol header -> everything that must be answered (connection.start comes first).
SILENT = {
    "a method that is not expected": OPEN,
    "tune-ok before start-ok": TUNE_OK,
    "an unknown method": codec.frame(1, 0, b"\0\x0a\0\x63"),
    "a method frame without a method": codec.frame(1, 0, b"\0"),
    "a heartbeat with a payload": codec.frame(8, 0, b"x"),
    "a body frame": codec.frame(3, 0, b"x"),
    "a frame on channel 1": codec.method(1, m.CHANNEL_OPEN, b""),
    "an unknown type of frame": codec.frame(99, 0, b""),
    "connection.close": codec.method(0, m.CONNECTION_CLOSE, 200, b"", 0),
    "start-ok without arguments": codec.frame(1, 0, b"\0\x0a\0\x0b"),
    "start-ok cut in its table": codec.frame(1, 0, b"\0\x0a\0\x0b\0\0\0\x09\x01a"),
    "start-ok with a table 4 GB long": codec.frame(1, 0, b"\0\x0a\0\x0b\xff\xff\xff\xff"),
    "start-ok with left-over bytes": codec.frame(1, 0, START_OK[7:-1] + b"x"),
    "properties nested 1500 deep": codec.method(0, m.CONNECTION_START_OK, DEEP, b"PLAIN", b"\0guest\0x", b"en_US"),
    "a mechanism nobody offered": codec.method(0, m.CONNECTION_START_OK, b"", b"EXTERNAL", b"", b"en_US"),
    "a mechanism that is not UTF-8": codec.method(0, m.CONNECTION_START_OK, b"", b"\xff", b"", b"en_US"),
    "a response of another form": codec.method(0, m.CONNECTION_START_OK, b"", b"PLAIN", b"guest", b"en_US"),
    "an unknown user": codec.method(0, m.CONNECTION_START_OK, b"", b"PLAIN", b"\0nobody\0x", b"en_US"),
    "start-ok twice": START_OK + START_OK,
}


@pytest.fixture
def node():
    return Node()


def names(socket) -> list[str]:
    return [method.name for method in socket.taken()]


def left_nothing(node) -> bool:
    invariants.check_empty(node.broker)
    return len(node.broker.timers) == 0 and not node.sockets


@pytest.mark.parametrize("byte_by_byte", [False, True])
@pytest.mark.parametrize("case", SILENT)
def test_a_peer_that_fails_before_the_open_hears_nothing(node, case, byte_by_byte):
    sent = PROTOCOL_HEADER + SILENT[case]
    socket = node.connect()
    node.send(socket, *([bytes([octet]) for octet in sent] if byte_by_byte else [sent]))
    tuned = SILENT[case].startswith(START_OK)
    assert names(socket) == ["connection.start", "connection.tune"][: 1 + tuned]
    assert not socket.ended
    node.wait(3000)
    assert socket.ended == "abort"
    assert names(socket) == []
    assert left_nothing(node)


@pytest.mark.parametrize(
    "header",
    [b"GET / HTTP/1.1\r\n", b"AMQP\0\0\x09\0", b"AMQP\x03\x01\0\0", b"amqp\0\0\x09\x01", b"\0" * 8, b"\xff" * 100],
)
def test_another_protocol_is_told_ours(node, header):
    socket = node.connect()
    node.send(socket, header)
    assert socket.decoder.protocol_header
    assert names(socket) == []
    assert socket.ended == "close"
    assert left_nothing(node)


@pytest.mark.parametrize(
    "sent", [b"", b"AMQP", PROTOCOL_HEADER, PROTOCOL_HEADER + START_OK, PROTOCOL_HEADER + START_OK + TUNE_OK]
)
def test_a_peer_that_stops_is_dropped_in_the_end(node, sent):
    socket = node.connect()
    node.send(socket, sent)
    node.wait(9_999)
    assert not socket.ended
    node.wait(1)
    assert socket.ended == "abort"
    assert left_nothing(node)


def test_a_handshake_may_be_split_anywhere(node):
    sent = codec.handshake()
    for size in range(len(sent) + 1):
        socket = node.connect()
        node.send(socket, sent[:size], sent[size:])
        assert names(socket) == ["connection.start", "connection.tune", "connection.open-ok"]


def test_a_lost_peer_in_every_place_of_the_handshake_leaves_nothing(node):
    sent = codec.handshake()
    for size in range(len(sent) + 1):
        socket = node.connect()
        node.send(socket, sent[:size])
        node.lose(socket)
        assert left_nothing(node)


def test_an_octet_changed_anywhere_in_the_handshake_raises_nothing():
    sent = codec.handshake()
    for at in range(len(sent)):
        for value in (0, 0x7F, 0x80, 0xFF):
            node = Node()
            socket = node.connect()
            node.send(socket, sent[:at] + bytes([value]) + sent[at + 1 :])
            node.wait(60_000)
            node.lose(socket)
            assert left_nothing(node)


def test_a_flood_after_the_failure_is_not_kept(node):
    socket = node.connect()
    node.send(socket, PROTOCOL_HEADER, OPEN, *[codec.frame(3, 7, b"x" * 4000)] * 1000)
    assert names(socket) == ["connection.start"]
    assert len(socket.connection.out) == 0
    assert len(socket.connection._rest) == 0
    node.wait(3000)
    assert left_nothing(node)


def test_an_endless_frame_is_refused_by_its_header(node):
    """Nothing of a frame that is too long is gathered: its size alone ends the handshake."""
    socket = node.connect()
    node.send(socket, PROTOCOL_HEADER, b"\x01\0\0\xff\xff\xff\xff", b"x" * 100_000)
    assert len(socket.connection._rest) == 0
    node.wait(60_000)
    assert socket.ended
    node.lose(socket)
    assert left_nothing(node)
