"""A message, and what is known of it without decoding.

Its content is bytes that pass through: header and body frames as they came, in which only the channel number is
changed on the way out. The few properties that a broker acts on were read once, when it was published.

Invariants: a Message is never changed after it was published, so any number of queues may hold it. Message and Unacked
are `acyclic`, without the header by which the garbage collector finds cycles: an Unacked's owners (the channel's
deliveries) clear it when they close. Such objects must never be nested in one another to a depth that a client chooses
(docs/decisions/mypyc.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from amqpd.wire import content, frames, tables
from amqpd.wire.primitives import as_text, shortstr

if TYPE_CHECKING:
    from amqpd.broker.consumers import Consumer
    from amqpd.broker.deadletter import Death
    from amqpd.broker.queues.contract import Queue

NEVER: Final = -1


class Annotations:
    """What the broker knows of the few messages that need it, besides their bytes.

    `keys` are all keys by which it is routed (routing key, CC, BCC); `hidden` those that nobody may see (BCC);
    `deaths` its history, the most recent death first, and `first` the death that came first of all; `redelivered` that
    it is marked so wherever it goes.
    """

    __slots__ = ("deaths", "first", "hidden", "keys", "redelivered")

    def __init__(
        self, keys: list[str], hidden: list[str], deaths: list[Death], first: Death | None, redelivered: bool
    ) -> None:
        self.keys: Final = keys
        self.hidden: Final = hidden
        self.deaths: Final = deaths
        self.first: Final = first
        self.redelivered: Final = redelivered


@mypyc_attr(acyclic=True)
class Message:
    """`address` is exchange and routing key as two short strings plus a frame's end octet, as they stand in a deliver.

    `content` are frames for channel `origin`; `size` the body's bytes; `priority` -1 where absent; `expiration_ms` and
    `arrived_ms` in ms (NEVER without expiration); `annotations` None for an ordinary message.
    """

    __slots__ = (
        "address",
        "annotations",
        "arrived_ms",
        "content",
        "expiration_ms",
        "origin",
        "persistent",
        "priority",
        "size",
    )

    def __init__(
        self,
        address: bytes,
        content: bytes,
        origin: int,
        size: int,
        persistent: bool,
        priority: int,
        expiration_ms: int,
        arrived_ms: int,
        annotations: Annotations | None,
    ) -> None:
        self.address: Final = address
        self.content: Final = content
        self.origin: Final = origin
        self.size: Final = size
        self.persistent: Final = persistent
        self.priority: Final = priority
        self.expiration_ms: Final = expiration_ms
        self.arrived_ms: Final = arrived_ms
        self.annotations: Final = annotations

    @property
    def exchange(self) -> str:
        """The name of the exchange to which it was published."""
        return as_text(self.address[1 : 1 + self.address[0]])

    @property
    def routing_key(self) -> str:
        """The routing key with which it was published."""
        start = 1 + self.address[0]
        return as_text(self.address[start + 1 : start + 1 + self.address[start]])

    @property
    def redelivered(self) -> bool:
        """Whether even its first delivery here is marked as redelivered."""
        return self.annotations is not None and self.annotations.redelivered

    @property
    def keys(self) -> list[str]:
        """All keys by which it is routed."""
        return self.annotations.keys if self.annotations is not None else [self.routing_key]

    def header(self) -> bytes:
        """The payload of its content header frame."""
        return frames.header_of(self.content)

    def body(self) -> bytes:
        """Its body, joined."""
        return frames.body_of(self.content)

    def headers(self) -> tables.Table:
        """Its headers table, decoded. Raises MalformedError; a published message's was checked."""
        raw = content.split(self.header()).get(content.HEADERS)
        return tables.decode_table(raw[4:]) if raw is not None else []


def address_of(exchange: str, routing_key: str) -> bytes:
    """The `Message.address` of an exchange's name and a key."""
    return shortstr(exchange) + shortstr(routing_key) + b"\xce"


@mypyc_attr(acyclic=True)
class Unacked:
    """A delivery that waits for its acknowledgement: which message, from which queue, to whom, and where it stood."""

    __slots__ = ("consumer", "delivered_ms", "message", "position", "queue", "settled", "tag")

    def __init__(
        self, tag: int, message: Message, queue: Queue, consumer: Consumer | None, position: int, delivered_ms: int
    ) -> None:
        self.tag: Final = tag
        self.message: Final = message
        self.queue: Final = queue
        self.consumer: Final = consumer
        self.position: Final = position
        self.delivered_ms: Final = delivered_ms
        self.settled = False
