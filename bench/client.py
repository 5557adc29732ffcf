"""A blocking AMQP client made of prebuilt frames: quick enough that what is measured is the broker.

It sends bytes and counts what comes back; it decodes nothing but frame headers, and checks only what a benchmark
stands on: that the connection opens, that no channel and no connection was closed, that as many answers and messages
came as were asked for. Works the same against any AMQP 0-9-1 broker. Blocks, for `TIMEOUT_S` at most in each read.

The functions in the second half are frames, as bytes for channel `channel`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from amqpd.wire import content, frames, methods, tables
from amqpd.wire.primitives import shortstr
from amqpd.wire.tables import Table

TIMEOUT_S = 120.0
_HEAD = struct.Struct(">BHI")
_READ_SIZE = 1 << 20
_CAPABILITIES = ("authentication_failure_close", "basic.nack", "connection.blocked", "consumer_cancel_notify")
PROPERTIES: Table = [  # about what usual clients say of themselves
    ("product", tables.longstr("a client of amqpd's benchmarks")),
    ("platform", tables.longstr("Python")),
    ("capabilities", tables.subtable([(name, tables.boolean(True)) for name in _CAPABILITIES])),
    ("information", tables.longstr("see bench/README.md")),
    ("version", tables.longstr("1.0.0")),
]


class BenchError(Exception):
    """The broker closed what it should not have closed, or answered something else than was asked for."""


class Client:
    """A connection of guest to the virtual host `/`, without heartbeats. `received` counts methods by their number."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received: dict[int, int] = {}
        self._rest = b""
        self._open()

    def _open(self) -> None:
        self.send(frames.PROTOCOL_HEADER)
        self.wait(methods.CONNECTION_START)
        login = tables.encode_table(PROPERTIES) + shortstr("PLAIN") + _longstr(b"\0guest\0guest") + shortstr("en_US")
        self.send(method(0, methods.CONNECTION_START_OK, login))
        self.wait(methods.CONNECTION_TUNE)
        self.send(method(0, methods.CONNECTION_TUNE_OK, struct.pack(">HIH", 2047, 131_072, 0)))
        self.send(method(0, methods.CONNECTION_OPEN, shortstr("/") + b"\0\0"))
        self.wait(methods.CONNECTION_OPEN_OK)

    def send(self, data: bytes) -> None:
        """Send all of `data`. What the broker sends meanwhile waits in the socket: keep it small, or `pump`."""
        self.sock.sendall(data)

    def wait(self, number: int, count: int = 1) -> None:
        """Read until method `number` has come `count` times since the last wait for it. Raises BenchError."""
        while self.received.get(number, 0) < count:
            self.read()
        self.received[number] -= count

    def call(self, data: bytes, answer: int, count: int = 1) -> None:
        """Send and wait for the answers."""
        self.send(data)
        self.wait(answer, count)

    def sync(self, channel: int = 1) -> None:
        """Wait until the broker has acted on everything that was sent on an open channel."""
        self.call(qos(channel, 0), methods.BASIC_QOS_OK)

    def read(self) -> None:
        """Read once, and count the methods in it. Raises BenchError at a close and at the end of the stream."""
        data = self.sock.recv(_READ_SIZE)
        if not data:
            raise BenchError("the broker closed the socket")
        data = self._rest + data
        pos = 0
        end = len(data)
        while end - pos >= frames.HEADER_SIZE:
            kind, _channel, size = _HEAD.unpack_from(data, pos)
            after = pos + size + frames.OVERHEAD
            if after > end:
                break
            if kind == frames.METHOD:
                self._count(int.from_bytes(data[pos + 7 : pos + 11], "big"), data[pos + 11 : after - 1])
            pos = after
        self._rest = data[pos:]

    def _count(self, number: int, arguments: bytes) -> None:
        if number in (methods.CHANNEL_CLOSE, methods.CONNECTION_CLOSE):
            text = arguments[3 : 3 + arguments[2]].decode("utf-8", "replace")
            raise BenchError(f"the broker closed with {int.from_bytes(arguments[:2], 'big')}: {text}")
        self.received[number] = self.received.get(number, 0) + 1

    def close(self) -> None:
        """Close the connection in order."""
        self.call(method(0, methods.CONNECTION_CLOSE, b"\0\xc8\0\0\0\0\0"), methods.CONNECTION_CLOSE_OK)
        self.sock.close()


