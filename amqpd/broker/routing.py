"""Exchanges, bindings, and the way from a publish to the queues that take it.

Walks exchange-to-exchange bindings (each exchange at most once, so cycles are harmless) and alternate exchanges; adds
what the CC and BCC headers name. Does not keep the route cache (each channel has its own) and does not know queues
beyond their being destinations.

Invariant: a binding stands in its source's `outgoing` and type index, and in its destination's `incoming`, or in none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.wire.tables import Table, encode_table

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.vhost import VHost


# What the names of reply consumers begin with (`reply_to`): a message to one that is gone counts as routed.
REPLY_PREFIX: Final = "amq.rabbitmq.reply-to."


class Destination:
    """What a binding can lead to: a queue or an exchange."""

    def __init__(self, vhost: VHost, name: str, durable: bool, auto_delete: bool, arguments: Table) -> None:
        self.vhost: Final = vhost
        self.name: Final = name
        self.durable: Final = durable
        self.auto_delete: Final = auto_delete
        self.arguments: Final = arguments
        self.incoming: Final[dict[tuple[str, str, bytes], Binding]] = {}

    def described(self) -> str:
        """The object as RabbitMQ prints it: `queue 'q' in vhost '/'`."""
        raise NotImplementedError


class Binding:
    """`source` sends to `destination` what matches `key` and `arguments`."""

    def __init__(self, source: Exchange, destination: Destination, key: str, arguments: Table) -> None:
        self.source: Final = source
        self.destination: Final = destination
        self.key: Final = key
        self.arguments: Final = arguments

    @property
    def durable(self) -> bool:
        """Only a binding between durable ends is."""
        return self.source.durable and self.destination.durable

    @property
    def identity(self) -> tuple[str, str, bytes]:
        """What makes it the same binding within its destination: source, key, and arguments in any order."""
        if not self.arguments:
            return (self.source.name, self.key, b"")
        return (self.source.name, self.key, encode_table(sorted(self.arguments, key=lambda pair: pair[0])))


class Exchange(Destination):
    """A named exchange. `alternate` is the name to which unroutable messages go on, if any."""

    def __init__(
        self,
        vhost: VHost,
        name: str,
        type_name: str,
        index: ExchangeType,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: Table,
        alternate: str | None,
    ) -> None:
        super().__init__(vhost, name, durable, auto_delete, arguments)
        self.type_name: Final = type_name
        self.index: Final = index
        self.internal: Final = internal
        self.alternate: Final = alternate
        self.outgoing: Final[dict[Binding, None]] = {}

    def described(self) -> str:
        return described_exchange(self.name, self.vhost.name)

    def connect(self, binding: Binding) -> None:
        """Make `binding`, which has this source, effective."""
        self.index.add(binding)
        self.outgoing[binding] = None
        binding.destination.incoming[binding.identity] = binding

    def disconnect(self, binding: Binding) -> None:
        """The inverse of `connect`."""
        self.index.remove(binding)
        del self.outgoing[binding]
        del binding.destination.incoming[binding.identity]


def described_exchange(name: str, vhost: str) -> str:
    """An exchange as RabbitMQ prints it, whether it exists or not."""
    return f"exchange '{name}' in vhost '{vhost}'"


def described_queue(name: str, vhost: str) -> str:
    """A queue as RabbitMQ prints it, whether it exists or not."""
    return f"queue '{name}' in vhost '{vhost}'"


class Router:
    """One walk through a vhost's exchanges."""

    def __init__(self, vhost: VHost, keys: list[str], message: Message | None) -> None:
        self._vhost: Final = vhost
        self._keys: Final = keys
        self._message: Final = message
        self._visited: Final[set[str]] = set()
        self.queues: Final[dict[Queue, None]] = {}
        self.keyed = True  # False once a type was asked that looks at more than the key

    def walk(self, exchange: Exchange) -> None:
        """Collect in `queues` every queue that is reached from `exchange`, each once."""
        todo = [exchange]
        while todo:
            at = todo.pop()
            if at.name in self._visited:
                continue
            self._visited.add(at.name)
            found = self._match(at)
            if not found:
                alternate = self._vhost.exchanges.get(at.alternate) if at.alternate else None
                if alternate is not None:
                    todo.append(alternate)
                continue
            for destination in found:
                if isinstance(destination, Exchange):
                    todo.append(destination)
                else:
                    self.queues[cast("Queue", destination)] = None

    def _match(self, exchange: Exchange) -> dict[Destination, None]:
        found: dict[Destination, None] = {}
        if exchange.name == "":
            for key in self._keys:
                queue = self._vhost.queue_for(key)
                if queue is None and key.startswith(REPLY_PREFIX):
                    queue = self._vhost.gone_reply_queue
                if queue is not None:
                    found[queue] = None
                    if queue.volatile:
                        self.keyed = False
            return found
        if not exchange.index.keyed:
            self.keyed = False
            if self._message is None:
                return found
        for key in self._keys:
            exchange.index.match(key, self._message, found)
        return found
