"""What is published and how it is consumed, without sockets: a Traffic says it, a Flow does it on a core of its own.

    flow = Flow(Traffic(body=1024, ack_every=1))
    seconds = flow.run(10_000)                        # the CPU time of 10,000 messages, all of them checked afterwards

One connection publishes; what it sends is cut into reads as a socket would, so a message may lie in two of them. Each
queue has a consumer on a connection of its own. Acknowledgements of what one round delivered come with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from amqpd.wire import content, frames, methods, tables
from amqpd.wire.primitives import shortstr
from amqpd.wire.tables import Table
from bench import client
from bench.bare import FRAME_MAX, READ_SIZE, Core, Session
from bench.client import BenchError

MANDATORY: Final = 1
Reads = list[tuple[Session, bytes]]


def publish(
    channel: int, exchange: str, key: str, body: bytes, properties: Mapping[int, bytes], mandatory: bool = False
) -> bytes:
    """basic.publish with its content; properties as they stand in a content header, by their flags."""
    arguments = b"\0\0" + shortstr(exchange) + shortstr(key) + bytes([MANDATORY if mandatory else 0])
    header = content.join(len(body), dict(properties))
    return client.method(channel, methods.BASIC_PUBLISH, arguments) + frames.build_content(
        channel, header, body, FRAME_MAX
    )


def consume(channel: int, queue: str, no_ack: bool, arguments: Table) -> bytes:
    """basic.consume, without an answer."""
    bits = (2 if no_ack else 0) | 8
    named = b"\0\0" + shortstr(queue) + shortstr("consumer")
    return client.method(channel, methods.BASIC_CONSUME, named + bytes([bits]) + tables.encode_table(arguments))


def nothing(core: Core, session: Session) -> None:
    """No preparation."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """`keys` are used in turn, and so are the publisher's `channels`. `arguments` are the queues'.

    `ack_every` deliveries are acknowledged together; 0: the consumer takes without acknowledging. With `reject` they
    are rejected instead. `prepare` is called with a connection before the queues are declared, `bind` after it. A
    message causes `deliveries` and `returns`.
    """

    body: int = 16
    exchange: str = ""
    keys: tuple[str, ...] = ("q",)
    properties: Mapping[int, bytes] = field(default_factory=dict)
    mandatory: bool = False
    confirm: bool = False
    channels: int = 1
    one_by_one: bool = False  # a read brings one message
    user: str = "guest"
    store: bool = False
    queues: tuple[str, ...] = ("q",)
    durable: bool = False
    arguments: Table = field(default_factory=list)
    consumed: bool = True
    consumer_channel: int = 1
    consumer_arguments: Table = field(default_factory=list)
    prefetch: int = 0
    ack_every: int = 0
    reject: bool = False
    prepare: Callable[[Core, Session], None] = nothing
    bind: Callable[[Core, Session], None] = nothing
    deliveries: int = 1
    returns: int = 0


class Play(Protocol):
    """Something whose messages cost CPU time."""

    def run(self, messages: int) -> float:
        """Play that many; returns the CPU seconds. Raises BenchError where not all that was due has come."""


class Flow:
    """A Traffic on its way. `run` can be called again and again."""

    def __init__(self, traffic: Traffic) -> None:
        if traffic.ack_every and len(traffic.queues) > 1:
            raise BenchError("who acknowledges has one queue: which one gets which message is not known here")
        self._traffic: Final = traffic
        self._core: Final = Core(store=traffic.store)
        setup = self._core.connect()
        traffic.prepare(self._core, setup)
        for queue in traffic.queues:
            setup.call(client.declare_queue(1, queue, traffic.durable, traffic.arguments))
        traffic.bind(self._core, setup)
        self._consumers: Final = [self._consume(queue) for queue in traffic.queues if traffic.consumed]
        self._publisher: Final = self._core.connect(traffic.channels, traffic.user)
        if traffic.confirm:
            for number in range(1, traffic.channels + 1):
                self._publisher.call(client.confirm_select(number))
        self._messages: Final = self._make_messages()
        self._acked = 0
        self._published = 0

    def _consume(self, queue: str) -> Session:
        traffic = self._traffic
        number = traffic.consumer_channel
        session = self._core.connect(number)
        if traffic.prefetch:
            session.call(client.qos(number, traffic.prefetch))
        session.call(consume(number, queue, traffic.ack_every == 0, traffic.consumer_arguments))
        return session

    def _make_messages(self) -> list[bytes]:
        """One for each key and channel, in turn."""
        traffic = self._traffic
        turns = max(len(traffic.keys), traffic.channels)
        return [
            publish(
                1 + turn % traffic.channels,
                traffic.exchange,
                traffic.keys[turn % len(traffic.keys)],
                bytes(traffic.body),
                traffic.properties,
                traffic.mandatory,
            )
            for turn in range(turns)
        ]

    def run(self, messages: int) -> float:
        """Play `messages`; returns the CPU seconds. Each key gets as many, so some more are played, and taken off."""
        turns = len(self._messages)
        played = -(-messages // turns) * turns
        seconds = self._core.play(self._rounds(played))
        self._check(played)
        return seconds * messages / played

    # -- what is sent

    def _rounds(self, messages: int) -> Iterator[Reads]:
        """All rounds of a run. Acknowledgements begin with the second, and the last one has nothing else."""
        unacked = 0
        for data, complete in self._reads(messages):
            reads: Reads = [(self._publisher, data)]
            if unacked:
                reads.append((self._consumers[0], self._acknowledge(unacked)))
            unacked = complete if self._traffic.ack_every else 0
            yield reads
        if unacked:
            yield [(self._consumers[0], self._acknowledge(unacked))]

    def _reads(self, messages: int) -> Iterator[tuple[bytes, int]]:
        """What the publisher sends, as it is read, and how many messages each read completes."""
        turns = self._messages
        if self._traffic.one_by_one:
            for number in range(messages):
                yield turns[number % len(turns)], 1
            return
        stream = b"".join(turns) * (messages // len(turns))
        size = len(stream) // messages  # keys of a traffic that acknowledges are equally long
        done = 0
        for pos in range(0, len(stream), READ_SIZE):
            complete = min(pos + READ_SIZE, len(stream)) // size - done
            done += complete
            yield stream[pos : pos + READ_SIZE], complete

    def _acknowledge(self, count: int) -> bytes:
        """Settle the next `count` deliveries; the last ones together though there may be fewer than `ack_every`."""
        traffic = self._traffic
        channel, every = traffic.consumer_channel, traffic.ack_every
        first, last = self._acked + 1, self._acked + count
        self._acked = last
        number = methods.BASIC_NACK if traffic.reject else methods.BASIC_ACK
        bits = b"\0" if every == 1 else b"\1"  # of a nack: neither multiple nor requeue
        tags = [*range(first + every - 1, last, every), last]
        return b"".join([client.method(channel, number, tag.to_bytes(8, "big") + bits) for tag in tags])

    # -- what came

    def _check(self, messages: int) -> None:
        """Raise BenchError where not all that was due has come."""
        traffic = self._traffic
        for session in self._core.sessions:
            session.look()
        self._published += messages
        delivered = sum([session.received.pop(methods.BASIC_DELIVER, 0) for session in self._core.sessions])
        returned = self._publisher.received.pop(methods.BASIC_RETURN, 0)
        due = (messages * traffic.deliveries, messages * traffic.returns)
        if (delivered, returned) != due:
            raise BenchError(f"{delivered} delivered and {returned} returned, where {due} were due")
        if traffic.confirm and self._publisher.confirmed * traffic.channels != self._published:
            raise BenchError(f"{self._publisher.confirmed} of {self._published} were confirmed")


class Calls:
    """Requests to a server and its replies, one at a time, by direct reply-to. A message is a call: two of them."""

    def __init__(self) -> None:
        self._core: Final = Core()
        self._server: Final = self._core.connect()
        self._server.call(client.declare_queue(1, "rpc", False) + consume(1, "rpc", True, []))
        self._client: Final = self._core.connect()
        self._client.call(consume(1, "amq.rabbitmq.reply-to", True, []))
        properties = {content.REPLY_TO: shortstr("amq.rabbitmq.reply-to"), content.CORRELATION_ID: shortstr("1")}
        self._request: Final = publish(1, "", "rpc", bytes(16), properties)
        self._core.play([[(self._client, self._request)]])
        reply = {content.CORRELATION_ID: shortstr("1")}
        self._reply: Final = publish(1, "", self._reply_key(b"".join(self._server.heard)), bytes(16), reply)
        self._server.look()
        self._server.received.clear()

    def _reply_key(self, heard: bytes) -> str:
        """The reply-to property of a request as the server got it: a name that is the client's own."""
        start = heard.index(b"amq.rabbitmq.reply-to.")
        return heard[start : start + heard[start - 1]].decode()

    def run(self, messages: int) -> float:
        """Play `messages` calls; returns the CPU seconds."""
        rounds: Iterator[Reads] = (
            [step] for _ in range(messages) for step in ((self._client, self._request), (self._server, self._reply))
        )
        seconds = self._core.play(rounds)
        for session in (self._server, self._client):
            session.look()
            delivered = session.received.pop(methods.BASIC_DELIVER, 0)
            if delivered != messages:
                raise BenchError(f"{delivered} of {messages} requests or replies were delivered")
        return seconds
