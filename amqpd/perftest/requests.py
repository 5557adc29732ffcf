"""What a client sends: methods with their arguments, as whole frames.

Names are checked before (`options`): a short string has 255 bytes at most.
"""

from __future__ import annotations

from amqpd.wire import frames, methods
from amqpd.wire.primitives import BytesWriter, as_bytes, shortstr
from amqpd.wire.tables import Table, encode_table


def method(channel: int, number: int, arguments: bytes = b"") -> bytes:
    """A method frame."""
    out = BytesWriter()
    frames.write_frame(out, frames.METHOD, channel, number.to_bytes(4, "big") + arguments)
    return out.getvalue()


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _longstr(raw: bytes) -> bytes:
    return _u32(len(raw)) + raw


def start_ok(properties: Table, mechanism: str, response: bytes) -> bytes:
    """connection.start-ok"""
    arguments = encode_table(properties) + shortstr(mechanism) + _longstr(response) + shortstr("en_US")
    return method(0, methods.CONNECTION_START_OK, arguments)


def plain(user: str, password: str) -> bytes:
    """The response of the mechanism PLAIN."""
    return b"\0" + as_bytes(user) + b"\0" + as_bytes(password)


def tune_ok(channel_max: int, frame_max: int, heartbeat: int) -> bytes:
    """connection.tune-ok; `heartbeat` in seconds."""
    return method(0, methods.CONNECTION_TUNE_OK, _u16(channel_max) + _u32(frame_max) + _u16(heartbeat))


def open_vhost(vhost: str) -> bytes:
    """connection.open"""
    return method(0, methods.CONNECTION_OPEN, shortstr(vhost) + b"\0\0")


def close(number: int, channel: int = 0) -> bytes:
    """connection.close or channel.close, without complaint."""
    return method(channel, number, _u16(200) + shortstr("") + bytes(4))


def open_channel(channel: int) -> bytes:
    """channel.open"""
    return method(channel, methods.CHANNEL_OPEN, b"\0")


def declare_exchange(channel: int, name: str, kind: str, passive: bool) -> bytes:
    """exchange.declare: durable, as PerfTest's. Passive: only look whether it is there."""
    bits = 1 if passive else 2
    arguments = b"\0\0" + shortstr(name) + shortstr(kind) + bytes([bits]) + encode_table([])
    return method(channel, methods.EXCHANGE_DECLARE, arguments)


def declare_queue(channel: int, name: str, durable: bool, exclusive: bool, auto_delete: bool, table: Table) -> bytes:
    """queue.declare"""
    bits = durable << 1 | exclusive << 2 | auto_delete << 3
    return method(channel, methods.QUEUE_DECLARE, b"\0\0" + shortstr(name) + bytes([bits]) + encode_table(table))


def look_for_queue(channel: int, name: str) -> bytes:
    """queue.declare, passive."""
    return method(channel, methods.QUEUE_DECLARE, b"\0\0" + shortstr(name) + b"\1" + encode_table([]))


def bind(channel: int, queue: str, exchange: str, key: str) -> bytes:
    """queue.bind"""
    arguments = b"\0\0" + shortstr(queue) + shortstr(exchange) + shortstr(key) + b"\0" + encode_table([])
    return method(channel, methods.QUEUE_BIND, arguments)


def qos(channel: int, prefetch: int, whole_channel: bool) -> bytes:
    """basic.qos"""
    return method(channel, methods.BASIC_QOS, _u32(0) + _u16(prefetch) + bytes([whole_channel]))


def consume(channel: int, queue: str, tag: str, no_ack: bool, table: Table) -> bytes:
    """basic.consume"""
    arguments = b"\0\0" + shortstr(queue) + shortstr(tag) + bytes([no_ack << 1]) + encode_table(table)
    return method(channel, methods.BASIC_CONSUME, arguments)


def cancel(channel: int, tag: str) -> bytes:
    """basic.cancel"""
    return method(channel, methods.BASIC_CANCEL, shortstr(tag) + b"\0")


def confirm_select(channel: int) -> bytes:
    """confirm.select"""
    return method(channel, methods.CONFIRM_SELECT, b"\0")


def tx(channel: int, number: int) -> bytes:
    """tx.select or tx.commit"""
    return method(channel, number)


def settle(channel: int, tag: int, multiple: bool, nack: bool, requeue: bool) -> bytes:
    """basic.ack or basic.nack"""
    number = methods.BASIC_NACK if nack else methods.BASIC_ACK
    bits = multiple | (requeue << 1 if nack else 0)
    return method(channel, number, tag.to_bytes(8, "big") + bytes([bits]))


TAG_PLACE = 11  # where in an ack's frame its delivery tag stands


def publish(channel: int, exchange: bytes, key: bytes, mandatory: bool) -> bytes:
    """basic.publish, without its content."""
    names = bytes([len(exchange)]) + exchange + bytes([len(key)]) + key
    return method(channel, methods.BASIC_PUBLISH, b"\0\0" + names + bytes([mandatory]))


def key_place(exchange: bytes) -> int:
    """Where in the frame of a publish to `exchange` the routing key's first byte stands."""
    return 7 + 4 + 2 + 1 + len(exchange) + 1
