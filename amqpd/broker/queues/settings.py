"""What a classic queue does: what the arguments say with which it was declared, and the policies that apply.

Values are never changed: other policies make other Settings. Where both say something, the lesser number counts, and
what is no number is the argument's (RabbitMQ: rabbit_amqqueue_process:process_args_policy/1).
"""

from __future__ import annotations

from typing import Final

from amqpd.broker import arguments as names
from amqpd.wire.tables import Table

UNLIMITED: Final = -1
_MEANT: Final = frozenset(
    {
        names.MESSAGE_TTL,
        names.EXPIRES,
        names.MAX_LENGTH,
        names.MAX_LENGTH_BYTES,
        names.CONSUMER_TIMEOUT,
        names.OVERFLOW,
        names.DEAD_LETTER_EXCHANGE,
        names.DEAD_LETTER_ROUTING_KEY,
        names.MAX_PRIORITY_ARGUMENT,
        names.SINGLE_ACTIVE_CONSUMER,
    }
)
"""The arguments that Settings reads."""


class Settings:
    """Times in ms, lengths in messages and body bytes; UNLIMITED where nothing was asked."""

    def __init__(self, arguments: Table, policy: dict[str, object]) -> None:
        self.message_ttl_ms: Final = _least(arguments, names.MESSAGE_TTL, policy)
        self.expires_ms: Final = _least(arguments, names.EXPIRES, policy)
        self.max_length: Final = _least(arguments, names.MAX_LENGTH, policy)
        self.max_length_bytes: Final = _least(arguments, names.MAX_LENGTH_BYTES, policy)
        self.consumer_timeout_ms: Final = _least(arguments, names.CONSUMER_TIMEOUT, policy)
        self.overflow: Final = _text(arguments, names.OVERFLOW, policy) or "drop-head"
        self.dead_letter_exchange: Final = _text(arguments, names.DEAD_LETTER_EXCHANGE, policy)
        self.dead_letter_routing_key: Final = _text(arguments, names.DEAD_LETTER_ROUTING_KEY, policy)
        self.max_priority: Final = names.integer(arguments, names.MAX_PRIORITY_ARGUMENT, UNLIMITED)
        self.single_active_consumer: Final = names.flag(arguments, names.SINGLE_ACTIVE_CONSUMER)

    @property
    def highest_priority(self) -> int:
        """0 without the argument, and never 0 with it (RabbitMQ)."""
        return max(1, self.max_priority) if self.max_priority >= 0 else 0

    @property
    def limited(self) -> bool:
        """Whether the queue has a length to keep."""
        return self.max_length >= 0 or self.max_length_bytes >= 0

    @property
    def direct(self) -> bool:
        """Whether nothing is asked about a message for which a consumer waits."""
        return self.max_priority < 0 and (self.overflow == "drop-head" or not self.limited)

    @property
    def plain(self) -> bool:
        """Whether a message that has no time to live of its own can only be delivered, or wait for that."""
        return not self.limited and self.message_ttl_ms < 0 and self.max_priority < 0


def settings_of(arguments: Table, policy: dict[str, object]) -> Settings:
    """The Settings of a queue: the same for all of which nothing is asked, as is usual."""
    if not policy and _MEANT.isdisjoint([name for name, _value in arguments]):
        return _NOTHING_ASKED
    return Settings(arguments, policy)


def _least(arguments: Table, name: str, policy: dict[str, object]) -> int:
    own = names.integer(arguments, name, UNLIMITED)
    said = policy.get(_key(name))
    if not isinstance(said, int):
        return own
    return said if own < 0 else min(own, said)


def _text(arguments: Table, name: str, policy: dict[str, object]) -> str | None:
    own = names.text(arguments, name)
    said = policy.get(_key(name))
    return said if own is None and isinstance(said, str) else own


def _key(argument: str) -> str:
    """The key of a policy that is the same as an argument: without its `x-`."""
    return argument[2:]


_NOTHING_ASKED: Final = Settings([], {})
