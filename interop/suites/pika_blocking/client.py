"""The suite, and what its scenarios have in common: connecting, a consumer that keeps what it gets, publishing many."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic

from suites.harness import CheckFailed, Suite, shorten, wait_until

suite = Suite("pika-blocking")


def connect(url: str | None = None, **options: Any) -> pika.BlockingConnection:
    """Connect as a script does; `options` are attributes of pika's parameters."""
    parameters = pika.URLParameters(url or suite.url)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = 10
    for name, value in options.items():
        setattr(parameters, name, value)
    return pika.BlockingConnection(parameters)


@dataclass(frozen=True)
class Delivery:
    """One message as a callback received it."""

    method: Basic.Deliver
    properties: pika.BasicProperties
    body: bytes


class Inbox:
    """A consumer that keeps what it is given, and acknowledges only if told to."""

    def __init__(self, channel: BlockingChannel, queue: str, **options: Any) -> None:
        self.deliveries: list[Delivery] = []
        self._channel = channel
        self.tag = channel.basic_consume(queue, self._on_message, **{"auto_ack": True, **options})

    def _on_message(
        self, _: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self.deliveries.append(Delivery(method, properties, body))

    @property
    def bodies(self) -> list[str]:
        return [delivery.body.decode(errors="replace") for delivery in self.deliveries]

    def ack_all(self) -> None:
        """Acknowledge everything received so far on this channel."""
        self._channel.basic_ack(self.deliveries[-1].method.delivery_tag, multiple=True)

    def wait(self, count: int) -> list[str]:
        """Process events until `count` messages are here; returns the bodies. Raises CheckFailed after ten seconds."""
        pump = lambda: self._channel.connection.process_data_events(0.05)  # noqa: E731
        try:
            wait_until(f"{count} messages", lambda: len(self.deliveries) >= count, pump)
        except CheckFailed as failure:
            raise CheckFailed(f"{failure}, there are {shorten(self.bodies)}") from None
        return self.bodies


def publish(channel: BlockingChannel, queue: str, bodies: Iterable[object], **properties: Any) -> None:
    """Publish each body, as text, to a queue by way of the default exchange."""
    for body in bodies:
        channel.basic_publish("", queue, str(body).encode(), pika.BasicProperties(**properties))


def drain(channel: BlockingChannel, queue: str) -> list[str]:
    """Get everything that is ready, acknowledged automatically."""
    bodies = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return bodies
        bodies.append(body.decode())


def ready(channel: BlockingChannel, queue: str) -> int:
    """How many messages are ready, as a passive declaration tells."""
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def expect_ready(what: str, channel: BlockingChannel, queue: str, count: int) -> None:
    """Check that `count` messages become ready.

    RabbitMQ answers a declaration before the publishes, acks and nacks that it got just before it, hence the waiting.
    """
    wait_until(f"{what}: {count} ready", lambda: ready(channel, queue) == count, lambda: channel.connection.sleep(0.02))
    suite.equal(what, ready(channel, queue), count)


def refused(
    connection: pika.BlockingConnection, code: int, text: str, action: Callable[[BlockingChannel], object]
) -> None:
    """Check that `action`, on a channel of its own, has the channel closed with this code and text."""
    channel = connection.channel()
    try:
        action(channel)
        channel.queue_declare("amq.rabbitmq.reply-to", passive=True)  # a round trip, for actions that have no answer
    except ChannelClosedByBroker as error:
        suite.equal("reply code", error.reply_code, code)
        suite.contains("reply text", error.reply_text, text)
    else:
        suite.check(f"{code} {text}", False, "the channel stays open")
