"""What every kind of queue is to the rest of the broker.

A queue takes messages, gives them to consumers, and settles what was delivered. It never calls a consumer's client
directly: deliveries go through `DeliverySink`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqpd.broker.routing import Destination, described_queue
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.consumers import Consumer
    from amqpd.broker.message import Message, Unacked
    from amqpd.broker.ports import Owner
    from amqpd.broker.queues.ready import ReadyList
    from amqpd.broker.vhost import VHost


class Fetched:
    """The answer to basic.get. `position` is where the message stood; `remaining` what is ready now."""

    def __init__(self, message: Message, position: int, redelivered: bool, remaining: int) -> None:
        self.message = message
        self.position = position
        self.redelivered = redelivered
        self.remaining = remaining


class Queue(Destination):
    """The contract. `owner` is the connection of an exclusive queue; `volatile` ones are not listed anywhere.

    `absent` ones are of a type that this node does not serve; `type_name` is classic, quorum or stream. `identity` is
    given to it when the vhost takes it, and tells it from all queues that ever had its name. `returning` is how many
    lots of deliveries are coming back in parts: until all of them are in, `dispatch` does nothing.
    """

    volatile = False
    absent = False

    def __init__(
        self, vhost: VHost, name: str, durable: bool, auto_delete: bool, arguments: Table, owner: Owner | None
    ) -> None:
        super().__init__(vhost, name, durable, auto_delete, arguments)
        self.owner = owner
        self.type_name = "classic"
        self.identity = b""
        self.deleted = False
        self.returning = 0
        self.ack_timeout_ms = -1  # how long a delivery may wait for its acknowledgement; -1 for ever

    def described(self) -> str:
        return described_queue(self.name, self.vhost.name)

    def ready_count(self) -> int:
        """How many messages wait to be delivered."""
        raise NotImplementedError

    def consumer_count(self) -> int:
        """How many consumers there are."""
        raise NotImplementedError

    def publish(self, message: Message) -> bool:
        """Take a message. False when the queue is full and refuses it."""
        raise NotImplementedError

    def fetch(self, keep: bool) -> Fetched | None:
        """The head, for basic.get; `keep` when it will be acknowledged. None when nothing is ready."""
        raise NotImplementedError

    def acknowledge(self, unacked: Unacked) -> None:
        """A delivery was acknowledged."""
        raise NotImplementedError

    def requeue(self, unacked: Unacked) -> None:
        """A delivery comes back, to its place. `dispatch` follows once all that come back are in."""
        raise NotImplementedError

    def reject(self, unacked: Unacked, marked: bool) -> None:
        """A delivery was refused: dead-letter it, `marked` as redelivered for good, or drop it."""
        raise NotImplementedError

    def ready_lists(self) -> list[ReadyList]:
        """Its waiting messages, the lowest priority first; none where it keeps none."""
        return []

    def dispatch(self) -> None:
        """Give ready messages to consumers, as long as there are both."""
        raise NotImplementedError

    def consume(self, consumer: Consumer) -> None:
        """A new consumer. Raises ProtocolError where it cannot be had."""
        raise NotImplementedError

    def cancel(self, consumer: Consumer) -> None:
        """A consumer goes; what it has not acknowledged stays with its channel. `dispatch` follows: another may be
        the active one now."""
        raise NotImplementedError

    def wake(self, consumer: Consumer) -> None:
        """A consumer that had refused may accept again. `dispatch` follows once all that may are awake."""
        raise NotImplementedError

    def purge(self) -> int:
        """Drop what is ready; returns how many messages that were."""
        raise NotImplementedError

    def touch(self) -> None:
        """The queue was used: it does not expire yet."""
        raise NotImplementedError

    def close(self) -> int:
        """The vhost deletes the queue: cancel its consumers, drop its messages; returns how many were ready."""
        raise NotImplementedError
