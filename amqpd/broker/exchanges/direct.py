"""The direct exchange: a message goes wherever its routing key equals the binding's (specification 3.1.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.routing import Binding, Destination


class Bound:
    """Destinations that share a key, each with the number of its bindings (they may differ in their arguments)."""

    def __init__(self) -> None:
        self.counts: Final[dict[Destination, int]] = {}

    def add(self, destination: Destination) -> None:
        """Count one binding more."""
        self.counts[destination] = self.counts.get(destination, 0) + 1

    def remove(self, destination: Destination) -> None:
        """Count one binding less."""
        left = self.counts[destination] - 1
        if left:
            self.counts[destination] = left
        else:
            del self.counts[destination]


class Direct(ExchangeType):
    """Bindings by key."""

    def __init__(self, arguments: Table) -> None:
        super().__init__(arguments)
        self._keys: Final[dict[str, Bound]] = {}

    def add(self, binding: Binding) -> None:
        bound = self._keys.get(binding.key)
        if bound is None:
            bound = Bound()
            self._keys[binding.key] = bound
        bound.add(binding.destination)

    def remove(self, binding: Binding) -> None:
        bound = self._keys[binding.key]
        bound.remove(binding.destination)
        if not bound.counts:
            del self._keys[binding.key]

    def match(self, key: str, message: Message | None, found: dict[Destination, None]) -> None:
        bound = self._keys.get(key)
        if bound is not None:
            for destination in bound.counts:
                found[destination] = None
