"""What a classic queue does, read once from the arguments with which it was declared."""

from __future__ import annotations

from typing import Final

from amqpd.broker import arguments as names
from amqpd.wire.tables import Table

UNLIMITED: Final = -1


class Settings:
    """Times in ms, lengths in messages and body bytes; UNLIMITED where nothing was asked."""

    def __init__(self, arguments: Table) -> None:
        self.message_ttl_ms = names.integer(arguments, names.MESSAGE_TTL, UNLIMITED)
        self.expires_ms = names.integer(arguments, names.EXPIRES, UNLIMITED)
        self.max_length = names.integer(arguments, names.MAX_LENGTH, UNLIMITED)
        self.max_length_bytes = names.integer(arguments, names.MAX_LENGTH_BYTES, UNLIMITED)
        self.overflow = names.text(arguments, names.OVERFLOW) or "drop-head"
        self.dead_letter_exchange = names.text(arguments, names.DEAD_LETTER_EXCHANGE)
        self.dead_letter_routing_key = names.text(arguments, names.DEAD_LETTER_ROUTING_KEY)
        self.max_priority = names.integer(arguments, names.MAX_PRIORITY_ARGUMENT, UNLIMITED)
        self.single_active_consumer = names.flag(arguments, names.SINGLE_ACTIVE_CONSUMER)
        self.consumer_timeout_ms = names.integer(arguments, names.CONSUMER_TIMEOUT, UNLIMITED)

    @property
    def levels(self) -> int:
        """How many levels of priority there are: 1 without the argument, and never 1 with it (RabbitMQ)."""
        return max(1, self.max_priority) + 1 if self.max_priority >= 0 else 1

    @property
    def limited(self) -> bool:
        """Whether the queue has a length to keep."""
        return self.max_length >= 0 or self.max_length_bytes >= 0
