"""Exchanges, bindings, and the way from a publish to the queues that take it.

Walks exchange-to-exchange bindings (each exchange at most once, so cycles are harmless) and alternate exchanges; adds
what the CC and BCC headers name. Does not keep the route cache (the vhost does) and does not know queues beyond their
being destinations.

Invariant: a binding stands in its source's `outgoing` and type index, and in its destination's `incoming`, or in none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.broker.policykeys import ALTERNATE_EXCHANGE
from amqpd.wire.tables import Table, encode_table

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.policies import Policy
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.vhost import VHost


class Destination:
    """What a binding can lead to: a queue or an exchange. `policies.effective` is what its policies say together."""

    def __init__(self, vhost: VHost, name: str, durable: bool, auto_delete: bool, arguments: Table) -> None:
        self.vhost: Final = vhost
        self.name: Final = name
        self.durable: Final = durable
        self.auto_delete: Final = auto_delete
        self.arguments: Final = arguments
        self.incoming: Final[dict[tuple[str, str, bytes], Binding]] = {}
        self.policy: Policy | None = None
        self.operator_policy: Policy | None = None

    def follow_policies(self, definition: dict[str, object]) -> None:
        """Act from now on as `definition` says, which the policies that apply make."""

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
        # Looked up by name: compiled code does not see what an interpreted subclass sets on its class.
        self.keyed: Final = bool(getattr(index, "keyed"))  # noqa: B009
        self.internal: Final = internal
        self.alternate = alternate
        self._own_alternate: Final = alternate
        self.outgoing: Final[dict[Binding, None]] = {}

    def described(self) -> str:
        return described_exchange(self.name, self.vhost.name)

    def follow_policies(self, definition: dict[str, object]) -> None:
        """The argument wins; what the default exchange cannot route goes nowhere (RabbitMQ)."""
        if self._own_alternate is None and self.name:
            said = definition.get(ALTERNATE_EXCHANGE)
            self.alternate = said if isinstance(said, str) else None

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


class Route:
    """Where publishes with the same exchange, key and bits go. `address` is what their messages carry.

    `keyed` is False where each message must be looked at; `queues` then means nothing.
    """

    def __init__(
        self, exchange: Exchange, key: str, mandatory: bool, queues: list[Queue], keyed: bool, address: bytes
    ) -> None:
        self.exchange: Final = exchange
        self.key: Final = key
        self.mandatory: Final = mandatory
        self.queues: Final = queues
        self.keyed: Final = keyed
        self.address: Final = address


class Router:
    """One walk through a vhost's exchanges. `message` None asks whether the keys alone decide (`keyed`)."""

    def __init__(self, vhost: VHost, keys: list[str], message: Message | None) -> None:
        self._vhost: Final = vhost
        self._keys: Final = keys
        self._message: Final = message
        self.keyed = True

    def walk(self, start: Exchange) -> list[Queue]:
        """Every queue that is reached from `start`, each once."""
        found = self._match(start)
        for destination in found:
            if isinstance(destination, Exchange):
                return self._walk_on(start, found)
        if not found and start.alternate:
            return self._walk_on(start, found)
        return [cast("Queue", destination) for destination in found]

    def _walk_on(self, start: Exchange, found: dict[Destination, None]) -> list[Queue]:
        """The walk beyond the first exchange: bindings between exchanges, alternates. Each exchange is passed once."""
        queues: dict[Queue, None] = {}
        visited = {start.name}
        todo: list[Exchange] = []
        exchange = start
        while True:
            for destination in found:
                if isinstance(destination, Exchange):
                    todo.append(destination)
                else:
                    queues[cast("Queue", destination)] = None
            if not found and exchange.alternate:
                alternate = self._vhost.exchanges.get(exchange.alternate)
                if alternate is not None:
                    todo.append(alternate)
            while todo and todo[-1].name in visited:
                todo.pop()
            if not todo:
                return list(queues)
            exchange = todo.pop()
            visited.add(exchange.name)
            found = self._match(exchange)

    def _match(self, exchange: Exchange) -> dict[Destination, None]:
        found: dict[Destination, None] = {}
        if exchange.name == "":
            for key in self._keys:
                self._match_queue(key, found)
            return found
        if not exchange.keyed:
            self.keyed = False
            if self._message is None:
                return found
        for key in self._keys:
            exchange.index.match(key, self._message, found)
            self._vhost.broker.spend(exchange.index.steps)
        return found

    def _match_queue(self, name: str, found: dict[Destination, None]) -> None:
        """The default exchange: every queue is bound by its name."""
        queue = self._vhost.queue_for(name)
        if queue is not None:
            found[queue] = None
            if queue.volatile:
                self.keyed = False
