"""What the event exchange is told of connections, channels and consumers (RabbitMQ: rabbitmq_event_exchange).

Every function returns at once while events are off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqpd.wire import tables
from amqpd.wire.tables import Field, Table

if TYPE_CHECKING:
    from amqpd.broker.consumers import Consumer
    from amqpd.protocol.channel import Channel
    from amqpd.protocol.connection import Connection


def connection_opened(connection: Connection) -> None:
    """connection.created"""
    if not connection.broker.events.enabled:
        return
    connection.broker.events.emit(
        "connection.created",
        [
            *_connection(connection),
            ("protocol", tables.longstr("AMQP 0-9-1")),
            ("auth_mechanism", tables.longstr(connection.mechanism)),
            ("frame_max", tables.long(connection.frame_max)),
            ("channel_max", tables.long(connection.channel_max)),
            ("client_properties", tables.subtable(connection.client_properties())),
        ],
    )


def connection_closed(connection: Connection) -> None:
    """connection.closed"""
    if connection.broker.events.enabled:
        connection.broker.events.emit("connection.closed", _connection(connection))


def login(connection: Connection, user: str, mechanism: str, success: bool) -> None:
    """user.authentication.success, user.authentication.failure"""
    if not connection.broker.events.enabled:
        return
    connection.broker.events.emit(
        "user.authentication." + ("success" if success else "failure"),
        [
            ("name", tables.longstr(user)),
            ("connection_name", tables.longstr(connection.name)),
            ("auth_mechanism", tables.longstr(mechanism)),
        ],
    )


def channel_opened(channel: Channel) -> None:
    """channel.created"""
    if channel.vhost.broker.events.enabled:
        channel.vhost.broker.events.emit("channel.created", _channel(channel))


def channel_closed(channel: Channel) -> None:
    """channel.closed"""
    if channel.vhost.broker.events.enabled:
        channel.vhost.broker.events.emit("channel.closed", _channel(channel))


def consumer_added(channel: Channel, consumer: Consumer) -> None:
    """consumer.created"""
    if not channel.vhost.broker.events.enabled:
        return
    channel.vhost.broker.events.emit(
        "consumer.created",
        [
            *_consumer(channel, consumer),
            ("exclusive", tables.boolean(consumer.exclusive)),
            ("ack_required", tables.boolean(not consumer.no_ack)),
            ("prefetch_count", tables.long(consumer.prefetch)),
            ("arguments", tables.subtable(consumer.arguments)),
        ],
    )


def consumer_removed(channel: Channel, consumer: Consumer) -> None:
    """consumer.deleted"""
    if channel.vhost.broker.events.enabled:
        channel.vhost.broker.events.emit("consumer.deleted", _consumer(channel, consumer))


def _connection(connection: Connection) -> Table:
    return [
        ("name", tables.longstr(connection.name)),
        ("user", tables.longstr(connection.user.name if connection.user is not None else "")),
        ("vhost", tables.longstr(connection.vhost.name if connection.vhost is not None else "")),
        ("node", tables.longstr(connection.broker.name)),
    ]


def _channel(channel: Channel) -> Table:
    return [
        ("name", tables.longstr(f"{channel.connection.name} ({channel.number})")),
        ("connection", tables.longstr(channel.connection.name)),
        ("number", Field(tables.SIGNED_INT, channel.number)),
        ("user", tables.longstr(channel.user.name)),
        ("vhost", tables.longstr(channel.vhost.name)),
    ]


def _consumer(channel: Channel, consumer: Consumer) -> Table:
    return [
        ("consumer_tag", tables.longstr(consumer.tag)),
        ("queue", tables.longstr(consumer.queue.name)),
        ("vhost", tables.longstr(channel.vhost.name)),
        ("channel", tables.longstr(f"{channel.connection.name} ({channel.number})")),
    ]
