"""AMQP 0-9-1 bytes for the comparison: strict enough to see every difference, loose enough to send any nonsense.

It encodes and decodes methods, content headers and field tables. Unlike the codecs of client libraries it keeps the
type tag of every table value (`Tagged`), because a broker that answers `long` where RabbitMQ answers `short` is a
difference.

It knows no state: which frame may follow which is the business of the broker under test.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE

# One method a line: name, class, method, fields. A line that begins with a space goes on with the fields above.
_METHODS = """
connection.start 10 10 version_major:octet version_minor:octet server_properties:table
  mechanisms:longstr locales:longstr
connection.start-ok 10 11 client_properties:table mechanism:shortstr response:longstr locale:shortstr
connection.secure 10 20 challenge:longstr
connection.secure-ok 10 21 response:longstr
connection.tune 10 30 channel_max:short frame_max:long heartbeat:short
connection.tune-ok 10 31 channel_max:short frame_max:long heartbeat:short
connection.open 10 40 virtual_host:shortstr reserved_1:shortstr insist:bit
connection.open-ok 10 41 known_hosts:shortstr
connection.close 10 50 reply_code:short reply_text:shortstr class_id:short method_id:short
connection.close-ok 10 51
connection.blocked 10 60 reason:shortstr
connection.unblocked 10 61
connection.update-secret 10 70 new_secret:longstr reason:shortstr
connection.update-secret-ok 10 71
channel.open 20 10 out_of_band:shortstr
channel.open-ok 20 11 channel_id:longstr
channel.flow 20 20 active:bit
channel.flow-ok 20 21 active:bit
channel.close 20 40 reply_code:short reply_text:shortstr class_id:short method_id:short
channel.close-ok 20 41
access.request 30 10 realm:shortstr exclusive:bit passive:bit active:bit write:bit read:bit
access.request-ok 30 11 ticket:short
exchange.declare 40 10 ticket:short exchange:shortstr type:shortstr passive:bit durable:bit
  auto_delete:bit internal:bit nowait:bit arguments:table
exchange.declare-ok 40 11
exchange.delete 40 20 ticket:short exchange:shortstr if_unused:bit nowait:bit
exchange.delete-ok 40 21
exchange.bind 40 30 ticket:short destination:shortstr source:shortstr routing_key:shortstr nowait:bit arguments:table
exchange.bind-ok 40 31
exchange.unbind 40 40 ticket:short destination:shortstr source:shortstr routing_key:shortstr nowait:bit arguments:table
exchange.unbind-ok 40 51
queue.declare 50 10 ticket:short queue:shortstr passive:bit durable:bit exclusive:bit
  auto_delete:bit nowait:bit arguments:table
queue.declare-ok 50 11 queue:shortstr message_count:long consumer_count:long
queue.bind 50 20 ticket:short queue:shortstr exchange:shortstr routing_key:shortstr nowait:bit arguments:table
queue.bind-ok 50 21
queue.purge 50 30 ticket:short queue:shortstr nowait:bit
queue.purge-ok 50 31 message_count:long
queue.delete 50 40 ticket:short queue:shortstr if_unused:bit if_empty:bit nowait:bit
queue.delete-ok 50 41 message_count:long
queue.unbind 50 50 ticket:short queue:shortstr exchange:shortstr routing_key:shortstr arguments:table
queue.unbind-ok 50 51
basic.qos 60 10 prefetch_size:long prefetch_count:short global:bit
basic.qos-ok 60 11
basic.consume 60 20 ticket:short queue:shortstr consumer_tag:shortstr no_local:bit no_ack:bit
  exclusive:bit nowait:bit arguments:table
