"""What a node can tell of itself: its lists, as plain values that JSON can carry.

Each list is a function that yields rows; a row's keys are the columns, named as rabbitmqctl names them. Numbers are
read where they stand, when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from amqpd.broker.queues.classic import ClassicQueue
from amqpd.broker.routing import Exchange
from amqpd.protocol.states import STATE_NAMES
from amqpd.wire.primitives import as_text
from amqpd.wire.tables import Field, Table, lookup

if TYPE_CHECKING:
    from amqpd.broker.node import Broker
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.vhost import VHost
    from amqpd.protocol.channel import Channel
    from amqpd.protocol.connection import Connection
    from amqpd.server.hub import Hub

Row = dict[str, object]


def plain(field: Field) -> object:
    """A field's value as JSON has it."""
    value = field.value
    if isinstance(value, bytes):
        return as_text(value).encode("utf-8", "replace").decode()
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):
            return plain_table(value)
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        scale, number = value
        return number / 10**scale
    return value


def plain_table(table: Table) -> dict[str, object]:
    """A table as JSON has it; of a key that stands there twice, the first."""
    return {key: plain(field) for key, field in reversed(table)}


def _connections(hub: Hub) -> Iterator[Row]:
    for session in hub.sessions:
        connection = session.connection
        yield {
            "name": connection.name,
            "user": connection.user.name if connection.user else "",
            "vhost": connection.vhost.name if connection.vhost else "",
            "state": _state(connection),
            "channels": len(connection.channels),
            "client": _client_name(connection),
            "recv_oct": connection.bytes_received,
            "send_oct": connection.bytes_sent,
            "send_pend": connection.unsent,
            "frame_max": connection.frame_max,
        }


def _state(connection: Connection) -> str:
    return "blocked" if connection.blocked else STATE_NAMES[connection.state]


def _client_name(connection: Connection) -> str:
    """What the client calls its connection, else its product."""
    for name in ("connection_name", "product"):
        field = lookup(connection.client_properties, name)
        if field is not None:
            return str(plain(field))
    return ""


def _channels(hub: Hub) -> Iterator[Row]:
    for session in hub.sessions:
        for channel in session.connection.channels.values():
            yield _channel(channel)


def _channel(channel: Channel) -> Row:
    return {
        "name": f"{channel.connection.name} ({channel.number})",
        "connection": channel.connection.name,
        "number": channel.number,
        "user": channel.user.name,
        "vhost": channel.vhost.name,
        "transactional": channel.publisher.transaction is not None,
        "confirm": channel.publisher.confirms is not None,
        "consumer_count": len(channel.consumers),
        "messages_unacknowledged": channel.deliveries.count,
        "prefetch_count": channel.prefetch,
        "global_prefetch_count": channel.shared_prefetch,
    }


def _vhosts(hub: Hub) -> Iterator[Row]:
    for vhost in hub.broker.vhosts.values():
        yield {
            "name": vhost.name,
            "tracing": vhost.tracing,
            "queues": len(vhost.queues),
            "exchanges": len(vhost.exchanges),
        }


def _queues(hub: Hub) -> Iterator[Row]:
    for vhost in hub.broker.vhosts.values():
        for queue in vhost.queues.values():
            yield _queue(vhost, queue)


def _queue(vhost: VHost, queue: Queue) -> Row:
    ready = queue.ready_count()
    unacked = queue.unacked_messages if isinstance(queue, ClassicQueue) else 0
    return {
        "vhost": vhost.name,
        "name": queue.name,
        "messages": ready + unacked,
        "messages_ready": ready,
        "messages_unacknowledged": unacked,
        "consumers": queue.consumer_count(),
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "exclusive": queue.owner is not None,
        "arguments": plain_table(queue.arguments),
    }


def _exchanges(hub: Hub) -> Iterator[Row]:
    for vhost in hub.broker.vhosts.values():
        for exchange in vhost.exchanges.values():
            yield {
                "vhost": vhost.name,
                "name": exchange.name,
                "type": exchange.type_name,
                "durable": exchange.durable,
                "auto_delete": exchange.auto_delete,
                "internal": exchange.internal,
                "arguments": plain_table(exchange.arguments),
            }


def _bindings(hub: Hub) -> Iterator[Row]:
    """Those that clients made; that every queue is bound to the default exchange by its name goes without saying."""
    for vhost in hub.broker.vhosts.values():
        for exchange in vhost.exchanges.values():
            for binding in exchange.outgoing:
                destination = binding.destination
                yield {
                    "vhost": vhost.name,
                    "source_name": exchange.name,
                    "destination_name": destination.name,
                    "destination_kind": "exchange" if isinstance(destination, Exchange) else "queue",
                    "routing_key": binding.key,
                    "arguments": plain_table(binding.arguments),
                }


def _consumers(hub: Hub) -> Iterator[Row]:
    for session in hub.sessions:
        for channel in session.connection.channels.values():
            for consumer in channel.consumers.values():
                yield {
                    "vhost": channel.vhost.name,
                    "queue_name": consumer.queue.name,
                    "consumer_tag": consumer.tag,
                    "channel": f"{channel.connection.name} ({channel.number})",
                    "ack_required": not consumer.no_ack,
                    "exclusive": consumer.exclusive,
                    "active": consumer.active,
                    "prefetch_count": consumer.prefetch,
                    "priority": consumer.priority,
                    "messages_unacknowledged": consumer.unacked,
                    "arguments": plain_table(consumer.arguments),
                }


LISTS: Final[dict[str, Callable[[Hub], Iterator[Row]]]] = {
    "connections": _connections,
    "channels": _channels,
    "queues": _queues,
    "exchanges": _exchanges,
    "bindings": _bindings,
    "consumers": _consumers,
    "vhosts": _vhosts,
}


def totals(broker: Broker) -> Row:
    """How much of everything there is."""
    queues = [queue for vhost in broker.vhosts.values() for queue in vhost.queues.values()]
    return {
        "connections": broker.connection_count(),
        "vhosts": len(broker.vhosts),
        "exchanges": sum(len(vhost.exchanges) for vhost in broker.vhosts.values()),
        "queues": len(queues),
        "consumers": sum(queue.consumer_count() for queue in queues),
        "messages_ready": sum(queue.ready_count() for queue in queues),
    }
