"""What is there, as the commands that make it (`commands`): a queue, an exchange, a binding, a vhost.

The inverse of what `VHost` does with commands. Exchanges that every vhost has by itself make no command, and neither do
exclusive queues, which end with their connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amqpd.broker.commands import (
    Command,
    DeleteBinding,
    DeleteExchange,
    DeleteQueue,
    PutBinding,
    PutExchange,
    PutQueue,
    PutVHost,
    PutVHostLimit,
)
from amqpd.broker.queues.contract import Queue
from amqpd.broker.routing import Exchange

if TYPE_CHECKING:
    from amqpd.broker.routing import Binding
    from amqpd.broker.vhost import VHost


def is_predeclared_name(name: str) -> bool:
    """Whether an exchange of that name is there, or not, by itself."""
    return not name or name.startswith("amq.")


def put_exchange(exchange: Exchange) -> PutExchange:
    """The command that makes it."""
    return PutExchange(
        exchange.vhost.name,
        exchange.name,
        exchange.type_name,
        exchange.durable,
        exchange.auto_delete,
        exchange.internal,
        exchange.arguments,
    )


def delete_exchange(exchange: Exchange) -> DeleteExchange:
    """The command that ends it."""
    return DeleteExchange(exchange.vhost.name, exchange.name)


def put_queue(queue: Queue) -> PutQueue:
    """The command that makes it."""
    return PutQueue(
        queue.vhost.name,
        queue.name,
        queue.type_name,
        queue.durable,
        queue.auto_delete,
        queue.arguments,
        queue.identity,
    )


def delete_queue(queue: Queue) -> DeleteQueue:
    """The command that ends it."""
    return DeleteQueue(queue.vhost.name, queue.name)


def put_binding(binding: Binding) -> PutBinding:
    """The command that makes it."""
    destination = binding.destination
    kind = "exchange" if isinstance(destination, Exchange) else "queue"
    vhost = binding.source.vhost.name
    return PutBinding(vhost, binding.source.name, kind, destination.name, binding.key, binding.arguments)


def delete_binding(binding: Binding) -> DeleteBinding:
    """The command that ends it."""
    made = put_binding(binding)
    return DeleteBinding(
        made.vhost, made.source, made.destination_type, made.destination, made.routing_key, made.arguments
    )


def put_vhost(vhost: VHost) -> PutVHost:
    """The command that makes an empty one like it."""
    return PutVHost(vhost.name, vhost.description, vhost.tags, vhost.default_queue_type)


def topology_of(vhost: VHost, durable_only: bool) -> Iterator[Command]:
    """Its exchanges, queues and bindings."""
    for exchange in vhost.exchanges.values():
        if not is_predeclared_name(exchange.name) and (exchange.durable or not durable_only):
            yield put_exchange(exchange)
    for queue in vhost.queues.values():
        if queue.owner is None and (queue.durable or not durable_only):
            yield put_queue(queue)
    for exchange in vhost.exchanges.values():
        for binding in exchange.outgoing:
            destination = binding.destination
            exclusive = isinstance(destination, Queue) and destination.owner is not None
            if binding.durable or not (durable_only or exclusive):
                yield put_binding(binding)


def limits_of(vhost: VHost) -> Iterator[Command]:
    """Its limits."""
    for name, value in vhost.limits.items():
        yield PutVHostLimit(vhost.name, name, value)
