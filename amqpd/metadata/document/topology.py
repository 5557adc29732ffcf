"""Exchanges, queues and bindings of a definitions document.

Names that begin with `amq.` belong to the broker and to server-named queues: such objects are left out, as RabbitMQ
does, and so is what binds them. Whether types and arguments are good, and the ends of a binding there, is for whoever
applies the commands.

Source: RabbitMQ, rabbit_definitions (add_exchange, add_queue, add_binding).
"""

from __future__ import annotations

from typing import Final

from amqpd.broker import vhost as vhosts
from amqpd.broker.arguments import QUEUE_TYPE, QUEUE_TYPES
from amqpd.broker.commands import PutBinding, PutExchange, PutQueue
from amqpd.broker.events import EVENT_EXCHANGE, LOG_EXCHANGE
from amqpd.metadata.document.access import queue_type_of
from amqpd.metadata.document.checks import Item, shown
from amqpd.metadata.document.gathering import Gathering
from amqpd.metadata.document.values import with_queue_type
from amqpd.wire.tables import LONGSTR, Table, lookup

RESERVED: Final = "amq."
PREDECLARED: Final = frozenset([EVENT_EXCHANGE, LOG_EXCHANGE, *(name for name, _type, _internal in vhosts.PREDECLARED)])
_DESTINATION_TYPES: Final = {"queue": "queue", "q": "queue", "exchange": "exchange", "e": "exchange"}


def read_exchange(gathering: Gathering, item: Item) -> None:
    """An exchange."""
    vhost = gathering.vhost_of(item)
    name = item.name("name", empty=True)
    command = PutExchange(
        vhost,
        name,
        item.name("type"),
        item.flag("durable", True),
        item.flag("auto_delete", False),
        item.flag("internal", False),
        gathering.arguments_of(item),
    )
    if name in PREDECLARED:
        return
    if name.startswith(RESERVED):
        gathering.findings.warn(item.trail, f"is left out: the name '{shown(name)}' belongs to the broker")
        return
    gathering.exchanges.add((vhost, name))
    gathering.put(command, item)


def read_queue(gathering: Gathering, item: Item) -> None:
    """A queue."""
    vhost = gathering.vhost_of(item)
    name = item.name("name")
    durable = item.flag("durable", True)
    auto_delete = item.flag("auto_delete", False)
    arguments = gathering.arguments_of(item)
    kind = _queue_type(gathering, item, vhost, arguments, durable and not auto_delete)
    if not name.startswith(RESERVED):
        gathering.put(PutQueue(vhost, name, kind, durable, auto_delete, with_queue_type(arguments, kind)), item)
    elif not gathering.present.has(PutQueue, vhost, name):
        gathering.left_out.add((vhost, name))
        gathering.findings.warn(item.trail, f"is left out: the name '{shown(name)}' was given by a server")


def _queue_type(gathering: Gathering, item: Item, vhost: str, arguments: Table, any_type: bool) -> str:
    """The type: by the argument, else by "type" (which RabbitMQ writes and does not read), else the vhost's default."""
    argument = lookup(arguments, QUEUE_TYPE)
    if argument is not None:
        kind = argument.text() if argument.kind == LONGSTR else "?"
        if kind and kind not in QUEUE_TYPES:
            gathering.findings.problem((*item.trail, "arguments", QUEUE_TYPE), f"is none of {', '.join(QUEUE_TYPES)}")
            item.bad = True
        return kind or "classic"
    said = queue_type_of(item, "type")
    if said or not any_type:
        return said or "classic"
    return gathering.vhosts.get(vhost, "") or gathering.default_queue_type


def read_binding(gathering: Gathering, item: Item) -> None:
    """A binding, unless an end of it was left out."""
    vhost = gathering.vhost_of(item)
    kind = _DESTINATION_TYPES.get(item.text("destination_type"), "")
    if not kind and isinstance(item.values.get("destination_type"), str):
        item.wrong("destination_type", "is neither queue nor exchange")
    binding = PutBinding(
        vhost,
        item.name("source", empty=True),
        kind,
        item.name("destination"),
        item.name("routing_key", empty=True, default=""),
        gathering.arguments_of(item),
    )
    why = _without_end(gathering, binding)
    if not why:
        gathering.put(binding, item)
    elif not item.bad:
        gathering.findings.warn(item.trail, f"is left out: {why}")


def _without_end(gathering: Gathering, binding: PutBinding) -> str:
    """Why the binding is left out, or "".

    The exports of RabbitMQ 4 leave out internal exchanges and keep their bindings, on which its own import then fails.
    """
    if not binding.source:
        return "the default exchange has its bindings by itself"
    exchanges = [binding.source]
    if binding.destination_type == "exchange":
        exchanges.append(binding.destination)
    elif (binding.vhost, binding.destination) in gathering.left_out:
        return f"so is the queue '{shown(binding.destination)}'"
    for name in exchanges:
        there = (binding.vhost, name) in gathering.exchanges or gathering.present.has(PutExchange, binding.vhost, name)
        if gathering.hides_internal and not there and name not in PREDECLARED:
            return f"the exchange '{shown(name)}' is not in the file, which has no internal exchanges in it"
    return ""
