"""Dead-lettering: the history that a message carries, the headers that tell of it, and the cycle rule.

A queue hands over a DeadLetter; the broker publishes it (`VHost.publish_dead_letter`) once the operation that killed
the message is over. The history is the broker's own record: headers that a client sends are not believed, and are
replaced (RabbitMQ 4.x; `behaviour.md` section 12; RabbitMQ: mc:record_death/4, mc:is_death_cycle/2, mc_amqpl).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.message import NEVER, Annotations, Message, address_of
from amqpd.wire import content, frames, tables
from amqpd.wire.primitives import as_bytes
from amqpd.wire.tables import Field, Table

if TYPE_CHECKING:
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.queues.ready import ReadyList

REJECTED: Final = "rejected"
EXPIRED: Final = "expired"
MAXLEN: Final = "maxlen"

_SHOWN: Final = 100  # deaths in x-death: a header cannot be split over frames
_FRAME_MAX: Final = 131_072  # of the frames that are kept; the way out splits them for smaller ones
_HEADERS: Final = frozenset(
    {
        b"x-death",
        b"x-first-death-reason",
        b"x-first-death-queue",
        b"x-first-death-exchange",
        b"x-last-death-reason",
        b"x-last-death-queue",
        b"x-last-death-exchange",
    }
)


class Death:
    """How often, and first when (seconds), a message died in `queue` for `reason`; `keys` are routing key and CC.

    `expiration` is the property that was removed at the first death by it, or None.
    """

    __slots__ = ("count", "exchange", "expiration", "keys", "queue", "reason", "time_s")

    def __init__(
        self,
        queue: str,
        reason: str,
        count: int,
        time_s: int,
        exchange: str,
        keys: list[str],
        expiration: bytes | None,
    ) -> None:
        self.queue: Final = queue
        self.reason: Final = reason
        self.count: Final = count
        self.time_s: Final = time_s
        self.exchange: Final = exchange
        self.keys: Final = keys
        self.expiration: Final = expiration

    def again(self) -> Death:
        """The same, once more."""
        return Death(
            self.queue, self.reason, self.count + 1, self.time_s, self.exchange, self.keys, self.expiration
        )

    def table(self) -> Table:
        """The death as an entry of x-death."""
        entry: Table = []
        if self.expiration is not None:
            entry.append(("original-expiration", Field(tables.LONGSTR, self.expiration)))
        entry.append(("count", tables.long(self.count)))
        entry.append(("reason", tables.longstr(self.reason)))
        entry.append(("queue", tables.longstr(self.queue)))
        entry.append(("time", Field(tables.TIMESTAMP, self.time_s)))
        entry.append(("exchange", tables.longstr(self.exchange)))
        entry.append(("routing-keys", tables.array([tables.longstr(key) for key in self.keys])))
        return entry


class DeadLetter:
    """A message that `queue` let go for `reason`, on its way to `exchange`; `routing_key` None keeps its own keys.

    `redelivered` marks it for good: RabbitMQ does that with what a client refused by basic.reject, but not by nack.
    It was taken from `level`, at `position`, and is settled there once it has been published.
    """

    def __init__(
        self,
        queue: Queue,
        message: Message,
        reason: str,
        exchange: str,
        routing_key: str | None,
        redelivered: bool,
        level: ReadyList | None = None,
        position: int = -1,
    ) -> None:
        self.queue: Final = queue
        self.message: Final = message
        self.reason: Final = reason
        self.exchange: Final = exchange
        self.routing_key: Final = routing_key
        self.redelivered: Final = redelivered
        self._level: Final = level
        self._position: Final = position

    def settle(self) -> None:
        """It has been published, or is lost: its queue need not have it any more."""
        if self._level is not None:
            self._level.settle(self._position, self.message)


def record(message: Message, queue: str, reason: str, wall_ms: int) -> list[Death]:
    """The history of `message` with one death more, the most recent first: one entry for each queue and reason."""
    annotations = message.annotations
    rest: list[Death] = []
    latest: Death | None = None
    for death in annotations.deaths if annotations is not None else []:
        if death.queue == queue and death.reason == reason:
            latest = death.again()
        else:
            rest.append(death)
    if latest is None:
        keys = list(message.keys)
        for key in annotations.hidden if annotations is not None else []:
            keys.remove(key)  # one for each, from the left, as RabbitMQ subtracts them
        expiration = expiration_of(message.header()) if message.expiration_ms >= 0 else None
        latest = Death(queue, reason, 1, wall_ms // 1000, message.exchange, keys, expiration)
    return [latest, *rest]


def is_cycle(history: list[Death], queue: str) -> bool:
    """Whether going to `queue` closes a circle in which no client took part.

    True when the message died in that queue before and was not rejected since (entries are ordered by last death).
    """
    for death in history:
        if death.reason == REJECTED:
            return False
        if death.queue == queue:
            return True
    return False


def dead_message(letter: DeadLetter, now_ms: int, wall_ms: int) -> Message:
    """The message as it goes on: expiration removed, its death recorded, addressed to the dead-letter exchange.

    It arrives anew at `now_ms`; `wall_ms` is the time of day of its death.
    """
    message = letter.message
    annotations = message.annotations
    deaths = record(message, letter.queue.name, letter.reason, wall_ms)
    first = annotations.first if annotations is not None and annotations.first is not None else deaths[0]
    if letter.routing_key is None:
        keys = message.keys
        hidden = annotations.hidden if annotations is not None else []
    else:
        keys = [letter.routing_key]
        hidden = []
    body = message.body()
    header = _edit_header(message, len(body), deaths, first)
    return Message(
        address_of(letter.exchange, keys[0]),
        frames.build_content(message.origin, header, body, _FRAME_MAX),
        message.origin,
        message.size,
        message.persistent,
        message.priority,
        NEVER,
        now_ms,
        Annotations(keys, hidden, deaths, first, letter.redelivered or message.redelivered),
    )


def _edit_header(message: Message, size: int, deaths: list[Death], first: Death) -> bytes:
    """The header without expiration, with the history in its headers, which are sorted by name as RabbitMQ's are."""
    properties = content.split(message.header())
    properties.pop(content.EXPIRATION, None)
    raw = properties.get(content.HEADERS, b"\0\0\0\0")[4:]
    last = deaths[0]
    pairs: list[tuple[bytes, bytes]] = [
        (key, raw[start:end]) for key, start, end in tables.entries(raw) if key not in _HEADERS
    ]
    history: list[tuple[str, Field]] = [
        ("x-death", tables.array([tables.subtable(death.table()) for death in deaths[:_SHOWN]])),
        ("x-first-death-exchange", tables.longstr(first.exchange)),
        ("x-first-death-queue", tables.longstr(first.queue)),
        ("x-first-death-reason", tables.longstr(first.reason)),
        ("x-last-death-exchange", tables.longstr(message.exchange)),
        ("x-last-death-queue", tables.longstr(last.queue)),
        ("x-last-death-reason", tables.longstr(last.reason)),
    ]
    pairs += [(as_bytes(name), tables.encode_pair(name, field)) for name, field in history]
    pairs.sort(key=lambda pair: pair[0])
    table = b"".join([pair for _key, pair in pairs])
    properties[content.HEADERS] = len(table).to_bytes(4, "big") + table
    return content.join(size, properties)


def expiration_of(header: bytes) -> bytes | None:
    """The expiration property of a content header, or None."""
    raw = content.split(header).get(content.EXPIRATION)
    return raw[1:] if raw is not None else None
