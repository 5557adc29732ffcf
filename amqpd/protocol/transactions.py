"""tx.*: publishes and acknowledgements that wait for the commit (specification 1.9; RabbitMQ: semantics.md).

Publishes are routed when they arrive and enqueued at the commit, then the acknowledgements are carried out. It is not
atomic across queues, and is not meant to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.message import Message, Unacked

if TYPE_CHECKING:
    from amqpd.broker.queues.contract import Queue

ACK: Final = 0
REQUEUE: Final = 1
REJECT: Final = 2
DISCARD: Final = 3  # basic.reject's way to refuse, which RabbitMQ tells from nack's in dead letters


class Settlement:
    """Deliveries that are to be settled in one way."""

    def __init__(self, how: int, unacked: list[Unacked]) -> None:
        self.how: Final = how
        self.unacked: Final = unacked


class Published:
    """A publish that waits for the commit."""

    def __init__(self, queues: list[Queue], message: Message, mandatory: bool) -> None:
        self.queues: Final = queues
        self.message: Final = message
        self.mandatory: Final = mandatory


class Transaction:
    """What a channel has done since its last commit or rollback."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.settlements: list[Settlement] = []

    def publish(self, queues: list[Queue], message: Message, mandatory: bool) -> None:
        """Remember a publish."""
        self.published.append(Published(queues, message, mandatory))

    def settle(self, how: int, unacked: list[Unacked]) -> None:
        """Remember an acknowledgement."""
        self.settlements.append(Settlement(how, unacked))

    def take_published(self) -> list[Published]:
        """Forget the publishes; returns them."""
        published = self.published
        self.published = []
        return published

    def take_settlements(self) -> list[Settlement]:
        """Forget the acknowledgements; returns them."""
        settlements = self.settlements
        self.settlements = []
        return settlements

    def take_unsettled(self) -> list[Unacked]:
        """Forget the acknowledgements; returns the deliveries that are outstanding again."""
        return [entry for settlement in self.take_settlements() for entry in settlement.unacked]