basic.consume-ok 60 21 consumer_tag:shortstr
basic.cancel 60 30 consumer_tag:shortstr nowait:bit
basic.cancel-ok 60 31 consumer_tag:shortstr
basic.publish 60 40 ticket:short exchange:shortstr routing_key:shortstr mandatory:bit immediate:bit
basic.return 60 50 reply_code:short reply_text:shortstr exchange:shortstr routing_key:shortstr
basic.deliver 60 60 consumer_tag:shortstr delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr
basic.get 60 70 ticket:short queue:shortstr no_ack:bit
basic.get-ok 60 71 delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr message_count:long
basic.get-empty 60 72 cluster_id:shortstr
basic.ack 60 80 delivery_tag:longlong multiple:bit
basic.reject 60 90 delivery_tag:longlong requeue:bit
basic.recover-async 60 100 requeue:bit
basic.recover 60 110 requeue:bit
basic.recover-ok 60 111
basic.nack 60 120 delivery_tag:longlong multiple:bit requeue:bit
confirm.select 85 10 nowait:bit
confirm.select-ok 85 11
tx.select 90 10
tx.select-ok 90 11
tx.commit 90 20
tx.commit-ok 90 21
tx.rollback 90 30
tx.rollback-ok 90 31
"""

Fields = list[tuple[str, str]]


def _parse_methods() -> Iterator[tuple[str, int, int, Fields]]:
    for line in _METHODS.replace("\n ", " ").strip().splitlines():
        name, class_id, method_id, *fields = line.split()
        yield name, int(class_id), int(method_id), [(f.split(":")[0], f.split(":")[1]) for f in fields]


METHODS: dict[str, tuple[int, int, Fields]] = {name: (c, m, fields) for name, c, m, fields in _parse_methods()}
METHOD_NAMES: dict[tuple[int, int], str] = {(c, m): name for name, (c, m, _) in METHODS.items()}
WITH_CONTENT = frozenset(("basic.return", "basic.deliver", "basic.get-ok"))

PROPERTIES: Fields = [
    ("content_type", "shortstr"), ("content_encoding", "shortstr"), ("headers", "table"), ("delivery_mode", "octet"),
    ("priority", "octet"), ("correlation_id", "shortstr"), ("reply_to", "shortstr"), ("expiration", "shortstr"),
    ("message_id", "shortstr"), ("timestamp", "longlong"), ("type", "shortstr"), ("user_id", "shortstr"),
    ("app_id", "shortstr"), ("cluster_id", "shortstr"),
]  # fmt: skip

_INTEGERS = {"octet": ">B", "short": ">H", "long": ">I", "longlong": ">Q"}
_TAGS = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "f": ">f", "d": ">d", "T": ">Q"}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A field table value with its type tag, for example `Tagged("l", 1)`; a `D`ecimal holds (scale, value)."""

    tag: str
    value: Any

    def __repr__(self) -> str:
        return f"{self.tag}:{self.value!r}"


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that stand for themselves wherever a field is encoded: the way to send what no codec would."""

    data: bytes


class Malformed(Exception):
    """What the broker sent cannot be decoded."""


# -- encoding ---------------------------------------------------------------------------------------------------------
def shortstr(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">B", len(data)) + data


def longstr(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


def tagged(value: object) -> Tagged:
    """The type a plain Python value is sent as: int as `I` where it fits, else `l`."""
    if isinstance(value, Tagged):
        return value
    if isinstance(value, bool):
        return Tagged("t", value)
    if isinstance(value, int):
        return Tagged("I" if -(2**31) <= value < 2**31 else "l", value)
    if isinstance(value, float):
        return Tagged("d", value)
    if value is None:
        return Tagged("V", None)
    if isinstance(value, str | bytes):
        return Tagged("S", value)
    if isinstance(value, list):
        return Tagged("A", value)
    if isinstance(value, Mapping):
        return Tagged("F", value)
    raise TypeError(f"no AMQP type for {value!r}")


def table_value(value: object) -> bytes:
    item = tagged(value)
    return item.tag.encode() + _tagged_bytes(item.tag, item.value)


def _tagged_bytes(tag: str, value: Any) -> bytes:
    if isinstance(value, Raw):
        return value.data
    if tag in _TAGS:
        return struct.pack(_TAGS[tag], value)
    if tag in "Sx":
        return longstr(value)
    if tag == "t":
        return bytes([value])
    if tag == "V":
        return b""
    if tag == "D":
        return struct.pack(">Bi", *value)
    if tag == "A":
        return longstr(b"".join(table_value(item) for item in value))
    if tag == "F":
        return table(value)
    raise TypeError(f"no AMQP type tag {tag!r}")


def table(values: Mapping[str, object]) -> bytes:
    return longstr(b"".join(shortstr(key) + table_value(value) for key, value in values.items()))


def encode_fields(fields: Fields, values: Mapping[str, Any]) -> bytes:
    """The fields in order, absent ones as zero or empty. Raises KeyError for a value that is no field."""
    if unknown := set(values) - {name for name, _ in fields}:
        raise KeyError(f"no such field: {unknown}")
    out = bytearray()
    bits, width = 0, 0
    for name, kind in fields:
        if kind == "bit":
            bits |= bool(values.get(name)) << width
            width += 1
            continue
        if width:
            out.append(bits)
            bits, width = 0, 0
        value = values.get(name)
        if isinstance(value, Raw):
            out += value.data
        elif kind in _INTEGERS:
            out += struct.pack(_INTEGERS[kind], value or 0)
        elif kind == "table":
            out += table(value or {})
        else:
            out += (shortstr if kind == "shortstr" else longstr)(value or b"")
    if width:
        out.append(bits)
    return bytes(out)


def method_payload(name: str, values: Mapping[str, Any]) -> bytes:
    class_id, method_id, fields = METHODS[name]
    return struct.pack(">HH", class_id, method_id) + encode_fields(fields, values)


def header_payload(body_size: int, properties: Mapping[str, Any], class_id: int = 60, weight: int = 0) -> bytes:
    flags, present = 0, []
    for bit, (name, kind) in enumerate(PROPERTIES):
        if name in properties:
            flags |= 1 << (15 - bit)
            present.append((name, kind))
    if unknown := set(properties) - {name for name, _ in PROPERTIES}:
        raise KeyError(f"no such property: {unknown}")
    return struct.pack(">HHQH", class_id, weight, body_size, flags) + encode_fields(present, properties)


def frame(kind: int, channel: int, payload: bytes, end: int = FRAME_END) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end])


# -- decoding ---------------------------------------------------------------------------------------------------------
class Reader:
    """Takes values off the front of a payload; raises Malformed when it is too short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise Malformed(f"{size} bytes wanted at {self._at} of {len(self._data)}")
        self._at += size
        return self._data[self._at - size : self._at]

    def left(self) -> bytes:
        return self._data[self._at :]

    def unpack(self, form: str) -> Any:
        values = struct.unpack(form, self.take(struct.calcsize(form)))
        return values[0] if len(values) == 1 else values

    def text(self, form: str) -> str:
        """A string for people to read: UTF-8 where it is UTF-8, else each byte as one character."""
        data = self.take(self.unpack(form))
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")

    def table(self) -> dict[str, Tagged]:
        inner = Reader(self.take(self.unpack(">I")))
        found: dict[str, Tagged] = {}
        while inner.left():
            key = inner.text(">B")
            if key in found:
                raise Malformed(f"key {key!r} twice in one table")
            found[key] = inner.value()
        return found

    def value(self) -> Tagged:
        tag = self.take(1).decode("latin-1")
        if tag in _TAGS:
            return Tagged(tag, self.unpack(_TAGS[tag]))
        if tag == "S":
            return Tagged(tag, self.text(">I"))
        if tag == "x":
            return Tagged(tag, self.take(self.unpack(">I")))
        if tag == "t":
            return Tagged(tag, bool(self.unpack(">B")))
        if tag == "V":
            return Tagged(tag, None)
        if tag == "D":
            return Tagged(tag, self.unpack(">Bi"))
        if tag == "F":
            return Tagged(tag, self.table())
        if tag == "A":
            inner = Reader(self.take(self.unpack(">I")))
            items = []
            while inner.left():
                items.append(inner.value())
            return Tagged(tag, items)
        raise Malformed(f"type tag {tag!r} in a table")

    def fields(self, fields: Fields) -> dict[str, Any]:
        found: dict[str, Any] = {}
        bits, width = 0, 8
        for name, kind in fields:
            if kind == "bit":
                if width == 8:
                    bits, width = self.unpack(">B"), 0
                found[name] = bool(bits >> width & 1)
                width += 1
                continue
            width = 8
            if kind in _INTEGERS:
                found[name] = self.unpack(_INTEGERS[kind])
            elif kind == "table":
                found[name] = self.table()
            else:
                found[name] = self.text(">B" if kind == "shortstr" else ">I")
        return found


def decode_method(payload: bytes) -> tuple[str, dict[str, Any]]:
    reader = Reader(payload)
    ids = reader.unpack(">HH")
    if ids not in METHOD_NAMES:
        raise Malformed(f"unknown method {ids}")
    name = METHOD_NAMES[ids]
    values = reader.fields(METHODS[name][2])
    if reader.left():
        raise Malformed(f"{len(reader.left())} bytes too many in {name}")
    return name, values


def decode_header(payload: bytes) -> tuple[int, dict[str, Any]]:
    """Body size and the properties present."""
    reader = Reader(payload)
    class_id, weight, size, flags = reader.unpack(">HHQH")
    if class_id != 60 or weight != 0 or flags & 0b11:
        raise Malformed(f"content header of class {class_id}, weight {weight}, flags {flags:#x}")
    present = [field for bit, field in enumerate(PROPERTIES) if flags >> (15 - bit) & 1]
    properties = reader.fields(present)
    if reader.left():
        raise Malformed(f"{len(reader.left())} bytes too many in a content header")
    return size, properties
