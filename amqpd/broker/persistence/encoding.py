"""A message as it is stored: the bytes it came as, preceded by what the broker knows of it.

Times are stored as times of day, because a node's own clock begins anew with each start: `offset_ms` is what must be
added to the broker's time, and taken away again when the message is read.

    flags u8, origin u16, body size u32, arrived i64 (ms), [priority u16], [expiration i64 (ms)],
    address size u16, address, [annotations: size u32, ...], content

`decode` trusts its input: whatever reads files has checked their checksums.
"""

from __future__ import annotations

from typing import Final

from amqpd.broker.deadletter import Death
from amqpd.broker.message import NEVER, Annotations, Message
from amqpd.wire.primitives import (
    BytesWriter,
    Reader,
    as_bytes,
    as_text,
    read_i16_be,
    read_i32_be,
    read_i64_be,
    write_i64_be,
    write_u16,
    write_u32,
)

_PERSISTENT: Final = 1
_PRIORITY: Final = 2
_EXPIRATION: Final = 4
_ANNOTATIONS: Final = 8

_SIZE_AT: Final = 3
_FIXED: Final = 17  # bytes of what every message has, but for address and content
_NONE: Final = 0xFFFF_FFFF  # the size of a text that is not there


def annotations_of(message: Message) -> bytes:
    """The encoded annotations of a message; empty where it has none."""
    annotations = message.annotations
    if annotations is None:
        return b""
    out = BytesWriter()
    out.append(1 if annotations.redelivered else 0)
    _write_texts(out, annotations.keys)
    _write_texts(out, annotations.hidden)
    write_u32(out, len(annotations.deaths))
    for death in annotations.deaths:
        _write_death(out, death)
    first = annotations.first
    out.append(0 if first is None else 1)
    if first is not None:
        _write_death(out, first)
    return out.getvalue()


def size_of(message: Message, annotations: bytes) -> int:
    """How many bytes `write` will write."""
    size = _FIXED + len(message.address) + len(message.content)
    if message.priority >= 0:
        size += 2
    if message.expiration_ms >= 0:
        size += 8
    if annotations:
        size += 4 + len(annotations)
    return size


def write(out: BytesWriter, message: Message, annotations: bytes, offset_ms: int) -> None:
    """Append a message to `out`; `annotations` are its encoded ones."""
    flags = _PERSISTENT if message.persistent else 0
    if message.priority >= 0:
        flags |= _PRIORITY
    if message.expiration_ms >= 0:
        flags |= _EXPIRATION
    if annotations:
        flags |= _ANNOTATIONS
    address = message.address
    out.append(flags)
    write_u16(out, message.origin)
    write_u32(out, message.size)
    write_i64_be(out, message.arrived_ms + offset_ms)
    if message.priority >= 0:
        write_u16(out, message.priority)
    if message.expiration_ms >= 0:
        write_i64_be(out, message.expiration_ms)
    write_u16(out, len(address))
    out.write(address)
    if annotations:
        write_u32(out, len(annotations))
        out.write(annotations)
    out.write(message.content)


def body_size(stored: bytes) -> int:
    """How many bytes of body a stored message has."""
    size: int = read_i32_be(stored, _SIZE_AT)
    return size


class Decoder:
    """Reads messages that were stored, one after the other: neighbours with the same address share it.

    `now_ms` is the broker's time: what comes from the future, because a clock was set back, has arrived just now.
    """

    def __init__(self, now_ms: int) -> None:
        self._now_ms: Final = now_ms
        self._address = b""

    def decode(self, data: bytes, pos: int, end: int, offset_ms: int) -> Message:
        """The message `data[pos:end]`."""
        flags = data[pos]
        origin: int = read_i16_be(data, pos + 1)
        size: int = read_i32_be(data, pos + _SIZE_AT)
        arrived_ms: int = read_i64_be(data, pos + 7)
        pos += 15
        priority = -1
        if flags & _PRIORITY:
            priority = read_i16_be(data, pos)
            pos += 2
        expiration_ms = NEVER
        if flags & _EXPIRATION:
            expiration_ms = read_i64_be(data, pos)
            pos += 8
        address_size: int = read_i16_be(data, pos)
        pos += 2
        address = data[pos : pos + address_size]
        if address == self._address:
            address = self._address
        else:
            self._address = address
        pos += address_size
        annotations: Annotations | None = None
        if flags & _ANNOTATIONS:
            annotations_size: int = read_i32_be(data, pos)
            annotations = _read_annotations(Reader(data, pos + 4, pos + 4 + annotations_size))
            pos += 4 + annotations_size
        return Message(
            address,
            data[pos:end],
            origin & 0xFFFF,
            size,
            flags & _PERSISTENT != 0,
            priority,
            expiration_ms,
            min(arrived_ms - offset_ms, self._now_ms),
            annotations,
        )


def _read_annotations(reader: Reader) -> Annotations:
    redelivered = reader.octet() == 1
    keys = _read_texts(reader)
    hidden = _read_texts(reader)
    deaths = [_read_death(reader) for _ in range(reader.long())]
    first = _read_death(reader) if reader.octet() else None
    return Annotations(keys, hidden, deaths, first, redelivered)


def _write_death(out: BytesWriter, death: Death) -> None:
    _write_text(out, death.queue)
    _write_text(out, death.reason)
    write_i64_be(out, death.count)
    write_i64_be(out, death.time_s)
    _write_text(out, death.exchange)
    _write_texts(out, death.keys)
    expiration = death.expiration
    write_u32(out, _NONE if expiration is None else len(expiration))
    if expiration is not None:
        out.write(expiration)


def _read_death(reader: Reader) -> Death:
    queue = as_text(reader.longstr())
    reason = as_text(reader.longstr())
    count = reader.longlong()
    time_s = reader.longlong()
    exchange = as_text(reader.longstr())
    keys = _read_texts(reader)
    size = reader.long()
    expiration: bytes | None = None
    if size != _NONE:
        expiration = reader.data[reader.pos : reader.pos + size]
        reader.skip(size)
    return Death(queue, reason, count, time_s, exchange, keys, expiration)


def _write_text(out: BytesWriter, text: str) -> None:
    raw = as_bytes(text)
    write_u32(out, len(raw))
    out.write(raw)


def _write_texts(out: BytesWriter, texts: list[str]) -> None:
    write_u32(out, len(texts))
    for text in texts:
        _write_text(out, text)


def _read_texts(reader: Reader) -> list[str]:
    return [as_text(reader.longstr()) for _ in range(reader.long())]
