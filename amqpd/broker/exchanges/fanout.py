"""The fanout exchange: a message goes to every destination, whatever its key (specification 3.1.3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.broker.exchanges.direct import Bound
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.routing import Binding, Destination


class Fanout(ExchangeType):
    """Bindings without distinction."""

    def __init__(self, arguments: Table) -> None:
        super().__init__(arguments)
        self._bound: Final = Bound()

    def add(self, binding: Binding) -> None:
        self._bound.add(binding.destination)

    def remove(self, binding: Binding) -> None:
        self._bound.remove(binding.destination)

    def match(self, key: str, message: Message | None, found: dict[Destination, None]) -> None:
        self._bound.collect(found)
