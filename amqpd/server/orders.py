"""Commands as JSON objects, for operators: {"order": "PutPermission", "user": "u", "vhost": "/", ...}.

The fields are those of the command's class in `amqpd.broker.commands`; those with a default may be left out. AMQP
arguments are JSON objects here, with the types that RabbitMQ gives them. Checked are the form, and that everything can
be carried and stored: depth, Unicode, 64 bits. What it means is checked by who carries it out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from amqpd.broker import commands as c
from amqpd.errors import DefinitionError
from amqpd.metadata.document.checks import Findings, sound
from amqpd.metadata.document.values import table_of

ORDERS: Final[dict[str, type[c.Command]]] = {kind.__name__: kind for kind in c.Command.__subclasses__()}

INTEGER_MAX: Final = 2**63 - 1  # of a column in the database

# What the fields hold that are no texts. (Compiled classes do not tell their fields' types in words.)
_FLAGS: Final = frozenset({"durable", "auto_delete", "internal", "operator"})
NOT_FOR_OPERATORS: Final = "identity"  # of a queue: the node chooses it
_LIMITS: Final = (c.PutVHostLimit, c.PutUserLimit)


def command_from(order: Mapping[str, object]) -> c.Command:
    """The command. Raises DefinitionError where it has not the form."""
    name = order.get("order")
    kind = ORDERS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise DefinitionError("there is no such order; there are " + ", ".join(ORDERS))
    findings = Findings()
    given: dict[str, object] = {}
    if sound(order, (), findings):
        fields = {field.name: field for field in dataclasses.fields(kind) if field.name != NOT_FOR_OPERATORS}
        unknown = [key for key in order if key not in fields and key != "order"]
        if unknown:
            raise DefinitionError(f"{name} has no field {unknown[0]!r}; it has {', '.join(fields)}")
        for key, field in fields.items():
            if key in order:
                given[key] = _value(kind, key, order[key], findings)
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise DefinitionError(f"{name} needs the field {key}")
    if findings.problems:
        raise DefinitionError(f"{name}: {findings.problems[0]}")
    return kind(**given)


def _value(kind: type[c.Command], key: str, value: object, findings: Findings) -> object:
    """What a field is given, or a problem."""
    if key == "priority" or (key == "value" and kind in _LIMITS):
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX:
            return value
        wanted = "an integer of 64 bits"
    elif key in _FLAGS:
        if isinstance(value, bool):
            return value
        wanted = "true or false"
    elif key == "tags":
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        wanted = "a list of texts"
    elif key in ("arguments", "definition"):
        if isinstance(value, dict):
            return table_of(value, (key,), findings) if key == "arguments" else value
        wanted = "an object"
    elif key == "value":
        return value
    else:
        if isinstance(value, str) or (value is None and (kind, key) == (c.DeleteTopicPermission, "exchange")):
            return value
        wanted = "a text"
    findings.problem((key,), f"must be {wanted}")
    return None
