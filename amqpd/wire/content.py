"""The content header: look at single properties, and edit it in its raw form.

A message is bytes that pass through: nothing here decodes a whole header. `inspect` walks it once, checks that every
property lies inside the frame, and notes the few that a broker acts on. `split` and `join` exchange properties without
touching the others.

A header's payload is: class (2 bytes), weight (2), body size (8), property flags (2), properties (specification
4.2.6.1). Flags are tested from the highest bit, in the order in which the properties stand.
"""

from __future__ import annotations

from typing import Final

from amqpd.errors import MalformedError
from amqpd.wire import tables
from amqpd.wire.primitives import Reader, read_i16_be, read_i32_be

CLASS_BASIC: Final = 60

CONTENT_TYPE: Final = 0x8000
CONTENT_ENCODING: Final = 0x4000
HEADERS: Final = 0x2000
DELIVERY_MODE: Final = 0x1000
PRIORITY: Final = 0x0800
CORRELATION_ID: Final = 0x0400
REPLY_TO: Final = 0x0200
EXPIRATION: Final = 0x0100
MESSAGE_ID: Final = 0x0080
TIMESTAMP: Final = 0x0040
TYPE: Final = 0x0020
USER_ID: Final = 0x0010
APP_ID: Final = 0x0008
CLUSTER_ID: Final = 0x0004

UNUSED_FLAG: Final = 0x0002
MORE_FLAGS: Final = 0x0001  # another word of flags follows; the class has no properties for it

# In the order in which they stand in a header.
PROPERTIES: Final = (
    CONTENT_TYPE,
    CONTENT_ENCODING,
    HEADERS,
    DELIVERY_MODE,
    PRIORITY,
    CORRELATION_ID,
    REPLY_TO,
    EXPIRATION,
    MESSAGE_ID,
    TIMESTAMP,
    TYPE,
    USER_ID,
    APP_ID,
    CLUSTER_ID,
)
PROPERTY_NAMES: Final[dict[int, str]] = {
    CONTENT_TYPE: "content_type",
    CONTENT_ENCODING: "content_encoding",
    HEADERS: "headers",
    DELIVERY_MODE: "delivery_mode",
    PRIORITY: "priority",
    CORRELATION_ID: "correlation_id",
    REPLY_TO: "reply_to",
    EXPIRATION: "expiration",
    MESSAGE_ID: "message_id",
    TIMESTAMP: "timestamp",
    TYPE: "type",
    USER_ID: "user_id",
    APP_ID: "app_id",
    CLUSTER_ID: "cluster_id",
}
FLAGS_OFFSET: Final = 12  # of the property flags in the payload
_CLOSER: Final = REPLY_TO | EXPIRATION | USER_ID | UNUSED_FLAG | MORE_FLAGS  # what has to be looked at closer
_ALL: Final = 0xFFFC  # the flags of all properties


class Inspection:
    """What a broker acts on: None or -1 where a property is absent. `headers` has no length before it."""

    __slots__ = ("expiration", "headers", "persistent", "priority", "reply_to", "unused_flag", "user_id")

    def __init__(self) -> None:
        self.persistent = False
        self.priority = -1
        self.expiration: bytes | None = None
        self.reply_to: bytes | None = None
        self.user_id: bytes | None = None
        self.headers: bytes | None = None
        self.unused_flag = False


def inspect(data: bytes, pos: int, end: int) -> Inspection:
    """Walk the content header whose payload is `data[pos:end]`. Raises MalformedError."""
    found = Inspection()
    reader = Reader(data, pos + FLAGS_OFFSET, end)
    flags = reader.short()
    if flags & MORE_FLAGS:
        raise MalformedError("a second word of property flags")
    found.unused_flag = flags & UNUSED_FLAG != 0
    for bit in PROPERTIES:
        if not flags & bit:
            continue
        if bit == DELIVERY_MODE:
            found.persistent = reader.octet() == 2
        elif bit == PRIORITY:
            found.priority = reader.octet()
        elif bit == HEADERS:
            found.headers = reader.longstr()
        elif bit == EXPIRATION:
            found.expiration = reader.shortstr()
        elif bit == REPLY_TO:
            found.reply_to = reader.shortstr()
        elif bit == USER_ID:
            found.user_id = reader.shortstr()
        else:
            _skip(reader, bit)
    reader.finish()
    return found


def glance(data: bytes, pos: int, end: int) -> int:
    """What the payload `data[pos:end]` asks for where that is little: twice (priority + 1), and 1 if it is persistent.

    -1 where it has more that a broker acts on (reply-to, expiration, user-id, CC and BCC), or is malformed: `inspect`
    tells what. Builds nothing, for it is asked of every message that has properties.
    """
    at = pos + FLAGS_OFFSET + 2
    if at > end:
        return -1
    rest: int = read_i16_be(data, at - 2)
    if rest & _CLOSER:
        return -1
    rest &= _ALL
    said = 0
    bit = CONTENT_TYPE
    while rest:
        if rest & bit:
            rest ^= bit
            if bit == TIMESTAMP:
                at += 8
            elif bit == HEADERS:
                at = _past_headers(data, at, end)
                if at < 0:
                    return -1
            elif at >= end:
                return -1
            elif bit == DELIVERY_MODE:
                said += data[at] == 2
                at += 1
            elif bit == PRIORITY:
                said += 2 * data[at] + 2
                at += 1
            else:
                at += 1 + data[at]
        bit >>= 1
    return said if at == end else -1


def _past_headers(data: bytes, pos: int, end: int) -> int:
    """Where headers end that name no further keys, or -1."""
    if end - pos < 4:
        return -1
    size: int = read_i32_be(data, pos)
    after = pos + 4 + size
    if size < 0 or after > end or not tables.is_sound(data, pos + 4, after) or data.find(b"CC", pos, after) >= 0:
        return -1
    return after


def _skip(reader: Reader, bit: int) -> None:
    if bit == TIMESTAMP:
        reader.skip(8)
    elif bit == HEADERS:
        reader.skip(reader.long())
    elif bit == DELIVERY_MODE or bit == PRIORITY:
        reader.skip(1)
    else:
        reader.skip(reader.octet())


def split(payload: bytes) -> dict[int, bytes]:
    """Every property of a header's payload as it stands, by its flag. Raises MalformedError."""
    reader = Reader(payload, FLAGS_OFFSET, len(payload))
    flags = reader.short()
    found: dict[int, bytes] = {}
    for bit in PROPERTIES:
        if flags & bit:
            start = reader.pos
            _skip(reader, bit)
            found[bit] = payload[start : reader.pos]
    return found


def join(body_size: int, properties: dict[int, bytes]) -> bytes:
    """A header's payload: the inverse of `split`."""
    flags = 0
    parts: list[bytes] = []
    for bit in PROPERTIES:
        raw = properties.get(bit)
        if raw is not None:
            flags |= bit
            parts.append(raw)
    head = CLASS_BASIC.to_bytes(2, "big") + b"\0\0" + body_size.to_bytes(8, "big") + flags.to_bytes(2, "big")
    return head + b"".join(parts)
