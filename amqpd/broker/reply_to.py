"""Direct reply-to: a reply goes straight to the channel that asked, without a queue in between.

A consumer of `amq.rabbitmq.reply-to` gets a name of its own, which stands in the reply_to of its requests; publishing
to that name through the default exchange delivers at once or, where the consumer is gone, nowhere. Source: RabbitMQ,
direct-reply-to.md and rabbit_volatile_queue; `behaviour.md` section 15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.message import Message
from amqpd.broker.queues.contract import Queue

if TYPE_CHECKING:
    from amqpd.broker.consumers import Consumer
    from amqpd.broker.message import Unacked
    from amqpd.broker.queues.contract import Fetched
    from amqpd.broker.vhost import VHost

PSEUDO_QUEUE: Final = "amq.rabbitmq.reply-to"
PREFIX: Final = PSEUDO_QUEUE + "."


NAME_STEM: Final = PREFIX + "g1"
_NAME_SIZE: Final = len(NAME_STEM) + 1 + 22  # a stem, a dash, and what Broker.unique_name adds


def is_reply_name(name: str) -> bool:
    """Whether `name` is, or was, a reply consumer's: a message to one that is gone counts as routed."""
    return name.startswith(NAME_STEM + "-") and len(name) == _NAME_SIZE


class ReplyQueue(Queue):
    """The name of one reply consumer. Holds nothing: what is published is delivered at once.

    To a client that does not read its replies it is never delivered: they are at most once (RabbitMQ).
    """

    volatile = True

    def __init__(self, vhost: VHost, name: str) -> None:
        super().__init__(vhost, name, False, False, [], None)
        self.consumer: Consumer | None = None

    def ready_count(self) -> int:
        return 0

    def consumer_count(self) -> int:
        return 1 if self.consumer is not None else 0

    def publish(self, message: Message) -> bool:
        consumer = self.consumer
        if consumer is not None and not consumer.sink.overflowing():
            consumer.sink.deliver(consumer, message, 0, False)
        return True

    def consume(self, consumer: Consumer) -> None:
        self.consumer = consumer

    def cancel(self, consumer: Consumer) -> None:
        self.consumer = None
        self.vhost.forget_reply_queue(self)

    def wake(self, consumer: Consumer) -> None:
        """Nothing waits here."""

    def dispatch(self) -> None:
        """Nothing waits here."""

    def fetch(self, keep: bool) -> Fetched | None:
        return None

    def acknowledge(self, unacked: Unacked) -> None:
        """Reply consumers take without acknowledging."""

    def requeue(self, unacked: Unacked) -> None:
        """Reply consumers take without acknowledging."""

    def reject(self, unacked: Unacked, marked: bool) -> None:
        """Reply consumers take without acknowledging."""

    def purge(self) -> int:
        return 0

    def touch(self) -> None:
        """It lives as long as its consumer."""

    def close(self) -> int:
        return 0
