"""One stored message, for people and for programs that look at a store."""

from __future__ import annotations

from typing import Final

from amqpd.broker.message import Message
from amqpd.broker.persistence.encoding import Decoder
from amqpd.errors import MalformedError
from amqpd.metadata.document.values import json_of_table
from amqpd.text import one_line
from amqpd.wire import content
from amqpd.wire.tables import decode_table

_ANY_TIME: Final = 2**62  # what was stored cannot be from the future, then
_NUMBERS: Final = (content.DELIVERY_MODE, content.PRIORITY, content.TIMESTAMP)

Described = dict[str, object]


def describe(stored: bytes, body_bytes: int) -> Described:
    """What a stored message is: exchange, routing key, properties, size, the first `body_bytes` of its body.

    Times are ms since 1970. What is no message, although its checksum is right, is described as such.
    """
    try:
        message = Decoder(_ANY_TIME).decode(stored, 0, len(stored), 0)
        return _described(message, body_bytes)
    except (MalformedError, IndexError, ValueError) as error:
        return {"unreadable": one_line(str(error)), "size": len(stored)}


def _described(message: Message, body_bytes: int) -> Described:
    found: Described = {
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "persistent": message.persistent,
        "arrived_ms": message.arrived_ms,
        "size": message.size,
        "properties": _properties(message.header()),
    }
    annotations = message.annotations
    if annotations is not None:
        if annotations.deaths:
            found["deaths"] = [
                {"queue": death.queue, "reason": death.reason, "count": death.count} for death in annotations.deaths
            ]
        if annotations.redelivered:
            found["redelivered"] = True
    found["body"] = _text(message.body()[:body_bytes])
    return found


def _properties(header: bytes) -> Described:
    found: Described = {}
    for flag, raw in content.split(header).items():
        name = content.PROPERTY_NAMES[flag]
        if flag == content.HEADERS:
            found[name] = json_of_table(decode_table(raw[4:]))
        elif flag in _NUMBERS:
            found[name] = int.from_bytes(raw, "big")
        else:
            found[name] = _text(raw[1:])
    return found


def _text(raw: bytes) -> str:
    """Bytes as text: what is not printable is escaped, so that it makes no line of its own."""
    return one_line(raw.decode("utf-8", "backslashreplace"))