def method(channel: int, number: int, arguments: bytes) -> bytes:
    """A method frame."""
    payload = number.to_bytes(4, "big") + arguments
    return _HEAD.pack(frames.METHOD, channel, len(payload)) + payload + b"\xce"


def _longstr(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def open_channel(channel: int) -> bytes:
    """channel.open"""
    return method(channel, methods.CHANNEL_OPEN, b"\0")


def qos(channel: int, prefetch: int) -> bytes:
    """basic.qos, for each consumer to come."""
    return method(channel, methods.BASIC_QOS, struct.pack(">IHB", 0, prefetch, 0))


def confirm_select(channel: int) -> bytes:
    """confirm.select"""
    return method(channel, methods.CONFIRM_SELECT, b"\0")


def declare_queue(channel: int, name: str, durable: bool, arguments: Table | None = None, nowait: bool = True) -> bytes:
    """queue.declare, classic where nothing else is said."""
    table = tables.encode_table([("x-queue-type", tables.longstr("classic")), *(arguments or [])])
    bits = (2 if durable else 0) | (16 if nowait else 0)
    return method(channel, methods.QUEUE_DECLARE, b"\0\0" + shortstr(name) + bytes([bits]) + table)


def declare_exchange(channel: int, name: str, kind: str, durable: bool) -> bytes:
    """exchange.declare, without an answer."""
    bits = (2 if durable else 0) | 16
    arguments = b"\0\0" + shortstr(name) + shortstr(kind) + bytes([bits]) + tables.encode_table([])
    return method(channel, methods.EXCHANGE_DECLARE, arguments)


def bind(channel: int, queue: str, exchange: str, key: str) -> bytes:
    """queue.bind, without an answer."""
    arguments = b"\0\0" + shortstr(queue) + shortstr(exchange) + shortstr(key) + b"\1" + tables.encode_table([])
    return method(channel, methods.QUEUE_BIND, arguments)


def consume(channel: int, queue: str, tag: str, no_ack: bool) -> bytes:
    """basic.consume, without an answer."""
    bits = (2 if no_ack else 0) | 8
    arguments = b"\0\0" + shortstr(queue) + shortstr(tag) + bytes([bits]) + tables.encode_table([])
    return method(channel, methods.BASIC_CONSUME, arguments)


def ack_up_to(channel: int, tag: int) -> bytes:
    """basic.ack with multiple; tag 0 is everything."""
    return method(channel, methods.BASIC_ACK, tag.to_bytes(8, "big") + b"\1")


def purge(channel: int, queue: str) -> bytes:
    """queue.purge"""
    return method(channel, methods.QUEUE_PURGE, b"\0\0" + shortstr(queue) + b"\0")


def delete_queue(channel: int, queue: str) -> bytes:
    """queue.delete"""
    return method(channel, methods.QUEUE_DELETE, b"\0\0" + shortstr(queue) + b"\0")


def publish(channel: int, exchange: str, key: str, body: bytes, persistent: bool) -> bytes:
    """basic.publish with its content."""
    properties = {content.DELIVERY_MODE: b"\2"} if persistent else {}
    head = content.join(len(body), properties)
    command = method(channel, methods.BASIC_PUBLISH, b"\0\0" + shortstr(exchange) + shortstr(key) + b"\0")
    return command + frames.build_content(channel, head, body, 131_072)


def batches(pieces: Sequence[bytes], size: int = 65_536) -> list[bytes]:
    """Frames joined to about `size` bytes, to be sent one after the other."""
    joined: list[bytes] = []
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            joined.append(b"".join(held))
            held = []
            length = 0
    if held:
        joined.append(b"".join(held))
    return joined
