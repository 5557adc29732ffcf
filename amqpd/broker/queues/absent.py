"""A queue that is defined and that this node cannot serve, because it has no queues of that type.

Definitions come from other brokers and from other versions: what is defined is kept with its bindings, shown, exported
and can be deleted. Clients that use it are told (540), and what is routed to it is refused, so that publishers who ask
for confirms get a nack: a message is never taken where it cannot be kept.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from amqpd.broker.message import Message, Unacked
from amqpd.broker.queues.contract import Fetched, Queue
from amqpd.errors import not_implemented
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.consumers import Consumer
    from amqpd.broker.vhost import VHost

log = logging.getLogger("amqpd.queue")


def not_served(kind: str, queue: str) -> Exception:
    """The 540 of whoever wants a queue of a type that is not there. `queue` is how errors print it."""
    return not_implemented(f"{kind} queues are not supported by this node: cannot use {queue}")


class AbsentQueue(Queue):
    """Holds nothing and gives nothing."""

    absent = True

    def __init__(
        self, vhost: VHost, name: str, kind: str, durable: bool, auto_delete: bool, arguments: Table
    ) -> None:
        super().__init__(vhost, name, durable, auto_delete, arguments, None)
        self.type_name = kind
        self._refused = 0

    def ready_count(self) -> int:
        return 0

    def consumer_count(self) -> int:
        return 0

    def publish(self, message: Message) -> bool:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:
            log.error("%d messages refused: %s queues are not supported: %s", self._refused, self.type_name, self.name)
        return False

    def fetch(self, keep: bool) -> Fetched | None:
        raise not_served(self.type_name, self.described())

    def acknowledge(self, unacked: Unacked) -> None:
        """Nothing was delivered."""

    def requeue(self, unacked: Unacked) -> None:
        """Nothing was delivered."""

    def reject(self, unacked: Unacked, marked: bool) -> None:
        """Nothing was delivered."""

    def dispatch(self) -> None:
        """There is nothing to give."""

    def consume(self, consumer: Consumer) -> None:
        raise not_served(self.type_name, self.described())

    def cancel(self, consumer: Consumer) -> None:
        """There are no consumers."""

    def wake(self, consumer: Consumer) -> None:
        """There are no consumers."""

    def purge(self) -> int:
        return 0

    def touch(self) -> None:
        """It is not used."""

    def close(self) -> int:
        self.deleted = True
        return 0
