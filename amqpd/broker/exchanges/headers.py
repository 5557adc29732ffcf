"""The headers exchange: bindings match by the message's headers, not by its key (specification 3.1.3.4).

`x-match` is `all` (the default), `any`, `all-with-x` or `any-with-x`. Without `-with-x`, keys of the binding that begin
with `x-` do not count. A void value asks only that the header is there. Values compare as RabbitMQ 4.3 compares them:
integers of all widths by value, but 1 is not 1.0 (`behaviour.md` 5.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker import erlang
from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.errors import precondition_failed
from amqpd.wire import tables
from amqpd.wire.tables import Field, Table, lookup

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.routing import Binding, Destination

MODES: Final = ("all", "any", "all-with-x", "any-with-x")


class Pattern:
    """What a binding asks of a message's headers."""

    def __init__(self, arguments: Table) -> None:
        mode = lookup(arguments, "x-match")
        name = mode.text() if mode is not None else "all"
        self.any: Final = name.startswith("any")
        with_x = name.endswith("-with-x")
        self.wanted: Final[list[tuple[str, Field]]] = [
            (key, field) for key, field in arguments if key != "x-match" and (with_x or not key.startswith("x-"))
        ]

    def matches(self, headers: dict[str, Field]) -> bool:
        """All: nothing that is wanted is missing or differs. Any: something that is wanted is there."""
        for key, wanted in self.wanted:
            value = headers.get(key)
            same = value is not None and (wanted.kind == tables.VOID or comparable(wanted) == comparable(value))
            if same == self.any:
                return self.any
        return not self.any


def comparable(field: Field) -> object:
    """A value in which fields that RabbitMQ 4.3 takes for equal are equal, and others are not.

    Widths do not matter at the top; inside arrays and tables types and order do.
    """
    value = field.value
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("int", value)
    if isinstance(value, float):
        return ("float", value)
    if isinstance(value, bytes):
        return ("binary", value)
    return (field.type_name, value)


class Headers(ExchangeType):
    """Each binding is tried in turn."""

    keyed = False

    def __init__(self, arguments: Table) -> None:
        super().__init__(arguments)
        self._patterns: Final[dict[Binding, Pattern]] = {}

    def validate_binding(self, binding: Binding) -> None:
        mode = lookup(binding.arguments, "x-match")
        if mode is None:
            return
        if mode.kind != tables.LONGSTR:
            raise precondition_failed(
                f"Invalid x-match field type {mode.type_name} (value {erlang.value(mode)}); expected longstr"
            )
        if mode.text() not in MODES:
            raise precondition_failed(
                f"Invalid x-match field value {erlang.text(mode.raw())}; "
                "expected all, any, all-with-x, or any-with-x"
            )

    def add(self, binding: Binding) -> None:
        self._patterns[binding] = Pattern(binding.arguments)

    def remove(self, binding: Binding) -> None:
        del self._patterns[binding]

    def match(self, key: str, message: Message | None, found: dict[Destination, None]) -> None:
        assert message is not None
        headers: dict[str, Field] = {}
        for name, field in message.headers():
            headers.setdefault(name, field)
        self.steps = len(self._patterns)
        for binding, pattern in self._patterns.items():
            if binding.destination not in found and pattern.matches(headers):
                found[binding.destination] = None
