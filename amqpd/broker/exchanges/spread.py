"""Exchange types that give each message to one of their destinations: x-local-random and x-modulus-hash (RabbitMQ 4).

x-local-random takes any one, for spreading load over queues; x-modulus-hash always takes the same one for the same
key, as long as the bindings stay. The hash is not RabbitMQ's (Erlang's phash2): which queue a key leads to differs,
how evenly keys are spread does not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.broker.queues.contract import Queue
from amqpd.errors import precondition_failed
from amqpd.wire.primitives import as_bytes
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.routing import Binding, Destination


class Spread(ExchangeType):
    """Bindings in a list, in a fixed order: a destination that is bound twice weighs double."""

    def __init__(self, arguments: Table) -> None:
        super().__init__(arguments)
        self._bindings: Final[list[Binding]] = []

    def add(self, binding: Binding) -> None:
        self._bindings.append(binding)
        self._bindings.sort(key=lambda bound: (bound.destination.name, bound.key))

    def remove(self, binding: Binding) -> None:
        self._bindings.remove(binding)


class LocalRandom(Spread):
    """One destination at random. Bindings have no key, and lead to queues."""

    keyed = False

    def __init__(self, arguments: Table, random: Callable[[int], bytes]) -> None:
        super().__init__(arguments)
        self._random: Final = random

    def validate_binding(self, binding: Binding) -> None:
        if binding.key:
            raise precondition_failed(f"Non empty binding '{binding.key}' key not permitted")
        if not isinstance(binding.destination, Queue):
            raise precondition_failed("Destination not found")

    def match(self, key: str, message: Message | None, found: dict[Destination, None]) -> None:
        if self._bindings and not found:
            number = int.from_bytes(self._random(4), "big")
            found[self._bindings[number % len(self._bindings)].destination] = None


class ModulusHash(Spread):
    """The destination whose number is the key's hash modulo the number of bindings; their keys do not matter."""

    def match(self, key: str, message: Message | None, found: dict[Destination, None]) -> None:
        if self._bindings:
            number = zlib.crc32(as_bytes(key))
            found[self._bindings[number % len(self._bindings)].destination] = None
