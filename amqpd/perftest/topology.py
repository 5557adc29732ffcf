"""Who uses which queue, and what has to be there before.

Queues that are named one by one (--queue) are consumed by every consumer, and all are bound with one routing key. Of a
sequence (--queue-pattern, --queue-file) every channel has one in turn, bound with its own name. Without names each
consumer's channel has a queue that the broker names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from amqpd.perftest.options import Options


@dataclass(frozen=True)
class Use:
    """What a channel works with: the routing key, and a consumer's queues (none: one that the broker names)."""

    queues: tuple[str, ...]
    key: str


class Topology:
    """`drawn` is the routing key where none is given."""

    def __init__(self, options: Options, drawn: str) -> None:
        self.queues: Final = tuple(options.queues)
        self.declares_exchange: Final = not _is_there(options.exchange)
        self.looks_for_exchange: Final = options.predeclared and options.exchange_named and options.exchange != ""
        self.binds: Final = options.exchange != "" and not options.skip_binding
        self._in_sequence: Final = options.in_sequence
        self._given: Final = options.routing_key
        # The default exchange knows queues by their names only.
        fallback = self.queues[0] if options.exchange == "" and self.queues else drawn
        self._key: Final = fallback if options.routing_key is None else options.routing_key

    def use(self, number: int) -> Use:
        """What the channel with this number, from 0 on, works with; producers and consumers are counted separately."""
        if self._in_sequence:
            queue = self.queues[number % len(self.queues)]
            return Use((queue,), self.key_of(queue))
        return Use(self.queues, self._key)

    def key_of(self, queue: str) -> str:
        """With which key a queue is bound."""
        if self._in_sequence and self._given is None:
            return queue
        return self._key


def _is_there(exchange: str) -> bool:
    """Exchanges that every broker has, and nobody may declare."""
    return exchange == "" or exchange.startswith("amq.")
