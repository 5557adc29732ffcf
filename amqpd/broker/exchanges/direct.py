"""The direct exchange: a message goes wherever its routing key equals the binding's (specification 3.1.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.routing import Binding, Destination


class Bound:
    """Destinations that share a key, each with the number of its bindings (they may differ in their arguments).

    There is one in most cases, which stands in `_only`, with `_times`. `_counts` are all of them once there were more.
    """

    def __init__(self) -> None:
        self._only: Destination | None = None
        self._times = 0
        self._counts: dict[Destination, int] | None = None

    def __bool__(self) -> bool:
        return self._only is not None or bool(self._counts)

    def add(self, destination: Destination) -> None:
        """Count one binding more."""
        counts = self._counts
        if counts is not None:
            counts[destination] = counts.get(destination, 0) + 1
        elif self._only is None or self._only is destination:
            self._only = destination
            self._times += 1
        else:
            self._counts = {self._only: self._times, destination: 1}
            self._only = None

    def remove(self, destination: Destination) -> None:
        """Count one binding less."""
        counts = self._counts
        if counts is None:
            self._times -= 1
            if not self._times:
                self._only = None
        elif counts[destination] > 1:
            counts[destination] -= 1
        else:
            del counts[destination]

    def collect(self, found: dict[Destination, None]) -> None:
        """Add the destinations to `found`."""
        if self._only is not None:
            found[self._only] = None
        elif self._counts is not None:
            for destination in self._counts:
                found[destination] = None


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
        if not bound:
            del self._keys[binding.key]

    def match(self, key: str, message: Message | None, found: dict[Destination, None]) -> None:
        bound = self._keys.get(key)
        if bound is not None:
            bound.collect(found)
