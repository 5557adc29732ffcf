"""What an exchange type is, and the registry of types.

An instance of `ExchangeType` belongs to one exchange and is that exchange's index of bindings. It is told of every
binding that is added and removed, and finds the destinations of a message. Plugins register interpreted subclasses.

`keyed` types route by the routing key alone: their routes are cached until the topology changes. Other types are asked
for each message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from amqpd.errors import precondition_failed
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.routing import Binding, Destination


@mypyc_attr(allow_interpreted_subclasses=True)
class ExchangeType:
    """The base of exchange types. `arguments` are those of the declaration."""

    keyed = True

    def __init__(self, arguments: Table) -> None:
        self.arguments = arguments
        self.steps = 1  # how much work the last match was: patterns tried, nodes visited

    def validate(self) -> None:
        """Refuse a declaration whose arguments make no sense. Raises ProtocolError."""

    def validate_binding(self, binding: Binding) -> None:
        """Refuse a binding, before anything else is checked. Raises ProtocolError."""

    def add(self, binding: Binding) -> None:
        """Index a binding that is new."""
        raise NotImplementedError

    def remove(self, binding: Binding) -> None:
        """Forget a binding that was added."""
        raise NotImplementedError

    def match(self, key: str, message: Message | None, found: dict[Destination, None]) -> None:
        """Add to `found` the destinations of `key`. `message` is None only where a keyed type is asked."""
        raise NotImplementedError


Factory = Callable[[Table], ExchangeType]


class Registry:
    """Exchange types by name."""

    def __init__(self) -> None:
        self._factories: Final[dict[str, Factory]] = {}

    def register(self, name: str, factory: Factory) -> None:
        """Add a type. Raises ValueError where the name is taken."""
        if name in self._factories:
            raise ValueError(f"exchange type {name!r} is registered already")
        self._factories[name] = factory

    def check(self, name: str) -> None:
        """Raise ChannelError 406 for a type that does not exist."""
        if name not in self._factories:
            raise unknown_type(name)

    def create(self, name: str, arguments: Table) -> ExchangeType:
        """A fresh index of type `name`. Raises ChannelError 406 for a type that does not exist."""
        factory = self._factories.get(name)
        if factory is None:
            raise unknown_type(name)
        instance = factory(arguments)
        instance.validate()
        return instance


def unknown_type(name: str) -> Exception:
    """The 406 of a declaration whose type nobody registered."""
    return precondition_failed(f"unknown exchange type '{name}'")
